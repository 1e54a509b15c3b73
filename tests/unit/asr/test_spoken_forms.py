"""Spoken forms of values: complete, clean and the same every time."""

from __future__ import annotations

import re
import unicodedata

import pytest

from services.asr.engines.pocketsphinx.spoken_forms import LANGUAGES, MAX_FORMS, spoken_forms

pytestmark = pytest.mark.unit

_TYPES = (
    "INTEGER", "DECIMAL", "DURATION", "TIME", "DATE", "DATETIME", "QUANTITY", "MONEY", "PLACE", "RECURRENCE",
    "EXPRESSION", "BOOLEAN",
)  # fmt: skip
_WORDS = re.compile(r"[a-zßà-ÿœčł]+(?:['-][a-zßà-ÿœ]+)*'?(?: [a-zßà-ÿœ]+(?:['-][a-zßà-ÿœ]+)*)*")


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("value_type", _TYPES)
def test_forms_are_words_as_the_recogniser_writes_them(language: str, value_type: str) -> None:
    forms = spoken_forms(language, value_type)
    assert 10 <= len(forms) <= MAX_FORMS
    assert sum(weight for _, weight in forms) == pytest.approx(1.0)
    assert len({form for form, _ in forms}) == len(forms)
    for form, weight in forms:
        assert weight > 0
        assert _WORDS.fullmatch(form), form
        assert form == unicodedata.normalize("NFC", form)


@pytest.mark.parametrize(
    ("language", "value_type", "form"),
    [
        ("en", "TIME", "half past three"),
        ("en", "TIME", "six thirty"),
        ("en", "DURATION", "ten minutes"),
        ("en", "DURATION", "an hour and a half"),
        ("en", "DATETIME", "tomorrow at seven"),
        ("en", "DATE", "next friday"),
        ("de", "TIME", "viertel nach drei"),
        ("de", "TIME", "halb acht"),
        ("de", "TIME", "ein uhr"),
        ("de", "TIME", "sieben uhr dreißig"),
        ("de", "DURATION", "eine halbe stunde"),
        ("de", "DATETIME", "morgen um sieben uhr"),
        ("de", "INTEGER", "einundzwanzig"),
        ("de", "PLACE", "münchen"),
        ("es", "TIME", "las siete y media"),
        ("es", "DURATION", "media hora"),
        ("es", "PLACE", "nueva york"),
        ("fr", "TIME", "sept heures et demie"),
        ("fr", "INTEGER", "quatre-vingt-dix-neuf"),
        ("fr", "PLACE", "londres"),
        ("it", "TIME", "alle sette e mezza"),
        ("it", "INTEGER", "ventitré"),
        ("it", "DURATION", "un quarto d'ora"),
        ("it", "DATETIME", "domani alle sette"),
    ],
)
def test_what_people_say_is_there(language: str, value_type: str, form: str) -> None:
    assert form in dict(spoken_forms(language, value_type))


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_number_can_be_heard_in_a_calculation(language: str) -> None:
    heard = {word for form, _ in spoken_forms(language, "EXPRESSION") for word in form.split()}
    assert {word for form, _ in spoken_forms(language, "INTEGER")[:101] for word in form.split()} - heard <= {
        "un", "una", "une", "a", "million",
    }  # fmt: skip


@pytest.mark.parametrize("tag", ["ja", "", "zz-ZZ", "../en", "x" * 10_000])
def test_a_language_without_forms_has_none(tag: str) -> None:
    assert spoken_forms(tag, "DURATION") == ()


@pytest.mark.parametrize("value_type", ["TEXT", "ENTITY", "", "duration", "💥"])
def test_a_type_without_forms_has_none(value_type: str) -> None:
    assert spoken_forms("en", value_type) == ()


def test_a_regional_tag_is_served_by_its_language() -> None:
    assert spoken_forms("de-AT", "DATE") == spoken_forms("de", "DATE")
