"""What becomes of times of day that were read.

`finder.py` gives these methods to the parser. A clock face has twelve hours: unless something tells morning from
evening ("in the evening", "19:30"), a time has two readings, and who knows the day or the present puts one first.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import time

_NOON = 12
_PARTS = {  # part of the day -> (first hour, hours) that it may hold, and the time it stands for without one
    "am": (0, 12, 8),
    "pm": (12, 12, 15),
    "dawn": (1, 8, 5),
    "morning": (3, 10, 8),
    "noon": (11, 5, 12),
    "afternoon": (12, 9, 15),
    "evening": (15, 9, 19),
    "night": (19, 11, 21),
}


@dataclass(frozen=True, slots=True)
class Clock:
    """What a clock shows. `settled`: the hour is one of 24; `written`: in digits, as many read them as one of 24."""

    hour: int
    minute: int = 0
    second: int = 0
    settled: bool = False
    written: bool = False
    bare: bool = False

    def times(self) -> tuple[time, ...]:
        """Both readings, morning first, or the only one."""
        if self.settled or self.hour > _NOON or self.hour == 0:
            return (time(self.hour % 24, self.minute, self.second),)
        hours = (12, 0) if self.hour == _NOON else (self.hour, self.hour + 12)
        return tuple(time(hour, self.minute, self.second) for hour in hours)

    def at(self, part: str) -> Clock | None:
        """The reading in a part of the day, if it has one."""
        first, length, _ = _PARTS[part]
        hours = [one.hour for one in self.times()]
        if part == "night" and self.hour == _NOON and not self.settled:
            hours = [0]
        inside = [hour for hour in hours if (hour - first) % 24 < length]
        return replace(self, hour=inside[0], settled=True, bare=False) if inside else None


def hour_of(part: str) -> int:
    """The hour that "tomorrow morning" stands for."""
    return _PARTS[part][2]


class Hours:
    def of(self, number: int) -> int | None:
        return number if 0 <= number <= 24 else None


class Minutes:
    def of(self, number: int) -> int | None:
        return number if 0 <= number <= 59 else None

    def five(self, number: int) -> int | None:
        """ "nine to five" is no time of day, "ten to five" is."""
        return number if 0 < number <= 59 and number % 5 == 0 else None

    def const(self, constant: str) -> int:
        return int(constant)


class Clocks:
    """Times of day as a grammar reads them; the hour is 0 to 24, minutes 0 to 59.

    Args:
        twelve: "7:30" in digits may also be in the evening.
    """

    def __init__(self, *, twelve: bool) -> None:
        self._twelve = twelve

    def hour(self, hour: int) -> Clock:
        return Clock(hour)

    def bare(self, hour: int) -> Clock:
        """A number alone: only a time where one is asked for."""
        return Clock(hour, bare=True)

    def exact(self, hour: int, minutes: int = 0) -> Clock:
        return Clock(hour, minutes)

    def said(self, hour: int, minute: int) -> Clock | None:
        """ "seven thirty": minutes below ten would be said with a zero."""
        return Clock(hour, minute) if minute >= 10 else None

    def past(self, hour: int, minutes: int) -> Clock:
        return Clock(hour, minutes)

    def to(self, hour: int, minutes: int) -> Clock:
        return _before(hour, minutes)

    def to_noon(self, minutes: int) -> Clock:
        """ "midi moins dix"."""
        return replace(_before(_NOON, minutes), settled=True)

    def military(self, number: int) -> Clock | None:
        """ "fourteen hundred hours"."""
        hour, minute = divmod(number, 100)
        return Clock(hour % 24, minute, settled=True) if 1 <= hour <= 24 and minute < 60 else None

    def half_past(self, hour: int) -> Clock:
        return Clock(hour, 30)

    def half_to(self, hour: int) -> Clock:
        """ "halb vier" is half past three."""
        return _before(hour, 30)

    def quarter_of(self, hour: int, constant: str) -> Clock:
        """ "viertel vier" is a quarter past three: minutes before the hour."""
        return _before(hour, int(constant))

    def around_half(self, hour: int, minutes: int, constant: str) -> Clock | None:
        """ "fünf vor halb vier": minutes before or after half past."""
        total = 30 + (minutes if constant == "after" else -minutes)
        return _before(hour, 60 - total) if 0 < total < 60 else None

    def digits(self, digital: tuple[int, int, int, str]) -> Clock:
        hour, minute, second, written = digital
        settled = written.startswith("0")
        return Clock(hour % 24, minute, second, settled=settled, written=not self._twelve)

    def const(self, constant: str) -> Clock:
        hour, minute = constant.split(":")
        return Clock(int(hour), int(minute), settled=True)

    def compact(self, number: int, daypart: str) -> Clock | None:
        """ "615am", as it is typed."""
        hour, minute = divmod(number, 100)
        return Clock(hour, minute).at(daypart) if 1 <= hour <= _NOON and minute < 60 else None

    def part(self, clock: Clock, daypart: str) -> Clock | None:
        return clock.at(daypart)

    def plain(self, clock: Clock) -> Clock:
        return clock


def _before(hour: int, minutes: int) -> Clock:
    if hour == 0:
        return Clock(23, 60 - minutes, settled=True)
    before = _NOON if hour == 1 else hour - 1
    return Clock(before, 60 - minutes, settled=hour > _NOON) if minutes else Clock(hour)
