"""When an alarm rings: wall time where the user is, as a point of time and a rule that repeats it.

`handler.py` asks with what was said. Wall time stays wall time when the clocks change: seven o'clock is seven o'clock.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from typing import Final

from antiphon.skills import Turn, values
from antiphon.types.v1 import understanding_pb2, value_pb2

LONGEST: Final = timedelta(days=366)
"""How far ahead an alarm may be set."""

MORNING: Final = range(4, 12)
"""Hours that an alarm means in the morning, where nobody said morning or evening."""

WEEKDAYS: Final = ("MO", "TU", "WE", "TH", "FR", "SA", "SU")
_REMINDER: Final = re.compile(r"\b(?:remind|erinner|recu[eé]rd|rappel|ricord)", re.IGNORECASE)
"""Whoever wants to be reminded is awake: the next such hour is meant, not the morning's."""

_PART: Final = re.compile(r"(FREQ|BYDAY|INTERVAL|COUNT|UNTIL|WKST)=([A-Z0-9,+-]{1,40})")


@dataclass(frozen=True)
class Due:
    """When it rings: first in UTC, and by a rule from then on; an empty rule rings once."""

    moment: datetime
    local: datetime
    rule: str = ""


@dataclass(frozen=True)
class Said:
    """What was said of the time: any part may be missing."""

    moment: datetime | None = None
    clock: time | None = None
    day: date | None = None
    rule: str = ""
    first: datetime | None = None


def said(turn: Turn, local: tzinfo) -> Said:
    """Of all slots that speak of the time; several may ("tomorrow" and "at seven")."""
    moment, clock, day = None, None, None
    today = turn.now.astimezone(local).date()
    for slot in turn.interpretation.slots:
        if slot.name != "at":
            continue
        moment = _meant(turn, slot, local) or moment
        clock = values.to_time(slot.value) or clock
        if slot.value.WhichOneof("kind") == "date":
            day = values.to_date(slot.value, today) or day
        if (length := values.to_duration(slot.value)) is not None and length < LONGEST:
            moment = turn.now + length
    rule, first = "", None
    for name in ("recurrence", "at"):
        value = turn.value(name)
        if value is not None and value.WhichOneof("kind") == "recurrence":
            rule, first = value.recurrence.rule, values.moment(value.recurrence.start, local)
    return Said(moment, clock, day, rule, first)


def _meant(turn: Turn, slot: understanding_pb2.Slot, local: tzinfo) -> datetime | None:
    """Of several readings the one that is still to come: "seven" may be in the morning or in the evening.

    One wants to be woken in the morning, tomorrow's if need be. Where the words tell the half of the day, understanding
    gives one reading alone.
    """
    first = _moment(slot.value, local)
    if first is None:
        return None
    others = [_moment(value, local) for value in slot.alternatives[:9]]
    ahead = sorted(one for one in (first, *others) if one is not None and one > turn.now)
    if turn.intent == "set_alarm" and not _REMINDER.search(turn.interpretation.text):
        mornings = [one for one in ahead if one.astimezone(local).hour in MORNING]
        if mornings:
            return mornings[0]
    return first if first > turn.now or not ahead else ahead[0]


def _moment(value: value_pb2.Value, local: tzinfo) -> datetime | None:
    if value.WhichOneof("kind") == "interval":
        return values.moment(value.interval.start, local)
    return values.to_moment(value, local)


def resolve(told: Said, now: datetime, local: tzinfo) -> Due | None:
    """When it rings next; None when no time of day was said.

    Raises:
        ValueError: it is over, or too far ahead, or repeats in a way that never comes.
    """
    here = now.astimezone(local)
    if told.rule:
        start = told.clock or _clock(told.moment, local) or _began(told.first, local)
        return _repeating(told, start, here) if start is not None else None
    if told.day is not None and told.clock is not None:
        return _once(datetime.combine(told.day, told.clock, local), now)
    if told.day is not None and told.moment is not None:
        return _once(datetime.combine(told.day, told.moment.astimezone(local).time(), local), now)
    if told.moment is not None:
        return _once(_tomorrow_if_past(told.moment.astimezone(local), here), now)
    if told.clock is not None:
        return _once(_tomorrow_if_past(datetime.combine(here.date(), told.clock, local), here), now)
    return None


def _tomorrow_if_past(moment: datetime, here: datetime) -> datetime:
    """A time of day that is over today means tomorrow's."""
    if moment > here or here - moment >= timedelta(days=1):
        return moment
    return datetime.combine(here.date() + timedelta(days=1), moment.timetz())


def _once(moment: datetime, now: datetime) -> Due:
    point = moment.astimezone(UTC)
    if not now < point <= now + LONGEST:
        raise ValueError("over, or too far ahead")
    return Due(point, moment)


def _repeating(told: Said, clock: time, here: datetime) -> Due:
    parts = dict(_PART.findall(told.rule))
    begin = told.first.astimezone(here.tzinfo).date() if told.first is not None else here.date()
    for ahead in range(LONGEST.days + 1):
        day = here.date() + timedelta(days=ahead)
        moment = datetime.combine(day, clock, here.tzinfo)
        if moment.astimezone(UTC) > here.astimezone(UTC) and _falls(parts, day, begin):
            return Due(moment.astimezone(UTC), moment, told.rule)
    raise ValueError("never comes")


def _falls(parts: dict[str, str], day: date, begin: date) -> bool:
    """Whether a rule may begin on the day; what repeats in longer steps begins when the user said."""
    if days := days_of(parts.get("BYDAY", "")):
        return WEEKDAYS[day.weekday()] in days
    match parts.get("FREQ"):
        case "DAILY":
            return day >= begin
        case "WEEKLY":
            return day.weekday() == begin.weekday()
        case "MONTHLY":
            return day.day == begin.day
        case "YEARLY":
            return (day.month, day.day) == (begin.month, begin.day)
    return False


def days_of(byday: str) -> Sequence[str]:
    """The weekdays of a rule, in order."""
    return [day for day in WEEKDAYS if day in [part.lstrip("+-0123456789") for part in byday.split(",")]]


def _clock(moment: datetime | None, local: tzinfo) -> time | None:
    return moment.astimezone(local).time() if moment is not None else None


def _began(first: datetime | None, local: tzinfo) -> time | None:
    """The rule's own time. One without begins at midnight, when nobody is to be woken: the time is asked for then."""
    clock = _clock(first, local)
    return None if clock == time(0) else clock
