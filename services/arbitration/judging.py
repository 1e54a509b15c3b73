"""One decision from words to action, stage by stage:

    rewrite -> interpret -> shortlist -> resolve, carry over -> CanFulfill   (`gather`: asks services and skills)
    rank, calibrate -> decide -> explore                                     (`settle`: needs nobody)

`speculation` runs it on partials and `turn` on the final, through the same code, so that an early answer cannot differ
from a late one. Each stage keeps its budget; what a miss costs is evidence, never the turn.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Final, Protocol

from services.arbitration.budgets import Budgets, Stage
from services.arbitration.contexts import TurnContext
from services.arbitration.feedback import FeedbackBook
from services.arbitration.hypotheses import (
    Action,
    Alternative,
    Candidate,
    Decision,
    Reason,
    StageReport,
    Understanding,
)
from services.arbitration.ledger import LatencyLedger, Mark, Step
from services.arbitration.ports import UnderstandingPort
from services.arbitration.rankers.choice import RankerKind, Rankers
from services.arbitration.registry_of_skills import SkillRegistry
from services.arbitration.stages.choose import chosen
from services.arbitration.stages.decide import Decider
from services.arbitration.stages.explore import Explorer
from services.arbitration.stages.fulfil import Fulfilments
from services.arbitration.stages.interpret import Interpreting, Reading
from services.arbitration.stages.rank import rank
from services.arbitration.stages.resolve import resolve
from services.arbitration.stages.rewrite import Reworded, Rewriter, reworded
from services.arbitration.stages.shedding import Shed, Shedding
from services.arbitration.stages.shortlist import MAX_CANDIDATES, shortlist
from services.arbitration.stages.timing import Stages
from services.runtime.errors import AntiphonError

EXPLAIN_S: Final = 0.25
"""Longest time spent on telling which feature counted how much, after the turn."""


class RankerTrial(Protocol):
    """Which ranker serves a session while a new one is tried on some; implemented by `learning`."""

    def kind(self, session_id: str) -> RankerKind | None:
        """None is the default."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """Everything a decision needs that had to be asked for: it may be settled more than once.

    Attributes:
        alternatives: what was heard, and the rewrite.
        rewrite_id: the rewrite among them; empty if there is none. `rewrite_at` is its index.
    """

    alternatives: tuple[Alternative, ...]
    understanding: Understanding
    candidates: tuple[Candidate, ...] = ()
    stages: tuple[StageReport, ...] = ()
    rewrite_id: str = ""
    rewrite_at: int | None = None


@dataclass
class Judge:
    """Takes decisions. One per replica; keeps nothing of a turn.

    Attributes:
        rewriter: published rewrites; None without.
        explorer: tries another candidate now and then; None without.
        trial: a ranker on trial; None without.
        arms: arms of split traffic that a turn is on, as "capability=arm".
    """

    understanding: UnderstandingPort
    registry: SkillRegistry
    fulfilments: Fulfilments
    feedback: FeedbackBook = field(default_factory=FeedbackBook)
    rankers: Rankers = field(default_factory=Rankers)
    decider: Decider = field(default_factory=Decider)
    budgets: Budgets = field(default_factory=Budgets)
    k: int = MAX_CANDIDATES
    shedding: Shedding = field(default_factory=Shedding)
    rewriter: Rewriter | None = None
    explorer: Explorer | None = None
    trial: RankerTrial | None = None
    arms: Callable[[TurnContext], tuple[str, ...]] = lambda context: ()
    _interpreting: Interpreting = field(init=False)

    def __post_init__(self) -> None:
        self._interpreting = Interpreting(self.understanding, self.registry, self.budgets)

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
            known: what the words mean, where nobody has to be asked: an offered answer was picked. Words that pick
                one are known as well.
        """
        stages = Stages(self.budgets, ledger, speculative)
        if known is None and alternatives:
            known = chosen(alternatives[0].text, context, self.registry)
        heard, reading = Reworded(alternatives), Reading(known or Understanding())
        if known is None:
            heard = self._reword(alternatives, context, stages)
            reading = await self._interpret(heard.alternatives, context, stages)
        considered = self._consider(reading.understanding, heard.alternatives, context, stages, heard.at)
        if reading.stand_ins:
            considered = tuple(replace(candidate, stand_ins=reading.stand_ins) for candidate in considered)
        with stages.stage(Stage.FULFILMENT, Step.CAN_FULFILL) as running:
            running.shed = self.shedding.sheds(Shed.CAN_FULFILL)
            asked = await self.fulfilments.ask(considered, context, shed=running.shed)
            running.fallback = str(self.budgets[Stage.FULFILMENT].fallback) if running.shed else ""
        rewrite_id = heard.rewrite.rewrite_id if heard.rewrite else ""
        return Evidence(heard.alternatives, reading.understanding, asked, tuple(stages.reports), rewrite_id, heard.at)

    def consider(
        self, understanding: Understanding, alternatives: tuple[Alternative, ...], context: TurnContext
    ) -> tuple[Candidate, ...]:
        """The candidates with all features but the skills' own answers. Asks nobody."""
        stages = Stages(self.budgets, LatencyLedger(0.0, 0.0))
        return self._consider(understanding, alternatives, context, stages, None)

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
        understanding, stages = evidence.understanding, Stages(self.budgets, ledger)
        if kind is None and self.trial is not None:
            kind = self.trial.kind(context.session_id)
        with stages.stage(Stage.RANK, Step.RANKING) as running:
            limit = self.budgets[Stage.RANK].seconds
            ranked = await rank(
                evidence.candidates, understanding.out_of_scope, self.rankers, kind, self.shedding, running, limit=limit
            )
            running.models = (ranked.by,)
        heard = any(alternative.text.strip() for alternative in evidence.alternatives)
        decision = self.decider.decide(ranked.candidates, understanding, context, directed=directed, heard=heard)
        decision = self._explored(decision, context)
        return replace(
            decision,
            stages=(*evidence.stages, *stages.reports),
            ranker=ranked.by,
            rewrite_id=_rewritten(decision, evidence),
            arms=self.arms(context),
        )

    async def explained(self, decision: Decision) -> Decision:
        """The decision with what each feature added, where its ranker could not tell while it ranked."""
        ranker = next((one for one in self.rankers.by_kind.values() if one.provenance == decision.ranker), None)
        if ranker is None or not decision.candidates:
            return decision
        try:
            async with asyncio.timeout(EXPLAIN_S):
                return replace(decision, candidates=await ranker.explain(decision.candidates, decision.out_of_scope))
        except (TimeoutError, AntiphonError):
            return decision

    def refreshed(self, evidence: Evidence, alternatives: tuple[Alternative, ...]) -> Evidence:
        """A partial's evidence for a final with the same words: the recogniser's confidence is the final's."""
        if not alternatives:
            return evidence
        best = alternatives[0]
        heard = tuple(replace(alternative, confidence=best.confidence) for alternative in evidence.alternatives[1:])

        def refresh(candidate: Candidate) -> Candidate:
            return replace(candidate, features=replace(candidate.features, asr_confidence=best.confidence))

        return replace(evidence, alternatives=(best, *heard), candidates=tuple(map(refresh, evidence.candidates)))

    # --- the stages ------------------------------------------------------------------------------------------------
    def _reword(self, alternatives: tuple[Alternative, ...], context: TurnContext, stages: Stages) -> Reworded:
        """The words that are read: fewer of them under load, and a rewrite where there is one."""
        shed = len(alternatives) > 1 and self.shedding.sheds(Shed.N_BEST)
        if shed:
            alternatives = alternatives[:1]
        if self.rewriter is None and not shed:
            return Reworded(alternatives)
        with stages.stage(Stage.REWRITE, Step.REWRITE) as running:
            found = reworded(self.rewriter, alternatives, context, limit=self.budgets[Stage.REWRITE].seconds)
            running.missed = found.late
            if shed:
                running.shed, running.fallback = True, "BEST_ALTERNATIVE"
        return found

    async def _interpret(self, alternatives: tuple[Alternative, ...], context: TurnContext, stages: Stages) -> Reading:
        with stages.stage(Stage.UNDERSTAND, Step.UNDERSTANDING) as running:
            reading = await self._interpreting.read(alternatives, context, running, speculative=stages.speculative)
        if not stages.speculative:
            stages.ledger.mark(Mark.UNDERSTANDING)
        return reading

    def _consider(
        self,
        understanding: Understanding,
        alternatives: tuple[Alternative, ...],
        context: TurnContext,
        stages: Stages,
        rewrite_at: int | None,
    ) -> tuple[Candidate, ...]:
        with stages.stage(Stage.SHORTLIST, Step.SHORTLIST):
            listed = shortlist(
                understanding, alternatives, context, self.registry, self.feedback, k=self.k, rewrite_at=rewrite_at
            )
        with stages.stage(Stage.RESOLVE, Step.RESOLUTION):
            return resolve(listed, context, self.registry)

    def _explored(self, decision: Decision, context: TurnContext) -> Decision:
        """Only what would have been executed without a question may be tried otherwise."""
        if self.explorer is None or (decision.action, decision.reason) != (Action.EXECUTE, Reason.CONFIDENT):
            return decision
        found = self.explorer.choose(decision.candidates, context.turn_id)
        return replace(decision, candidates=found.ranked, propensity=found.propensity, explored=found.explored)


def _rewritten(decision: Decision, evidence: Evidence) -> str:
    """The rewrite, if it is what the winner reads."""
    winner = decision.winner
    if winner is None or evidence.rewrite_at is None:
        return ""
    return evidence.rewrite_id if winner.hypothesis.interpretation.alternative == evidence.rewrite_at else ""
