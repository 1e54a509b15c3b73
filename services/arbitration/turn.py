"""One turn, from the first sample to the last chunk of the answer.

    listening --final--> deciding --decision--> answering --> over
        |  partials: work ahead (`speculation`)      |
        '------------- interrupted: stops ------------'

`conversation` makes a turn, feeds it audio and gets its events. The turn holds no socket: everything it needs comes
through `ports`. Its result says what the conversation has to remember.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from typing import Final

from services.arbitration.answering import Answering
from services.arbitration.budgets import Stage
from services.arbitration.contexts import TurnContext
from services.arbitration.delivery import Delivery, EffectJournal
from services.arbitration.desk import Desk
from services.arbitration.events import (
    AnswerAudio,
    AnswerText,
    Decided,
    Heard,
    Outcome,
    PlaybackStopped,
    TurnEvent,
    TurnFailed,
    Understood,
)
from services.arbitration.hypotheses import Alternative, Candidate, Decision, Understanding
from services.arbitration.judging import Evidence, Judge
from services.arbitration.ledger import LatencyLedger, Mark, Step
from services.arbitration.ports import Activation, Endpoint, Partial, Ports, Recognition, SpeechActivity
from services.arbitration.ports import Final as FinalResult
from services.arbitration.speculation import Speculation, SpeculationSettings, Speculator
from services.arbitration.streams import reading
from services.arbitration.voice import Voice
from services.runtime.errors import AntiphonError, Code

log = logging.getLogger(__name__)

_NOT_THE_USERS: Final = frozenset({Code.UNAVAILABLE, Code.INTERNAL, Code.RESOURCE_EXHAUSTED, Code.DEADLINE_EXCEEDED})
"""Errors of recognition that nobody can help by sending something else."""


@dataclass
class House:
    """What all turns of a replica share."""

    ports: Ports
    judge: Judge
    desk: Desk
    speculation: SpeculationSettings = field(default_factory=SpeculationSettings)


@dataclass(frozen=True, slots=True)
class TurnResult:
    """What the conversation remembers of a turn. `decision` is None when it was not reached."""

    delivery: Delivery
    text: str
    decision: Decision | None
    ledger: LatencyLedger


class Turn:
    """A turn. Call `run` once; `hear`, `finish` and `interrupt` while it runs.

    Args:
        emit: takes the events in order; waits while the client does not read.
        journal: where an effect is noted before and after.
        key: idempotency key.
        typed: the text of a typed turn; None for a spoken one.
        known: what the text means, where an offered answer was picked.
        skill_state: what the last skill of the conversation asked to keep.
        overheard: recognition that has begun already: the turn interrupts an answer.
    """

    def __init__(
        self,
        house: House,
        context: TurnContext,
        ledger: LatencyLedger,
        emit: Callable[[TurnEvent], Awaitable[None]],
        journal: EffectJournal,
        *,
        key: str,
        typed: str | None = None,
        known: Understanding | None = None,
        skill_state: bytes = b"",
        received_audio: Callable[[], float] = lambda: 0.0,
        overheard: Recognition | None = None,
    ) -> None:
        self.context = context
        self.ledger = ledger
        self._house = house
        self._emit = emit
        self._journal = journal
        self._key = key
        self._typed = typed
        self._known = known
        self._skill_state = skill_state
        self._received_audio = received_audio
        self._overheard = overheard
        self._recognition: Recognition | None = None
        self._activation: Activation | None = None
        self._ready = asyncio.Event()
        self._work: asyncio.Task[TurnResult] | None = None
        self._interruption = ""
        self._text = ""
        self._said = ""
        self._decision: Decision | None = None
        self.listening = typed is None
        """Whether audio still belongs to this turn."""

        if not self.listening:
            self._ready.set()

    # --- what the conversation does with it ------------------------------------------------------------------------
    async def run(self, repeat: str | None = None) -> TurnResult:
        """Everything. Errors of a part become a `TurnFailed`; being interrupted becomes a result.

        Args:
            repeat: the answer of the turn when it was done before: it is said again, and nothing else happens.
        """
        if repeat is not None:
            self.deafen()
        self._work = asyncio.create_task(self._whole() if repeat is None else self._repeat(repeat))
        if self._interruption:
            self._work.cancel()
        try:
            with self._house.judge.shedding.turn():
                return await self._work
        except asyncio.CancelledError:
            if not self._interruption:
                raise
            await self._emit(PlaybackStopped(self.context.turn_id, self._interruption))
            return self._result(Delivery(Outcome.INTERRUPTED, self._interruption, self._said))
        except AntiphonError as error:
            await self._emit(TurnFailed(self.context.turn_id, error))
            return self._result(Delivery(Outcome.FAILED, error.reason, self._said))
        finally:
            self.deafen()

    def deafen(self) -> None:
        """Hear nothing (more): whoever waits to hand over audio goes on."""
        self.listening = False
        self._ready.set()

    async def hear(self, pcm: bytes) -> None:
        """Audio of this turn. Waits while the recogniser is behind; ignored once the utterance is over."""
        await self._ready.wait()
        if not self.listening or self._recognition is None:
            return
        try:
            await self._recognition.send(pcm)
            if self._activation is not None:
                await self._activation.send(pcm)
        except AntiphonError as error:
            log.debug("audio not taken: %s", error.reason)  # `run` gets the same error from the events and reports it

    async def finish(self) -> None:
        """The utterance is over, the client says."""
        await self._ready.wait()
        if self.listening and self._recognition is not None:
            try:
                await self._recognition.finish()
            except AntiphonError as error:
                log.debug("finish not taken: %s", error.reason)

    def interrupt(self, reason: str) -> None:
        """Stop: the user speaks over the answer, or wants no more of it. An effect under way is carried to its end."""
        if not self._interruption:
            self._interruption = reason
            if self._work is not None:
                self._work.cancel()

    # --- the turn itself -------------------------------------------------------------------------------------------
    async def _whole(self) -> TurnResult:
        if self._typed is not None:
            self._text = self._typed
            self.ledger.mark(Mark.FINAL)
            return await self._decide_and_answer((Alternative(self._typed, 1.0),), None)
        speculator = self._speculator()
        try:
            try:
                final = await self._listen(speculator)
            except AntiphonError as error:
                if error.code not in _NOT_THE_USERS:
                    raise
                await self._close_ears()
                return await self._apologize(error)
            self._text = final.alternatives[0].text if final.alternatives else ""
            speculation = await speculator.claim(final.alternatives)
            return await self._decide_and_answer(final.alternatives, speculation)
        finally:
            await self._close_ears()
            await speculator.close()

    async def _apologize(self, error: AntiphonError) -> TurnResult:
        """The recogniser is gone: the user hears that, instead of nothing."""
        log.warning("recognition failed: %s", error.reason)
        await self._emit(TurnFailed(self.context.turn_id, error))
        answering = self._answering(Evidence((), Understanding()), self._tell, _set())
        delivery = await answering.apologize("ASR_UNAVAILABLE")
        return self._result(replace(delivery, reason=error.reason))

    async def _repeat(self, answer: str) -> TurnResult:
        voice = Voice(self._house.ports.synthesis, self.context, self.ledger, self._tell)
        try:
            if answer:
                await self._tell(AnswerText(self.context.turn_id, answer, 0))
                await voice.say(answer)
            await voice.finish()
        finally:
            await voice.close()
        return self._result(Delivery(Outcome.ANSWERED, "REPEATED", answer))

    async def _listen(self, speculator: Speculator) -> FinalResult:
        ports = self._house.ports
        self._recognition = self._overheard or await ports.recogniser.open(self.context)
        if ports.activation is not None:
            self._activation = await self._open_activation()
        self._ready.set()
        partial = Partial("")
        with self.ledger.step(Step.RECOGNITION) as entry:
            async with reading(self._recognition.events()) as heard:
                async for event in heard:
                    await self._tell(Heard(self.context.turn_id, event))
                    if isinstance(event, FinalResult):
                        self.listening = False
                        entry.models = event.models
                        return event
                    if isinstance(event, Partial):
                        partial = event
                        speculator.hear(event)
                    elif isinstance(event, Endpoint) and not event.is_withdrawn:
                        self.listening = event.is_eager
                        speculator.hear(partial, settled=True)
        return FinalResult(())

    async def _decide_and_answer(
        self, alternatives: tuple[Alternative, ...], speculation: Speculation | None
    ) -> TurnResult:
        ahead = speculation.ahead if speculation else None
        try:
            if speculation is not None:
                evidence = self._house.judge.refreshed(speculation.evidence, alternatives)
                self.ledger.mark(Mark.UNDERSTANDING)
            else:
                evidence = await self._evidence(alternatives)
            decision = await self._decide(evidence)
            if ahead is not None and ahead.serves(decision):
                delivery = await ahead.forward(self._tell)
                ahead = None
            else:
                delivery = await self._answering(evidence, self._tell, _set()).deliver(decision)
        finally:
            if ahead is not None:
                await ahead.discard()
        return self._result(delivery)

    async def _evidence(self, alternatives: tuple[Alternative, ...]) -> Evidence:
        if not any(alternative.text.strip() for alternative in alternatives):
            return Evidence((), Understanding())
        return await self._house.judge.gather(alternatives, self.context, self.ledger, known=self._known)

    async def _decide(self, evidence: Evidence) -> Decision:
        directed = await self._directed()
        self._decision = decision = await self._house.judge.settle(
            evidence, self.context, self.ledger, directed=directed
        )
        self.ledger.mark(Mark.DECISION)
        await self._tell(Understood(self.context.turn_id, evidence.understanding))
        await self._tell(Decided(self.context.turn_id, decision))
        return decision

    async def _directed(self) -> float | None:
        """Probability of having been spoken to; None when it was not judged within the budget."""
        if self._house.ports.activation is None or self._typed is not None:
            return 1.0
        if self._activation is None:
            return None
        try:
            limit = self._house.judge.budgets[Stage.ACTIVATION].seconds
            with self.ledger.step(Step.DIRECTEDNESS, deadline=limit):
                async with asyncio.timeout(limit):
                    return await self._activation.directed()
        except (TimeoutError, AntiphonError):
            return None

    # --- making the parts ------------------------------------------------------------------------------------------
    def _speculator(self) -> Speculator:
        return Speculator(
            self._house.judge,
            self.context,
            self.ledger,
            self._house.speculation,
            answer=lambda evidence, ahead: self._answering(evidence, ahead.emit, ahead.adopted),
            endpointing=self._update_endpointing,
            optional_open=self._optional_open,
        )

    def _answering(
        self, evidence: Evidence, emit: Callable[[TurnEvent], Awaitable[None]], adopted: asyncio.Event
    ) -> Answering:
        return Answering(
            self._house.desk,
            self.context,
            self.ledger,
            emit,
            self._journal,
            key=self._key,
            text=evidence.alternatives[0].text if evidence.alternatives else "",
            understanding=evidence.understanding,
            adopted=adopted,
            skill_state=self._skill_state,
        )

    async def _open_activation(self) -> Activation | None:
        assert self._house.ports.activation is not None
        try:
            return await self._house.ports.activation.open(self.context)
        except AntiphonError as error:
            log.warning("activation failed: %s", error.reason)
            return None

    async def _update_endpointing(self, end_silence: float) -> None:
        if self._recognition is not None and self.listening:
            try:
                await self._recognition.update_endpointing(end_silence)
            except AntiphonError as error:
                log.debug("endpointing not updated: %s", error.reason)

    def _optional_open(self, candidate: Candidate) -> bool:
        skill = self._house.desk.registry.find(candidate.hypothesis.skill_id, candidate.hypothesis.version)
        intent = skill.manifest.intent(candidate.hypothesis.intent) if skill else None
        said = {slot.name for slot in candidate.hypothesis.slots}
        return intent is not None and any(slot.name not in said for slot in intent.slots)

    async def _close_ears(self) -> None:
        self.listening = False
        if self._recognition is not None:
            await self._recognition.close()
        if self._activation is not None:
            await self._activation.close()

    # --- telling ---------------------------------------------------------------------------------------------------
    async def _tell(self, event: TurnEvent) -> None:
        self._note(event)
        await self._emit(event)

    def _note(self, event: TurnEvent) -> None:
        ledger = self.ledger
        if isinstance(event, AnswerText):
            self._said += event.text
            ledger.mark(Mark.FIRST_TEXT)
        elif isinstance(event, AnswerAudio) and event.speech.audio and not event.progress:
            ledger.mark(Mark.FIRST_AUDIO)
            ledger.mark(Mark.FIRST_AUDIBLE, ledger.marks[Mark.FIRST_AUDIO] + event.speech.leading_silence)
        elif isinstance(event, Heard):
            self._note_heard(event.what)

    def _note_heard(self, what: SpeechActivity | Partial | Endpoint | FinalResult) -> None:
        ledger = self.ledger
        if isinstance(what, Partial) and what.text:
            ledger.mark(Mark.FIRST_PARTIAL)
        elif isinstance(what, SpeechActivity) and what.is_speech:
            ledger.mark(Mark.SPEECH_START, what.offset)
        elif isinstance(what, FinalResult):
            ledger.mark(Mark.FINAL)
        elif isinstance(what, Endpoint) and not what.is_eager and not what.is_withdrawn:
            ledger.mark(Mark.ENDPOINT)
            ledger.received_audio = self._received_audio()
            if what.speech_start is not None:
                ledger.marks[Mark.SPEECH_START] = what.speech_start
            if what.speech_end is not None:
                ledger.mark(Mark.END_OF_SPEECH, what.speech_end)

    def _result(self, delivery: Delivery) -> TurnResult:
        return TurnResult(delivery, self._text, self._decision, self.ledger)


def _set() -> asyncio.Event:
    event = asyncio.Event()
    event.set()
    return event
