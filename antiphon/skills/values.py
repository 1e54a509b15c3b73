"""Typed values of slots as Python has them; `Turn` offers each reader by a slot's name.

What comes over the wire may hold anything: a value that is none ("month 13", a number of a million digits) reads as
None, as does one of another type.
"""

from __future__ import annotations

import unicodedata
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from decimal import Decimal, InvalidOperation
from typing import Any, Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from antiphon.types.v1 import value_pb2

MAX_DIGITS: Final = 100


def zone(name: str) -> ZoneInfo | None:
    """The IANA time zone of that name, or None when there is none."""
    try:
        return ZoneInfo(name) if name else None
    except (ZoneInfoNotFoundError, ValueError, OSError):  # OSError: a name that is a folder of the database
        return None


def plain(text: str, longest: int) -> str:
    """One line of NFC without control characters, at most `longest` characters."""
    text = unicodedata.normalize("NFC", text[: 4 * longest])
    kept = "".join(" " if unicodedata.category(char) in ("Cc", "Cs", "Zl", "Zp") else char for char in text)
    return " ".join(kept.split())[:longest].rstrip()


def folded(text: str) -> str:
    """Lower case without accents, for comparing: `Crème brûlée` is `creme brulee`."""
    parts = unicodedata.normalize("NFD", text.casefold())
    return "".join(char for char in parts if not unicodedata.combining(char))


def to_number(value: value_pb2.Value | None) -> Decimal | None:
    """A whole or a decimal number."""
    kind = value.WhichOneof("kind") if value is not None else None
    if value is None or kind not in ("integer", "decimal"):
        return None
    return Decimal(value.integer) if kind == "integer" else _decimal(value.decimal.value)


def to_quantity(value: value_pb2.Value | None) -> tuple[Decimal, str] | None:
    """A number and its unit as a UCUM code."""
    if value is None or value.WhichOneof("kind") != "quantity":
        return None
    number = _decimal(value.quantity.value.value)
    return None if number is None else (number, value.quantity.unit)


def to_duration(value: value_pb2.Value | None) -> timedelta | None:
    """A length of time, as such or as a quantity of seconds, minutes, hours or days; never negative."""
    kind = value.WhichOneof("kind") if value is not None else None
    try:
        if value is not None and kind == "duration":
            length = timedelta(seconds=value.duration.seconds, microseconds=value.duration.nanos // 1000)
        elif (quantity := to_quantity(value)) is not None and quantity[1] in _SECONDS:
            length = timedelta(seconds=float(quantity[0]) * _SECONDS[quantity[1]])
        else:
            return None
    except OverflowError:
        return None
    return length if length >= timedelta(0) else None


_SECONDS: Final = {"s": 1, "min": 60, "h": 3_600, "d": 86_400}


def to_date(value: value_pb2.Value | None, today: date) -> date | None:
    """A day; what was not said of it is `today`'s."""
    kind = value.WhichOneof("kind") if value is not None else None
    if value is None or kind not in ("date", "datetime"):
        return None
    said = value.date if kind == "date" else value.datetime
    try:
        return date(said.year or today.year, said.month or today.month, said.day or today.day)
    except ValueError:  # the thirtieth of February
        return None


def to_time(value: value_pb2.Value | None) -> time | None:
    """A time of day."""
    if value is None or value.WhichOneof("kind") != "time":
        return None
    try:
        return time(0 if value.time.hours == 24 else value.time.hours, value.time.minutes)
    except ValueError:
        return None


def to_moment(value: value_pb2.Value | None, local: tzinfo) -> datetime | None:
    """A point of time, aware; wall time without a zone of its own is of the zone `local`."""
    if value is None or value.WhichOneof("kind") != "datetime":
        return None
    return moment(value.datetime, local)


def moment(said: Any, local: tzinfo) -> datetime | None:
    """A `google.type.DateTime` as an aware datetime; None when it is none or lacks its day."""
    try:
        naive = datetime(said.year, said.month, said.day, said.hours, said.minutes, said.seconds)  # noqa: DTZ001
        kind = said.WhichOneof("time_offset")
        if kind == "utc_offset":
            offset: timedelta = said.utc_offset.ToTimedelta()
            return (naive - offset).replace(tzinfo=UTC)
        own = zone(said.time_zone.id) if kind == "time_zone" else None
        return naive.replace(tzinfo=own or local)
    except (ValueError, OverflowError):
        return None


def _decimal(text: str) -> Decimal | None:
    try:
        number = Decimal(text) if len(text) <= MAX_DIGITS else None
    except InvalidOperation:
        return None
    if number is None or not number.is_finite() or abs(number.adjusted()) > MAX_DIGITS:
        return None
    return number
