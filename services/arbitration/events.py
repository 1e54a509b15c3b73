"""What a turn tells the client, in order.

`turn` emits these, `conversation` adds the session's own, and the servicer turns each into one message. Audio comes in
between the rest as it is made. The last event of a turn is always `TurnEnded`.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from services.arbitration.alarms import Alarm
from services.arbitration.contexts import PendingPrompt, TurnType
from services.arbitration.hypotheses import Decision, Understanding
from services.arbitration.ledger import LatencyLedger
from services.arbitration.ports import Endpoint, Final, Partial, Speech, SpeechActivity
from services.runtime.errors import AntiphonError


class Outcome(StrEnum):
    """How a turn ended."""

    ANSWERED = "answered"
    ASKED = "asked"
    """The assistant asked something back: a slot, a confirmation, a choice."""
    NOT_UNDERSTOOD = "not_understood"
    REJECTED = "rejected"
    """Not meant for the assistant."""
    NO_SPEECH = "no_speech"
    FAILED = "failed"
    INTERRUPTED = "interrupted"


@dataclass(frozen=True, slots=True)
class TurnStarted:
    """A turn begins. `number` counts from 1; `audio_offset` in seconds, None for a typed turn."""

    turn_id: str
    turn_type: TurnType
    number: int
    idempotency_key: str
    audio_offset: float | None = None


@dataclass(frozen=True, slots=True)
class Heard:
    """Something from the recogniser, passed on as it came."""

    turn_id: str
    what: SpeechActivity | Partial | Endpoint | Final


@dataclass(frozen=True, slots=True)
class Understood:
    """How the words were read, before the decision."""

    turn_id: str
    understanding: Understanding
    is_partial: bool = False


@dataclass(frozen=True, slots=True)
class Decided:
    """The decision, explained."""

    turn_id: str
    decision: Decision


@dataclass(frozen=True, slots=True)
class Progress:
    """It takes a moment. `text` is said meanwhile and is no part of the answer."""

    turn_id: str
    text: str = ""
    wire: bytes = b""


@dataclass(frozen=True, slots=True)
class AnswerText:
    """A piece of the answer. `start` is its place in the whole answer's text, in code points."""

    turn_id: str
    text: str
    start: int
    skill_id: str = ""
    wire: bytes = b""


@dataclass(frozen=True, slots=True)
class AnswerAudio:
    """A chunk of speech: of the answer's own words, or of what is said while it takes a moment (`progress`)."""

    turn_id: str
    speech: Speech
    progress: bool = False


@dataclass(frozen=True, slots=True)
class Asked:
    """The assistant asks something; its words come as answer, and the next turn answers it."""

    turn_id: str
    prompt: PendingPrompt
    wire: bytes = b""


@dataclass(frozen=True, slots=True)
class Extra:
    """A display, citation or directive (`kind`) as the contract serialises it."""

    turn_id: str
    kind: str
    wire: bytes


@dataclass(frozen=True, slots=True)
class PlaybackStopped:
    """Nothing more of the answer comes: the client throws away what it has buffered."""

    turn_id: str
    reason: str


@dataclass(frozen=True, slots=True)
class TurnFailed:
    """Trouble within the turn; the stream goes on. `TurnEnded` follows."""

    turn_id: str
    error: AntiphonError


@dataclass(frozen=True, slots=True)
class TurnEnded:
    """The turn is over.

    Attributes:
        reason: UPPER_SNAKE: the decision's, or the fault's.
        answer: the whole answer's text.
        receipt: effect that the skill acknowledged, as the contract serialises it; empty without one.
        repeated: the turn had been done before and was not done again.
        expects_follow_up: the microphone should open for what the user says next.
    """

    turn_id: str
    outcome: Outcome
    reason: str = ""
    skill_id: str = ""
    answer: str = ""
    receipt: bytes = b""
    ledger: LatencyLedger | None = None
    repeated: bool = False
    expects_follow_up: bool = False


@dataclass(frozen=True, slots=True)
class Rang:
    """An alarm is due: the device rings. It belongs to no turn."""

    alarm: Alarm


@dataclass(frozen=True, slots=True)
class SessionStarted:
    """The first event of a stream. `held_audio`: seconds of the conversation's audio that need not be sent again."""

    session_id: str
    resume_token: str
    resumed: bool = False
    held_audio: float = 0.0


@dataclass(frozen=True, slots=True)
class SessionEnding:
    """The stream will be cut in `time_left` seconds; the token opens it again."""

    reason: str
    time_left: float
    resume_token: str


TurnEvent = (
    TurnStarted
    | Heard
    | Understood
    | Decided
    | Progress
    | AnswerText
    | AnswerAudio
    | Asked
    | Extra
    | PlaybackStopped
    | TurnFailed
    | TurnEnded
)
Event = TurnEvent | Rang | SessionStarted | SessionEnding
