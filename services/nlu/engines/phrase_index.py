"""Which of thousands of phrases a sentence may be, told by its words alone.

A `PhraseBook` keeps one `PhraseIndex` and asks it once per sentence, before anything is laid beside anything. What each
phrase shares with the sentence is added up for all phrases at once, so that the work per phrase is a few operations on
arrays and 30,000 phrases cost about a millisecond.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from services.nlu.engines.phrase_alignment import SLOT_WEIGHT
from services.nlu.engines.phrase_words import FUNCTION_WEIGHT

EXACT_CONFIDENCE = 0.97
"""Of a phrase said word by word: what is left is that it was meant for somebody else."""

LEAST_CONFIDENCE = 0.05
"""Readings below it are not told."""

_CONFIDENCE = (
    (0.0, 0.0), (0.3, 0.02), (0.45, 0.1), (0.55, 0.25), (0.65, 0.45), (0.75, 0.66), (0.85, 0.82), (0.93, 0.92),
    (1.0, EXACT_CONFIDENCE),
)  # fmt: skip
_SIMILARITIES, _CONFIDENCES = (np.array(column) for column in zip(*_CONFIDENCE, strict=True))
_NO_EVIDENCE, _EVIDENCE = 0.3, 0.8
_SLOTS_TAKE = 0.3  # share of the words left over that count against a phrase whose slots may take them

_Numbers = npt.NDArray[np.int32]
_Weights = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Outline:
    """A phrase as the index sees it.

    Attributes:
        words: folded, without the slots.
        weight: what all of it counts.
        content: what its telling words count.
        value_evidence: what its other words and its typed slots can add to the evidence for it.
        slots: how many it names.
        takes_values: its intent has slots, named in the phrase or not.
    """

    skill: str
    words: tuple[str, ...]
    weight: float
    content: float
    value_evidence: float
    slots: int
    takes_values: bool


class Candidate(NamedTuple):
    """A phrase that may fit.

    Attributes:
        expected: share of the phrase and the sentence that seems to fit, 0 to 1.
        bound: confidence that it can reach at best, from `LEAST_CONFIDENCE` on.
        telling: weight of the telling words that both have.
        others: weight of the other words that both have.
    """

    number: int
    expected: float
    bound: float
    telling: float
    others: float


class PhraseIndex:
    """Words to phrases.

    Args:
        weights: what each word tells.
    """

    def __init__(self, outlines: Sequence[Outline], weights: Mapping[str, float]) -> None:
        self._weights = weights
        having: dict[str, list[tuple[int, int]]] = {}
        for number, outline in enumerate(outlines):
            for word, count in Counter(outline.words).items():
                having.setdefault(word, []).append((number, count))
        self._having: dict[str, tuple[_Numbers, _Numbers]] = {
            word: (np.array([one[0] for one in there], np.int32), np.array([one[1] for one in there], np.int32))
            for word, there in having.items()
        }
        self._weight = np.array([one.weight for one in outlines])
        self._content = np.array([one.content for one in outlines])
        self._evidence = np.array([one.value_evidence if one.slots else np.inf for one in outlines])
        self._slots = np.array([SLOT_WEIGHT * one.slots for one in outlines])
        self._slots_take = np.where(self._slots > 0, _SLOTS_TAKE, 1.0)
        self._lone = np.array([not one.takes_values for one in outlines], float)
        self._wordless = np.array([not one.words for one in outlines], bool)
        self._skills = np.array([one.skill for one in outlines], np.str_)

    @property
    def words(self) -> Mapping[str, object]:
        """All words of the phrases."""
        return self._having

    def candidates(
        self, said: Mapping[str, tuple[int, float]], telling: float, allowed: frozenset[str], most: int
    ) -> Iterator[Candidate]:
        """The phrases that most likely fit, best first.

        Args:
            said: word of the phrases -> how often it is said, and how close what was said is to it, 0 to 1.
            telling: what the telling words of the sentence count together.
            allowed: skills to read by; empty means all.
        """
        if not len(self._weight):
            return
        content, others = np.zeros_like(self._weight), np.zeros_like(self._weight)
        for word, (count, closeness) in said.items():
            if word in self._having:
                numbers, counts = self._having[word]
                weight = self._weights[word]
                (content if weight > FUNCTION_WEIGHT else others)[numbers] += (
                    weight * closeness * np.minimum(counts, count)
                )
        there = np.flatnonzero(self._may_fit(content, others, allowed))
        content, others = content[there], others[there]
        left = np.maximum(0.0, telling - content)
        extras = left * self._lone[there]
        lost = np.maximum(0.0, self._content[there] - content) + extras
        bound = np.interp(1 - lost / (self._weight[there] + extras), _SIMILARITIES, _CONFIDENCES)
        evidence = content + self._evidence[there]
        bound = np.minimum(bound, np.minimum(EXACT_CONFIDENCE, _NO_EVIDENCE + _EVIDENCE * evidence))
        expected = (content + others + self._slots[there] / 2) / (self._weight[there] + left * self._slots_take[there])
        order = np.lexsort((there, -bound, -expected * (bound >= LEAST_CONFIDENCE)))[:most]
        order = order[bound[order] >= LEAST_CONFIDENCE]
        columns = (there[order], expected[order], bound[order], content[order], others[order])
        yield from map(Candidate._make, zip(*(column.tolist() for column in columns), strict=True))

    def _may_fit(self, content: _Weights, others: _Weights, allowed: frozenset[str]) -> npt.NDArray[np.bool_]:
        """Phrases that share a telling word, or that have none and share another one, or have no words at all."""
        may: npt.NDArray[np.bool_] = (content > 0) | ((self._content == 0) & ((others > 0) | self._wordless))
        if allowed:
            may &= np.isin(self._skills, list(allowed))
        return may


def confidence(similarity: float) -> float:
    """That a phrase is meant which fits so well, 0 to 1."""
    if similarity >= 1:
        return EXACT_CONFIDENCE
    for (low, sure_low), (high, sure_high) in pairwise(_CONFIDENCE):
        if similarity < high:
            return sure_low + (sure_high - sure_low) * max(0.0, similarity - low) / (high - low)
    return EXACT_CONFIDENCE


def cap(evidence: float) -> float:
    """The most that a phrase may be trusted on so much evidence: words that tell something, and values."""
    return min(EXACT_CONFIDENCE, _NO_EVIDENCE + _EVIDENCE * evidence)
