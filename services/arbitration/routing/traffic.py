"""Splits sessions among the pools of a capability, and counts how each does.

The servicer asks it for an arm when a session opens, the TrafficService sets weights and reads reports. A session keeps
its arm: the choice is a hash of its id, so that every replica chooses alike without asking another, and so that a
change of weights moves as few sessions as it can.
"""

from __future__ import annotations

import bisect
import hashlib
import math
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Final

from services.runtime.errors import Conflict, InvalidInput, NotFound

DEFAULT_ARM: Final = ""

MAX_OBSERVATIONS: Final = 10_000
"""Observations kept per arm; older ones fall out first."""


class ArmMode(StrEnum):
    """What an arm does with its share."""

    SERVE = "serve"
    SHADOW = "shadow"


@dataclass(frozen=True, slots=True)
class Arm:
    """A pool with its share: of sessions against the other SERVE arms, or the fraction copied for a SHADOW."""

    name: str
    pool: str
    weight: float
    mode: ArmMode = ArmMode.SERVE


@dataclass(frozen=True, slots=True)
class Split:
    """The arms of one capability and locale (all locales when empty). `version` counts from 1."""

    capability: str
    locale: str
    arms: tuple[Arm, ...]
    version: int = 0


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


@dataclass(frozen=True, slots=True)
class ArmReport:
    """What was measured of an arm. `latencies` by percentile, in seconds."""

    capability: str
    locale: str
    arm: str
    pool: str
    sessions: int
    turns: int
    errors: int
    refused: int
    latencies: Mapping[float, float]
    metrics: Mapping[str, Metric]
    start: float
    end: float


PERCENTILES: Final = (50.0, 90.0, 95.0, 99.0)


@dataclass
class Traffic:
    """All splits of this replica with their observations."""

    _splits: dict[tuple[str, str], Split] = field(default_factory=dict)
    _seen: dict[tuple[str, str, str], deque[Observation]] = field(default_factory=dict)

    def set(self, split: Split, *, expected: int | None = None, validate_only: bool = False) -> Split:
        """Replace the arms of a capability and locale.

        Args:
            expected: the version that is replaced; None replaces whatever is there.

        Raises:
            InvalidInput: TRAFFIC_ARMS (none, named twice, no name or pool), TRAFFIC_WEIGHTS (negative, all 0, a shadow
                beyond 1).
            Conflict: TRAFFIC_CHANGED, `expected` is not the newest.
        """
        _check(split)
        key = (split.capability, split.locale)
        newest = self._splits[key].version if key in self._splits else 0
        if expected is not None and expected != newest:
            raise Conflict("the split was changed meanwhile; read it again", reason="TRAFFIC_CHANGED")
        stored = replace(split, version=newest + 1)
        if not validate_only:
            self._splits[key] = stored
        return stored

    def splits(self, capability: str = "", locale: str = "") -> tuple[Split, ...]:
        """Splits in order of capability and locale; an empty argument matches all."""
        return tuple(
            split for (of, tag), split in sorted(self._splits.items()) if capability in ("", of) and locale in ("", tag)
        )

    def assign(self, session_id: str, capability: str, locale: str) -> Arm | None:
        """The arm that serves a session, the same for ever while the weights stay; None when nothing is split."""
        split = self._split(capability, locale)
        if split is None:
            return None
        arms = [arm for arm in split.arms if arm.mode is ArmMode.SERVE]
        # Weighted rendezvous hashing: each arm draws for the session, the highest draw wins. When one arm's weight
        # grows, sessions move to it and none between the others.
        return max(arms, key=lambda arm: _draw(session_id, capability, arm))

    def shadows(self, session_id: str, capability: str, locale: str) -> tuple[Arm, ...]:
        """Arms that get a copy of the session."""
        split = self._split(capability, locale)
        arms = split.arms if split else ()
        return tuple(
            arm
            for arm in arms
            if arm.mode is ArmMode.SHADOW and _uniform(session_id, capability, arm.name) < arm.weight
        )

    def observe(self, capability: str, locale: str, arm: str, observation: Observation) -> None:
        """Note something about an arm. Raises NotFound when there is no such arm."""
        split = self._split(capability, locale)
        if split is None or all(known.name != arm for known in split.arms):
            raise NotFound("no such arm", reason="ARM_NOT_FOUND", field="arm")
        seen = self._seen.setdefault((split.capability, split.locale, arm), deque(maxlen=MAX_OBSERVATIONS))
        seen.append(observation)

    def reports(self, now: float, window: float, capability: str = "", locale: str = "") -> tuple[ArmReport, ...]:
        """What was measured in the last `window` seconds, in order of capability, locale and arm."""
        return tuple(
            self._report(split, arm, now - window, now)
            for split in self.splits(capability, locale)
            for arm in sorted(split.arms, key=lambda arm: arm.name)
        )

    def _split(self, capability: str, locale: str) -> Split | None:
        return self._splits.get((capability, locale)) or self._splits.get((capability, ""))

    def _report(self, split: Split, arm: Arm, start: float, end: float) -> ArmReport:
        seen = self._seen.get((split.capability, split.locale, arm.name), ())
        recent = [observation for observation in seen if start <= observation.at <= end]
        latencies = sorted(observation.latency for observation in recent if observation.latency is not None)
        names = sorted({name for observation in recent for name in observation.metrics})
        return ArmReport(
            split.capability,
            split.locale,
            arm.name,
            arm.pool,
            sum(observation.session for observation in recent),
            sum(observation.turn for observation in recent),
            sum(observation.error for observation in recent),
            sum(observation.refused for observation in recent),
            {percentile: _percentile(latencies, percentile) for percentile in PERCENTILES} if latencies else {},
            {name: _metric([o.metrics[name] for o in recent if name in o.metrics]) for name in names},
            start,
            end,
        )


