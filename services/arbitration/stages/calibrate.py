"""Makes probabilities of a ranker's scores: what `decide` weighs costs with has to be as often right as it says.

Every ranker ends here, each with the numbers that were fitted for it on labelled turns kept out of its training
(temperature: Guo et al. 2017, arXiv 1706.04599). Calibration keeps the order within a domain and may change it between
two: a domain whose hypotheses were right less often than they scored is shifted down.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

SHIFT_LIMIT: Final = 3.0
"""Largest shift of a domain, in points: beyond it, it would decide instead of correct."""


def domain_of(intent: str) -> str:
    """The domain of an intent's name: `weather` of `weather.forecast` and of `weather_b.forecast`."""
    return intent.partition(".")[0].partition("_")[0]


@dataclass(frozen=True, slots=True)
class Calibration:
    """Softmax of (score + shift of the domain) / temperature, with "none of them" among the scores.

    Attributes:
        temperature: above 1 when scores are overconfident; 1 is as trained.
        shift: points added per domain, at most `SHIFT_LIMIT` either way; a domain that is not named has 0.

    Raises:
        ValueError: a number that would make no probabilities.
    """

    temperature: float = 1.0
    shift: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not (math.isfinite(self.temperature) and self.temperature > 0):
            raise ValueError(f"a temperature is a number above 0, not {self.temperature}")
        for domain, points in self.shift.items():
            if not abs(points) <= SHIFT_LIMIT:  # NaN is refused with it
                raise ValueError(f"the shift of {domain} is {points}, at most {SHIFT_LIMIT} are allowed")

    def probabilities(self, scores: Sequence[float], intents: Sequence[str], none: float) -> list[float]:
        """Probabilities in [0, 1] of a list's scores; together with that of "none of them" they add up to 1.

        Args:
            scores: log-odds points, one per candidate, finite.
            intents: full name of each candidate's intent, for its domain.
            none: the score of "none of them".
        """
        shift = self.shift
        points = [score + shift.get(domain_of(intent), 0.0) for score, intent in zip(scores, intents, strict=True)]
        top = max([none, *points])
        raised = [math.exp((one - top) / self.temperature) for one in points]
        total = sum(raised) + math.exp((none - top) / self.temperature)
        return [one / total for one in raised]
