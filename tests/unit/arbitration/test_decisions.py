"""How a decision comes about: shortlist, fan-out, ranking, expected costs."""

from __future__ import annotations

import asyncio
import math
import statistics
import time
from dataclasses import replace

import pytest

from antiphon.types.v1 import understanding_pb2
from services.arbitration.adapters.values import from_interpretation
from services.arbitration.budgets import BUDGETS, Budgets, Stage, Stopwatch
from services.arbitration.circuits import CircuitPolicy, Circuits, Duty
from services.arbitration.contexts import ConversationState, PastTurn, PendingPrompt, Profile, PromptKind, TurnContext
from services.arbitration.feedback import RECENT_SECONDS, FeedbackBook
from services.arbitration.hypotheses import (
    Action,
    Alternative,
    Candidate,
    Decision,
    Features,
    Fulfilment,
    Hypothesis,
    Interpretation,
    Reason,
    Rejection,
    Risk,
    Slot,
    Understanding,
)
from services.arbitration.manifests import IntentSpec, Manifest
from services.arbitration.rankers.linear import GROUPS, WEIGHTS, LinearRanker
from services.arbitration.registry_of_skills import EVERYONE, SkillRegistry
from services.arbitration.stages.decide import Costs, Decider
from services.arbitration.stages.fulfil import Fulfilments
from services.arbitration.stages.shortlist import MAX_CANDIDATES, shortlist
from services.runtime.errors import Unavailable
from tests.fakes.arbitration_house import LIGHT_OFF, TIME, TIME_BY_OTHER, registry
from tests.fakes.arbitration_ports import ScriptedSkill, SkillsByName, says
from tests.fakes.virtual_time import now, run

pytestmark = pytest.mark.unit

CONTEXT = TurnContext("session", "turn", Profile("acme", "en"), now=1_000_000.0)
HEARD = (Alternative("what time is it", 0.9), Alternative("what time is hit", 0.5))


def listed(
    *readings: Interpretation,
    context: TurnContext = CONTEXT,
    skills: SkillRegistry | None = None,
    book: FeedbackBook | None = None,
    k: int = MAX_CANDIDATES,
) -> tuple[Candidate, ...]:
    return shortlist(Understanding(readings), HEARD, context, skills or registry(), book or FeedbackBook(), k=k)


def profile(**more: object) -> TurnContext:
    return replace(CONTEXT, profile=replace(CONTEXT.profile, **more))  # type: ignore[arg-type]


# --- shortlist -----------------------------------------------------------------------------------------------------
def test_readings_are_joined_with_skills_best_first() -> None:
    found = listed(TIME_BY_OTHER, TIME)
    assert [(c.hypothesis.skill_id, c.rejected) for c in found] == [("clock", ""), ("watch", "")]
    assert found[0].features.margin == pytest.approx(0.55)
    assert found[0].features.asr_confidence == 0.9


def test_a_reading_for_any_skill_finds_every_skill_with_its_intent() -> None:
    skills = SkillRegistry()
    skills.register(Manifest("clock", "1.0.0", ("en",), (IntentSpec("clock.time"),)), built_in=True)
    skills.enable(EVERYONE, "clock")
    (found,) = listed(replace(TIME, skill_id=""), skills=skills)
    assert found.hypothesis.skill_id == "clock"


def test_unknown_skills_and_intents_are_no_candidates() -> None:
    assert listed(replace(TIME, skill_id="nobody"), replace(TIME, intent="clock.weather")) == ()


def test_readings_that_do_the_same_are_one_candidate() -> None:
    (found,) = listed(replace(TIME, confidence=0.6, alternative=1), TIME)
    assert found.features.intent_confidence == 0.95
    assert len(listed(TIME, replace(TIME, slots=(Slot("place", "rome"),)))) == 2


