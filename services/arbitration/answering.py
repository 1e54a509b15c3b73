"""Carries out a decision: executes, asks back or says what cannot be done, and turns it into text and speech.

`turn` starts it with the decision, `speculation` may have started it before. Skills are given a deadline and one
alternative; something is said when it takes long. What may change the world waits until the turn is really adopted,
runs to its end once begun, and is noted before and after, so that it happens at most once.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field, replace
from typing import Any, Final, Protocol

from services.arbitration.budgets import Budgets, Stage
from services.arbitration.circuits import Circuits, Duty
from services.arbitration.conduct import Conduct, SkillFault, fault_of
from services.arbitration.contexts import PendingPrompt, TurnContext
from services.arbitration.events import AnswerText, Asked, Extra, Outcome, TurnEvent, TurnFailed
from services.arbitration.hypotheses import (
    DIALOGUE_SKILL,
    Action,
    Candidate,
    Decision,
    Hypothesis,
    Reason,
    Understanding,
)
from services.arbitration.ledger import LatencyLedger, Step
from services.arbitration.patience import Patience
from services.arbitration.ports import (
    DialogueAsk,
    DialogueExtra,
    DialoguePrompt,
    DialogueText,
    Ending,
    Order,
    Ports,
    Say,
    SkillAnswer,
    SkillDone,
    SkillEvent,
    SkillExtra,
    SkillProgress,
    SkillPrompt,
)
from services.arbitration.registry_of_skills import SkillRegistry
from services.arbitration.speaking_of_skills import question_for, skills_in_words
from services.arbitration.streams import reading
from services.arbitration.voice import Voice
from services.runtime.errors import AntiphonError

log = logging.getLogger(__name__)

SECOND_CHOICE: Final = 0.15
"""Least probability of a hypothesis that is tried when the first one's skill has failed."""

CHOICES: Final = 3
"""Most readings offered in a question."""

SOCIAL: Final = 0.5
"""Probability from which words belong to the conversation itself, so that a fallback answers them instead."""

NAMING: Final = frozenset({Say.OPEN, Say.FALLBACK, Say.CONFIRM, Say.CLARIFY, Say.ELICIT_SLOT})
"""What may name skills in its words."""

