"""Tables of what people say and the value it is, one line each: `words | value`; "-" is none.

The tests of the readers (`test_values_*.py`) are such tables. Now is Friday, 20 November 2026, 15:00 in Berlin.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime, time, timedelta

from services.nlu.text import tokenise
from services.nlu.understanding import Situation, Value
from services.nlu.values.finder import Finder
from services.nlu.values.kinds import Interval, Money, Quantity, Recurrence
from services.nlu.values.places import Gazetteer

NOW = datetime(2026, 11, 20, 14, 0, tzinfo=UTC)
NOTHING = "-"

Row = tuple[str, str, str]


def rows(tables: Mapping[str, str]) -> list[Row]:
    """(language, words, value) of every line."""
    return [
        (language, *(part.strip() for part in line.split("|", 1)))  # type: ignore[misc]
        for language, table in tables.items()
        for line in table.strip().splitlines()
    ]


def a_finder(language: str, *, now: datetime = NOW, zone: str = "Europe/Berlin", region: str = "DE") -> Finder:
    return Finder(language, Situation(now, zone, region), Gazetteer.bundled(), {})


def found(value_type: str, language: str, words: str, finder: Finder | None = None) -> str:
    """What is found first in a sentence, with its other readings."""
    places = (finder or a_finder(language)).find(value_type, tokenise(words))
    return " ".join(map(shown, places[0].values)) if places else NOTHING


def read(value_type: str, language: str, words: str, finder: Finder | None = None) -> str:
    """What the words are as a whole."""
    return " ".join(map(shown, (finder or a_finder(language)).read(value_type, tokenise(words)))) or NOTHING


def shown(value: Value | None) -> str:
    """A value on one line."""
    match value:
        case datetime():
            return value.strftime("%m-%dT%H:%M" if value.year == NOW.year else "%Y-%m-%dT%H:%M")
        case date():
            return value.isoformat()
        case time():
            return value.strftime("%H:%M")
        case timedelta():
            return f"{value.total_seconds():.15g}"
        case Quantity():
            return f"{value.value:f}{value.unit}"
        case Money():
            return f"{value.amount:f}{value.currency}"
        case Interval():
            return f"{shown(value.start)}/{shown(value.end)}"
        case Recurrence():
            return f"{shown(value.start)}@{value.rule}"
        case None:
            return ""
    return str(value)