def test_no_more_than_k_are_kept_and_the_rest_is_explained() -> None:
    readings = [replace(TIME, slots=(Slot("place", str(n)),), confidence=n / 100) for n in range(30)]
    found = listed(*readings, k=50)
    kept = [candidate for candidate in found if candidate.eligible]
    assert len(kept) == MAX_CANDIDATES
    assert kept[0].features.intent_confidence == 0.29
    assert {c.rejected for c in found[MAX_CANDIDATES:]} == {Rejection.NOT_SHORTLISTED}


def test_why_a_skill_is_out() -> None:
    skills = registry()
    skills.enable("acme", "clock", enabled=False)
    assert listed(TIME, skills=skills)[0].rejected is Rejection.NOT_ENABLED
    assert listed(TIME, skills=skills, context=profile(tenant="globex"))[0].eligible
    assert listed(TIME, context=profile(locale="ja"))[0].rejected is Rejection.LOCALE
    assert listed(TIME, context=profile(locale="en-GB"))[0].eligible
    assert listed(TIME, context=profile(only_skills=frozenset({"watch"})))[0].rejected is Rejection.NOT_ENABLED

    seen = IntentSpec("clock.time", needs_screen=True)
    skills.register(Manifest("clock", "1.0.0", ("en",), (seen,)))
    skills.enable("acme", "clock")
    assert listed(TIME, skills=skills)[0].rejected is Rejection.DEVICE
    with_screen = profile(has_screen=True)
    assert listed(TIME, skills=skills, context=with_screen)[0].rejected is Rejection.CONSENT
    agreed = profile(has_screen=True, third_party_skills=True)
    assert listed(TIME, skills=skills, context=agreed)[0].eligible


def test_context_is_seen() -> None:
    clock = Hypothesis("clock", TIME)
    state = ConversationState(
        (PastTurn("t", "", "", clock, 0.0),), PendingPrompt("p", PromptKind.ELICIT_SLOT, (clock,))
    )
    book = FeedbackBook()
    book.used("acme", "", "clock", CONTEXT.now - RECENT_SECONDS)
    for _ in range(10):
        book.record("acme", "clock", "clock.time", good=True)
    features = listed(TIME, context=replace(CONTEXT, state=state), book=book)[0].features
    assert (features.same_skill, features.answers_prompt, features.used_recently) == (1.0, 1.0, 1.0)
    assert features.feedback == pytest.approx(0.75)
    stranger = listed(TIME)[0].features
    assert (stranger.same_skill, stranger.answers_prompt, stranger.used_recently, stranger.feedback) == (0, 0, 0, 0.5)


def test_required_slots_that_are_missing_are_named() -> None:
    alarm = Interpretation("alarm.set", 0.9, skill_id="alarm")
    assert listed(alarm)[0].missing_slots == ("time",)
    assert listed(replace(alarm, slots=(Slot("time", "six"),)))[0].missing_slots == ()


# --- CanFulfill ----------------------------------------------------------------------------------------------------
def asking(skills: dict[str, ScriptedSkill], **more: object) -> Fulfilments:
    return Fulfilments(SkillsByName(skills), registry(), Circuits(), **more)  # type: ignore[arg-type]


def test_all_are_asked_at_once_within_the_budget() -> None:
    skills = {"clock": ScriptedSkill(says(), thinking=None), "watch": ScriptedSkill(says(), thinking=0.05)}
    fulfilments = asking(skills)

    async def scenario() -> tuple[tuple[Candidate, ...], float]:
        return await fulfilments.ask(listed(TIME, TIME_BY_OTHER), CONTEXT), now()

    (clock, watch), took = run(scenario())
    assert took == pytest.approx(0.08)
    assert (clock.fulfilment, clock.features.fulfil_missing, clock.eligible) == (Fulfilment.MISSING, 1.0, True)
    assert (watch.fulfilment, watch.features.fulfil_yes) == (Fulfilment.YES, 1.0)
    assert watch.fulfilment_ms == pytest.approx(50)


class Refusing(SkillsByName):
    """Skills whose CanFulfill fails at once."""

    async def can_fulfil(
        self, hypothesis: Hypothesis, context: TurnContext, *, another: bool = False
    ) -> tuple[Fulfilment, str]:
        self.asked.append(hypothesis.skill_id)
        raise Unavailable("gone", reason="SKILL_GONE")


