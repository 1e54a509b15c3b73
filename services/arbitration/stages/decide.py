"""What to do with a ranked list: the action with the least expected cost.

Asked by `judging` at the end of every decision. Costs are what an outcome is worth to the user, in units of one
needless question; thresholds follow from them, so that raising the cost of a wrong purchase raises the bar for it and
nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

from services.arbitration.contexts import PendingPrompt, PromptKind, TurnContext, TurnType
from services.arbitration.hypotheses import (
    Action,
    Candidate,
    Decision,
    Hypothesis,
    Reason,
    Rejection,
    Risk,
    Understanding,
)

WRONG: Final[Mapping[Risk, float]] = MappingProxyType({Risk.LOW: 5.0, Risk.MEDIUM: 10.0, Risk.HIGH: 60.0})


@dataclass(frozen=True, slots=True)
class Costs:
    """What outcomes cost, in needless questions.

    Attributes:
        wrong: executing something that was not meant, by risk.
        question: being asked "shall I ...?" when it was meant.
        wrong_question: the extra of being asked about something that was not meant.
        choice: being asked "this or that?".
        wrong_choice: the extra when neither was meant.
        missed: being told "I did not understand" when the best candidate was meant.
        unverified: factor on `wrong` when nobody could tell in time whether the assistant was spoken to.
    """

    wrong: Mapping[Risk, float] = field(default_factory=lambda: WRONG)
    question: float = 1.0
    wrong_question: float = 1.7
    choice: float = 1.3
    wrong_choice: float = 2.0
    missed: float = 4.0
    unverified: float = 1.5

    def execute_threshold(self, risk: Risk) -> float:
        """Least probability at which executing costs less than asking first; above 1 for what is always confirmed."""
        if risk is Risk.HIGH:
            return float("inf")
        return 1.0 - self.question / (self.wrong[risk] - self.wrong_question)


@dataclass(frozen=True, slots=True)
class Rules:
    """What is settled before costs are weighed.

    Attributes:
        directed: least probability of having been spoken to; below it the turn is rejected.
        out_of_scope: probability of being out of scope above which the fallback is called by that name.
        close: the second candidate's share of the first's probability from which two count as close.
        answer: least probability of a yes or no that answers a question.
    """

    directed: float = 0.3
    out_of_scope: float = 0.5
    close: float = 0.5
    answer: float = 0.6


@dataclass(frozen=True, slots=True)
class Decider:
    """Turns a ranked list into a decision."""

    costs: Costs = field(default_factory=Costs)
    rules: Rules = field(default_factory=Rules)

    def decide(
        self,
        ranked: Sequence[Candidate],
        understanding: Understanding,
        context: TurnContext,
        *,
        directed: float | None = 1.0,
        heard: bool = True,
    ) -> Decision:
        """The decision.

        Args:
            ranked: best first, those that are not eligible last.
            directed: probability that the assistant was spoken to; None when nobody said in time.
            heard: False when no words were recognised.
        """
        settled = self._settled(understanding, context, directed, heard)
        if settled is not None:
            return settled
        eligible = [candidate for candidate in ranked if candidate.eligible]
        if not eligible:
            return self._fallback(ranked, understanding, directed, {})
        costs = self.expected_costs(eligible, directed)
        action = min(costs, key=lambda weighed: costs[weighed])
        if action is Action.FALLBACK:
            return self._fallback(ranked, understanding, directed, costs)
        reason = self._reason(action, eligible[0])
        if action in (Action.EXECUTE, Action.CONFIRM) and eligible[0].missing_slots:  # nobody confirms half of it
            action, reason = Action.CLARIFY, Reason.MISSING_SLOT
        threshold = min(1.0, self.costs.execute_threshold(eligible[0].risk))
        return Decision(action, reason, tuple(ranked), costs, threshold, understanding.out_of_scope, directed)

    def expected_costs(self, eligible: Sequence[Candidate], directed: float | None) -> dict[Action, float]:
        """Expected cost of each action that is open. `eligible` holds at least one candidate, best first."""
        costs, first = self.costs, eligible[0]
        p = first.probability
        weighed = {
            Action.CONFIRM: costs.question + (1 - p) * costs.wrong_question,
            Action.FALLBACK: p * costs.missed,
        }
        if first.risk is not Risk.HIGH:
            factor = costs.unverified if directed is None else 1.0
            weighed[Action.EXECUTE] = (1 - p) * costs.wrong[first.risk] * factor
        if len(eligible) > 1 and eligible[1].probability >= self.rules.close * p:
            rest = max(0.0, 1 - p - eligible[1].probability)
            weighed[Action.CLARIFY] = costs.choice + rest * costs.wrong_choice
        return weighed

    def _settled(
        self, understanding: Understanding, context: TurnContext, directed: float | None, heard: bool
    ) -> Decision | None:
        if not heard:
            return Decision(Action.REJECT, Reason.NO_SPEECH, directed=directed)
        if directed is not None and directed < self.rules.directed:
            return Decision(Action.REJECT, Reason.NOT_DIRECTED, directed=directed)
        pending = context.state.pending
        if pending is None or pending.kind is not PromptKind.CONFIRM or context.turn_type is TurnType.BARGE_IN:
            return None
        if understanding.denies >= max(self.rules.answer, understanding.affirms):
            return Decision(Action.FALLBACK, Reason.DENIED_BY_USER, directed=directed)
        if understanding.affirms >= self.rules.answer:
            return Decision(Action.EXECUTE, Reason.CONFIRMED_BY_USER, _confirmed(pending), directed=directed)
        return None

    def _fallback(
        self,
        ranked: Sequence[Candidate],
        understanding: Understanding,
        directed: float | None,
        costs: Mapping[Action, float],
    ) -> Decision:
        out_of_scope = understanding.out_of_scope
        if out_of_scope >= self.rules.out_of_scope:
            reason = Reason.OUT_OF_SCOPE
        elif any(candidate.eligible for candidate in ranked):
            reason = Reason.LOW_CONFIDENCE
        elif ranked and all(candidate.rejected is Rejection.LOCALE for candidate in ranked):
            reason = Reason.LOCALE
        else:
            reason = Reason.NONE_ELIGIBLE
        return Decision(
            Action.FALLBACK, reason, tuple(ranked), dict(costs), out_of_scope=out_of_scope, directed=directed
        )

    def _reason(self, action: Action, best: Candidate) -> Reason:
        if action is Action.EXECUTE:
            return Reason.PROMPT_ANSWERED if best.features.answers_prompt else Reason.CONFIDENT
        if action is Action.CLARIFY:
            return Reason.AMBIGUOUS
        return Reason.RISK if best.risk is Risk.HIGH else Reason.LOW_CONFIDENCE


def _confirmed(pending: PendingPrompt) -> tuple[Candidate, ...]:
    """What the user said yes to, as a list of one. Its risk is settled: they were asked."""

    def certain(hypothesis: Hypothesis) -> Candidate:
        # Whether it has side effects is looked up again by whoever executes; until then the careful answer is yes.
        return Candidate(hypothesis, side_effects=True, probability=1.0)

    return tuple(certain(hypothesis) for hypothesis in pending.about[:1])
