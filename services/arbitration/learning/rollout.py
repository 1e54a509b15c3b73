"""How a new ranker comes to serve: in the shadow, for a few, for all; and how it goes again by itself.

    SHADOW --few decisions differ--> CANARY --no worse--> FULL
       '--------------- worse, or too different ---------------> ROLLED_BACK

`trial` drives it with the turns of all replicas; `antiphon learn evaluate --begin` starts it. The state is one value in
the SessionStore, changed by compare-and-set. In FULL a small share stays with the old ranker, so that it is still known
what it would do: a ranker that turns bad later is taken back too.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from enum import StrEnum
from typing import Final, TypeVar

from services.arbitration.learning.publication import ATTEMPTS, OWNER, beta_below
from services.runtime.errors import Conflict, FailedPrecondition
from services.runtime.store import ABSENT, SessionStore

_KEY: Final = "learning/rollout"
_KEPT_S: Final = 365 * 86_400.0

Changed = TypeVar("Changed", bound="Rollout | None")


class Phase(StrEnum):
    """How far a ranker has come."""

    SHADOW = "shadow"
    CANARY = "canary"
    FULL = "full"
    ROLLED_BACK = "rolled_back"


@dataclass(frozen=True, slots=True)
class Rules:
    """When it moves.

    Attributes:
        shadow_turns: comparisons before CANARY; `domain_turns` before a domain is judged by itself.
        changed: largest share of decisions that may differ, in each domain.
        canary_share, full_share: of sessions that the new ranker serves.
        canary_turns: turns with a known end that it needs before FULL.
        tolerance: how much worse it may be, at the lower end of the 95 % interval, to go on.
        least: turns before it can be rolled back for its rewards.
        worse: probability of being worse from which it is.
        undecided_s: longest stay in CANARY, seconds; a ranker that shows nothing in that time goes.
    """

    shadow_turns: int = 500
    domain_turns: int = 50
    changed: float = 0.05
    canary_share: float = 0.1
    full_share: float = 0.95
    canary_turns: int = 500
    tolerance: float = 0.03
    least: int = 50
    worse: float = 0.99
    undecided_s: float = 14 * 86_400.0


@dataclass(frozen=True, slots=True)
class Tally:
    """Turns that ended well, and that did not."""

    good: int = 0
    bad: int = 0

    @property
    def turns(self) -> int:
        return self.good + self.bad

    @property
    def rate(self) -> float:
        return self.good / self.turns if self.turns else 0.0

    def plus(self, other: Tally) -> Tally:
        """Both together."""
        return Tally(self.good + other.good, self.bad + other.bad)


@dataclass(frozen=True, slots=True)
class Compared:
    """Decisions that were compared, and those that differ."""

    turns: int = 0
    changed: int = 0

    def plus(self, other: Compared) -> Compared:
        """Both together."""
        return Compared(self.turns + other.turns, self.changed + other.changed)


@dataclass(frozen=True, slots=True)
class Seen:
    """What replicas saw since they reported last."""

    new: Tally = Tally()
    old: Tally = Tally()
    domains: Mapping[str, Compared] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Rollout:
    """A ranker on its way.

    Attributes:
        ranker: its kind, a name of the contract's RankerKind.
        since: when the phase began, seconds since 1970.
        new, old: how turns ended under it and under the ranker it would replace, since CANARY began.
        reason: why the phase was entered, UPPER_SNAKE.
    """

    ranker: str
    phase: Phase
    since: float
    new: Tally = Tally()
    old: Tally = Tally()
    domains: Mapping[str, Compared] = field(default_factory=dict)
    reason: str = ""

    @property
    def difference(self) -> tuple[float, float]:
        """Its rate of good ends less the old one's, and half the width of the 95 % interval."""
        if not self.new.turns or not self.old.turns:
            return 0.0, 1.0
        variance = sum(_variance(tally) for tally in (self.new, self.old))
        return self.new.rate - self.old.rate, 1.96 * math.sqrt(variance)

    def share(self, rules: Rules) -> float:
        """Share of sessions that it serves."""
        return {Phase.CANARY: rules.canary_share, Phase.FULL: rules.full_share}.get(self.phase, 0.0)


def advanced(rollout: Rollout, seen: Seen, rules: Rules, now: float) -> Rollout:
    """The rollout after what was seen: in the same phase with more evidence, or in another."""
    if rollout.phase is Phase.ROLLED_BACK:
        return rollout
    domains = dict(rollout.domains)
    for name, compared in seen.domains.items():
        domains[name] = domains.get(name, Compared()).plus(compared)
    grown = replace(rollout, domains=domains)
    if rollout.phase is not Phase.SHADOW:
        grown = replace(grown, new=rollout.new.plus(seen.new), old=rollout.old.plus(seen.old))
    if reason := _against(grown, rules, now):
        return replace(grown, phase=Phase.ROLLED_BACK, since=now, reason=reason)
    if grown.phase is Phase.SHADOW and sum(of.turns for of in domains.values()) >= rules.shadow_turns:
        return replace(grown, phase=Phase.CANARY, since=now, reason="FEW_CHANGES")
    if grown.phase is Phase.CANARY and min(grown.new.turns, grown.old.turns) >= rules.canary_turns:
        gain, half = grown.difference
        if gain - half >= -rules.tolerance:
            return replace(grown, phase=Phase.FULL, since=now, reason="NO_WORSE")
    return grown