def test_an_error_is_missing_too_and_opens_the_circuit() -> None:
    skills = Refusing({})
    fulfilments = Fulfilments(skills, registry(), Circuits(CircuitPolicy(failures=3, rest=5.0)))

    async def scenario() -> list[Candidate]:
        seen: list[Candidate] = []
        for _ in range(5):
            seen += await fulfilments.ask(listed(TIME), CONTEXT)
        await asyncio.sleep(5.0)
        return [*seen, *await fulfilments.ask(listed(TIME), CONTEXT)]

    seen = run(scenario())
    assert [candidate.rejected for candidate in seen] == [
        "",
        "",
        "",
        Rejection.CIRCUIT_OPEN,
        Rejection.CIRCUIT_OPEN,
        "",
    ]
    assert seen[0].fulfilment_reason == "SKILL_GONE"
    assert len(skills.asked) == 4


def test_one_tenants_hanging_skills_leave_others_alone() -> None:
    fulfilments = asking({"clock": ScriptedSkill(says(), thinking=None)}, asks_per_tenant=3)

    async def scenario() -> tuple[list[tuple[Candidate, ...]], tuple[Candidate, ...]]:
        mine = [fulfilments.ask(listed(TIME), CONTEXT) for _ in range(5)]
        theirs = fulfilments.ask(listed(TIME), profile(tenant="globex"))
        results = await asyncio.gather(*mine, theirs)
        return list(results[:-1]), results[-1]

    mine, (theirs,) = run(scenario())
    assert [candidate.fulfilment_reason for (candidate,) in mine] == ["TIMEOUT"] * 3 + ["SHED"] * 2
    assert theirs.fulfilment_reason == "TIMEOUT"


def test_a_skill_that_does_not_want_to_be_asked_is_not() -> None:
    skills = SkillsByName({})
    quiet = registry()
    quiet.register(Manifest("clock", "2.0.0", ("en",), (IntentSpec("clock.time", ask_first=False),)), built_in=True)
    (candidate,) = run(Fulfilments(skills, quiet, Circuits()).ask(listed(TIME, skills=quiet), CONTEXT))
    assert candidate.fulfilment is Fulfilment.NOT_ASKED
    assert skills.asked == []


@pytest.mark.parametrize("confidence", [math.nan, math.inf, -math.inf, -1.0, 7.0])
def test_a_broken_models_confidence_is_a_probability_all_the_same(confidence: float) -> None:
    message = understanding_pb2.Interpretation(intent="clock.time", intent_confidence=confidence)
    message.slots.add(name="place", confidence=confidence)
    reading = from_interpretation(message)
    assert reading.confidence == reading.slots[0].confidence == (1.0 if confidence > 0 else 0.0)


def test_calls_that_fail_together_open_a_circuit_for_one_rest() -> None:
    async def scenario() -> None:
        circuits = Circuits(CircuitPolicy(failures=2, rest=5.0))
        for _ in range(40):
            circuits.failed("clock", Duty.ASK)
        assert not circuits.ready("clock", Duty.ASK)
        await asyncio.sleep(5.0)
        assert circuits.ready("clock", Duty.ASK)

    run(scenario())


def test_circuits_open_rest_try_and_close() -> None:
    async def scenario() -> None:
        circuits = Circuits(CircuitPolicy(failures=2, rest=5.0, longest_rest=15.0))

        def allows() -> bool:
            return circuits.allows("clock", Duty.EXECUTE)

        circuits.failed("clock", Duty.EXECUTE)
        assert allows()
        circuits.failed("clock", Duty.EXECUTE)
        assert not allows()
        assert (circuits.state("clock"), circuits.state("watch")) == ("OPEN", "CLOSED")
        assert circuits.allows("clock", Duty.ASK)  # another duty
        assert circuits.allows("watch", Duty.EXECUTE)
        await asyncio.sleep(5.0)
        assert circuits.ready("clock", Duty.EXECUTE)
        assert circuits.state("clock") == "HALF_OPEN"
        assert allows()
        assert not allows()  # one trial at a time
        circuits.failed("clock", Duty.EXECUTE)
        await asyncio.sleep(9.9)
        assert not allows()  # the rest has doubled
        await asyncio.sleep(0.1)
        assert allows()
        circuits.abandoned("clock", Duty.EXECUTE)
        assert allows()
        circuits.succeeded("clock", Duty.EXECUTE)
        assert circuits.state("clock") == "CLOSED"
        assert allows()
        assert allows()

    run(scenario())


