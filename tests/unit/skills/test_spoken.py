"""Numbers, times and lists in the words of a locale, whatever the tag is."""

from __future__ import annotations

from datetime import date, time, timedelta
from decimal import Decimal

import pytest

from antiphon.skills import spoken
from antiphon.skills.values import folded

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("tag", "number", "clock", "day", "length"),
    [
        ("en-US", "1,234.5", "5:30 PM", "Friday, November 20, 2026", "1 hour and 30 minutes"),
        ("de-AT", "1.234,5", "17:30", "Freitag, 20. November 2026", "1 Stunde und 30 Minuten"),
        ("es", "1.234,5", "17:30", "viernes, 20 de noviembre de 2026", "1 hora y 30 minutos"),
        ("fr", "1 234,5", "17:30", "vendredi 20 novembre 2026", "1 heure et 30 minutes"),
        ("it", "1.234,5", "17:30", "venerdì 20 novembre 2026", "1 ora e 30 minuti"),
    ],
)
def test_five_languages(tag: str, number: str, clock: str, day: str, length: str) -> None:
    said = (
        spoken.spoken_number(Decimal("1234.5"), tag),
        spoken.spoken_time(time(17, 30, 59), tag),
        spoken.spoken_date(date(2026, 11, 20), tag),
        spoken.spoken_length(timedelta(hours=1.5), tag),
    )
    assert said == (number, clock, day, length)


def test_a_region_without_data_is_its_language() -> None:
    assert spoken.spoken_date(date(2026, 11, 20), "de-ZZ", "EEEE") == "Freitag"


@pytest.mark.parametrize(
    "tag",
    ["", "-", "xx", "en-", "\0", "en_US.UTF-8@x", "zh-Hant-TW-x-y", "u" * 5000, "en-u-ca-gregory", "🙂", "../../x"],
)
def test_what_is_no_tag_counts_as_a_language_that_is_known(tag: str) -> None:
    assert spoken.spoken_length(timedelta(0), tag)
    assert spoken.spoken_list(["a", "b", "c"], tag)
    assert spoken.spoken_time(time(0), tag)


def test_edges() -> None:
    assert spoken.spoken_length(timedelta(seconds=-5), "en") == "0 seconds"
    assert spoken.spoken_length(timedelta.max, "en").startswith("1,000,000,000 days")
    assert spoken.spoken_list([], "en") == ""
    assert spoken.spoken_number(Decimal("1E-9"), "en") == "0.000000001"
    assert spoken.capital("") == ""
    assert spoken.capital("ß") == "SS"
    assert folded("Crème brûlée, ÀÑ") == "creme brulee, an"
