"""The assistant's own words: for each purpose, reason and language."""

from __future__ import annotations

from dataclasses import fields, replace

import pytest

from services.dialogue.asked import Act, Asked, Purpose, Skill
from services.dialogue.sentences import SENTENCES
from services.dialogue.state import DialogueState, PastTurn, Slot
from services.dialogue.wording import _APOLOGIES, words

pytestmark = pytest.mark.unit

LANGUAGES = ("de", "en", "es", "fr", "it")
CLOCK = Skill("clock", "Clock", ("what time is it",))
CALCULATOR = Skill("calculator", "Calculator", ("what is three times four",))
HOME = Skill("home", "Home", ("turn on the lights",))
TIMERS = Skill("timers", "Timers", ("set a timer for ten minutes",))
NOTYET = Skill("notyet", "Not yet", ("what's the weather",))
STRANGER = Skill("astrology", "Astrology", ("read my stars",))


def asked(purpose: Purpose = Purpose.OPEN, **more: object) -> Asked:
    return replace(Asked("session", "turn-1", "key-1", "en", purpose), **more)  # type: ignore[arg-type]


def say(purpose: Purpose = Purpose.OPEN, language: str = "en", **more: object) -> str:
    return words(asked(purpose, **more), language, None).text


@pytest.mark.parametrize(
    ("turn", "text"),
    [
        (asked(intent="dialogue.greeting"), "Hello."),
        (asked(intent="dialogue.greeting", hour=8), "Good morning."),
        (asked(intent="dialogue.greeting", hour=20), "Good evening."),
        (asked(acts=("GREET",)), "Hello."),
        (asked(intent="dialogue.stop"), "All right."),
        (asked(intent="dialogue.repeat"), "I have not said anything yet."),
        (asked(intent="dialogue.help"), "I can listen and answer, but no skill is switched on for you yet."),
        (
            asked(intent="dialogue.help", skills=(CLOCK,)),
            "I can tell the time and the date. You can say, for example: what time is it.",
        ),
        (asked(Purpose.FALLBACK, reason="DENIED_BY_USER"), "All right, I will leave it."),
        (asked(Purpose.CLARIFY, skills=(CLOCK, CALCULATOR)), "Do you mean Clock or Calculator?"),
        (asked(Purpose.ELICIT_SLOT, slot="time", question="When?"), "When?"),
        (asked(Purpose.ELICIT_SLOT, slot="time"), "I need to know a little more. What exactly?"),
        (asked(Purpose.TRACK, skill_answer="It is five."), ""),
    ],
)
def test_what_is_said(turn: Asked, text: str) -> None:
    assert words(turn, "en", None).text == text


# --- confirmations -------------------------------------------------------------------------------------------------
def slot(name: str, text: str) -> Slot:
    return Slot("home", name, text, 0.9)


@pytest.mark.parametrize(
    ("language", "phrases", "door", "text"),
    [
        ("en", ("unlock the {door}",), "front door", "Unlock the front door, shall I?"),
        ("de", ("schließ {door|die haustür} auf",), "die haustür", "Schließ die haustür auf: Soll ich das tun?"),
        ("es", ("abre {door}",), "la puerta", "Abre la puerta, ¿lo hago?"),
        ("fr", ("déverrouille {door}",), "la porte d'entrée", "Déverrouille la porte d'entrée : je le fais ?"),
        ("it", ("apri {door}",), "la porta", "Apri la porta: lo faccio?"),
    ],
)
def test_a_confirmation_reads_back_what_will_be_done(
    language: str, phrases: tuple[str, ...], door: str, text: str
) -> None:
    turn = asked(Purpose.CONFIRM, text="uh the door thing", phrases=phrases, slots=(slot("door", door),))
    said = words(turn, language, None)
    assert said.text == text
    assert said.acts == (Act.CONFIRM,)
    assert said.question is not None
    assert [choice.choice_id for choice in said.question.choices] == ["yes", "no"]


def test_a_confirmation_leaves_nothing_out() -> None:
    phrases = ("pay {amount}", "pay {person}", "pay {person} {amount}", "give {amount} to {person}")
    slots = (slot("amount", "five euros"), slot("person", "anna"))
    assert say(Purpose.CONFIRM, text="x", phrases=phrases, slots=slots) == "Pay anna five euros, shall I?"
    assert say(Purpose.CONFIRM, text="Give five euros to Anna.", phrases=phrases, slots=slots) == (
        "Give five euros to anna, shall I?"
    )
    assert say(Purpose.CONFIRM, text="pay it", phrases=phrases[:2], slots=slots) == "I heard: pay it. Shall I do that?"


@pytest.mark.parametrize(
    ("phrases", "slots"),
    [
        ((), ()),
        (("unlock the {door}",), ()),
        (("unlock the {door}",), (slot("door", ""),)),
        (("unlock the {door}",), (slot("door", "front"), slot("door", "back"))),
        (("unlock the {door}",), (slot("door", "x" * 10_000),)),
        (("{0.__class__} {door!r} {}",), (slot("door", "front door"),)),
    ],
)
def test_without_a_fitting_phrase_it_says_what_it_heard(phrases: tuple[str, ...], slots: tuple[Slot, ...]) -> None:
    said = say(Purpose.CONFIRM, text="Open up.", phrases=phrases, slots=slots)
    assert said == "I heard: Open up. Shall I do that?"


def test_an_article_is_said_once() -> None:
    door = (slot("door", "the front door"),)
    assert say(Purpose.CONFIRM, phrases=("unlock the {door}",), slots=door) == "Unlock the front door, shall I?"


