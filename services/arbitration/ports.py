"""What a turn needs of the other capabilities, in the turn's own words.

`turn` and its parts call these protocols; the adapters over gRPC stubs implement them, and so do the fakes of the
tests. Every method raises errors of `AntiphonError` alone, ends within 100 ms of its task being cancelled, and passes
on what is left of the turn's deadline.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from services.arbitration.alarms import AlarmChange
from services.arbitration.contexts import PromptKind, TurnContext
from services.arbitration.hypotheses import Alternative, Fulfilment, Hypothesis, Provenance, Understanding


# --- recognition ---------------------------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class SpeechActivity:
    """Speech began or ended at `offset` (seconds of the stream's audio). It is not an endpoint."""

    is_speech: bool
    offset: float


@dataclass(frozen=True, slots=True)
class Partial:
    """What was heard so far; may still change. `stability` in [0, 1] is how likely it stays."""

    text: str
    stability: float = 0.0
    revision: int = 0


@dataclass(frozen=True, slots=True)
class Endpoint:
    """The user has finished, as it seems. Offsets in seconds of the stream's audio; `decided` is when it was said.

    An eager one is a guess that a withdrawn one may take back: work may start, nothing may be acted on.
    """

    reason: str
    speech_start: float | None = None
    speech_end: float | None = None
    decided: float | None = None
    is_eager: bool = False
    is_withdrawn: bool = False


@dataclass(frozen=True, slots=True)
class Final:
    """What was heard, best first; empty when there were no words."""

    alternatives: tuple[Alternative, ...]
    locale: str = ""
    models: tuple[Provenance, ...] = ()
    wire: bytes = b""


RecognitionEvent = SpeechActivity | Partial | Endpoint | Final


class Recognition(Protocol):
    """One utterance being recognised."""

    async def send(self, pcm: bytes) -> None:
        """Hand over audio; waits while the recogniser cannot take it."""

    async def finish(self) -> None:
        """The audio has ended: finalise what there is."""

    async def update_endpointing(self, end_silence: float) -> None:
        """Wait `end_silence` seconds of silence, instead of what was set, before the endpoint."""

    def events(self) -> AsyncIterator[RecognitionEvent]:
        """What is heard, ending after the Final. Call it once."""

    async def close(self) -> None:
        """Give it up if it is not over. Safe to call twice."""


class RecogniserPort(Protocol):
    """Speech recognition."""

    async def open(self, context: TurnContext) -> Recognition:
        """Begin an utterance."""


# --- activation ----------------------------------------------------------------------------------------------------
class Activation(Protocol):
    """One utterance being judged: was the assistant spoken to?"""

    async def send(self, pcm: bytes) -> None:
        """Hand over audio; drops it rather than wait."""

    async def directed(self) -> float:
        """Probability in [0, 1] that the assistant was spoken to. The caller bounds the wait."""

    async def close(self) -> None:
        """Give it up. Safe to call twice."""


class ActivationPort(Protocol):
    """Wake verification and directedness."""

    async def open(self, context: TurnContext) -> Activation:
        """Begin beside the recognition of an utterance."""


# --- understanding -------------------------------------------------------------------------------------------------
class UnderstandingPort(Protocol):
    """Intents and slots."""

    async def interpret(
        self, alternatives: tuple[Alternative, ...], context: TurnContext, *, speculative: bool
    ) -> Understanding:
        """What the words may mean. `speculative` when they are a partial's, so that the service may use less effort."""


# --- skills --------------------------------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class Order:
    """An execution: what, under which key, and what the skill said before.

    Attributes:
        idempotency_key: a repeat with it changes nothing more and gives the same receipt.
        confirmed: the user said yes to this very reading.
        prompt_id: the skill's question that the turn answers; empty if none.
        skill_state: what the skill asked to keep at the end of its last execution in this session.
    """

    hypothesis: Hypothesis
    idempotency_key: str
    confirmed: bool = False
    prompt_id: str = ""
    skill_state: bytes = b""


@dataclass(frozen=True, slots=True)
class SkillProgress:
    """The skill is at it; `text` may be said meanwhile."""

    text: str = ""
    wire: bytes = b""


@dataclass(frozen=True, slots=True)
class SkillAnswer:
    """A piece of the answer. `start` is its place in the whole, in code points; None where the skill gives none."""

    text: str
    start: int | None = None
    wire: bytes = b""


@dataclass(frozen=True, slots=True)
class SkillPrompt:
    """The skill asks for something."""

    kind: PromptKind
    text: str
    slot: str = ""
    prompt_id: str = ""
    wire: bytes = b""


@dataclass(frozen=True, slots=True)
class SkillExtra:
    """Something passed on to the client unread: a display, a citation or a directive (`kind`)."""

    kind: str
    wire: bytes


@dataclass(frozen=True, slots=True)
class Receipt:
    """What the skill says it did. `idempotency_key` must be the one it was given; `effects` counts the changes."""

    idempotency_key: str
    effects: int = 0
    replayed: bool = False
    wire: bytes = b""


class Ending(StrEnum):
    """How a skill says that an execution ended."""

    COMPLETED = "completed"
    AWAITING_USER = "awaiting_user"
    DECLINED = "declined"
    """Understood, but it cannot be done; the answer says why."""


@dataclass(frozen=True, slots=True)
class SkillDone:
    """The end of an execution; without it the stream broke off.

    `focus` are slots to refer to in later turns, as the contract serialises them; passed on unread.
    """

    ending: Ending = Ending.COMPLETED
    receipt: Receipt | None = None
    skill_state: bytes = b""
    reason: str = ""
    expects_follow_up: bool = False
    focus: tuple[bytes, ...] = ()


@dataclass(frozen=True, slots=True)
class SkillAlarm:
    """The skill sets an alarm of the user, or deletes one."""

    change: AlarmChange


SkillEvent = SkillProgress | SkillAnswer | SkillPrompt | SkillExtra | SkillAlarm | SkillDone


class SkillPort(Protocol):
    """All skills; the hypothesis says which."""

    async def can_fulfil(
        self, hypothesis: Hypothesis, context: TurnContext, *, another: bool = False
    ) -> tuple[Fulfilment, str]:
        """YES, NO or MAYBE with the skill's reason (UPPER_SNAKE); acts on nothing. The caller bounds the wait.

        Args:
            another: the skill is asked a second time: go by another connection, where that may reach another replica.
        """

    def circuit(self, hypothesis: Hypothesis, context: TurnContext) -> str:
        """The name that the skill's circuits go by: what serves one tenant alone fails for that tenant alone.

        Versions at addresses of their own fail each for itself.
        """

    def execute(self, order: Order, context: TurnContext) -> AsyncIterator[SkillEvent]:
        """Do it. Events as the skill sends them: whoever calls trusts none of it (`conduct`).

        An error after an effect has metadata `effect` = `true`.
        """


# --- dialogue ------------------------------------------------------------------------------------------------------
class Say(StrEnum):
    """What the dialogue service is asked to find words for."""

    OPEN = "open"
    """The conversation's own: a greeting, thanks, what it can do (`hypotheses.DIALOGUE_SKILL`)."""
    CONFIRM = "confirm"
    CLARIFY = "clarify"
    ELICIT_SLOT = "elicit_slot"
    FALLBACK = "fallback"
    APOLOGIZE = "apologize"
    """Something went wrong; the reason tells what. UNKNOWN_EFFECT: something may have been done."""
    PROGRESS = "progress"
    """It takes a moment."""
    TRACK = "track"
    """Nothing: a skill has answered, and the dialogue's state shall know."""


@dataclass(frozen=True, slots=True)
class SkillInWords:
    """A skill as the assistant speaks of it, in the language of the answer."""

    skill_id: str
    name: str
    examples: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class DialogueAsk:
    """A request for words.

    Attributes:
        reason: UPPER_SNAKE, a decision's or a fault's.
        text: what the user said.
        about: readings it is about, best first.
        slot: what to ask for with ELICIT_SLOT.
        question: the skill's own question for it; empty if it has none.
        skills: those of `about`, and some that the user has, for "what can you do".
        skill_answer: what a skill answered, for TRACK.
        focus: slots that the skill keeps in focus, for TRACK; passed on unread.
        phrases: what people say for the best reading, with its slots as `{name}`, for CONFIRM.
    """

    say: Say
    idempotency_key: str
    reason: str = ""
    text: str = ""
    understanding: Understanding = field(default_factory=Understanding)
    about: tuple[Hypothesis, ...] = ()
    slot: str = ""
    question: str = ""
    skills: tuple[SkillInWords, ...] = ()
    skill_answer: str = ""
    focus: tuple[bytes, ...] = ()
    phrases: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class DialogueText:
    """A piece of what is said."""

    text: str
    wire: bytes = b""


@dataclass(frozen=True, slots=True)
class DialoguePrompt:
    """A question to the user; its words also come as text."""

    kind: PromptKind
    prompt_id: str
    text: str
    slot: str = ""
    wire: bytes = b""


@dataclass(frozen=True, slots=True)
class DialogueExtra:
    """Something passed on to the client unread: a display or a citation (`kind`)."""

    kind: str
    wire: bytes


DialogueEvent = DialogueText | DialoguePrompt | DialogueExtra


class DialoguePort(Protocol):
    """Words for everything that no skill answers."""

    def respond(self, ask: DialogueAsk, context: TurnContext) -> AsyncIterator[DialogueEvent]:
        """The words, piece by piece."""


# --- synthesis -----------------------------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class Speech:
    """A chunk of the answer's audio, at most 15 KB.

    Attributes:
        audio: samples in the form the client asked for; empty for a chunk that carries timing marks alone.
        leading_silence: seconds before the first audible sample, on the first chunk.
        wire: the chunk as the contract serialises it; passed on unread.
        marks: timing marks that belong before it, serialised.
    """

    audio: bytes
    leading_silence: float = 0.0
    models: tuple[Provenance, ...] = ()
    wire: bytes = b""
    marks: tuple[bytes, ...] = ()


class SynthesisPort(Protocol):
    """Speech synthesis."""

    def speak(self, texts: AsyncIterator[str], context: TurnContext) -> AsyncIterator[Speech]:
        """Audio of the texts as they come, in order."""


@dataclass(frozen=True, slots=True)
class Ports:
    """All that a turn may call. Without activation every utterance counts as meant for the assistant."""

    recogniser: RecogniserPort
    understanding: UnderstandingPort
    skills: SkillPort
    dialogue: DialoguePort
    synthesis: SynthesisPort
    activation: ActivationPort | None = field(default=None)
