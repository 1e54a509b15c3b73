"""Asks the shortlisted skills whether they can, all at once and within the budget.

Second stage of a decision. A skill that does not answer in time is MISSING, never NO: slowness is no opinion. Nothing
is acted on here, so an answer may be thrown away and asked again.
"""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Final

from services.arbitration.budgets import Budgets, Stage
from services.arbitration.circuits import Circuits, Duty
from services.arbitration.contexts import TurnContext
from services.arbitration.hypotheses import DIALOGUE_SKILL, Candidate, Fulfilment, Hypothesis, Rejection
from services.arbitration.ports import SkillPort
from services.arbitration.registry_of_skills import SkillRegistry
from services.arbitration.stages.hedging import Hedging
from services.runtime.errors import AntiphonError

log = logging.getLogger(__name__)

ASKS_PER_TENANT: Final = 200
"""Bulkhead: questions of one tenant under way in this replica. Beyond it they are not asked and count as MISSING, so
that one tenant's slow skills cannot take the sockets of all."""

ASKS_PER_SKILL: Final = 40
"""The same for one skill of one tenant: one that hangs cannot use up what its tenant may ask of the others."""

_FEATURE: Final = {
    Fulfilment.YES: "fulfil_yes",
    Fulfilment.MAYBE: "fulfil_maybe",
    Fulfilment.NO: "fulfil_no",
    Fulfilment.MISSING: "fulfil_missing",
}


@dataclass
class Fulfilments:
    """The fan-out of CanFulfill. One per replica: it knows which questions are under way."""

    skills: SkillPort
    registry: SkillRegistry
    circuits: Circuits
    budgets: Budgets = field(default_factory=Budgets)
    asks_per_tenant: int = ASKS_PER_TENANT
    asks_per_skill: int = ASKS_PER_SKILL
    hedging: Hedging = field(default_factory=Hedging)
    _under_way: dict[tuple[str, str], int] = field(default_factory=lambda: defaultdict(int))

    async def ask(
        self, candidates: Sequence[Candidate], context: TurnContext, *, shed: bool = False
    ) -> tuple[Candidate, ...]:
        """The candidates in their order, with the skills' answers. Takes at most the budget of the stage.

        A candidate becomes ineligible by NO or by its skill's open circuit, by nothing else that happens here.

        Args:
            shed: ask nobody: all answers are MISSING.
        """
        deadline = asyncio.get_running_loop().time() + self.budgets[Stage.FULFILMENT].seconds
        return tuple(await asyncio.gather(*(self._ask(one, context, deadline, shed) for one in candidates)))

    async def _ask(self, candidate: Candidate, context: TurnContext, deadline: float, shed: bool) -> Candidate:
        skill_id, tenant = candidate.hypothesis.skill_id, context.profile.tenant
        if not candidate.eligible:
            return candidate
        circuit = self.skills.circuit(candidate.hypothesis, context)
        ready = skill_id == DIALOGUE_SKILL or self.circuits.ready(circuit, Duty.EXECUTE)
        if not ready:
            return replace(candidate, rejected=Rejection.CIRCUIT_OPEN)
        if skill_id == DIALOGUE_SKILL or not self._wants_to_be_asked(candidate.hypothesis):
            return candidate
        if shed or self._full(tenant, skill_id):
            return answered(candidate, Fulfilment.MISSING, "SHED", None)
        if not self.circuits.allows(circuit, Duty.ASK):
            return replace(candidate, rejected=Rejection.CIRCUIT_OPEN)
        started = asyncio.get_running_loop().time()
        with self._counted(tenant, skill_id):
            answer, reason = await self._in_time(candidate, context, deadline, circuit)
        return answered(candidate, answer, reason, (asyncio.get_running_loop().time() - started) * 1000.0)

    def _full(self, tenant: str, skill_id: str) -> bool:
        """Whether one of the bulkheads is full: the tenant's, or the one of this skill of the tenant's."""
        return (
            self._under_way.get((tenant, ""), 0) >= self.asks_per_tenant
            or self._under_way.get((tenant, skill_id), 0) >= self.asks_per_skill
        )

    @contextmanager
    def _counted(self, tenant: str, skill_id: str) -> Iterator[None]:
        keys = ((tenant, ""), (tenant, skill_id))
        for key in keys:
            self._under_way[key] += 1
        try:
            yield
        finally:
            for key in keys:
                self._under_way[key] -= 1
                if not self._under_way[key]:
                    del self._under_way[key]

    async def _in_time(
        self, candidate: Candidate, context: TurnContext, deadline: float, circuit: str
    ) -> tuple[Fulfilment, str]:
        skill_id, hypothesis = candidate.hypothesis.skill_id, candidate.hypothesis
        try:
            async with asyncio.timeout_at(deadline):
                first = await self.hedging.ask(
                    circuit, lambda another: self.skills.can_fulfil(hypothesis, context, another=another)
                )
                answer, reason = first.value
        except TimeoutError:
            self.circuits.failed(circuit, Duty.ASK)
            return Fulfilment.MISSING, "TIMEOUT"
        except AntiphonError as error:
            log.warning("skill %s failed CanFulfill: %s", skill_id, error.reason)
            self.circuits.failed(circuit, Duty.ASK)
            return Fulfilment.MISSING, error.reason
        except asyncio.CancelledError:
            self.circuits.abandoned(circuit, Duty.ASK)
            raise
        self.circuits.succeeded(circuit, Duty.ASK)
        return answer, reason

    def _wants_to_be_asked(self, hypothesis: Hypothesis) -> bool:
        skill = self.registry.find(hypothesis.skill_id, hypothesis.version)
        intent = skill.manifest.intent(hypothesis.intent) if skill else None
        return intent is None or intent.ask_first


def answered(candidate: Candidate, answer: Fulfilment, reason: str = "", took_ms: float | None = None) -> Candidate:
    """The candidate with a skill's answer and what follows from it."""
    return replace(
        candidate,
        fulfilment=answer,
        fulfilment_ms=took_ms,
        fulfilment_reason=reason,
        features=replace(candidate.features, **{_FEATURE[answer]: 1.0}),
        rejected=Rejection.CANNOT_FULFILL if answer is Fulfilment.NO else candidate.rejected,
    )
