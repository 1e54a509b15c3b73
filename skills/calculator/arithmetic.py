"""Evaluates the contract's arithmetic expressions, and nothing else.

`handler.py` calls `evaluate` on what the understanding service read. A parser of its own instead of the language's:
nothing but numbers can come of any input, in bounded time, whatever the input is.

    sum     := product (("+" | "-") product)*
    product := sign (("*" | "/") sign)*
    sign    := ("-" | "+") sign | power
    power   := percent ("^" sign)?
    percent := atom "%"*
    atom    := number | "(" sum ")" | name "(" sum ("," sum)* ")"
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import (
    ROUND_HALF_EVEN,
    ROUND_HALF_UP,
    Context,
    Decimal,
    DivisionByZero,
    Inexact,
    InvalidOperation,
    Overflow,
    localcontext,
)
from enum import Enum
from typing import Final

MAX_LENGTH: Final = 1_000
"""Characters, as in the contract."""

MAX_DEPTH: Final = 50
"""Nested brackets, signs and powers."""

DIGITS: Final = 34
"""Significant digits (IEEE 754 decimal128): more than anybody says."""

MAX_EXPONENT: Final = 300
"""Results beyond 10^300 are refused; so a power of powers stops at once instead of filling the memory."""

_CONTEXT: Final = Context(
    prec=DIGITS,
    rounding=ROUND_HALF_EVEN,
    Emin=-MAX_EXPONENT,
    Emax=MAX_EXPONENT,
    traps=[DivisionByZero, InvalidOperation, Overflow],
)


class Problem(Enum):
    """Why an expression has no result."""

    UNREADABLE = "UNREADABLE_EXPRESSION"
    DIVISION_BY_ZERO = "DIVISION_BY_ZERO"
    TOO_LARGE = "RESULT_TOO_LARGE"
    NOT_REAL = "NO_REAL_RESULT"


class ArithmeticProblem(Exception):
    """The expression has no result; `problem` says why."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.value)
        self.problem = problem


@dataclass(frozen=True)
class Result:
    """A value, and whether it is exact."""

    value: Decimal
    exact: bool


def evaluate(expression: str) -> Result:
    """The value of an expression. Raises ArithmeticProblem."""
    if len(expression) > MAX_LENGTH:
        raise ArithmeticProblem(Problem.UNREADABLE)
    with localcontext(_CONTEXT) as context:
        try:
            value = _Parser(_tokens(expression)).whole()
        except DivisionByZero:
            raise ArithmeticProblem(Problem.DIVISION_BY_ZERO) from None
        except Overflow:
            raise ArithmeticProblem(Problem.TOO_LARGE) from None
        except InvalidOperation:
            raise ArithmeticProblem(Problem.NOT_REAL) from None
        return Result(value, exact=not context.flags[Inexact])


_TOKEN: Final = re.compile(r"\s*(?:([0-9]+(?:\.[0-9]+)?|\.[0-9]+)|([a-z]+)|([-+*/^%(),]))")


def _tokens(expression: str) -> list[str]:
    tokens, at = [], 0
    text = expression.rstrip()
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None:
            raise ArithmeticProblem(Problem.UNREADABLE)
        tokens.append(match[match.lastindex or 0])
        at = match.end()
    return tokens


def _sqrt(value: Decimal) -> Decimal:
    return value.sqrt()


def _round(value: Decimal, digits: Decimal = Decimal(0)) -> Decimal:
    """To the nearest, halves away from zero: what people mean."""
    if digits != digits.to_integral_value() or not 0 <= digits <= DIGITS:
        raise ArithmeticProblem(Problem.UNREADABLE)
    return value.quantize(Decimal(1).scaleb(-int(digits)), rounding=ROUND_HALF_UP)


FUNCTIONS: Final[Mapping[str, tuple[range, Callable[..., Decimal]]]] = {
    "sqrt": (range(1, 2), _sqrt),
    "abs": (range(1, 2), abs),
    "min": (range(1, 21), min),
    "max": (range(1, 21), max),
    "round": (range(1, 3), _round),
}
"""Functions of the contract with the numbers of arguments they take."""


@dataclass
class _Parser:
    """Evaluates while it reads: no tree, no recursion deeper than MAX_DEPTH."""

    tokens: list[str]
    at: int = 0
    depth: int = field(default=0)

    def whole(self) -> Decimal:
        value = self._sum()
        if self.at < len(self.tokens):
            raise ArithmeticProblem(Problem.UNREADABLE)
        return +value  # rounds a single long number as any result

    def _sum(self) -> Decimal:
        value = self._product()
        while (operator := self._take("+", "-")) is not None:
            other = self._product()
            value = value + other if operator == "+" else value - other
        return value

    def _product(self) -> Decimal:
        value = self._sign()
        while (operator := self._take("*", "/")) is not None:
            other = self._sign()
            value = value * other if operator == "*" else _divided(value, other)
        return value

    def _sign(self) -> Decimal:
        operator = self._take("-", "+")
        if operator is None:
            return self._power()
        value = self._deeper(self._sign)
        return -value if operator == "-" else value

    def _power(self) -> Decimal:
        base = self._percent()
        if self._take("^") is None:
            return base
        return _power(base, self._deeper(self._sign))

    def _percent(self) -> Decimal:
        value = self._atom()
        while self._take("%") is not None:
            value = value / 100
        return value

    def _atom(self) -> Decimal:
        lexeme = self._next()
        if lexeme == "(":
            value = self._deeper(self._sum)
            self._expect(")")
            return value
        if lexeme in FUNCTIONS:
            return self._call(lexeme)
        if lexeme[0].isdigit() or lexeme[0] == ".":
            return Decimal(lexeme)
        raise ArithmeticProblem(Problem.UNREADABLE)

    def _call(self, name: str) -> Decimal:
        self._expect("(")
        arguments = [self._deeper(self._sum)]
        while self._take(",") is not None:
            arguments.append(self._deeper(self._sum))
        self._expect(")")
        counts, function = FUNCTIONS[name]
        if len(arguments) not in counts:
            raise ArithmeticProblem(Problem.UNREADABLE)
        return function(*arguments)

    def _deeper(self, read: Callable[[], Decimal]) -> Decimal:
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise ArithmeticProblem(Problem.UNREADABLE)
        value = read()
        self.depth -= 1
        return value

    def _take(self, *wanted: str) -> str | None:
        if self.at < len(self.tokens) and self.tokens[self.at] in wanted:
            self.at += 1
            return self.tokens[self.at - 1]
        return None

    def _expect(self, wanted: str) -> None:
        if self._take(wanted) is None:
            raise ArithmeticProblem(Problem.UNREADABLE)

    def _next(self) -> str:
        if self.at >= len(self.tokens):
            raise ArithmeticProblem(Problem.UNREADABLE)
        self.at += 1
        return self.tokens[self.at - 1]


def _divided(value: Decimal, by: Decimal) -> Decimal:
    if by == 0:  # 0/0 too: Decimal calls it undefined, people call it dividing by zero
        raise ArithmeticProblem(Problem.DIVISION_BY_ZERO)
    return value / by


def _power(base: Decimal, exponent: Decimal) -> Decimal:
    if base == 0 and exponent < 0:
        raise ArithmeticProblem(Problem.DIVISION_BY_ZERO)
    if base == 0 and exponent == 0:
        return Decimal(1)  # by convention, as calculators do
    return base**exponent
