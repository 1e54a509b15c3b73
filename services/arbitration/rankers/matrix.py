"""Candidates as rows of numbers, in one order that a bundle's weights are checked against.

Every ranker makes its input here, in training and in service. What is not finite or out of range counts as if nothing
were known: a broken reading must not win, nor spoil the list for the others.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from operator import attrgetter
from typing import Final

import numpy as np
import numpy.typing as npt

from services.arbitration.hypotheses import Candidate, Features
from services.runtime.errors import FailedPrecondition
from services.runtime.inference import ModelDefinition

FEATURES: Final = tuple(feature.name for feature in fields(Features))
"""Names in order."""

NEUTRAL: Final = Features()
"""What stands where nothing is known."""

COLUMNS: Final = (*FEATURES, "out_of_scope", "none")
"""Columns of a row: the features, the probability that no skill was meant (the same in all rows of a list), and 1 in
the row that stands for "none of them", whose features are neutral."""

_values = attrgetter(*FEATURES)
_neutral: Final[tuple[float, ...]] = _values(NEUTRAL)
_neutral_row: Final = np.array(_neutral, np.float32)


def safe(features: Features) -> tuple[float, ...]:
    """Values in the order of `FEATURES`, all in [0, 1]."""
    read: tuple[float, ...] = _values(features)
    return tuple(value if 0.0 <= value <= 1.0 else neutral for value, neutral in zip(read, _neutral, strict=True))


def scope(out_of_scope: float) -> float:
    """The probability of being out of scope; 0 for what is none."""
    return out_of_scope if 0.0 <= out_of_scope <= 1.0 else 0.0


def rows(candidates: Sequence[Candidate], out_of_scope: float) -> npt.NDArray[np.float32]:
    """One row per candidate and a last one for "none of them": (n + 1, columns)."""
    return table([candidate.features for candidate in candidates], out_of_scope)


def table(listed: Sequence[Features], out_of_scope: float) -> npt.NDArray[np.float32]:
    """As `rows`, of features alone."""
    made = np.empty((len(listed) + 1, len(COLUMNS)), np.float32)
    for number, features in enumerate(listed):
        made[number, : len(FEATURES)] = safe(features)
    made[-1, : len(FEATURES)] = _neutral_row
    made[:, -2] = scope(out_of_scope)
    made[:, -1] = 0.0
    made[-1, -1] = 1.0
    return made


def check(definition: ModelDefinition) -> None:
    """Raises FailedPrecondition `RANKER_FEATURES` unless the bundle was made for exactly these columns."""
    made_for = definition.parameters.get("columns")
    if made_for == list(COLUMNS):
        return
    known = set(map(str, made_for)) if isinstance(made_for, list) else set()
    differ = sorted(known ^ set(COLUMNS)) or ["their order"]
    raise FailedPrecondition(
        f"Ranker {definition.id} was made for other features than this version has; different: {', '.join(differ)}. "
        "Train it again, or choose another.",
        reason="RANKER_FEATURES",
        metadata={"model": definition.id},
    )
