"""What becomes of days that were read, seen from the user's own today.

`finder.py` gives these methods to the parser. Conventions are those of `days.py`: a bare weekday is the next one after
today, "next friday" the Friday of the coming week (Monday to Sunday), a day of a month without a year is this year's.
As that may be over, a `Day` also knows the one that is still to come: an alarm wants that.
"""

from __future__ import annotations

import calendar
from dataclasses import dataclass
from datetime import date, timedelta

FARTHEST = 365 * 200
"""Days from today that are read; beyond them the calendar itself is in doubt."""

_UNITS = {"d": 1, "w": 7}


@dataclass(frozen=True, slots=True)
class Day:
    """A date (`first`), and the next one the words may mean. `weak`: the words often mean no day ("the second")."""

    first: date
    ahead: date
    weak: bool = False


class Counts:
    """How many days, weeks, months; bounds are checked where they are added."""

    def of(self, number: int) -> int | None:
        return number if 0 < number <= FARTHEST else None

    def const(self, constant: str) -> int:
        return int(constant)


class Days:
    """Days by name, by number and by distance."""

    def __init__(self, today: date, region: str) -> None:
        self._today = today
        self._month_first = region.partition("-")[0].upper() in {"US", ""}

    def offset(self, constant: str) -> Day:
        return self._only(self._today + timedelta(days=int(constant)))

    def weekday(self, weekday: str) -> Day:
        return self._only(self._coming(int(weekday)))

    def next(self, weekday: str) -> Day:
        return self._only(self._monday() + timedelta(days=7 + int(weekday)))

    def this(self, weekday: str) -> Day:
        return self._only(self._monday() + timedelta(days=int(weekday)))

    def last(self, weekday: str) -> Day:
        back = (self._today.weekday() - int(weekday) - 1) % 7 + 1
        return self._only(self._today - timedelta(days=back))

    def weeks_after(self, weekday: str, weeks: int) -> Day | None:
        """ "a week from friday", "Freitag in zwei Wochen"."""
        if not 0 < weeks <= 520:
            return None
        return self._only(self._coming(int(weekday)) + timedelta(weeks=weeks))

    def weeks_on(self, weekday: str, constant: str) -> Day | None:
        """ "a week on friday", "lundi en huit"."""
        return self.weeks_after(weekday, int(constant))

    def weeks_after_today(self, constant: str) -> Day:
        return self.offset(str(7 * int(constant)))

    def in_week(self, weekday: str, constant: str) -> Day:
        """ "friday next week"."""
        return self._only(self._monday() + timedelta(days=7 * int(constant) + int(weekday)))

    def ahead(self, count: int, dunit: str) -> Day | None:
        return self._moved(count, dunit)

    def ago(self, count: int, dunit: str) -> Day | None:
        return self._moved(-count, dunit)

    def month_day(self, month: str, number: int, year: int | None = None) -> Day | None:
        return self._named(int(month), number, year)

    def weekday_month_day(self, weekday: str, month: str, number: int, year: int | None = None) -> Day | None:
        """ "monday the 3rd of may": the date counts, if the weekday fits it this year or next."""
        day = self._named(int(month), number, year)
        if day is None:
            return None
        fitting = [one for one in (day.first, day.ahead) if one.weekday() == int(weekday)]
        return self._only(fitting[0]) if fitting else day

    def of_month(self, number: int) -> Day | None:
        """ "the twelfth" of this month, or the next month that has one."""
        here = _date(self._today.year, self._today.month, number)
        ahead = next((day for day in self._months(number) if day >= self._today), None)
        if ahead is None:
            return None
        return Day(here or ahead, ahead, weak=True)

    def weekday_of_month(self, weekday: str, number: int) -> Day | None:
        """ "friday the thirteenth": the next one."""
        found = (day for day in self._months(number) if day >= self._today and day.weekday() == int(weekday))
        day = next(found, None)
        return self._only(day) if day else None

    def digits(self, numbers: tuple[tuple[int, ...], str]) -> Day | None:
        """ "24.12.2026", "2026-12-24", and "3/5" as the region writes it."""
        parts, sign = numbers
        if sign == "-" or parts[0] > 31:
            return self._named(parts[1], parts[2], parts[0]) if len(parts) == 3 else None
        month_first = sign == "/" and self._month_first
        month, day = parts[:2] if month_first else parts[1::-1]
        year = (parts[2] + 2000 if parts[2] < 100 else parts[2]) if len(parts) == 3 else None
        return self._named(month, day, year) or self._named(day, month, year)

    def holiday(self, constant: str) -> Day | None:
        month, day = constant.split("-")
        return self._named(int(month), int(day), None)

    def holiday_in(self, holiday: str, year: int) -> Day | None:
        month, day = holiday.split("-")
        return self._named(int(month), int(day), year)

    def plain(self, day: Day) -> Day:
        return day

    def _only(self, day: date) -> Day:
        return Day(day, day)

    def _monday(self) -> date:
        return self._today - timedelta(days=self._today.weekday())

    def _coming(self, weekday: int) -> date:
        return self._today + timedelta(days=(weekday - self._today.weekday() - 1) % 7 + 1)

    def _named(self, month: int, day: int, year: int | None) -> Day | None:
        if year is not None:
            only = _date(year, month, day)
            return self._only(only) if only else None
        here = _date(self._today.year, month, day)
        later = (_date(self._today.year + more, month, day) for more in range(9))
        ahead = next((one for one in later if one is not None and one >= self._today), None)
        return Day(here or ahead, ahead) if ahead else None

    def _months(self, number: int) -> list[date]:
        """This day of each month in the next years, where there is one."""
        months = (divmod(self._today.year * 12 + self._today.month - 1 + more, 12) for more in range(60))
        days = (_date(year, month + 1, number) for year, month in months)
        return [day for day in days if day is not None]

    def _moved(self, count: int, dunit: str) -> Day | None:
        day = moved(self._today, count, dunit)
        return self._only(day) if day else None


def moved(day: date, count: int, dunit: str) -> date | None:
    """So many days, weeks, months or years on; the last of the month where it is shorter. None if too far."""
    size, kind = int(dunit[:-1]), dunit[-1]
    count *= size
    if kind in _UNITS:
        days = count * _UNITS[kind]
        return day + timedelta(days=days) if abs(days) <= FARTHEST else None
    months = count * (12 if kind == "y" else 1)
    if abs(months) > FARTHEST // 30:
        return None
    year, month = divmod(day.year * 12 + day.month - 1 + months, 12)
    return date(year, month + 1, min(day.day, calendar.monthrange(year, month + 1)[1]))


def _date(year: int, month: int, day: int) -> date | None:
    """None where the calendar has no such day."""
    try:
        return date(year, month, day)
    except ValueError:
        return None
