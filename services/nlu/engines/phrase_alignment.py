"""Lays an utterance beside one phrase: which words fit, which are missing or too much, what stands in the slots.

`phrases.py` calls `align` for the phrases that an utterance may be. It is a shortest path over (items of the phrase)
times (words of the utterance): a word that fits costs nothing, one that is missing what it tells, one too many the
same, a slot takes a span where such a value was found, and a slot of open text takes any words at a small price each.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import inf

SLOT_WEIGHT = 0.6
"""What a slot counts in a phrase, beside words that count up to 1."""


@dataclass(frozen=True, slots=True)
class Item:
    """A word of a phrase, or the name of a slot if `slot` is set; `weight` is what it costs to leave it out."""

    word: str
    weight: float
    slot: str = ""


@dataclass(frozen=True, slots=True)
class Span:
    """Units `start` to `end` (half open) that may fill a slot; `found` is the caller's number, -1 for plain words."""

    start: int
    end: int
    cost: float
    found: int = -1


@dataclass(frozen=True, slots=True)
class OpenText:
    """A slot that takes any words: what it costs to begin and per word, and how many it takes at most."""

    begin: float
    per_unit: Sequence[float]


@dataclass(frozen=True, slots=True)
class Alignment:
    """The cheapest way to say the phrase with these words.

    Attributes:
        cost: of all that does not fit.
        slots: name -> span.
        missed: numbers of the items that were left out.
        extra: numbers of the units that fit nowhere.
    """

    cost: float
    slots: Mapping[str, Span]
    missed: tuple[int, ...]
    extra: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Material:
    """An utterance as the search sees it.

    Attributes:
        extras: per unit, what it costs to leave it over.
        places: word of a phrase -> (unit, cost) where it is said.
        spans: slot -> spans that may fill it, by their start.
        open: slots that take any words.
    """

    extras: Sequence[float]
    places: Mapping[str, Sequence[tuple[int, float]]]
    spans: Mapping[str, Mapping[int, Sequence[Span]]]
    open: Mapping[str, OpenText]


def align(items: Sequence[Item], material: Material) -> Alignment:
    """Work grows with items times units, and with the spans found."""
    extras = material.extras
    count = len(extras)
    row = [inf] * (count + 1)
    row[0] = 0.0
    steps: list[list[Span | int | None]] = []  # how each cell was reached from the row before: span, unit, or left out
    skipped: list[list[bool]] = []
    for item in items:
        skipped.append(_leave_over(row, extras))
        row, how = _take(item, row, material)
        steps.append(how)
    skipped.append(_leave_over(row, extras))
    return _traced(items, row[count], steps, skipped)


def _leave_over(row: list[float], extras: Sequence[float]) -> list[bool]:
    """Units that fit nowhere, from left to right; says which cells are cheaper so."""
    came = [False] * len(row)
    for at, extra in enumerate(extras):
        cost = row[at] + extra
        if cost < row[at + 1]:
            row[at + 1] = cost
            came[at + 1] = True
    return came


def _take(item: Item, row: list[float], material: Material) -> tuple[list[float], list[Span | int | None]]:
    made = [cost + item.weight for cost in row]
    how: list[Span | int | None] = [None] * len(row)
    if not item.slot:
        for at, slip in material.places.get(item.word, ()):
            cost = row[at] + slip * item.weight
            if cost < made[at + 1]:
                made[at + 1], how[at + 1] = cost, at
        return made, how
    for start, spans in material.spans.get(item.slot, {}).items():
        for span in spans:
            cost = row[start] + span.cost
            if cost < made[span.end]:
                made[span.end], how[span.end] = cost, span
    if (text := material.open.get(item.slot)) is not None:
        _take_text(text, row, made, how)
    return made, how


def _take_text(text: OpenText, row: list[float], made: list[float], how: list[Span | int | None]) -> None:
    running, begun = inf, 0
    for at, per_unit in enumerate(text.per_unit):
        if row[at] + text.begin < running:
            running, begun = row[at] + text.begin, at
        running += per_unit
        if running < made[at + 1]:
            made[at + 1], how[at + 1] = running, Span(begun, at + 1, running - row[begun])


def _traced(
    items: Sequence[Item], cost: float, steps: Sequence[Sequence[Span | int | None]], skipped: Sequence[Sequence[bool]]
) -> Alignment:
    slots: dict[str, Span] = {}
    missed: list[int] = []
    extra: list[int] = []
    at = len(skipped[0]) - 1
    for number in range(len(items), -1, -1):
        while skipped[number][at]:
            at -= 1
            extra.append(at)
        if number == 0:
            break
        how = steps[number - 1][at]
        if how is None:
            missed.append(number - 1)
        elif isinstance(how, int):
            at = how
        else:
            slots[items[number - 1].slot] = how
            at = how.start
    return Alignment(cost, slots, tuple(reversed(missed)), tuple(reversed(extra)))
