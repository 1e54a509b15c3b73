"""Word errors with their intervals; called by `evaluate` and by the compute dial's measurement."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

_RESAMPLES = 2_000


@dataclass(frozen=True)
class Score:
    """Word error rate of a set: errors per word said.

    Attributes:
        errors: substitutions, deletions and insertions of each utterance.
        words: said in each utterance.
    """

    errors: tuple[int, ...]
    words: tuple[int, ...]

    @property
    def rate(self) -> float:
        return sum(self.errors) / sum(self.words)

    def interval(self, seed: int = 0) -> tuple[float, float]:
        """95 % by bootstrap over utterances."""
        picks = np.random.default_rng(seed).integers(0, len(self.words), (_RESAMPLES, len(self.words)))
        rates = np.array(self.errors)[picks].sum(1) / np.array(self.words)[picks].sum(1)
        low, high = np.percentile(rates, [2.5, 97.5])
        return float(low), float(high)

    def __str__(self) -> str:
        low, high = self.interval()
        return f"{self.rate:.2%} ({low:.2%} to {high:.2%})"


def scored(said: Sequence[Sequence[int]], heard: Sequence[Sequence[int]]) -> Score:
    """Compares what was heard in each utterance with what was said."""
    pairs = list(zip(said, heard, strict=True))
    return Score(tuple(distance(*pair) for pair in pairs), tuple(len(one) for one, _ in pairs))


def distance(said: Sequence[int], heard: Sequence[int]) -> int:
    """Words to change, leave out or put in (Levenshtein)."""
    row = list(range(len(heard) + 1))
    for at, word in enumerate(said, 1):
        diagonal, row[0] = row[0], at
        for column, other in enumerate(heard, 1):
            diagonal, row[column] = row[column], min(row[column] + 1, row[column - 1] + 1, diagonal + (word != other))
    return row[-1]


def relative_change(better: Score, worse: Score, seed: int = 0) -> tuple[float, float, float]:
    """How far `better` lies under `worse` on the same utterances: 1 - ratio, and its 95 % bootstrap interval."""
    picks = np.random.default_rng(seed).integers(0, len(better.words), (_RESAMPLES, len(better.words)))
    ratios = np.array(better.errors)[picks].sum(1) / np.maximum(np.array(worse.errors)[picks].sum(1), 1)
    low, high = np.percentile(1 - ratios, [2.5, 97.5])
    return 1 - sum(better.errors) / max(sum(worse.errors), 1), float(low), float(high)
