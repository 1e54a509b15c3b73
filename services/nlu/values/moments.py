"""What becomes of moments, ranges and repeating times that were read, in the user's zone.

`finder.py` gives these methods to the parser. Days and times of day are wall times: they stay what they are when the
clock changes on the way, and one that the clock skips moves on by the hour that is missing. Hours, minutes and seconds
from now are elapsed time.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

from services.nlu.values.amounts import Span
from services.nlu.values.calendar_days import Day, moved
from services.nlu.values.clocks import Clock, hour_of
from services.nlu.values.kinds import Interval, Recurrence

_EARLY, _LATE = 6, 12  # "tomorrow at three" is in the afternoon, "tomorrow at seven" in the morning
_DAY_NAMES = ("MO", "TU", "WE", "TH", "FR", "SA", "SU")
_LENGTHS = {"morning": (6, 12), "noon": (11, 14), "afternoon": (12, 18), "evening": (18, 23), "night": (21, 30)}
_MOST_INTERVAL = 1000


@dataclass(frozen=True, slots=True)
class Moment:
    """A point of time with its other readings, best first, and the day it was said with, if any."""

    readings: tuple[datetime, ...]
    day: date | None = None
    clock: Clock | None = None


class Moments:
    """Points of time.

    Args:
        now: aware, in the user's zone.
    """

    def __init__(self, now: datetime, zone: ZoneInfo) -> None:
        self._now = now
        self._zone = zone

    def wall(self, day: date, when: time) -> datetime:
        """The wall time of a day; one that a clock change skips is the one that the clock shows instead."""
        return datetime.combine(day, when, tzinfo=self._zone).astimezone(UTC).astimezone(self._zone)

    def at(self, day: Day, clock: Clock) -> Moment:
        return Moment(tuple(self.wall(day.ahead, one) for one in self.ordered(day.ahead, clock)), day.ahead, clock)

    def part(self, daypart: str, day: Day | None = None) -> Moment:
        """ "tomorrow morning"; "this morning" is today's."""
        when = day.ahead if day else self._now.date()
        return Moment((self.wall(when, time(hour_of(daypart))),), when)

    def part_at(self, daypart: str, clock: Clock, day: Day | None = None) -> Moment | None:
        settled = clock.at(daypart)
        return self.at(day or Day(self._now.date(), self._now.date()), settled) if settled else None

    def next_part(self, daypart: str) -> Moment:
        """ "in the morning" for someone who is asked when: the next one."""
        return Moment((self._coming(time(hour_of(daypart))),))

    def plain(self, moment: Moment) -> Moment:
        return moment

    def last_night(self) -> Moment:
        yesterday = self._now.date() - timedelta(days=1)
        return Moment((self.wall(yesterday, time(hour_of("night"))),), yesterday)

    def const_part(self, constant: str) -> Moment:
        """ "tonight", "stasera"."""
        return self.part(constant)

    def const_part_at(self, constant: str, clock: Clock) -> Moment | None:
        """ "tonight at eight"."""
        return self.part_at(constant, clock)

    def next(self, clock: Clock) -> Moment:
        """A time alone: the next one to come first."""
        moments = tuple(self._coming(one) for one in self.coming(clock))
        return Moment(moments, None, clock)

    def coming(self, clock: Clock) -> tuple[time, ...]:
        """The readings of a time, the next one to come first; digits are taken as they are written."""
        return clock.times() if clock.written else tuple(sorted(clock.times(), key=self._coming))

    def _coming(self, when: time) -> datetime:
        here = self.wall(self._now.date(), when)
        return here if here > self._now else self.wall(self._now.date() + timedelta(days=1), when)

    def ahead(self, duration: Span) -> Moment | None:
        """Days and weeks from now keep the time of day; less is elapsed time."""
        length = duration.length()
        if length is None:
            return None
        if duration.unit >= 86400 and duration.seconds % 86400 == 0:
            return Moment((self.wall((self._now + length).date(), self._now.time()),))
        return Moment(((self._now.astimezone(UTC) + length).astimezone(self._zone),))

    def ahead_months(self, count: int, dunit: str) -> Moment | None:
        day = moved(self._now.date(), count, dunit)
        return Moment((self.wall(day, self._now.time()),)) if day else None

    def now(self) -> Moment:
        return Moment((self._now,))

    def ordered(self, day: date, clock: Clock) -> list[time]:
        """On a day: what is still to come first; else the hour that people mean without more words."""
        times = list(clock.times())
        if clock.written:
            return times
        if day == self._now.date():
            return sorted(times, key=lambda one: (self.wall(day, one) <= self._now, one))
        return sorted(times, key=lambda one: not _EARLY <= one.hour < _LATE + 6)


