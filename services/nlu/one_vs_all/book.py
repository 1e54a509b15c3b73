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

from services.nlu.one_vs_all.features import ByFeature, sparse
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
        self._index = ByFeature.of(
            np.repeat(np.arange(len(own), dtype=np.int32), [len(one.features) for one in own]),
            np.concatenate([np.zeros(0, np.int32), *(one.features for one in own)]),
            np.concatenate([np.zeros(0, np.float32), *(one.weights for one in own)]),
        )
        self._bias = np.array([one.bias for one in own], np.float32)

    @classmethod
    def of(cls, skills: Iterable[SkillModels], locale: str) -> OneVsAll:
        return cls({name: one for skill in skills for name, one in skill.by_locale.get(locale, {}).items()})

    @property
    def bytes(self) -> int:
        """Memory of the index."""
        return self._index.bytes + self._bias.nbytes

    def scores(self, tokens: Sequence[Token]) -> npt.NDArray[np.float32]:
        """Of each intent, as float32 [intents]: log odds, as each model was trained."""
        buckets, values = sparse(tokens)
        if not len(buckets):
            return np.full(len(self.intents), -np.inf, np.float32)
        numbers, places, weights = self._index.entries(buckets)
        summed = np.bincount(numbers, weights * values[places], len(self.intents))
        return (summed + self._bias).astype(np.float32)

    def claimants(self, tokens: Sequence[Token]) -> list[str]:
        """Intents whose model would take a sentence if it had to tell alone, whatever the others say."""
        return [self.intents[at] for at in np.flatnonzero(self.scores(tokens) * SCALE > OUTSIDE).tolist()]

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