def _check(split: Split) -> None:
    names = [arm.name for arm in split.arms]
    if not names or len(set(names)) < len(names) or not all(arm.name and arm.pool for arm in split.arms):
        raise InvalidInput("arms have a pool and a name each, once", reason="TRAFFIC_ARMS", field="split.arms")
    if not split.capability:
        raise InvalidInput("a split has a capability", reason="TRAFFIC_ARMS", field="split.capability")
    weights = [arm.weight for arm in split.arms]
    serving = sum(arm.weight for arm in split.arms if arm.mode is ArmMode.SERVE)
    shadows = [arm.weight for arm in split.arms if arm.mode is ArmMode.SHADOW]
    if not all(math.isfinite(w) and w >= 0 for w in weights) or serving <= 0 or any(w > 1 for w in shadows):
        raise InvalidInput(
            "weights are >= 0, one that serves is above 0, a shadow's is at most 1",
            reason="TRAFFIC_WEIGHTS",
            field="split.arms",
        )


def _uniform(session_id: str, capability: str, arm: str) -> float:
    """A number in (0, 1) that depends on its arguments alone."""
    digest = hashlib.blake2b("\0".join((session_id, capability, arm)).encode(), digest_size=8).digest()
    return (int.from_bytes(digest, "big") + 0.5) / 2.0**64


def _draw(session_id: str, capability: str, arm: Arm) -> float:
    """Highest with a probability in proportion to the weight (Efraimidis and Spirakis 2006)."""
    return math.log(_uniform(session_id, capability, arm.name)) / arm.weight if arm.weight > 0 else -math.inf


def _percentile(ordered: Sequence[float], percentile: float) -> float:
    """Nearest rank: a value that was measured."""
    ranks = [100.0 * (index + 1) / len(ordered) for index in range(len(ordered))]
    return ordered[min(bisect.bisect_left(ranks, percentile), len(ordered) - 1)]


def _metric(values: Sequence[float]) -> Metric:
    mean = sum(values) / len(values)
    if len(values) < 2:
        return Metric(mean, len(values))
    variance = sum((value - mean) ** 2 for value in values) / (len(values) - 1)
    half = 1.96 * math.sqrt(variance / len(values))
    return Metric(mean, len(values), mean - half, mean + half)
