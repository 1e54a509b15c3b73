"""Speech over an answer stops it at once and is the next turn, whole. It takes a microphone without echo."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from services.arbitration.contexts import TurnContext, TurnType
from services.arbitration.conversation import Conversation
from services.arbitration.events import AnswerText, Event, Outcome, PlaybackStopped, TurnEnded, TurnStarted
from services.arbitration.inputs import Audio, BargedIn, End, Input, Played
from services.arbitration.opening import Opening
from services.arbitration.overhearing import Playback
from services.arbitration.ports import (
    Endpoint,
    Final,
    Order,
    Receipt,
    RecognitionEvent,
    SkillAnswer,
    SkillDone,
    SkillEvent,
)
from services.runtime.errors import Unavailable
from tests.fakes.arbitration_house import SmallHouse
from tests.fakes.arbitration_ports import (
    ScriptedRecogniser,
    ScriptedRecognition,
    ScriptedSkill,
    TextAsSpeech,
    says,
    utterance,
)
from tests.fakes.virtual_time import now, run
from tests.unit.arbitration.test_conversation import OPENING, Talk

pytestmark = pytest.mark.unit

LISTENS = replace(OPENING, barge_in=True, seconds_of=lambda size: size / 10.0)
LONG = " ".join(["and"] * 500)
"""An answer of 500 words, one a tenth of a second."""

SILENCE: list[tuple[float, RecognitionEvent]] = [(10.0, Endpoint("NO_SPEECH")), (10.0, Final(()))]


async def talking(*items: Input, seconds: float) -> AsyncIterator[Input]:
    """Audio every 100 ms, the items one after another when their second comes."""
    for tick in range(round(seconds * 10)):
        yield Audio(tick.to_bytes(2, "big"), 0.1)
        await asyncio.sleep(0.1)
    for item in items:
        yield item


async def timed(talk: Talk, inputs: AsyncIterator[Input], opening: Opening = LISTENS) -> list[tuple[float, Event]]:
    return [(now(), event) async for event in Conversation(talk.premises, opening).run(inputs)]


def house(recogniser: ScriptedRecogniser, answer: str = LONG) -> SmallHouse:
    return SmallHouse(
        skills={"clock": ScriptedSkill(says(answer))}, recogniser=recogniser, synthesis=TextAsSpeech(seconds=0.1)
    )


def test_speech_stops_the_answer_and_is_the_next_turn() -> None:
    second = utterance("hello", end=1.0)
    recogniser = ScriptedRecogniser([utterance("what time is it"), second, SILENCE])
    events = run(timed(Talk(house(recogniser)), talking(End(), seconds=12.0)))
    stopped = [(at, event) for at, event in events if isinstance(event, PlaybackStopped)]
    started = [event for _, event in events if isinstance(event, TurnStarted)]
    ended = [event for _, event in events if isinstance(event, TurnEnded)]
    assert [event.reason for _, event in stopped] == ["BARGE_IN"]
    # The ear opens with the first audio behind the endpoint at 1.7 s; its script hears speech 0.2 s later.
    assert stopped[0][0] == pytest.approx(1.95, abs=0.16)
    assert [event.turn_type for event in started[:2]] == [TurnType.INITIAL, TurnType.BARGE_IN]
    assert [event.outcome for event in ended[:2]] == [Outcome.INTERRUPTED, Outcome.ANSWERED]
    assert "<open:" in "".join(event.text for _, event in events if isinstance(event, AnswerText))


def test_the_interrupting_turn_hears_every_sample() -> None:
    recogniser = ScriptedRecogniser([utterance("what time is it"), utterance("hello"), SILENCE])
    run(timed(Talk(house(recogniser)), talking(End(), seconds=6.0)))
    first, second = recogniser.opened[0].sent, recogniser.opened[1].sent
    assert int.from_bytes(second[0], "big") == int.from_bytes(first[-1], "big") + 1
    numbers = [int.from_bytes(chunk, "big") for chunk in second]
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))


def test_without_an_echo_free_microphone_speech_interrupts_nothing() -> None:
    recogniser = ScriptedRecogniser([utterance("what time is it"), utterance("hello")])
    events = run(
        timed(Talk(house(recogniser, "It is five.")), talking(End(), seconds=5.0), replace(LISTENS, barge_in=False))
    )
    assert not [event for _, event in events if isinstance(event, PlaybackStopped)]


def test_silence_interrupts_nothing_however_long_the_answer() -> None:
    recogniser = ScriptedRecogniser([utterance("what time is it"), SILENCE, SILENCE, SILENCE, SILENCE, SILENCE])
    events = run(timed(Talk(house(recogniser)), talking(End(), seconds=40.0)))
    assert not [event for _, event in events if isinstance(event, PlaybackStopped)]
    assert len(recogniser.opened) >= 4  # an ear that has heard nothing for its time is opened anew
    assert all(opened.closed for opened in recogniser.opened)


def test_speech_while_the_device_still_plays_a_finished_answer_stops_the_device() -> None:
    recogniser = ScriptedRecogniser([utterance("what time is it"), SILENCE, utterance("hello"), SILENCE])
    quick = SmallHouse(
        skills={"clock": ScriptedSkill(says("It is five."))},
        recogniser=recogniser,
        synthesis=TextAsSpeech(seconds=0.01),
    )
    events = run(timed(Talk(quick), talking(End(), seconds=6.0)))
    kinds = [event for _, event in events if isinstance(event, (PlaybackStopped, TurnEnded, TurnStarted))]
    first = next(event.turn_id for event in kinds if isinstance(event, TurnStarted))
    stops = [event for event in kinds if isinstance(event, PlaybackStopped)]
    assert [(stop.turn_id, stop.reason) for stop in stops] == [(first, "BARGE_IN")]
    assert next(event.outcome for event in kinds if isinstance(event, TurnEnded)) is Outcome.ANSWERED


def test_a_device_that_says_it_is_quiet_is_not_stopped() -> None:
    playback = Playback(lambda size: size / 10.0)
    playback.sent("t1", 20, now=100.0)
    assert playback.playing(101.0) == "t1"
    assert playback.playing(102.4) == ""
    playback.sent("t2", 20, now=110.0)
    playback.over("t1")
    assert playback.playing(111.0) == "t2"
    playback.over("t2")
    assert playback.playing(111.0) == ""


async def with_event(item: Input, at: float, seconds: float) -> AsyncIterator[Input]:
    for tick in range(round(seconds * 10)):
        if tick == round(at * 10):
            yield item
        yield Audio(tick.to_bytes(2, "big"), 0.1)
        await asyncio.sleep(0.1)
    yield End()


def test_a_client_that_says_so_first_loses_no_sample_either() -> None:
    late = utterance("hello", end=2.0)
    late[0] = (5.0, late[0][1])  # the recogniser notices speech long after the device did
    recogniser = ScriptedRecogniser([utterance("what time is it"), late, SILENCE])
    events = run(timed(Talk(house(recogniser)), with_event(BargedIn(), 2.5, 9.0)))
    started = [event for _, event in events if isinstance(event, TurnStarted)]
    assert started[1].turn_type is TurnType.BARGE_IN
    first, second = recogniser.opened[0].sent, recogniser.opened[1].sent
    assert int.from_bytes(second[0], "big") == int.from_bytes(first[-1], "big") + 1


class OnceOnly(ScriptedRecogniser):
    """Cannot be reached a second time, but a third."""

    async def open(self, context: TurnContext) -> ScriptedRecognition:
        if len(self.opened) == 1:
            self.scripts.append(SILENCE)
            self.opened.append(self.opened[0])
            raise Unavailable("gone", reason="REPLICA_LOST")
        return await super().open(context)


def test_an_ear_that_fails_leaves_the_answer_alone() -> None:
    recogniser = OnceOnly([utterance("what time is it")])
    events = run(timed(Talk(house(recogniser, "It is five.")), talking(Played("x"), End(), seconds=2.2)))
    ended = [event for _, event in events if isinstance(event, TurnEnded)]
    assert ended[0].answer == "It is five."


def test_an_effect_under_way_is_done_once_although_it_is_interrupted() -> None:
    async def slow(order: Order) -> AsyncIterator[SkillEvent]:
        await asyncio.sleep(2.0)
        yield SkillAnswer("It is dark now.", 0)
        yield SkillDone(receipt=Receipt(order.idempotency_key, 1))

    light = ScriptedSkill(slow)
    recogniser = ScriptedRecogniser([utterance("lights off"), utterance("hello"), SILENCE])
    talk = Talk(SmallHouse(skills={"light": light}, recogniser=recogniser))
    events = run(timed(talk, talking(End(), seconds=8.0)))
    ended = [event for _, event in events if isinstance(event, TurnEnded)]
    assert [event.outcome for event in ended[:2]] == [Outcome.INTERRUPTED, Outcome.ANSWERED]
    assert len(light.executed) == 1
    assert light.cancelled == 0
