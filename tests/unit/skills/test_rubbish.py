"""Every built-in skill against readings and contexts that hold anything: no skill crashes, every turn ends in words."""

from __future__ import annotations

import asyncio
import random
from datetime import UTC, datetime

import pytest

from antiphon.skill.v1 import skill_pb2
from antiphon.skills import Skill, SkillError, SkillHost, Turn
from antiphon.skills.skill import Trouble
from antiphon.types.v1 import context_pb2, understanding_pb2
from skills.calculator.handler import CALCULATOR
from skills.clock.handler import CLOCK
from skills.home.handler import HOME
from skills.lists.handler import LISTS
from skills.notyet.handler import NOTYET
from skills.smalltalk.handler import SMALLTALK
from skills.timers.handler import TIMERS
from skills.units.handler import UNITS
from tests.fakes.rubbish import TEXTS, fill

pytestmark = pytest.mark.unit

SKILLS = (CALCULATOR, CLOCK, HOME, LISTS, NOTYET, SMALLTALK, TIMERS, UNITS)
LOCALES = ("en", "de-AT", "es", "fr-FR", "it", "xx", "en-u-ca-gregory", "")
TURNS = 500
"""Of each skill. A defect of one turn in a hundred is found with all but certainty."""


def nonsense(skill: Skill, chance: random.Random, number: int) -> skill_pb2.ExecuteRequest:
    """A turn of one of the skill's intents, with its slots and others filled at random."""
    intent = chance.choice(list(skill.manifest.intents))
    asked = skill_pb2.ExecuteRequest(
        skill_id=skill.manifest.skill_id,
        idempotency_key=f"key-{number}",
        language_code=chance.choice(LOCALES),
        confirmed=True,
        skill_state=chance.randbytes(chance.randrange(50)),
    )
    if chance.random() < 0.5:
        fill(asked.context, chance)
    for alarm in asked.context.alarms:
        alarm.skill_id = chance.choice(("", skill.manifest.skill_id, alarm.skill_id))
    if chance.random() < 0.8:
        asked.context.now.FromDatetime(datetime(2026, 11, 20, 12, tzinfo=UTC))
    reading = asked.interpretation
    reading.intent = f"{skill.manifest.skill_id}.{intent.name}"
    reading.text = chance.choice(TEXTS)
    for spec in intent.slots:
        for _ in range(chance.choice((0, 1, 1, 2))):
            slot = reading.slots.add()
            fill(slot, chance)
            slot.name = spec.name
            if chance.random() < 0.8:  # of the type that it should be, with anything in it
                kind = next((f for f in slot.value.DESCRIPTOR.fields if f.number == spec.value_type), None)
                if kind is not None and kind.message_type is not None:
                    slot.value.Clear()
                    getattr(slot.value, kind.name).SetInParent()
                    fill(getattr(slot.value, kind.name), chance)
    return asked


async def turns(skill: Skill, seed: int) -> None:
    chance, host = random.Random(seed), SkillHost([skill])
    for number in range(TURNS):
        asked = nonsense(skill, chance, number)
        question = skill_pb2.CanFulfillRequest(
            skill_id=asked.skill_id,
            interpretations=[asked.interpretation],
            language_code=asked.language_code,
            context=asked.context,
        )
        try:
            assert len((await host.can_fulfill(question)).answers) == 1
            events = [event async for event in host.execute(asked)]
        except SkillError as error:
            if error.kind is Trouble.CRASHED:
                raise AssertionError(f"seed {seed}, turn {number}: {str(asked)[:2_000]}") from error
            continue
        said = [event.answer.text or event.prompt.text.text for event in events]
        assert any(said), f"seed {seed}, turn {number}: nothing was said to {str(asked)[:2_000]}"
        odd = [char for text in said for char in text if ord(char) < 0xA0 and not (char.isprintable() or char == "\n")]
        assert not odd, f"seed {seed}, turn {number}: {odd} said to {str(asked)[:2_000]}"
        assert sum(map(len, said)) <= 8_000
        assert events[-1].HasField("done")


@pytest.mark.parametrize("skill", SKILLS, ids=lambda skill: skill.manifest.skill_id)
def test_nothing_that_is_heard_breaks_a_skill(skill: Skill) -> None:
    asyncio.run(turns(skill, seed=20_261_120))


def test_a_session_that_is_rubbish_has_a_user_all_the_same() -> None:
    """What is kept is kept by user, so there is always one, and never the same for two tenants."""
    chance = random.Random(1)
    for _ in range(50):
        context = context_pb2.TurnContext()
        fill(context, chance)
        reading = understanding_pb2.Interpretation(intent="clock.time")
        names = {Turn("time", "en", reading, context, tenant=tenant).user for tenant in ("a", "b")}
        assert len(names) == 2
