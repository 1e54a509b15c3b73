"""What a feature added to a score, for rankers that cannot be read off: the score without it, feature by feature.

Asked by `boosted` and `recurrent` when somebody wants a decision explained. A contribution here is the score minus the
score that the candidate would have had if nothing were known of that feature, all else as it is. Such contributions do
not add up to the score, as those of the linear ranker do: features that say the same share nothing out.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from services.arbitration.hypotheses import Contribution
from services.arbitration.rankers.matrix import COLUMNS, FEATURES, NEUTRAL

MAX_CANDIDATES: Final = 10
"""Candidates that are explained, the best first; with it the work is bounded: at most ten times the features."""

_neutral: Final = np.array([getattr(NEUTRAL, name) for name in FEATURES], np.float32)


@dataclass(frozen=True, slots=True)
class Ablation:
    """One candidate without one feature: indices, and the value that was taken away."""

    row: int
    column: int
    value: float


def ablations(rows: npt.NDArray[np.float32], count: int) -> tuple[Ablation, ...]:
    """Whatever says something of the first `count` rows: (rows, columns) as `matrix.table` makes it."""
    return tuple(
        Ablation(row, column, float(rows[row, column]))
        for row in range(min(count, MAX_CANDIDATES))
        for column in np.flatnonzero(rows[row, : len(FEATURES)] != _neutral).tolist()
    )


def alone(rows: npt.NDArray[np.float32], wanted: Sequence[Ablation]) -> npt.NDArray[np.float32]:
    """Each ablated row by itself: (ablations, columns)."""
    made = rows[[one.row for one in wanted]]
    for at, one in enumerate(wanted):
        made[at, one.column] = _neutral[one.column]
    return made


def within(rows: npt.NDArray[np.float32], wanted: Sequence[Ablation]) -> npt.NDArray[np.float32]:
    """Each ablated row among the others of its list: (ablations, rows, columns)."""
    made = np.repeat(rows[None], len(wanted), axis=0)
    for at, one in enumerate(wanted):
        made[at, one.row, one.column] = _neutral[one.column]
    return made


def contributions(
    wanted: Sequence[Ablation], scores: Sequence[float], ablated: Sequence[float], count: int
) -> Iterator[tuple[Contribution, ...]]:
    """For each of the first `count` rows what its features added, the largest first.

    Args:
        scores: of the rows as they are.
        ablated: of the ablated row, one per ablation.
    """
    by_row: dict[int, list[Contribution]] = {row: [] for row in range(count)}
    for one, without in zip(wanted, ablated, strict=True):
        by_row[one.row].append(Contribution(COLUMNS[one.column], one.value, scores[one.row] - without))
    for found in by_row.values():
        yield tuple(sorted(found, key=lambda contribution: abs(contribution.points), reverse=True))
