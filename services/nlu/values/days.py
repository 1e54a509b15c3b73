"""From the words for a day to a calendar date, seen from the user's own today.

The interpreter calls `read_day` for the words of a day slot: "tomorrow", "next friday", "the twenty second of march",
"in three days", "christmas". The date is absolute (ISO 8601), so a skill needs neither language nor clock.

Conventions: a bare weekday is the next one after today; "next friday" is the Friday of the coming week (Monday to
Sunday); "this friday" is the one of the current week; a day of a month without a year is this year's, as in "what day
is march tenth".
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cache
from itertools import pairwise

from services.nlu.text import Token, without_hyphens
from services.nlu.values.number_words import phrases
from services.nlu.values.numbers import read_number

MAX_DAYS = 365 * 200
"""Furthest distance that is read as a day; beyond it the calendar itself is in doubt."""


@dataclass(frozen=True)
class DayWords:
    """What one language says for days. Lists are joined by "|"; weekdays begin on Monday, months in January."""

    relative: Mapping[str, int]
    weekdays: str
    months: str
    next: frozenset[str]
    this: frozenset[str]
    last: frozenset[str]
    after: frozenset[str]
    ago: frozenset[str]
    units: Mapping[str, int]
    holidays: Mapping[str, tuple[int, int]]


def _set(words: str) -> frozenset[str]:
    return frozenset(words.split("|"))


DAY_WORDS: Mapping[str, DayWords] = {
    "en": DayWords(
        relative={
            "today": 0, "tonight": 0, "now": 0, "tomorrow": 1, "yesterday": -1, "day after tomorrow": 2,
            "day before yesterday": -2, "today's": 0, "tomorrow's": 1, "yesterday's": -1, "this day": 0,
        },
        weekdays="monday|tuesday|wednesday|thursday|friday|saturday|sunday",
        months="january|february|march|april|may|june|july|august|september|october|november|december",
        next=_set("next|coming"), this=_set("this"), last=_set("last|past"), after=_set("in|from now|from today|later"),
        ago=_set("ago|back"), units={"day": 1, "days": 1, "week": 7, "weeks": 7, "fortnight": 14},
        holidays={
            "christmas": (12, 25), "christmas day": (12, 25), "xmas": (12, 25), "christmas eve": (12, 24),
            "new year's": (1, 1), "new year's day": (1, 1), "new year": (1, 1), "new year's eve": (12, 31),
            "valentine's": (2, 14), "valentine's day": (2, 14), "valentines day": (2, 14), "halloween": (10, 31),
            "independence day": (7, 4), "fourth of july": (7, 4), "boxing day": (12, 26), "april fools": (4, 1),
            "saint patrick's day": (3, 17), "st patrick's day": (3, 17),
        },
    ),
    "de": DayWords(
        relative={"heute": 0, "jetzt": 0, "morgen": 1, "gestern": -1, "übermorgen": 2, "vorgestern": -2},
        weekdays="montag|dienstag|mittwoch|donnerstag|freitag|samstag|sonntag",
        months="januar|februar|märz|april|mai|juni|juli|august|september|oktober|november|dezember",
        next=_set("nächsten|nächster|nächste|kommenden|kommender"), this=_set("diesen|dieser|diese"),
        last=_set("letzten|letzter|vergangenen"), after=_set("in"), ago=_set("vor"),
        units={"tag": 1, "tage": 1, "tagen": 1, "woche": 7, "wochen": 7},
        holidays={"weihnachten": (12, 25), "heiligabend": (12, 24), "silvester": (12, 31), "neujahr": (1, 1)},
    ),
    "fr": DayWords(
        relative={"aujourd'hui": 0, "maintenant": 0, "demain": 1, "hier": -1, "après demain": 2, "avant hier": -2},
        weekdays="lundi|mardi|mercredi|jeudi|vendredi|samedi|dimanche",
        months="janvier|février|mars|avril|mai|juin|juillet|août|septembre|octobre|novembre|décembre",
        next=_set("prochain"), this=_set("ce"), last=_set("dernier"), after=_set("dans"), ago=_set("il y a"),
        units={"jour": 1, "jours": 1, "semaine": 7, "semaines": 7},
        holidays={"noël": (12, 25), "nouvel an": (1, 1), "saint sylvestre": (12, 31)},
    ),
    "es": DayWords(
        relative={"hoy": 0, "ahora": 0, "mañana": 1, "ayer": -1, "pasado mañana": 2, "anteayer": -2},
        weekdays="lunes|martes|miércoles|jueves|viernes|sábado|domingo",
        months="enero|febrero|marzo|abril|mayo|junio|julio|agosto|septiembre|octubre|noviembre|diciembre",
        next=_set("próximo|que viene"), this=_set("este"), last=_set("pasado"), after=_set("en|dentro de"),
        ago=_set("hace"), units={"día": 1, "días": 1, "semana": 7, "semanas": 7},
        holidays={"navidad": (12, 25), "nochebuena": (12, 24), "nochevieja": (12, 31), "año nuevo": (1, 1)},
    ),
    "it": DayWords(
        relative={"oggi": 0, "adesso": 0, "domani": 1, "ieri": -1, "dopodomani": 2, "l'altro ieri": -2},
        weekdays="lunedì|martedì|mercoledì|giovedì|venerdì|sabato|domenica",
        months="gennaio|febbraio|marzo|aprile|maggio|giugno|luglio|agosto|settembre|ottobre|novembre|dicembre",
        next=_set("prossimo|prossima"), this=_set("questo|questa"), last=_set("scorso|scorsa"), after=_set("fra|tra"),
        ago=_set("fa"), units={"giorno": 1, "giorni": 1, "settimana": 7, "settimane": 7},
        holidays={"natale": (12, 25), "capodanno": (1, 1), "san silvestro": (12, 31), "ferragosto": (8, 15)},
    ),
}  # fmt: skip

_ORDINALS = (
    "first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth thirteenth fourteenth fifteenth "
    "sixteenth seventeenth eighteenth nineteenth"
).split()


def read_day(tokens: Sequence[Token], language: str, today: date) -> date | None:
    """The date that the words name, or None when they name none we can tell.

    Args:
        tokens: the words of the slot.
        language: primary subtag; languages without a table read nothing.
        today: the user's date, in the user's time zone.
    """
    words = DAY_WORDS.get(language)
    if words is None:
        return None
    spoken = [token for token in without_hyphens(tokens) if token.norm not in {",", ".", "?", "!"}]
    for reader in (_distance, _relative, _holiday, _month_day, _weekday):
        if (found := reader(spoken, words, language, today)) is not None:
            return found
    return None


_Reader = Callable[[Sequence[Token], DayWords, str, date], date | None]


def _text(tokens: Sequence[Token]) -> str:
    return " ".join(token.norm for token in tokens)


def _relative(tokens: Sequence[Token], words: DayWords, _: str, today: date) -> date | None:
    text = f" {_text(tokens)} "
    for phrase in sorted(words.relative, key=len, reverse=True):
        if f" {phrase} " in text:
            return today + timedelta(days=words.relative[phrase])
    return None


def _holiday(tokens: Sequence[Token], words: DayWords, language: str, today: date) -> date | None:
    text = f" {_text(tokens)} "
    for phrase in sorted(words.holidays, key=len, reverse=True):
        if f" {phrase} " in text:
            return _date(_year(tokens, words, today), *words.holidays[phrase])
    return None


def _distance(tokens: Sequence[Token], words: DayWords, language: str, today: date) -> date | None:
    """ "in three days", "two weeks from now", "vor zwei Tagen"."""
    for at in range(len(tokens)):
        number = read_number(tokens, at, language)
        count, after = (number.value, number.end) if number else (1, at + 1)
        unit = words.units.get(tokens[after].norm) if after < len(tokens) else None
        if unit is None or (number is None and tokens[at].norm not in {"a", "one"}):
            continue
        days = int(count) * unit
        text = f" {_text(tokens)} "
        forward = any(f" {word} " in text for word in words.after)
        back = any(f" {word} " in text for word in words.ago)
        if days > MAX_DAYS or forward == back:
            return None
        return today + timedelta(days=days if forward else -days)
    return None


def _month_day(tokens: Sequence[Token], words: DayWords, language: str, today: date) -> date | None:
    """ "march tenth", "the 22nd of april", "3. Mai", "le trois mai", "the twelfth" (of this month)."""
    months = words.months.split("|")
    month_at = next((at for at, token in enumerate(tokens) if token.norm in months), None)
    day = _day_number(tokens, language, month_at)
    if day is None:
        return None
    month = today.month if month_at is None else months.index(tokens[month_at].norm) + 1
    if month_at is None and any(token.norm in words.weekdays.split("|") for token in tokens):
        return None  # "friday the thirteenth" needs a search, not a lookup
    return _date(_year(tokens, words, today), month, day)


def _day_number(tokens: Sequence[Token], language: str, month_at: int | None) -> int | None:
    """A day of the month: an ordinal anywhere, or beside a month a plain number."""
    table = ordinals(language)
    for length in (3, 2, 1):
        for at in range(len(tokens) - length + 1):
            if day := table.get(_text(tokens[at : at + length])):
                return day
    for at in range(len(tokens) - 1):
        if tokens[at].norm.isdecimal() and tokens[at + 1].norm in {"st", "nd", "rd", "th"}:
            return _in_month(int(tokens[at].norm))
    if month_at is None:
        return None
    for at in range(len(tokens)):
        number = read_number(tokens, at, language) if at != month_at else None
        if number and number.value == int(number.value):
            return _in_month(int(number.value))
    return None


def _in_month(number: int) -> int | None:
    return number if 1 <= number <= 31 else None


def _weekday(tokens: Sequence[Token], words: DayWords, language: str, today: date) -> date | None:
    names = words.weekdays.split("|")
    norms = [token.norm.removesuffix("'s") for token in tokens]
    wanted = next((names.index(norm) for norm in norms if norm in names), None)
    if wanted is None or _day_number(tokens, language, None) or any(norm.isdecimal() for norm in norms):
        return None
    monday = today - timedelta(days=today.weekday())
    text = f" {' '.join(norms)} "
    if any(f" {word} " in text for word in words.next):
        return monday + timedelta(days=7 + wanted)
    if any(f" {word} " in text for word in words.this):
        return monday + timedelta(days=wanted)
    ahead = (wanted - today.weekday() - 1) % 7 + 1
    if any(f" {word} " in text for word in words.last):
        return today + timedelta(days=ahead - 7 if ahead < 7 else -7)
    return today + timedelta(days=ahead)


def _date(year: int, month: int, day: int) -> date | None:
    """None where the calendar has no such day."""
    try:
        return date(year, month, day)
    except ValueError:
        return None


def _year(tokens: Sequence[Token], words: DayWords, today: date) -> int:
    """A year said in digits, or this, next and last year; this year otherwise."""
    for token in tokens:
        if token.norm.isdecimal() and len(token.norm) == 4:
            return int(token.norm)
    norms = [token.norm for token in tokens]
    years = {"year", "year's", "jahr", "jahres", "année", "an", "año", "anno"}
    for before, word in pairwise(norms):
        if word in years and before in words.next:
            return today.year + 1
        if word in years and before in words.last:
            return today.year - 1
    return today.year


@cache
def ordinals(language: str) -> Mapping[str, int]:
    """Spoken ordinals up to 31 by phrase; French, Spanish and Italian say cardinals but for the first."""
    if language == "en":
        return _english_ordinals()
    if language == "de":
        return _german_ordinals()
    return {"premier": 1, "1er": 1} if language == "fr" else {"primero": 1} if language == "es" else {"primo": 1}


def _english_ordinals() -> Mapping[str, int]:
    table = {word: number for number, word in enumerate(_ORDINALS, start=1)}
    table |= {"twentieth": 20, "thirtieth": 30}
    table |= {f"twenty {word}": 20 + number for number, word in enumerate(_ORDINALS[:9], start=1)}
    return table | {"thirty first": 31}


def _german_ordinals() -> Mapping[str, int]:
    irregular = {1: "erst", 3: "dritt", 7: "siebt", 8: "acht"}
    table: dict[str, int] = {}
    for phrase, number in phrases("de").items():
        if 1 <= number <= 31 and len(phrase) == 1:
            stem = irregular.get(number, phrase[0] + ("t" if number < 20 else "st"))
            table |= {stem + ending: number for ending in ("e", "en", "er")}
    return table


@cache
def determiners(language: str) -> frozenset[str]:
    """Words that turn a weekday into another one when they stand before it: "next", "this", "last"."""
    words = DAY_WORDS.get(language)
    return words.next | words.this | words.last if words else frozenset()
