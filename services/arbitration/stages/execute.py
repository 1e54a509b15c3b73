"""Lets a skill serve one hypothesis, and makes sure of what it changes.

`answering` reads the events. A skill is given a deadline and watched (`conduct`). What changes something is noted in
the journal before and after, runs to its end once begun, and is heard of only when it is done; alarms it sets are kept
before its words are believed.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace

from services.arbitration.alarms import owner_of
from services.arbitration.budgets import Stage
from services.arbitration.circuits import Duty
from services.arbitration.conduct import Conduct, SkillFault
from services.arbitration.contexts import PendingPrompt, TurnContext
from services.arbitration.delivery import Delivery, EffectJournal
from services.arbitration.desk import Desk
from services.arbitration.events import Outcome
from services.arbitration.hypotheses import Candidate, Hypothesis
from services.arbitration.ledger import LatencyLedger, Step
from services.arbitration.ports import Ending, Order, SkillAlarm, SkillDone, SkillEvent, SkillProgress
from services.arbitration.records import outcome_unknown
from services.arbitration.streams import reading
from services.runtime.errors import AntiphonError, Code

ALARMS = "ALARMS"
"""The permission to ring later, by the contract's name."""


@dataclass
class Told:
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
            focus=done.focus,
        )


@dataclass
class Execution:
    """Executions within one answer.

    Attributes:
        key: idempotency key of the turn.
        skill_state: what the last skill of the conversation asked to keep.
        speculative: the answer was begun ahead.
    """

    desk: Desk
    context: TurnContext
    ledger: LatencyLedger
    journal: EffectJournal
    key: str
    skill_state: bytes = b""
    speculative: bool = False

    async def serve(self, candidate: Candidate, attempt: int, *, confirmed: bool) -> AsyncIterator[SkillEvent]:
        """The events of the skill, ending with SkillDone. Raises SkillFault, and what the journal raises."""
        order = self._order(candidate.hypothesis, attempt, confirmed=confirmed)
        if not self.desk.circuits.allows(self._circuit(order.hypothesis), Duty.EXECUTE):
            raise SkillFault("CIRCUIT_OPEN", effect_possible=False)
        conduct = Conduct(order, candidate.side_effects)
        if candidate.side_effects:
            return _replayed(await self._effect(conduct, attempt))
        return self._served(conduct, attempt)

    async def _effect(self, conduct: Conduct, attempt: int) -> tuple[SkillEvent, ...]:
        """An execution that changes something: noted before, held back until its receipt is there, noted after.

        It is not cancelled with the turn: half an effect would be worse than one that nobody hears of.
        """
        try:
            hypothesis = conduct.order.hypothesis
            await self.journal.begin(_noted(conduct.order.idempotency_key, hypothesis), hypothesis.version)
        except AntiphonError:
            self.desk.circuits.abandoned(self._circuit(conduct.order.hypothesis), Duty.EXECUTE)
            raise
        effect = asyncio.create_task(self._collect(conduct, attempt))
        self.desk.keep(effect)
        return await asyncio.shield(effect)

    async def _collect(self, conduct: Conduct, attempt: int) -> tuple[SkillEvent, ...]:
        async with reading(self._served(conduct, attempt)) as served:
            events = tuple([event async for event in served])
        done = events[-1]
        assert isinstance(done, SkillDone)  # `well_behaved` ends with it or raises
        await self._keep_alarms(conduct, events)
        await self.journal.settle(Told(conduct.order.hypothesis, done).delivery(conduct.text))
        return events

    async def _keep_alarms(self, conduct: Conduct, events: tuple[SkillEvent, ...]) -> None:
        """An alarm that is not kept must not be promised: then the turn fails instead of saying the skill's words."""
        skill_id, profile = conduct.order.hypothesis.skill_id, self.context.profile
        changes = [event.change for event in events if isinstance(event, SkillAlarm)]
        skill = self.desk.registry.find(skill_id, conduct.order.hypothesis.version)
        if not changes:
            return
        if skill is None or ALARMS not in skill.manifest.permissions:
            self.desk.circuits.failed(self._circuit(conduct.order.hypothesis), Duty.EXECUTE)
            raise SkillFault("SKILL_NOT_PERMITTED", effect_possible=True)
        try:
            owner = owner_of(profile.user_id, profile.device_id, self.context.session_id)
            await self.desk.alarms.change(
                profile.tenant, owner, changes, skill_id=skill_id, device_id=profile.device_id
            )
        except AntiphonError as error:
            raise SkillFault(error.reason, effect_possible=True) from error

    async def _served(self, conduct: Conduct, attempt: int) -> AsyncIterator[SkillEvent]:
        """The skill's events; asked once more, with the same key, when it was lost before it had said anything.

        The key makes that safe: who has acted on it gives the same receipt again, and nobody has acknowledged anything.
        """
        limit = self._limit(conduct.order.hypothesis)
        deadline = asyncio.get_running_loop().time() + limit
        heard = False
        try:
            async with reading(self._watched(conduct, attempt, limit, deadline)) as watched:
                async for event in watched:
                    heard = True
                    yield event
            return
        except SkillFault as fault:
            ready = self.desk.circuits.ready(self._circuit(conduct.order.hypothesis), Duty.EXECUTE)
            if heard or not ready or not _lost(fault):
                raise
        async with reading(self._watched(conduct, attempt + 1, limit, deadline)) as watched:
            async for event in watched:
                yield event

    async def _watched(
        self, conduct: Conduct, attempt: int, limit: float, deadline: float
    ) -> AsyncIterator[SkillEvent]:
        """The skill's events until the deadline; its circuit learns how it went."""
        skill_id, circuits = conduct.order.hypothesis.skill_id, self.desk.circuits
        circuit = self._circuit(conduct.order.hypothesis)
        events = conduct.well_behaved(self.desk.ports.skills.execute(conduct.order, self.context))
        try:
            with self.ledger.step(
                Step.EXECUTION, deadline=limit, skill_id=skill_id, attempt=attempt, speculative=self.speculative
            ):
                while True:
                    async with asyncio.timeout_at(deadline):  # the time the client takes to read is not the skill's
                        event = await anext(events, None)
                    if event is None:
                        break
                    yield event
        except TimeoutError:
            circuits.failed(circuit, Duty.EXECUTE)
            raise SkillFault("SKILL_TIMEOUT", effect_possible=conduct.side_effects) from None
        except SkillFault:
            circuits.failed(circuit, Duty.EXECUTE)
            raise
        except (asyncio.CancelledError, GeneratorExit):
            circuits.abandoned(circuit, Duty.EXECUTE)
            raise
        finally:
            await events.aclose()
        if conduct.breaches:
            circuits.failed(circuit, Duty.EXECUTE)
        else:
            circuits.succeeded(circuit, Duty.EXECUTE)

    def _order(self, hypothesis: Hypothesis, attempt: int, *, confirmed: bool) -> Order:
        # Clients choose keys: those of two users, or devices, must not look like repeats to a skill.
        profile = self.context.profile
        parts = (profile.tenant, profile.user_id, profile.device_id, self.key, hypothesis.skill_id, str(attempt))
        key = hashlib.sha256("\0".join(parts).encode()).hexdigest()
        hypothesis = self._in_version(hypothesis, key)
        pending = self.context.state.pending
        last = self.context.state.past[0].served if self.context.state.past else None
        mine = pending is not None and any(_by_same(about, hypothesis) for about in pending.about)
        return Order(
            hypothesis,
            idempotency_key=key,
            confirmed=confirmed,
            prompt_id=pending.prompt_id if pending is not None and mine else "",
            skill_state=self.skill_state if mine or (last is not None and _by_same(last, hypothesis)) else b"",
        )

    def _in_version(self, hypothesis: Hypothesis, key: str) -> Hypothesis:
        """It in the version that was asked by an attempt that was lost: that one knows whether it is done already.

        Without such an attempt, a version that is gone meanwhile gives way to the one that serves.
        """
        registry, skill_id, profile = self.desk.registry, hypothesis.skill_id, self.context.profile
        if asked := self.journal.asked(_noted(key, hypothesis)):
            if registry.find(skill_id, asked) is None:
                raise outcome_unknown()
            return replace(hypothesis, version=asked)
        if registry.find(skill_id, hypothesis.version) is not None:
            return hypothesis
        serving = registry.find_for(profile.tenant, skill_id, profile.user_id)
        return replace(hypothesis, version=serving.manifest.version if serving else "")

    def _circuit(self, hypothesis: Hypothesis) -> str:
        return self.desk.ports.skills.circuit(hypothesis, self.context)

    def _limit(self, hypothesis: Hypothesis) -> float:
        budget = self.desk.budgets[Stage.EXECUTE].seconds
        skill = self.desk.registry.find(hypothesis.skill_id, hypothesis.version)
        intent = skill.manifest.intent(hypothesis.intent) if skill else None
        return min(budget, intent.timeout) if intent and intent.timeout else budget


def _noted(key: str, hypothesis: Hypothesis) -> str:
    """How the journal names an order."""
    return f"{key} {hypothesis.intent}"


def _by_same(before: Hypothesis, now: Hypothesis) -> bool:
    """Whether the same version of the same skill serves; no version is any."""
    return before.skill_id == now.skill_id and before.version in ("", now.version)


def _lost(fault: SkillFault) -> bool:
    """The connection or the replica went away; the skill itself has said nothing, of an effect least of all."""
    cause = fault.__cause__
    return isinstance(cause, AntiphonError) and cause.code is Code.UNAVAILABLE and not cause.metadata.get("effect")


async def _replayed(events: tuple[SkillEvent, ...]) -> AsyncIterator[SkillEvent]:
    """Events that were held back; news of progress is old by now."""
    for event in events:
        if not isinstance(event, SkillProgress):
            yield event
