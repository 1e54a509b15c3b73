"""What cannot be done yet is said honestly, in five languages, and never ahead of a skill that can."""

from __future__ import annotations

import pytest

from antiphon.skill.v1 import skill_pb2
from antiphon.types.v1 import understanding_pb2
from skills.notyet.handler import NOTYET
from tests.fakes.skill_turns import answer, can_fulfill, execute, request

pytestmark = pytest.mark.unit

INTENTS = [intent.name for intent in NOTYET.manifest.intents]
LANGUAGES = tuple(NOTYET.manifest.locales)


@pytest.mark.parametrize(
    ("locale", "said"),
    [
        (
            "en",
            "I cannot tell you the weather yet, but I can tell you the time anywhere in the world or convert units.",
        ),
        (
            "de",
            "Das Wetter vorhersagen kann ich noch nicht, aber ich kann dir die Uhrzeit überall auf der Welt sagen oder "
            "Einheiten umrechnen.",
        ),
        (
            "es",
            "Todavía no puedo decirte el tiempo, pero puedo decirte la hora en cualquier lugar del mundo o convertir "
            "unidades.",
        ),
        (
            "fr",
            "Je ne peux pas encore te donner la météo, mais je peux te donner l'heure partout dans le monde ou "
            "convertir des unités.",
        ),
        (
            "it",
            "Non posso ancora dirti che tempo fa, ma posso dirti l'ora in tutto il mondo o convertire unità di misura.",
        ),
    ],
)
def test_it_names_what_it_cannot_and_what_it_can(locale: str, said: str) -> None:
    assert answer(NOTYET, request("notyet.weather", locale=locale)) == (said, "NOT_YET")


@pytest.mark.parametrize("locale", LANGUAGES)
@pytest.mark.parametrize("intent", INTENTS)
def test_every_intent_has_words_in_every_language(intent: str, locale: str) -> None:
    said, reason = answer(NOTYET, request(f"notyet.{intent}", locale=locale))
    words = NOTYET.words[locale]
    assert words.cannot[intent][1:] in said
    assert all(words.can[ability] in said for ability in NOTYET.instead[intent])
    assert said.endswith(".")
    assert "{" not in said
    assert reason == "NOT_YET"
    assert len(said) < 200


def test_nothing_in_the_words_is_left_over() -> None:
    assert NOTYET.instead.keys() == set(INTENTS)
    abilities = {ability for instead in NOTYET.instead.values() for ability in instead}
    for words in NOTYET.words.values():
        assert words.cannot.keys() == set(INTENTS)
        assert words.can.keys() == abilities
        assert len(set(words.cannot.values())) == len(INTENTS)


@pytest.mark.parametrize("intent", INTENTS)
def test_it_loses_to_a_skill_that_can(intent: str) -> None:
    asked = can_fulfill(NOTYET, request(f"notyet.{intent}"))
    assert (asked.fulfilment, asked.reason) == (understanding_pb2.FULFILMENT_MAYBE, "NOT_YET")
    assert all(one.can_fulfill for one in NOTYET.manifest.intents)


def test_a_turn_ends_declined() -> None:
    done = execute(NOTYET, request("notyet.calls"))[-1].done
    assert done.outcome == skill_pb2.EXECUTION_OUTCOME_DECLINED


def test_what_was_said_is_never_repeated() -> None:
    slot = understanding_pb2.Slot(name="what", text="x" * 100_000)
    assert len(answer(NOTYET, request("notyet.calls", slot))[0]) < 200


def test_no_label_is_claimed_twice() -> None:
    labels = [label for intent in NOTYET.manifest.intents for label in intent.labels]
    assert len(labels) == len(set(labels))


def test_another_language_is_answered_in_english() -> None:
    assert answer(NOTYET, request("notyet.news", locale="sv"))[0].startswith("I cannot read the news yet")