class Ranges:
    """Ranges of time, each with its other readings, best first."""

    def __init__(self, moments: Moments, now: datetime) -> None:
        self._moments = moments
        self._now = now

    def times(self, first: Clock, last: Clock, day: Day | None = None) -> tuple[Interval, ...] | None:
        """ "from three to five [tomorrow]": the shortest range; what part of the day is said of one is of both."""
        found = []
        for start in self._starts(first, day):
            ends = [self._moments.wall(start.date(), one) for one in last.times()]
            ends += [self._moments.wall(start.date() + timedelta(days=1), one) for one in last.times()]
            later = min((end for end in ends if end > start), default=None)
            if later is not None:
                found.append(Interval(start, later))
        if len(last.times()) == 1:
            found.sort(key=lambda one: one.end - one.start if one.end and one.start else timedelta())
        return tuple(found) or None

    def _starts(self, first: Clock, day: Day | None) -> list[datetime]:
        if day is None:
            awake = range(_EARLY, _EARLY + 16)
            return sorted(self._moments.next(first).readings, key=lambda one: (one.hour not in awake, one))
        return [self._moments.wall(day.ahead, one) for one in self._moments.ordered(day.ahead, first)]

    def moments(self, first: Moment, last: Moment) -> tuple[Interval, ...] | None:
        start = first.readings[0]
        end = min((one for one in last.readings if one > start), default=None)
        return (Interval(start, end),) if end else None

    def days(self, first: Day, last: Day) -> tuple[Interval, ...] | None:
        """ "from monday to friday": the whole of both days."""
        end = last.ahead
        while end < first.ahead and (first.ahead - end).days < 7:
            end += timedelta(days=7)
        return (self._days(first.ahead, end + timedelta(days=1)),) if end >= first.ahead else None

    def day(self, day: Day) -> tuple[Interval, ...] | None:
        """The whole of a day; "the second" alone is none."""
        return None if day.weak else (self._days(day.first, day.first + timedelta(days=1)),)

    def part(self, daypart: str, day: Day | None = None) -> tuple[Interval, ...] | None:
        if daypart not in _LENGTHS:
            return None
        begin, end = _LENGTHS[daypart]
        when = day.ahead if day else self._now.date()
        last = self._moments.wall(when + timedelta(days=end // 24), time(end % 24))
        return (Interval(self._moments.wall(when, time(begin)), last),)

    def const_part(self, constant: str) -> tuple[Interval, ...] | None:
        """ "tonight"."""
        return self.part(constant)

    def week(self, constant: str) -> tuple[Interval, ...]:
        """Weeks from this one, Monday to Sunday."""
        monday = self._now.date() - timedelta(days=self._now.weekday()) + timedelta(weeks=int(constant))
        return (self._days(monday, monday + timedelta(days=7)),)

    def weekend(self, constant: str) -> tuple[Interval, ...]:
        monday = self._now.date() - timedelta(days=self._now.weekday()) + timedelta(weeks=int(constant))
        return (self._days(monday + timedelta(days=5), monday + timedelta(days=7)),)

    def month(self, constant: str) -> tuple[Interval, ...] | None:
        return self._whole(self._now.date().replace(day=1), int(constant), "1m")

    def year(self, constant: str) -> tuple[Interval, ...] | None:
        return self._whole(self._now.date().replace(month=1, day=1), int(constant), "1y")

    def in_year(self, year: int) -> tuple[Interval, ...]:
        return (self._days(date(year, 1, 1), date(year + 1, 1, 1)),)

    def in_month(self, month: str, year: int | None = None) -> tuple[Interval, ...] | None:
        """A month of this year, then of the next one."""
        years = (year,) if year else (self._now.year, self._now.year + 1)
        return tuple(one for each in years for one in self._whole(date(each, int(month), 1), 0, "1m") or ()) or None

    def past(self, duration: Span) -> tuple[Interval, ...] | None:
        """ "the last two hours"."""
        length = duration.length()
        return (
            (Interval((self._now.astimezone(UTC) - length).astimezone(self._now.tzinfo), self._now),)
            if length
            else None
        )

    def rest(self, constant: str) -> tuple[Interval, ...]:
        """What is left of the day ("0"), of the week ("1")."""
        days = 7 - self._now.weekday() if constant == "1" else 1
        return (Interval(self._now, self._days(self._now.date(), self._now.date() + timedelta(days=days)).end),)

    def lasting_one(self, tunit: str) -> tuple[Interval, ...] | None:
        """ "the next hour"."""
        return self.lasting(Span(Decimal(tunit), Decimal(tunit)))

    def until(self, moment: Moment) -> tuple[Interval, ...]:
        return tuple(Interval(None, one) for one in moment.readings)

    def since(self, moment: Moment) -> tuple[Interval, ...]:
        return tuple(Interval(one, None) for one in moment.readings)

    def lasting(self, duration: Span) -> tuple[Interval, ...] | None:
        """ "the next two hours"."""
        end = self._moments.ahead(duration)
        return (Interval(self._now, end.readings[0]),) if end else None

    def _whole(self, first: date, count: int, unit: str) -> tuple[Interval, ...] | None:
        start, end = moved(first, count, unit), moved(first, count + 1, unit)
        return (self._days(start, end),) if start and end else None

    def _days(self, first: date, end: date) -> Interval:
        return Interval(self._moments.wall(first, time()), self._moments.wall(end, time()))


@dataclass(frozen=True, slots=True)
class Repeat:
    """How often: an RFC 5545 frequency with its interval and days."""

    frequency: str
    interval: int = 1
    weekdays: tuple[int, ...] = ()
    month_day: int = 0
    part: str = ""

    @property
    def rule(self) -> str:
        parts = [f"FREQ={self.frequency}"]
        if self.interval > 1:
            parts.append(f"INTERVAL={self.interval}")
        if self.weekdays:
            parts.append("BYDAY=" + ",".join(_DAY_NAMES[day] for day in self.weekdays))
        if self.month_day:
            parts.append(f"BYMONTHDAY={self.month_day}")
        return ";".join(parts)


class Repeats:
    """How often things are."""

    def const(self, constant: str) -> Repeat:
        """ "DAILY", "WEEKLY/2", "WEEKLY:0,1,2,3,4"."""
        frequency, _, days = constant.partition(":")
        name, _, interval = frequency.partition("/")
        return Repeat(name, int(interval or 1), tuple(int(day) for day in days.split(",") if day))

    def weekdays(self, weekdays: tuple[int, ...], constant: str = "1") -> Repeat:
        return Repeat("WEEKLY", int(constant), weekdays)

    def every(self, count: int, funit: str) -> Repeat | None:
        return Repeat(funit, count) if 0 < count <= _MOST_INTERVAL else None

    def part(self, daypart: str) -> Repeat:
        return Repeat("DAILY", part=daypart)

    def weekdays_part(self, weekdays: tuple[int, ...], daypart: str) -> Repeat:
        return Repeat("WEEKLY", weekdays=weekdays, part=daypart)

    def month_day(self, number: int) -> Repeat | None:
        return Repeat("MONTHLY", month_day=number) if 1 <= number <= 31 else None


class Weekdays:
    """Lists of weekdays, Monday is 0."""

    def one(self, weekday: str) -> tuple[int, ...]:
        return (int(weekday),)

    def more(self, first: str, rest: tuple[int, ...]) -> tuple[int, ...]:
        return tuple(sorted({int(first), *rest}))

    def range(self, first: str, last: str) -> tuple[int, ...] | None:
        """ "monday to friday"."""
        days = tuple(range(int(first), int(last) + 1))
        return days or None


class Recurrences:
    """Repeating times with their first occurrence."""

    def __init__(self, moments: Moments, now: datetime) -> None:
        self._moments = moments
        self._now = now

    def plain(self, repeat: Repeat) -> tuple[Recurrence, ...] | None:
        if repeat.part:
            return self._from(repeat, (time(hour_of(repeat.part)),))
        if repeat.frequency in {"HOURLY", "MINUTELY"}:
            unit = timedelta(hours=1) if repeat.frequency == "HOURLY" else timedelta(minutes=1)
            first = (self._now.astimezone(UTC) + unit * repeat.interval).astimezone(self._now.tzinfo)
            return (Recurrence(first, repeat.rule),)
        return self._from(repeat, (time(),))

    def at(self, repeat: Repeat, clock: Clock) -> tuple[Recurrence, ...] | None:
        if repeat.frequency in {"HOURLY", "MINUTELY"}:
            return None
        settled = clock.at(repeat.part) if repeat.part else clock
        if settled is None:
            return None
        tomorrow = self._now.date() + timedelta(days=1)
        return self._from(repeat, tuple(self._moments.ordered(tomorrow, settled)))

    def _from(self, repeat: Repeat, times: tuple[time, ...]) -> tuple[Recurrence, ...] | None:
        found = []
        for when in times:
            days = (self._now.date() + timedelta(days=ahead) for ahead in range(63))
            fitting = (self._moments.wall(day, when) for day in days if self._fits(repeat, day))
            whole_day = when == time() and not repeat.part
            first = next(
                (one for one in fitting if one > self._now or (whole_day and one.date() == self._now.date())), None
            )
            if first is not None:
                found.append(Recurrence(first, repeat.rule))
        return tuple(found) or None

    @staticmethod
    def _fits(repeat: Repeat, day: date) -> bool:
        if repeat.weekdays:
            return day.weekday() in repeat.weekdays
        return not repeat.month_day or day.day == repeat.month_day
