"""Fits one binary model: logistic regression between an intent's sentences and all others.

`teaching.py` calls `fit` in its own thread. Only features of the intent's sentences, and of what its skill names as
close but not meant, get a weight: other words speak against it all the same, since a sentence has length 1 and they
take their part of it. That keeps a model at some thousand weights, whatever else is registered, and makes fitting a
matter of milliseconds. Newton's method with conjugate gradients (Lin, Weng and Keerthi, JMLR 9, 2008).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Final

import numpy as np
import numpy.typing as npt

from services.nlu.one_vs_all.features import ByFeature, Rows

RIDGE: Final = 0.3
"""Half of it times the squared weights is added to the loss; chosen on CLINC150's training part."""

MEANT: Final = 5.0
"""How much one of the intent's sentences counts against one of the others'."""

_STEPS, _PRODUCTS, _HALVINGS = 12, 12, 12
_ENOUGH = 5e-3  # of the loss, gained by a step
_INEXACT = 0.1  # of the squared slope that a step may leave: the next step starts from there

Floats = npt.NDArray[np.float64]
Numbers = npt.NDArray[np.int64]


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


class _Problem:
    """A sparse matrix that is multiplied from both sides, so it is kept in both orders.

    Args:
        rows, columns, values: of its entries; each column has one.
        meant: by row, 1 for the intent's sentences, else 0.
        counts: by row, how much it counts.
    """

    def __init__(self, rows: Numbers, columns: Numbers, values: Floats, meant: Floats, counts: Floats) -> None:
        self.meant, self.counts = meant, counts
        order = np.argsort(columns, kind="stable")
        self._rows, self._down = rows[order], values[order]
        self._columns_at = _starts(columns[order])
        order = np.argsort(rows.astype(np.uint16), kind="stable")  # of few bits, it is sorted by counting
        self._columns, self._along = columns[order], values[order]
        self._rows_at = _starts(rows[order])
        self._filled = rows[order][self._rows_at]

    @property
    def width(self) -> int:
        return len(self._columns_at)

    def forward(self, weights: Floats) -> Floats:
        summed = np.zeros(len(self.meant))
        summed[self._filled] = np.add.reduceat(self._along * weights.take(self._columns), self._rows_at)
        return summed

    def back(self, errors: Floats) -> Floats:
        return np.asarray(np.add.reduceat(self._down * errors.take(self._rows), self._columns_at))

    def squared(self, curved: Floats) -> Floats:
        """Diagonal of the curvature."""
        return np.asarray(np.add.reduceat(self._down**2 * curved.take(self._rows), self._columns_at))


def _starts(ascending: Numbers) -> Numbers:
    return np.flatnonzero(np.append(True, np.diff(ascending) != 0))


@dataclass(frozen=True, slots=True)
class Drawn:
    """Some rows of a matrix."""

    index: ByFeature
    rows: npt.NDArray[np.int64]


def fit(meant: Rows, others: Sequence[Drawn], close: Rows | None = None, *, standing_for: int = 0) -> BinaryModel:
    """The model of an intent. All sentences together are fewer than 65,536.

    Args:
        meant: its sentences; at least one.
        others: sentences of others and of nobody.
        close: what its skill says is not meant; weighs as much as its sentences.
        standing_for: how many sentences `others` was drawn from, where it is a sample.
    """
    own = [meant] if close is None else [meant, close]
    features = np.unique(np.concatenate([one.features for one in own]))
    found = [(one.numbers, np.searchsorted(features, one.features), one.values) for one in own]
    found += [_entries(one, features) for one in others]
    lengths = [len(one) for one in own] + [len(one.rows) for one in others]
    count = sum(lengths[len(own) :])
    weigh = [MEANT] * len(own) + [max(1.0, standing_for / max(1, count))] * len(others)
    offsets = accumulate(lengths[:-1], initial=0)
    problem = _Problem(
        np.concatenate([rows + offset for (rows, _, _), offset in zip(found, offsets, strict=True)]),
        np.concatenate([columns for _, columns, _ in found]),
        np.concatenate([values for _, _, values in found]).astype(np.float64),
        np.repeat([1.0, *[0.0] * (len(lengths) - 1)], lengths),
        np.repeat(weigh, lengths),
    )
    weights, bias = _newton(problem)
    return BinaryModel(features.astype(np.int32), weights.astype(np.float32), float(bias))


def _entries(
    drawn: Drawn, features: npt.NDArray[np.int32]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.float32]]:
    """Those of these features, with rows numbered as they were drawn."""
    found, columns, values = drawn.index.entries(features)
    highest = max(drawn.rows.max(initial=0), found.max(initial=0))
    numbers = np.full(int(highest) + 1, -1, np.int64)
    numbers[drawn.rows] = np.arange(len(drawn.rows))
    rows = numbers[found]
    kept = np.flatnonzero(rows >= 0)
    return rows[kept], columns[kept], values[kept]


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
