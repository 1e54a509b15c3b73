"""What `antiphon explain` prints: why, at a glance."""

from __future__ import annotations

import pytest

from antiphon.arbitration.v1 import arbitration_pb2, decision_pb2
from antiphon.explaining import COLUMNS, Ink, explanation_lines, filled, stage_lines
from antiphon.skill.v1 import manifest_pb2
from antiphon.types.v1 import latency_pb2, understanding_pb2

pytestmark = pytest.mark.unit


def candidate(
    number: int, intent: str, score: float, points: float, rejection: int = 0, **features: float
) -> decision_pb2.Candidate:
    made = decision_pb2.Candidate(
        hypothesis_id=f"h{number}",
        skill_id=intent.partition(".")[0],
        score=score,
        raw_score=points,
        risk=manifest_pb2.RISK_LOW,
        eligible=rejection in (0, decision_pb2.REJECTION_REASON_OUTSCORED),
        rejection_reason=rejection,  # type: ignore[arg-type]
        fulfilment=understanding_pb2.FULFILMENT_YES,
    )
    made.interpretation.intent = intent
    made.interpretation.text = "what time is it in rome"
    made.elapsed.FromMilliseconds(12)
    for name, contribution in features.items():
        made.features.add(name=name.replace("__", "."), value=0.5, contribution=contribution)
    return made


def decision() -> decision_pb2.Decision:
    made = decision_pb2.Decision(
        outcome=decision_pb2.DECISION_OUTCOME_EXECUTE,
        reason=decision_pb2.DECISION_REASON_CONFIDENT,
        winner_index=0,
        threshold=0.7,
        score=0.9,
        propensity=1.0,
        directedness=0.98,
        out_of_scope_score=0.02,
    )
    outscored = decision_pb2.REJECTION_REASON_OUTSCORED
    made.candidates.append(
        candidate(
            0, "clock.time", 0.9, 7.1, nlu__intent_confidence=5.1, fulfilment__fulfil_yes=1.0, slots__weakest_slot=1.0
        )
    )
    made.candidates.append(
        candidate(
            1,
            "watch.time",
            0.08,
            4.2,
            outscored,
            nlu__intent_confidence=3.9,
            context__carried_slots=-0.7,
            slots__weakest_slot=1.0,
        )
    )
    made.candidates.append(candidate(2, "shop.buy", 0.0, 0.0, decision_pb2.REJECTION_REASON_CANNOT_FULFILL))
    made.candidates[2].fulfilment = understanding_pb2.FULFILMENT_NO
    made.candidates[0].interpretation.slots.add(name="place", text="rome")
    made.costs.add(outcome=decision_pb2.DECISION_OUTCOME_CONFIRM, cost=1.2)
    made.costs.add(outcome=decision_pb2.DECISION_OUTCOME_EXECUTE, cost=0.5)
    made.ranker.model, made.ranker.backend = "antiphon/rank-linear@1", "embedded"
    return made


def told(answer: decision_pb2.Decision, **more: object) -> list[str]:
    return list(explanation_lines(arbitration_pb2.ExplainResponse(decision=answer, **more)))  # type: ignore[arg-type]


def test_the_whole_reads_at_a_glance() -> None:
    assert told(decision(), feedback=[arbitration_pb2.FEEDBACK_KIND_POSITIVE]) == [
        "heard      “what time is it in rome”",
        "did        executed clock.time with place = rome",
        "because    clock.time was likely enough: 0.90, where its risk (low) asks for 0.70.",
        "ended      positive",
        "",
        "candidates                             probability                     skill says",
        ">  1 clock.time                       0.90 █████████████████████▋··  yes in 12 ms",
        "       place = rome",
        "     + nlu 5.1 (intent confidence 0.5) · fulfilment 1.0 (fulfil yes 0.5)",
        "   2 watch.time                       0.08 █▉······················  yes in 12 ms",
        "     + nlu 3.9 (intent confidence 0.5)",
        "     − context 0.7 (carried slots 0.5)",
        "       lost: 2.9 points behind, by nlu −1.2, fulfilment −1.0, context −0.7",
        "-  3 shop.buy                                                        no in 12 ms",
        "       lost: the skill said that it cannot",
        "     none of them                     0.02 ▌·······················",
        "",
        "costs      execute 0.50 < confirm 1.20  (in needless questions)",
        "bars       needed 0.70 · out of scope 0.02 · spoken to 0.98",
        "ranker     antiphon/rank-linear@1 (embedded)",
        "",
    ]


def test_what_counted_alike_for_all_is_left_out() -> None:
    assert not any("weakest" in line for line in told(decision()))
    alone = decision()
    del alone.candidates[1:]
    assert any("weakest" in line for line in told(alone))


@pytest.mark.parametrize("reason", decision_pb2.DecisionReason.keys())
@pytest.mark.parametrize("outcome", decision_pb2.DecisionOutcome.keys())
def test_every_reason_is_a_sentence(reason: str, outcome: str) -> None:
    made = decision()
    made.reason = decision_pb2.DecisionReason.Value(reason)
    made.outcome = decision_pb2.DecisionOutcome.Value(outcome)
    sentence = next(line for line in told(made) if line.startswith("because"))
    assert sentence.endswith(".")
    assert "{" not in sentence
    bare = decision_pb2.Decision(reason=made.reason, outcome=made.outcome)
    assert next(line for line in told(bare) if line.startswith("candidates")) == "candidates none"


