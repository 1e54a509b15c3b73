"""Now and then the second best is tried, to learn whether it is better than thought.

Asked by `judging` between ranking and deciding, when exploration is on; `learning.exploration` implements `Explorer`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from services.arbitration.hypotheses import Candidate


@dataclass(frozen=True, slots=True)
class Explored:
    """The list in the order that is acted on.

    Attributes:
        propensity: probability in (0, 1] with which the policy puts this candidate first.
        explored: the first one is not the best.
    """

    ranked: tuple[Candidate, ...]
    propensity: float = 1.0
    explored: bool = False


class Explorer(Protocol):
    """A policy that explores. It neither waits nor fails."""

    def choose(self, ranked: Sequence[Candidate], key: str) -> Explored:
        """The list, perhaps in another order; the same for the same `key`, the turn's id."""
