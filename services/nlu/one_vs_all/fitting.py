"""Fits one binary model: logistic regression between an intent's sentences and all others.

`teaching.py` calls `fit` in its own thread. Only features of the intent's sentences, and of what its skill names as
close but not meant, get a weight: other words speak against it all the same, since a sentence has length 1 and they
take their part of it. That keeps a model at some thousand weights, whatever else is registered, and makes fitting a
matter of milliseconds. Newton's method with conjugate gradients (Lin, Weng and Keerthi, JMLR 9, 2008).
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import accumulate
from typing import Final

import numpy as np
import numpy.typing as npt

from services.nlu.one_vs_all.features import Rows

RIDGE: Final = 0.3
"""Half of it times the squared weights is added to the loss; chosen on CLINC150's training part."""

MEANT: Final = 5.0
"""How much one of the intent's sentences counts against one of the others'."""

_STEPS, _PRODUCTS, _HALVINGS = 12, 12, 12
_ENOUGH = 1e-3  # of the loss, gained by a step
_INEXACT = 0.01  # of the squared slope that a step may leave: the next step starts from there

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class BinaryModel:
    """Weighs features for one intent; a sentence's score is the sum of its weighted values, plus `bias`.

    Attributes:
        features: int32 [weights], buckets, ascending.
        weights: float32 [weights].
    """

    features: npt.NDArray[np.int32]
    weights: npt.NDArray[np.float32]
    bias: float

    def lightened(self, most: int) -> BinaryModel:
        """With its `most` heaviest weights at most."""
        if len(self.features) <= most:
            return self
        kept = np.sort(np.argpartition(-np.abs(self.weights), most)[:most])
        return BinaryModel(self.features[kept], self.weights[kept], self.bias)


@dataclass(frozen=True, slots=True)
class _Problem:
    """Entries of a sparse matrix with columns renumbered; +1 and the rest."""

    rows: npt.NDArray[np.int64]
    columns: npt.NDArray[np.int64]
    values: Floats
    meant: Floats
    counts: Floats
    width: int

    def forward(self, weights: Floats) -> Floats:
        return np.bincount(self.rows, self.values * weights[self.columns], len(self.meant)).astype(
            np.float64, copy=False
        )

    def squared(self, curved: Floats) -> Floats:
        """Diagonal of the curvature."""
        return np.bincount(self.columns, self.values**2 * curved[self.rows], self.width).astype(np.float64, copy=False)

    def back(self, errors: Floats) -> Floats:
        return np.bincount(self.columns, self.values * errors[self.rows], self.width).astype(np.float64, copy=False)


def fit(meant: Rows, others: Rows, close: Rows | None = None, *, standing_for: int = 0) -> BinaryModel:
    """The model of an intent.

    Args:
        meant: its sentences; at least one.
        others: sentences of others and of nobody.
        close: what its skill says is not meant; weighs as much as its sentences.
        standing_for: how many sentences `others` was drawn from, where it is a sample.
    """
    features = np.unique(np.concatenate([meant.features, close.features]) if close is not None else meant.features)
    parts = [meant, others, *([close] if close is not None else [])]
    share = max(1.0, standing_for / max(1, len(others)))
    weigh = [MEANT, share, MEANT]
    problem = _Problem(
        np.concatenate([one.numbers + offset for one, offset in zip(parts, _offsets(parts), strict=True)]),
        np.concatenate([one.features for one in parts]).astype(np.int64),
        np.concatenate([one.values for one in parts]).astype(np.float64),
        np.repeat([1.0, *[0.0] * (len(parts) - 1)], [len(one) for one in parts]),
        np.repeat(weigh[: len(parts)], [len(one) for one in parts]),
        len(features),
    )
    weights, bias = _newton(_narrowed(problem, features))
    return BinaryModel(features.astype(np.int32), weights.astype(np.float32), float(bias))


def _offsets(parts: list[Rows]) -> list[int]:
    return list(accumulate((len(one) for one in parts[:-1]), initial=0))


def _narrowed(problem: _Problem, features: npt.NDArray[np.int32]) -> _Problem:
    """Only the entries of these features, numbered from 0."""
    found = np.searchsorted(features, problem.columns).clip(max=len(features) - 1)
    kept = features[found] == problem.columns
    return _Problem(problem.rows[kept], found[kept], problem.values[kept], problem.meant, problem.counts, problem.width)


def _newton(problem: _Problem) -> tuple[Floats, float]:
    """Weights and bias. A step that does not lessen the loss is halved, so that it cannot run away."""
    held = np.zeros(problem.width + 1)
    scores = problem.forward(held[:-1])
    loss = _loss(problem, held, scores)
    for _ in range(_STEPS):
        likely = 1 / (1 + np.exp(-scores.clip(-40, 40)))
        errors = problem.counts * (likely - problem.meant)
        curved = problem.counts * (likely * (1 - likely)).clip(1e-6)
        slope = np.append(problem.back(errors) + RIDGE * held[:-1], errors.sum())
        step = _descent(problem, curved, slope)
        moved = problem.forward(step[:-1]) + step[-1]
        for _ in range(_HALVINGS):
            new = _loss(problem, held + step, scores + moved)
            if new <= loss:
                break
            step, moved = step / 2, moved / 2
        else:
            break
        held, scores, gained, loss = held + step, scores + moved, loss - new, new
        if gained < _ENOUGH * loss:
            break
    return held[:-1], float(held[-1])


def _loss(problem: _Problem, held: Floats, scores: Floats) -> float:
    away = np.where(problem.meant > 0, -scores, scores)
    return float(problem.counts @ np.logaddexp(0, away) + RIDGE / 2 * (held[:-1] @ held[:-1]))


def _descent(problem: _Problem, curved: Floats, slope: Floats) -> Floats:
    """Conjugate gradients for the Newton step, each direction scaled by its own curvature: the bias bends a thousand
    times more than a weight."""
    scale = np.append(problem.squared(curved) + RIDGE, curved.sum())
    step = np.zeros_like(slope)
    left = -slope
    eased = left / scale
    direction = eased.copy()
    size = float(left @ eased)
    enough = _INEXACT * size
    for _ in range(_PRODUCTS):
        moved = curved * (problem.forward(direction[:-1]) + direction[-1])
        bent = np.append(problem.back(moved) + RIDGE * direction[:-1], moved.sum())
        length = size / float(direction @ bent)
        step += length * direction
        left = left - length * bent
        eased = left / scale
        before, size = size, float(left @ eased)
        if size <= enough:
            break
        direction = eased + size / before * direction
    return step
