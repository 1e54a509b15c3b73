"""The list-wise linear ranker: softmax over the rows of a list, cross-entropy to the one that was meant (ListNet with
one right answer, Cao et al. 2007). numpy alone: `benchmarks/rankers.py` fits it anew for its ablations.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from services.arbitration.rankers.linear import NONE_OF_THEM, NONE_PER_OUT_OF_SCOPE, WEIGHTS
from services.arbitration.rankers.matrix import COLUMNS, FEATURES
from training.arbitration.lists import NONE, SIGNS, Floats, Lists, softmax

Weights = npt.NDArray[np.float64]

OUT_OF_SCOPE: Final = COLUMNS.index("out_of_scope")
ROUNDS: Final = 400
RATE: Final = 0.15
PRIOR: Final = 1e-3
"""What a squared point of difference from the weights set by hand costs: they speak where the simulator says little."""


@dataclass(frozen=True)
class Linear:
    """Points per feature, of "none of them", and of certainty of being out of scope."""

    weights: Weights

    @property
    def parameters(self) -> Mapping[str, Any]:
        """As the bundle has them."""
        points = [round(float(weight), 4) for weight in self.weights]
        return {
            "weights": dict(zip(FEATURES, points, strict=False)),
            "none": points[-2],
            "none_per_out_of_scope": points[-1],
        }

    def scores(self, lists: Lists) -> Floats:
        made: Floats = (_design(lists) @ self.weights).astype(np.float32)
        return made


def _design(lists: Lists) -> npt.NDArray[np.float64]:
    """(n, 11, features + 2): features of candidates; 1 and the probability of being out of scope for none of them."""
    none = lists.rows[..., NONE : NONE + 1]
    features = lists.rows[..., : len(FEATURES)] * (1.0 - none)
    return np.concatenate([features, none, none * lists.rows[..., OUT_OF_SCOPE, None]], axis=-1).astype(np.float64)


def fit(lists: Lists, *, rounds: int = ROUNDS) -> Linear:
    """Adam on all lists at once, weights kept to their `SIGNS`: deterministic and convex, so nothing is to choose."""
    made = _design(lists)
    signs = np.array([*(SIGNS[name] for name in FEATURES), 0, 1])
    prior = np.array([*(WEIGHTS[name] for name in FEATURES), NONE_OF_THEM, NONE_PER_OUT_OF_SCOPE])
    weights = prior.copy()
    first, second = np.zeros_like(weights), np.zeros_like(weights)
    wanted = np.zeros(made.shape[:2])
    wanted[np.arange(len(lists)), lists.right] = 1.0
    flat = made.reshape(-1, made.shape[-1])
    for step in range(1, rounds + 1):
        off = softmax(lists, (made @ weights).astype(np.float32)) - wanted
        slope = flat.T @ off.reshape(-1) / len(lists) + 2 * PRIOR * (weights - prior)
        first = 0.9 * first + 0.1 * slope
        second = 0.99 * second + 0.01 * slope**2
        rate = RATE * (1.0 - step / (rounds + 1)) ** 0.5
        weights -= rate * (first / (1 - 0.9**step)) / (np.sqrt(second / (1 - 0.99**step)) + 1e-8)
        weights[signs * weights < 0] = 0.0
    return Linear(weights)
