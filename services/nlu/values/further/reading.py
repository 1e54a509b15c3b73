"""Reads the values of one sentence by the words of its language; for `finder.py`, where a language has no grammar.

A value is looked for at every word, by looking phrases up: what a sentence costs grows with its length alone, whatever
stands in it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

from services.nlu.understanding import Situation, Value
from services.nlu.values.amounts import Span
from services.nlu.values.calendar_days import Day, Days
from services.nlu.values.clocks import Clock
from services.nlu.values.further.words import Words
from services.nlu.values.kinds import Money
from services.nlu.values.moments import Moment, Moments
from services.nlu.values.spoken import Spoken
from services.nlu.values.terminals import exact, terminals

_DAY_SIGNS = frozenset({".", "日", "号", "號", "-"})
_MINUTE_SIGNS = frozenset({"分", "分钟"})
_COMMA = frozenset({","})
_HALF_HOUR = "半"
_HYPHENS = frozenset({"'", "-"})
_LONGEST_SUFFIX = 4
_MOST_PARTS = 4


@dataclass(frozen=True, slots=True)
class Read:
    """Words `start` to `end` (half open) as values, best first, and how sure that is."""

    start: int
    end: int
    values: tuple[Value, ...]
    confidence: float


class Reader:
    """One per request and language."""

    def __init__(self, words: Words, situation: Situation) -> None:
        zone = ZoneInfo(situation.time_zone or "UTC")
        now: datetime = situation.now.astimezone(zone)
        self._known = words
        self._moments = Moments(now, zone)
        self._days = Days(now.date(), situation.region or "GB")
        self._digital = terminals(words.locale)["digital"]
        self._dates = terminals(words.locale)["numbers"]

    @classmethod
    def of(cls, language: str, situation: Situation) -> Reader | None:
        words = Words.of(language)
        return cls(words, situation) if words else None

    def find(self, value_type: str, words: Spoken) -> Iterator[Read]:
        """Every place where such a value begins, the longest there."""
        for at in range(len(words.words)):
            found = self._at(value_type, words, at)
            if found is not None and found.end > at:
                yield found

    def whole(self, value_type: str, words: Spoken) -> tuple[Value, ...]:
        """All the words as one value, but for what may stand before it ("op vrijdag"); none if they are no such."""
        lead = self._known.leads.at(words.words, 0)
        for start in (0, lead[1] if lead else 0):
            found = self._at(value_type, words, start) if start < len(words.words) else None
            if found is not None and found.end == len(words.words):
                return found.values
        return ()

    def _at(self, value_type: str, words: Spoken, at: int) -> Read | None:
        match value_type:
            case "INTEGER" | "DECIMAL":
                return self._plain(value_type, words.words, at)
            case "DURATION":
                span = self._duration(words.words, at)
                return (
                    self._read(at, span[1], (span[0].length(),), _length_sure(span[0], words.words[at]))
                    if span
                    else None
                )
            case "MONEY":
                return self._money(words.words, at)
            case "DATE":
                day = self._day(words, at)
                return self._read(at, day[1], (day[0].first, day[0].ahead), 0.9) if day else None
            case "TIME":
                clock = self._clock(words, at)
                return self._read(at, clock[1], self._moments.coming(clock[0]), _sure(clock[0])) if clock else None
            case "DATETIME":
                return self._moment(words, at)
        return None

    def _read(self, at: int, end: int, values: Sequence[Value | None], sure: float) -> Read | None:
        kept = tuple(dict.fromkeys(value for value in values if value is not None))
        return Read(at, end, kept, sure) if kept else None

    # --- numbers ------------------------------------------------------------------------------------------------------

    def _number(self, words: Sequence[str], at: int) -> tuple[Decimal, int] | None:
        if at >= len(words):
            return None
        if (value := self._known.digits(words[at])) is not None:
            return value, at + 1
        return self._known.numbers.at(words, at) or _chinese(words, at, self._known.locale)

    def _plain(self, value_type: str, words: Sequence[str], at: int) -> Read | None:
        found = self._number(words, at)
        if found is None:
            return None
        value, end = found
        whole = value == value.to_integral_value()
        if value_type == "INTEGER":
            return Read(at, end, (int(value),), 0.7) if whole else None
        return Read(at, end, (exact(value),), 0.7)

    def _money(self, words: Sequence[str], at: int) -> Read | None:
        before = self._known.currencies.at(words, at)
        found = self._number(words, before[1] if before else at)
        if found is None:
            return None
        amount, end = found
        after = self._known.currencies.at(words, end) if before is None else None
        known = before or after
        return Read(at, after[1] if after else end, (Money(exact(amount), known[0]),), 0.9) if known else None

    def _duration(self, words: Sequence[str], at: int) -> tuple[Span, int] | None:
        """ "1 uur 30 minuten", "half uur", "5 dakika": units get smaller."""
        seconds, least, end = Decimal(0), Decimal(0), at
        for _ in range(_MOST_PARTS):
            join = self._known.joins.at(words, end) if end > at else None
            part = self._length(words, join[1] if join else end)
            if part is None or (least and part[0].unit >= least):
                break
            seconds, least, end = seconds + part[0].seconds, part[0].unit, part[1]
        return (Span(seconds, least), end) if least else None

    def _length(self, words: Sequence[str], at: int) -> tuple[Span, int] | None:
        half = self._known.half.at(words, at)
        if half and (unit := self._known.units.at(words, half[1])):
            return Span(Decimal(unit[0]) / 2, Decimal(unit[0])), unit[1]
        number = self._number(words, at)
        if number and (unit := self._known.units.at(words, number[1])):
            return Span(number[0] * unit[0], Decimal(unit[0])), unit[1]
        return None

    # --- days and times -----------------------------------------------------------------------------------------------

    def _day(self, words: Spoken, at: int) -> tuple[Day, int] | None:
        if at >= len(words.words):
            return None
        if found := self._known.days.at(words.words, at):
            return self._days.offset(str(found[0][0])), found[1]
        for numbers, end in self._dates(words, at):
            if day := self._days.digits(numbers):
                return day, end
        if (named := self._in_month(words.words, at)) is not None:
            return named
        if weekday := self._known.weekdays.at(words.words, at):
            return self._days.weekday(str(weekday[0])), weekday[1]
        return None

    def _in_month(self, words: Sequence[str], at: int) -> tuple[Day, int] | None:
        """ "12 december 2027", "12. december", "12月12日"."""
        if month := self._known.months.at(words, at):
            number = self._number(words, month[1])
            end = _past(words, number[1], _DAY_SIGNS) if number else 0
        else:
            number = self._number(words, at)
            month = self._known.months.at(words, _past(words, number[1], _DAY_SIGNS)) if number else None
            end = month[1] if month else 0
        if month is None or number is None or not 1 <= number[0] <= 31 or number[0] % 1:
            return None
        after = _past(words, end, _COMMA)
        year = self._known.digits(words[after]) if after < len(words) else None
        if year is not None and 1900 <= year <= 2199 and year == int(year):
            day = self._days.month_day(str(month[0]), int(number[0]), int(year))
            return (day, after + 1) if day else None
        day = self._days.month_day(str(month[0]), int(number[0]))
        return (day, end) if day else None

    def _clock(self, words: Spoken, at: int) -> tuple[Clock, int] | None:
        """A time of day with its part of the day on either side: "'s avonds om 8 uur", "午後3時", "kl. 9"."""
        part = self._known.parts.at(words.words, at)
        start = part[1] if part else at
        before = self._known.before.at(words.words, start)
        found = self._face(words, before[1] if before else start, marked=bool(before))
        if found is None and before:
            found = self._face(words, start, marked=False)
        if found is None:
            return None
        clock, end = found[0], self._suffixed(words, found[1])
        if part is None and (part := self._known.parts.at(words.words, end)):
            end = part[1]
        settled = clock.at(part[0]) if part else clock
        return (settled or clock, end) if part or not clock.bare else None

    def _face(self, words: Spoken, at: int, *, marked: bool) -> tuple[Clock, int] | None:
        for (hour, minute, second, written), end in self._digital(words, at) if at < len(words.words) else ():
            after = self._known.after.at(words.words, end)
            settled = str(written).startswith("0") or hour == 0
            return Clock(hour % 24, minute, second, settled=settled, written=True), after[1] if after else end
        half = self._known.half.at(words.words, at) if self._known.half_to else None
        number = self._number(words.words, half[1] if half else at)
        if number is None or not 0 <= number[0] <= 24 or number[0] % 1:
            return None
        hour, end = int(number[0]), number[1]
        if self._known.units.at(words.words, end) and not self._known.after.at(words.words, end):
            return None  # "om 5 minutter", "half uur"
        after = self._known.after.at(words.words, end)
        if half:
            return Clock(hour - 1 if hour > 1 else 12, 30), after[1] if after else end
        clock = Clock(hour % 24, settled=hour in {0, 24}, bare=not (after or marked))
        return self._minutes(words.words, clock, after[1]) if after else (clock, end)

    def _minutes(self, words: Sequence[str], clock: Clock, at: int) -> tuple[Clock, int]:
        """ "9時30分", "9点半", "9 uur 30"."""
        if at < len(words) and words[at] == _HALF_HOUR:
            return replace(clock, minute=30), at + 1
        number = self._number(words, at)
        if number is None or not 0 < number[0] < 60 or number[0] % 1:
            return clock, at
        end = _past(words, number[1], _MINUTE_SIGNS)
        if end == number[1] and self._known.units.at(words, end):
            return clock, at
        return replace(clock, minute=int(number[0])), end

    def _moment(self, words: Spoken, at: int) -> Read | None:
        """From now, a day with a time or a part of it, a time alone (the next one), a day alone."""
        if (ahead := self._from_now(words.words, at)) is not None:
            return ahead
        if day := self._day(words, at):
            return self._on_day(words, at, *day)
        if clock := self._clock(words, at):
            later = self._day(words, clock[1]) or self._day(words, clock[1] + 1)
            if later is None:
                return self._read(at, clock[1], self._moments.next(clock[0]).readings, _sure(clock[0]) - 0.1)
            part = self._part_of_day(words, clock[1] if self._day(words, clock[1]) else clock[1] + 1, later[1])
            settled = clock[0].at(part[0]) if part else None
            end = part[1] if part and settled else later[1]
            return self._read(at, end, self._moments.at(later[0], settled or clock[0]).readings, 0.9)
        part = self._known.parts.at(words.words, at)
        return self._read(at, part[1], self._moments.next_part(part[0]).readings, 0.4) if part else None

    def _on_day(self, words: Spoken, at: int, day: Day, end: int) -> Read | None:
        part = self._part_of_day(words, at, end)
        after = part[1] if part else end
        # "yarın sabah 6'ya" has the part beside the hour, "morgenavond om 8 uur" in the day's name.
        beside = (self._clock(words, start) for start in (end, after, after + 1))
        if clock := next(filter(None, beside), None):
            settled = clock[0].at(part[0]) if part else None
            return self._read(at, clock[1], self._moments.at(day, settled or clock[0]).readings, 0.9)
        if part:
            return self._read(at, after, self._moments.part(part[0], day).readings, 0.85)
        return self._read(at, end, (day.first, day.ahead), 0.6)

    def _part_of_day(self, words: Spoken, at: int, end: int) -> tuple[str, int] | None:
        """Of the day that stands from `at` to `end`: within its name, or behind it."""
        named = self._known.days.at(words.words, at)
        if named and named[0][1]:
            return named[0][1], end
        return self._known.parts.at(words.words, end)

    def _suffixed(self, words: Spoken, at: int) -> int:
        """After the ending that a number takes: Turkish "6'ya", Kazakh "6-ға"."""
        signs, tokens = words.words, words.tokens
        if at + 1 >= len(signs) or signs[at] not in _HYPHENS or not signs[at + 1].isalpha():
            return at
        touching = tokens[at - 1].end == tokens[at].start and tokens[at].end == tokens[at + 1].start
        return at + 2 if touching and len(signs[at + 1]) <= _LONGEST_SUFFIX else at

    def _from_now(self, words: Sequence[str], at: int) -> Read | None:
        if now := self._known.now.at(words, at):
            return self._read(at, now[1], self._moments.now().readings, 0.5)
        soon = self._known.soon.at(words, at)
        span = self._duration(words, soon[1] if soon else at)
        later = self._known.later.at(words, span[1]) if span and not soon else None
        if span is None or not (soon or later) or span[0].length() in {None, timedelta()}:
            return None
        moment: Moment | None = self._moments.ahead(span[0])
        return self._read(at, later[1] if later else span[1], moment.readings, 0.9) if moment else None


def _sure(clock: Clock) -> float:
    return 0.85 if not clock.bare else 0.5


def _length_sure(span: Span, word: str) -> float:
    """One of a unit in words may be an article: Danish "en timer" is a timer, or an hour."""
    return 0.9 if span.seconds != span.unit or word.isdecimal() else 0.6


def _past(words: Sequence[str], at: int, signs: frozenset[str]) -> int:
    return at + 1 if at < len(words) and words[at] in signs else at


_NUMERALS = {sign: value for value, sign in enumerate("〇一二三四五六七八九")} | {"两": 2, "兩": 2}


def _chinese(words: Sequence[str], at: int, language: str) -> tuple[Decimal, int] | None:
    """ "三", "十五", "二十", "四十五": up to 99, a character each."""
    if language not in {"zh", "ja"}:
        return None
    tens, end = _NUMERALS.get(words[at]), at + 1
    if end < len(words) and tens is not None and words[end] == "十":
        end += 1
    elif words[at] == "十":
        tens = 1
    else:
        return (Decimal(tens), end) if tens is not None else None
    ones = _NUMERALS.get(words[end]) if end < len(words) else None
    return Decimal(tens * 10 + (ones or 0)), end + (ones is not None)
