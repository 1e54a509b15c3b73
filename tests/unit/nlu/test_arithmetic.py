"""Spoken arithmetic: what is read, what is refused, how long it may take."""

from __future__ import annotations

import random
import time
from fractions import Fraction

import pytest

from services.nlu.text import normalise, tokenise
from services.nlu.values.arithmetic import read_expression
from services.nlu.values.number_words import WORDS

pytestmark = pytest.mark.unit


def infix(text: str, language: str = "en") -> str | None:
    read = read_expression(tokenise(normalise(text, field="text")), language)
    return read.infix if read else None


@pytest.mark.parametrize(
    ("text", "language", "expected"),
    [
        ("seven hundred and five divided by five", "en", "705 / 5"),
        ("what is 12 x 9", "en", "12 * 9"),
        ("fifteen percent of eighty", "en", "15% * 80"),
        ("what is 20% of a thousand", "en", "20% * 1000"),
        ("30% off 279", "en", "279 - 30% * 279"),
        ("an 18 percent tip on 20 dollars", "en", "18% * 20"),
        ("square root of 144", "en", "sqrt(144)"),
        ("what's the square root of nine plus seven", "en", "sqrt(9) + 7"),
        ("five squared", "en", "5 ^ 2"),
        ("two to the power of ten", "en", "2 ^ 10"),
        ("square of negative five", "en", "(-5) ^ 2"),
        ("minus five plus three point five", "en", "-5 + 3.5"),
        ("what is 10 - -3", "en", "10 - -3"),
        ("two plus three times four", "en", "2 + 3 * 4"),
        ("(2+3)*4", "en", "(2 + 3) * 4"),
        ("ten minus five minus two", "en", "10 - 5 - 2"),
        ("ten minus the sum of five and two", "en", "10 - (5 + 2)"),
        ("divide two hundred by four", "en", "200 / 4"),
        ("multiply 45 by 23", "en", "45 * 23"),
        ("add up 8 and 7", "en", "8 + 7"),
        ("subtract 100 from 12", "en", "12 - 100"),
        ("the sum of the two numbers four and six", "en", "4 + 6"),
        ("half of thirty", "en", "0.5 * 30"),
        ("what is the sum of 3, 7, 9, and 24", "en", "3 + 7 + 9 + 24"),
        ("what is 18 percent of $2,500", "en", "18% * 2500"),
        ("what is 3/4 of 18", "en", "3 / 4 * 18"),
        ("twenty-five times four", "en", "25 * 4"),
        ("how much is two and a half times four", "en", "2.5 * 4"),
        ("wie viel ist siebenhundertfünf geteilt durch fünf", "de", "705 / 5"),
        ("wurzel aus einhundertvierundvierzig", "de", "sqrt(144)"),
        ("zweitausenddreihundert plus 3,5", "de", "2300 + 3.5"),
        ("combien font quatre-vingt-dix-sept fois trois", "fr", "97 * 3"),
        ("quinze pour cent de quatre-vingts", "fr", "15% * 80"),
        ("cuánto es treinta y dos por dos mil cinco", "es", "32 * 2005"),
        ("quanto fa duemilacinquecento diviso cinque", "it", "2500 / 5"),
        ("٣ + ٤", "ar", "3 + 4"),
    ],
)
def test_expressions(text: str, language: str, expected: str) -> None:
    assert infix(text, language) == expected


@pytest.mark.parametrize(
    "text",
    [
        "what is five",
        "minus five",
        "fifty percent",
        "the factorial of x",
        "divide seventy six in two parts",
        "nineteen eighty four plus one",
        "one two three plus four",
        "half of " * 40 + "five",
        "plus",
        "(((",
        "one plus " * 90,
    ],
)
def test_no_expression_is_better_than_a_part_of_one(text: str) -> None:
    assert infix(text) is None


def test_span_is_where_the_words_are() -> None:
    text = "😀 what is 3 × 4?"
    read = read_expression(tokenise(text), "en")
    assert read is not None
    assert text[read.start : read.end] == "3 × 4"
    assert [int(operand) for operand in read.operands] == [3, 4]


def test_spoken_sums_and_products_have_the_value_of_what_was_said() -> None:
    """Random expressions, said in words: the infix string has the value that the usual precedence gives."""
    rng = random.Random(3)
    words = {"+": "plus", "-": "minus", "*": "times", "/": "divided by"}
    for _ in range(300):
        numbers = [rng.randint(1, 999) for _ in range(rng.randint(2, 5))]
        signs = [rng.choice("+-*/") for _ in numbers[1:]]
        spoken = next(WORDS["en"].spell(numbers[0]))
        for sign, number in zip(signs, numbers[1:], strict=True):
            spoken += f" {words[sign]} {next(WORDS['en'].spell(number))}"
        written = infix(spoken)
        assert written is not None, spoken
        assert _value(written) == _reckoned(numbers, signs), spoken


def _reckoned(numbers: list[int], signs: list[str]) -> Fraction:
    terms = [Fraction(numbers[0])]
    for sign, number in zip(signs, numbers[1:], strict=True):
        if sign in "*/":
            terms[-1] = terms[-1] * number if sign == "*" else terms[-1] / number
        else:
            terms.append(Fraction(number if sign == "+" else -number))
    return sum(terms, Fraction(0))


def _value(written: str) -> Fraction:
    """Evaluates a flat infix string without precedence tricks: split at sums, then at products."""
    parts = written.split()
    return _reckoned([int(part) for part in parts[::2]], parts[1::2])


@pytest.mark.parametrize("piece", ["(", "minus ", "sum of ", "5 ", "one plus ", "half of ", "% ", "x", "1,"])
def test_time_is_bounded(piece: str) -> None:
    tokens = tokenise((piece * 4000)[:4000])
    started = time.perf_counter()
    read_expression(tokens, "en")
    assert time.perf_counter() - started < 0.2
