"""Who answers of several devices that heard one person: three policies over the same claims.

`claims.py` asks them; all three are worked out for every utterance, so that one can be judged by what the others would
have done. In a public trial the signal-to-noise ratio did not separate three devices while the window cost 364 ms, so
none of them is right for every home.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

WINDOW_SECONDS: Final = 0.15
"""Wait for other devices' claims, from the first one on: what SCORE adds to the answer."""

REVOKE_SECONDS: Final = 0.5
"""How long a grant of LATE_REVOKE may be taken back: nobody waits for it, and a person has hardly begun to speak."""

MARGIN_DB: Final = 1.0
"""What a later device must be better by: a microphone that closes again is seen, a decibel is not heard."""

_SURE_DB: Final = 10.0  # what a wake word that is certain counts against one that is not, in dB


class Policy(StrEnum):
    """How the device is chosen."""

    FIRST = "first"
    SCORE = "score"
    LATE_REVOKE = "late_revoke"

    @property
    def seconds(self) -> float:
        """From the first claim until who answers is settled."""
        return {Policy.FIRST: 0.0, Policy.SCORE: WINDOW_SECONDS, Policy.LATE_REVOKE: REVOKE_SECONDS}[self]


@dataclass(frozen=True, slots=True)
class Claim:
    """One device's claim.

    Attributes:
        wake_time: end of the wake word by the device's clock, seconds since 1970; devices differ by up to a second.
        voice_db, ambient_db: dB relative to full scale.
        wake_score: the wake word's probability, 0 to 1.
        arrived: seconds since 1970 by the platform's clock.
        sketch: of the sound; empty if the device sends none. See `fingerprints.py`.
    """

    activation_id: str
    device_id: str
    room: str
    wake_time: float
    voice_db: float
    ambient_db: float
    wake_score: float
    arrived: float
    sketch: bytes = b""

    @property
    def name(self) -> str:
        """Tells it from every other: devices choose the names of their activations, and two may choose the same."""
        return name_of(self.device_id, self.activation_id)

    @property
    def score(self) -> float:
        """How well it hears, in dB: voice over ambience, so that a sensitive microphone gains nothing."""
        return (self.voice_db - self.ambient_db) + _SURE_DB * self.wake_score


def name_of(device_id: str, activation_id: str) -> str:
    """One name for both, that no other two have."""
    return f"{len(device_id)}:{device_id}:{activation_id}"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a policy does with some claims. `waited`: seconds that it makes this claim wait."""

    policy: Policy
    winner: Claim
    waited: float


def chosen(policy: Policy, claims: Sequence[Claim], window: float | None = None) -> Claim:
    """Who answers.

    Args:
        claims: in the order of their arrival, at least one.
        window: seconds from the first claim on; the policy's own if None.
    """
    closes = claims[0].arrived + (policy.seconds if window is None else window)
    known = [claims[0], *(claim for claim in claims[1:] if claim.arrived <= closes)]
    if policy is Policy.SCORE:
        return max(known, key=lambda claim: claim.score)
    winner = claims[0]
    for claim in known if policy is Policy.LATE_REVOKE else ():
        if claim.score > winner.score + MARGIN_DB:
            winner = claim
    return winner


def outcomes(claims: Sequence[Claim], mine: Claim, window: float) -> tuple[Outcome, ...]:
    """What each policy would do with the claims; `window` is that of SCORE."""
    left = max(0.0, claims[0].arrived + window - mine.arrived)
    return (
        Outcome(Policy.FIRST, chosen(Policy.FIRST, claims), 0.0),
        Outcome(Policy.SCORE, chosen(Policy.SCORE, claims, window), left),
        Outcome(Policy.LATE_REVOKE, chosen(Policy.LATE_REVOKE, claims), 0.0),
    )