@dataclass
class RolloutBook:
    """The one rollout of the platform, shared by its replicas."""

    store: SessionStore
    rules: Rules = field(default_factory=Rules)

    async def get(self) -> Rollout | None:
        """The rollout; None when none was ever begun. Raises Unavailable."""
        found = await self.store.get(OWNER, _KEY)
        return _decoded(found.value) if found else None

    async def begin(self, ranker: str, now: float) -> Rollout:
        """Begin in the shadow. Raises FailedPrecondition ROLLOUT_RUNNING while another is on its way."""

        def change(known: Rollout | None) -> Rollout:
            if known is not None and known.phase in (Phase.SHADOW, Phase.CANARY):
                raise FailedPrecondition(
                    f"a rollout of {known.ranker} is in phase {known.phase}; stop it first", reason="ROLLOUT_RUNNING"
                )
            return Rollout(ranker, Phase.SHADOW, now, reason="BEGUN")

        return await self._update(change)

    async def stop(self, now: float) -> Rollout:
        """Back to the old ranker at once. Raises FailedPrecondition ROLLOUT_NONE."""

        def change(known: Rollout | None) -> Rollout:
            if known is None:
                raise FailedPrecondition("no ranker is being rolled out", reason="ROLLOUT_NONE")
            return replace(known, phase=Phase.ROLLED_BACK, since=now, reason="STOPPED")

        return await self._update(change)

    async def report(self, ranker: str, seen: Seen, now: float) -> Rollout | None:
        """Add what a replica saw of `ranker`; of another one it is not counted."""

        def change(known: Rollout | None) -> Rollout | None:
            if known is None or known.ranker != ranker:
                return known
            return advanced(known, seen, self.rules, now)

        found = await self.store.get(OWNER, _KEY)
        return await self._update(change) if found else None

    async def _update(self, change: Callable[[Rollout | None], Changed]) -> Changed:
        for _ in range(ATTEMPTS):
            found = await self.store.get(OWNER, _KEY)
            changed = change(_decoded(found.value) if found else None)
            if changed is None:
                return changed
            try:
                await self.store.put(
                    OWNER, _KEY, _encoded(changed), ttl=_KEPT_S, expected=found.version if found else ABSENT
                )
                return changed
            except Conflict:
                continue
        raise Conflict("the rollout changes too fast; repeat", reason="ROLLOUT_CONTENDED")


def _against(rollout: Rollout, rules: Rules, now: float) -> str:
    """Why it has to go; empty when nothing speaks against it."""
    if rollout.phase is Phase.SHADOW and any(_too_many(of, rollout, rules) for of in rollout.domains.values()):
        return "DOMAIN_CHANGED"
    if min(rollout.new.turns, rollout.old.turns) >= rules.least:
        new, old = rollout.new, rollout.old
        if beta_below((1 + new.good, 1 + new.bad), (1 + old.good, 1 + old.bad)) >= rules.worse:
            return "WORSE"
    if rollout.phase is Phase.CANARY and now - rollout.since > rules.undecided_s:
        return "UNDECIDED"
    return ""


def _too_many(of: Compared, rollout: Rollout, rules: Rules) -> bool:
    """Whether too many decisions of a domain differ: for certain, or at the end of the shadow as they were counted."""
    if of.turns < rules.domain_turns:
        return False
    share = of.changed / of.turns
    if sum(each.turns for each in rollout.domains.values()) >= rules.shadow_turns:
        return share > rules.changed
    return share - 1.96 * math.sqrt(_variance(Tally(of.changed, of.turns - of.changed))) > rules.changed


def _variance(tally: Tally) -> float:
    """Of the rate, with a success and a failure more, so that a small sample is never certain (Agresti, Coull 1998)."""
    rate = (tally.good + 1) / (tally.turns + 2)
    return rate * (1 - rate) / (tally.turns + 2)


def _encoded(rollout: Rollout) -> bytes:
    return json.dumps(asdict(rollout)).encode()


def _decoded(value: bytes) -> Rollout:
    read = json.loads(value)
    read["phase"] = Phase(read["phase"])
    read["new"], read["old"] = Tally(**read["new"]), Tally(**read["old"])
    read["domains"] = {name: Compared(**of) for name, of in read["domains"].items()}
    return Rollout(**read)
