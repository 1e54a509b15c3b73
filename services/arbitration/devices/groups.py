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
"""Largest difference between two claims of one utterance by the devices' clocks."""

LATE_SECONDS: Final = 10.0
"""The same by ours: a device whose network or store was away tries for some seconds, and must find who answers."""

SAME_WAKE_SECONDS: Final = 1.0
"""A device that claims again within it heard the same word twice; its own clock does not jump."""

MOST_SLACK_SECONDS: Final = 0.25
"""How long a group waits at most for claims that a slow store keeps from it."""

LEASE_SECONDS: Final = 30.0
"""How long a group is remembered: for as long the winner holds its grant."""

MAX_CLAIMS: Final = 32
MAX_GROUPS: Final = 16
"""Utterances of one home and wake word that are remembered."""

MAX_BYTES: Final = 192 * 1024
"""Of all of them together: they are one value of a store."""


@dataclass(frozen=True, slots=True)
class Group:
    """One utterance.

    Attributes:
        group_id: name of the claim that opened it.
        closes: seconds since 1970 until which claims count.
        due: seconds since 1970 from which on it may be decided: what arrived in time may still be on its way to the
            store, for about as long as the store has taken so far.
        claims: in the order of their arrival.
        winner: name of the claim that answers; empty while it is open.
        revoked: names of claims that were granted and lost it again.
        settled: the winner stays.
    """

    group_id: str
    policy: Policy
    closes: float
    due: float
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
            and abs(opener.arrived - claim.arrived) <= LATE_SECONDS
            and all(one.device_id != claim.device_id for one in self.claims)
            and may_be_one_sound(opener.sketch, claim.sketch)
        )

    def joined(self, claim: Claim, taken: float) -> Group:
        """With one more claim; a better one in time takes a provisional grant."""
        due = max(self.due, self.closes + _slack(taken)) if claim.arrived <= self.closes else self.due
        grown = replace(self, claims=(*self.claims, claim), due=due)
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


def opened(claim: Claim, policy: Policy, window: float, taken: float) -> Group:
    """A new group; where nobody waits its first claim is granted at once. `window`: seconds that claims count."""
    at_once = "" if policy is Policy.SCORE else claim.name
    closes = claim.arrived + window
    due = closes + (_slack(taken) if policy is not Policy.FIRST else 0.0)
    return Group(claim.name, policy, closes, due, (claim,), at_once, settled=policy is Policy.FIRST)


def _slack(taken: float) -> float:
    """Others take as long."""
    return min(max(0.0, taken), MOST_SLACK_SECONDS)


def joined(
    groups: Sequence[Group], claim: Claim, policy: Policy, window: float, taken: float = 0.0
) -> tuple[Group, ...]:
    """The groups with the claim in one of them; as they are where it is known. Those whose lease is over go.

    Args:
        window: seconds that claims count, for a new group.
        taken: seconds since the claim has arrived: how slow the store is.

    Raises:
        Overloaded: too many utterances are open, or devices claim this one.
    """
    if any(group.heard_by(claim) for group in groups):
        return tuple(groups)
    fitting = [group for group in groups if group.takes(claim)]
    if not fitting:
        return _fitted((*_room_for_one(groups, claim.arrived), opened(claim, policy, window, taken)), claim)
    nearest = min(fitting, key=lambda group: abs(group.claims[0].wake_time - claim.wake_time))
    if len(nearest.claims) >= MAX_CLAIMS:
        raise Overloaded(f"more than {MAX_CLAIMS} devices claim one utterance", retry_after=GROUP_SECONDS)
    return _fitted(tuple(group.joined(claim, taken) if group is nearest else group for group in groups), claim)


def _room_for_one(groups: Sequence[Group], now: float) -> tuple[Group, ...]:
    """Without those that are over, and if need be without the oldest that is settled."""
    kept = tuple(group for group in groups if now < group.closes + LEASE_SECONDS)
    return kept if len(kept) < MAX_GROUPS else _without_oldest(kept)


def _fitted(groups: tuple[Group, ...], claim: Claim) -> tuple[Group, ...]:
    """As many as a store takes, with the claim's own."""
    while len(encoded(groups)) > MAX_BYTES:
        groups = _without_oldest(groups, claim.name)
    return groups


def _without_oldest(groups: tuple[Group, ...], but: str = "") -> tuple[Group, ...]:
    """Without the oldest that is settled; `but` names a claim whose group stays."""
    oldest = next((group for group in groups if group.settled and not group.of(but)), None)
    if oldest is None:
        raise Overloaded("too many utterances are claimed at once", retry_after=GROUP_SECONDS)
    return tuple(group for group in groups if group is not oldest)


def encoded(groups: Sequence[Group]) -> bytes:
    """As JSON."""
    rows = [asdict(group) for group in groups]
    for row in rows:
        for claim in row["claims"]:
            claim["sketch"] = base64.b64encode(claim["sketch"]).decode()
    return json.dumps(rows, ensure_ascii=False, separators=(",", ":")).encode()


def decoded(value: bytes) -> tuple[Group, ...]:
    """Raises Internal `CLAIMS_UNREADABLE` for what `encoded` did not write."""
    try:
        return tuple(_group(row) for row in json.loads(value))
    except (ValueError, TypeError, KeyError) as error:
        raise Internal("the claims of an activation cannot be read", reason="CLAIMS_UNREADABLE") from error


def _group(row: dict[str, Any]) -> Group:
    claims = tuple(Claim(**{**one, "sketch": base64.b64decode(one["sketch"])}) for one in row["claims"])
    return Group(**{**row, "policy": Policy(row["policy"]), "claims": claims, "revoked": tuple(row["revoked"])})
