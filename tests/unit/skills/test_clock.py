"""The clock, anywhere and in five languages."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from antiphon.types.v1 import understanding_pb2
from skills.clock.handler import CLOCK
from skills.clock.words import WORDS
from tests.fakes.skill_turns import answer, can_fulfill, day, place, request

pytestmark = pytest.mark.unit

NOW = datetime(2026, 11, 20, 8, 30, tzinfo=UTC)  # a Friday
TOKYO = place("Tokyo", "Asia/Tokyo", "JP")


def time(*slots: understanding_pb2.Slot, locale: str = "en", time_zone: str = "Europe/Berlin") -> tuple[str, str]:
    return answer(CLOCK, request("clock.time", *slots, locale=locale, now=NOW, time_zone=time_zone))


def date(*slots: understanding_pb2.Slot, locale: str = "en", time_zone: str = "Europe/Berlin") -> tuple[str, str]:
    return answer(CLOCK, request("clock.date", *slots, locale=locale, now=NOW, time_zone=time_zone))


@pytest.mark.parametrize(
    ("locale", "here", "in_tokyo"),
    [
        ("en", "It is 9:30 AM.", "It is 5:30 PM in Tokyo."),
        ("en-GB", "It is 09:30.", "It is 17:30 in Tokyo."),
        ("de", "Es ist 09:30 Uhr.", "In Tokyo ist es 17:30 Uhr."),
        ("es", "La hora es 9:30.", "En Tokyo la hora es 17:30."),
        ("fr", "Il est 09:30.", "Il est 17:30 à Tokyo."),
        ("it", "L'ora è 09:30.", "A Tokyo l'ora è 17:30."),
    ],
)
def test_the_time(locale: str, here: str, in_tokyo: str) -> None:
    assert time(locale=locale) == (here, "")
    assert time(TOKYO, locale=locale) == (in_tokyo, "")


def test_summer_time_is_kept() -> None:
    summer = datetime(2026, 7, 1, 8, 30, tzinfo=UTC)
    assert answer(CLOCK, request("clock.time", now=summer, time_zone="Europe/Berlin"))[0] == "It is 10:30 AM."


def test_a_country_takes_its_own_preposition() -> None:
    assert time(place("Japon", "Asia/Tokyo", "JP"), locale="fr")[0] == "Japon : il est 17:30."
    assert time(place("Giappone", "Asia/Tokyo", "JP"), locale="it")[0] == "In Giappone l'ora è 17:30."


def test_without_a_time_zone_it_says_that_it_is_universal_time() -> None:
    assert time(time_zone="")[0] == "It is 8:30 AM, universal time: I do not know where you are."
    assert time(time_zone="Mars/Olympus")[0].startswith("It is 8:30 AM, universal time")


@pytest.mark.parametrize("locale", sorted(WORDS))
def test_an_unknown_place_is_admitted(locale: str) -> None:
    said, reason = time(place("Atlantis"), locale=locale)
    assert "Atlantis" in said
    assert reason == "UNKNOWN_PLACE"
    asked = can_fulfill(CLOCK, request("clock.time", place("Atlantis"), locale=locale, now=NOW))
    assert (asked.fulfilment, asked.reason) == (understanding_pb2.FULFILMENT_MAYBE, "UNKNOWN_PLACE")


def test_a_place_with_several_zones_needs_a_city() -> None:
    said, reason = time(place("Russia", "", "RU"))
    assert said == "Russia has more than one time zone. Please name a city."
    assert reason == "MANY_TIME_ZONES"


def test_a_place_without_a_typed_value_is_unknown() -> None:
    slot = understanding_pb2.Slot(name="place", text="nowhere")
    assert time(slot) == ("I do not know where nowhere is.", "UNKNOWN_PLACE")


@pytest.mark.parametrize("name", ["../../etc/passwd", "posix", "Europe", "x" * 5000, "\0"])
def test_a_strange_zone_is_no_zone(name: str) -> None:
    assert time(place("There", name))[1] == "UNKNOWN_PLACE"


@pytest.mark.parametrize(
    ("locale", "today", "christmas"),
    [
        ("en", "Today is Friday, November 20, 2026.", "December 25, 2026 is a Friday."),
        ("de", "Heute ist Freitag, 20. November 2026.", "Der 25. Dezember 2026 ist ein Freitag."),
        ("es", "Hoy es viernes, 20 de noviembre de 2026.", "El 25 de diciembre de 2026 es viernes."),
        ("fr", "Aujourd'hui, nous sommes le vendredi 20 novembre 2026.", "Le 25 décembre 2026 sera un vendredi."),
        ("it", "Oggi è venerdì 20 novembre 2026.", "Il 25 dicembre 2026 è venerdì."),
    ],
)
def test_the_date(locale: str, today: str, christmas: str) -> None:
    assert date(locale=locale) == (today, "")
    assert date(day(2026, 12, 25), locale=locale) == (christmas, "")


def test_days_around_today() -> None:
    assert date(day(2026, 11, 21))[0] == "Tomorrow is Saturday, November 21, 2026."
    assert date(day(2026, 11, 19))[0] == "Yesterday was Thursday, November 19, 2026."
    assert date(day(2025, 12, 25))[0] == "December 25, 2025 was a Thursday."
    assert date(day(0, 12, 25))[0] == "December 25, 2026 is a Friday."


def test_today_depends_on_the_place() -> None:
    assert date(place("Auckland", "Pacific/Auckland"), time_zone="America/New_York")[0].startswith("In Auckland, today")
    late = datetime(2026, 11, 20, 23, 0, tzinfo=UTC)
    asked = request("clock.date", place("Auckland", "Pacific/Auckland"), now=late)
    assert "November 21" in answer(CLOCK, asked)[0]


def test_a_day_that_does_not_exist() -> None:
    assert date(day(2026, 2, 30))[1] == "UNKNOWN_DAY"
    asked = can_fulfill(CLOCK, request("clock.date", day(2026, 2, 30), now=NOW))
    assert asked.fulfilment == understanding_pb2.FULFILMENT_MAYBE


def test_a_locale_of_a_region_answers_in_its_language() -> None:
    assert time(locale="de-AT")[0] == "Es ist 09:30 Uhr."
    assert time(locale="xx")[0].startswith("It is")
