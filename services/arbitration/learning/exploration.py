"""Now and then the second best is executed, so that the log can tell whether it would have been better.

`judging` asks it about decisions to execute; `off_policy` reads the propensities from the log. Only readings that cost
nothing when they are wrong take part: of low risk, without side effects, complete, and nearly as likely as the best.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from services.arbitration.hypotheses import Candidate, Risk
from services.arbitration.stages.explore import Explored

MOST: Final = 0.02
"""Largest share of turns that may be spent on learning."""

MOST_CLOSE: Final = 3
"""Candidates that take part, the best included."""

CLOSE: Final = 0.1
"""Least share of the best one's probability. Two that are closer than `stages.decide.Rules.close` become a question and
are not explored, so this lies below it."""


@dataclass(frozen=True, slots=True)
class CloseExplorer:
    """Puts another close candidate first in a small share of turns.

    Attributes:
        rate: share of the turns with close candidates that are explored, 0 to 0.02.
        most: candidates that take part, the best included; each further one makes the others rarer.
    """

    rate: float = 0.015
    most: int = MOST_CLOSE

    def __post_init__(self) -> None:
        if not 0.0 <= self.rate <= MOST:
            raise ValueError(f"the rate of exploration must be 0 to {MOST}, not {self.rate}")

    def choose(self, ranked: Sequence[Candidate], key: str) -> Explored:
        """The list, perhaps with another candidate first; the same for the same `key`, the turn's id.

        The propensity is the probability of the candidate that comes first: 1 where nothing could be explored.
        """
        close = self._close(ranked)
        if len(close) < 2:
            return Explored(tuple(ranked))
        drawn = _uniform(key)
        if drawn >= self.rate:
            return Explored(tuple(ranked), 1.0 - self.rate)
        others = close[1:]
        chosen = others[int(drawn / self.rate * len(others))]
        rest = (candidate for candidate in ranked if candidate is not chosen)
        return Explored((chosen, *rest), self.rate / len(others), explored=True)

    def _close(self, ranked: Sequence[Candidate]) -> list[Candidate]:
        """The candidates that may come first; the best one alone unless it may be replaced."""
        eligible = [candidate for candidate in ranked if candidate.eligible]
        if not eligible or not _harmless(eligible[0]):
            return eligible[:1]
        best = eligible[0]
        return [
            candidate
            for candidate in eligible
            if candidate is best
            or (
                _harmless(candidate)
                and candidate.probability >= CLOSE * best.probability
                and not candidate.hypothesis.serves_same(best.hypothesis)
            )
        ][: self.most]


def _harmless(candidate: Candidate) -> bool:
    return candidate.risk is Risk.LOW and not candidate.side_effects and not candidate.missing_slots


def _uniform(key: str) -> float:
    """A number in [0, 1) that depends on the key alone: a speculative decision and the final one explore alike."""
    digest = hashlib.blake2b(key.encode(), digest_size=8, person=b"explore").digest()
    return int.from_bytes(digest, "big") / 2.0**64
