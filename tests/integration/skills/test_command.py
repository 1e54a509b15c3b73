"""`antiphon skill` as one runs it: what it writes, what it finds in skills that break the contract, how it ends."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path

import grpc
import pytest

from antiphon.cli import main
from antiphon.skills import Event, Turn, serve
from antiphon.skills.samples import read
from antiphon.skills.trial import Trial, Tried
from tests.fakes.misbehaving_skill import Misbehaving

pytestmark = pytest.mark.integration

MANIFEST = """
skill_id: liar
version: 1.0.0
locales: [en]
display_names: {en: Liar}
intents:
  - {name: harmless, risk: low, side_effect: none, phrases: {en: [do nothing]}}
  - {name: alarm, risk: low, side_effect: reversible, phrases: {en: [wake me up]}}
  - {name: twice, risk: low, side_effect: reversible, phrases: {en: [count]}}
  - {name: silent, risk: low, side_effect: none, phrases: {en: [say nothing]}}
  - {name: crash, risk: low, side_effect: none, phrases: {en: [break down]}}
"""
SKILL = """
from pathlib import Path
from antiphon.skill.v1 import skill_pb2
from antiphon.skills import Skill, load_manifest
from antiphon.types.v1 import alarm_pb2

class Liar(Skill):
    manifest = load_manifest(Path(__file__).with_name("manifest.yaml"))
    count = 0
    async def handle(self, turn):
        if turn.intent == "crash":
            raise ZeroDivisionError("over and out")
        if turn.intent == "silent":
            return
        yield turn.say("Fine.")
        if turn.intent == "alarm":
            yield turn.set_alarm(alarm_pb2.Alarm(alarm_id="a"))
        yield turn.changed(skill_pb2.Effect(effect_id="1", kind="LIED"))
"""


@pytest.fixture
def liar(tmp_path: Path) -> Path:
    (tmp_path / "manifest.yaml").write_text(MANIFEST, encoding="utf-8")
    (tmp_path / "skill.py").write_text(SKILL, encoding="utf-8")
    return tmp_path


def test_a_liar_is_found_out(liar: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["skill", "test", str(liar), "--json"]) == 1
    tried = {line["text"]: line["problems"] for line in map(json.loads, capsys.readouterr().out.splitlines())}
    assert tried == {
        "do nothing": ["it changed something, though its side_effect is none"],
        "wake me up": ["it set an alarm without the permission `alarms`"],
        "count": [],
        "say nothing": ["it said nothing"],
        "break down": ["SKILL_CRASHED: INTERNAL (SKILL_CRASHED): the skill failed"],
    }


def test_what_is_wrong_is_printed_with_its_place(liar: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = MANIFEST.replace("{en: [do nothing]}", "{en: [wake me up], de: ['{x}']}").replace("1.0.0", "one")
    (liar / "manifest.yaml").write_text(text, encoding="utf-8")
    assert main(["skill", "test", str(liar)]) == 1
    printed = capsys.readouterr().out
    assert "error: version: 'one': a semantic version" in printed
    assert "error: intents[0] (harmless).phrases[de]: 'de' is not among the skill's locales" in printed
    assert "warning: phrases[en]: 'wake me up' means alarm and harmless" in printed
    assert "FAIL  en    break down" in printed


@pytest.mark.parametrize(
    ("file", "content", "complaint"),
    [
        ("manifest.yaml", "skill_id: [", "not YAML"),
        ("manifest.yaml", MANIFEST.replace("risk: low", "risk: none"), "RISK_NONE"),
        ("skill.py", "import nowhere_to_be_found", "nowhere_to_be_found"),
        ("skill.py", "def broken(", "SyntaxError"),
        ("skill.py", "raise SystemExit('bye')", "SystemExit: bye"),
        ("skill.py", "x = 1", "defines no Skill"),
    ],
)
def test_what_cannot_be_loaded_says_why(
    liar: Path, capsys: pytest.CaptureFixture[str], file: str, content: str, complaint: str
) -> None:
    (liar / file).write_text(content, encoding="utf-8")
    assert main(["skill", "test", str(liar)]) == 2
    assert complaint in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["skill", "test", "nowhere"], 2),
        (["skill", "test", "localhost:1"], 3),
        (["skill", "new", "No Name"], 2),
        (["skill", "new", "../up"], 2),
    ],
)
def test_exit_codes(
    arguments: list[str], code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == code
    assert capsys.readouterr().err.startswith("antiphon: ")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["water", "plant_watering", "x"])
def test_a_new_skill_works_under_any_name(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["skill", "new", name, "--dir", "here"]) == 0
    assert main(["skill", "new", name, "--dir", "here"]) == 2, "nothing is written over"
    assert main(["skill", "test", "here", "--all"]) == 0
    printed = capsys.readouterr().out
    assert f"{name} 1.0.0: 2 intents" in printed
    assert "FAIL" not in printed
    assert main(["skill", "test", "here", "--say", "i drank 20 glasses of water"]) == 0
    assert "I can note one to ten at a time." in capsys.readouterr().out
    assert main(["skill", "test", "here", "--say", "sing a song"]) == 1


async def tried(skill: Misbehaving, way: str) -> Tried:
    server, port = await serve([skill])
    try:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            trial = Trial(channel, f"127.0.0.1:{port}")
            manifest = (await trial.manifests())[0]
            sample = read(manifest, f"{way} please", "en", trial.now)
            assert sample is not None
            (found,) = [one async for one in trial.run([sample])]
            return found
    finally:
        await server.stop(grace=None)


@pytest.mark.parametrize(
    ("way", "reason"),
    [
        ("huge_answer", "EVENT_TOO_LARGE"), ("flood", "TOO_MANY_EVENTS"), ("late", "SKILL_TOO_LATE"),
        ("exit", "SKILL_CRASHED"), ("huge_state", "STATE_TOO_LARGE"),
    ],
)  # fmt: skip
async def test_misbehaviour_over_the_wire(way: str, reason: str) -> None:
    found = await tried(Misbehaving(), way)
    assert found.outcome == "failed"
    assert found.problems[0].startswith(reason)


class Twice(Misbehaving):
    """Keeps no keys, as a server in another language might; says something else each time."""

    async def handle(self, turn: Turn) -> AsyncIterator[Event]:
        self.closed += 1
        yield turn.say(f"number {self.closed}")


async def test_a_repeat_that_acts_again_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("antiphon.skills.host.SkillHost._known", _nothing_known)
    found = await tried(Twice(), "wrong_receipt")
    assert found.problems == ("a repeat of its key gave another answer: it acted twice",)


async def _nothing_known(host: object, skill: object, turn: object) -> None:
    return None