# --- ranking -------------------------------------------------------------------------------------------------------
def candidate(skill_id: str = "clock", *, risk: Risk = Risk.LOW, rejected: Rejection = Rejection.NONE,
              **features: float) -> Candidate:  # fmt: skip
    hypothesis = Hypothesis(skill_id, Interpretation(f"{skill_id}.time", 0.9, skill_id=skill_id))
    return Candidate(hypothesis, risk=risk, features=Features(**features), rejected=rejected)


def test_probabilities_of_a_list_and_of_none_of_them_are_one() -> None:
    ranked = LinearRanker().ranked([candidate(intent_confidence=0.9), candidate("watch", intent_confidence=0.7)], 0.1)
    assert ranked[0].hypothesis.skill_id == "clock"
    assert 0 < 1 - sum(c.probability for c in ranked) < 0.5


def test_a_lone_poor_candidate_is_not_certain() -> None:
    (poor,) = LinearRanker().ranked([candidate(intent_confidence=0.3)], 0.9)
    assert poor.probability < 0.1


def test_a_score_is_the_sum_of_its_contributions() -> None:
    (ranked,) = LinearRanker().ranked([candidate(intent_confidence=0.8, fulfil_yes=1.0, asr_rank=0.5)], 0.0)
    assert ranked.score == pytest.approx(sum(part.points for part in ranked.contributions))
    assert {(p.feature, p.points) for p in ranked.contributions} >= {("fulfil_yes", 1.0), ("asr_rank", -0.75)}
    sizes = [abs(part.points) for part in ranked.contributions]
    assert sizes == sorted(sizes, reverse=True)


@pytest.mark.parametrize(
    "feature", ["fulfil_yes", "answers_prompt", "catalogue_hit", "enabled_by_user", "used_recently"]
)
def test_evidence_for_a_candidate_promotes_it(feature: str) -> None:
    favoured = replace(candidate("watch"), features=replace(Features(intent_confidence=0.5), **{feature: 1.0}))
    ranked = LinearRanker().ranked([candidate(intent_confidence=0.5), favoured], 0.0)
    assert ranked[0].hypothesis.skill_id == "watch"


def test_who_is_out_takes_no_probability_from_others() -> None:
    alone = LinearRanker().ranked([candidate(intent_confidence=0.9)], 0.0)[0].probability
    out = candidate("watch", intent_confidence=0.99, rejected=Rejection.NOT_ENABLED)
    ranked = LinearRanker().ranked([out, candidate(intent_confidence=0.9)], 0.0)
    assert [c.probability for c in ranked] == [alone, 0.0]


def test_every_feature_has_a_weight_and_a_group() -> None:
    assert WEIGHTS.keys() == GROUPS.keys()
    with pytest.raises(ValueError, match="asr_rank"):
        LinearRanker({name: weight for name, weight in WEIGHTS.items() if name != "asr_rank"})


# --- deciding ------------------------------------------------------------------------------------------------------
def decide(*probabilities: float, risk: Risk = Risk.LOW, directed: float | None = 1.0, out_of_scope: float = 0.0,
           context: TurnContext = CONTEXT, **understanding: float) -> Decision:  # fmt: skip
    ranked = [
        replace(candidate(f"skill{n}", risk=risk), probability=probability)
        for n, probability in enumerate(probabilities)
    ]
    read = Understanding(out_of_scope=out_of_scope, **understanding)  # type: ignore[arg-type]
    return Decider().decide(ranked, read, context, directed=directed)


