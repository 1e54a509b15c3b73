"""Each stage of a decision that misses its budget is skipped as the table of budgets says, and that can be seen."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from services.arbitration.adapters.decisions import to_decision, to_ledger
from services.arbitration.budgets import Budgets, Stage
from services.arbitration.circuits import Circuits
from services.arbitration.contexts import ConversationState, PendingPrompt, Profile, PromptKind, TurnContext
from services.arbitration.hypotheses import (
    Action,
    Alternative,
    Candidate,
    Decision,
    Fulfilment,
    Hypothesis,
    Interpretation,
    Reason,
    Slot,
    StageReport,
    Understanding,
)
from services.arbitration.judging import Judge
from services.arbitration.ledger import LatencyLedger
from services.arbitration.manifests import IntentSpec, Manifest
from services.arbitration.rankers.choice import RankerKind, Rankers
from services.arbitration.rankers.linear import LinearRanker
from services.arbitration.registry_of_skills import EVERYONE, SkillRegistry
from services.arbitration.stages.explore import Explored
from services.arbitration.stages.fulfil import Fulfilments
from services.arbitration.stages.rank import SHORTLISTER, in_shortlister_order
from services.arbitration.stages.shedding import Shedding
from services.runtime.errors import FailedPrecondition, Unavailable
from tests.fakes.arbitration_house import MEANINGS, TIME, registry
from tests.fakes.arbitration_ports import ScriptedSkill, ScriptedUnderstanding, SkillsByName, says
from tests.fakes.rankers import BrokenRanker, BusyRanker, SlowRanker
from tests.fakes.rewriters import BrokenRewrites, KnownRewrites
from tests.fakes.virtual_time import now, run

pytestmark = pytest.mark.unit

CONTEXT = TurnContext("session", "turn", Profile("acme", "en"), now=1_000_000.0)
GONE = Unavailable("gone", reason="POOL_GONE")
PATIENT = Budgets().with_ms(Stage.REWRITE, 5_000)
"""A look-up is timed by the real clock, and other work on this machine may come between."""


def judge(
    understanding: ScriptedUnderstanding | None = None, skills: SkillRegistry | None = None, **more: object
) -> Judge:
    known = skills or registry()
    asked = SkillsByName({skill.manifest.id: ScriptedSkill(says()) for skill in known.all()})
    port = understanding or ScriptedUnderstanding(dict(MEANINGS))
    return Judge(port, known, Fulfilments(asked, known, Circuits()), **more)  # type: ignore[arg-type]


async def decided(
    by: Judge, *texts: str, context: TurnContext = CONTEXT, kind: RankerKind | None = None
) -> tuple[Decision, LatencyLedger]:
    ledger = LatencyLedger(now(), 1_000.0)
    heard = tuple(Alternative(text, 0.9 - 0.2 * number) for number, text in enumerate(texts))
    evidence = await by.gather(heard, context, ledger)
    return await by.settle(evidence, context, ledger, kind=kind), ledger


def stage(decision: Decision, name: str) -> StageReport:
    return next(report for report in decision.stages if report.stage == name)


def test_a_decision_names_its_stages_in_their_order() -> None:
    decision, ledger = run(decided(judge(), "what time is it"))
    names = ["understand", "shortlist", "resolve", "fulfilment", "rank"]
    assert [report.stage for report in decision.stages] == names
    assert not any(report.missed or report.shed for report in decision.stages)
    assert [entry.step for entry in ledger.entries] == [
        "understanding",
        "shortlist",
        "resolution",
        "can_fulfill",
        "ranking",
    ]
    told = to_decision("turn", decision, features=True)
    assert [report.stage for report in told.stages] == [entry.stage for entry in to_ledger(ledger).entries]


# --- rewrite -------------------------------------------------------------------------------------------------------
def test_a_rewrite_is_read_beside_the_users_words_and_named_when_it_wins() -> None:
    rewrites = KnownRewrites({"watt time": "what time is it"})
    asked = ScriptedUnderstanding({"watt time": MEANINGS["what time is it"]})
    reading = replace(TIME, alternative=1)
    asked.meanings["watt time"] = Understanding((reading,), 0.02)
    decision, _ = run(decided(judge(asked, rewriter=rewrites, budgets=PATIENT), "watt time"))
    assert rewrites.asked == [("acme", "en", "watt time", "session")]
    assert (decision.action, decision.rewrite_id) == (Action.EXECUTE, "rw-watt time")
    assert decision.winner is not None
    features = decision.winner.features
    assert (features.rewritten, features.asr_rank, features.asr_confidence) == (1.0, 0.0, 0.9)
    assert to_decision("turn", decision, features=False).rewrite_id == "rw-watt time"


def test_a_rewrite_that_does_not_win_is_not_named() -> None:
    rewrites = KnownRewrites({"what time is it": "lights off"})
    decision, _ = run(decided(judge(rewriter=rewrites), "what time is it"))
    assert (decision.action, decision.rewrite_id) == (Action.EXECUTE, "")


@pytest.mark.parametrize("rewriter", [BrokenRewrites(), KnownRewrites({"what time is it": "x"}, seconds=0.02)])
def test_rewrites_that_fail_or_come_late_are_skipped(rewriter: BrokenRewrites | KnownRewrites) -> None:
    decision, _ = run(decided(judge(rewriter=rewriter), "what time is it"))
    assert (stage(decision, "rewrite").missed, stage(decision, "rewrite").fallback) == (True, "SKIPPED")
    assert decision.action is Action.EXECUTE


def test_an_answer_to_a_question_is_not_rewritten() -> None:
    rewrites = KnownRewrites({"what time is it": "lights off"})
    asked = ConversationState(pending=PendingPrompt("p", PromptKind.CONFIRM, (Hypothesis("clock", TIME),)))
    run(decided(judge(rewriter=rewrites), "what time is it", context=replace(CONTEXT, state=asked)))
    assert rewrites.asked == []


# --- interpret -----------------------------------------------------------------------------------------------------
def phrased() -> SkillRegistry:
    """The house's skills; clock and watch have phrases."""
    skills = registry()
    for skill, intent in (("clock", "clock.time"), ("watch", "watch.time")):
        phrases = {"en": ("what time is it", "the time please")} if skill == "clock" else {"en": ("the time please",)}
        skills.register(Manifest(skill, "1.0.0", ("en",), (IntentSpec(intent, phrases=phrases),)), built_in=True)
        skills.enable(EVERYONE, skill)
    return skills


