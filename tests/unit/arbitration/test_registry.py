"""Registered skills, their manifests, how they are spoken of, and traffic between pools."""

from __future__ import annotations

from dataclasses import replace

import pytest

from services.arbitration.contexts import Profile
from services.arbitration.hypotheses import Hypothesis, Risk
from services.arbitration.manifests import MAX_PHRASE, IntentSpec, Manifest, SlotSpec, problems
from services.arbitration.ports import SkillInWords
from services.arbitration.registry_of_skills import EVERYONE, Overlap, SkillRegistry, dialogue_manifest
from services.arbitration.speaking_of_skills import phrases_of, question_for, skills_in_words
from services.runtime.errors import AntiphonError, InvalidInput, NotFound, QuotaExceeded
from tests.fakes.arbitration_house import TIME

pytestmark = pytest.mark.unit

INTENT = IntentSpec(
    "clock.time",
    (SlotSpec("place", "place", questions={"en": "Where?"}),),
    {"en": ("what time is it", "time in {place}", "time in {place|rome}"), "de": ("wie spät ist es",)},
)
CLOCK = Manifest("clock", "1.0.0", ("en", "de"), (INTENT,), "antiphon", {"en": "Clock", "de": "Uhr"})


# --- manifests -----------------------------------------------------------------------------------------------------
def test_a_sound_manifest_has_no_problems() -> None:
    assert problems(CLOCK) == ()
    assert problems(dialogue_manifest(("en",))) == ()


@pytest.mark.parametrize(
    ("manifest", "field"),
    [
        (replace(CLOCK, id="Clock"), "skill_id"),
        (replace(CLOCK, id="c" * 65), "skill_id"),
        (replace(CLOCK, version="1"), "version"),
        (replace(CLOCK, locales=()), "locales"),
        (replace(CLOCK, intents=()), "intents"),
        (replace(CLOCK, intents=(INTENT, INTENT)), "intents[1].name"),
        (replace(CLOCK, intents=(replace(INTENT, name="watch.time"),)), "intents[0].name"),
        (replace(CLOCK, intents=(replace(INTENT, risk=Risk.HIGH),)), "intents[0].risk"),
        (replace(CLOCK, intents=(replace(INTENT, slots=(SlotSpec("Place", "place"),)),)), "intents[0].slots[0].name"),
        (replace(CLOCK, intents=(replace(INTENT, slots=()),)), "intents[0].phrases[en]"),
        (
            replace(CLOCK, intents=(replace(INTENT, phrases={"en": ("x" * (MAX_PHRASE + 1),)}),)),
            "intents[0].phrases[en]",
        ),
        (replace(CLOCK, intents=(replace(INTENT, phrases={"en": ("",)}),)), "intents[0].phrases[en]"),
        (replace(CLOCK, intents=(replace(INTENT, phrases={"en": ("x",) * 2001}),)), "intents[0].phrases[en]"),
        (replace(CLOCK, catalogues={"rooms": 10_001}), "catalogues[rooms]"),
    ],
)
def test_every_problem_has_its_place(manifest: Manifest, field: str) -> None:
    assert field in [problem.field for problem in problems(manifest)]


def test_all_problems_are_told_at_once() -> None:
    with pytest.raises(InvalidInput) as refused:
        SkillRegistry().register(replace(CLOCK, version="1", locales=()))
    assert "version" in refused.value.message
    assert "locales" in refused.value.message
    assert refused.value.reason == "MANIFEST_INVALID"


# --- registry ------------------------------------------------------------------------------------------------------
def other(name: str, *phrases: str) -> Manifest:
    return Manifest(name, "1.0.0", ("en",), (IntentSpec(f"{name}.act", phrases={"en": phrases}),), "somebody")


def test_shared_phrases_are_reported_and_allowed() -> None:
    skills = SkillRegistry()
    assert skills.register(CLOCK) == ()
    overlaps = skills.register(other("watch", "What  time is IT", "something else"))
    assert overlaps == (Overlap("what time is it", "en", "watch.act", "clock", "clock.time"),)


def test_a_new_version_replaces_the_old_one() -> None:
    skills = SkillRegistry()
    skills.register(CLOCK)
    skills.enable("acme", "clock")
    renamed = replace(CLOCK, version="2.0.0", intents=(replace(INTENT, name="clock.now"),))
    assert skills.register(renamed) == ()
    assert skills.serving("clock.time") == ()
    assert skills.serving("clock.now") == ("clock",)
    assert skills.is_enabled("acme", "clock")


def test_a_name_belongs_to_its_publisher() -> None:
    skills = SkillRegistry()
    skills.register(CLOCK)
    with pytest.raises(AntiphonError) as refused:
        skills.register(replace(CLOCK, publisher="somebody"))
    assert refused.value.reason == "SKILL_TAKEN"
    with pytest.raises(InvalidInput):
        skills.register(other("dialogue", "hello"))


def test_tenants_enable_for_themselves() -> None:
    skills = SkillRegistry()
    skills.register(CLOCK)
    assert not skills.is_enabled("acme", "clock")
    skills.enable("acme", "clock")
    assert skills.is_enabled("acme", "clock")
    assert not skills.is_enabled("globex", "clock")
    skills.enable(EVERYONE, "clock")
    skills.enable("acme", "clock", enabled=False)
    assert not skills.is_enabled("acme", "clock")
    assert [skill.manifest.id for skill in skills.enabled("globex")] == ["clock"]
    assert skills.enabled("acme") == ()


def test_a_removed_skill_is_gone_for_all() -> None:
    skills = SkillRegistry()
    skills.register(CLOCK)
    skills.enable("acme", "clock")
    skills.remove("clock")
    for forgotten in (
        lambda: skills.skill("clock"),
        lambda: skills.remove("clock"),
        lambda: skills.enable("a", "clock"),
    ):
        with pytest.raises(NotFound):
            forgotten()
    skills.register(CLOCK)
    assert not skills.is_enabled("acme", "clock")


def test_the_registry_is_bounded() -> None:
    skills = SkillRegistry(max_skills=1)
    skills.register(CLOCK)
    skills.register(CLOCK)
    with pytest.raises(QuotaExceeded):
        skills.register(other("watch", "x"))


# --- in words ------------------------------------------------------------------------------------------------------
def test_skills_are_named_in_the_users_language() -> None:
    skills = SkillRegistry()
    for manifest in (CLOCK, dialogue_manifest(("en",)), other("watch", "x")):
        skills.register(manifest, built_in=True)
        skills.enable(EVERYONE, manifest.id)
    english = skills_in_words(skills, Profile("acme", "en-GB"), ())
    assert english[0] == SkillInWords("clock", "Clock", ("what time is it",))
    assert [skill.skill_id for skill in english] == ["clock", "watch"]
    german = skills_in_words(skills, Profile("acme", "de"), ())
    assert german == (SkillInWords("clock", "Uhr", ("wie spät ist es",)),)
    clock = Hypothesis("clock", TIME)
    assert [s.skill_id for s in skills_in_words(skills, Profile("acme", "en"), (clock, clock))] == ["clock"]
    assert question_for(skills, clock, "place", "en") == "Where?"
    assert question_for(skills, clock, "place", "fr") == ""
    assert phrases_of(skills, clock, "en-GB")[-1] == "time in {place}"
    assert phrases_of(skills, Hypothesis("gone", TIME), "en") == ()
