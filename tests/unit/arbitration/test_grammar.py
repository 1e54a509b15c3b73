"""Manifests become what the recogniser expects: phrases with classes, for the skills that may serve the user."""

from __future__ import annotations

from pathlib import Path

import pytest

from antiphon.skill.v1 import manifest_pb2
from antiphon.skills import load_manifest, read_manifest
from antiphon.types.v1 import value_pb2
from services.arbitration.adapters.decisions import from_manifest
from services.arbitration.adapters.grammar import ONLY_SHARE, Grammars
from services.arbitration.adapters.small_words import SMALL_WORDS
from services.arbitration.contexts import Profile
from services.arbitration.registry_of_skills import EVERYONE, SkillRegistry

pytestmark = pytest.mark.unit

SKILLS = Path(__file__).parents[3] / "skills"
COFFEE = """
skill_id: coffee
version: 1.0.0
locales: [en, de]
catalogues:
  - name: drinks
    entries:
      - {entity_id: latte, names: {en: [latte, caffe latte], de: Milchkaffee}, weight: 2}
intents:
  - name: order
    risk: low
    side_effect: none
    slots:
      - {name: drink, value_type: entity, catalogue: drinks}
      - {name: count, value_type: integer}
      - {name: name, value_type: text}
    phrases:
      en: ["a {drink|latte} please", "{count|two} {drink|lattes} for {name|anna}"]
      de: ["einen {drink|milchkaffee} bitte"]
"""


def registry(*manifests: manifest_pb2.SkillManifest, built_in: bool = True) -> SkillRegistry:
    skills = SkillRegistry()
    for manifest in manifests:
        skills.register(from_manifest(manifest), built_in=built_in, endpoint="" if built_in else "host:1")
        skills.enable(EVERYONE, manifest.skill_id)
    return skills


def test_slots_become_classes_by_catalogue_by_type_or_of_their_own() -> None:
    grammar = Grammars(registry(read_manifest(COFFEE))).of(Profile("acme", "en-GB"))
    assert grammar is not None
    assert [phrase.text for phrase in grammar.phrases] == [
        "a {coffee_drinks} please",
        "{integer} {coffee_drinks} for {coffee_order_name}",
        *SMALL_WORDS["en"],
    ]
    classes = {each.name: each for each in grammar.classes}
    assert [entry.text for entry in classes["coffee_drinks"].entries] == ["latte", "caffe latte", "lattes"]
    assert classes["coffee_drinks"].entries[0].weight == 2
    assert classes["coffee_drinks"].value_type == value_pb2.VALUE_TYPE_UNSPECIFIED
    assert classes["integer"].value_type == value_pb2.VALUE_TYPE_INTEGER
    assert classes["coffee_order_name"].value_type == value_pb2.VALUE_TYPE_TEXT


def test_phrases_and_names_are_those_of_the_users_language() -> None:
    grammar = Grammars(registry(read_manifest(COFFEE))).of(Profile("acme", "de-AT"))
    assert grammar is not None
    assert [phrase.text for phrase in grammar.phrases] == ["einen {coffee_drinks} bitte", *SMALL_WORDS["de"]]
    assert [entry.text for entry in grammar.classes[0].entries] == ["Milchkaffee", "milchkaffee"]


def test_only_skills_that_may_serve_the_user_have_a_say() -> None:
    clock = load_manifest(SKILLS / "clock" / "manifest.yaml")
    skills = registry(clock)
    skills.register(from_manifest(read_manifest(COFFEE)), endpoint="host:1")
    skills.enable("acme", "coffee")
    grammars = Grammars(skills)

    def speaks_of_coffee(profile: Profile) -> bool:
        grammar = grammars.of(profile)
        return grammar is not None and any("drinks" in phrase.text for phrase in grammar.phrases)

    assert not speaks_of_coffee(Profile("acme", "en"))  # no consent to third parties
    assert speaks_of_coffee(Profile("acme", "en", third_party_skills=True))
    assert not speaks_of_coffee(Profile("globex", "en", third_party_skills=True))
    assert grammars.of(Profile("acme", "en", only_skills=frozenset({"coffee"}))) is None
    assert grammars.of(Profile("acme", "ja", third_party_skills=True)) is None


def test_a_grammar_is_made_once_and_anew_when_a_skill_changes() -> None:
    skills = registry(read_manifest(COFFEE))
    grammars = Grammars(skills)
    first = grammars.of(Profile("acme", "en"))
    assert grammars.of(Profile("globex", "en")) is first
    skills.register(
        from_manifest(read_manifest(COFFEE.replace("a {drink|latte} please", "one {drink} now"))), built_in=True
    )
    second = grammars.of(Profile("acme", "en"))
    assert second is not None
    assert "one {coffee_drinks} now" in [phrase.text for phrase in second.phrases]


def test_a_client_that_names_its_skills_is_heard_in_their_words_alone() -> None:
    grammars = Grammars(registry(read_manifest(COFFEE)))
    every, named = (
        grammars.of(Profile("acme", "en")),
        grammars.of(Profile("acme", "en", only_skills=frozenset({"coffee"}))),
    )
    assert every is not None
    assert named is not None
    assert not every.HasField("share")
    assert named.share == ONLY_SHARE
