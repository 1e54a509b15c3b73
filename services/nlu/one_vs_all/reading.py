"""What the binary models say of an utterance, as evidence beside phrases and labels.

The interpreter calls `by_likeness` once per utterance. Slots are those that can be read as values of their type: no
phrase says where they stand.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Final

from services.nlu.combining import Evidence
from services.nlu.engines.phrase_sentence import ValueFinder
from services.nlu.library import Shelf
from services.nlu.one_vs_all.book import OneVsAll
from services.nlu.slot_filling import fill
from services.nlu.sources import PHRASES, Heard, complete, slot_of
from services.nlu.text import MAX_TOKENS
from services.nlu.understanding import Options

TRUST: Final = 0.8
"""Share of their probability that counts: a few phrases are less than the thousands of sentences of trained labels."""

_LEAST = 0.1
_WHOLE = 0.92  # of a phrase that fits whole
_EQUAL = 0.01
_MOST = 5  # intents whose slots are read
_READ = 5  # alternatives


def by_likeness(
    heard: Heard,
    shelf: Shelf,
    book: OneVsAll | None,
    finder: ValueFinder,
    options: Options,
    said: Sequence[Evidence] = (),
) -> tuple[list[Evidence], float]:
    """The likeliest intents by their own models, and how probable it is that any of these covers the utterance.

    Args:
        said: what phrases say; skills whose phrases fit whole and equally well are equally likely here, or who was
            registered first and has models would win over who has the same phrase.
    """
    if book is None:
        return [], 0.0
    shares: dict[str, float] = defaultdict(float)
    leading: dict[str, tuple[float, int]] = {}
    covered = 0.0
    for at in sorted(range(len(heard.texts)), key=lambda at: -heard.weights[at])[:_READ]:
        likeness = book.read(heard.tokens[at], options.skills)
        covered += TRUST * heard.weights[at] * (1 - likeness.outside)
        for name, likely in likeness.intents.items():
            part = TRUST * heard.weights[at] * likely
            shares[name] += part
            leading[name] = max(leading.get(name, (0.0, at)), (part, at))
    _level(shares, _alike(said))
    chosen = sorted((name for name in shares if shares[name] >= _LEAST), key=lambda name: -shares[name])[:_MOST]
    return [
        _evidence(name, shares[name], leading.get(name, (0.0, 0))[1], heard, shelf, finder, options) for name in chosen
    ], covered


def _alike(said: Sequence[Evidence]) -> dict[str, list[str]]:
    """Intents whose phrases fit whole and equally well, by skill; nothing where they are all of one."""
    surest = max((one.confidence for one in said), default=0.0)
    by_skill: dict[str, list[str]] = defaultdict(list)
    for one in said:
        if surest >= _WHOLE and one.confidence >= surest - _EQUAL:
            by_skill[one.intent.partition(".")[0]].append(one.intent)
    return by_skill if len(by_skill) > 1 else {}


def _level(shares: dict[str, float], alike: Mapping[str, Sequence[str]]) -> None:
    """Each skill's likeliest of these intents is as likely as the others'; within a skill its models tell."""
    best = {skill: max(shares.get(name, 0.0) for name in names) for skill, names in alike.items()}
    if not any(best.values()):
        return
    mean = sum(best.values()) / len(best)
    for skill, names in alike.items():
        for name in names:
            shares[name] = shares.get(name, 0.0) * mean / best[skill] if best[skill] else mean


def _evidence(
    name: str, share: float, at: int, heard: Heard, shelf: Shelf, finder: ValueFinder, options: Options
) -> Evidence:
    intent, tokens = shelf.intents[name], heard.tokens[at]
    filled = fill(intent, tokens, (), finder) if len(tokens) <= MAX_TOKENS else ()
    slots = tuple(slot_of(one, heard.texts[at], tokens, typed=options.resolve_values) for one in filled)
    sources = (shelf.taught[intent.skill].name,) if intent.skill in shelf.taught else (PHRASES,)
    return Evidence(name, share, at, slots, complete(intent, slots), sources)
