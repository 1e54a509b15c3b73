"""Values on the wire: from the domain to `antiphon.types.v1.Value` and back.

The servicer calls `to_message` for every slot it answers; `conversation_messages.py` calls `from_message` for the slots
of earlier turns, which come back in a request and may hold anything.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, time, timedelta, timezone, tzinfo
from decimal import Decimal, InvalidOperation
from typing import Any
from zoneinfo import ZoneInfo

from google.type import datetime_pb2

from antiphon.types.v1 import value_pb2
from services.nlu.understanding import Value
from services.nlu.values.arithmetic import Expression
from services.nlu.values.kinds import Entity, Interval, Money, Quantity, Recurrence
from services.nlu.values.places import Place, known_zone

_NANO = 10**9
_LONGEST_NUMBER = 100


def to_message(value: Value) -> value_pb2.Value:
    """The value's message."""
    made = value_pb2.Value()
    match value:
        case str():
            made.text = value
        case bool():
            made.boolean = value
        case int():
            made.integer = value
        case Decimal():
            made.decimal.value = f"{value:f}"
        case datetime():
            made.datetime.CopyFrom(_moment(value))
        case date():
            made.date.year, made.date.month, made.date.day = value.year, value.month, value.day
        case time():
            made.time.SetInParent()
            made.time.hours, made.time.minutes, made.time.seconds = value.hour, value.minute, value.second
        case timedelta():
            made.duration.FromTimedelta(value)
        case _:
            _compound(value, made)
    return made


def _compound(
    value: Place | Expression | Entity | Quantity | Money | Interval | Recurrence, made: value_pb2.Value
) -> None:
    match value:
        case Place():
            made.place.name, made.place.region, made.place.time_zone = value.name, value.region, value.time_zone
        case Expression():
            made.expression.infix = value.infix
            made.expression.spans.add(start=value.start, end=value.end)
        case Entity():
            made.entity.catalogue, made.entity.entity_id = value.catalogue, value.entity_id
            made.entity.name, made.entity.confidence = value.name, value.confidence
        case Quantity():
            made.quantity.value.value, made.quantity.unit = f"{value.value:f}", value.unit
        case Money():
            nanos = int(value.amount * _NANO)
            made.money.currency_code = value.currency
            made.money.units = int(value.amount)
            made.money.nanos = nanos - int(value.amount) * _NANO
        case Interval():
            made.interval.SetInParent()
            if value.start is not None:
                made.interval.start.CopyFrom(_moment(value.start))
            if value.end is not None:
                made.interval.end.CopyFrom(_moment(value.end))
        case Recurrence():
            made.recurrence.start.CopyFrom(_moment(value.start))
            made.recurrence.rule = value.rule


def _moment(value: datetime) -> datetime_pb2.DateTime:
    """Wall time with its zone; with its offset where the zone has that wall time twice (a clock set back)."""
    made = datetime_pb2.DateTime(
        year=value.year, month=value.month, day=value.day, hours=value.hour, minutes=value.minute, seconds=value.second
    )
    zone = value.tzinfo
    offset = value.utcoffset()
    twice = value.replace(fold=0).utcoffset() != value.replace(fold=1).utcoffset()
    if isinstance(zone, ZoneInfo) and zone.key and not twice:
        made.time_zone.id = zone.key
    elif offset is not None:
        made.utc_offset.FromTimedelta(offset)
    return made


def from_message(message: value_pb2.Value) -> Value | None:
    """The value in a message; None if it is unset or holds what is no value ("month 13")."""
    kind = message.WhichOneof("kind")
    if kind is None:
        return None
    field = getattr(message, kind)
    if kind in {"text", "integer", "boolean"}:
        return field  # type: ignore[no-any-return]
    try:
        return _READERS[kind](field)
    except (ValueError, OverflowError, InvalidOperation):
        return None


def _number(message: Any) -> Decimal:
    if len(message.value) > _LONGEST_NUMBER:
        raise ValueError
    number = Decimal(message.value)
    if not number.is_finite() or abs(number.adjusted()) > _LONGEST_NUMBER:
        raise ValueError
    return number


def _datetime(message: datetime_pb2.DateTime) -> datetime:
    return datetime(
        message.year,
        message.month,
        message.day,
        message.hours,
        message.minutes,
        message.seconds,
        message.nanos // 1000,
        tzinfo=_zone(message),
    )


def _zone(message: datetime_pb2.DateTime) -> tzinfo:
    match message.WhichOneof("time_offset"):
        case "utc_offset":
            return timezone(message.utc_offset.ToTimedelta())
        case "time_zone" if known_zone(message.time_zone.id):
            return ZoneInfo(message.time_zone.id)
    return UTC


_READERS: Mapping[str, Callable[[Any], Value]] = {
    "decimal": _number,
    "date": lambda one: date(one.year, one.month, one.day),
    "time": lambda one: time(one.hours, one.minutes, one.seconds),
    "datetime": _datetime,
    "duration": lambda one: one.ToTimedelta(),
    "quantity": lambda one: Quantity(_number(one.value), one.unit),
    "money": lambda one: Money(Decimal(one.units) + Decimal(one.nanos) / _NANO, one.currency_code),
    "place": lambda one: Place(one.name, one.region, one.time_zone),
    "entity": lambda one: Entity(one.catalogue, one.entity_id, one.name, one.confidence),
    "interval": lambda one: Interval(
        _datetime(one.start) if one.HasField("start") else None, _datetime(one.end) if one.HasField("end") else None
    ),
    "recurrence": lambda one: Recurrence(_datetime(one.start), one.rule),
    "expression": lambda one: Expression(
        one.infix, (), one.spans[0].start if one.spans else 0, one.spans[-1].end if one.spans else 0
    ),
}
