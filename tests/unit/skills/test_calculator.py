"""The calculator: what it computes, what it refuses, how it says it."""

from __future__ import annotations

import time
from decimal import Decimal

import pytest

from antiphon.types.v1 import understanding_pb2, value_pb2
from skills.calculator.arithmetic import ArithmeticProblem, Problem, evaluate
from skills.calculator.handler import CALCULATOR
from skills.calculator.words import WORDS
from tests.fakes.skill_turns import answer, can_fulfill, expression, request

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("infix", "value"),
    [
        ("3 * 4", "12"), ("2+3*4", "14"), ("(2+3)*4", "20"), ("10/4", "2.5"), ("7-10", "-3"), ("-2^2", "-4"),
        ("(-2)^2", "4"), ("2^3^2", "512"), ("2^-1", "0.5"), ("15% * 80", "12"), ("0.1+0.2", "0.3"), (".5*4", "2"),
        ("sqrt(2.25)", "1.5"), ("abs(3-5)", "2"), ("min(3,1,2)", "1"), ("max(3,1,2)", "3"), ("round(2.5)", "3"),
        ("round(3.14159, 2)", "3.14"), ("--3", "3"), ("0^0", "1"), ("2*-3", "-6"), ("9^0.5", "3"),
    ],
)  # fmt: skip
def test_results(infix: str, value: str) -> None:
    assert evaluate(infix).value == Decimal(value)


@pytest.mark.parametrize(
    ("infix", "problem"),
    [
        ("1/0", Problem.DIVISION_BY_ZERO), ("0/0", Problem.DIVISION_BY_ZERO), ("0^-1", Problem.DIVISION_BY_ZERO),
        ("5/(2-2)", Problem.DIVISION_BY_ZERO), ("9^9^9", Problem.TOO_LARGE), ("9^999999999", Problem.TOO_LARGE),
        ("10^301", Problem.TOO_LARGE), ("9" * 400, Problem.TOO_LARGE), ("sqrt(-1)", Problem.NOT_REAL),
        ("(-8)^(1/3)", Problem.NOT_REAL), ("", Problem.UNREADABLE), ("3 +", Problem.UNREADABLE),
        ("(3", Problem.UNREADABLE),
        ("3 4", Problem.UNREADABLE), ("3)", Problem.UNREADABLE), ("sqrt()", Problem.UNREADABLE),
        ("sqrt(1,2)", Problem.UNREADABLE), ("__import__('os')", Problem.UNREADABLE), ("exit(1)", Problem.UNREADABLE),
        ("3; 4", Problem.UNREADABLE), ("1e5", Problem.UNREADABLE), ("(" * 400 + "1" + ")" * 400, Problem.UNREADABLE),
        ("-" * 400 + "1", Problem.UNREADABLE), ("1+" * 600 + "1", Problem.UNREADABLE), ("٣+١", Problem.UNREADABLE),
        ("round(1, 99)", Problem.UNREADABLE), ("round(1, 0.5)", Problem.UNREADABLE),
    ],
)  # fmt: skip
def test_what_has_no_result(infix: str, problem: Problem) -> None:
    with pytest.raises(ArithmeticProblem) as refused:
        evaluate(infix)
    assert refused.value.problem is problem


def test_nothing_takes_long() -> None:
    began = time.perf_counter()
    for infix in ("9^9^9^9^9", "(((9^99)^99)^99)", "2^0.000000001" + "^1.5" * 30, "sqrt(" * 40 + "2" + ")" * 40):
        try:
            evaluate(infix)
        except ArithmeticProblem:
            continue
    assert time.perf_counter() - began < 0.5


def compute(infix: str, locale: str = "en") -> tuple[str, str]:
    return answer(CALCULATOR, request("calculator.compute", expression(infix), locale=locale))


@pytest.mark.parametrize(
    ("locale", "plain", "rounded", "negative"),
    [
        ("en", "That is 1,234.5.", "That is about 0.333333.", "That is minus 3."),
        ("de", "Das ergibt 1.234,5.", "Das ergibt ungefähr 0,333333.", "Das ergibt minus 3."),
        ("es", "El resultado es 1234,5.", "El resultado es aproximadamente 0,333333.", "El resultado es menos 3."),
        ("fr", "Cela fait 1 234,5.", "Cela fait environ 0,333333.", "Cela fait moins 3."),
        ("it", "Il risultato è 1234,5.", "Il risultato è circa 0,333333.", "Il risultato è meno 3."),
    ],
)
def test_how_it_is_said(locale: str, plain: str, rounded: str, negative: str) -> None:
    said = compute("1234.5", locale)[0]
    assert said.replace(".", "").replace(",", "") == plain.replace(".", "").replace(",", "")
    assert compute("1/3", locale)[0] == rounded
    assert compute("7-10", locale)[0] == negative


def test_large_and_small_numbers_are_said_in_powers() -> None:
    assert compute("2^100")[0] == "That is about 1.268 times 10 to the power of 30."
    assert compute("10^20")[0] == "That is 1 times 10 to the power of 20."
    assert compute("1/10^9")[0] == "That is 1 times 10 to the power of minus 9."
    assert compute("0*5")[0] == "That is 0."
    assert compute("10^6")[0] == "That is 1,000,000."


@pytest.mark.parametrize("locale", sorted(WORDS))
def test_what_cannot_be_computed_is_said_in_words(locale: str) -> None:
    said, reason = compute("1/0", locale)
    assert said == WORDS[locale].problems[Problem.DIVISION_BY_ZERO]
    assert reason == "DIVISION_BY_ZERO"


def test_a_number_alone_is_its_own_result() -> None:
    slot = understanding_pb2.Slot(name="expression", value=value_pb2.Value(integer=-42))
    assert answer(CALCULATOR, request("calculator.compute", slot))[0] == "That is minus 42."


def test_whether_it_can() -> None:
    def asked(*slots: understanding_pb2.Slot) -> int:
        return can_fulfill(CALCULATOR, request("calculator.compute", *slots)).fulfilment

    assert asked(expression("3*4")) == understanding_pb2.FULFILMENT_YES
    assert asked(expression("1/0")) == understanding_pb2.FULFILMENT_YES
    assert asked(expression("three")) == understanding_pb2.FULFILMENT_NO
    assert asked() == understanding_pb2.FULFILMENT_NO
