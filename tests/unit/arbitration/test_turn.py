"""Turns from the first sample to the last chunk, with scripted services and a clock that jumps."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from services.arbitration.circuits import Duty
from services.arbitration.contexts import ConversationState, PendingPrompt, PromptKind, TurnType
from services.arbitration.events import (
    AnswerAudio,
    AnswerText,
    Asked,
    Decided,
    Heard,
    Outcome,
    PlaybackStopped,
    Progress,
    TurnFailed,
    Understood,
)
from services.arbitration.hypotheses import Action, Fulfilment, Hypothesis, Reason, Rejection
from services.arbitration.ledger import Mark, Step
from services.arbitration.ports import (
    Ending,
    Endpoint,
    Partial,
    Receipt,
    Say,
    SkillAnswer,
    SkillDone,
    SkillProgress,
    SkillPrompt,
)
from services.arbitration.speculation import SpeculationSettings
from services.runtime.errors import Conflict, FailedPrecondition, Unavailable
from tests.fakes.arbitration_house import BUY, SmallHouse
from tests.fakes.arbitration_ports import (
    FailingRecogniser,
    NotedJournal,
    PlainDialogue,
    Script,
    ScriptedActivation,
    ScriptedRecogniser,
    ScriptedSkill,
    ScriptedUnderstanding,
    TextAsSpeech,
    fails,
    hangs,
    loses_once,
    says,
    sends,
    utterance,
)
from tests.fakes.virtual_time import now, run

pytestmark = pytest.mark.unit


def text_of(house: SmallHouse) -> str:
    return "".join(event.text for event in house.events if isinstance(event, AnswerText))


def spoken_by(house: SmallHouse, *, progress: bool = False) -> str:
    chunks = [event for event in house.events if isinstance(event, AnswerAudio) and event.progress is progress]
    return " ".join(chunk.speech.audio.decode() for chunk in chunks)


def said(house: SmallHouse) -> list[tuple[Say, str]]:
    assert isinstance(house.dialogue, PlainDialogue)
    return [(ask.say, ask.reason) for ask in house.dialogue.asked]


# --- a plain turn --------------------------------------------------------------------------------------------------
def test_a_spoken_question_is_answered_in_text_and_speech() -> None:
    house = SmallHouse()
    result = run(house.run())
    assert result.delivery.outcome is Outcome.ANSWERED
    assert result.delivery.skill_id == "clock"
    assert (text_of(house), spoken_by(house)) == ("It is five.", "It is five.")
    kinds = [type(event) for event in house.events if not isinstance(event, Heard)]
    assert kinds[:3] == [Understood, Decided, AnswerText]
    assert result.decision is not None
    assert (result.decision.action, result.decision.reason) == (Action.EXECUTE, Reason.CONFIDENT)


def test_a_typed_question_needs_no_recogniser() -> None:
    house = SmallHouse(recogniser=FailingRecogniser(Unavailable("gone")))
    result = run(house.run("what time is it"))
    assert result.delivery.outcome is Outcome.ANSWERED
    assert result.text == "what time is it"


def test_the_ledger_accounts_for_the_turn() -> None:
    result = run(SmallHouse().run())
    marks = result.ledger.marks
    assert marks[Mark.END_OF_SPEECH] == 1.0
    assert marks[Mark.ENDPOINT] == pytest.approx(1.7)
    # 20 ms of understanding, 10 ms of CanFulfill, 50 ms of the skill, 10 ms of synthesis, nothing else.
    assert marks[Mark.DECISION] == pytest.approx(1.73)
    assert marks[Mark.FIRST_AUDIO] == pytest.approx(1.79)
    assert result.ledger.turn_latency == pytest.approx(0.795)  # with 5 ms of leading silence
    steps = [entry.step for entry in result.ledger.entries]
    assert {Step.RECOGNITION, Step.UNDERSTANDING, Step.CAN_FULFILL, Step.RANKING, Step.EXECUTION, Step.SYNTHESIS} <= {
        *steps
    }


def test_without_a_loudspeaker_the_answer_is_text_alone() -> None:
    house = SmallHouse()
    house.profile = replace(house.profile, speaks=False)
    run(house.run())
    assert (text_of(house), spoken_by(house)) == ("It is five.", "")


def test_a_voice_that_fails_leaves_the_text() -> None:
    house = SmallHouse(synthesis=TextAsSpeech(error=Unavailable("gone", reason="TTS_GONE")))
    result = run(house.run())
    assert result.delivery.outcome is Outcome.ANSWERED
    assert text_of(house) == "It is five."
    assert [event.error.reason for event in house.events if isinstance(event, TurnFailed)] == ["TTS_GONE"]


def test_a_long_answer_is_not_stopped_by_a_voice_that_failed() -> None:
    """More pieces than the voice queues: whoever says them must not wait for a synthesiser that is gone."""
    house = SmallHouse(
        {"clock": ScriptedSkill(says(*["word "] * 100, after=0.001))},
        synthesis=TextAsSpeech(error=Unavailable("gone", reason="TTS_GONE")),
    )
    assert run(house.run("what time is it")).delivery.text == "word " * 100


def test_a_recogniser_that_is_gone_ends_the_turn_clearly() -> None:
    house = SmallHouse(recogniser=FailingRecogniser(Unavailable("gone", reason="ASR_GONE")))
    result = run(house.run())
    assert (result.delivery.outcome, result.delivery.reason) == (Outcome.FAILED, "ASR_GONE")
    assert type(house.events[0]) is TurnFailed
    assert text_of(house) == "<apologize:ASR_UNAVAILABLE>"
    assert spoken_by(house)


def test_understanding_that_is_gone_falls_back() -> None:
    house = SmallHouse(understanding=ScriptedUnderstanding({}, error=Unavailable("gone")))
    result = run(house.run())
    assert result.delivery.outcome is Outcome.NOT_UNDERSTOOD
    assert text_of(house) == "<apologize:NLU_UNAVAILABLE>"
    assert result.decision is not None
    assert result.decision.stages[0].missed


def test_understanding_that_hangs_falls_back_after_its_limit() -> None:
    house = SmallHouse(understanding=ScriptedUnderstanding({}, seconds=1e6))

    async def scenario() -> float:
        await house.run("what time is it")
        return now()

    assert run(scenario()) < 2.5
    assert said(house) == [(Say.APOLOGIZE, "NLU_UNAVAILABLE")]


# --- what is decided -----------------------------------------------------------------------------------------------
def test_silence_is_rejected_without_a_word() -> None:
    house = SmallHouse(recogniser=ScriptedRecogniser([utterance("")]))
    result = run(house.run())
    assert (result.delivery.outcome, result.delivery.reason) == (Outcome.NO_SPEECH, "NO_SPEECH")
    assert text_of(house) == ""
    assert house.understanding.asked == []


def test_what_no_skill_knows_falls_back() -> None:
    house = SmallHouse()
    result = run(house.run("sing me the phone book"))
    assert result.delivery.outcome is Outcome.NOT_UNDERSTOOD
    assert said(house) == [(Say.FALLBACK, "OUT_OF_SCOPE")]


def test_the_conversations_own_intents_go_to_dialogue() -> None:
    house = SmallHouse()
    result = run(house.run("hello"))
    assert (result.delivery.outcome, result.delivery.skill_id) == (Outcome.ANSWERED, "")
    assert said(house) == [(Say.OPEN, "CONFIDENT")]


def test_two_that_are_close_are_offered() -> None:
    house = SmallHouse()
    result = run(house.run("either"))
    assert result.delivery.outcome is Outcome.ASKED
    assert result.delivery.prompt is not None
    assert [about.skill_id for about in result.delivery.prompt.about] == ["clock", "watch"]
    assert house.skills["clock"].executed == []


def test_a_purchase_is_confirmed_and_not_made() -> None:
    house = SmallHouse()
    result = run(house.run("buy milk"))
    assert result.delivery.outcome is Outcome.ASKED
    assert said(house) == [(Say.CONFIRM, "RISK")]
    assert house.skills["shop"].executed == []


def confirming(house: SmallHouse, turn_type: TurnType = TurnType.FOLLOWUP) -> ConversationState:
    pending = PendingPrompt("prompt-1", PromptKind.CONFIRM, (Hypothesis("shop", BUY),))
    return ConversationState(pending=pending, turns=1)


def test_yes_makes_the_purchase() -> None:
    house = SmallHouse()
    result = run(house.run("yes", replace(house.context(), state=confirming(house))))
    (order,) = house.skills["shop"].executed
    assert order.confirmed
    assert order.prompt_id == "prompt-1"
    assert result.delivery.receipt == b"receipt"
    assert (house.journal.begun, house.journal.settled) == (1, ["Bought."])


def test_no_makes_none() -> None:
    house = SmallHouse()
    result = run(house.run("no", replace(house.context(), state=confirming(house))))
    assert (result.delivery.outcome, result.delivery.reason) == (Outcome.ANSWERED, "DENIED_BY_USER")
    assert house.skills["shop"].executed == []


def test_yes_to_nothing_buys_nothing() -> None:
    house = SmallHouse()
    run(house.run("yes"))
    assert house.skills["shop"].executed == []


def test_a_missing_slot_is_asked_for() -> None:
    house = SmallHouse()
    result = run(house.run("set an alarm"))
    assert result.delivery.outcome is Outcome.ASKED
    assert said(house) == [(Say.ELICIT_SLOT, "MISSING_SLOT")]
    assert result.delivery.prompt is not None
    assert result.delivery.prompt.slot == "time"


def test_a_dry_run_changes_nothing() -> None:
    house = SmallHouse()
    house.profile = replace(house.profile, dry_run=True)
    result = run(house.run("lights off"))
    assert (result.delivery.reason, house.skills["light"].executed, house.journal.begun) == ("DRY_RUN", [], 0)


# --- activation ----------------------------------------------------------------------------------------------------
def test_speech_that_was_not_meant_for_it_is_rejected() -> None:
    house = SmallHouse(activation=ScriptedActivation(score=0.05))
    result = run(house.run())
    assert (result.delivery.outcome, result.delivery.reason) == (Outcome.REJECTED, "NOT_DIRECTED")
    assert house.skills["clock"].executed == []


def test_activation_that_hangs_is_not_waited_for() -> None:
    house = SmallHouse(activation=ScriptedActivation(seconds=None))
    result = run(house.run())
    assert result.decision is not None
    assert result.decision.directed is None
    assert result.delivery.outcome is Outcome.ANSWERED
    assert result.ledger.marks[Mark.DECISION] == pytest.approx(1.75)  # 20 ms more than without


# --- skills that hang, fail and lie --------------------------------------------------------------------------------
def test_can_fulfil_that_hangs_is_missing_and_never_no() -> None:
    house = SmallHouse({"clock": ScriptedSkill(says("It is five."), thinking=None)})
    result = run(house.run("what time is it"))
    assert result.decision is not None
    (candidate,) = result.decision.candidates
    assert (candidate.fulfilment, candidate.rejected) == (Fulfilment.MISSING, Rejection.NONE)
    assert candidate.fulfilment_ms == pytest.approx(80)
    assert result.delivery.text == "It is five."


def test_a_skill_that_says_no_is_out() -> None:
    house = SmallHouse({"clock": ScriptedSkill(says("It is five."), fulfilment=Fulfilment.NO)})
    result = run(house.run("what time is it"))
    assert result.delivery.reason == "NONE_ELIGIBLE"
    assert house.skills["clock"].executed == []


def test_a_slow_skill_is_covered_by_a_word_and_still_answers() -> None:
    house = SmallHouse({"clock": ScriptedSkill(says("It is five.", after=3.0))})

    async def scenario() -> list[float]:
        times = []

        async def take(event: object) -> None:
            if isinstance(event, Progress | AnswerText):
                times.append(now())
            house.events.append(event)  # type: ignore[arg-type]

        turn = house.turn("what time is it")
        turn._emit = take
        await turn.run()
        return times

    progress, answer = run(scenario())
    assert progress == pytest.approx(0.03 + 1.5)
    assert answer == pytest.approx(0.03 + 3.0)
    assert spoken_by(house, progress=True) == "<progress:>"
    assert spoken_by(house) == "It is five."


def test_a_quick_skill_is_not_covered() -> None:
    house = SmallHouse()
    run(house.run())
    assert house.of(Progress) == []


def test_a_skill_that_hangs_gives_way_to_the_next_after_eight_seconds() -> None:
    house = SmallHouse({"clock": ScriptedSkill(hangs())})
    house.understanding.meanings["what time is it"] = house.understanding.meanings["what time is it or so"]
    weights_favour_clock = house.understanding.meanings["what time is it"].interpretations
    closer = replace(weights_favour_clock[1], confidence=0.75)
    house.understanding.meanings["what time is it"] = replace(
        house.understanding.meanings["what time is it"], interpretations=(weights_favour_clock[0], closer)
    )

    async def scenario() -> float:
        await house.run("what time is it")
        return now()

    took = run(scenario())
    assert text_of(house) == "Five o'clock."
    assert 8.0 < took < 8.5
    assert house.skills["clock"].cancelled == 1


def test_when_no_other_is_likely_enough_it_apologizes() -> None:
    house = SmallHouse({"clock": ScriptedSkill(hangs())})
    result = run(house.run("what time is it"))
    assert (result.delivery.outcome, result.delivery.reason) == (Outcome.FAILED, "SKILL_TIMEOUT")
    assert [hypothesis.skill_id for hypothesis in result.delivery.failed] == ["clock"]
    assert said(house)[-1] == (Say.APOLOGIZE, "SKILL_TIMEOUT")
    assert len(house.of(Progress)) == 1


def test_a_skill_that_answers_twice_is_heard_once_and_noted() -> None:
    twice = sends(SkillAnswer("It is five.", 0), SkillAnswer("It is six.", 0), SkillDone())
    house = SmallHouse({"clock": ScriptedSkill(twice)})
    for _ in range(house.circuits.policy.failures):
        house.events.clear()
        run(house.run("what time is it"))
        assert text_of(house) == "It is five."
    # A liar's circuit opens, although it answers CanFulfill in time.
    assert not run(_ready(house, "clock"))


async def _ready(house: SmallHouse, skill_id: str) -> bool:
    return house.circuits.ready(skill_id, Duty.EXECUTE)


def test_a_skill_that_repeats_itself_word_by_word_is_heard_once() -> None:
    house = SmallHouse({"clock": ScriptedSkill(sends(SkillAnswer("Five."), SkillAnswer("Five."), SkillDone()))})
    assert run(house.run("what time is it")).delivery.text == "Five."


def test_a_skill_that_claims_yes_and_fails_gives_way_or_apologizes() -> None:
    house = SmallHouse({"clock": ScriptedSkill(fails(Unavailable("gone", reason="CLOCK_BROKEN")))})
    result = run(house.run("what time is it"))
    assert (result.delivery.outcome, result.delivery.reason) == (Outcome.FAILED, "CLOCK_BROKEN")


def test_a_skill_that_declines_in_silence_gives_way() -> None:
    declined = SkillDone(Ending.DECLINED, reason="NO_IDEA")
    house = SmallHouse({"clock": ScriptedSkill(sends(declined))})
    assert run(house.run("what time is it")).delivery.reason == "NO_IDEA"


def test_a_skill_that_declines_with_words_has_answered() -> None:
    declined = SkillDone(Ending.DECLINED, reason="UNKNOWN_PLACE")
    house = SmallHouse({"clock": ScriptedSkill(sends(SkillAnswer("I do not know that place."), declined))})
    result = run(house.run("what time is it"))
    assert (result.delivery.outcome, result.delivery.reason) == (Outcome.ANSWERED, "UNKNOWN_PLACE")


def test_a_skill_that_breaks_off_has_failed() -> None:
    house = SmallHouse({"clock": ScriptedSkill(sends())})
    assert run(house.run("what time is it")).delivery.reason == "SKILL_BROKE_OFF"


def test_a_skill_that_talks_without_end_is_cut() -> None:
    house = SmallHouse({"clock": ScriptedSkill(says(*["word " * 200] * 20, after=0.001))})
    result = run(house.run("what time is it"))
    assert (result.delivery.outcome, result.delivery.reason) == (Outcome.FAILED, "SKILL_TALKED_TOO_LONG")


def test_a_wrong_receipt_is_not_believed() -> None:
    liar = sends(SkillAnswer("Dark."), SkillDone(receipt=Receipt("another key", 1)))
    house = SmallHouse({"light": ScriptedSkill(liar)})
    result = run(house.run("lights off"))
    assert (result.delivery.outcome, result.delivery.reason) == (Outcome.FAILED, "UNKNOWN_EFFECT")
    assert "Dark." not in text_of(house)  # what changes the world speaks only after its receipt
    assert said(house) == [(Say.APOLOGIZE, "UNKNOWN_EFFECT")]
    assert house.journal.settled == []


def test_an_effect_without_a_receipt_is_not_believed() -> None:
    house = SmallHouse({"light": ScriptedSkill(says("Dark."))})
    assert run(house.run("lights off")).delivery.reason == "UNKNOWN_EFFECT"


def test_an_effect_that_may_have_happened_is_never_tried_elsewhere() -> None:
    house = SmallHouse({"light": ScriptedSkill(fails(Unavailable("connection lost")))})
    result = run(house.run("lights off"))
    assert result.delivery.reason == "UNKNOWN_EFFECT"
    first, again = house.skills["light"].executed  # once more, where the key makes it safe
    assert first.idempotency_key == again.idempotency_key
    assert not any(skill.executed for name, skill in house.skills.items() if name != "light")


def test_a_skill_that_was_lost_before_a_word_is_asked_once_more_with_its_key() -> None:
    light = ScriptedSkill(loses_once(fails(Unavailable("connection lost")), says("It is dark now.", receipt=True)))
    house = SmallHouse({"light": light})
    result = run(house.run("lights off"))
    assert (result.delivery.outcome, text_of(house)) == (Outcome.ANSWERED, "It is dark now.")
    assert len({order.idempotency_key for order in light.executed}) == 1
    assert [entry.attempt for entry in result.ledger.entries if entry.step == "execution"] == [1, 2]
    assert house.journal.begun == 1


@pytest.mark.parametrize(
    "first",
    [
        sends(SkillAnswer("It is", 0)),  # it broke off in the middle of a word
        fails(Unavailable("lost", metadata={"effect": "true"})),
        fails(FailedPrecondition("", reason="NO_LIGHT")),
        hangs(),
    ],
    ids=["broke off", "acted", "refused", "hangs"],
)
def test_what_has_begun_or_refused_or_takes_too_long_is_not_asked_again(first: Script) -> None:
    light = ScriptedSkill(loses_once(first, says("It is dark now.", receipt=True)))
    house = SmallHouse({"light": light})
    assert run(house.run("lights off")).delivery.outcome is Outcome.FAILED
    assert len(light.executed) == 1


def test_a_refusal_before_any_effect_is_told_as_such() -> None:
    house = SmallHouse({"light": ScriptedSkill(fails(FailedPrecondition("", reason="NO_LIGHT")))})
    assert run(house.run("lights off")).delivery.reason == "NO_LIGHT"


def test_nothing_is_changed_when_the_turn_was_taken_over() -> None:
    house = SmallHouse(journal=NotedJournal(Conflict("", reason="TURN_TAKEN_OVER")))
    result = run(house.run("lights off"))
    assert (result.delivery.outcome, result.delivery.reason) == (Outcome.FAILED, "TURN_TAKEN_OVER")
    assert house.skills["light"].executed == []


def test_a_dialogue_that_is_gone_ends_in_silence_and_says_so() -> None:
    house = SmallHouse(dialogue=PlainDialogue(Unavailable("gone", reason="DIALOGUE_GONE")))
    result = run(house.run("sing me the phone book"))
    assert (result.delivery.outcome, result.delivery.reason) == (Outcome.FAILED, "DIALOGUE_GONE")
    assert text_of(house) == ""


def test_a_skill_may_ask() -> None:
    asks = sends(SkillPrompt(PromptKind.ELICIT_SLOT, "Where?", "place", "p1"), SkillDone(Ending.AWAITING_USER))
    house = SmallHouse({"clock": ScriptedSkill(asks)})
    result = run(house.run("what time is it"))
    assert result.delivery.outcome is Outcome.ASKED
    (asked,) = [event for event in house.events if isinstance(event, Asked)]
    assert (asked.prompt.prompt_id, asked.prompt.slot) == ("p1", "place")
    assert text_of(house) == "Where?"


def test_what_a_skill_says_meanwhile_is_no_part_of_the_answer() -> None:
    house = SmallHouse(
        {"clock": ScriptedSkill(sends(SkillProgress("Looking."), SkillAnswer("Five."), SkillDone(), after=1.0))}
    )
    result = run(house.run("what time is it"))
    assert result.delivery.text == "Five."
    assert (spoken_by(house, progress=True), spoken_by(house)) == ("Looking.", "Five.")
    assert len(house.of(Progress)) == 1  # the skill's own word replaces ours


# --- working ahead -------------------------------------------------------------------------------------------------
def ahead(final: str, *partials: tuple[float, str]) -> ScriptedRecogniser:
    return ScriptedRecogniser([utterance(final, partials=partials)])


def test_an_answer_is_begun_while_the_user_still_speaks() -> None:
    house = SmallHouse(recogniser=ahead("What time is it?", (0.9, "what time is it")))
    result = run(house.run())
    # Everything was ready: the answer's first audio leaves with the decision, 80 ms earlier than without.
    assert result.ledger.marks[Mark.FIRST_AUDIO] == pytest.approx(1.7)
    assert (text_of(house), spoken_by(house)) == ("It is five.", "It is five.")
    assert len(house.skills["clock"].executed) == 1
    assert house.understanding.asked == [("what time is it", True)]
    assert [entry.speculative for entry in result.ledger.entries if entry.step is Step.EXECUTION] == [True]


def test_nothing_is_said_before_the_decision() -> None:
    house = SmallHouse(recogniser=ahead("what time is it", (0.9, "what time is it")))
    run(house.run())
    order = [type(event) for event in house.events]
    assert order.index(Decided) < order.index(AnswerText)


def test_a_guess_that_was_wrong_is_thrown_away() -> None:
    recogniser = ahead("what time is it in rome", (0.9, "what time is it"))
    house = SmallHouse(recogniser=recogniser)
    result = run(house.run())
    assert house.skills["clock"].executed[0].hypothesis.slots == ()
    assert house.skills["clock"].executed[-1].hypothesis.slots[0].text == "rome"
    assert text_of(house) == "It is five."  # once, of the second execution
    assert result.delivery.served is not None
    assert result.delivery.served.slots[0].text == "rome"


def test_a_newer_partial_replaces_the_guess() -> None:
    recogniser = ahead("what time is it in rome", (0.5, "what time is it"), (0.9, "what time is it in rome"))
    house = SmallHouse(recogniser=recogniser)
    result = run(house.run())
    assert result.ledger.marks[Mark.FIRST_AUDIO] == pytest.approx(1.7)
    assert len(house.skills["clock"].executed) == 2


def test_nothing_with_a_side_effect_is_done_ahead() -> None:
    house = SmallHouse(recogniser=ahead("lights on", (0.5, "lights off")))
    run(house.run())
    assert house.skills["light"].executed == []
    assert house.journal.begun == 0


def test_what_has_a_side_effect_waits_for_the_final_and_happens_once() -> None:
    house = SmallHouse(recogniser=ahead("lights off", (0.5, "lights off")))

    async def scenario() -> int:
        turn = asyncio.create_task(house.run())
        await asyncio.sleep(1.699)
        begun_early = house.journal.begun + len(house.skills["light"].executed)
        await turn
        return begun_early

    assert run(scenario()) == 0
    assert len(house.skills["light"].executed) == 1
    assert house.understanding.asked == [("lights off", True)]  # the understanding was used


def test_a_complete_request_shortens_the_silence() -> None:
    recogniser = ahead("what time is it in rome", (0.5, "what time is it"), (0.9, "what time is it in rome"))
    run(SmallHouse(recogniser=recogniser).run())
    settings = SpeculationSettings()
    # "what time is it" could go on; "in rome" leaves nothing open.
    assert recogniser.opened[0].silences == [settings.open_silence, settings.short_silence]


def test_a_request_that_turns_out_longer_gets_its_time_back() -> None:
    recogniser = ahead("what time is it you know", (0.5, "what time is it"), (0.9, "what time is it you know"))
    run(SmallHouse(recogniser=recogniser).run())
    settings = SpeculationSettings()
    assert recogniser.opened[0].silences == [settings.open_silence, settings.usual_silence]


def test_a_partial_that_is_not_settled_starts_nothing_before_the_endpoint() -> None:
    script = utterance("what time is it")
    script.insert(1, (0.5, Partial("what time is it", stability=0.1)))
    house = SmallHouse(recogniser=ScriptedRecogniser([script]))
    result = run(house.run())
    (understood,) = [entry for entry in result.ledger.entries if entry.step is Step.UNDERSTANDING]
    assert understood.start == pytest.approx(1.7)


def test_an_eager_endpoint_settles_a_partial() -> None:
    script = utterance("what time is it")
    script[1:1] = [(0.9, Partial("what time is it", stability=0.1)), (1.2, Endpoint("SILENCE", is_eager=True))]
    house = SmallHouse(recogniser=ScriptedRecogniser([script]))
    result = run(house.run())
    assert house.understanding.asked == [("what time is it", True)]
    assert result.ledger.marks[Mark.FIRST_AUDIO] == pytest.approx(1.7)


def test_the_patience_of_a_turn_begins_with_the_wait_and_not_before() -> None:
    house = SmallHouse(
        {"clock": ScriptedSkill(says("It is five.", after=2.5))},
        recogniser=ScriptedRecogniser([utterance("what time is it", partials=[(0.3, "what time is it")])]),
    )
    run(house.run())  # begun at 0.33, adopted at 1.7, answered at 2.83: the user waited for 1.1 s
    assert house.of(Progress) == []
    assert text_of(house) == "It is five."


def test_speculation_can_be_switched_off() -> None:
    house = SmallHouse(
        recogniser=ahead("what time is it", (0.9, "what time is it")), speculation=SpeculationSettings(enabled=False)
    )
    run(house.run())
    assert house.understanding.asked == [("what time is it", False)]


def test_a_long_answer_that_was_begun_ahead_is_given_whole() -> None:
    words = [f"w{n} " for n in range(200)]
    house = SmallHouse(
        {"clock": ScriptedSkill(says(*words, after=0.001))},
        recogniser=ahead("what time is it", (0.3, "what time is it")),
    )
    run(house.run())
    assert text_of(house) == "".join(words)
    assert spoken_by(house) == "".join(words).strip()


# --- being interrupted ---------------------------------------------------------------------------------------------
def test_barge_in_stops_the_answer() -> None:
    house = SmallHouse({"clock": ScriptedSkill(says(*["word "] * 1000, after=0.1))})

    async def scenario() -> float:
        turn = house.turn("what time is it")
        task = asyncio.create_task(turn.run())
        await asyncio.sleep(2.0)
        turn.interrupt("BARGE_IN")
        result = await task
        assert result.delivery.outcome is Outcome.INTERRUPTED
        assert result.delivery.text.startswith("word word")
        return now()

    assert run(scenario()) == pytest.approx(2.0)
    assert isinstance(house.events[-1], PlaybackStopped)
    assert house.skills["clock"].cancelled == 1


def test_barge_in_does_not_halve_an_effect() -> None:
    house = SmallHouse({"light": ScriptedSkill(says("Dark.", after=1.0, receipt=True))})

    async def scenario() -> None:
        turn = house.turn("lights off")
        task = asyncio.create_task(turn.run())
        await asyncio.sleep(0.5)
        turn.interrupt("BARGE_IN")
        assert (await task).delivery.outcome is Outcome.INTERRUPTED
        assert house.journal.settled == []
        await asyncio.sleep(1.0)

    run(scenario())
    assert house.journal.settled == ["Dark."]
    assert house.skills["light"].cancelled == 0


def test_a_turn_that_is_dropped_stops_everything() -> None:
    house = SmallHouse({"clock": ScriptedSkill(hangs())})

    async def scenario() -> int:
        task = asyncio.create_task(house.run("what time is it"))
        await asyncio.sleep(0.5)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        return len(asyncio.all_tasks())

    assert run(scenario()) == 1  # the scenario's own
    assert house.skills["clock"].cancelled == 1


def test_a_client_that_does_not_read_holds_its_own_turn_only() -> None:
    """The turn's events are not taken: the skill is asked for no more than the queues between hold."""
    house = SmallHouse({"clock": ScriptedSkill(says(*["word "] * 5000, after=0.001))})
    taken = 0

    async def scenario() -> None:
        nonlocal taken
        blocked = asyncio.Event()

        async def take(event: object) -> None:
            nonlocal taken
            taken += 1
            if taken > 10:
                await blocked.wait()

        turn = house.turn("what time is it")
        turn._emit = take
        task = asyncio.create_task(turn.run())
        await asyncio.sleep(60)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    run(scenario())
    assert taken < 15
