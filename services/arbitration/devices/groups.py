"""The claims of one utterance, and which utterance a claim belongs to: plain values that `claims.py` keeps.

A group is settled once, and that is written like everything else: a better claim that was long on its way to the store
finds a settled group there, and cannot take what was granted for good.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Final

from services.arbitration.devices.fingerprints import may_be_one_sound
from services.arbitration.devices.policies import MARGIN_DB, Claim, Policy, chosen
from services.runtime.errors import Internal, Overloaded

GROUP_SECONDS: Final = 2.0
"""Largest difference between two claims of one utterance, by the devices' clocks and by ours."""

SAME_WAKE_SECONDS: Final = 1.0
"""A device that claims again within it heard the same word twice; its own clock does not jump."""

LEASE_SECONDS: Final = 30.0
"""How long a group is remembered: for as long the winner holds its grant."""

MAX_CLAIMS: Final = 32
MAX_GROUPS: Final = 16
"""Utterances of one account and wake word that are remembered; all of them together fit into one value of a store."""


@dataclass(frozen=True, slots=True)
class Group:
    """One utterance.

    Attributes:
        group_id: name of the claim that opened it.
        closes: seconds since 1970 until which claims count.
        claims: in the order of their arrival.
        winner: name of the claim that answers; empty while it is open.
        revoked: names of claims that were granted and lost it again.
        settled: the winner stays.
    """

    group_id: str
    policy: Policy
    closes: float
    claims: tuple[Claim, ...]
    winner: str = ""
    revoked: tuple[str, ...] = ()
    settled: bool = False

    def of(self, name: str) -> Claim | None:
        return next((claim for claim in self.claims if claim.name == name), None)

    def heard_by(self, claim: Claim) -> Claim | None:
        """The claim of the same device for the same word, whatever activation it names."""
        return self.of(claim.name) or next(
            (
                one
                for one in self.claims
                if one.device_id == claim.device_id and abs(one.wake_time - claim.wake_time) < SAME_WAKE_SECONDS
            ),
            None,
        )

    def takes(self, claim: Claim) -> bool:
        """Whether a claim may be of this utterance: at about the same time, of a like sound, and by a device that has
        not said otherwise."""
        opener = self.claims[0]
        return (
            abs(opener.wake_time - claim.wake_time) <= GROUP_SECONDS
            and abs(opener.arrived - claim.arrived) <= GROUP_SECONDS
            and all(one.device_id != claim.device_id for one in self.claims)
            and may_be_one_sound(opener.sketch, claim.sketch)
        )

    def joined(self, claim: Claim) -> Group:
        """With one more claim; a better one in time takes a provisional grant."""
        grown = replace(self, claims=(*self.claims, claim))
        holder = self.of(self.winner)
        if holder is None or self.settled or claim.arrived > self.closes:
            return grown
        if claim.score <= holder.score + MARGIN_DB:
            return grown
        return replace(grown, winner=claim.name, revoked=(*self.revoked, self.winner))

    def decided(self) -> Group:
        """With a winner that stays."""
        if self.winner:
            return replace(self, settled=True)
        window = self.closes - self.claims[0].arrived
        return replace(self, winner=chosen(self.policy, self.claims, window).name, settled=True)


def opened(claim: Claim, policy: Policy, window: float) -> Group:
    """A new group; where nobody waits its first claim is granted at once. `window`: seconds that claims count."""
    at_once = "" if policy is Policy.SCORE else claim.name
    return Group(claim.name, policy, claim.arrived + window, (claim,), at_once, settled=policy is Policy.FIRST)


def joined(groups: Sequence[Group], claim: Claim, policy: Policy, window: float) -> tuple[Group, ...]:
    """The groups with the claim in one of them; as they are where it is known. Those whose lease is over go.

    Raises:
        Overloaded: too many utterances are open, or devices claim this one.
    """
    if any(group.heard_by(claim) for group in groups):
        return tuple(groups)
    fitting = [group for group in groups if group.takes(claim)]
    if not fitting:
        return (*_room_for_one(groups, claim.arrived), opened(claim, policy, window))
    nearest = min(fitting, key=lambda group: abs(group.claims[0].wake_time - claim.wake_time))
    if len(nearest.claims) >= MAX_CLAIMS:
        raise Overloaded(f"more than {MAX_CLAIMS} devices claim one utterance", retry_after=GROUP_SECONDS)
    return tuple(group.joined(claim) if group is nearest else group for group in groups)


def _room_for_one(groups: Sequence[Group], now: float) -> Sequence[Group]:
    """Without those that are over, and if need be without the oldest that is settled."""
    kept = [group for group in groups if now < group.closes + LEASE_SECONDS]
    if len(kept) < MAX_GROUPS:
        return kept
    settled = next((group for group in kept if group.settled), None)
    if settled is None:
        raise Overloaded("too many utterances are claimed at once", retry_after=GROUP_SECONDS)
    return [group for group in kept if group is not settled]


def encoded(groups: Sequence[Group]) -> bytes:
    """As JSON."""
    rows = [asdict(group) for group in groups]
    for row in rows:
        for claim in row["claims"]:
            claim["sketch"] = base64.b64encode(claim["sketch"]).decode()
    return json.dumps(rows, separators=(",", ":")).encode()


def decoded(value: bytes) -> tuple[Group, ...]:
    """Raises Internal `CLAIMS_UNREADABLE` for what `encoded` did not write."""
    try:
        return tuple(_group(row) for row in json.loads(value))
    except (ValueError, TypeError, KeyError) as error:
        raise Internal("the claims of an activation cannot be read", reason="CLAIMS_UNREADABLE") from error


def _group(row: dict[str, Any]) -> Group:
    claims = tuple(Claim(**{**one, "sketch": base64.b64decode(one["sketch"])}) for one in row["claims"])
    return Group(**{**row, "policy": Policy(row["policy"]), "claims": claims, "revoked": tuple(row["revoked"])})
