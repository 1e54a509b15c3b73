"""From probabilities of public labels to probabilities of the intents that claim them.

The interpreter asks `claimed` once per utterance. Labels of one taxonomy that an intent claims add up. Each taxonomy
tells one and the same utterance in its own words and may lack a word for it, so an intent that claims labels of several
gets what lies between the likeliest and their mean.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from functools import lru_cache

from services.nlu.engines.labels import LabelReading
from services.nlu.library import Shelf
from services.nlu.skills import Intent

INTENTS = "intent"
"""Taxonomy of a reader that knows the skills' own intents: "intent:timers.set_alarm" needs no claim."""

_PEAK = 2.0
"""A model that gives no label a half does not know such sentences: out of scope is more than it says itself, since it
saw few sentences that nobody serves."""


def support(intent: Intent, reading: LabelReading) -> float:
    """Probability that a sentence is for an intent, by those of its labels whose taxonomy was read."""
    known = reading.labels.get
    told = [
        sum([known(label, 0.0) for label in labels])
        for taxonomy, labels in intent.taxonomies.items()
        if not reading.outside or taxonomy in reading.outside
    ]
    if INTENTS in reading.outside:
        told.append(reading.labels.get(f"{INTENTS}:{intent.full_name}", 0.0))
    return (max(told) + sum(told) / len(told)) / 2 if told else 0.0


def claimed(
    shelf: Shelf, readings: Sequence[LabelReading], weights: Sequence[float], skills: frozenset[str]
) -> tuple[dict[str, float], float]:
    """Probability of each intent that claims labels, and that any of them covers the utterance.

    Args:
        readings: of the alternatives, with the weight of each.
        skills: only these; empty means all.
    """
    intents = {
        intent.full_name: intent
        for label in {label for reading in readings for label in reading.labels}
        for intent in _claimants(shelf, label)
        if not skills or intent.skill in skills
    }
    shares = {
        name: sum([weight * support(intent, reading) for weight, reading in zip(weights, readings, strict=True)])
        for name, intent in intents.items()
    }
    labels = {label for intent in intents.values() for label in (*intent.labels, f"{INTENTS}:{intent.full_name}")}
    covered: dict[str, float] = defaultdict(float)
    for weight, reading in zip(weights, readings, strict=True):
        peaks: dict[str, float] = defaultdict(float)
        for label, probability in reading.labels.items():
            peaks[_taxonomy(label)] = max(peaks[_taxonomy(label)], probability)
        for label in labels & reading.labels.keys():
            doubt = min(1.0, _PEAK * peaks[_taxonomy(label)])
            covered[_taxonomy(label)] += weight * doubt * reading.labels[label]
    most = max(covered.values(), default=0.0)
    return shares, min(1.0, (most + sum(covered.values()) / max(1, len(covered))) / 2)


def _claimants(shelf: Shelf, label: str) -> tuple[Intent, ...]:
    taxonomy, _, name = label.partition(":")
    if taxonomy == INTENTS:
        return (shelf.intents[name],) if name in shelf.intents else ()
    return shelf.claims.get(label, ())


@lru_cache(maxsize=4096)
def _taxonomy(label: str) -> str:
    return label.partition(":")[0]