def test_a_late_reading_is_waited_for_when_nothing_stands_in() -> None:
    slow = ScriptedUnderstanding(dict(MEANINGS), seconds=0.3)
    decision, _ = run(decided(judge(slow), "what time is it"))
    report = stage(decision, "understand")
    assert (report.missed, report.fallback, round(report.spent_ms)) == (True, "WAITED", 300)
    assert decision.action is Action.EXECUTE


def test_what_was_read_before_stands_in_after_the_budget() -> None:
    port = ScriptedUnderstanding(dict(MEANINGS))
    house = judge(port)

    async def scenario() -> tuple[Decision, LatencyLedger]:
        await decided(house, "what time is it")
        port.seconds = 1.5
        return await decided(house, "what time is it")

    decision, ledger = run(scenario())
    report = stage(decision, "understand")
    assert (report.missed, report.fallback, round(report.spent_ms)) == (True, "LAST_GOOD_MODEL", 60)
    assert decision.action is Action.EXECUTE
    assert decision.winner is not None
    assert "intent_confidence" in decision.winner.stand_ins
    told = to_decision("turn", decision, features=True)
    missing = {feature.name.partition(".")[2] for feature in told.candidates[0].features if feature.missing}
    assert missing == set(decision.winner.stand_ins)
    entry = next(entry for entry in to_ledger(ledger).entries if entry.discarded)
    assert entry.code == 4  # DEADLINE_EXCEEDED


