"""Typed readers of a turn, on what a wire may bring."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal

import pytest

from antiphon.skills import Turn
from antiphon.skills.values import plain, zone
from antiphon.types.v1 import context_pb2, understanding_pb2, value_pb2

pytestmark = pytest.mark.unit
NOW = datetime(2026, 11, 20, 23, 30, tzinfo=UTC)  # the next day in Berlin


def turn(value: value_pb2.Value | None = None, text: str = "said", time_zone: str = "Europe/Berlin") -> Turn:
    slot = understanding_pb2.Slot(name="it", text=text, value=value)
    context = context_pb2.TurnContext()
    context.now.FromDatetime(NOW)
    context.session.time_zone = time_zone
    return Turn("x", "en", understanding_pb2.Interpretation(intent="a.x", slots=[slot]), context)


def decimal(text: str) -> value_pb2.Value:
    value = value_pb2.Value()
    value.decimal.value = text
    return value


def quantity(text: str, unit: str) -> value_pb2.Value:
    value = value_pb2.Value(quantity=value_pb2.Quantity(unit=unit))
    value.quantity.value.value = text
    return value


def duration(seconds: int, nanos: int = 0) -> value_pb2.Value:
    value = value_pb2.Value()
    value.duration.seconds, value.duration.nanos = seconds, nanos
    return value


def moment(year: int, month: int, day: int, hour: int, zone_id: str = "", offset: int | None = None) -> value_pb2.Value:
    value = value_pb2.Value()
    at = value.datetime
    at.year, at.month, at.day, at.hours = year, month, day, hour
    if zone_id:
        at.time_zone.id = zone_id
    if offset is not None:
        at.utc_offset.seconds = offset
    return value


NUMBERS = [
        (value_pb2.Value(integer=-3), Decimal(-3)), (decimal("1.5"), Decimal("1.5")), (decimal("NaN"), None),
        (decimal("Infinity"), None), (decimal("1e999999999"), None), (decimal("9" * 1000), None), (decimal(""), None),
        (decimal("one"), None), (value_pb2.Value(text="3"), None), (None, None),
    ]  # fmt: skip


@pytest.mark.parametrize(("value", "number"), NUMBERS, ids=range(len(NUMBERS)))
def test_numbers(value: value_pb2.Value | None, number: Decimal | None) -> None:
    assert turn(value).number("it") == number


LENGTHS = [
        (duration(90), timedelta(seconds=90)), (duration(0, 500_000_000), timedelta(seconds=0.5)),
        (duration(-5), None), (duration(2**62), None), (quantity("1.5", "h"), timedelta(minutes=90)),
        (quantity("2", "d"), timedelta(days=2)), (quantity("2", "kg"), None), (quantity("-2", "min"), None),
        (quantity("1e99", "d"), None), (value_pb2.Value(integer=5), None),
    ]  # fmt: skip


@pytest.mark.parametrize(("value", "length"), LENGTHS, ids=range(len(LENGTHS)))
def test_durations(value: value_pb2.Value, length: timedelta | None) -> None:
    assert turn(value).duration("it") == length


def test_quantities() -> None:
    assert turn(quantity("21.5", "Cel")).quantity("it") == (Decimal("21.5"), "Cel")
    assert turn(quantity("hot", "Cel")).quantity("it") is None


MOMENTS = [
        (moment(2026, 11, 21, 7), datetime(2026, 11, 21, 6, tzinfo=UTC)),
        (moment(2026, 7, 1, 7), datetime(2026, 7, 1, 5, tzinfo=UTC)),
        (moment(2026, 11, 21, 7, zone_id="Asia/Tokyo"), datetime(2026, 11, 20, 22, tzinfo=UTC)),
        (moment(2026, 11, 21, 7, zone_id="Mars/Olympus"), datetime(2026, 11, 21, 6, tzinfo=UTC)),
        (moment(2026, 11, 21, 7, offset=3600), datetime(2026, 11, 21, 6, tzinfo=UTC)),
        (moment(2026, 11, 21, 7, offset=10**15), None),
        (moment(2026, 13, 21, 7), None), (moment(0, 11, 21, 7), None), (moment(2026, 2, 30, 7), None),
        (moment(2026, 11, 21, 25), None), (value_pb2.Value(text="seven"), None),
    ]  # fmt: skip


@pytest.mark.parametrize(("value", "point"), MOMENTS, ids=range(len(MOMENTS)))
def test_points_of_time(value: value_pb2.Value, point: datetime | None) -> None:
    found = turn(value).moment("it")
    assert (found.astimezone(UTC) if found else None) == point


def test_days_and_times_are_where_the_user_is() -> None:
    day = value_pb2.Value()
    day.date.day = 25
    assert turn(day).day("it") == date(2026, 11, 25)
    today = value_pb2.Value()
    today.date.SetInParent()
    assert turn(today).day("it") == date(2026, 11, 21)
    day.date.month = 2
    day.date.day = 30
    assert turn(day).day("it") is None
    clock = value_pb2.Value()
    clock.time.hours, clock.time.minutes = 24, 15
    assert turn(clock).time_of_day("it") == time(0, 15)
    clock.time.hours = 25
    assert turn(clock).time_of_day("it") is None


def test_words() -> None:
    assert turn(value_pb2.Value(text=" a\0b\n c ")).text("it") == "a b c"
    assert turn(None, "  as said ").text("it") == "as said"
    entity = value_pb2.Value(entity=value_pb2.EntityRef(entity_id="desk", name="Desk lamp"))
    assert (turn(entity).text("it"), turn(entity).entity("it")) == ("Desk lamp", "desk")
    assert (turn().text("else"), turn().entity("else"), turn().number("else")) == ("", "", None)
    assert len(turn(value_pb2.Value(text="x" * 10_000_000)).text("it")) == 1_000
    assert plain("e\u0301\u2028x\u2029\x9b", 10) == "é x"


@pytest.mark.parametrize("name", ["", "Mars/Olympus", "../../etc/passwd", "Europe", "\0", "x" * 100_000])
def test_what_is_no_zone(name: str) -> None:
    assert zone(name) is None


async def test_asking_whether_it_could_keeps_nothing() -> None:
    with pytest.raises(RuntimeError, match="no storage"):
        await turn().change(lambda shelf: shelf.put("a", 1))
