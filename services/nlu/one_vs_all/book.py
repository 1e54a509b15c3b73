"""All binary models of a locale as one index: which intents a sentence is like, and how likely it is one of them.

The interpreter asks `OneVsAll.read` for every alternative; the shelf of skills (`library.py`) makes one for each locale
when it is first asked for. What a sentence costs depends on the models that weigh its own features: with 1,500 intents
it is about a millisecond. Scores become probabilities by one scale and one level of "none of them" for all intents:
each model was trained alone, so nothing else may depend on which others there are.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from services.nlu.one_vs_all.features import sparse
from services.nlu.one_vs_all.fitting import BinaryModel
from services.nlu.one_vs_all.models import SkillModels
from services.nlu.text import Token

SCALE: Final = 1.8
OUTSIDE: Final = -2.0
"""Scores times `SCALE` are logits, beside one of `OUTSIDE` for "none of them"; `training/one_vs_all/calibration.py`."""

_LEAST = 0.01


@dataclass(frozen=True, slots=True)
class Likeness:
    """One sentence as read: probability by full name of the intent, from a hundredth on, and of none of them."""

    intents: Mapping[str, float]
    outside: float


class OneVsAll:
    """The models of many intents.

    Args:
        models: intent -> its model.
    """

    def __init__(self, models: Mapping[str, BinaryModel]) -> None:
        self.intents = tuple(models)
        own = list(models.values())
        features = np.concatenate([np.zeros(0, np.int32), *(one.features for one in own)])
        order = np.argsort(features, kind="stable")
        numbers = np.repeat(np.arange(len(own), dtype=np.int32), [len(one.features) for one in own])
        self._numbers = numbers[order]
        self._weights = np.concatenate([np.zeros(0, np.float32), *(one.weights for one in own)])[order]
        self._features, starts = np.unique(features[order], return_index=True)
        self._starts = np.append(starts, len(order)).astype(np.int32)
        self._bias = np.array([one.bias for one in own], np.float32)
        self._places = {intent: at for at, intent in enumerate(self.intents)}

    @classmethod
    def of(cls, skills: Iterable[SkillModels], locale: str) -> OneVsAll:
        return cls({name: one for skill in skills for name, one in skill.by_locale.get(locale, {}).items()})

    @property
    def bytes(self) -> int:
        """Memory of the index."""
        arrays = self._numbers, self._weights, self._features, self._starts, self._bias
        return sum(one.nbytes for one in arrays)

    def scores(self, tokens: Sequence[Token]) -> npt.NDArray[np.float32]:
        """Of each intent, as float32 [intents]: log odds, as each model was trained."""
        buckets, values = sparse(tokens)
        if not len(buckets) or not len(self._features):
            return np.full(len(self.intents), -np.inf, np.float32)
        places = np.searchsorted(self._features, buckets).clip(max=len(self._features) - 1)
        known = self._features[places] == buckets
        places, values = places[known], values[known]
        starts, counts = self._starts[places], self._starts[places + 1] - self._starts[places]
        ends = np.cumsum(counts)
        entries = np.arange(int(counts.sum())) + np.repeat(starts - ends + counts, counts)
        weighted = self._weights[entries] * np.repeat(values, counts)
        summed = np.bincount(self._numbers[entries], weighted, len(self.intents))
        return (summed + self._bias).astype(np.float32)

    def read(self, tokens: Sequence[Token], skills: frozenset[str] = frozenset()) -> Likeness:
        """Which intents a sentence is like; of `skills` alone unless these are empty."""
        scores = self.scores(tokens)
        if skills:
            scores[[name.partition(".")[0] not in skills for name in self.intents]] = -np.inf
        likely, outside = probabilities(scores)
        kept = np.flatnonzero(likely >= _LEAST).tolist()
        return Likeness({self.intents[at]: float(likely[at]) for at in kept}, outside)


def probabilities(scores: npt.NDArray[np.float32]) -> tuple[npt.NDArray[np.float32], float]:
    """Of each intent and of none, together 1."""
    logits = np.append(scores * SCALE, OUTSIDE)
    powers = np.exp(logits - logits.max())
    shares = (powers / powers.sum()).astype(np.float32)
    return shares[:-1], float(shares[-1])
