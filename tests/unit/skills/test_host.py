"""The kit for writing skills, and the host that finds and serves them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from antiphon.skill.v1 import manifest_pb2, skill_pb2
from antiphon.skills import Event, ManifestError, Skill, SkillError, SkillHost, Turn, read_manifest
from antiphon.skills.skill import Trouble
from antiphon.types.v1 import value_pb2
from services.arbitration.adapters.decisions import from_manifest
from services.arbitration.manifests import problems
from services.runtime.errors import FailedPrecondition
from services.skillhost.discovery import installed_skills
from skills.calculator.handler import CALCULATOR
from skills.clock.handler import CLOCK
from tests.fakes.skill_turns import execute, request

pytestmark = pytest.mark.unit

LAMP = """
skill_id: lamp
version: 1.0.0
locales: [en]
intents:
  - name: "on"
    risk: medium
    side_effect: reversible
    phrases: {en: [lights on]}
  - name: unlock
    risk: high
    side_effect: irreversible
  - name: crash
    risk: low
    side_effect: none
  - name: ask
    risk: low
    side_effect: none
"""


class Lamp(Skill):
    """Counts how often it was switched on."""

    manifest = read_manifest(LAMP)

    def __init__(self) -> None:
        self.switched = 0

    async def handle(self, turn: Turn) -> AsyncIterator[Event]:
        if turn.intent == "crash":
            raise ZeroDivisionError("a defect")
        if turn.intent == "ask":
            yield turn.ask("Which one?", "lamp")
            return
        self.switched += 1
        yield turn.say("It is ")
        yield turn.say("bright.")
        yield turn.changed(skill_pb2.Effect(effect_id=str(self.switched), kind="LAMP_ON"))


def test_pieces_get_their_places_and_the_end_its_receipt() -> None:
    first, second, done = execute(Lamp(), request("lamp.on"))
    assert (first.answer.span.start, first.answer.span.end) == (0, 6)
    assert (second.answer.span.start, second.answer.span.end) == (6, 13)
    assert done.done.receipt.idempotency_key == "key-1"
    assert done.done.outcome == skill_pb2.EXECUTION_OUTCOME_COMPLETED


def test_a_repeat_changes_nothing_more() -> None:
    lamp = Lamp()
    host = SkillHost([lamp])

    async def twice() -> list[list[skill_pb2.ExecuteResponse]]:
        return [[event async for event in host.execute(request("lamp.on"))] for _ in range(2)]

    first, second = asyncio.run(twice())
    assert lamp.switched == 1
    assert second[-1].done.receipt.effects[0].effect_id == first[-1].done.receipt.effects[0].effect_id
    assert (first[-1].done.receipt.replayed, second[-1].done.receipt.replayed) == (False, True)


def test_a_repeat_while_the_first_is_at_work_waits_for_it() -> None:
    lamp = Lamp()
    host = SkillHost([lamp])

    async def both() -> list[list[skill_pb2.ExecuteResponse]]:
        first = host.execute(request("lamp.on"))
        begun = [await anext(first)]
        second = asyncio.create_task(collected(host))
        await asyncio.sleep(0.01)
        assert not second.done()
        return [begun + [event async for event in first], await asyncio.wait_for(second, 10)]

    first, second = asyncio.run(both())
    assert lamp.switched == 1
    assert (first[-1].done.receipt.replayed, second[-1].done.receipt.replayed) == (False, True)


def test_a_repeat_of_one_that_was_broken_off_is_not_kept_waiting() -> None:
    lamp = Lamp()
    host = SkillHost([lamp])

    async def broken_off() -> list[skill_pb2.ExecuteResponse]:
        first = host.execute(request("lamp.on"))
        await anext(first)
        await first.aclose()
        return await asyncio.wait_for(collected(host), 10)

    assert asyncio.run(broken_off())[-1].done.receipt.idempotency_key == "key-1"
    assert lamp.switched == 2


async def collected(host: SkillHost) -> list[skill_pb2.ExecuteResponse]:
    return [event async for event in host.execute(request("lamp.on"))]


def test_asking_waits_for_the_user() -> None:
    prompt, done = execute(Lamp(), request("lamp.ask"))
    assert prompt.prompt.slot == "lamp"
    assert done.done.outcome == skill_pb2.EXECUTION_OUTCOME_AWAITING_USER


@pytest.mark.parametrize(
    ("asked", "reason", "kind"),
    [
        (request("lamp.unlock"), "NOT_CONFIRMED", Trouble.REFUSED),
        (request("lamp.off"), "UNKNOWN_INTENT", Trouble.INVALID),
        (request("radio.on"), "SKILL_NOT_FOUND", Trouble.NOT_FOUND),
        (request("lamp.on", key=""), "KEY_MISSING", Trouble.INVALID),
        (request("lamp.crash"), "SKILL_CRASHED", Trouble.CRASHED),
    ],
)
def test_what_is_refused(asked: skill_pb2.ExecuteRequest, reason: str, kind: Trouble) -> None:
    with pytest.raises(SkillError) as refused:
        execute(Lamp(), asked)
    assert (refused.value.reason, refused.value.kind) == (reason, kind)
    assert "defect" not in str(refused.value)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("[]", "a table"),
        ("skill_id: [", "not YAML"),
        ("skill_id: lamp", "version is missing"),
        (LAMP.replace("risk: low", "risk: none"), "RISK_NONE"),
        (LAMP.replace("skill_id", "skil_id"), "skil_id"),
        (LAMP.replace("    risk: medium\n", ""), "say risk and side_effect"),
        (LAMP.replace("version: 1.0.0", "version: 1.0"), "version"),
    ],
)
def test_a_wrong_manifest_says_where(text: str, complaint: str) -> None:
    with pytest.raises(ManifestError, match=complaint):
        read_manifest(text)


@pytest.mark.parametrize("skill", [CLOCK, CALCULATOR], ids=["clock", "calculator"])
def test_built_in_manifests_are_sound(skill: Skill) -> None:
    manifest = skill.manifest
    assert problems(from_manifest(manifest)) == ()
    languages = {"en", "de", "es", "fr", "it"}
    assert {text.language_code for text in manifest.display_names} == languages
    for intent in manifest.intents:
        assert {table.language_code for table in intent.phrases} == languages
        assert intent.side_effect == manifest_pb2.SIDE_EFFECT_NONE
        assert value_pb2.VALUE_TYPE_UNSPECIFIED not in {slot.value_type for slot in intent.slots}


def point(name: str, value: str) -> EntryPoint:
    return EntryPoint(name, value, "antiphon.skills")


def test_skills_are_found_by_entry_points() -> None:
    found = [point("clock", "skills.clock.handler:CLOCK"), point("calculator", "skills.calculator.handler:CALCULATOR")]
    assert installed_skills(found=found) == (CALCULATOR, CLOCK)
    assert installed_skills(["clock"], found) == (CLOCK,)


def test_a_skill_that_cannot_be_loaded_does_not_take_the_others_with_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "skill_that_raises.py").write_text("1 / 0")
    (tmp_path / "skill_that_exits.py").write_text("raise SystemExit(3)")
    monkeypatch.syspath_prepend(tmp_path)
    found = [
        point("clock", "skills.clock.handler:CLOCK"),
        point("gone", "skills.nowhere:SKILL"),
        point("odd", "skills.clock.words:WORDS"),
        *(point(name, f"{name}:SKILL") for name in ("skill_that_raises", "skill_that_exits")),
    ]
    assert installed_skills(found=found) == (CLOCK,)


def test_nothing_installed_is_an_error() -> None:
    with pytest.raises(FailedPrecondition, match="no entry point in the group"):
        installed_skills(found=[])
    with pytest.raises(FailedPrecondition, match="no entry point 'radio'"):
        installed_skills(["radio"], [point("clock", "skills.clock.handler:CLOCK")])
