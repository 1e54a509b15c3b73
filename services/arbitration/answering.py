"""Carries out a decision: executes, asks back or says what cannot be done, and turns it into text and speech.

`turn` starts it with the decision, `speculation` may have started it before. Skills are given a deadline and one
alternative; something is said when it takes long. What may change the world waits until the turn is really adopted,
runs to its end once begun, and is noted before and after, so that it happens at most once.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Final

from services.arbitration.budgets import Stage
from services.arbitration.conduct import SkillFault, fault_of
from services.arbitration.contexts import PendingPrompt, TurnContext
from services.arbitration.delivery import Delivery, EffectJournal
from services.arbitration.desk import Desk
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
    Say,
    SkillAnswer,
    SkillDone,
    SkillEvent,
    SkillExtra,
    SkillProgress,
    SkillPrompt,
)
from services.arbitration.speaking_of_skills import phrases_of, question_for, skills_in_words
from services.arbitration.stages.execute import Execution, Told
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
        self._key = key
        self._heard = text
        self._understanding = understanding
        self._adopted = adopted
        self._speculative = not adopted.is_set()
        self._execution = Execution(
            desk, context, ledger, journal, key=key, skill_state=skill_state, speculative=self._speculative
        )
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
                track = replace(self._words(Say.TRACK), about=about, skill_answer=delivery.text, focus=delivery.focus)
                self._desk.tell_dialogue(track, self._context)
            return delivery
        finally:
            await self._patience.close()
            await self._voice.close()

    async def apologize(self, reason: str) -> Delivery:
        """Say that it went wrong before there was anything to decide."""
        try:
            delivery = await self._speak(Say.APOLOGIZE, reason, Outcome.FAILED)
            await self._voice.finish()
            return delivery
        finally:
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
        if decision.action is Action.FALLBACK and self._nobody_understood(decision):
            return await self._speak(Say.APOLOGIZE, "NLU_UNAVAILABLE", Outcome.NOT_UNDERSTOOD)
        if decision.action is Action.FALLBACK:
            social = self._understanding.social >= SOCIAL
            outcome = Outcome.ANSWERED if social or decision.reason is Reason.DENIED_BY_USER else Outcome.NOT_UNDERSTOOD
            return await self._speak(Say.OPEN if social else Say.FALLBACK, reason, outcome)
        silent = Outcome.NO_SPEECH if decision.reason is Reason.NO_SPEECH else Outcome.REJECTED
        return Delivery(silent, reason)

    def _nobody_understood(self, decision: Decision) -> bool:
        """Understanding failed, which is another thing than not to understand."""
        failed = any(stage.stage == Stage.UNDERSTAND and stage.missed for stage in decision.stages)
        return failed and self._understanding == Understanding()

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
        self._patience.begin()
        confirmed = decision.reason is Reason.CONFIRMED_BY_USER
        told = Told(candidate.hypothesis)
        async with reading(await self._execution.serve(candidate, attempt, confirmed=confirmed)) as events:
            async for event in events:
                await self._tell(event, told)
        if not told.delivered:
            raise SkillFault("SKILL_SILENT", effect_possible=False)
        return told.delivery(self._said)

    async def _tell(self, event: SkillEvent, told: Told) -> None:
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
        elif isinstance(event, SkillDone):
            told.done = event

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
            phrases=phrases_of(registry, about[0].hypothesis, profile.locale) if say is Say.CONFIRM else (),
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