@pytest.mark.parametrize(
    ("risk", "probability", "action", "reason"),
    [
        (Risk.LOW, 0.99, Action.EXECUTE, Reason.CONFIDENT),
        (Risk.LOW, 0.71, Action.EXECUTE, Reason.CONFIDENT),
        (Risk.LOW, 0.65, Action.CONFIRM, Reason.LOW_CONFIDENCE),
        (Risk.LOW, 0.30, Action.FALLBACK, Reason.LOW_CONFIDENCE),
        (Risk.MEDIUM, 0.95, Action.EXECUTE, Reason.CONFIDENT),
        (Risk.MEDIUM, 0.80, Action.CONFIRM, Reason.LOW_CONFIDENCE),
        (Risk.HIGH, 0.999, Action.CONFIRM, Reason.RISK),
        (Risk.HIGH, 0.20, Action.FALLBACK, Reason.LOW_CONFIDENCE),
    ],
)
def test_the_bar_rises_with_the_risk(risk: Risk, probability: float, action: Action, reason: Reason) -> None:
    decision = decide(probability, risk=risk)
    assert (decision.action, decision.reason) == (action, reason)


def test_thresholds_follow_from_costs() -> None:
    costs = Costs()
    for risk in (Risk.LOW, Risk.MEDIUM):
        bar = costs.execute_threshold(risk)
        assert decide(bar + 0.001, risk=risk).action is Action.EXECUTE
        assert decide(bar - 0.001, risk=risk).action is Action.CONFIRM
    assert decide(0.99).threshold == pytest.approx(costs.execute_threshold(Risk.LOW))


def test_two_that_are_close_are_clarified_and_two_that_are_not_are_not() -> None:
    assert decide(0.48, 0.46).reason is Reason.AMBIGUOUS
    assert decide(0.80, 0.15).action is Action.EXECUTE


def test_the_cheapest_action_is_taken() -> None:
    for probability in (0.05, 0.3, 0.5, 0.69, 0.9):
        decision = decide(probability, 0.04)
        assert decision.expected_costs[decision.action] == min(decision.expected_costs.values())


def test_not_knowing_whether_it_was_spoken_to_raises_the_bar() -> None:
    assert decide(0.75).action is Action.EXECUTE
    assert decide(0.75, directed=None).action is Action.CONFIRM
    assert decide(0.99, directed=0.1).reason is Reason.NOT_DIRECTED


def test_why_it_falls_back() -> None:
    assert decide(out_of_scope=0.9).reason is Reason.OUT_OF_SCOPE
    assert decide().reason is Reason.NONE_ELIGIBLE
    foreign = candidate(rejected=Rejection.LOCALE)
    assert Decider().decide([foreign], Understanding(), CONTEXT).reason is Reason.LOCALE


def test_yes_and_no_answer_a_question_and_nothing_else() -> None:
    light = Hypothesis("light", LIGHT_OFF)
    asked = ConversationState(pending=PendingPrompt("p", PromptKind.CONFIRM, (light,)))
    context = replace(CONTEXT, state=asked)
    yes = decide(context=context, affirms=0.9)
    assert (yes.action, yes.reason) == (Action.EXECUTE, Reason.CONFIRMED_BY_USER)
    assert yes.winner is not None
    assert yes.winner.hypothesis == light
    assert decide(context=context, denies=0.9).reason is Reason.DENIED_BY_USER
    assert decide(context=context, affirms=0.5).action is Action.FALLBACK
    assert decide(0.99, context=context).reason is Reason.CONFIDENT  # the user changed the subject
    assert decide(affirms=0.9).action is Action.FALLBACK
    other = replace(CONTEXT, state=ConversationState(pending=PendingPrompt("p", PromptKind.ELICIT_SLOT, (light,))))
    assert decide(context=other, affirms=0.9).action is Action.FALLBACK


# --- budgets -------------------------------------------------------------------------------------------------------
def test_every_stage_has_a_budget() -> None:
    assert set(BUDGETS) == set(Stage)
    assert all(budget.ms > 0 and budget.fallback.isupper() for budget in BUDGETS.values())


