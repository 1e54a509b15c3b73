"""Which of the offered readings an answer in words picks."""

from __future__ import annotations

import pytest

from services.arbitration.contexts import ConversationState, PendingPrompt, Profile, PromptKind, TurnContext
from services.arbitration.hypotheses import Hypothesis, Interpretation
from services.arbitration.manifests import IntentSpec, Manifest
from services.arbitration.registry_of_skills import SkillRegistry
from services.arbitration.stages.choose import COUNTING, chosen

pytestmark = pytest.mark.unit

NAMES = {
    "jazz_radio": {"en": "Jazz Radio", "de": "Jazzradio"},
    "kitchen": {"en": "The Kitchen", "de": "Küche"},
    "atlas": {"en": "Atlas"},
}


def registry() -> SkillRegistry:
    skills = SkillRegistry()
    for skill_id, names in NAMES.items():
        skills.register(Manifest(skill_id, "1.0.0", ("en",), (IntentSpec(f"{skill_id}.play"),), names=names))
    return skills


def asking(locale: str = "en", kind: PromptKind = PromptKind.CLARIFY) -> TurnContext:
    about = [Hypothesis(name, Interpretation(f"{name}.play", 0.4, skill_id=name)) for name in NAMES]
    again = Hypothesis("jazz_radio", Interpretation("jazz_radio.play", 0.1, skill_id="jazz_radio"))
    pending = PendingPrompt("p", kind, (*about[:2], again, about[2]))
    return TurnContext("s", "t", Profile("acme", locale), 0.0, state=ConversationState(pending=pending))


def picked(text: str, context: TurnContext | None = None) -> str:
    found = chosen(text, context or asking(), registry())
    if found is None:
        return ""
    (reading,) = found.interpretations
    assert reading.confidence == 1.0
    return reading.skill_id


@pytest.mark.parametrize(
    ("text", "skill_id"),
    [
        ("the first one", "jazz_radio"),
        ("The second one, please.", "kitchen"),
        ("number two", "kitchen"),
        ("2", "kitchen"),
        ("one", "jazz_radio"),
        ("the third", "atlas"),
        ("the last one", "atlas"),
        ("Jazz Radio!", "jazz_radio"),
        ("i mean the jazz radio please", "jazz_radio"),
        ("the kitchen", "kitchen"),
        ("with atlas", "atlas"),
    ],
)
def test_words_that_pick_one(text: str, skill_id: str) -> None:
    assert picked(text) == skill_id


@pytest.mark.parametrize(
    "text",
    [
        "",
        "what time is it",
        "set a timer for two minutes",
        "the first or the second",
        "the fourth",
        "four",
        "yes",
        "please",
    ],
)
def test_words_that_do_not(text: str) -> None:
    assert picked(text) == ""


@pytest.mark.parametrize(
    ("locale", "second", "last"),
    [
        ("de-AT", "den zweiten bitte", "die letzte"),
        ("es", "la segunda por favor", "el último"),
        ("fr", "la deuxième s'il te plaît", "le dernier"),
        ("it", "il secondo per favore", "l'ultimo"),
    ],
)
def test_other_languages_count_too(locale: str, second: str, last: str) -> None:
    assert (picked(second, asking(locale)), picked(last, asking(locale))) == ("kitchen", "atlas")


def test_figures_and_names_are_known_everywhere() -> None:
    assert [picked(text, asking("ja")) for text in ("2", "atlas", "一番目")] == ["kitchen", "atlas", ""]
    assert picked("Küche", asking("de")) == "kitchen"


def test_without_an_open_choice_nothing_is_picked() -> None:
    assert picked("the first one", asking(kind=PromptKind.CONFIRM)) == ""
    assert picked("the first one", TurnContext("s", "t", Profile("acme", "en"), 0.0)) == ""


def test_every_language_has_three_ordinals_and_three_numbers() -> None:
    assert {len(counting.ordinals) for counting in COUNTING.values()} == {3}
    assert {len(counting.numbers) for counting in COUNTING.values()} == {3}
