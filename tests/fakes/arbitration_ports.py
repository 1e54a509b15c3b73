"""Fakes of everything a turn calls: scripts instead of services.

Each is a named class that implements one port of `services.arbitration.ports` and notes what it was asked.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field

from services.arbitration.contexts import PromptKind, TurnContext
from services.arbitration.hypotheses import Alternative, Fulfilment, Hypothesis, Understanding
from services.arbitration.ports import (
    DialogueAsk,
    DialogueEvent,
    DialoguePrompt,
    DialogueText,
    Endpoint,
    Final,
    Order,
    Partial,
    Receipt,
    RecognitionEvent,
    Say,
    SkillAnswer,
    SkillDone,
    SkillEvent,
    Speech,
    SpeechActivity,
)
from services.runtime.errors import AntiphonError
from tests.fakes.virtual_time import now


# --- recognition ---------------------------------------------------------------------------------------------------
@dataclass
class ScriptedRecognition:
    """Says the script's events at their times (seconds from the opening). Ends after the last one."""

    script: Sequence[tuple[float, RecognitionEvent]]
    sent: list[bytes] = field(default_factory=list)
    silences: list[float] = field(default_factory=list)
    finished: asyncio.Event = field(default_factory=asyncio.Event)
    closed: bool = False

    async def send(self, pcm: bytes) -> None:
        self.sent.append(pcm)

    async def finish(self) -> None:
        self.finished.set()

    async def update_endpointing(self, end_silence: float) -> None:
        self.silences.append(end_silence)

    async def events(self) -> AsyncIterator[RecognitionEvent]:
        opened = now()
        for at, event in self.script:
            await asyncio.sleep(max(0.0, opened + at - now()))
            yield event

    async def close(self) -> None:
        self.closed = True


@dataclass
class ScriptedRecogniser:
    """Opens the scripts in order; the last one again when they run out."""

    scripts: list[Sequence[tuple[float, RecognitionEvent]]]
    opened: list[ScriptedRecognition] = field(default_factory=list)

    async def open(self, context: TurnContext) -> ScriptedRecognition:
        script = self.scripts[min(len(self.opened), len(self.scripts) - 1)]
        self.opened.append(ScriptedRecognition(script))
        return self.opened[-1]


@dataclass
class FailingRecogniser:
    """A recogniser that cannot be reached."""

    error: AntiphonError

    async def open(self, context: TurnContext) -> ScriptedRecognition:
        raise self.error


def utterance(text: str, *, partials: Sequence[tuple[float, str]] = (), end: float = 1.0, wait: float = 0.7,
              confidence: float = 0.9) -> list[tuple[float, RecognitionEvent]]:  # fmt: skip
    """What a recogniser says of `text`, spoken from 0.2 s to `end` and ended by `wait` seconds of silence."""
    decided = end + wait
    return [
        (0.2, SpeechActivity(True, 0.2)),
        *((at, Partial(said, stability=0.9)) for at, said in partials),
        (decided, Endpoint("SILENCE", 0.2, end, decided)),
        (decided, Final((Alternative(text, confidence),) if text else ())),
    ]


# --- understanding -------------------------------------------------------------------------------------------------
@dataclass
class ScriptedUnderstanding:
    """Knows what some texts mean; everything else is out of scope. Takes `seconds` for each."""

    meanings: dict[str, Understanding]
    seconds: float = 0.02
    error: AntiphonError | None = None
    asked: list[tuple[str, bool]] = field(default_factory=list)

    async def interpret(
        self, alternatives: tuple[Alternative, ...], context: TurnContext, *, speculative: bool
    ) -> Understanding:
        self.asked.append((alternatives[0].text, speculative))
        await asyncio.sleep(self.seconds)
        if self.error is not None:
            raise self.error
        return self.meanings.get(alternatives[0].text, Understanding(out_of_scope=0.95))


# --- skills --------------------------------------------------------------------------------------------------------
Script = Callable[[Order], AsyncIterator[SkillEvent]]


@dataclass
class ScriptedSkill:
    """A skill that does what its script says.

    Attributes:
        fulfilment: what it says to CanFulfill, after `thinking` seconds (None hangs).
        executed: orders it was given; `cancelled` counts those that were broken off.
    """

    script: Script
    fulfilment: Fulfilment = Fulfilment.YES
    thinking: float | None = 0.01
    executed: list[Order] = field(default_factory=list)
    cancelled: int = 0