def test_a_stopwatch_tells_what_was_done_on_a_miss() -> None:
    async def scenario() -> None:
        budgets = Budgets().with_ms(Stage.FULFILMENT, 50)
        watch = Stopwatch(budgets, Stage.FULFILMENT)
        await asyncio.sleep(0.03)
        assert watch.left == pytest.approx(0.02)
        assert (watch.report().missed, watch.report().fallback) == (False, "")
        await asyncio.sleep(0.03)
        assert watch.left == 0.0
        assert (watch.report().missed, watch.report().fallback) == (True, "MISSING")
        assert budgets[Stage.EXECUTE] == BUDGETS[Stage.EXECUTE]

    run(scenario())


# --- scale ---------------------------------------------------------------------------------------------------------
def test_1500_registered_skills_are_decided_among_in_time() -> None:
    """Understanding and the replies of CanFulfill given: p99 is 10 ms at most, in CPU time, whoever else runs here."""
    skills = SkillRegistry()
    for n in range(1500):
        intent = IntentSpec(f"skill{n}.act", phrases={"en": (f"do {n}", "do it")})
        skills.register(Manifest(f"skill{n}", "1.0.0", ("en", "de"), (intent,)), built_in=True)
        skills.enable(EVERYONE, f"skill{n}")
    readings = tuple(Interpretation(f"skill{n}.act", 1 / (n + 1), skill_id=f"skill{n}") for n in range(50))
    understanding, ranker, decider, book = Understanding(readings, 0.1), LinearRanker(), Decider(), FeedbackBook()
    took = []
    for _ in range(300):
        began = time.thread_time()
        found = shortlist(understanding, HEARD, CONTEXT, skills, book)
        decision = decider.decide(ranker.ranked(found, 0.1), understanding, CONTEXT)
        took.append(time.thread_time() - began)
        assert len(decision.eligible) == MAX_CANDIDATES
    assert statistics.quantiles(took, n=100)[98] < 0.010


def test_stop_means_the_alarm_while_it_rings_and_the_assistant_otherwise() -> None:
    skills = registry()
    skills.register(Manifest("timers", "1.0.0", ("en",), (IntentSpec("timers.stop"),)), built_in=True)
    skills.enable(EVERYONE, "timers")
    words = Understanding(
        (
            Interpretation("dialogue.stop", 0.87, skill_id="dialogue"),
            Interpretation("timers.stop", 0.13, skill_id="timers"),
        )
    )
    quiet = TurnContext("session", "turn", Profile("acme", "en"), now=1_000.0)
    for context, expected in (
        (quiet, [("dialogue.stop", 0.87), ("timers.stop", 0.13)]),
        (replace(quiet, ringing=frozenset({"timers"})), [("timers.stop", 1.0)]),
        (replace(quiet, ringing=frozenset({"other"})), [("dialogue.stop", 0.87), ("timers.stop", 0.13)]),
    ):
        found = shortlist(words, (Alternative("stop"),), context, skills, FeedbackBook())
        assert [(c.hypothesis.intent, c.hypothesis.interpretation.confidence) for c in found] == expected


def test_a_pool_of_one_tenants_own_opens_no_circuit_of_the_others() -> None:
    fulfilments = Fulfilments(
        Refusing({}, apart=frozenset({"globex"})), registry(), Circuits(CircuitPolicy(failures=2, rest=5.0))
    )

    async def scenario() -> list[str]:
        theirs = profile(tenant="globex")
        for _ in range(3):
            await fulfilments.ask(listed(TIME), theirs)
        ((mine,), (again,)) = [await fulfilments.ask(listed(TIME), context) for context in (CONTEXT, theirs)]
        return [mine.rejected, again.rejected, fulfilments.circuits.state("clock"), fulfilments.circuits.state("watch")]

    assert run(scenario()) == ["", Rejection.CIRCUIT_OPEN, "OPEN", "CLOSED"]
