"""Which device answers when several hear one person; `ClaimActivation` asks it, `Converse` watches its grant.

Devices of one account and home that heard the same wake word at the same time form a group, and exactly one of them is
granted. The group lies in the session store and every step is a compare-and-set, so that replicas agree whichever of
them a device has reached. Nothing is granted that was not written: while the store is away, nobody is. The winner holds
its grant as a lease: for `LEASE_SECONDS` every repeat gets the same answer, and then the utterance is forgotten.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import blake2b
from typing import Final

from opentelemetry import metrics

from services.arbitration.devices.groups import (
    LEASE_SECONDS,
    MOST_SLACK_SECONDS,
    Group,
    decoded,
    encoded,
    joined,
)
from services.arbitration.devices.policies import (
    REVOKE_SECONDS,
    WINDOW_SECONDS,
    Claim,
    Outcome,
    Policy,
    name_of,
    outcomes,
)
from services.runtime.errors import AntiphonError, Conflict, Overloaded, Unavailable
from services.runtime.store import ABSENT, SessionStore

log = logging.getLogger(__name__)

STORE_SECONDS: Final = 1.0
"""Longest wait for the store: a device that has heard nothing by then asks again, or stays silent."""

_ATTEMPTS: Final = 40
_BACK_OFF: Final = 0.002
_LOOK_SECONDS: Final = 0.05  # between two looks whether a provisional grant stands
_MOST_NOTES: Final = 1_000

_meter = metrics.get_meter("antiphon")
_VERDICTS = _meter.create_counter("antiphon.activation.verdicts", "{claim}", "Claims, by policy and reason")
_OTHERS = _meter.create_counter(
    "antiphon.activation.counterfactuals", "{utterance}", "What another policy would have done, by policy and agreement"
)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a device is told.

    Attributes:
        reason: "FIRST" or "BEST_SCORE" if granted, else "OTHER_DEVICE", "TOO_LATE" or "REVOKED".
        provisional: it may still be revoked.
        waited: seconds.
        others: all claims of the group, best first.
        first: the earliest of them.
        outcomes: what each policy would do with these claims.
    """

    granted: bool
    winner: Claim
    reason: str
    provisional: bool
    waited: float
    others: tuple[Claim, ...]
    first: Claim
    outcomes: tuple[Outcome, ...]


@dataclass(frozen=True, slots=True)
class Account:
    """On whose behalf devices claim, and where: `user` is that of the credentials, which several homes may share."""

    tenant: str
    user: str = ""
    home: str = ""

    def key(self, phrase: str) -> str:
        told = blake2b(repr((self.user, self.home, phrase.casefold())).encode(), digest_size=16)
        return f"activation/{told.hexdigest()}"


