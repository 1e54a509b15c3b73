"""What a skill says of an alarm is believed only once the alarm is kept, and only of a skill that may set any."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from services.arbitration.alarms import Alarm, AlarmBook, AlarmChange
from services.arbitration.contexts import Profile
from services.arbitration.events import Outcome
from services.arbitration.hypotheses import Interpretation, Risk, Understanding
from services.arbitration.manifests import IntentSpec, Manifest
from services.arbitration.ports import Order, Receipt, SkillAlarm, SkillAnswer, SkillDone, SkillEvent
from services.arbitration.registry_of_skills import EVERYONE
from services.arbitration.turn import TurnResult
from services.runtime.store import MemorySessionStore, StoreLimits
from tests.fakes.arbitration_house import SmallHouse
from tests.fakes.arbitration_ports import Script, ScriptedSkill, ScriptedUnderstanding
from tests.fakes.virtual_time import now, run

pytestmark = pytest.mark.unit

EGG = Interpretation("timers.set", 0.97, skill_id="timers", text="three minutes for the egg")


def sets_an_alarm(*, receipt: bool = True) -> Script:
    async def script(order: Order) -> AsyncIterator[SkillEvent]:
        yield SkillAlarm(AlarmChange(Alarm("egg", now() + 180.0, kind="TIMER", label="egg")))
        yield SkillAnswer("Three minutes, starting now.", 0)
        yield SkillDone(receipt=Receipt(order.idempotency_key, 1) if receipt else None)

    return script


def house(*, permitted: bool = True, side_effects: bool = True, alarms: AlarmBook | None = None) -> SmallHouse:
    made = SmallHouse(
        skills={"timers": ScriptedSkill(sets_an_alarm(receipt=side_effects))},
        understanding=ScriptedUnderstanding({"three minutes for the egg": Understanding((EGG,), 0.02)}),
        alarms=alarms or AlarmBook(MemorySessionStore(now=now), now),
        profile=Profile("acme", "en", device_id="kitchen"),
    )
    intent = IntentSpec("timers.set", risk=Risk.LOW, side_effects=side_effects)
    permissions = ("ALARMS",) if permitted else ()
    made.registry.register(
        replace(Manifest("timers", "1.0.0", ("en",), (intent,)), permissions=permissions), built_in=True
    )
    made.registry.enable(EVERYONE, "timers")
    return made


async def asked(where: SmallHouse) -> tuple[TurnResult, list[Alarm]]:
    result = await where.turn("three minutes for the egg").run()
    return result, list(await where.alarms.alarms("acme", "device:kitchen"))


def test_an_alarm_is_kept_for_the_device_that_asked() -> None:
    result, alarms = run(asked(house()))
    assert (result.delivery.outcome, result.delivery.text) == (Outcome.ANSWERED, "Three minutes, starting now.")
    assert [(a.id, a.kind, a.label, a.skill_id, a.device_id) for a in alarms] == [
        ("egg", "TIMER", "egg", "timers", "kitchen")
    ]


@pytest.mark.parametrize(("permitted", "side_effects"), [(False, True), (True, False)])
def test_a_skill_that_may_not_or_did_not_say_so_sets_none(permitted: bool, side_effects: bool) -> None:
    result, alarms = run(asked(house(permitted=permitted, side_effects=side_effects)))
    assert result.delivery.outcome is Outcome.FAILED
    assert "starting now" not in result.delivery.text
    assert alarms == []


def test_an_alarm_that_cannot_be_kept_is_not_promised() -> None:
    full = AlarmBook(MemorySessionStore(StoreLimits(max_entries=0)))
    result, alarms = run(asked(house(alarms=full)))
    assert result.delivery.outcome is Outcome.FAILED
    assert "starting now" not in result.delivery.text
    assert alarms == []
