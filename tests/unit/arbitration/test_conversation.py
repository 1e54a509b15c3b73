"""Turns in a row: keys, resuming, barge-in, explanations; scripted services, a clock that jumps."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace

import pytest

from services.arbitration.contexts import Profile, TurnContext, TurnType
from services.arbitration.conversation import Conversation
from services.arbitration.events import (
    AnswerAudio,
    AnswerText,
    Decided,
    Event,
    Outcome,
    PlaybackStopped,
    SessionEnding,
    SessionStarted,
    TurnEnded,
    TurnFailed,
    TurnStarted,
)
from services.arbitration.explanations import Explanations
from services.arbitration.hypotheses import Decision
from services.arbitration.inputs import Audio, BargedIn, CancelTurn, End, Finalize, Input, NewProfile, StartTurn, Typed
from services.arbitration.ledger import LatencyLedger, Mark
from services.arbitration.memory import SessionKeeper
from services.arbitration.opening import Opening, Premises
from services.arbitration.ports import DialogueAsk, DialogueEvent, Say
from services.runtime.errors import Conflict, InvalidInput, NotFound, Unavailable
from services.runtime.store import MemorySessionStore, SessionStore, Versioned
from tests.fakes.arbitration_house import SmallHouse
from tests.fakes.arbitration_ports import PlainDialogue, ScriptedRecogniser, ScriptedSkill, hangs, says, utterance
from tests.fakes.virtual_time import now, run

pytestmark = pytest.mark.unit

CHUNK = Audio(b"\0" * 3200, 0.1)
OPENING = Opening(Profile("acme", "en"), continuous=True)


class Wait(float):
    """In a script of inputs: seconds that pass."""


Item = Input | Wait


async def scripted(*items: Item) -> AsyncIterator[Input]:
    for item in items:
        if isinstance(item, Wait):
            await asyncio.sleep(item)
        else:
            yield item


@dataclass
class Talk:
    """A house with a store, in which conversations take place."""

    house: SmallHouse = field(default_factory=SmallHouse)
    store: SessionStore = field(default_factory=MemorySessionStore)

    def __post_init__(self) -> None:
        keeper = SessionKeeper(self.store)
        explanations = Explanations(self.store, lambda decision, ledger: decision.reason.encode())
        self.premises = Premises(self.house.house(), self.store, keeper, explanations, self.house.alarms)

    async def __call__(self, *items: Item, opening: Opening = OPENING) -> list[Event]:
        """All events of one conversation."""
        return [event async for event in Conversation(self.premises, opening).run(scripted(*items))]


def ends(events: list[Event]) -> list[TurnEnded]:
    return [event for event in events if isinstance(event, TurnEnded)]


def text(events: list[Event]) -> str:
    return "".join(event.text for event in events if isinstance(event, AnswerText))


def token(events: list[Event]) -> str:
    assert isinstance(events[0], SessionStarted)
    return events[0].resume_token


# --- turns ---------------------------------------------------------------------------------------------------------
def test_a_spoken_conversation_of_one_turn_ends_by_itself() -> None:
    async def scenario() -> list[Event]:
        return await Talk()(*[CHUNK] * 5, Wait(1e6), opening=replace(OPENING, continuous=False))

    events = run(scenario())
    assert isinstance(events[0], SessionStarted)
    assert isinstance(events[1], TurnStarted)
    assert (events[1].turn_type, events[1].number, events[1].audio_offset) == (TurnType.INITIAL, 1, 0.0)
    assert isinstance(events[-1], TurnEnded)
    assert events[-1].answer == "It is five."


def test_end_waits_for_the_running_turn() -> None:
    async def scenario() -> list[Event]:
        return await Talk()(CHUNK, End())

    assert [end.outcome for end in ends(run(scenario()))] == [Outcome.ANSWERED]


def test_audio_reaches_the_recogniser_until_the_endpoint() -> None:
    recogniser = ScriptedRecogniser([utterance("what time is it")])

    async def scenario() -> None:
        paced: list[Item] = []
        for _ in range(40):
            paced += [CHUNK, Wait(0.1)]
        await Talk(SmallHouse(recogniser=recogniser))(*paced, End(), opening=replace(OPENING, continuous=False))

    run(scenario())
    assert len(recogniser.opened[0].sent) == pytest.approx(17, abs=1)
    assert recogniser.opened[0].closed


def test_offsets_of_a_later_turn_count_from_the_streams_start() -> None:
    async def scenario() -> list[Event]:
        return await Talk()(*[CHUNK] * 3, Wait(5.0), *[CHUNK] * 3, Wait(5.0), End())

    events = run(scenario())
    starts = [event for event in events if isinstance(event, TurnStarted)]
    assert [start.audio_offset for start in starts] == [0.0, pytest.approx(0.3)]
    ledger = ends(events)[1].ledger
    assert ledger is not None
    assert ledger.marks[Mark.CAPTURE] == pytest.approx(0.3)
    assert ledger.marks[Mark.COMPLETED] > 5.0


def test_typed_turns_remember_each_other() -> None:
    talk = Talk()

    async def scenario() -> list[Event]:
        return await talk(Typed("what time is it"), Wait(1.0), Typed("what time is it in rome"), End())

    assert [end.answer for end in ends(run(scenario()))] == ["It is five."] * 2
    first, second = talk.house.skills["clock"].executed
    assert first.idempotency_key != second.idempotency_key


def test_a_question_is_answered_by_the_next_turn() -> None:
    talk = Talk()

    async def scenario() -> list[Event]:
        return await talk(Typed("buy milk"), Wait(1.0), Typed("yes"), End(), opening=replace(OPENING, continuous=False))

    events = run(scenario())
    asked, bought = ends(events)
    assert (asked.outcome, asked.expects_follow_up) == (Outcome.ASKED, True)
    assert bought.answer == "Bought."
    starts = [event for event in events if isinstance(event, TurnStarted)]
    assert [start.turn_type for start in starts] == [TurnType.INITIAL, TurnType.FOLLOWUP]
    assert len(talk.house.skills["shop"].executed) == 1


@pytest.mark.parametrize(
    ("question", "choice", "skill_id"),
    [("buy milk", "yes", "shop"), ("buy milk", "no", ""), ("either", "watch", "watch"), ("either", "clock", "clock")],
)
def test_an_offered_answer_can_be_picked(question: str, choice: str, skill_id: str) -> None:
    talk = Talk()

    async def scenario() -> list[Event]:
        picked = Typed("that one", prompt_id="prompt-1", choice_id=choice)
        return await talk(Typed(question), Wait(1.0), picked, End())

    assert ends(run(scenario()))[1].skill_id == skill_id
    assert [text for text, _ in talk.house.understanding.asked] == [question]
    executed = [name for name, skill in talk.house.skills.items() if skill.executed]
    assert executed == ([skill_id] if skill_id else [])


def test_a_choice_that_was_not_offered_is_read_as_words() -> None:
    talk = Talk()

    async def scenario() -> list[Event]:
        return await talk(
            Typed("either"), Wait(1.0), Typed("what time is it", prompt_id="another", choice_id="clock"), End()
        )

    assert ends(run(scenario()))[1].skill_id == "clock"
    assert [text for text, _ in talk.house.understanding.asked] == ["either", "what time is it"]


def test_nothing_said_is_an_error() -> None:
    async def scenario() -> None:
        await Talk()(End())

    with pytest.raises(InvalidInput) as refused:
        run(scenario())
    assert refused.value.reason == "CONVERSATION_EMPTY"


def test_a_stream_that_is_cut_stops_its_turn() -> None:
    house = SmallHouse({"clock": ScriptedSkill(hangs())})

    async def scenario() -> int:
        events = await Talk(house)(Typed("what time is it"), Wait(1.0))
        assert ends(events) == []
        return len(asyncio.all_tasks())

    assert run(scenario()) == 1
    assert house.skills["clock"].cancelled == 1


def test_a_client_that_leaves_stops_its_turn() -> None:
    house = SmallHouse({"clock": ScriptedSkill(hangs())})

    async def scenario() -> int:
        events = Conversation(Talk(house).premises, OPENING).run(scripted(Typed("what time is it"), Wait(1e6)))
        async for event in events:
            if isinstance(event, Decided):
                break
        await events.aclose()  # type: ignore[attr-defined]
        return len(asyncio.all_tasks())

    assert run(scenario()) == 1
    assert house.skills["clock"].cancelled == 1


def test_finalize_is_passed_on() -> None:
    recogniser = ScriptedRecogniser([utterance("what time is it")])

    async def scenario() -> None:
        await Talk(SmallHouse(recogniser=recogniser))(CHUNK, Finalize(), Wait(5.0), End())

    run(scenario())
    assert recogniser.opened[0].finished.is_set()


def test_a_new_profile_never_changes_the_tenant() -> None:
    talk = Talk()

    async def scenario() -> list[Event]:
        return await talk(NewProfile(Profile("globex", "en", speaks=False)), Typed("what time is it"), End())

    events = run(scenario())
    assert not any(isinstance(event, AnswerAudio) for event in events)
    turn_id = ends(events)[0].turn_id

    async def explain(tenant: str) -> bytes:
        return (await talk.premises.explanations.get(tenant, turn_id)).encoded

    assert run(explain("acme")) == b"CONFIDENT"
    with pytest.raises(NotFound):
        run(explain("globex"))


class Defective(PlainDialogue):
    """A part with a bug."""

    def respond(self, ask: DialogueAsk, context: TurnContext) -> AsyncIterator[DialogueEvent]:
        raise ZeroDivisionError


@pytest.mark.parametrize("items", [(Typed("hello"), Wait(1e6)), (Typed("hello"), End())])
def test_a_defect_ends_the_stream_and_does_not_hang_it(items: tuple[Item, ...]) -> None:
    async def scenario() -> None:
        await Talk(SmallHouse(dialogue=Defective()))(*items)

    with pytest.raises(ZeroDivisionError):
        run(scenario())


# --- interruptions -------------------------------------------------------------------------------------------------
LONG = {"clock": ScriptedSkill(says(*["word "] * 1000, after=0.1))}


@pytest.mark.parametrize(
    ("interruption", "reason"),
    [(BargedIn(), "BARGE_IN"), (CancelTurn(), "CANCELLED"), (StartTurn(), "NEW_TURN"), (Typed("hello"), "NEW_TURN")],
)
def test_an_answer_is_interrupted(interruption: Input, reason: str) -> None:
    async def scenario() -> list[Event]:
        return await Talk(SmallHouse(dict(LONG)))(Typed("what time is it"), Wait(2.0), interruption, End())

    events = run(scenario())
    (stopped,) = [event for event in events if isinstance(event, PlaybackStopped)]
    assert stopped.reason == reason
    assert ends(events)[0].outcome is Outcome.INTERRUPTED
    place = events.index(stopped)
    assert not any(isinstance(event, AnswerAudio) and event.turn_id == stopped.turn_id for event in events[place:])


def test_what_is_said_over_the_answer_is_heard() -> None:
    talk = Talk(SmallHouse(dict(LONG), recogniser=ScriptedRecogniser([utterance("hello")])))

    async def scenario() -> list[Event]:
        opening = replace(OPENING, continuous=False)
        return await talk(Typed("what time is it"), Wait(2.0), BargedIn(), CHUNK, End(), opening=opening)

    events = run(scenario())
    starts = [event for event in events if isinstance(event, TurnStarted)]
    assert [start.turn_type for start in starts] == [TurnType.INITIAL, TurnType.BARGE_IN]
    assert [end.outcome for end in ends(events)] == [Outcome.INTERRUPTED, Outcome.ANSWERED]


def test_an_interruption_of_another_turn_does_nothing() -> None:
    async def scenario() -> list[Event]:
        return await Talk()(Typed("what time is it"), BargedIn("some other turn"), End())

    assert ends(run(scenario()))[0].outcome is Outcome.ANSWERED


def test_a_turn_can_be_interrupted_before_it_has_begun() -> None:
    async def scenario() -> list[Event]:
        return await Talk()(Typed("what time is it", key="k"), CancelTurn(), End())

    assert ends(run(scenario()))[0].outcome is Outcome.INTERRUPTED


# --- idempotency ---------------------------------------------------------------------------------------------------
def test_a_repeat_gets_the_stored_result_and_nothing_is_done_again() -> None:
    talk = Talk()

    async def scenario() -> tuple[list[Event], list[Event]]:
        return await talk(Typed("lights off", key="k"), End()), await talk(Typed("lights off", key="k"), End())

    first, again = run(scenario())
    assert len(talk.house.skills["light"].executed) == 1
    assert (ends(first)[0].repeated, ends(again)[0].repeated) == (False, True)
    assert (ends(again)[0].answer, ends(again)[0].receipt) == ("It is dark now.", b"receipt")
    assert ends(again)[0].skill_id == "light"
    assert text(again) == "It is dark now."
    assert any(isinstance(event, AnswerAudio) for event in again)


def test_a_spoken_repeat_is_not_even_recognised() -> None:
    recogniser = ScriptedRecogniser([utterance("what time is it")])
    talk = Talk(SmallHouse(recogniser=recogniser))
    opening = replace(OPENING, key="conversation", continuous=False)

    async def scenario() -> list[Event]:
        await talk(*[CHUNK] * 3, End(), opening=opening)
        return await talk(*[CHUNK] * 3, End(), opening=opening)

    assert ends(run(scenario()))[0].repeated
    assert len(recogniser.opened) == 1
    assert len(talk.house.skills["clock"].executed) == 1


def test_another_device_may_use_the_same_key() -> None:
    talk = Talk()
    kitchen = replace(OPENING, profile=replace(OPENING.profile, device_id="kitchen"))

    async def scenario() -> None:
        await talk(Typed("lights off", key="1"), End())
        await talk(Typed("lights off", key="1"), End(), opening=kitchen)

    run(scenario())
    assert len(talk.house.skills["light"].executed) == 2


def test_what_failed_without_effect_may_be_tried_again() -> None:
    talk = Talk(SmallHouse({"clock": ScriptedSkill(hangs())}))

    async def scenario() -> list[Event]:
        await talk(Typed("what time is it", key="k"), End())
        talk.house.skills["clock"].script = says("It is six.")
        return await talk(Typed("what time is it", key="k"), End())

    assert ends(run(scenario()))[0].answer == "It is six."


def test_an_effect_whose_outcome_is_unknown_is_asked_for_again_with_its_own_key() -> None:
    """The contract of skills: a repeat of a key changes nothing more and gives the same receipt."""
    talk = Talk(SmallHouse({"light": ScriptedSkill(hangs())}))

    async def scenario() -> list[list[Event]]:
        await talk(Typed("lights off", key="k"), End())
        talk.house.skills["light"].script = says("It is dark now.", receipt=True)
        return [await talk(Typed("lights off", key="k"), End()) for _ in range(2)]

    again, third = run(scenario())
    orders = talk.house.skills["light"].executed
    assert len(orders) == 2
    assert orders[0].idempotency_key == orders[1].idempotency_key
    assert (ends(again)[0].answer, ends(again)[0].receipt) == ("It is dark now.", b"receipt")
    assert (ends(third)[0].repeated, ends(third)[0].receipt) == (True, b"receipt")


@pytest.mark.parametrize("words", ["what time is it", "set an alarm", "yes"])
def test_a_repeat_that_comes_to_something_else_is_told_that_the_outcome_is_unknown(words: str) -> None:
    talk = Talk(SmallHouse({"light": ScriptedSkill(hangs())}))

    async def scenario() -> list[list[Event]]:
        await talk(Typed("lights off", key="k"), End())
        return [await talk(Typed(words, key="k"), End()) for _ in range(2)]

    for events in run(scenario()):
        assert [e.error.reason for e in events if isinstance(e, TurnFailed)] == ["TURN_OUTCOME_UNKNOWN"]
        assert (ends(events)[0].outcome, ends(events)[0].reason) == (Outcome.FAILED, "TURN_OUTCOME_UNKNOWN")


def test_a_repeat_does_not_change_something_else_instead() -> None:
    talk = Talk(SmallHouse({"light": ScriptedSkill(hangs())}))

    async def scenario() -> list[Event]:
        await talk(Typed("lights off", key="k"), End())
        return await talk(Typed("buy milk"), Typed("yes", key="k"), End())

    events = run(scenario())
    assert not talk.house.skills["shop"].executed
    assert ends(events)[-1].reason == "TURN_OUTCOME_UNKNOWN"
    assert [e.error.reason for e in events if isinstance(e, TurnFailed)] == ["TURN_OUTCOME_UNKNOWN"]


def test_the_same_key_of_two_users_is_two_keys_to_a_skill() -> None:
    talk = Talk()
    users = [replace(OPENING, profile=replace(OPENING.profile, user_id=user)) for user in ("ann", "bob")]

    async def scenario() -> None:
        for opening in users:
            await talk(Typed("lights off", key="1"), End(), opening=opening)

    run(scenario())
    assert len({order.idempotency_key for order in talk.house.skills["light"].executed}) == 2


def test_a_key_of_the_conversation_serves_its_next_turn_after_a_failure() -> None:
    talk = Talk(SmallHouse({"light": ScriptedSkill(hangs())}))

    async def scenario() -> list[Event]:
        opening = replace(OPENING, key="conversation")
        return await talk(Typed("lights off"), Wait(20.0), Typed("what time is it"), End(), opening=opening)

    assert [end.outcome for end in ends(run(scenario()))] == [Outcome.FAILED, Outcome.ANSWERED]


def test_a_replica_that_is_lost_before_the_effect_is_taken_over_and_can_do_no_harm() -> None:
    """The first stream hangs before its effect; a second takes the turn over; the first then may not act."""
    talk = Talk(SmallHouse({"light": ScriptedSkill(says("Dark.", receipt=True), thinking=0.07)}))

    async def scenario() -> tuple[list[Event], list[Event]]:
        first = asyncio.create_task(talk(Typed("lights off", key="k"), End()))
        await asyncio.sleep(0.01)
        second = await talk(Typed("lights off", key="k"), End())
        return await first, second

    first, second = run(scenario())
    assert len(talk.house.skills["light"].executed) == 1
    outcomes = {ends(first)[0].reason, ends(second)[0].reason}
    assert "TURN_TAKEN_OVER" in outcomes


def test_an_effect_is_recorded_although_nobody_listens_any_more() -> None:
    talk = Talk(SmallHouse({"light": ScriptedSkill(says("Dark.", after=1.0, receipt=True))}))

    async def scenario() -> list[Event]:
        await talk(Typed("lights off", key="k"), Wait(0.5))  # the stream is cut while the skill is at it
        await asyncio.sleep(1.0)
        return await talk(Typed("lights off", key="k"), End())

    events = run(scenario())
    assert len(talk.house.skills["light"].executed) == 1
    assert (ends(events)[0].repeated, ends(events)[0].answer) == (True, "Dark.")


class GoneStore(MemorySessionStore):
    """A store that answers for sessions and is gone for everything else."""

    async def get(self, tenant: str, key: str) -> Versioned | None:
        self._fail(key)
        return await super().get(tenant, key)

    async def put(
        self, tenant: str, key: str, value: bytes, *, ttl: float, expected: int | None = None, turn: str = ""
    ) -> Versioned:
        self._fail(key)
        return await super().put(tenant, key, value, ttl=ttl, expected=expected, turn=turn)

    def _fail(self, key: str) -> None:
        if not key.startswith(("session/", "resume/")):
            raise Unavailable("gone", reason="STORE_GONE")


def test_without_its_store_a_turn_is_answered_but_changes_nothing() -> None:
    talk = Talk(store=GoneStore())

    async def scenario() -> list[Event]:
        return await talk(Typed("what time is it", key="a"), Wait(1), Typed("lights off", key="b"), End())

    answered, refused = ends(run(scenario()))
    assert answered.outcome is Outcome.ANSWERED
    assert (refused.outcome, refused.reason) == (Outcome.FAILED, "STORE_GONE")
    assert talk.house.skills["light"].executed == []


# --- resuming ------------------------------------------------------------------------------------------------------
def resumed(events: list[Event], **more: object) -> Opening:
    return replace(OPENING, resume_token=token(events), **more)  # type: ignore[arg-type]


def test_a_conversation_goes_on_in_another_stream() -> None:
    talk = Talk()

    async def scenario() -> list[Event]:
        first = await talk(Typed("buy milk"), End())
        return await talk(Typed("yes"), End(), opening=resumed(first))

    events = run(scenario())
    assert isinstance(events[0], SessionStarted)
    assert events[0].resumed
    assert ends(events)[-1].answer == "Bought."
    assert talk.house.skills["shop"].executed[0].hypothesis.slots[0].text == "milk"


def test_audio_is_safe_when_its_turn_is_stored_and_a_resumed_client_goes_on_there() -> None:
    talk = Talk()

    async def scenario() -> tuple[list[float], list[Event]]:
        conversation = Conversation(talk.premises, replace(OPENING, continuous=False))
        safe, first = [], []
        async for event in conversation.run(scripted(*[CHUNK] * 5, Wait(1e6))):
            first.append(event)
            safe.append(conversation.safe_audio)
        return safe, first + await talk(Typed("hello"), End(), opening=resumed(first))

    safe, events = run(scenario())
    assert safe[0] == 0.0
    assert safe[-2] == 0.0, "a turn that runs has to be sent again"
    assert safe[-1] == pytest.approx(0.5)
    again = [event for event in events if isinstance(event, SessionStarted)]
    assert [event.held_audio for event in again] == [0.0, pytest.approx(0.5)]


def test_a_token_is_good_once_and_for_its_tenant_only() -> None:
    talk = Talk()

    async def scenario() -> None:
        first = await talk(Typed("what time is it"), End())
        foreign = replace(resumed(first), profile=Profile("globex", "en"))
        for opening in (foreign, replace(OPENING, resume_token="made-up")):
            with pytest.raises(NotFound) as refused:
                await talk(End(), opening=opening)
            assert refused.value.reason == "RESUME_TOKEN_UNKNOWN"
        await talk(Typed("what time is it"), End(), opening=resumed(first))
        with pytest.raises(NotFound):
            await talk(End(), opening=resumed(first))

    run(scenario())


def test_the_stream_that_lost_its_session_finds_out() -> None:
    talk = Talk()

    async def scenario() -> None:
        conversation = Conversation(talk.premises, OPENING)
        inputs = scripted(Typed("what time is it"), Wait(5.0), Typed("what time is it"), Wait(5.0), End())
        events = conversation.run(inputs)
        first = [await anext(events)]
        await talk(Typed("hello"), End(), opening=resumed(first))
        with pytest.raises(Conflict) as lost:
            [event async for event in events]
        assert lost.value.reason == "SESSION_TAKEN_OVER"

    run(scenario())


def test_a_client_that_missed_the_answer_gets_it_again() -> None:
    talk = Talk()

    async def first_stream() -> list[Event]:
        conversation = Conversation(talk.premises, OPENING)
        events = []
        async for event in conversation.run(scripted(Typed("what time is it"), End())):
            conversation.sequence += 1
            events.append(event)
        return events

    async def scenario() -> tuple[list[Event], list[Event]]:
        missed = await talk(Typed("hello"), End(), opening=resumed(await first_stream(), last_sequence=2))
        seen = await talk(Typed("hello"), End(), opening=resumed(await first_stream(), last_sequence=10_000))
        return missed, seen

    missed, seen = run(scenario())
    assert text(missed).startswith("It is five.")
    assert ends(missed)[0].repeated
    assert not text(seen).startswith("It is five.")


def test_the_end_of_a_session_is_announced_with_its_token() -> None:
    talk = Talk()

    async def scenario() -> tuple[Event, str]:
        conversation = Conversation(talk.premises, OPENING)
        events = conversation.run(scripted(Wait(10.0), Typed("hello"), End()))
        await anext(events)
        await conversation.announce_ending("DRAINING", 30.0)
        ending = await anext(events)
        async for _ in events:
            continue
        return ending, conversation.resume_token

    ending, resume_token = run(scenario())
    assert ending == SessionEnding("DRAINING", 30.0, resume_token)
    assert resume_token


# --- explanations --------------------------------------------------------------------------------------------------
def test_feedback_reaches_ranking_once() -> None:
    talk = Talk()
    explanations = talk.premises.explanations

    async def scenario() -> tuple[bool, bool, bool]:
        turn_id = ends(await talk(Typed("what time is it"), End()))[0].turn_id
        first = await explanations.add_feedback("acme", turn_id, "COMPLETED")
        again = await explanations.add_feedback("acme", turn_id, "COMPLETED")
        other = await explanations.add_feedback("acme", turn_id, "POSITIVE")
        with pytest.raises(NotFound):
            await explanations.add_feedback("globex", turn_id, "COMPLETED")
        assert (await explanations.get("acme", turn_id)).feedback == ("COMPLETED", "POSITIVE")
        return first, again, other

    assert run(scenario()) == (False, True, False)
    assert explanations.book.success("acme", "clock", "clock.time") == pytest.approx(7 / 12)


def test_words_are_explained_only_with_consent() -> None:
    kept: list[str] = []

    def encode(decision: Decision, ledger: LatencyLedger) -> bytes:
        kept.append(repr(decision))
        return b""

    async def scenario(retain: bool) -> None:
        talk = Talk()
        talk.premises.explanations.encode = encode
        await talk(Typed("what time is it in rome"), End(), opening=replace(OPENING, retain_text=retain))

    run(scenario(False))
    run(scenario(True))
    assert "rome" not in kept[0].lower()
    assert "clock.time" in kept[0]
    assert "rome" in kept[1].lower()


# --- clients that misbehave ----------------------------------------------------------------------------------------
def test_a_client_that_never_reads_is_held_back() -> None:
    house = SmallHouse({"clock": ScriptedSkill(says(*["word "] * 5000, after=0.001))})
    sent = 0

    async def scenario() -> None:
        nonlocal sent

        async def flood() -> AsyncIterator[Input]:
            nonlocal sent
            yield Typed("what time is it")
            while True:
                sent += 1
                yield Typed("what time is it")

        events = Conversation(Talk(house).premises, OPENING).run(flood())
        await anext(events)
        await asyncio.sleep(60)
        await events.aclose()  # type: ignore[attr-defined]

    run(scenario())
    assert sent < 200


class SlowToNote(PlainDialogue):
    """A dialogue service that takes a second to note an answer."""

    async def respond(self, ask: DialogueAsk, context: TurnContext) -> AsyncIterator[DialogueEvent]:
        if ask.say is Say.TRACK:
            await asyncio.sleep(1.0)
        async for event in super().respond(ask, context):
            yield event


def test_a_dialogue_that_is_told_does_not_delay_the_turn() -> None:
    talk = Talk(SmallHouse(dialogue=SlowToNote()))

    async def scenario() -> float:
        await talk(Typed("what time is it"), End())
        took = now()
        await talk.premises.house.desk.settle()
        return took

    assert run(scenario()) < 0.2
    assert isinstance(talk.house.dialogue, SlowToNote)
    assert [ask.skill_answer for ask in talk.house.dialogue.asked] == ["It is five."]