Emit = Callable[[TurnEvent], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Delivery:
    """What became of a decision.

    Attributes:
        served: the hypothesis that was executed; None when no skill answered.
        prompt: the question that the next turn answers.
        failed: hypotheses that were tried in vain.
        receipt: the effect's receipt, serialised.
    """

    outcome: Outcome
    reason: str = ""
    text: str = ""
    served: Hypothesis | None = None
    prompt: PendingPrompt | None = None
    receipt: bytes = b""
    skill_state: bytes = b""
    expects_follow_up: bool = False
    failed: tuple[Hypothesis, ...] = ()

    @property
    def skill_id(self) -> str:
        return self.served.skill_id if self.served and self.served.skill_id != DIALOGUE_SKILL else ""


class EffectJournal(Protocol):
    """Where it is written down that something is about to be changed, and that it was (`records`)."""

    async def begin(self) -> None:
        """Called before an effect. Raises, and so prevents it, when the turn is no longer this stream's."""

    async def settle(self, delivery: Delivery) -> None:
        """Called when the effect is acknowledged, even if nobody listens any more."""


@dataclass
class Desk:
    """What all answers of a replica share."""

    ports: Ports
    registry: SkillRegistry
    circuits: Circuits
    budgets: Budgets = field(default_factory=Budgets)
    _effects: set[asyncio.Task[Any]] = field(default_factory=set)

    def keep(self, effect: asyncio.Task[tuple[SkillEvent, ...]]) -> None:
        """Let an effect run to its end although its turn may go away."""
        self._effects.add(effect)
        effect.add_done_callback(self._ended)

    def tell_dialogue(self, ask: DialogueAsk, context: TurnContext) -> None:
        """Let the dialogue service know of an answer that a skill gave; nobody waits for it."""
        task = asyncio.create_task(self._tell_dialogue(ask, context))
        self._effects.add(task)
        task.add_done_callback(self._effects.discard)

    async def settle(self) -> None:
        """Wait for what is under way: before the replica stops."""
        await asyncio.gather(*self._effects, return_exceptions=True)

    async def _tell_dialogue(self, ask: DialogueAsk, context: TurnContext) -> None:
        try:
            async with reading(self.ports.dialogue.respond(ask, context)) as words:
                async for _ in words:
                    continue
        except AntiphonError as error:
            log.warning("dialogue was not told of an answer: %s", error.reason)

    def _ended(self, effect: asyncio.Task[tuple[SkillEvent, ...]]) -> None:
        self._effects.discard(effect)
        if not effect.cancelled() and (error := effect.exception()) is not None:
            log.debug("an effect ended in %s", type(error).__name__)


class Answering:
    """One answer.

    Args:
        key: idempotency key of the turn.
        text: what the user said.
        adopted: set when the turn has decided for this answer; until then nothing may be changed in the world.
    """

    def __init__(
        self,
        desk: Desk,
        context: TurnContext,
        ledger: LatencyLedger,
        emit: Emit,
        journal: EffectJournal,
        *,
        key: str,
        text: str,
        understanding: Understanding,
        adopted: asyncio.Event,
        skill_state: bytes = b"",
    ) -> None:
        self._desk = desk
        self._context = context
        self._ledger = ledger
        self._emit = emit
        self._journal = journal
        self._key = key
        self._heard = text
        self._understanding = understanding
        self._adopted = adopted
        self._skill_state = skill_state
        self._speculative = not adopted.is_set()
        self._voice = Voice(desk.ports.synthesis, context, ledger, emit, speculative=self._speculative)
        self._patience = Patience(desk, context, ledger, emit, adopted, self._words(Say.PROGRESS))
        self._said = ""

    async def deliver(self, decision: Decision) -> Delivery:
        """Carry the decision out, to the last chunk of audio."""
        try:
            delivery = await self._carry_out(decision)
            await self._voice.finish()
            if self._voice.error is not None:
                await self._emit(TurnFailed(self._context.turn_id, self._voice.error))
            if delivery.skill_id:
                await self._adopted.wait()  # an answer that was begun ahead may never be given
                about = (delivery.served,) if delivery.served else ()
                track = replace(self._words(Say.TRACK), about=about, skill_answer=delivery.text)
                self._desk.tell_dialogue(track, self._context)
            return delivery
        finally:
            await self._patience.close()
            await self._voice.close()

    async def _carry_out(self, decision: Decision) -> Delivery:
        if decision.action is Action.EXECUTE:
            return await self._execute(decision)
        reason = str(decision.reason)
        if decision.action is Action.CONFIRM:
            return await self._speak(Say.CONFIRM, reason, Outcome.ASKED, decision.eligible[:1])
        if decision.action is Action.CLARIFY and decision.reason is Reason.MISSING_SLOT:
            missing = decision.eligible[0].missing_slots[0]
            return await self._speak(Say.ELICIT_SLOT, reason, Outcome.ASKED, decision.eligible[:1], slot=missing)
        if decision.action is Action.CLARIFY:
            return await self._speak(Say.CLARIFY, reason, Outcome.ASKED, decision.eligible[:CHOICES])
        if decision.action is Action.FALLBACK:
            social = self._understanding.social >= SOCIAL
            outcome = Outcome.ANSWERED if social or decision.reason is Reason.DENIED_BY_USER else Outcome.NOT_UNDERSTOOD
            return await self._speak(Say.OPEN if social else Say.FALLBACK, reason, outcome)
        silent = Outcome.NO_SPEECH if decision.reason is Reason.NO_SPEECH else Outcome.REJECTED
        return Delivery(silent, reason)

    # --- skills ----------------------------------------------------------------------------------------------------
    async def _execute(self, decision: Decision) -> Delivery:
        failed: list[Hypothesis] = []
        fault: SkillFault | None = None
        for attempt, candidate in enumerate(_worth_trying(decision), start=1):
            if candidate.hypothesis.skill_id == DIALOGUE_SKILL:
                return await self._speak(Say.OPEN, str(decision.reason), Outcome.ANSWERED, (candidate,))
            if candidate.side_effects:
                await self._adopted.wait()
                if self._context.profile.dry_run:
                    return Delivery(Outcome.ANSWERED, "DRY_RUN", served=candidate.hypothesis, failed=tuple(failed))
            try:
                delivery = await self._serve(candidate, attempt, decision)
                return replace(delivery, failed=tuple(failed))
            except SkillFault as raised:
                fault = raised
                log.warning("skill %s failed: %s", candidate.hypothesis.skill_id, raised.reason)
                failed.append(candidate.hypothesis)
                if fault.effect_possible or self._said:
                    break
        assert fault is not None  # a decision to execute has a candidate, and it did not return
        reason = "UNKNOWN_EFFECT" if fault.effect_possible else fault.reason
        await self._emit(TurnFailed(self._context.turn_id, fault))
        delivery = await self._speak(Say.APOLOGIZE, reason, Outcome.FAILED)
        return replace(delivery, failed=tuple(failed))

    async def _serve(self, candidate: Candidate, attempt: int, decision: Decision) -> Delivery:
        hypothesis = candidate.hypothesis
        if not self._desk.circuits.allows(hypothesis.skill_id, Duty.EXECUTE):
            raise SkillFault("CIRCUIT_OPEN", effect_possible=False)
        order = self._order(hypothesis, attempt, confirmed=decision.reason is Reason.CONFIRMED_BY_USER)
        conduct = Conduct(order, candidate.side_effects)
        self._patience.begin()
        if candidate.side_effects:
            events = _replayed(await self._effect(conduct, attempt))
        else:
            events = self._watched(conduct, attempt)
        told = _Told(hypothesis)
        async with reading(events) as watched:
            async for event in watched:
                await self._tell(event, told)
        if not told.delivered:
            raise SkillFault("SKILL_SILENT", effect_possible=False)
        return told.delivery(self._said)

    async def _effect(self, conduct: Conduct, attempt: int) -> tuple[SkillEvent, ...]:
        """An execution that changes something: noted before, held back until its receipt is there, noted after.

        It is not cancelled with the turn: half an effect would be worse than one that nobody hears of.
        """
        try:
            await self._journal.begin()
        except AntiphonError:
            self._desk.circuits.abandoned(conduct.order.hypothesis.skill_id, Duty.EXECUTE)
            raise
        effect = asyncio.create_task(self._collect(conduct, attempt))
        self._desk.keep(effect)
        return await asyncio.shield(effect)

    async def _collect(self, conduct: Conduct, attempt: int) -> tuple[SkillEvent, ...]:
        async with reading(self._watched(conduct, attempt)) as watched:
            events = tuple([event async for event in watched])
        done = events[-1]
        assert isinstance(done, SkillDone)  # `well_behaved` ends with it or raises
        await self._journal.settle(_Told(conduct.order.hypothesis, done).delivery(conduct.text))
        return events

    async def _watched(self, conduct: Conduct, attempt: int) -> AsyncIterator[SkillEvent]:
        """The skill's events within its deadline; its circuit learns how it went."""
        skill_id, circuits = conduct.order.hypothesis.skill_id, self._desk.circuits
        limit = self._limit(conduct.order.hypothesis)
        events = conduct.well_behaved(self._desk.ports.skills.execute(conduct.order, self._context))
        deadline = asyncio.get_running_loop().time() + limit
        try:
            with self._ledger.step(
                Step.EXECUTION, deadline=limit, skill_id=skill_id, attempt=attempt, speculative=self._speculative
            ):
                while True:
                    async with asyncio.timeout_at(deadline):  # the time the client takes to read is not the skill's
                        event = await anext(events, None)
                    if event is None:
                        break
                    yield event
        except TimeoutError:
            circuits.failed(skill_id, Duty.EXECUTE)
            raise SkillFault("SKILL_TIMEOUT", effect_possible=conduct.side_effects) from None
        except SkillFault:
            circuits.failed(skill_id, Duty.EXECUTE)
            raise
        except (asyncio.CancelledError, GeneratorExit):
            circuits.abandoned(skill_id, Duty.EXECUTE)
            raise
        finally:
            await events.aclose()
        if conduct.breaches:
            circuits.failed(skill_id, Duty.EXECUTE)
        else:
            circuits.succeeded(skill_id, Duty.EXECUTE)

    async def _tell(self, event: SkillEvent, told: _Told) -> None:
        turn_id = self._context.turn_id
        if isinstance(event, SkillAnswer):
            told.delivered = True
            await self._say(event.text, told.hypothesis.skill_id, event.wire)
        elif isinstance(event, SkillProgress):
            await self._patience.say(event.text, event.wire)
        elif isinstance(event, SkillExtra):
            told.delivered = True
            await self._emit(Extra(turn_id, event.kind, event.wire))
        elif isinstance(event, SkillPrompt):
            told.delivered = True
            prompt = PendingPrompt(event.prompt_id, event.kind, (told.hypothesis,), event.text, event.slot, event.wire)
            told.prompt = prompt
            await self._say(event.text, told.hypothesis.skill_id)
            await self._emit(Asked(turn_id, prompt, event.wire))
        else:
            told.done = event

    def _order(self, hypothesis: Hypothesis, attempt: int, *, confirmed: bool) -> Order:
        pending = self._context.state.pending
        mine = pending is not None and any(about.skill_id == hypothesis.skill_id for about in pending.about)
        parts = (self._context.profile.tenant, self._key, hypothesis.skill_id, str(attempt))
        return Order(
            hypothesis,
            idempotency_key=hashlib.sha256("\0".join(parts).encode()).hexdigest(),
            confirmed=confirmed,
            prompt_id=pending.prompt_id if pending is not None and mine else "",
            skill_state=self._skill_state if mine or self._context.last_skill == hypothesis.skill_id else b"",
        )

    def _limit(self, hypothesis: Hypothesis) -> float:
        budget = self._desk.budgets[Stage.EXECUTE].seconds
        skill = self._desk.registry.find(hypothesis.skill_id)
        intent = skill.manifest.intent(hypothesis.intent) if skill else None
        return min(budget, intent.timeout) if intent and intent.timeout else budget

    # --- words -----------------------------------------------------------------------------------------------------
    def _words(self, say: Say, reason: str = "", about: tuple[Candidate, ...] = (), slot: str = "") -> DialogueAsk:
        registry, profile = self._desk.registry, self._context.profile
        asked = () if say in (Say.OPEN, Say.FALLBACK) else tuple(candidate.hypothesis for candidate in about)
        return DialogueAsk(
            say,
            hashlib.sha256(f"{profile.tenant}\0{self._key}\0{say}".encode()).hexdigest(),
            reason,
            self._heard,
            self._understanding,
            tuple(candidate.hypothesis for candidate in about),
            slot,
            question_for(registry, about[0].hypothesis, slot, profile.locale) if slot and about else "",
            skills_in_words(registry, profile, asked) if say in NAMING else (),
        )

    async def _speak(
        self, say: Say, reason: str, outcome: Outcome, about: tuple[Candidate, ...] = (), slot: str = ""
    ) -> Delivery:
        """The dialogue service's words. Without them the turn ends in silence and says so to the program."""
        ask = self._words(say, reason, about, slot)
        prompt: PendingPrompt | None = None
        limit = self._desk.budgets[Stage.DIALOGUE].seconds
        try:
            with self._ledger.step(Step.DIALOGUE, deadline=limit, speculative=self._speculative):
                async with asyncio.timeout(limit) as deadline:
                    async with reading(self._desk.ports.dialogue.respond(ask, self._context)) as words:
                        async for event in words:
                            deadline.reschedule(None)  # the limit is for the first word; then the client sets the pace
                            prompt = await self._tell_dialogue(event, ask, prompt)
        except TimeoutError:
            return await self._speechless(fault_of(AntiphonError("", reason="DIALOGUE_TIMEOUT"), side_effects=False))
        except AntiphonError as error:
            return await self._speechless(error)
        served = about[0].hypothesis if about and outcome is Outcome.ANSWERED else None
        return Delivery(outcome, reason, self._said, served, prompt, expects_follow_up=prompt is not None)

    async def _tell_dialogue(
        self, event: DialogueText | DialoguePrompt | DialogueExtra, ask: DialogueAsk, prompt: PendingPrompt | None
    ) -> PendingPrompt | None:
        if isinstance(event, DialogueText):
            await self._say(event.text, "", event.wire)
        elif isinstance(event, DialogueExtra):
            await self._emit(Extra(self._context.turn_id, event.kind, event.wire))
        else:
            prompt = PendingPrompt(event.prompt_id, event.kind, ask.about, event.text, event.slot, event.wire)
            await self._emit(Asked(self._context.turn_id, prompt, event.wire))
        return prompt

    async def _speechless(self, error: AntiphonError) -> Delivery:
        log.warning("dialogue failed: %s", error.reason)
        await self._emit(TurnFailed(self._context.turn_id, error))
        return Delivery(Outcome.FAILED, error.reason, self._said)

    async def _say(self, text: str, skill_id: str, wire: bytes = b"") -> None:
        await self._patience.end()
        start, self._said = len(self._said), self._said + text
        await self._emit(AnswerText(self._context.turn_id, text, start, skill_id, wire))
        await self._voice.say(text)


@dataclass
class _Told:
    """What a skill has said of one execution."""

    hypothesis: Hypothesis
    done: SkillDone = field(default_factory=SkillDone)
    prompt: PendingPrompt | None = None
    delivered: bool = False

    def delivery(self, text: str) -> Delivery:
        done, receipt = self.done, self.done.receipt
        outcome = Outcome.ASKED if done.ending is Ending.AWAITING_USER else Outcome.ANSWERED
        return Delivery(
            outcome,
            done.reason,
            text,
            self.hypothesis,
            self.prompt,
            receipt.wire if receipt else b"",
            done.skill_state,
            done.expects_follow_up or self.prompt is not None,
        )


def _worth_trying(decision: Decision) -> tuple[Candidate, ...]:
    """The winner and at most one more: the next hypothesis that is likely enough and changes nothing."""
    first, *others = decision.eligible
    seconds = (
        other
        for other in others
        if other.probability >= SECOND_CHOICE
        and not other.side_effects
        and other.hypothesis.skill_id != first.hypothesis.skill_id
    )
    return (first, *[second for second, _ in zip(seconds, range(1), strict=False)])


async def _replayed(events: tuple[SkillEvent, ...]) -> AsyncIterator[SkillEvent]:
    """Events that were held back; news of progress is old by now."""
    for event in events:
        if not isinstance(event, SkillProgress):
            yield event
