"""When a repeating alarm is due next. `alarms` asks it each time one has rung."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from dateutil.rrule import rrulestr

MAX_AGE: Final = timedelta(days=3660)
"""How long ago a rule may have begun: its occurrences are counted from there."""

# Days and longer, and only parts that leave a day to happen on: a rule that never does would be looked for to the end
# of the calendar.
_WEEKDAY = r"(?:-?[1-4])?(?:MO|TU|WE|TH|FR|SA|SU)"
_RULE: Final = re.compile(
    r"FREQ=(?:DAILY|WEEKLY|MONTHLY|YEARLY)"
    r"(?:;(?:INTERVAL=[1-9]\d?|COUNT=[1-9]\d{0,3}|UNTIL=\d{8}(?:T\d{6})?|WKST=MO|WKST=SU"
    rf"|BYDAY={_WEEKDAY}(?:,{_WEEKDAY}){{0,6}}))*"
)


def next_occurrence(rule: str, start: str, zone: str, *, after: float) -> float | None:
    """The first occurrence later than `after` (seconds since 1970); None when there is none, or the rule is no rule.

    Occurrences are by the wall clock of the zone: eight o'clock stays eight o'clock when the clocks change. Of an hour
    that happens twice it is the first; one that does not happen is as long after midnight as it would have been.

    Args:
        rule: RFC 5545, without "RRULE:": FREQ (a day or longer), INTERVAL, BYDAY, COUNT, UNTIL, WKST.
        start: first occurrence, ISO 8601 without offset.
        zone: IANA name; empty or unknown means UTC.
    """
    if not _RULE.fullmatch(rule):
        return None
    local = _zone(zone)
    try:
        begin = datetime.fromisoformat(start).replace(tzinfo=None)
        now = datetime.fromtimestamp(after, local).replace(tzinfo=None)
        if now - begin > MAX_AGE:
            return None
        occurrences = rrulestr(rule, dtstart=begin)  # without zones: it counts days, and days have no offset
        found = occurrences.after(now - timedelta(days=1))
        while found is not None and _instant(found, local) <= after:
            found = occurrences.after(found)
    except (ValueError, TypeError, OverflowError):
        return None
    return None if found is None else _instant(found, local)


def _instant(local: datetime, zone: ZoneInfo) -> float:
    return local.replace(tzinfo=zone).timestamp()


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name or "UTC")
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return ZoneInfo("UTC")
