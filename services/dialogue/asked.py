"""What the dialogue service is asked, and what it answers, apart from any transport.

`servicer.py` makes an `Asked` of each request; `wording.py` finds `Words` for it; `manager.py` keeps the state.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from services.dialogue.state import DialogueState, Slot


class Purpose(StrEnum):
    """Why the words are wanted."""

    OPEN = "open"
    CONFIRM = "confirm"
    CLARIFY = "clarify"
    ELICIT_SLOT = "elicit_slot"
    FALLBACK = "fallback"
    APOLOGIZE = "apologize"
    TRACK = "track"
    PROGRESS = "progress"


class Act(StrEnum):
    """Dialogue acts, by the contract's names."""

    ACKNOWLEDGE = "ACKNOWLEDGE"
    BYE = "BYE"
    INFORM = "INFORM"
    REPEAT = "REPEAT"
    REQUEST = "REQUEST"
    THANK = "THANK"
    CONFIRM = "CONFIRM"
    GREET = "GREET"
    NEGATE = "NEGATE"
    NOTIFY_FAILURE = "NOTIFY_FAILURE"
    OFFER = "OFFER"


@dataclass(frozen=True)
class Skill:
    """A skill as the assistant speaks of it."""

    skill_id: str
    name: str
    examples: tuple[str, ...] = ()


@dataclass(frozen=True)
class Choice:
    """An answer that a question offers."""

    choice_id: str
    text: str


@dataclass(frozen=True)
class Question:
    """A question to the user. `kind` is the purpose it was asked for."""

    prompt_id: str
    kind: Purpose
    text: str
    slot: str = ""
    choices: tuple[Choice, ...] = ()


@dataclass(frozen=True)
class Asked:
    """A turn of the user and why words are wanted for it.

    Attributes:
        intent: of the best reading, `dialogue.greeting` for the conversation's own.
        acts: the user's dialogue acts, the likeliest first.
        hour: hour of the user's day; None when it is not known.
        max_length: most code points of the answer; 0 for no limit.
        skill_answer: what a skill has answered, for TRACK.
        focus: slots that the skill keeps in focus, for TRACK.
        phrases: what people say for the best reading's intent, with slots as `{name}`, for CONFIRM.
        languages: the user's, best first, for a locale that is not served.
        reading: the best reading, serialised.
    """

    session_id: str
    turn_id: str
    key: str
    locale: str
    purpose: Purpose
    text: str = ""
    reason: str = ""
    intent: str = ""
    skill_id: str = ""
    acts: tuple[str, ...] = ()
    slots: tuple[Slot, ...] = ()
    skills: tuple[Skill, ...] = ()
    slot: str = ""
    question: str = ""
    skill_answer: str = ""
    focus: tuple[Slot, ...] = ()
    phrases: tuple[str, ...] = ()
    languages: tuple[str, ...] = ()
    reading: bytes = b""
    hour: int | None = None
    max_length: int = 0


@dataclass(frozen=True)
class Words:
    """What is said, what it does, and whether it asks: a new question, or as `prompt` one that was open already."""

    text: str
    acts: tuple[Act, ...] = ()
    question: Question | None = None
    prompt: bytes = b""


@dataclass(frozen=True)
class Answer:
    """The assistant's part of a turn. `state` is the one after it; `replayed` when it had been given before."""

    words: Words
    locale: str
    state: DialogueState
    replayed: bool = False
    prompt: bytes = b""
