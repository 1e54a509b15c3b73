"""How a language reads what is written in figures: dates, times, amounts, units, ordinals, telephone numbers.

`normalizer.py` finds such things and asks a `Reading` for words; one file per language. Plain numbers stay figures: the
engine reads them. A language without a file here is left to the engine altogether.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Noun:
    """What is counted: `one` with its article ("ein Euro"), `many` without a number; `feminine` for agreement."""

    one: str
    many: str
    feminine: bool = False


@dataclass(frozen=True, slots=True)
class Currency:
    """An amount's two nouns; `cents` is None where there are none (yen)."""

    whole: Noun
    cents: Noun | None = None


@dataclass(frozen=True, slots=True)
class Ordinal:
    """An ordinal in figures: its number, what marks it ("rd", "º", "."), and the words on both sides, lower case."""

    number: int
    mark: str
    before: str
    after: str


@dataclass(frozen=True)
class Reading:
    """One language's words.

    Attributes:
        decimal: sign before the fraction, as the engine expects it; `decimal_word` is its name.
        decimal_point: True where the language's writers put a point there and group by commas.
        digits: names of 0 to 9.
        months: names of the twelve, as written.
        date: (day, month, year or None, word before) to words.
        time: (hour, minute, word after) to words; the word after is lower case ("uhr", "pm").
        seconds: joins a time and its seconds.
        year: words or figures of a year from 1000 to 2999.
        year_cues: words after which a number of four figures is a year.
        ordinal: words, or None where the engine's own reading is right.
        ordinal_marks: regular expression of what follows the figures of an ordinal.
        amount: (whole part in words, cents in figures, currency) to words, where both are there.
        day_of_month: (day, word before, whether the month follows) to words, for a day next to a month's name.
        day_first: True where the day stands before the month's name.
        before_noun: the figures of a number, as they are read before a noun: (figures, feminine).
        to, minus, fractions: "10 to 20", "minus 5", "1/2".
        magnitudes: words that may stand between number and currency, with what follows ("million de ").
    """

    decimal: str
    decimal_word: str
    decimal_point: bool
    digits: tuple[str, ...]
    months: tuple[str, ...]
    date: Callable[[int, int, int | None, str], str]
    time: Callable[[int, int, str], str]
    seconds: str
    year: Callable[[int], str]
    year_cues: frozenset[str]
    units: Mapping[str, Noun]
    currencies: Mapping[str, Currency]
    amount: Callable[[str, str, Currency], str]
    to: str
    minus: str
    fractions: Mapping[str, str]
    magnitudes: Mapping[str, str]
    day_of_month: Callable[[int, str, bool], str]
    day_first: bool
    ordinal_marks: str = ""
    ordinal: Callable[[Ordinal], str | None] = field(default=lambda ordinal: None)
    before_noun: Callable[[str, bool], str] = field(default=lambda figures, feminine: figures)
    month_first: bool = False
    """True where 11/12/2026 is the 12th of November."""
    blanks_group: bool = False
    """True where ordinary blanks group figures: 1 234,5."""
    dotted: bool = False
    """True where 20.11. is a date and 14.30 Uhr a time."""

    def spelled(self, figures: str) -> str:
        """Figure by figure."""
        return ", ".join(" ".join(self.digits[int(digit)] for digit in group) for group in figures.split())


def counted(reading: Reading, figures: str, noun: Noun) -> str:
    """A number as the engine reads it, and its noun."""
    return noun.one if figures == "1" else f"{reading.before_noun(figures, noun.feminine)} {noun.many}"
