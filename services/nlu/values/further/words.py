"""The words of one language that make values, looked up by what stands in a sentence.

`reading.py` asks `Words.of(language)` once per request. The first request of a language makes its tables, some
milliseconds; they are kept. The language of a request names what is loaded, so only those that dateparser lists are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache
from importlib import import_module
from typing import Any, Generic, TypeVar

from babel.core import Locale, UnknownLocaleError
from babel.dates import get_day_names, get_month_names
from babel.numbers import NumberFormatError, get_currency_name, get_currency_symbol, parse_decimal
from babel.units import format_unit
from dateparser.data.languages_info import language_order

from services.nlu.text import tokenise
from services.nlu.values.further.vocabulary import VOCABULARIES, Vocabulary
from services.nlu.values.spoken import folded

T = TypeVar("T")

_SAME = {"no": "nb", "nn": "nb"}
_SCRIPTS = {"sr": ("sr", "sr-Latn")}
"""Languages that are written in two scripts, and read in both."""

_UNITS = {"second": 1, "minute": 60, "hour": 3600, "day": 86_400, "week": 604_800}
_WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_MONTHS = tuple("january february march april may june july august september october november december".split())
_CURRENCIES = tuple(
    "EUR USD GBP JPY CNY CHF DKK NOK SEK PLN CZK HUF TRY IDR KZT RSD RUB INR BRL MXN CAD AUD KRW SAR AED EGP".split()
)
_MOST_WORDS = 6
_LONGEST_NUMBER = 18
_SHORTEST = 2  # letters of an abbreviation in a script of letters: "d" and "s" are too many things


class Table(Generic[T]):
    """Phrases with their meanings; the first meaning of a phrase stays."""

    def __init__(self, entries: Iterable[tuple[str, T]]) -> None:
        self._known: dict[tuple[str, ...], T] = {}
        for phrase, meaning in entries:
            words = tuple(folded(token.norm) for token in tokenise(phrase))
            if 0 < len(words) <= _MOST_WORDS:
                self._known.setdefault(words, meaning)
        self._longest = max(map(len, self._known), default=0)

    def at(self, words: Sequence[str], start: int) -> tuple[T, int] | None:
        """The meaning of the longest phrase that begins at a word, and the word after it."""
        for length in range(min(self._longest, len(words) - start), 0, -1):
            if (key := tuple(words[start : start + length])) in self._known:
                return self._known[key], start + length
        return None


@dataclass(frozen=True)
class Words:
    """The tables of a language; numbers of days count from today, units in seconds, weekdays from Monday as 0."""

    locale: str
    half_to: bool
    numbers: Table[Decimal]
    days: Table[tuple[int, str]]
    now: Table[bool]
    weekdays: Table[int]
    months: Table[int]
    units: Table[int]
    currencies: Table[str]
    parts: Table[str]
    before: Table[bool]
    after: Table[bool]
    half: Table[bool]
    soon: Table[bool]
    later: Table[bool]
    joins: Table[bool]
    leads: Table[bool]

    @classmethod
    def of(cls, language: str) -> Words | None:
        """By primary subtag; None for a language that dateparser or CLDR does not know."""
        return _words(_SAME.get(language, language))

    def digits(self, text: str) -> Decimal | None:
        """A number in digits as the language writes it, else as English does."""
        if not text[0].isdecimal() or len(text) > _LONGEST_NUMBER:
            return None
        try:
            return parse_decimal(text, locale=self.locale, strict=True)
        except NumberFormatError:
            plain = text.replace(",", "")
            return Decimal(plain) if plain.count(".") < 2 else None


@lru_cache(maxsize=64)
def _words(language: str) -> Words | None:
    if language not in language_order:
        return None
    try:
        Locale.parse(language)
    except UnknownLocaleError:
        return None
    own = VOCABULARIES.get(language, Vocabulary())
    scripts = _SCRIPTS.get(language, (language,))
    data = [import_module(f"dateparser.data.date_translation_data.{script}").info for script in scripts]
    names = [script.replace("-", "_") for script in scripts]
    return Words(
        locale=language,
        half_to=own.half_to,
        numbers=Table(_numbers(own)),
        days=Table([*_told(own.days, _day), *(pair for one in data for pair in _relative(one))]),
        now=Table((phrase, True) for one in data for phrase in one.get("relative-type", {}).get("0 second ago", ())),
        weekdays=Table([*_told(own.weekdays, int), *_named(data, names, _WEEKDAYS, get_day_names, 0)]),
        months=Table(_named(data, names, _MONTHS, get_month_names, 1)),
        units=Table([*_told(own.units, int), *_units(data, names)]),
        currencies=Table(pair for name in names for pair in _currencies(name)),
        parts=Table(
            [
                *_told(own.parts, str),
                *((word, part) for one in data for part in ("am", "pm") for word in one.get(part, ())),
            ]
        ),
        **{name: Table((phrase, True) for phrase in getattr(own, name).split(",") if phrase) for name in _FLAGS},
    )


_FLAGS = ("before", "after", "half", "soon", "later", "joins", "leads")


def _told(pairs: str, read: Callable[[str], T]) -> Iterator[tuple[str, T]]:
    """ "dertig=30,veertig=40"."""
    for pair in filter(None, pairs.split(",")):
        phrase, _, meaning = pair.partition("=")
        yield phrase, read(meaning)


def _day(meaning: str) -> tuple[int, str]:
    """ "1 evening"."""
    days, _, part = meaning.partition(" ")
    return int(days), part


def _numbers(own: Vocabulary) -> Iterator[tuple[str, Decimal]]:
    for at, pair in enumerate(filter(None, own.numbers.split(",")), own.first):
        phrase, _, value = pair.partition("=")
        yield phrase, Decimal(value or at)


def _relative(data: Mapping[str, Any]) -> Iterator[tuple[str, tuple[int, str]]]:
    """dateparser's "in 1 day" and "1 day ago"."""
    for distance, phrases in data.get("relative-type", {}).items():
        for days in range(4):
            if distance in (f"in {days} day", f"{days} day ago"):
                yield from ((phrase, (days if distance.startswith("in") else -days, "")) for phrase in phrases)


def _named(
    data: Sequence[Mapping[str, Any]], names: Sequence[str], keys: Sequence[str], cldr: Any, first: int
) -> Iterator[tuple[str, int]]:
    """Names of weekdays or months, whole and short, in the nominative and as they stand in a date."""
    for one in data:
        yield from ((word, at) for at, key in enumerate(keys, first) for word in one[key] if _long_enough(word))
    for name in names:
        for context in ("format", "stand-alone"):
            for width in ("wide", "abbreviated"):
                yield from ((word, at) for at, word in cldr(width, context, name).items() if _long_enough(word))


def _units(data: Sequence[Mapping[str, Any]], names: Sequence[str]) -> Iterator[tuple[str, int]]:
    for unit, seconds in _UNITS.items():
        for one in data:
            yield from ((word, seconds) for word in one[unit] if _long_enough(word))
        for name in names:
            for count in (1, 2, 3, 5, 11, 21, 0.5):
                text = format_unit(count, f"duration-{unit}", locale=name)
                word = text.lstrip("0123456789.,\xa0 ")
                if word and "duration" not in word:
                    yield word, seconds


def _currencies(name: str) -> Iterator[tuple[str, str]]:
    for code in _CURRENCIES:
        yield code, code
        yield get_currency_symbol(code, locale=name), code
        for count in (None, 1, 2, 5):
            yield get_currency_name(code, count, locale=name), code


def _long_enough(word: str) -> bool:
    return len(word) >= _SHORTEST or not word.isascii()