def test_what_a_user_says_is_no_template() -> None:
    door = (slot("door", "{door} {text}"),)
    assert say(Purpose.CONFIRM, phrases=("unlock {door}",), slots=door) == "Unlock {door} {text}, shall I?"


# --- fallbacks and apologies ---------------------------------------------------------------------------------------
def test_a_fallback_names_what_it_can() -> None:
    said = say(Purpose.FALLBACK, reason="OUT_OF_SCOPE", skills=(CLOCK, HOME), turn_id="turn-2")
    assert said.startswith(SENTENCES["en"].cannot)
    assert "tell the time and the date" in said
    assert "switch lights and other devices" in said
    assert say(Purpose.FALLBACK, reason="OUT_OF_SCOPE") in SENTENCES["en"].cannot


def test_other_turns_name_other_abilities() -> None:
    skills = (CLOCK, HOME, TIMERS, CALCULATOR, Skill("units", "Units"), Skill("lists", "Lists"))
    said = {say(Purpose.FALLBACK, skills=skills, turn_id=f"turn-{number}") for number in range(30)}
    for skill in skills:
        assert any(SENTENCES["en"].skills[skill.skill_id] in text for text in said)
    assert say(Purpose.FALLBACK, skills=skills) == say(Purpose.FALLBACK, skills=skills)


def test_a_skill_without_words_of_ours_is_named_by_what_one_can_say_to_it() -> None:
    assert say(Purpose.FALLBACK, skills=(STRANGER,)).endswith("You can say, for example: read my stars.")


def test_what_is_no_ability_is_not_offered() -> None:
    for number in range(10):
        said = say(intent="dialogue.help", skills=(NOTYET, CLOCK), turn_id=f"turn-{number}")
        assert "weather" not in said
        assert "Not yet" not in said


@pytest.mark.parametrize("language", LANGUAGES)
def test_apologies_tell_reasons_apart(language: str) -> None:
    say_ = SENTENCES[language]
    reasons = {
        "SKILL_TIMEOUT": "too_slow",
        "ASR_UNAVAILABLE": "deaf",
        "NLU_UNAVAILABLE": "confused",
        "OVERLOADED": "busy",
        "STORAGE_FULL": "storage",
        "UNKNOWN_EFFECT": "unknown_effect",
        "SKILL_NOT_PERMITTED": "not_permitted",
        "SKILL_BROKE_OFF": "failed",
        "": "failed",
        "x" * 10_000: "failed",
    }
    for reason, kind in reasons.items():
        assert say(Purpose.APOLOGIZE, language, reason=reason) == say_.apologies[kind]
    assert len(set(say_.apologies.values())) == len(say_.apologies)
    assert set(_APOLOGIES.values()) | {"storage", "failed"} == say_.apologies.keys()


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("purpose", [Purpose.FALLBACK, Purpose.APOLOGIZE])
def test_nothing_heard_and_wrong_language(purpose: Purpose, language: str) -> None:
    assert say(purpose, language, reason="NO_SPEECH") in SENTENCES[language].nothing_heard
    assert say(purpose, language, reason="LOCALE") == SENTENCES[language].languages


def test_the_languages_spoken_are_those_served() -> None:
    assert SENTENCES.keys() == set(LANGUAGES)
    assert all(name in SENTENCES["en"].languages for name in ("English", "German", "Spanish", "French", "Italian"))
    for language, own in {"de": "Deutsch", "es": "español", "fr": "français", "it": "italiano"}.items():
        assert own in SENTENCES[language].languages


# --- repeating -----------------------------------------------------------------------------------------------------
def test_an_open_question_stays_open_when_it_is_repeated() -> None:
    past = PastTurn("turn-0", "set a timer", "For how long?", "timers", 1.0)
    state = DialogueState("session", 1, past=(past,), pending=b"prompt")
    said = words(asked(intent="dialogue.repeat"), "en", state)
    assert (said.text, said.prompt) == ("For how long?", b"prompt")
    assert words(asked(acts=("REPEAT",)), "en", replace(state, pending=b"")).prompt == b""


# --- all languages -------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("language", LANGUAGES)
def test_every_language_can_say_everything(language: str) -> None:
    for purpose in Purpose:
        for intent in ("", *(f"dialogue.{name}" for name in ("greeting", "help", "thanks", "goodbye", "stop"))):
            said = say(purpose, language, intent=intent, text="x", skills=(CLOCK, CALCULATOR))
            assert "{" not in said
            assert bool(said) is (purpose is not Purpose.TRACK)


def test_languages_differ() -> None:
    for field in fields(SENTENCES["en"]):
        if field.name not in ("answer_no", "or_word", "and_word"):  # "no" is Spanish and Italian too
            assert len({str(getattr(said, field.name)) for said in SENTENCES.values()}) >= 3, field.name


def test_every_language_words_the_same_skills() -> None:
    assert len({frozenset(said.skills) for said in SENTENCES.values()}) == 1


def test_answers_are_cut_between_sentences() -> None:
    cannot = SENTENCES["en"].cannot
    assert say(Purpose.FALLBACK, reason="OUT_OF_SCOPE", skills=(CLOCK,), max_length=40) in cannot
    assert say(Purpose.FALLBACK, reason="OUT_OF_SCOPE", skills=(CLOCK,), max_length=10) in cannot
    assert say(Purpose.ELICIT_SLOT, question="Which of the many?", max_length=5) == "Which of the many?"