class Claims:
    """One per replica.

    Args:
        store: shared by the replicas that are to agree.
        policy: where a claim names none.
        window: seconds that SCORE waits for others.
        now: seconds since 1970; the clocks of replicas may differ by a part of the window.
    """

    def __init__(
        self,
        store: SessionStore,
        policy: Policy = Policy.SCORE,
        window: float = WINDOW_SECONDS,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._store = store
        self._policy = policy
        self._window = window
        self._now = now
        self._notes: set[asyncio.Task[None]] = set()

    async def claim(self, account: Account, phrase: str, claim: Claim, wanted: Policy | None = None) -> Verdict:
        """Grants or refuses one device; the first claim's policy decides for its group.

        Repeating a claim of the same activation gives the same answer. If it is provisional the repeat waits until it
        stands, or was revoked.

        Raises:
            Unavailable: `CLAIMS_AWAY`, the store does not answer: nothing is granted.
            Overloaded: too many devices claim at once.
        """
        began = time.monotonic()
        key, policy = account.key(phrase), wanted or self._policy
        window = self._window if policy is Policy.SCORE else policy.seconds
        known: list[bool] = []

        def join(groups: tuple[Group, ...]) -> tuple[Group, ...]:
            known[:] = [any(group.heard_by(claim) for group in groups)]
            return joined(groups, claim, policy, window, self._now() - claim.arrived)

        groups = await self._update(account.tenant, key, join)
        group, mine = next((one, heard) for one in groups if (heard := one.heard_by(claim)))
        if group.group_id == claim.name and not known[0]:
            self._note(account.tenant, key, group)
        if not group.winner or (known[0] and not group.settled):
            group = await self._settled(account.tenant, key, group)
        verdict = self._verdict(group, mine, time.monotonic() - began)
        _VERDICTS.add(1, {"policy": group.policy.value, "reason": verdict.reason})
        return verdict

    async def lost(self, account: Account, phrase: str, activation_id: str, device_id: str) -> bool:
        """Whether an activation's grant went to another device: at once if that is settled, else when it is.

        False for an activation that this device has not claimed, or whose lease is over. Raises as `claim` does.
        """
        key = account.key(phrase)
        name = name_of(device_id, activation_id)
        while True:
            groups = await self._read(account.tenant, key)
            group = next((one for one in groups if one.of(name)), None)
            if group is None or group.winner not in {"", name}:
                return group is not None
            if group.settled:
                return False
            if self._now() < group.due:
                await asyncio.sleep(_LOOK_SECONDS)
            else:
                await self._settled(account.tenant, key, group)

    async def close(self) -> None:
        """Lets go of what it would still note."""
        for task in self._notes:
            task.cancel()
        await asyncio.gather(*self._notes, return_exceptions=True)

    async def _settled(self, tenant: str, key: str, group: Group) -> Group:
        """After the window, and after what was on its way when it closed: decided by whoever is first back."""
        clock = asyncio.get_running_loop().time
        # This replica's clock may be behind that of the one that opened the group.
        latest = clock() + max(self._window, REVOKE_SECONDS) + MOST_SLACK_SECONDS
        name = group.group_id
        while not group.settled:
            await asyncio.sleep(max(0.0, min(group.due - self._now(), latest - clock())))

            def decide(groups: tuple[Group, ...]) -> tuple[Group, ...]:
                now, over = self._now(), clock() >= latest
                return tuple(
                    one.decided() if one.group_id == name and (over or one.due <= now) else one for one in groups
                )

            found = [one for one in await self._update(tenant, key, decide) if one.group_id == name]
            if not found:  # the store has lost it: who else was granted is not known
                raise _away()
            group = found[0]
        return group

    async def _update(
        self, tenant: str, key: str, change: Callable[[tuple[Group, ...]], tuple[Group, ...]]
    ) -> tuple[Group, ...]:
        """The groups as written; again after each lost compare-and-set, which another claim has won."""
        for attempt in range(_ATTEMPTS):
            try:
                async with asyncio.timeout(STORE_SECONDS):
                    stored = await self._store.get(tenant, key)
                    groups = decoded(stored.value) if stored else ()
                    changed = change(groups)
                    if changed != groups:
                        version = stored.version if stored else ABSENT
                        await self._store.put(tenant, key, encoded(changed), ttl=LEASE_SECONDS, expected=version)
                    return changed
            except Conflict:
                await asyncio.sleep(random.uniform(0, _BACK_OFF * (attempt + 1)))
            except TimeoutError:
                raise _away() from None
        raise Overloaded("too many devices claim this wake word at once", retry_after=0.2)

    async def _read(self, tenant: str, key: str) -> tuple[Group, ...]:
        try:
            async with asyncio.timeout(STORE_SECONDS):
                stored = await self._store.get(tenant, key)
        except TimeoutError:
            raise _away() from None
        return decoded(stored.value) if stored else ()

    def _verdict(self, group: Group, mine: Claim, waited: float) -> Verdict:
        winner = group.of(group.winner)
        assert winner is not None
        granted = winner == mine
        ranked = tuple(sorted(group.claims, key=lambda claim: -claim.score))
        return Verdict(
            granted=granted,
            winner=winner,
            reason=_reason(group, mine, granted=granted),
            provisional=granted and not group.settled,
            waited=waited,
            others=ranked,
            first=group.claims[0],
            outcomes=outcomes(group.claims, mine, self._window),
        )

    def _note(self, tenant: str, key: str, group: Group) -> None:
        """Whoever has opened a group tells, when all claims are in, what the other policies would have done."""
        if len(self._notes) >= _MOST_NOTES:
            return
        task = asyncio.create_task(self._tell(tenant, key, group))
        self._notes.add(task)
        task.add_done_callback(self._notes.discard)

    async def _tell(self, tenant: str, key: str, group: Group) -> None:
        await asyncio.sleep(Policy.LATE_REVOKE.seconds)
        try:
            groups = await self._read(tenant, key)
        except AntiphonError as error:
            log.debug("claims were not noted: %s", error.reason)
            return
        done = next((one.decided() for one in groups if one.group_id == group.group_id), None)
        if done is None:
            return
        other = outcomes(done.claims, done.claims[0], self._window)
        told = {one.policy: one.winner.name == done.winner for one in other}
        for policy, agrees in told.items():
            _OTHERS.add(1, {"policy": done.policy.value, "other": policy.value, "agrees": agrees})
        log.info(
            "activation: %s chose claim %d of %d, revoked %d; the same by %s",
            done.policy.value,
            1 + [claim.name for claim in done.claims].index(done.winner),
            len(done.claims),
            len(done.revoked),
            ", ".join(policy.value for policy, agrees in told.items() if agrees) or "no policy",
        )


def _reason(group: Group, mine: Claim, *, granted: bool) -> str:
    if granted:
        at_once = group.policy is not Policy.SCORE and mine == group.claims[0]
        return "FIRST" if at_once else "BEST_SCORE"
    if mine.name in group.revoked:
        return "REVOKED"
    late = group.policy is not Policy.FIRST and mine.arrived > group.closes
    return "TOO_LATE" if late else "OTHER_DEVICE"


def _away() -> Unavailable:
    return Unavailable("the claims cannot be compared now", reason="CLAIMS_AWAY", retry_after=0.2)
