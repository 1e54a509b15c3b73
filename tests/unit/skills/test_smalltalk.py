"""Small talk: something for every intent and language, the same for a repeat, seldom the same twice."""

from __future__ import annotations

import pytest

from antiphon.types.v1 import understanding_pb2
from skills.smalltalk.handler import SMALLTALK
from tests.fakes.skill_turns import can_fulfill, execute, request

pytestmark = pytest.mark.unit

INTENTS = [intent.name for intent in SMALLTALK.manifest.intents]
LANGUAGES = tuple(SMALLTALK.manifest.locales)


def say(intent: str, *, locale: str = "en", key: str = "key-1", state: bytes = b"") -> tuple[str, bytes]:
    asked = request(f"smalltalk.{intent}", locale=locale, key=key)
    asked.skill_state = state
    events = execute(SMALLTALK, asked)
    return "".join(event.answer.text for event in events), events[-1].done.skill_state


@pytest.mark.parametrize("locale", LANGUAGES)
@pytest.mark.parametrize("intent", INTENTS)
def test_every_intent_has_several_answers_in_every_language(intent: str, locale: str) -> None:
    answers = SMALLTALK.answers(intent, locale)
    assert len(set(answers)) == len(answers) >= 2
    assert all(answer[-1] in ".?!" and answer == answer.strip() for answer in answers)
    assert say(intent, locale=locale)[0] in answers


def test_a_repeat_of_a_turn_says_the_same() -> None:
    assert say("joke", key="one") == say("joke", key="one")
    assert len({say("joke", key=f"key-{number}")[0] for number in range(100)}) == len(SMALLTALK.answers("joke", "en"))


def test_no_joke_twice_before_all_were_told() -> None:
    state, told = b"", []
    for number in range(len(SMALLTALK.answers("joke", "de"))):
        text, state = say("joke", locale="de", key=f"key-{number}", state=state)
        told.append(text)
    assert sorted(told) == sorted(SMALLTALK.answers("joke", "de"))
    assert say("joke", locale="de", key="more", state=state)[0] in told


def test_other_small_talk_does_not_bring_a_joke_back() -> None:
    first, state = say("joke", key="a")
    _, state = say("fact", key="b", state=state)
    assert all(say("joke", key=f"key-{number}", state=state)[0] != first for number in range(50))


def test_a_coin_and_a_die_are_fair_and_free_of_memory() -> None:
    sides = [say("flip_coin", key=f"key-{number}", state=b"flip_coin:0")[0] for number in range(400)]
    assert 150 < sides.count("Heads.") < 250
    rolls = [say("roll_dice", key=f"key-{number}")[0] for number in range(600)]
    assert all(60 < rolls.count(side) < 140 for side in set(rolls))
    assert len(set(rolls)) == 6
    assert say("flip_coin", state=b"joke:1")[1] == b"joke:1"


@pytest.mark.parametrize("state", [b"\xff\xfe", b"joke:", b"joke:-1 joke:99999", b"joke:\xb2", b"x" * 16_384, b": : :"])
def test_a_state_that_is_none_is_forgotten(state: bytes) -> None:
    text, after = say("joke", state=state)
    assert text in SMALLTALK.answers("joke", "en")
    assert len(after) < 1_000


def test_the_state_stays_small() -> None:
    state = b""
    for number in range(200):
        _, state = say(INTENTS[number % len(INTENTS)], key=f"key-{number}", state=state)
    assert len(state) < 1_000


def test_another_language_is_answered_in_english() -> None:
    assert say("your_name", locale="sv")[0] in SMALLTALK.answers("your_name", "en")
    assert say("your_name", locale="de-AT")[0] in SMALLTALK.answers("your_name", "de")


def test_it_can_always_say_something() -> None:
    asked = can_fulfill(SMALLTALK, request("smalltalk.joke"))
    assert asked.fulfilment == understanding_pb2.FULFILMENT_YES