@dataclass
class SkillsByName:
    """All skills of a test, by id. Tenants in `apart` have a pool of their own."""

    skills: dict[str, ScriptedSkill]
    asked: list[str] = field(default_factory=list)
    apart: frozenset[str] = frozenset()

    async def can_fulfil(
        self, hypothesis: Hypothesis, context: TurnContext, *, another: bool = False
    ) -> tuple[Fulfilment, str]:
        self.asked.append(hypothesis.skill_id)
        skill = self.skills[hypothesis.skill_id]
        if skill.thinking is None:
            await asyncio.Event().wait()
        await asyncio.sleep(skill.thinking or 0.0)
        return skill.fulfilment, ""

    def circuit(self, hypothesis: Hypothesis, context: TurnContext) -> str:
        skill_id = hypothesis.skill_id
        return skill_id if context.profile.tenant not in self.apart else f"{skill_id}@{context.profile.tenant}"

    async def execute(self, order: Order, context: TurnContext) -> AsyncIterator[SkillEvent]:
        skill = self.skills[order.hypothesis.skill_id]
        skill.executed.append(order)
        done = False
        try:
            async for event in skill.script(order):
                done = isinstance(event, SkillDone)
                yield event
        except (asyncio.CancelledError, GeneratorExit):
            skill.cancelled += not done  # readers leave after the end: that is no cancellation
            raise


def says(*pieces: str, after: float = 0.05, receipt: bool = False, done: SkillDone | None = None) -> Script:
    """A script that says the pieces, each after `after` seconds, and ends."""

    async def script(order: Order) -> AsyncIterator[SkillEvent]:
        said = 0
        for piece in pieces:
            await asyncio.sleep(after)
            yield SkillAnswer(piece, said)
            said += len(piece)
        if not pieces:
            await asyncio.sleep(after)
        yield done or SkillDone(receipt=Receipt(order.idempotency_key, 1, wire=b"receipt") if receipt else None)

    return script


def sends(*events: SkillEvent, after: float = 0.05) -> Script:
    """A script that sends just these events, whatever they are."""

    async def script(order: Order) -> AsyncIterator[SkillEvent]:
        for event in events:
            await asyncio.sleep(after)
            yield event

    return script


def hangs() -> Script:
    """A script that never says anything."""

    async def script(order: Order) -> AsyncIterator[SkillEvent]:
        await asyncio.Event().wait()
        yield SkillDone()

    return script


def fails(error: AntiphonError, after: float = 0.05) -> Script:
    """A script that fails."""

    async def script(order: Order) -> AsyncIterator[SkillEvent]:
        await asyncio.sleep(after)
        raise error
        yield SkillDone()

    return script


def loses_once(first: Script, then: Script) -> Script:
    """A script that fails the first time and does better from then on."""
    scripts = [first]

    async def script(order: Order) -> AsyncIterator[SkillEvent]:
        async for event in (scripts.pop() if scripts else then)(order):
            yield event

    return script


# --- dialogue ------------------------------------------------------------------------------------------------------
@dataclass
class PlainDialogue:
    """Names what it was asked to say. Questions are real prompts."""

    error: AntiphonError | None = None
    asked: list[DialogueAsk] = field(default_factory=list)

    async def respond(self, ask: DialogueAsk, context: TurnContext) -> AsyncIterator[DialogueEvent]:
        self.asked.append(ask)
        if self.error is not None:
            raise self.error
        yield DialogueText(f"<{ask.say}:{ask.reason}>")
        kinds = {
            Say.CONFIRM: PromptKind.CONFIRM,
            Say.CLARIFY: PromptKind.CLARIFY,
            Say.ELICIT_SLOT: PromptKind.ELICIT_SLOT,
        }
        if ask.say in kinds:
            yield DialoguePrompt(kinds[ask.say], f"prompt-{len(self.asked)}", "?", ask.slot)


# --- synthesis -----------------------------------------------------------------------------------------------------
@dataclass
class TextAsSpeech:
    """Each word becomes a chunk of audio that spells it, `seconds` after the one before."""

    seconds: float = 0.01
    error: AntiphonError | None = None
    spoken: list[str] = field(default_factory=list)

    async def speak(self, texts: AsyncIterator[str], context: TurnContext) -> AsyncIterator[Speech]:
        async for text in texts:
            for word in text.split():
                await asyncio.sleep(self.seconds)
                if self.error is not None:
                    raise self.error
                self.spoken.append(word)
                yield Speech(word.encode(), leading_silence=0.005 if len(self.spoken) == 1 else 0.0)


# --- activation ----------------------------------------------------------------------------------------------------
@dataclass
class ScriptedActivation:
    """Judges every utterance alike, after `seconds` (None hangs)."""

    score: float = 1.0
    seconds: float | None = 0.0
    heard: int = 0

    async def open(self, context: TurnContext) -> ScriptedActivation:
        return self

    async def send(self, pcm: bytes) -> None:
        self.heard += 1

    async def directed(self) -> float:
        if self.seconds is None:
            await asyncio.Event().wait()
        await asyncio.sleep(self.seconds or 0.0)
        return self.score

    async def close(self) -> None:
        return None


@dataclass
class NotedJournal:
    """An effect journal that notes its calls."""

    error: AntiphonError | None = None
    begun: int = 0
    settled: list[str] = field(default_factory=list)

    async def begin(self, order: str, version: str) -> None:
        if self.error is not None:
            raise self.error
        self.begun += 1

    def asked(self, order: str) -> str:
        return ""

    async def settle(self, delivery: object) -> None:
        self.settled.append(getattr(delivery, "text", ""))
