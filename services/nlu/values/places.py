"""From the name of a place, or of a time zone, to a region and an IANA zone.

The interpreter calls `Gazetteer.resolve` for the words of a place slot and `Gazetteer.find` when the tagger saw no
slot but the intent may have one. Names come from `places.json`, which `training/nlu_thin/places.py` makes; a name that
is not there stays a place without a zone, which the skill can ask about.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from services.nlu.text import Token
from services.nlu.values.numbers import read_number

TABLE = Path(__file__).with_name("places.json")

_LONGEST_NAME = 6
_ARTICLES = frozenset({"the", "der", "die", "das", "le", "la", "les", "el", "il", "lo", "city", "of", "downtown"})
_OFFSET = re.compile(r"^(?:utc|gmt|g m t|u t c) (plus|minus|\+|-) (.+)$")
_OFFSET_HOURS = range(-12, 15)  # the zones Etc/GMT+12 to Etc/GMT-14 exist


@dataclass(frozen=True, slots=True)
class Place:
    """One reading of a name.

    Attributes:
        name: display name; the words of the user when unknown.
        region: ISO 3166-1 alpha-2 or 3166-2 code, empty if unknown.
        time_zone: IANA zone; empty if unknown, or if the place keeps several times.
    """

    name: str
    region: str
    time_zone: str


class Gazetteer:
    """The table of names, read once per process."""

    def __init__(self, table: Mapping[str, Sequence[Sequence[str]]]) -> None:
        self._table = {name: tuple(Place(*reading) for reading in readings) for name, readings in table.items()}

    @classmethod
    @cache
    def bundled(cls) -> Gazetteer:
        return cls(json.loads(TABLE.read_text(encoding="utf-8")))

    def resolve(self, tokens: Sequence[Token]) -> tuple[Place, ...]:
        """Readings of the whole name, most likely first; none if it is unknown.

        "orlando florida" and "paris, france" are read as their first part when both parts are known.
        """
        words = [token.norm for token in tokens if token.norm not in {".", ",", "-"}]
        while words and words[0] in _ARTICLES and " ".join(words) not in self._table:
            words = words[1:]
        if not 0 < len(words) <= _LONGEST_NAME:
            return ()
        if exact := self._table.get(_name(words)) or _offset_zone(_name(words)):
            return exact
        for cut in range(len(words) - 1, 0, -1):
            head, last = self._table.get(_name(words[:cut])), _name(words[cut:])
            # Postal codes of states ("orlando fl") are stored as "us fl": alone they are other words.
            tail = self._table.get(f"us {last}") or self._table.get(last)
            if head and tail:
                return self._within(head, tail)
        return ()

    def find(self, tokens: Sequence[Token], taken: Set[int] = frozenset()) -> tuple[int, int] | None:
        """The longest known name in a sentence as a half-open range of tokens; None if there is none.

        Names of one or two letters, and those of time zones ("ist", "est"), are words of many languages and are left to
        the tagger, as are the tokens in `taken`.
        """
        for length in range(min(_LONGEST_NAME, len(tokens)), 0, -1):
            for start in range(len(tokens) - length + 1):
                words = [token.norm for token in tokens[start : start + length] if token.norm not in {".", "-"}]
                name = _name(words)
                known = self._table.get(name) if len(name) > 2 and words[0] not in _ARTICLES else None
                if known and known[0].region and taken.isdisjoint(range(start, start + length)):
                    return start, start + length
        return None

    def _within(self, places: tuple[Place, ...], outer: tuple[Place, ...]) -> tuple[Place, ...]:
        """ "birmingham alabama": the readings in that region first, or the head with the region's own zone."""
        region = outer[0].region
        inside = tuple(place for place in places if place.region[:2] == region[:2])
        if inside and (len(region) == 2 or inside[0].time_zone == outer[0].time_zone):
            return inside
        if outer[0].time_zone:
            return (Place(places[0].name, region, outer[0].time_zone),)
        return inside or places


def known_zone(name: str) -> bool:
    """Whether an IANA zone of this name exists; the name comes from a client."""
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return False
    return True


def _name(words: Sequence[str]) -> str:
    return " ".join(words).replace(".", " ").strip()


def _offset_zone(name: str) -> tuple[Place, ...]:
    """ "gmt plus five": whole hours only, as the tz database has them (with the sign turned around)."""
    match = _OFFSET.match(name)
    if match is None:
        return ()
    tokens = [Token(0, 0, word) for word in match.group(2).split()]
    number = read_number(tokens, 0, "en")
    if number is None or number.end != len(tokens) or number.value != int(number.value):
        return ()
    hours = int(number.value) * (1 if match.group(1) in {"plus", "+"} else -1)
    if hours not in _OFFSET_HOURS:
        return ()
    return (Place(f"UTC{hours:+d}", "", f"Etc/GMT{-hours:+d}" if hours else "Etc/UTC"),)