def test_what_was_read_before_is_no_good_in_a_conversation_nor_for_others_nor_for_ever() -> None:
    port = ScriptedUnderstanding(dict(MEANINGS))
    house = judge(port)
    asked = ConversationState(pending=PendingPrompt("p", PromptKind.ELICIT_SLOT, (Hypothesis("clock", TIME),)))

    async def again(context: TurnContext) -> str:
        decision, _ = await decided(house, "what time is it", context=context)
        return stage(decision, "understand").fallback

    async def scenario() -> list[str]:
        await decided(house, "what time is it")
        port.error = GONE
        contexts = (
            CONTEXT,
            replace(CONTEXT, state=asked),
            replace(CONTEXT, profile=replace(CONTEXT.profile, tenant="globex")),
            replace(CONTEXT, profile=replace(CONTEXT.profile, user_id="bob")),
            replace(CONTEXT, profile=replace(CONTEXT.profile, device_id="kitchen")),
            replace(CONTEXT, session_id="of somebody who has no name either"),
            replace(CONTEXT, ringing=frozenset({"clock"})),
        )
        seen = [await again(context) for context in contexts]
        house.registry.enable("acme", "watch", enabled=False)
        seen.append(await again(CONTEXT))
        house.registry.revision -= 1
        await asyncio.sleep(601)
        return [*seen, await again(CONTEXT)]

    assert run(scenario()) == ["LAST_GOOD_MODEL", *["NONE"] * 8]


def test_readings_with_values_are_not_kept() -> None:
    port = ScriptedUnderstanding(dict(MEANINGS))
    house = judge(port)

    async def scenario() -> Decision:
        await decided(house, "what time is it in rome")
        port.error = GONE
        return (await decided(house, "what time is it in rome"))[0]

    assert stage(run(scenario()), "understand").fallback == "NONE"


@pytest.mark.parametrize("said", ["what time is it", "  What  time is it?"])
def test_the_phrases_of_skills_stand_in_for_understanding_that_is_away(said: str) -> None:
    away = ScriptedUnderstanding({}, error=GONE)
    decision, _ = run(decided(judge(away, phrased()), said))
    assert stage(decision, "understand").fallback == "RULES"
    assert decision.action is Action.EXECUTE
    assert decision.winner is not None
    assert (decision.winner.hypothesis.intent, decision.winner.stand_ins[0]) == ("clock.time", "intent_confidence")


def test_a_phrase_of_two_skills_is_a_question() -> None:
    away = ScriptedUnderstanding({}, error=GONE)
    decision, _ = run(decided(judge(away, phrased()), "the time please"))
    assert (decision.action, decision.reason) == (Action.CLARIFY, Reason.AMBIGUOUS)


def test_without_any_reading_the_turn_falls_back() -> None:
    decision, _ = run(decided(judge(ScriptedUnderstanding({}, seconds=60.0), phrased()), "open the pod bay doors"))
    report = stage(decision, "understand")
    assert (report.fallback, round(report.spent_ms)) == ("NONE", 2000)
    assert decision.action is Action.FALLBACK


# --- rank ----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("ranker", [SlowRanker(0.5), BrokenRanker(GONE)])
def test_a_ranker_that_is_late_or_gone_leaves_the_shortlisters_order(ranker: SlowRanker | BrokenRanker) -> None:
    rankers = Rankers(by_kind={RankerKind.LINEAR: ranker})

    async def scenario() -> tuple[Decision, float]:
        began = now()
        house = judge(rankers=rankers)
        house.fulfilments.skills.skills["clock"].thinking = 0.0  # type: ignore[attr-defined]
        decision, _ = await decided(house, "what time is it or so")
        return decision, now() - began

    decision, took = run(scenario())
    report = stage(decision, "rank")
    assert (report.missed, report.fallback) == (True, "SHORTLISTER_ORDER")
    assert report.spent_ms <= 10.001
    assert took < 0.05
    assert decision.ranker == SHORTLISTER
    assert decision.action is Action.CONFIRM  # less is known, so it asks
    assert [c.hypothesis.skill_id for c in decision.candidates] == ["clock", "watch"]


async def test_a_ranking_that_came_late_but_is_used_is_not_called_the_shortlisters_order() -> None:
    house = judge(rankers=Rankers(by_kind={RankerKind.LINEAR: BusyRanker(0.02)}))
    decision, _ = await decided(house, "what time is it or so")
    report = stage(decision, "rank")
    assert (report.missed, report.fallback) == (True, "LATE")
    assert decision.ranker == BusyRanker(0.02).provenance


