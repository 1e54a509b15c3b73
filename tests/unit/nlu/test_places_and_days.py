"""Places to time zones, days to dates."""

from __future__ import annotations

from datetime import date
from zoneinfo import available_timezones

import pytest

from services.nlu.text import tokenise
from services.nlu.values.days import read_day
from services.nlu.values.places import Gazetteer, known_zone

pytestmark = pytest.mark.unit

FRIDAY = date(2026, 11, 20)


def resolve(name: str) -> list[str]:
    return [place.time_zone for place in Gazetteer.bundled().resolve(tokenise(name))]


@pytest.mark.parametrize(
    ("name", "zone"),
    [
        ("tokyo", "Asia/Tokyo"),
        ("Tokio", "Asia/Tokyo"),
        ("san francisco", "America/Los_Angeles"),
        ("munich", "Europe/Berlin"),
        ("münchen", "Europe/Berlin"),
        ("mumbai", "Asia/Kolkata"),
        ("beijing", "Asia/Shanghai"),
        ("japan", "Asia/Tokyo"),
        ("china", "Asia/Shanghai"),
        ("the netherlands", "Europe/Amsterdam"),
        ("orlando florida", "America/New_York"),
        ("Orlando, FL", "America/New_York"),
        ("birmingham alabama", "America/Chicago"),
        ("birmingham", "Europe/London"),
        ("paris texas", "America/Chicago"),
        ("paris, france", "Europe/Paris"),
        ("eastern standard time", "America/New_York"),
        ("g. m. t.", "Etc/UTC"),
        ("gmt plus five", "Etc/GMT-5"),
        ("utc minus 3", "Etc/GMT+3"),
        ("Nueva York", "America/New_York"),
        ("londra", "Europe/London"),
        ("moscou", "Europe/Moscow"),
    ],
)
def test_place_to_zone(name: str, zone: str) -> None:
    assert resolve(name)[0] == zone


def test_a_country_of_several_times_offers_its_cities() -> None:
    assert resolve("the united states")[:3] == ["", "America/New_York", "America/Chicago"]
    assert resolve("Australien")[:2] == ["", "Australia/Sydney"]


def test_a_name_of_two_places_offers_both() -> None:
    assert resolve("georgia") == ["America/New_York", "Asia/Tbilisi"]


@pytest.mark.parametrize("name", ["atlantis", "gmt plus five hundred", "gmt plus half", "", ".", "the"])
def test_unknown_places(name: str) -> None:
    assert resolve(name) == []


def test_every_zone_of_the_table_exists() -> None:
    gazetteer = Gazetteer.bundled()
    zones = {place.time_zone for places in gazetteer._table.values() for place in places} - {""}
    assert len(zones) > 350
    assert zones <= available_timezones()


@pytest.mark.parametrize(
    "name", ["", "../../etc/passwd", "/etc/localtime", "Mars/Olympus", "Europe", "a\x00b", "x" * 999]
)
def test_zones_that_do_not_exist(name: str) -> None:
    assert not known_zone(name)


@pytest.mark.parametrize(
    ("words", "language", "expected"),
    [
        ("today", "en", "2026-11-20"),
        ("tomorrow's", "en", "2026-11-21"),
        ("the day after tomorrow", "en", "2026-11-22"),
        ("friday", "en", "2026-11-27"),
        ("saturday", "en", "2026-11-21"),
        ("next friday", "en", "2026-11-27"),
        ("next saturday", "en", "2026-11-28"),
        ("this friday", "en", "2026-11-20"),
        ("last monday", "en", "2026-11-16"),
        ("last friday", "en", "2026-11-13"),
        ("in three days", "en", "2026-11-23"),
        ("two weeks from now", "en", "2026-12-04"),
        ("64 days from now", "en", "2027-01-23"),
        ("three days ago", "en", "2026-11-17"),
        ("the twenty third of april", "en", "2026-04-23"),
        ("april sixteenth", "en", "2026-04-16"),
        ("May 5 2027", "en", "2027-05-05"),
        ("23rd of may", "en", "2026-05-23"),
        ("twelfth", "en", "2026-11-12"),
        ("christmas", "en", "2026-12-25"),
        ("new year's eve next year", "en", "2027-12-31"),
        ("übermorgen", "de", "2026-11-22"),
        ("nächsten freitag", "de", "2026-11-27"),
        ("am dritten mai", "de", "2026-05-03"),
        ("vor zwei wochen", "de", "2026-11-06"),
        ("après-demain", "fr", "2026-11-22"),
        ("le trois mai", "fr", "2026-05-03"),
        ("pasado mañana", "es", "2026-11-22"),
        ("fra due giorni", "it", "2026-11-22"),
    ],
)
def test_days(words: str, language: str, expected: str) -> None:
    assert read_day(tokenise(words), language, FRIDAY) == date.fromisoformat(expected)


@pytest.mark.parametrize(
    ("words", "language"),
    [
        ("my birthday", "en"),
        ("february thirtieth", "en"),
        ("friday the thirteenth", "en"),
        ("in 99999999999 days", "en"),
        ("monday", "ja"),
        ("", "en"),
        ("may 5 0000", "en"),
    ],
)
def test_days_that_cannot_be_told(words: str, language: str) -> None:
    assert read_day(tokenise(words), language, FRIDAY) is None


def test_last_days_of_the_calendar_do_not_overflow() -> None:
    assert read_day(tokenise("in 20 days"), "en", date(8999, 12, 31)) == date(9000, 1, 20)
