"""Numbers in words and digits, in five languages."""

from __future__ import annotations

from decimal import Decimal

import pytest

from services.nlu.text import tokenise, without_hyphens
from services.nlu.values.number_words import WORDS
from services.nlu.values.numbers import read_number

pytestmark = pytest.mark.unit


def read(text: str, language: str) -> Decimal | None:
    """The number that the whole text is, or None."""
    tokens = without_hyphens(tokenise(text))
    number = read_number(tokens, 0, language)
    return number.value if number and number.end == len(tokens) else None


@pytest.mark.parametrize("language", WORDS)
def test_every_way_to_say_a_number_is_read_back(language: str) -> None:
    for number in range(1000):
        for spoken in WORDS[language].spell(number):
            assert read(spoken, language) == number, spoken


@pytest.mark.parametrize(
    ("text", "language", "value"),
    [
        ("seven hundred and five", "en", "705"),
        ("a hundred", "en", "100"),
        ("twelve hundred and five", "en", "1205"),
        ("one hundred thousand two hundred and seventeen", "en", "100217"),
        ("two million and one", "en", "2000001"),
        ("a thousand", "en", "1000"),
        ("three point one four", "en", "3.14"),
        ("zero point oh five", "en", "0.05"),
        ("point five", "en", "0.5"),
        ("five point twenty five", "en", "5.25"),
        ("two and a half", "en", "2.5"),
        ("1,000.5", "en", "1000.5"),
        ("1.000.000", "en", "1000000"),
        ("7 million", "en", "7000000"),
        ("3,5", "en", "3.5"),
        ("zweitausenddreihundert", "de", "2300"),
        ("siebenhundertundfünf", "de", "705"),
        ("siebenhundert fuenf", "de", "705"),
        ("eine million", "de", "1000000"),
        ("tausend", "de", "1000"),
        ("drei komma fünf", "de", "3.5"),
        ("1.000,5", "de", "1000.5"),
        ("quatre-vingt-dix-sept", "fr", "97"),
        ("septante et un", "fr", "71"),
        ("deux mille", "fr", "2000"),
        ("dos mil cinco", "es", "2005"),
        ("treinta y dos", "es", "32"),
        ("un millón", "es", "1000000"),
        ("duemilacinquecento", "it", "2500"),
        ("mille", "it", "1000"),
        ("٣٥", "ar", "35"),
    ],
)
def test_numbers(text: str, language: str, value: str) -> None:
    assert read(text, language) == Decimal(value)


@pytest.mark.parametrize("text", ["and", "point", "hello", "1" * 31, "²", "five six", "½", "thousandth"])
def test_what_is_no_number(text: str) -> None:
    assert read(text, "en") is None


def test_other_languages_read_digits_only() -> None:
    assert read("42", "sv") == 42
    assert read("fyra", "sv") is None