def test_the_shortlisters_order_makes_no_poor_candidate_certain() -> None:
    def scored(score: float) -> Candidate:
        return Candidate(Hypothesis("clock", TIME), shortlist_score=score)

    assert [c.probability for c in in_shortlister_order([scored(0.2)], 0.0)] == [0.2]
    crowd = in_shortlister_order([scored(0.5), scored(1.3), scored(0.9)], 0.1)
    assert [c.shortlist_score for c in crowd] == [1.3, 0.9, 0.5]
    assert sum(c.probability for c in crowd) == pytest.approx(0.9)


def test_a_ranker_that_is_not_loaded_is_an_error_of_who_asks() -> None:
    with pytest.raises(FailedPrecondition, match="BI_LSTM"):
        run(decided(judge(), "what time is it", kind=RankerKind.BI_LSTM))


def test_a_ranker_that_explains_too_slowly_costs_the_explanation_alone() -> None:
    house = judge(rankers=Rankers(by_kind={RankerKind.LINEAR: SlowRanker(0.005)}))

    async def scenario() -> tuple[Decision, Decision]:
        decision, _ = await decided(house, "what time is it")
        house.rankers.by_kind[RankerKind.LINEAR].seconds = 5.0  # type: ignore[attr-defined]
        return decision, await house.explained(decision)

    decision, explained = run(scenario())
    assert explained == decision


# --- shedding ------------------------------------------------------------------------------------------------------
def test_what_is_shed_can_be_seen() -> None:
    asked = ScriptedUnderstanding(dict(MEANINGS))
    shedding = Shedding(level=4)
    rankers = Rankers(RankerKind.BI_LSTM, {RankerKind.BI_LSTM: SlowRanker(0.001), RankerKind.LINEAR: LinearRanker()})
    house = judge(asked, shedding=shedding, rankers=rankers)
    decision, _ = run(decided(house, "what time is it", "what time is hit"))
    assert {report.stage for report in decision.stages if report.shed} == {"rewrite", "fulfilment", "rank"}
    assert [report.fallback for report in decision.stages if report.shed] == ["BEST_ALTERNATIVE", "MISSING", "LINEAR"]
    assert not any(report.missed for report in decision.stages)
    assert decision.winner is not None
    assert (decision.winner.fulfilment, decision.winner.fulfilment_reason) == (Fulfilment.MISSING, "SHED")
    assert house.fulfilments.skills.asked == []  # type: ignore[attr-defined]
    assert decision.ranker == LinearRanker().provenance
    told = to_decision("turn", decision, features=False)
    assert [report.shed for report in told.stages].count(True) == 3


# --- exploring -----------------------------------------------------------------------------------------------------
class Swapping:
    """Puts the second one first, always."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def choose(self, ranked: tuple[Candidate, ...], key: str) -> Explored:
        self.asked.append(key)
        return (
            Explored((ranked[1], ranked[0], *ranked[2:]), 0.01, explored=True) if len(ranked) > 1 else Explored(ranked)
        )


def test_exploring_changes_what_is_executed_and_says_so() -> None:
    decision, _ = run(decided(judge(explorer=Swapping()), "what time is it or so"))
    assert decision.winner is not None
    assert decision.winner.hypothesis.skill_id == "watch"
    told = to_decision("turn", decision, features=False)
    assert (told.explored, told.winner_index) == (True, 0)
    assert told.propensity == pytest.approx(0.01)


def test_questions_are_not_explored() -> None:
    explorer = Swapping()
    for said in ("buy milk", "either", "open the pod bay doors"):
        run(decided(judge(explorer=explorer), said))
    assert explorer.asked == []


# --- resolve -------------------------------------------------------------------------------------------------------
def test_values_that_suit_the_skill_better_count_for_it() -> None:
    def resolution(slot: Slot) -> float:
        understanding = Understanding((Interpretation("clock.time", 0.9, (slot,), skill_id="clock"),))

        async def scenario() -> float:
            (found,) = judge().consider(understanding, (Alternative("x"),), CONTEXT)
            return found.features.resolution

        return run(scenario())

    assert resolution(Slot("place", "rome", b"Europe/Rome")) == 1.0
    assert resolution(Slot("place", "roam")) == 0.0  # a place that is none
    assert resolution(Slot("colour", "red", b"red")) == 0.0  # the skill knows no such slot
