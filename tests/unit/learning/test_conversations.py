"""Conversations tell the school of their turns, and of speech over answers; scripted services, a clock that jumps."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from services.arbitration.conversation import Conversation
from services.arbitration.events import TurnStarted
from services.arbitration.inputs import BargedIn, End, Input, Typed
from services.arbitration.learning.interactions import Interaction
from tests.fakes.arbitration_house import SmallHouse
from tests.fakes.arbitration_ports import ScriptedRecogniser, ScriptedSkill, TextAsSpeech, says, utterance
from tests.fakes.interaction_log import KeptLog
from tests.fakes.virtual_time import run
from tests.unit.arbitration.test_barge_in import LISTENS, SILENCE, talking, timed
from tests.unit.arbitration.test_conversation import OPENING, Talk, Wait
from tests.unit.learning.test_school import SmallSchool

pytestmark = pytest.mark.unit


async def learning(talk: Talk) -> KeptLog:
    """What the talk's school writes down."""
    school, kept = (await SmallSchool.open()).school, KeptLog()
    talk.premises.school, school.log = school, kept
    return kept


def test_every_turn_leaves_a_row() -> None:
    async def scenario() -> list[Interaction]:
        talk = Talk()
        kept = await learning(talk)
        await talk(Typed("what time is it"), Wait(1.0), Typed("set an alarm"), Wait(1.0), End())
        return kept.rows

    answered, asked = run(scenario())
    assert (answered.skill_id, answered.outcome, answered.verdict) == ("clock", "answered", "completed")
    assert (asked.action, asked.outcome, asked.verdict) == ("clarify", "asked", "open")
    assert asked.session_id == answered.session_id
    assert not asked.text + answered.text


def test_words_follow_the_conversations_consent() -> None:
    async def scenario() -> list[Interaction]:
        talk = Talk()
        kept = await learning(talk)
        await talk(Typed("Set an alarm!"), End(), opening=replace(OPENING, retain_text=True))
        return kept.rows

    assert [row.text for row in run(scenario())] == ["set an alarm"]


def test_speech_over_an_answer_that_is_still_heard_is_a_failure() -> None:
    async def scenario() -> list[Interaction]:
        recogniser = ScriptedRecogniser([utterance("what time is it"), SILENCE, utterance("hello"), SILENCE])
        skills = {"clock": ScriptedSkill(says("It is five."))}
        talk = Talk(SmallHouse(skills=skills, recogniser=recogniser, synthesis=TextAsSpeech(seconds=0.01)))
        kept = await learning(talk)
        await timed(talk, talking(End(), seconds=6.0), LISTENS)
        return kept.rows

    assert run(scenario())[0].verdict == "interrupted"


@pytest.mark.parametrize(("own", "verdicts"), [(True, ["interrupted"]), (False, [])])
def test_a_device_that_says_so_is_believed_about_its_own_turn(own: bool, verdicts: list[str]) -> None:
    async def scenario() -> list[Interaction]:
        talk = Talk()
        kept = await learning(talk)
        heard: dict[str, str] = {}

        async def inputs() -> AsyncIterator[Input]:
            yield Typed("what time is it")
            await asyncio.sleep(1.0)
            yield BargedIn(heard["turn"] if own else "another")
            yield End()

        async for event in Conversation(talk.premises, OPENING).run(inputs()):
            if isinstance(event, TurnStarted):
                heard["turn"] = event.turn_id
        return kept.rows

    assert [row.verdict for row in run(scenario())] == verdicts
