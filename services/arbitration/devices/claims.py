"""Which device answers when several hear one person. `ArbitrationService.ClaimActivation` asks it.

Devices of one account that heard the same wake word within `GROUP_SECONDS` form a group, and exactly one of them is
granted. In a public trial the signal-to-noise ratio did not separate three devices while the window cost 364 ms, so the
policy is the caller's choice, the window is short, and the answer says what another policy would have done.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from services.runtime.errors import Overloaded

WINDOW_SECONDS: Final = 0.15
GROUP_SECONDS: Final = 1.0
MAX_GROUPS: Final = 10_000
MAX_CLAIMS: Final = 64


class Policy(StrEnum):
    """How the device is chosen."""

    FIRST = "first"
    SCORE = "score"


@dataclass(frozen=True, slots=True)
class Claim:
    """One device's claim.

    Attributes:
        score: how well it hears: voice level over ambient level in dB, and the wake word's probability in [0, 1].
        arrived: monotonic seconds.
    """

    activation_id: str
    device_id: str
    room: str
    wake_time: float
    voice_db: float
    ambient_db: float
    wake_score: float
    arrived: float

    @property
    def score(self) -> float:
        return (self.voice_db - self.ambient_db) + 10.0 * self.wake_score


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a device is told. `waited` in seconds; `others` are all claims of the group, best first."""

    granted: bool
    winner: Claim
    reason: str
    waited: float
    others: tuple[Claim, ...]
    first: Claim
    best: Claim


@dataclass
class _Group:
    wake_time: float
    opened: float
    claims: list[Claim] = field(default_factory=list)
    winner: Claim | None = None
    decided: asyncio.Event = field(default_factory=asyncio.Event)


class Claims:
    """Groups of claims, by tenant. Used on one event loop."""

    def __init__(self, window: float = WINDOW_SECONDS) -> None:
        self._window = window
        self._groups: dict[tuple[str, str], list[_Group]] = {}

    async def claim(self, tenant: str, phrase: str, claim: Claim, policy: Policy) -> Verdict:
        """Grants or refuses one device; the first claim's policy decides for its group.

        Repeating a claim of the same activation gives the same answer.

        Raises:
            Overloaded: too many groups are open.
        """
        began = time.monotonic()
        group = self._group(tenant, phrase, claim)
        mine = next((c for c in group.claims if c.activation_id == claim.activation_id), None)
        late = group.winner is not None
        if mine is None and len(group.claims) < MAX_CLAIMS:
            group.claims.append(claim)
        if group.winner is None and policy is Policy.FIRST:
            self._decide(group, group.claims[0])
        elif group.winner is None:
            await self._wait(group)
        winner = group.winner or claim
        granted = winner.activation_id == claim.activation_id
        reason = "GRANTED" if granted else ("LATE_CLAIM" if late and mine is None else "OTHER_DEVICE")
        ranked = tuple(sorted(group.claims, key=lambda c: -c.score))
        return Verdict(granted, winner, reason, time.monotonic() - began, ranked, group.claims[0], ranked[0])

    async def _wait(self, group: _Group) -> None:
        """Until the window that the first claim opened closes; whoever is first back decides."""
        left = group.opened + self._window - time.monotonic()
        try:
            async with asyncio.timeout(max(0.0, left)):
                await group.decided.wait()
        except TimeoutError:
            if group.winner is None:
                self._decide(group, max(group.claims, key=lambda c: c.score))

    def _decide(self, group: _Group, winner: Claim) -> None:
        group.winner = winner
        group.decided.set()

    def _group(self, tenant: str, phrase: str, claim: Claim) -> _Group:
        now = time.monotonic()
        key = (tenant, phrase.casefold())
        groups = [g for g in self._groups.get(key, ()) if now - g.opened < GROUP_SECONDS * 2]
        for group in groups:
            if abs(group.wake_time - claim.wake_time) < GROUP_SECONDS:
                self._groups[key] = groups
                return group
        if len(self._groups) >= MAX_GROUPS:
            self._sweep(now)
        if len(self._groups) >= MAX_GROUPS:
            raise Overloaded("too many activations at once", retry_after=0.2)
        group = _Group(claim.wake_time, now)
        self._groups[key] = [*groups, group]
        return group

    def _sweep(self, now: float) -> None:
        old = [key for key, groups in self._groups.items() if all(now - g.opened >= GROUP_SECONDS * 2 for g in groups)]
        for key in old:
            del self._groups[key]
