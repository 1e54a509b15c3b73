"""Splits sessions among the pools of a capability, and counts how each does.

`adapters.channels` asks it for an arm at every call; `shared` keeps the splits of all replicas alike and takes away
what was counted. A session keeps its arm: the choice is a hash of its id, so that every replica chooses alike without
asking another, and so that a change of weights moves as few sessions as it can.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Final

from services.arbitration.routing.tallies import Observation, Tally
from services.runtime.errors import Conflict, InvalidInput, NotFound

MINUTE: Final = 60.0

MAX_PENDING: Final = 2_000
"""Tallies, of an arm and a minute, that wait for the store; what comes beyond is not counted."""

SHADOWED: Final = frozenset({"asr", "nlu", "tts"})
"""Capabilities that answer without an effect: a copy of their work changes nothing."""


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
    """The arms of one capability and locale (all locales when empty). `version` counts from 1.

    `changed` is when it was set, in seconds since 1970.
    """

    capability: str
    locale: str
    arms: tuple[Arm, ...]
    version: int = 0
    changed: float = 0.0


@dataclass(frozen=True, slots=True)
class TallyKey:
    """What a tally counts: an arm of a split, in one minute since 1970."""

    capability: str
    locale: str
    arm: str
    minute: int


@dataclass
class Traffic:
    """All splits of this replica, and what it has counted since `taken`."""

    _splits: dict[tuple[str, str], Split] = field(default_factory=dict)
    _pending: dict[TallyKey, Tally] = field(default_factory=dict)

    def set(self, split: Split, *, expected: int | None = None, validate_only: bool = False) -> Split:
        """Replace the arms of a capability and locale.

        Args:
            expected: the version that is replaced; None replaces whatever is there.

        Raises:
            InvalidInput: TRAFFIC_ARMS (none, named twice, no name or pool), TRAFFIC_WEIGHTS (negative, all 0, a shadow
                beyond 1), TRAFFIC_SHADOW (a shadow of a capability whose work has effects).
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

    def adopt(self, splits: Iterable[Split]) -> None:
        """Have these splits and no others: what another replica was told."""
        self._splits = {(split.capability, split.locale): split for split in splits}

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
        key = TallyKey(split.capability, split.locale, arm, int(observation.at // MINUTE))
        if key in self._pending or len(self._pending) < MAX_PENDING:
            self._pending.setdefault(key, Tally()).add(observation)

    def taken(self) -> dict[TallyKey, Tally]:
        """What was counted since the last call; it is counted here no more."""
        taken, self._pending = self._pending, {}
        return taken

    def _split(self, capability: str, locale: str) -> Split | None:
        return self._splits.get((capability, locale)) or self._splits.get((capability, ""))


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
    if shadows and split.capability not in SHADOWED:
        raise InvalidInput(
            f"shadows are for {', '.join(sorted(SHADOWED))}: what others do has effects",
            reason="TRAFFIC_SHADOW",
            field="split.arms",
        )


def _uniform(session_id: str, capability: str, arm: str) -> float:
    """A number in (0, 1) that depends on its arguments alone."""
    digest = hashlib.blake2b("\0".join((session_id, capability, arm)).encode(), digest_size=8).digest()
    return (int.from_bytes(digest, "big") + 0.5) / 2.0**64


def _draw(session_id: str, capability: str, arm: Arm) -> float:
    """Highest with a probability in proportion to the weight (Efraimidis and Spirakis 2006)."""
    return math.log(_uniform(session_id, capability, arm.name)) / arm.weight if arm.weight > 0 else -math.inf
