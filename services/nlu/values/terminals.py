"""What the grammars of values take as given: numbers, ordinals, digits of clocks and of calendars.

`finder.py` hands these to the parser; a rule names them as `{number}`, `{int}`, `{ordinal}`, `{digital}`, `{numbers}`
and `{year}`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from decimal import Decimal
from functools import cache
from typing import Any

from services.nlu.values.days import ordinals
from services.nlu.values.number_words import WORDS
from services.nlu.values.numbers import Number, read_number
from services.nlu.values.patterns import Terminal
from services.nlu.values.spoken import Spoken, folded

_Found = Sequence[tuple[Any, int]]

_CLOCK = re.compile(r"^(\d{1,2})\.(\d{2})$")
_DAY = re.compile(r"^(\d{1,2})[.](\d{1,2})(?:[.](\d{4}|\d{2}))?$")
_ORDINAL_SIGNS = frozenset({"st", "nd", "rd", "th", "er", "ere", "eme", "e", "º", "°", "ª", "o"})
_LONGEST_ORDINAL = 3
_MOST_DIGITS = 17  # an int64 holds them
_LONGEST_NUMBER = 12


def terminals(language: str) -> Mapping[str, Terminal]:
    """By name, for one language."""

    def number(words: Spoken, at: int) -> _Found:
        """With its halves and without; a clock or an amount takes what it can use."""
        long = _number(words, at, language, halves=True)
        short = _number(words, at, language, halves=False)
        found = [(one.value, one.end) for one in (long, short) if one]
        return found[:1] if len(found) == 2 and found[0][1] == found[1][1] else found

    def integer(words: Spoken, at: int) -> _Found:
        found = _number(words, at, language, halves=False)
        if found is None or found.value != found.value.to_integral_value() or found.value.adjusted() > _MOST_DIGITS:
            return ()
        return ((int(found.value), found.end),)

    def ordinal(words: Spoken, at: int) -> _Found:
        table = _folded_ordinals(language)
        for length in range(_LONGEST_ORDINAL, 0, -1):
            if (day := table.get(" ".join(words.words[at : at + length]))) and at + length <= len(words.words):
                return ((day, at + length),)
        return _signed_ordinal(words, at, dotted=language == "de")

    def year(words: Spoken, at: int) -> _Found:
        """ "2027", "two thousand twenty seven", "nineteen eighty four"."""
        found = integer(words, at)
        if not found:
            return ()
        value, end = found[0]
        if 1900 <= value <= 2199:
            return found
        pair = integer(words, end) if value in {18, 19, 20, 21} else ()
        return ((value * 100 + pair[0][0], pair[0][1]),) if pair and 10 <= pair[0][0] <= 99 else ()

    return {
        "number": number,
        "int": integer,
        "ordinal": ordinal,
        "digital": _digital,
        "numbers": _calendar_numbers,
        "year": year,
    }


def _number(words: Spoken, at: int, language: str, *, halves: bool) -> Number | None:
    """A number at word `at`; number words of one number are at most a dozen."""
    found = read_number(words.tokens[at : at + _LONGEST_NUMBER], 0, language, halves=halves)
    return Number(found.value, found.end + at) if found else None


@cache
def _folded_ordinals(language: str) -> Mapping[str, int]:
    return {folded(words): day for words, day in ordinals(language).items()} if language in WORDS else {}


def _signed_ordinal(words: Spoken, at: int, *, dotted: bool) -> _Found:
    """ "3rd", "1er", German "3."."""
    if at + 1 >= len(words.words) or not words.words[at].isdecimal() or len(words.words[at]) > 2:
        return ()
    sign = words.words[at + 1]
    touching = words.tokens[at].end == words.tokens[at + 1].start
    if touching and (sign in _ORDINAL_SIGNS or (dotted and sign == ".")):
        return ((int(words.words[at]), at + 2),)
    return ()


def _digital(words: Spoken, at: int) -> _Found:
    """Digits of a clock: (hour, minute, second, how the hour was written)."""
    if match := _CLOCK.match(words.words[at]):
        return _in_day(match.group(1), match.group(2), "0", at + 1)
    parts, end = [words.words[at]], at + 1
    while len(parts) < 3 and end + 1 < len(words.words) and words.words[end] == ":":
        if words.tokens[end - 1].end != words.tokens[end].start or not words.words[end + 1].isdecimal():
            break
        parts, end = [*parts, words.words[end + 1]], end + 2
    if len(parts) < 2 or not all(part.isdecimal() and len(part) <= 2 for part in parts) or len(parts[1]) != 2:
        return ()
    return _in_day(parts[0], parts[1], parts[2] if len(parts) == 3 else "0", end)


def _in_day(hour: str, minute: str, second: str, end: int) -> _Found:
    if int(hour) > 24 or int(minute) > 59 or int(second) > 59:
        return ()
    return (((int(hour), int(minute), int(second), hour), end),)


def _calendar_numbers(words: Spoken, at: int) -> _Found:
    """ "24.12.2026", "3.5.", "12/24", "24/12/2026", "2026-12-24": the numbers as written, and the sign between."""
    if match := _DAY.match(words.words[at]):
        dotted = at + 1 < len(words.words) and words.words[at + 1] == "."
        if match.group(3) is None and not dotted:
            return ()
        parts = tuple(int(part) for part in match.groups() if part)
        return (((parts, "."), at + 2 if match.group(3) is None else at + 1),)
    parts_, end = [words.words[at]], at + 1
    sign = words.words[end] if end < len(words.words) else ""
    while sign in {"/", "-"} and len(parts_) < 3 and end + 1 < len(words.words) and words.words[end] == sign:
        parts_, end = [*parts_, words.words[end + 1]], end + 2
    if len(parts_) < 2 or (sign == "-" and len(parts_) < 3):
        return ()
    if not all(part.isdecimal() and len(part) <= 4 for part in parts_):
        return ()
    return (((tuple(int(part) for part in parts_), sign), end),)


def exact(value: Decimal) -> Decimal:
    """Without the zeros that nobody said."""
    return value.quantize(Decimal(1)) if value == value.to_integral_value() and value.adjusted() < 25 else value
