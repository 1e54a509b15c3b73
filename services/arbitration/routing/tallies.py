"""What was counted of an arm, small enough to be stored every second and added up over replicas.

`traffic` fills tallies, `shared` merges them in the store. Latencies lie in bins that grow by 5 % each, so a percentile
is right to 2.5 %; figures are kept as number, sum and sum of squares, which is all that a mean and its interval need.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

PERCENTILES: Final = (50.0, 90.0, 95.0, 99.0)

MAX_METRICS: Final = 32
"""Names of figures that one arm has; further ones are not counted."""

_GROWTH: Final = math.log(1.05)
_SHORTEST: Final = 1e-6


@dataclass(frozen=True, slots=True)
class Observation:
    """One session or turn on an arm, at `at` (seconds since 1970). `latency` in seconds; None when not measured."""

    at: float
    session: bool = False
    turn: bool = False
    error: bool = False
    refused: bool = False
    latency: float | None = None
    metrics: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Metric:
    """Mean of a figure with its 95 % confidence interval; no interval for a single observation."""

    value: float
    count: int
    lower: float | None = None
    upper: float | None = None


@dataclass(slots=True)
class Tally:
    """Counts of one arm over some time. `bins` by number of the bin; `figures` as number, sum, sum of squares."""

    sessions: int = 0
    turns: int = 0
    errors: int = 0
    refused: int = 0
    bins: Counter[int] = field(default_factory=Counter)
    figures: dict[str, tuple[int, float, float]] = field(default_factory=dict)

    def add(self, seen: Observation) -> None:
        """Count one observation; what is no number is left out."""
        self.sessions += seen.session
        self.turns += seen.turn
        self.errors += seen.error
        self.refused += seen.refused
        if seen.latency is not None and math.isfinite(seen.latency):
            self.bins[round(math.log(max(seen.latency, _SHORTEST)) / _GROWTH)] += 1
        for name, value in seen.metrics.items():
            if math.isfinite(value):
                self._figure(name, (1, value, value * value))

    def merge(self, other: Tally) -> None:
        """Take in what another replica, or another time, has counted."""
        self.sessions += other.sessions
        self.turns += other.turns
        self.errors += other.errors
        self.refused += other.refused
        self.bins.update(other.bins)
        for name, figure in other.figures.items():
            self._figure(name, figure)

    def latencies(self) -> dict[float, float]:
        """Seconds by percentile (nearest rank); empty when none was measured."""
        whole, found, below = self.bins.total(), dict[float, float](), 0
        for number, count in sorted(self.bins.items()):
            below += count
            for percentile in PERCENTILES:
                if percentile not in found and 100.0 * below >= percentile * whole:
                    found[percentile] = math.exp(number * _GROWTH)
        return found

    def metrics(self) -> dict[str, Metric]:
        """Means with their intervals, by name."""
        return {name: _metric(*figure) for name, figure in sorted(self.figures.items())}

    def encoded(self) -> list[Any]:
        """As JSON holds it."""
        bins = {str(number): count for number, count in self.bins.items()}
        return [self.sessions, self.turns, self.errors, self.refused, bins, self.figures]

    @classmethod
    def decoded(cls, read: list[Any]) -> Tally:
        """What `encoded` gave."""
        sessions, turns, errors, refused, bins, figures = read
        return cls(
            *(sessions, turns, errors, refused),
            Counter({int(number): count for number, count in bins.items()}),
            {name: (figure[0], figure[1], figure[2]) for name, figure in figures.items()},
        )

    def _figure(self, name: str, more: tuple[int, float, float]) -> None:
        if name not in self.figures and len(self.figures) >= MAX_METRICS:
            return
        count, total, squares = self.figures.get(name, (0, 0.0, 0.0))
        self.figures[name] = (count + more[0], total + more[1], squares + more[2])


def _metric(count: int, total: float, squares: float) -> Metric:
    mean = total / count
    if count < 2:
        return Metric(mean, count)
    variance = max(0.0, squares - count * mean * mean) / (count - 1)
    half = 1.96 * math.sqrt(variance / count)
    return Metric(mean, count, mean - half, mean + half)
