"""Fills the slots of an intent that a trained label led to: no phrase says where its values stand.

The interpreter calls `fill` for each intent that claims likely labels. A slot takes what the finder reads as its type,
best where the tagger marked a span with one of the slot's labels ("massive:date"); open text is the tagged span alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from services.nlu.engines.engine import TaggedSlot
from services.nlu.engines.phrase_sentence import Filled, ValueFinder
from services.nlu.skills import ENTITY, TEXT, Intent, SlotSpec
from services.nlu.text import Token

UNTAGGED = 0.7
"""Share of its confidence that a value keeps which the tagger did not mark."""

_SURE = 0.6  # a value that nobody marked is taken from here on
_WORDS_ALONE = 0.5  # share of a tag's confidence where the words are no value of the slot's type


def fill(
    intent: Intent, tokens: Sequence[Token], tagged: Sequence[TaggedSlot], finder: ValueFinder
) -> tuple[Filled, ...]:
    """The slots in order of their words, none overlapping; what is needed chooses first."""
    taken: set[int] = set()
    filled = []
    for slot in sorted(intent.slots, key=lambda one: (not one.required, one.value_type == TEXT)):
        spans = [(span.start, span.end, span.confidence) for span in _joined(slot, tagged)]
        candidates = [
            one
            for one in _candidates(intent, slot, tokens, spans, finder)
            if taken.isdisjoint(range(one.start, one.end))
        ]
        best = max(candidates, key=lambda one: (one.confidence, one.end - one.start), default=None)
        if best is not None:
            taken.update(range(best.start, best.end))
            filled.append(best)
    return tuple(sorted(filled, key=lambda one: one.start))


def _joined(slot: SlotSpec, tagged: Sequence[TaggedSlot]) -> list[TaggedSlot]:
    """Spans with the slot's labels; neighbours are one ("seven" + "in the morning")."""
    spans: list[TaggedSlot] = []
    for span in tagged:
        if span.name not in slot.labels:
            continue
        if spans and span.start - spans[-1].end <= 1 and slot.value_type != TEXT:
            last = spans.pop()
            span = TaggedSlot(span.name, last.start, span.end, min(last.confidence, span.confidence))
        spans.append(span)
    return spans


def _candidates(
    intent: Intent,
    slot: SlotSpec,
    tokens: Sequence[Token],
    spans: Sequence[tuple[int, int, float]],
    finder: ValueFinder,
) -> Iterator[Filled]:
    if slot.value_type == TEXT:
        yield from (Filled(slot, start, end, sure) for start, end, sure in spans)
        return
    found = finder.find(slot.value_type, tokens, f"{intent.skill}.{slot.catalogue}" if slot.catalogue else "")
    if slot.catalogue:
        found = (*found, *finder.find(slot.value_type, tokens, slot.catalogue))
    for one in found:
        overlaps = [sure for start, end, sure in spans if one.start < end and start < one.end]
        if overlaps:
            yield Filled(slot, one.start, one.end, one.confidence * (0.5 + 0.5 * max(overlaps)), one)
        elif one.confidence >= _SURE:
            yield Filled(slot, one.start, one.end, one.confidence * UNTAGGED, one)
    if slot.value_type == ENTITY:
        yield from (Filled(slot, start, end, sure * _WORDS_ALONE) for start, end, sure in spans)
