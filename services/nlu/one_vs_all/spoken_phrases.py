"""What people would say for an intent: its phrases with values in the place of their slots.

`teaching.py` trains on these. A slot takes the example that its phrase gives, names of its catalogue, or digits where
it counts something; a phrase is said a few times, each time with other values, and the same each time it is asked for.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import accumulate, islice
from random import Random
from typing import Final

from services.nlu.skills import Intent, Skill, SlotSpec, parts_of, slots_in
from services.nlu.values.entities import Catalogue

VARIANTS: Final = 3
"""How often a phrase with slots is said; more adds words of catalogues, which tell intents apart the least."""

MAX_SAID: Final = 1_500
"""Sentences of one intent in one locale: more phrases than that teach nothing new."""

_NAMES = 12  # of a catalogue
_COUNTED: Final[Mapping[str, tuple[str, ...]]] = {
    "NUMBER": ("7", "25"),
    "ORDINAL": ("2", "3"),
    "PERCENTAGE": ("50 %", "80 %"),
    "TIME": ("7:30", "18:00"),
    "DATE_TIME": ("7:30", "18:00"),
    "DURATION": ("10 min", "2 h"),
    "MONEY": ("20 €", "5 $"),
}


def said(skill: Skill, intent: Intent, locale: str) -> list[str]:
    """The sentences of an intent, its plain phrases once."""
    return list(islice(_all(skill, intent, intent.phrases.get(locale, ()), locale), MAX_SAID))


def not_meant(skill: Skill, intent: Intent, locale: str) -> list[str]:
    """What its skill says is close but not meant."""
    return list(islice(_all(skill, intent, intent.negatives.get(locale, ()), locale), MAX_SAID))


class Crowd:
    """What all intents of some skills say in a locale, to draw from: only what is drawn is put together."""

    def __init__(self, skills: Iterable[Skill], locale: str) -> None:
        self._locale = locale
        self._intents = [
            (skill, intent) for skill in skills for intent in skill.intents if intent.phrases.get(locale, ())
        ]
        self._ends = list(accumulate(len(intent.phrases[locale]) for _, intent in self._intents))

    def __len__(self) -> int:
        return self._ends[-1] if self._ends else 0

    def drawn(self, rng: Random, most: int) -> list[tuple[str, str]]:
        """Different phrases with the full names of their intents, in no order."""
        taken = range(len(self)) if len(self) <= most else rng.sample(range(len(self)), most)
        return [self._one(at) for at in taken]

    def _one(self, at: int) -> tuple[str, str]:
        place = bisect_right(self._ends, at)
        skill, intent = self._intents[place]
        phrases = intent.phrases[self._locale]
        number = at - self._ends[place] + len(phrases)
        return intent.full_name, next(_all(skill, intent, phrases[number : number + 1], self._locale))


def _all(skill: Skill, intent: Intent, phrases: Sequence[str], locale: str) -> Iterator[str]:
    catalogues = {one.name: one for one in skill.catalogues}
    for number, phrase in enumerate(phrases):
        examples = dict(slots_in(phrase))
        if not examples:
            yield phrase
            continue
        values = {name: _values(intent.slot(name), example, catalogues, locale) for name, example in examples.items()}
        parts = [(piece.strip(), slot) for piece, slot in parts_of(phrase)]
        made = (
            " ".join(_chosen(values[piece], number, turn) if slot else piece for piece, slot in parts)
            for turn in range(VARIANTS)
        )
        yield from dict.fromkeys(made)


def _values(slot: SlotSpec | None, example: str, catalogues: Mapping[str, Catalogue], locale: str) -> tuple[str, ...]:
    """The example first."""
    if slot is None:
        return (example,)
    own = catalogues.get(slot.catalogue)
    entries = own.entries[:_NAMES] if own is not None else ()
    language = locale.partition("-")[0]
    names = (name for entry in entries for tag in (locale, language) for name in entry.names.get(tag, ())[:1])
    return tuple(one for one in dict.fromkeys((example, *names, *_COUNTED.get(slot.value_type, ()))) if one)


def _chosen(values: Sequence[str], number: int, turn: int) -> str:
    """The example in the first turn, then others, which differ from phrase to phrase."""
    if not values:
        return ""
    return values[0] if turn == 0 or len(values) == 1 else values[1 + (number + turn) % (len(values) - 1)]
