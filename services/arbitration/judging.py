"""One decision from words to action: understand, shortlist, ask, rank, decide.

`speculation` runs it on partials and `turn` on the final, through the same code, so that an early answer cannot differ
from a late one. Each stage keeps its budget; what a miss costs is evidence, never the turn.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass, field, replace

from services.arbitration.budgets import Budgets, Stage, Stopwatch
from services.arbitration.contexts import TurnContext
from services.arbitration.feedback import FeedbackBook
from services.arbitration.hypotheses import Alternative, Candidate, Decision, StageReport, Understanding
from services.arbitration.ledger import LatencyLedger, Mark, Step
from services.arbitration.ports import UnderstandingPort
from services.arbitration.rankers.choice import RankerKind, Rankers
from services.arbitration.registry_of_skills import SkillRegistry
from services.arbitration.stages.decide import Decider
from services.arbitration.stages.fulfil import Fulfilments
from services.arbitration.stages.shortlist import MAX_CANDIDATES, shortlist
from services.runtime.errors import AntiphonError

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Evidence:
    """Everything a decision needs that had to be asked for: it may be settled more than once."""

    alternatives: tuple[Alternative, ...]
    understanding: Understanding
    candidates: tuple[Candidate, ...] = ()
    stages: tuple[StageReport, ...] = ()


@dataclass
class Judge:
    """Takes decisions. One per replica; keeps nothing of a turn."""

    understanding: UnderstandingPort
    registry: SkillRegistry
    fulfilments: Fulfilments
    feedback: FeedbackBook = field(default_factory=FeedbackBook)
    rankers: Rankers = field(default_factory=Rankers)
    decider: Decider = field(default_factory=Decider)
    budgets: Budgets = field(default_factory=Budgets)
    k: int = MAX_CANDIDATES

    async def gather(
        self,
        alternatives: tuple[Alternative, ...],
        context: TurnContext,
        ledger: LatencyLedger,
        *,
        speculative: bool = False,
        known: Understanding | None = None,
    ) -> Evidence:
        """Ask understanding and skills. Never fails: a service that is gone leaves less evidence.

        Args:
            known: what the words mean, where nobody has to be asked: an offered answer was picked.
        """
        if known is None:
            understanding, understood = await self._understand(alternatives, context, ledger, speculative)
        else:
            understanding, understood = known, Stopwatch(self.budgets, Stage.UNDERSTAND).report()
        watch = Stopwatch(self.budgets, Stage.SHORTLIST)
        with ledger.step(Step.SHORTLIST, deadline=self.budgets[Stage.SHORTLIST].seconds, speculative=speculative):
            listed = shortlist(understanding, alternatives, context, self.registry, self.feedback, k=self.k)
        shortlisted = watch.report()
        watch = Stopwatch(self.budgets, Stage.FULFILMENT)
        with ledger.step(Step.CAN_FULFILL, deadline=self.budgets[Stage.FULFILMENT].seconds, speculative=speculative):
            asked = await self.fulfilments.ask(listed, context)
        stages = (understood, shortlisted, watch.report())
        return Evidence(alternatives, understanding, asked, stages)

    async def settle(
        self,
        evidence: Evidence,
        context: TurnContext,
        ledger: LatencyLedger,
        *,
        directed: float | None = 1.0,
        kind: RankerKind | None = None,
    ) -> Decision:
        """Rank and decide; needs no other service. `directed` is None when nobody judged it in time.

        Args:
            kind: the ranker wanted; None is the default. Raises FailedPrecondition when it is not loaded.
        """
        ranker = self.rankers.get(kind)
        watch = Stopwatch(self.budgets, Stage.RANK)
        with ledger.step(Step.RANKING, deadline=self.budgets[Stage.RANK].seconds):
            ranked = await ranker.rank(evidence.candidates, evidence.understanding.out_of_scope)
            heard = any(alternative.text.strip() for alternative in evidence.alternatives)
            decision = self.decider.decide(ranked, evidence.understanding, context, directed=directed, heard=heard)
        return replace(decision, stages=(*evidence.stages, watch.report()), ranker=ranker.provenance)

    def refreshed(self, evidence: Evidence, alternatives: tuple[Alternative, ...]) -> Evidence:
        """A partial's evidence for a final with the same words: the recogniser's confidence is the final's."""

        def refresh(candidate: Candidate) -> Candidate:
            number = candidate.hypothesis.interpretation.alternative
            confidence = alternatives[number].confidence if number < len(alternatives) else 0.0
            return replace(candidate, features=replace(candidate.features, asr_confidence=confidence))

        return replace(evidence, alternatives=alternatives, candidates=tuple(map(refresh, evidence.candidates)))

    async def _understand(
        self, alternatives: tuple[Alternative, ...], context: TurnContext, ledger: LatencyLedger, speculative: bool
    ) -> tuple[Understanding, StageReport]:
        watch = Stopwatch(self.budgets, Stage.UNDERSTAND)
        understanding = Understanding()
        failed = False
        try:
            async with asyncio.timeout(self.budgets.understand_limit):
                deadline = self.budgets[Stage.UNDERSTAND].seconds
                with ledger.step(Step.UNDERSTANDING, deadline=deadline, speculative=speculative) as entry:
                    understanding = await self.understanding.interpret(alternatives, context, speculative=speculative)
                    entry.models = understanding.models
        except (AntiphonError, TimeoutError) as error:
            failed = True
            log.warning("understanding failed: %s", error.reason if isinstance(error, AntiphonError) else "TIMEOUT")
        if not speculative:
            ledger.mark(Mark.UNDERSTANDING)
        return understanding, watch.report(missed=True if failed else None)
