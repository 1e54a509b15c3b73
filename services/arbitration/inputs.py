"""What a client sends within a conversation, free of its wire form.

The servicer makes these of its messages, `conversation` reads them in order. A stream that ends without `End` was cut.
"""

from __future__ import annotations

from dataclasses import dataclass

from services.arbitration.contexts import Profile, TurnType


@dataclass(frozen=True, slots=True)
class Audio:
    """Microphone audio. `seconds` is how long it lasts."""

    pcm: bytes
    seconds: float


@dataclass(frozen=True, slots=True)
class Typed:
    """A typed turn. `choice_id` picks an answer that a prompt offered; `key` makes a repeat harmless."""

    text: str
    key: str = ""
    prompt_id: str = ""
    choice_id: str = ""


@dataclass(frozen=True, slots=True)
class Finalize:
    """The utterance is over, whatever the recogniser thinks."""


@dataclass(frozen=True, slots=True)
class StartTurn:
    """A new turn begins with the next audio; a running answer stops."""

    turn_type: TurnType = TurnType.INITIAL
    key: str = ""


@dataclass(frozen=True, slots=True)
class BargedIn:
    """The user speaks over the answer of `turn_id` (the running one when empty): stop it and listen."""

    turn_id: str = ""


@dataclass(frozen=True, slots=True)
class Played:
    """The device has stopped playing the answer of `turn_id`: at its end, or before."""

    turn_id: str


@dataclass(frozen=True, slots=True)
class CancelTurn:
    """Drop a turn (the running one when empty)."""

    turn_id: str = ""


@dataclass(frozen=True, slots=True)
class NewProfile:
    """Who and where has changed, from the next turn on."""

    profile: Profile


@dataclass(frozen=True, slots=True)
class End:
    """Nothing more will come."""


Input = Audio | Typed | Finalize | StartTurn | BargedIn | Played | CancelTurn | NewProfile | End
