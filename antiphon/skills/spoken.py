"""Numbers, times and lists as people of a locale say them, for the answers of skills.

The built-in skills fill their sentences with these. The data are CLDR's, by way of babel: needs
`pip install antiphon[skills]`. Tags are BCP-47, such as `Turn.locale`; one that is none counts as English.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from functools import lru_cache
from typing import Final

from babel import Locale, UnknownLocaleError
from babel.dates import format_date, format_time
from babel.lists import format_list
from babel.numbers import format_decimal
from babel.units import format_unit

FALLBACK: Final = "en"
"""The language of a skill that has no words for the user's."""

_UNITS: Final = (("day", 86_400), ("hour", 3_600), ("minute", 60), ("second", 1))


@lru_cache(maxsize=256)
def locale_of(tag: str) -> Locale:
    """CLDR's data for a tag; of its language, then English, where there is none."""
    for attempt in (tag.replace("-", "_"), tag.replace("_", "-").partition("-")[0]):
        try:
            return Locale.parse(attempt)
        except (UnknownLocaleError, ValueError):
            continue
    return Locale(FALLBACK)


def spoken_number(number: Decimal, tag: str) -> str:
    """With the locale's separators, every one of at most nine decimal places: `1,234.5`."""
    return _plain(format_decimal(number, "#,##0.#########", locale_of(tag), decimal_quantization=False))


def spoken_list(parts: Sequence[str], tag: str) -> str:
    """`one, two, and three`."""
    return _plain(format_list(list(parts), locale=locale_of(tag)))


def spoken_length(length: timedelta, tag: str) -> str:
    """Exactly to the second, in days, hours, minutes and seconds: `1 hour and 30 minutes`. None is negative."""
    seconds = max(0, round(length.total_seconds()))
    counts = []
    for unit, size in _UNITS:
        count, seconds = divmod(seconds, size)
        counts.append((unit, count))
    told = [pair for pair in counts if pair[1]] or counts[-1:]
    parts = [format_unit(count, f"duration-{unit}", length="long", locale=locale_of(tag)) for unit, count in told]
    return spoken_list(parts, tag)


def spoken_time(clock: datetime | time, tag: str) -> str:
    """The time of day to the minute, as it is there: `5:30 PM`, `17:30`."""
    return _plain(format_time(time(clock.hour, clock.minute), "short", locale=locale_of(tag)))


def spoken_date(day: date, tag: str, pattern: str = "full") -> str:
    """A day, `Friday, November 20, 2026`; without its weekday as "long", or by another pattern of CLDR ("EEEE")."""
    return _plain(format_date(day, pattern, locale=locale_of(tag)))


def capital(text: str) -> str:
    """With a capital letter at the start, and the rest as it is."""
    return text[:1].upper() + text[1:]


def _plain(text: str) -> str:
    """With ordinary spaces: CLDR's narrow ones are for print."""
    return text.replace("\u202f", " ").replace("\u00a0", " ")
