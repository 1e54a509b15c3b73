"""From probabilities of public labels to probabilities of the intents that claim them.

The interpreter asks `claimed` once per utterance. Each taxonomy tells one and the same utterance in its own words, so
an intent that claims labels of several gets their mean, and one that claims several labels of a taxonomy their sum.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

from services.nlu.engines.labels import LabelReading
from services.nlu.library import Shelf
from services.nlu.skills import Intent


def support(intent: Intent, reading: LabelReading) -> float:
    """Probability that a sentence is for an intent, by the labels that it claims."""
    return sum(_by_taxonomy(intent, reading.labels).values()) / max(1, len({_taxonomy(one) for one in intent.labels}))


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
        for intent in shelf.claims.get(label, ())
        if not skills or intent.skill in skills
    }
    shares = {
        name: sum(weight * support(intent, reading) for weight, reading in zip(weights, readings, strict=True))
        for name, intent in intents.items()
    }
    labels = {label for intent in intents.values() for label in intent.labels}
    covered: dict[str, float] = defaultdict(float)
    for weight, reading in zip(weights, readings, strict=True):
        for label in labels & reading.labels.keys():
            covered[_taxonomy(label)] += weight * reading.labels[label]
    most = max(covered.values(), default=0.0)
    return shares, min(1.0, (most + sum(covered.values()) / max(1, len(covered))) / 2)


def _by_taxonomy(intent: Intent, labels: Mapping[str, float]) -> dict[str, float]:
    found: dict[str, float] = defaultdict(float)
    for label in intent.labels:
        found[_taxonomy(label)] += labels.get(label, 0.0)
    return found


def _taxonomy(label: str) -> str:
    return label.partition(":")[0]
