"""Values on the wire and back; what comes back may hold anything."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest

from antiphon.types.v1 import value_pb2
from services.nlu.understanding import Value
from services.nlu.value_messages import from_message, to_message
from services.nlu.values.arithmetic import Expression
from services.nlu.values.kinds import Entity, Interval, Money, Quantity, Recurrence
from services.nlu.values.places import Place

pytestmark = pytest.mark.unit

BERLIN = ZoneInfo("Europe/Berlin")
SEVEN = datetime(2026, 11, 21, 7, 0, tzinfo=BERLIN)


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        ("milk", "text"),
        (True, "boolean"),
        (False, "boolean"),
        (2**62, "integer"),
        (-3, "integer"),
        (Decimal("1.50"), "decimal"),
        (Quantity(Decimal("5.5"), "[mi_i]"), "quantity"),
        (Money(Decimal("5.20"), "EUR"), "money"),
        (Money(Decimal("-0.5"), "USD"), "money"),
        (date(2026, 5, 3), "date"),
        (time(0, 0), "time"),
        (time(19, 30, 15), "time"),
        (SEVEN, "datetime"),
        (timedelta(0), "duration"),
        (timedelta(minutes=10), "duration"),
        (timedelta(milliseconds=1500), "duration"),
        (Place("Paris", "FR", "Europe/Paris"), "place"),
        (Interval(SEVEN, datetime(2026, 11, 21, 9, 0, tzinfo=BERLIN)), "interval"),
        (Interval(None, SEVEN), "interval"),
        (Recurrence(SEVEN, "FREQ=WEEKLY;BYDAY=MO"), "recurrence"),
        (Expression("2 + 3", (), 8, 20), "expression"),
    ],
)
def test_there_and_back(value: Value, kind: str) -> None:
    message = to_message(value)
    assert message.WhichOneof("kind") == kind
    assert from_message(message) == value


def test_an_entity_keeps_its_identity() -> None:
    back = from_message(to_message(Entity("rooms", "kitchen", "Küche", 0.9)))
    assert isinstance(back, Entity)
    assert (back.catalogue, back.entity_id, back.name) == ("rooms", "kitchen", "Küche")


def test_a_moment_names_its_zone() -> None:
    made = to_message(SEVEN).datetime
    assert (made.year, made.month, made.day, made.hours, made.time_zone.id) == (2026, 11, 21, 7, "Europe/Berlin")


@pytest.mark.parametrize(("fold", "hours"), [(0, 2), (1, 1)])
def test_a_wall_time_that_comes_twice_names_its_offset(fold: int, hours: int) -> None:
    twice = datetime(2026, 10, 25, 2, 30, tzinfo=BERLIN, fold=fold)
    message = to_message(twice)
    assert message.datetime.WhichOneof("time_offset") == "utc_offset"
    assert message.datetime.utc_offset.seconds == hours * 3600
    assert from_message(message) == datetime(2026, 10, 25, 2, 30, tzinfo=timezone(timedelta(hours=hours)))


def test_a_moment_without_a_zone_is_utc() -> None:
    message = value_pb2.Value()
    message.datetime.year, message.datetime.month, message.datetime.day = 2026, 1, 2
    assert from_message(message) == datetime(2026, 1, 2, tzinfo=UTC)


def rubbish() -> list[value_pb2.Value]:
    made = [value_pb2.Value() for _ in range(11)]
    made[1].date.month = 13
    made[2].date.year = 2026
    made[3].time.hours = 25
    made[4].datetime.year = 99999
    made[5].decimal.value = "one"
    made[6].decimal.value = "NaN"
    made[7].decimal.value = "1e999999"
    made[8].quantity.value.value = "9" * 10_000
    made[9].recurrence.rule = "FREQ=DAILY"
    made[10].datetime.utc_offset.seconds = 10**9
    made[10].datetime.year = 2026
    return made


@pytest.mark.parametrize("message", rubbish(), ids=str)
def test_what_is_no_value_is_none(message: value_pb2.Value) -> None:
    assert from_message(message) is None


def test_a_zone_that_does_not_exist_is_not_looked_for_in_files() -> None:
    message = to_message(SEVEN)
    message.datetime.time_zone.id = "../../etc/passwd"
    assert from_message(message) == datetime(2026, 11, 21, 7, 0, tzinfo=UTC)
