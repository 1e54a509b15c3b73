"""How a conversation begins, and what it stands on. The servicer and `replica` make these, `conversation` uses them."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from services.arbitration.alarms import AlarmBook
from services.arbitration.contexts import Profile
from services.arbitration.explanations import Explanations
from services.arbitration.learning.school import School
from services.arbitration.memory import SessionKeeper
from services.arbitration.turn import House
from services.runtime.store import SessionStore


def no_sound(size: int) -> float:
    """Length of answers without audio."""
    del size
    return 0.0


@dataclass(frozen=True, slots=True)
class Opening:
    """How a conversation begins.

    Attributes:
        key: idempotency key of the conversation; each turn's key is made of it and the turn's number.
        resume_token: token of an earlier stream; empty for a new conversation.
        last_sequence: number of the last message the client has seen of a resumed conversation.
        continuous: keep listening after an answer; otherwise the conversation ends with the first turn and its
            follow-ups.
        retain_text: what is said may be kept after the session.
        barge_in: the microphone does not hear the device's own playback, and the device stops it when told: speech
            during an answer is the user's, and interrupts it.
        seconds_of: length of so many bytes of the answers' audio.
    """

    profile: Profile
    key: str = ""
    resume_token: str = ""
    last_sequence: int = 0
    continuous: bool = False
    retain_text: bool = False
    arm: str = ""
    barge_in: bool = False
    seconds_of: Callable[[int], float] = no_sound


@dataclass
class Premises:
    """What all conversations of a replica share. `now` is in seconds since 1970; no school, no learning."""

    house: House
    store: SessionStore
    keeper: SessionKeeper
    explanations: Explanations
    alarms: AlarmBook
    now: Callable[[], float] = time.time
    school: School | None = None
