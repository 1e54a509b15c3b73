"""Turns in a row on one stream.

The servicer makes a `Conversation` per Converse call, feeds it inputs and passes its events on. The conversation opens
a turn when the user speaks or types, keeps what is remembered between turns, and stores it so that another replica can
go on. Its queue of events is bounded: a client that does not read stops its own turn and nobody else's.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import AsyncIterator, Coroutine
from dataclasses import dataclass, replace
from typing import Any, Final

from services.arbitration.alarms import Alarm
from services.arbitration.contexts import PastTurn, TurnContext, TurnType
from services.arbitration.delivery import Delivery
from services.arbitration.events import (
    AnswerAudio,
    AnswerText,
    Event,
    Heard,
    Outcome,
    PlaybackStopped,
    Rang,
    SessionEnding,
    SessionStarted,
    TurnEnded,
    TurnEvent,
    TurnFailed,
    TurnStarted,
)
from services.arbitration.hypotheses import Understanding
from services.arbitration.inputs import (
    Audio,
    BargedIn,
    CancelTurn,
    End,
    Finalize,
    Input,
    NewProfile,
    Played,
    StartTurn,
    Typed,
)
from services.arbitration.ledger import LatencyLedger, Mark
from services.arbitration.opening import Opening, Premises
from services.arbitration.overhearing import Ear, Playback
from services.arbitration.ports import RecognitionEvent, SpeechActivity
from services.arbitration.records import StoredResult, TurnClaim, outcome_unknown, record_key
from services.arbitration.ringing import Ringer
from services.arbitration.session import Session
from services.arbitration.streams import reading
from services.arbitration.turn import Turn, TurnResult
from services.runtime.errors import AntiphonError, InvalidInput

log = logging.getLogger(__name__)

EVENTS_AHEAD: Final = 64
"""Events that wait for a client that reads slowly: about half a megabyte of audio at most."""


@dataclass
class _Running:
    turn: Turn
    task: asyncio.Task[None]


@dataclass
class _Next:
    """What is known of the turn that the next audio opens."""

    turn_type: TurnType = TurnType.INITIAL
    key: str = ""
    wanted: bool = True


class Conversation:
    """One stream. Call `run` once.

    Attributes:
        session_id, resume_token: known from the first event on.
        sequence: number of the last message the servicer has sent; it counts, the conversation remembers.
        received_audio: seconds of audio received on this stream.
        safe_audio: seconds of it that a lost replica does not lose, up to the end of the last turn that was stored: the
            words of a turn that runs have to be sent again.
    """

    def __init__(self, premises: Premises, opening: Opening) -> None:
        self._premises = premises
        self._opening = opening
        self._profile = opening.profile
        self._session = Session(premises)
        self._events: asyncio.Queue[Event | None] = asyncio.Queue(EVENTS_AHEAD)
        self._running: _Running | None = None
        self._next = _Next()
        self._turns = asyncio.Lock()
        self._ear: Ear | None = None
        self._deaf: Turn | None = None  # the turn during which listening for an interruption has failed
        self._playback = Playback(opening.seconds_of)
        self._ringer = Ringer(premises.alarms, opening.profile, "", self._ring)
        self._side_work: set[asyncio.Task[None]] = set()
        self._origin: tuple[float, float] | None = None
        self._used = False
        self._failure: BaseException | None = None
        self._closing: asyncio.Future[None] | None = None
        self.sequence = 0
        self.received_audio = 0.0

    @property
    def session_id(self) -> str:
        return self._session.memory.session_id

    @property
    def resume_token(self) -> str:
        return self._session.resume_token

    @property
    def safe_audio(self) -> float:
        return self._session.safe_audio

    async def run(self, inputs: AsyncIterator[Input]) -> AsyncIterator[Event]:
        """The events of the conversation, in order.

        Raises:
            NotFound: the resume token opens nothing.
            InvalidInput: CONVERSATION_EMPTY, `End` came before anything was said.
            Conflict: SESSION_TAKEN_OVER, the session was resumed in another stream.
        """
        await self._begin()
        self._ringer = Ringer(self._premises.alarms, self._profile, self.session_id, self._ring)
        await self._ringer.begin()
        pump = asyncio.create_task(self._pump(inputs))
        ringer = asyncio.create_task(self._ringer.run())
        try:
            while (event := await self._events.get()) is not None:
                yield event
            if self._failure is not None:
                raise self._failure
            if pump.done():
                await pump
        finally:
            pump.cancel()
            ringer.cancel()
            if self._closing is not None:
                self._closing.cancel()
            await self._abandon()
            await asyncio.gather(pump, ringer, return_exceptions=True)

    async def announce_ending(self, reason: str, time_left: float) -> None:
        """Tell the client that the stream will be cut in `time_left` seconds, with the token that goes on."""
        await self._events.put(SessionEnding(reason, time_left, self.resume_token))

    # --- beginning and ending --------------------------------------------------------------------------------------
    async def _begin(self) -> None:
        session, resumed = self._session, bool(self._opening.resume_token)
        missed = await session.begin(self._opening, self._profile.tenant)
        self.sequence = max(session.memory.sequence, self._opening.last_sequence)
        await self._events.put(SessionStarted(self.session_id, self.resume_token, resumed, session.earlier_audio))
        if missed is not None:
            await self._repeat_last(missed)

    async def _repeat_last(self, turn: PastTurn) -> None:
        """What the client may have missed when its stream was lost: the last answer, in words."""
        skill_id = turn.served.skill_id if turn.served else ""
        if turn.answer:
            await self._events.put(AnswerText(turn.turn_id, turn.answer, 0, skill_id))
        await self._events.put(
            TurnEnded(turn.turn_id, Outcome.ANSWERED, skill_id=skill_id, answer=turn.answer, repeated=True)
        )

    async def _pump(self, inputs: AsyncIterator[Input]) -> None:
        try:
            async with reading(inputs) as received:
                async for item in received:
                    if isinstance(item, End):
                        await self._finish()
                        return
                    async with self._turns:
                        await self._take(item)
        finally:
            ender = asyncio.current_task()
            if ender is None or not ender.cancelling():
                await self._events.put(None)

    async def _finish(self) -> None:
        if not self._used:
            raise InvalidInput("the conversation ended before anything was said", reason="CONVERSATION_EMPTY")
        await asyncio.gather(*self._side_work)  # an interruption that has just begun
        await self._close_ear()
        if self._running is not None:
            await self._running.turn.finish()
            await self._running.task

    async def _abandon(self) -> None:
        """The stream is gone: stop what runs. An effect under way is carried to its end elsewhere (`Desk.keep`)."""
        for task in [*self._side_work, *([self._running.task] if self._running is not None else [])]:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        await self._close_ear()

    # --- inputs ----------------------------------------------------------------------------------------------------
    async def _take(self, item: Input) -> None:
        self._reap()
        if isinstance(item, Audio):
            await self._hear(item)
        elif isinstance(item, Typed):
            await self._stop_running("NEW_TURN")
            state = self._session.memory.state
            known = state.picked(item.prompt_id, item.choice_id)
            kind = TurnType.FOLLOWUP if state.pending else TurnType.INITIAL
            self._open(kind, item.key, item.text or item.choice_id, known=known)
        else:
            await self._follow(item)

    async def _follow(self, item: Input) -> None:
        """What the client says about the conversation."""
        if isinstance(item, Finalize):
            if self._running is not None:
                await self._running.turn.finish()
        elif isinstance(item, StartTurn):
            await self._stop_running("NEW_TURN")
            self._next = _Next(item.turn_type, item.key)
        elif isinstance(item, BargedIn):
            if await self._stop_running("BARGE_IN", item.turn_id):
                self._next = _Next(TurnType.BARGE_IN)
                self._adopt_ear(TurnType.BARGE_IN)
            else:
                self._cut_off(item.turn_id)
        elif isinstance(item, Played):
            self._playback.over(item.turn_id)
        elif isinstance(item, CancelTurn):
            await self._stop_running("CANCELLED", item.turn_id)
        elif isinstance(item, NewProfile):
            self._profile = replace(item.profile, tenant=self._profile.tenant)

    async def _hear(self, audio: Audio) -> None:
        if self._origin is None:
            self._set_origin()
        at = self.received_audio
        self.received_audio += audio.seconds
        if self._ear is not None and self._ear.spoke:  # `_take_over` waits for its turn
            await self._overhear(audio.pcm, at)
            return
        if self._running is None and self._next.wanted:
            await self._close_ear()
            self._open(self._next.turn_type, self._next.key, audio_offset=at)
        if self._running is None:
            return
        if self._running.turn.listening or not self._opening.barge_in:
            await self._running.turn.hear(audio.pcm)
        else:
            await self._overhear(audio.pcm, at)

    # --- interruptions by speech -----------------------------------------------------------------------------------
    async def _overhear(self, pcm: bytes, at: float) -> None:
        """Listen for the user while the assistant works or speaks."""
        running = self._running
        if running is not None and self._deaf is running.turn:
            return
        if self._ear is not None and self._ear.over and not self._ear.spoke:
            await self._close_ear()
        try:
            if self._ear is None and running is not None:
                context = replace(running.turn.context, audio_offset=at)
                self._ear = await Ear.open(self._premises.house.ports.recogniser, context, self._spoke_up)
            if self._ear is not None:
                await self._ear.send(pcm)
        except AntiphonError as error:
            log.warning("interruptions by speech are not heard in this turn: %s", error.reason)
            self._deaf = running.turn if running is not None else None
            await self._close_ear()

    def _spoke_up(self, ear: Ear) -> None:
        """The user speaks over the answer: it stops at once, and a turn takes over what is heard."""
        if self._running is not None and not self._running.turn.listening:
            self._running.turn.interrupt("BARGE_IN")
        self._aside(self._take_over(ear))

    async def _take_over(self, ear: Ear) -> None:
        async with self._turns:
            if self._ear is not ear:
                return
            kind = TurnType.BARGE_IN if await self._stop_running("BARGE_IN") else self._next.turn_type
            if self._next.wanted:
                self._adopt_ear(kind)
            else:
                await self._close_ear()

    def _adopt_ear(self, kind: TurnType) -> None:
        ear, self._ear = self._ear, None
        if ear is not None:
            self._open(kind, self._next.key, audio_offset=ear.audio_offset, ear=ear)

    async def _close_ear(self) -> None:
        ear, self._ear = self._ear, None
        if ear is not None:
            await ear.close()

    def _aside(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._side_work.add(task)
        task.add_done_callback(self._side_work.discard)

    async def _stop_running(self, reason: str, turn_id: str = "") -> bool:
        """Interrupt the running turn if it is meant; whether there was one."""
        running = self._running
        if running is None or (turn_id and running.turn.context.turn_id != turn_id):
            return False
        running.turn.interrupt(reason)
        await running.task
        self._reap()
        return True

    def _reap(self) -> None:
        """Let go of a turn that is over."""
        if self._running is not None and self._running.task.done():
            self._running = None

    # --- turns -----------------------------------------------------------------------------------------------------
    def _open(
        self,
        turn_type: TurnType,
        key: str,
        typed: str | None = None,
        *,
        known: Understanding | None = None,
        audio_offset: float | None = None,
        ear: Ear | None = None,
    ) -> None:
        if self._origin is None:
            self._set_origin()
        assert self._origin is not None
        self._used = True
        self._next = _Next(wanted=False)
        number = self._session.memory.state.turns + 1
        turn_id = f"{self.session_id}-{number}-{secrets.token_hex(2)}"
        key = key or (f"{self._opening.key}/{number}" if self._opening.key else "")
        context = TurnContext(
            self.session_id,
            turn_id,
            self._profile,
            self._premises.now(),
            turn_type,
            self._session.memory.state,
            self._opening.arm,
            audio_offset or 0.0,
            self._ringer.ringing,
        )
        profile = self._profile
        claim = TurnClaim(
            self._premises.store, profile.tenant, record_key(profile.user_id, profile.device_id, key), turn_id
        )
        ledger = LatencyLedger(*self._origin)
        if audio_offset is not None:
            ledger.mark(Mark.CAPTURE, audio_offset)
        turn = Turn(
            self._premises.house,
            context,
            ledger,
            self._emit,
            claim,
            key=key or turn_id,
            typed=typed,
            known=known,
            skill_state=self._session.memory.skill_state,
            received_audio=lambda: self.received_audio,
            overheard=ear,
        )
        started = TurnStarted(turn_id, turn_type, number, key, audio_offset)
        self._running = _Running(turn, asyncio.create_task(self._carry_out(turn, claim, started)))
        self._running.task.add_done_callback(self._turn_is_over)
        if ear is not None:  # also of a turn that did not come to listen
            self._running.task.add_done_callback(lambda _: self._aside(ear.close()))

    def _turn_is_over(self, task: asyncio.Task[None]) -> None:
        """A conversation of one turn is over with it; so is one whose turn failed beyond itself."""
        if task.cancelled():
            return
        self._failure = task.exception()
        if self._failure is not None or not self._next.wanted:
            self._closing = asyncio.ensure_future(self._events.put(None))

    async def _carry_out(self, turn: Turn, claim: TurnClaim, started: TurnStarted) -> None:
        await self._emit(started)
        try:
            await claim.claim()
        except AntiphonError as error:
            turn.deafen()
            await self._emit(TurnFailed(started.turn_id, error))
            await self._end(started, TurnResult(Delivery(Outcome.FAILED, error.reason), "", None, turn.ledger))
            return
        if claim.stored is not None:
            await self._repeat(claim.stored, turn, started)
            return
        result = await turn.run()
        await claim.finish(result.delivery)
        if claim.in_doubt and result.delivery.outcome is not Outcome.INTERRUPTED:
            result = await self._in_doubt(started, result)
        await self._explain(turn.context, result)
        await self._end(started, result)
        if (school := self._premises.school) is not None:
            school.over(
                turn.context, result.text, result.decision, result.delivery, retain_text=self._opening.retain_text
            )

    async def _in_doubt(self, started: TurnStarted, result: TurnResult) -> TurnResult:
        """The repeat came to something else than the attempt that was lost: what that one did is not known."""
        error = outcome_unknown()
        if result.delivery.reason != error.reason:  # else it was told
            await self._emit(TurnFailed(started.turn_id, error))
        return replace(result, delivery=Delivery(Outcome.FAILED, error.reason, result.delivery.text))

    def _cut_off(self, turn_id: str) -> None:
        """The answer of a turn that is over was still being heard, and is spoken over."""
        if turn_id and (school := self._premises.school) is not None:
            school.interrupted(self._profile, self.session_id, turn_id)

    async def _repeat(self, stored: StoredResult, turn: Turn, started: TurnStarted) -> None:
        """The answer of a turn that was done before: its words again, its effects not."""
        result = await turn.run(repeat=stored.answer)
        interrupted = result.delivery.outcome is Outcome.INTERRUPTED
        delivery = Delivery(
            Outcome.INTERRUPTED if interrupted else stored.outcome,
            stored.reason,
            stored.answer,
            receipt=stored.receipt,
            expects_follow_up=stored.outcome is Outcome.ASKED,
        )
        await self._end(started, replace(result, delivery=delivery), repeated_of=stored.skill_id)

    async def _explain(self, context: TurnContext, result: TurnResult) -> None:
        if result.decision is not None:
            await self._premises.explanations.keep(
                context.profile.tenant,
                self.session_id,
                context.turn_id,
                result.decision,
                result.ledger,
                retain_text=self._opening.retain_text,
            )

    async def _end(self, started: TurnStarted, result: TurnResult, repeated_of: str | None = None) -> None:
        delivery, ledger = result.delivery, result.ledger
        await self._session.take(
            self._profile, started.turn_id, result, sequence=self.sequence, received_audio=self.received_audio
        )
        ledger.mark(Mark.COMPLETED)
        follow_up = delivery.expects_follow_up or delivery.prompt is not None
        if not self._next.wanted:  # unless a StartTurn or BargeIn has already opened the next
            kind = TurnType.FOLLOWUP if follow_up else TurnType.INITIAL
            self._next = _Next(kind, wanted=self._opening.continuous or follow_up or self._reopened(delivery))
        await self._emit(
            TurnEnded(
                started.turn_id,
                delivery.outcome,
                delivery.reason,
                delivery.skill_id if repeated_of is None else repeated_of,
                delivery.text,
                delivery.receipt,
                ledger,
                repeated=repeated_of is not None,
                expects_follow_up=follow_up,
            )
        )

    @staticmethod
    def _reopened(delivery: Delivery) -> bool:
        """An interrupted turn is followed by what it was interrupted for; only a cancelled one is not."""
        return delivery.outcome is Outcome.INTERRUPTED and delivery.reason != "CANCELLED"

    async def _ring(self, alarm: Alarm) -> None:
        await self._events.put(Rang(alarm))

    async def _emit(self, event: TurnEvent) -> None:
        now = asyncio.get_running_loop().time()
        if isinstance(event, AnswerAudio):
            self._playback.sent(event.turn_id, len(event.speech.audio), now)
        elif isinstance(event, PlaybackStopped):
            self._playback.over(event.turn_id)
        elif self._opening.barge_in and isinstance(event, Heard) and _begins(event.what):
            playing = self._playback.playing(now)
            if playing and playing != event.turn_id:  # the turn is over, but its answer is still being heard
                self._playback.over()
                self._cut_off(playing)
                await self._events.put(PlaybackStopped(playing, "BARGE_IN"))
        await self._events.put(event)

    def _set_origin(self) -> None:
        self._origin = (asyncio.get_running_loop().time(), self._premises.now())


def _begins(what: RecognitionEvent) -> bool:
    return isinstance(what, SpeechActivity) and what.is_speech
