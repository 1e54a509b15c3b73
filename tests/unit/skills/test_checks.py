"""Manifests that lie, overlap or are huge: every mistake is named, with its place."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from pathlib import Path

import pytest

from antiphon.skill.v1 import manifest_pb2
from antiphon.skills import load_manifest, read_manifest
from antiphon.skills.checks import MAX_ENTRIES, findings
from antiphon.skills.samples import read, samples
from antiphon.types.v1 import value_pb2
from services.arbitration.adapters.decisions import from_manifest
from services.arbitration.manifests import problems
from tests.conftest import ROOT

pytestmark = pytest.mark.unit

SOUND = """
skill_id: lamp
version: 1.0.0
locales: [en]
catalogues:
  - name: lamps
    entries:
      - {entity_id: desk, names: {en: [desk lamp, desk]}}
intents:
  - name: "on"
    risk: medium
    side_effect: reversible
    slots:
      - {name: lamp, value_type: entity, catalogue: lamps}
      - {name: level, value_type: integer, required: true, prompts: {en: How bright}}
    phrases:
      en: [lights on, "{lamp|desk lamp} on", "set the {lamp|desk} to {level|five}"]
  - name: state
    risk: low
    side_effect: none
    phrases: {en: [is the light on]}
"""


def broken(old: str, new: str) -> manifest_pb2.SkillManifest:
    assert old in SOUND
    return read_manifest(SOUND.replace(old, new))


def test_a_sound_one_is_sound() -> None:
    assert findings(read_manifest(SOUND)) == []


@pytest.mark.parametrize(
    ("old", "new", "where", "message", "error"),
    [
        ("skill_id: lamp", "skill_id: Lamp", "skill_id", "lower case", True),
        ("version: 1.0.0", "version: newest", "version", "semantic version", True),
        ("locales: [en]", "locales: [english please]", "locales", "no BCP-47", True),
        ("locales: [en]", "locales: [de]", "phrases[en]", "not among the skill's locales", True),
        ("locales: [en]", "locales: [en, de]", "phrases[de]", "is missing", False),
        ("name: state", 'name: "on"', "intents[1] (on).name", "is there twice", True),
        ("name: state", "name: State", "(State).name", "lower case", True),
        ("risk: low", "risk: high", "(state).risk", "cannot be of high risk", True),
        ("    risk: low\n    side_effect: none", "    risk: low\n    side_effect: irreversible", "(state).risk",
         "cannot be undone", False),
        ("{en: [is the light on]}", "{}", "(state).phrases", "nobody can say it", False),
        ("{en: [is the light on]}", "{en: [lights on]}", "phrases[en]", "means on and state", False),
        ("{en: [is the light on]}", "{en: ['{lamp} on']}", "phrases[en][0]", "{lamp} is no slot", True),
        ("lights on,", "lights on, lights on,", "phrases[en]", "is there twice", False),
        ("lights on,", "'lights on {oops',", "phrases[en]", "a brace without its other half", True),
        ("lights on,", "'',", "phrases[en][0]", "1 to 300", True),
        ("lights on,", f"{'on ' * 101},", "phrases[en][0]", "1 to 300", True),
        ("lights on,", '"lights\\u0007on",', "phrases[en][0]", "control characters", True),
        ("lights on,", "light 5 on,", "phrases[en][0]", "numbers as words", False),
        ("lights on,", "'{lamp|desk}',", "phrases[en][0]", "nothing but a slot", False),
        ("catalogue: lamps", "catalogue: rooms", ".catalogue", "no catalogue of this skill (there: lamps)", True),
        ("name: level", "name: lamp", "slots[1] (lamp).name", "each slot once", True),
        ("to {level|five}", "brighter", "slots[1] (level)", "nobody can fill it", True),
        ("prompts: {en: How bright}", "prompts: {de: Wie hell}", "prompts[en]", "is missing", False),
        ("{entity_id: desk, names", "{entity_id: '', names", "entries", "needs an entity_id", True),
        ("      - {entity_id: desk, names: {en: [desk lamp, desk]}}",
         "      - {entity_id: desk, names: {en: a}}\n      - {entity_id: desk, names: {en: b}}", "entries",
         "'desk' is there twice", True),
    ],
)  # fmt: skip
def test_every_mistake_has_its_place(old: str, new: str, where: str, message: str, error: bool) -> None:
    found = findings(broken(old, new))
    hits = [finding for finding in found if where in finding.where and message in finding.message]
    assert hits, [f"{finding.where}: {finding.message}" for finding in found]
    assert hits[0].error is error


def test_all_mistakes_come_at_once_errors_first() -> None:
    manifest = broken("skill_id: lamp", "skill_id: L")
    manifest.version = "x"
    manifest.intents[1].phrases[0].phrases.append("lights on")
    found = findings(manifest)
    assert [finding.error for finding in found] == [True, True, False]


def test_what_is_unsaid_is_asked_for() -> None:
    manifest = read_manifest(SOUND)
    manifest.intents[0].ClearField("risk")
    manifest.intents[1].ClearField("side_effect")
    assert [finding.where for finding in findings(manifest)] == [
        "intents[0] (on).risk",
        "intents[1] (state).side_effect",
    ]


def test_what_the_registry_refuses_is_an_error_here() -> None:
    manifest = read_manifest(SOUND)
    manifest.skill_id = "Lamp"
    manifest.intents[0].slots[0].name = "No Name"
    assert problems(from_manifest(manifest))
    assert any(finding.error for finding in findings(manifest))


def test_huge_ones_are_refused_in_no_time() -> None:
    manifest = read_manifest(SOUND)
    manifest.intents[0].phrases[0].phrases.extend(f"lights {word} on" for word in ("very " * 20,) * 30_000)
    began = time.process_time()
    assert [finding.where for finding in findings(manifest)] == ["manifest"] or findings(manifest)[0].error
    entries = read_manifest(SOUND)
    for number in range(MAX_ENTRIES + 1):
        entries.catalogues[0].entries.add(entity_id=str(number)).names.add(language_code="en", text="x")
    assert any("at most 10000" in finding.message for finding in findings(entries))
    intents = read_manifest(SOUND)
    for number in range(201):
        intents.intents.add(name=f"n{number}", risk=1, side_effect=1)
    assert any(finding.where == "intents" for finding in findings(intents))
    assert time.process_time() - began < 10


@pytest.mark.parametrize("manifest", sorted(ROOT.glob("skills/*/manifest.yaml")), ids=lambda path: path.parent.name)
def test_built_in_manifests_have_nothing_to_mend(manifest: Path) -> None:
    assert findings(load_manifest(manifest)) == []


@pytest.mark.parametrize("name", ["timers", "lists"])
def test_ours_have_no_warnings_and_say_much(name: str) -> None:
    manifest = load_manifest(ROOT / "skills" / name / "manifest.yaml")
    assert findings(manifest) == []
    for intent in manifest.intents:
        assert {table.language_code for table in intent.phrases} == {"en", "de", "es", "fr", "it"}
        assert all(len(table.phrases) >= 8 for table in intent.phrases), intent.name
        assert all(phrase == phrase.lower() for table in intent.phrases for phrase in table.phrases)


def test_phrases_become_turns() -> None:
    manifest = load_manifest(ROOT / "skills" / "timers" / "manifest.yaml")
    for sample in samples(manifest, datetime.now(UTC), everything=True):
        assert "{" not in sample.text
        for slot in sample.interpretation.slots:
            assert sample.text[slot.span.start : slot.span.end] == slot.text
            kind = slot.value.WhichOneof("kind")
            wanted = next(one.value_type for one in sample.intent.slots if one.name == slot.name)
            assert kind == value_pb2.ValueType.Name(wanted).removeprefix("VALUE_TYPE_").lower()


def test_a_text_is_read_by_the_phrases() -> None:
    manifest = read_manifest(SOUND)
    now = datetime.now(UTC)
    found = read(manifest, "Set the desk to 12.", "en-GB", now)
    assert found is not None
    assert found.interpretation.intent == "lamp.on"
    lamp, level = found.interpretation.slots
    assert (lamp.value.entity.entity_id, level.value.integer) == ("desk", 12)
    assert read(manifest, "play some music", "en", now) is None
    assert read(manifest, "(.*)+$" * 50, "en", now) is None


@pytest.mark.parametrize(("other", "warned"), [("lamps", True), ("doors", False)])
def test_slots_of_other_catalogues_tell_phrases_apart(other: str, warned: bool) -> None:
    manifest = manifest_pb2.SkillManifest(skill_id="house", version="1.0.0", locales=["en"])
    for name, catalogue in (("raise", "lamps"), ("unlock", other)):
        intent = manifest.intents.add(name=name)
        intent.slots.add(name="thing", value_type=value_pb2.VALUE_TYPE_ENTITY, catalogue=catalogue)
        intent.phrases.add(language_code="en", phrases=["open the {thing|front one}"])
    assert any("ranking would have to guess" in finding.message for finding in findings(manifest)) == warned