@pytest.mark.parametrize("reason", decision_pb2.RejectionReason.keys()[1:])
def test_every_loser_is_told_why(reason: str) -> None:
    made = decision()
    made.candidates[1].rejection_reason = decision_pb2.RejectionReason.Value(reason)
    made.candidates[1].eligible = reason == "REJECTION_REASON_OUTSCORED"
    assert sum("lost: " in line for line in told(made)) == 2


def test_rewrites_exploring_arms_and_stand_ins_are_named() -> None:
    made = decision()
    made.rewrite_id, made.explored, made.propensity = "rw-7", True, 0.015
    made.arms.extend(["nlu=canary", "asr=stable"])
    made.candidates[0].features[0].missing = True
    lines = told(made)
    assert "rewrite    rw-7: learned words were read instead of the user's own" in lines
    assert "explored   the second best was tried to learn, as in 1.5% of such turns" in lines
    assert "arms       nlu=canary, asr=stable" in lines
    assert any("intent confidence 0.5 (stands in)" in line for line in lines)
    assert any("to learn which one is better" in line for line in lines)


def test_words_that_were_not_kept_are_not_missed() -> None:
    made = decision()
    for one in made.candidates:
        one.interpretation.text = ""
    assert told(made)[0] == "heard      (words are not kept; `antiphon converse --keep-words` lets them be)"


def test_stages_show_what_was_missed_and_what_was_shed() -> None:
    stages = [decision_pb2.StageReport(stage=latency_pb2.STAGE_UNDERSTANDING, missed=True, fallback="LAST_GOOD_MODEL")]
    stages.append(decision_pb2.StageReport(stage=latency_pb2.STAGE_CAN_FULFILL, shed=True, fallback="MISSING"))
    stages.append(decision_pb2.StageReport(stage=latency_pb2.STAGE_RANKING))
    stages[0].elapsed.FromMilliseconds(300)
    for stage, budget in zip(stages, (60, 80, 10), strict=True):
        stage.deadline.FromMilliseconds(budget)
    stages[2].elapsed.FromMicroseconds(2_500)
    assert list(stage_lines(stages)) == [
        "stage                  took     of   (ms; the bar is the budget)",
        "  understanding       300.0     60   ██████████████████▶ missed: the last good reading stood in",
        "  can fulfill           0.0     80   ··················  shed: silence is no answer, and no NO",
        "  ranking               2.5     10   ████▌·············",
    ]


def test_what_a_newer_server_says_is_told_by_its_number() -> None:
    newer = decision()
    newer.reason = 99  # type: ignore[assignment]
    newer.outcome = 98  # type: ignore[assignment]
    newer.candidates[0].fulfilment = 97  # type: ignore[assignment]
    newer.candidates[1].rejection_reason = 96  # type: ignore[assignment]
    newer.stages.add(stage=95)
    text = "\n".join(told(newer))
    assert "because    99." in text
    assert "97 in 12 ms" in text


def test_colour_is_for_terminals_alone() -> None:
    answer = arbitration_pb2.ExplainResponse(decision=decision())
    plain, painted = list(explanation_lines(answer)), list(explanation_lines(answer, Ink(on=True)))
    assert not any("\x1b" in line for line in plain)
    assert any("\x1b[32m" in line for line in painted)
    assert len(plain) == len(painted)


def test_no_text_of_others_reaches_the_terminal_as_a_command() -> None:
    made = decision()
    made.candidates[0].interpretation.text = "\x1b[2Jhello\r\nthere\u202e"
    made.candidates[0].interpretation.slots[0].text = "ro\x1b]0;me\x07"
    made.candidates[1].fulfilment_reason = "\x9b31m"
    made.rewrite_id = "rw\n-1"
    lines = told(made)
    assert all(line.isprintable() for line in lines)
    assert lines[0] == "heard      “�[2Jhello��there�”"


def test_lines_fit_whatever_they_hold() -> None:
    made = decision()
    made.candidates[0].interpretation.intent = "a" * 64 + "." + "b" * 64
    for number in range(40):
        made.candidates[0].interpretation.slots.add(name=f"slot{number}", text="word " * 5)
        made.candidates[0].features.add(name=f"group{number}.{'x' * 30}", value=float("inf"), contribution=1.0)
    made.candidates[1].features.add(name="nlu.broken", value=float("nan"), contribution=float("nan"))
    lines = told(made)
    body = lines[lines.index(next(line for line in lines if line.startswith("candidates"))) :]
    assert max(map(len, body)) <= COLUMNS


@pytest.mark.parametrize(
    ("share", "bar"),
    [
        (0.0, "····"),
        (0.5, "██··"),
        (1.0, "████"),
        (7.0, "████"),
        (-1.0, "····"),
        (0.28, "█▏··"),
        (float("nan"), "····"),
    ],
)
def test_bars(share: float, bar: str) -> None:
    assert filled(share, 4) == bar
