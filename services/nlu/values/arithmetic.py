"""Reads a spoken arithmetic expression into an infix string that no longer depends on language.

The interpreter calls `read_expression` for the words of an expression slot, or for a whole sentence when the tagger
found no such slot. "what is fifteen percent of eighty" becomes `15% * 80`; the calculator skill evaluates it. The
grammar of the result is that of `antiphon.types.v1.Expression`.

Precedence, tight to loose: postfix (% ^2), ^ (right), prefix minus and sqrt, * / and "of", + -. A pair verb ("divide
200 by 4") takes its arguments up to the separator. Work is bounded by `MAX_PARTS` and by the depth of nesting.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from services.nlu.text import Token, without_hyphens
from services.nlu.values.numbers import read_number
from services.nlu.values.operators import SYMBOLS, spoken_operators

MAX_PARTS = 120
"""Numbers and operators in one expression; beyond that the text holds none that we read."""

MAX_DEPTH = 30

MAX_INFIX = 1_000
"""Code points of an infix expression, as the contract has it."""

_LONGEST_PHRASE = 5
# Operator -> how tightly it binds on its left and on its right.
_BINARY = {
    "+": (10, 11),
    "-": (10, 11),
    "%off": (12, 23),
    "*": (20, 21),
    "/": (20, 21),
    "*of": (20, 21),  # "three quarters of eighteen"
    "%of": (22, 23),
    "^": (41, 40),
}
# Function -> infix form, its precedence as in _LEVEL, and the precedence its argument needs to stand unbracketed.
_PREFIX = {
    "neg": ("-{}", 3, 3),
    "sqrt": ("sqrt({})", 9, 0),
    "double": ("2 * {}", 2, 3),
    "half": ("0.5 * {}", 2, 3),
    "third": ("1 / 3 * {}", 2, 3),
    "quarter": ("0.25 * {}", 2, 3),
    "square": ("{} ^ 2", 4, 9),
    "cube": ("{} ^ 3", 4, 9),
}
_PREFIX_BINDING = 30
_POSTFIX = {"%": ("{}%", 5), "^2": ("{} ^ 2", 4), "^3": ("{} ^ 3", 4)}
_PAIR = {"sum": "+", "difference": "-", "product": "*", "quotient": "/", "subtract": "-"}
_LEVEL = {"+": 1, "-": 1, "*": 2, "/": 2, "^": 4}
_ATOM = 9


@dataclass(frozen=True, slots=True)
class Expression:
    """An expression and where it was read.

    Attributes:
        infix: decimal numbers, + - * / ^ %, parentheses and sqrt().
        operands: the numbers in spoken order.
        start, end: span in code points of the text.
    """

    infix: str
    operands: tuple[Decimal, ...]
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class _Part:
    """A number, or the operators that a phrase may stand for, with its place in the text."""

    kinds: frozenset[str]
    value: Decimal | None
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class _Term:
    """Infix text with the precedence of its outermost operator."""

    infix: str
    level: int
    operands: tuple[Decimal, ...]
    operators: int

    def inside(self, level: int) -> str:
        return self.infix if self.level >= level else f"({self.infix})"


def read_expression(tokens: Sequence[Token], language: str) -> Expression | None:
    """The first longest expression with at least one operator, or None.

    Args:
        tokens: of an NFC text, in order.
        language: primary subtag; other languages than those in `operators.py` are read by signs and digits.
    """
    runs = _parts(without_hyphens(tokens), language)
    found = [expression for run in runs if len(run) <= MAX_PARTS for expression in _expressions(run)]
    return max(found, key=lambda one: (len(one.operands), one.end - one.start), default=None)


def _parts(tokens: Sequence[Token], language: str) -> list[list[_Part]]:
    """Runs of parts; any other word ends a run."""
    runs: list[list[_Part]] = [[]]
    at = 0
    while at < len(tokens):
        number = read_number(tokens, at, language)
        kinds, length = _operator(tokens, at, language)
        if number is not None and length <= number.end - at:
            runs[-1].append(_Part(frozenset(), number.value, tokens[at].start, tokens[number.end - 1].end))
            at = number.end
        elif length:
            if "skip" not in kinds:
                runs[-1].append(_Part(kinds, None, tokens[at].start, tokens[at + length - 1].end))
            at += length
        else:
            runs.append([])
            at += 1
    return [run for run in runs if run]


def _operator(tokens: Sequence[Token], at: int, language: str) -> tuple[frozenset[str], int]:
    table = spoken_operators(language)
    for length in range(min(_LONGEST_PHRASE, len(tokens) - at), 0, -1):
        kinds = table.get(tuple(token.norm for token in tokens[at : at + length]))
        if kinds:
            return kinds, length
    sign = SYMBOLS.get(tokens[at].norm)
    return (frozenset({sign, "neg"} if sign == "-" else {sign}), 1) if sign else (frozenset(), 0)


def _expressions(run: Sequence[_Part]) -> list[Expression]:
    found = []
    start = 0
    while start < len(run):
        parser = _Parser(run, start)
        term = parser.parse(0)
        if parser.too_deep:
            return []  # its inner part alone would be another question
        if term is None:
            start += 1
            continue
        if term.operators and len(term.infix) <= MAX_INFIX and not _beside_number(run, start, parser.at):
            found.append(Expression(term.infix, term.operands, run[start].start, run[parser.at - 1].end))
        start = max(parser.at, start + 1)
    return found


def _beside_number(run: Sequence[_Part], start: int, end: int) -> bool:
    """Two numbers in a row ("nineteen eighty four plus one"): half of it would be a wrong answer, so none is given."""
    return any(run[at].value is not None for at in (start - 1, end) if 0 <= at < len(run))


class _Parser:
    """A Pratt parser over one run; a failed branch gives the parts it took back."""

    def __init__(self, run: Sequence[_Part], at: int) -> None:
        self._run = run
        self.at = at
        self.too_deep = False
        self._depth = 0

    def parse(self, binding: int) -> _Term | None:
        self.too_deep |= self._depth >= MAX_DEPTH
        if self.too_deep:
            return None
        self._depth += 1
        left = self._first()
        while left is not None:
            extended = self._postfix(left) or self._binary(left, binding)
            if extended is None:
                break
            left = extended
        self._depth -= 1
        return left

    def _first(self) -> _Term | None:
        part = self._peek()
        if part is None:
            return None
        if part.value is not None:
            self.at += 1
            return _Term(_plain(part.value), _ATOM, (part.value,), 0)
        if "(" in part.kinds:
            return self._parenthesis()
        for kind in sorted(part.kinds & _PREFIX.keys()):
            if term := self._prefix(kind):
                return term
        for kind in sorted(part.kinds & _PAIR.keys()):
            if term := self._pair(kind):
                return term
        return None

    def _parenthesis(self) -> _Term | None:
        start = self.at
        self.at += 1
        inner = self.parse(0)
        closing = self._peek()
        if inner is None or closing is None or ")" not in closing.kinds:
            self.at = start
            return None
        self.at += 1
        return inner

    def _prefix(self, kind: str) -> _Term | None:
        start = self.at
        self.at += 1
        form, level, wanted = _PREFIX[kind]
        inner = self.parse(_PREFIX_BINDING)
        if inner is None:
            self.at = start
            return None
        counted = 0 if kind == "neg" else 1  # "minus five" alone asks for nothing
        return _Term(form.format(inner.inside(wanted)), level, inner.operands, inner.operators + counted)

    def _pair(self, kind: str) -> _Term | None:
        """ "divide A by B", "sum of A and B and C", "subtract A from B"."""
        start = self.at
        self.at += 1
        terms = []
        while term := self.parse(12):
            terms.append(term)
            if not self._separator():
                break
        if len(terms) < 2:
            self.at = start
            return None
        if kind == "subtract":
            terms.reverse()
        total = terms[0]
        for term in terms[1:]:
            total = _joined(total, _PAIR[kind], term)
        return total

    def _separator(self) -> bool:
        """One or more in a row: "three, four, and five"."""
        start = self.at
        while (part := self._peek()) is not None and "sep" in part.kinds:
            self.at += 1
        return self.at > start

    def _postfix(self, left: _Term) -> _Term | None:
        part = self._peek()
        for kind in sorted(part.kinds & _POSTFIX.keys()) if part else ():
            self.at += 1
            form, level = _POSTFIX[kind]
            counted = 0 if kind == "%" else 1  # nor does "fifty percent"
            return _Term(form.format(left.inside(_ATOM)), level, left.operands, left.operators + counted)
        return None

    def _binary(self, left: _Term, binding: int) -> _Term | None:
        part = self._peek()
        for kind in sorted(part.kinds & _BINARY.keys()) if part else ():
            own, right_binding = _BINARY[kind]
            if own < binding:
                continue
            start = self.at
            self.at += 1
            right = self.parse(right_binding)
            if right is None:
                self.at = start
                continue
            return _combined(left, kind, right)
        return None

    def _peek(self) -> _Part | None:
        return self._run[self.at] if self.at < len(self._run) else None


def _combined(left: _Term, kind: str, right: _Term) -> _Term:
    percent = _Term(f"{left.inside(_ATOM)}%", 5, left.operands, left.operators)
    if kind == "%of":
        return _joined(percent, "*", right)
    if kind == "%off":
        off = _joined(percent, "*", right)
        infix = f"{right.inside(1)} - {off.inside(2)}"
        return _Term(infix, 1, off.operands, off.operators)
    return _joined(left, kind.removesuffix("of"), right)


def _joined(left: _Term, operator: str, right: _Term) -> _Term:
    level = _LEVEL[operator]
    # - and / bind to the left, ^ to the right: the other side needs parentheses at the same level.
    infix = f"{left.inside(level + (operator == '^'))} {operator} {right.inside(level + (operator in '-/'))}"
    return _Term(infix, level, left.operands + right.operands, left.operators + right.operators + 1)


def _plain(value: Decimal) -> str:
    """Without an exponent or trailing zeros: "1E+3" is "1000"."""
    text = f"{value:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
