"""What phrases and labels say of an utterance, as evidence: the untrained and the claimed half of the interpreter.

`interpreter.py` calls `by_phrases` and `by_labels` once per utterance, and `in_context.py` fills slots as they do.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from services.nlu.claims import support
from services.nlu.combining import Evidence
from services.nlu.engines.labels import LabelReading
from services.nlu.engines.phrase_sentence import Filled, PhraseReading, ValueFinder
from services.nlu.engines.phrases import PhraseBook
from services.nlu.library import Shelf
from services.nlu.skills import TEXT, Intent
from services.nlu.slot_filling import fill
from services.nlu.text import MAX_TOKENS, Token
from services.nlu.understanding import Options, Slot, Value

PHRASES = "antiphon/phrases@1"
"""What provenance calls the phrase engine."""

LEAST = 0.01
"""Readings below this probability are noise."""

_READ_BY_PHRASES = 10  # different alternatives that are laid beside phrases
_MOST_TOKENS = 400  # tokens of all of them together
_RANK = 0.97  # what a phrase counts in the next alternative, against the one before
_LEAST_RANK = 0.8
_MOST_CLAIMS = 5  # intents whose slots are filled from labels


@dataclass(frozen=True, slots=True)
class Heard:
    """The alternatives of one utterance, best first; `weights` are their shares, which sum to 1."""

    texts: tuple[str, ...]
    tokens: Sequence[Sequence[Token]]
    weights: Sequence[float]


def by_labels(
    heard: Heard,
    shelf: Shelf,
    claims: Mapping[str, float],
    readings: Sequence[LabelReading],
    finder: ValueFinder,
    options: Options,
    sources: tuple[str, ...],
) -> list[Evidence]:
    """The likeliest intents that claim labels, their slots from the alternative that speaks for them most."""
    made = []
    likely = sorted((name for name, share in claims.items() if share >= LEAST), key=lambda name: -claims[name])
    for name in likely[:_MOST_CLAIMS]:
        intent = shelf.intents[name]
        at = max(range(len(heard.texts)), key=lambda at: heard.weights[at] * support(intent, readings[at]))
        tokens = heard.tokens[at]
        filled = fill(intent, tokens, readings[at].slots, finder) if len(tokens) <= MAX_TOKENS else ()
        slots = tuple(slot_of(one, heard.texts[at], tokens, typed=options.resolve_values) for one in filled)
        made.append(Evidence(name, claims[name], at, slots, complete(intent, slots), sources))
    return made


def by_phrases(
    heard: Heard, book: PhraseBook | None, finder: ValueFinder, options: Options, source: str = PHRASES
) -> list[Evidence]:
    """The best reading of each intent over the alternatives; one that parses whole beats a better guess that does
    not."""
    if book is None:
        return []
    best: dict[str, tuple[float, int, PhraseReading]] = {}
    seen: set[tuple[str, ...]] = set()
    left = _MOST_TOKENS
    for at, own in enumerate(heard.tokens):
        words = tuple(token.norm for token in own)
        if words in seen or len(own) > left or len(seen) == _READ_BY_PHRASES:
            continue
        seen.add(words)
        left -= len(own)
        rank = max(_LEAST_RANK, _RANK ** (len(seen) - 1)) if heard.weights[at] < max(heard.weights) else 1.0
        leader = max((sure for sure, _, _ in best.values()), default=0.0)
        for reading in book.read(own, finder, options.skills, leader=leader):
            sure = reading.confidence * rank
            name = reading.intent.full_name
            if name not in best or (sure, reading.complete) > (best[name][0], best[name][2].complete):
                best[name] = (sure, at, reading)
    return [
        Evidence(
            name,
            sure,
            at,
            tuple(
                slot_of(one, heard.texts[at], heard.tokens[at], typed=options.resolve_values) for one in reading.slots
            ),
            reading.complete,
            (source,),
        )
        for name, (sure, at, reading) in best.items()
    ]


def slot_of(one: Filled, text: str, tokens: Sequence[Token], *, typed: bool) -> Slot:
    """A filled slot with its words; without `typed` its value is the words."""
    start, end = tokens[one.start].start, tokens[one.end - 1].end
    words = text[start:end]
    values: tuple[Value, ...] = one.found.values if one.found is not None and typed else (words,)
    hit = one.found is not None and one.found.catalogue_hit
    return Slot(one.spec.name, values[0], words, start, end, one.confidence, values[1:], catalogue_hit=hit)


def complete(intent: Intent | None, slots: Sequence[Slot]) -> bool:
    """Whether every value that an intent needs was read as one of its type."""
    if intent is None:
        return False
    filled = {slot.name for slot in slots if slot.understood}
    return all(slot.name in filled for slot in intent.slots if slot.required and slot.value_type != TEXT)
