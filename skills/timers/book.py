"""The user's timers and alarms as one turn sees them; `handler.py` picks those that were meant."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

from antiphon.skills import Turn
from antiphon.skills.values import folded
from antiphon.types.v1 import alarm_pb2
from skills.timers import schedule

SKILL: Final = "timers"
_LENGTH: Final = re.compile(r"timer-(\d{1,7})-")
_LATEST_S: Final = 221_845_392_000  # the year 9000
_WORD: Final = re.compile(r"\w+")
_INDEFINITE: Final = re.compile(
    r"^(?:an?|my|eine?n?|meine?n?|una?|unos|unas|mis?|une|mon|ma|mes|uno|mio|mia) +(?=\w)", re.IGNORECASE
)
_FILLERS: Final = frozenset(
    """the a an my for one timer alarm clock another new please do i have left
    der die das den dem ein eine einen mein meine meinen fur noch neuen neuer bitte wecker
    el la los las lo al un una mi mis de del para otro otra nuevo nueva por favor temporizador alarma despertador
    le les l des du ma mon mes pour autre nouveau nouvelle minuteur reveil alarme
    il i gli uno mio mia miei di da dal dalla per altro altra nuovo nuova sveglia""".split()
)
"""Words without accents that tell no timer from another."""


class Book:
    """What this skill has set; alarms of other skills are none of its business."""

    def __init__(self, turn: Turn) -> None:
        self._turn = turn
        self.all = [alarm for alarm in turn.alarms if alarm.skill_id in ("", SKILL) and _is_due(alarm)]

    @property
    def timers(self) -> Sequence[alarm_pb2.Alarm]:
        return [alarm for alarm in self.all if alarm.kind == alarm_pb2.ALARM_KIND_TIMER]

    @property
    def alarms(self) -> Sequence[alarm_pb2.Alarm]:
        return [alarm for alarm in self.all if alarm.kind != alarm_pb2.ALARM_KIND_TIMER]

    @property
    def ringing(self) -> Sequence[alarm_pb2.Alarm]:
        return [alarm for alarm in self.all if alarm.ringing]

    def of(self, what: str) -> Sequence[alarm_pb2.Alarm]:
        """All that are a "timer" or an "alarm"."""
        return self.timers if what == "timer" else self.alarms if what == "alarm" else ()

    def at(self, found: Sequence[alarm_pb2.Alarm]) -> Sequence[alarm_pb2.Alarm]:
        """Those due at the time, or on the day, that the turn speaks of."""
        local = self._turn.time_zone or UTC
        told = schedule.said(self._turn, local)
        if told.moment is None and told.clock is None and told.day is None:
            return []
        return [alarm for alarm in found if _fits(told, due(alarm).astimezone(local))]


def _fits(told: schedule.Said, moment: datetime) -> bool:
    if told.day is not None and moment.date() != told.day:
        return False
    if told.clock is not None:
        half = (told.clock.hour % 12, told.clock.minute)  # "the seven o'clock alarm" may be in the evening
        return (moment.hour % 12, moment.minute) == half
    if told.moment is not None:
        asked = told.moment.astimezone(moment.tzinfo)
        return (asked.hour % 12, asked.minute) == (moment.hour % 12, moment.minute)
    return True


def _is_due(alarm: alarm_pb2.Alarm) -> bool:
    """Whether there is such a time: what comes over the wire may hold any number."""
    return 0 <= alarm.due_time.seconds < _LATEST_S and 0 <= alarm.due_time.nanos < 1_000_000_000


def due(alarm: alarm_pb2.Alarm) -> datetime:
    """When it rings, in UTC."""
    return alarm.due_time.ToDatetime(tzinfo=UTC)


def length_of(timer: alarm_pb2.Alarm) -> timedelta | None:
    """What it was set for: its name says so, because the platform only keeps when it is due."""
    match = _LENGTH.match(timer.alarm_id)
    return timedelta(seconds=int(match.group(1))) if match else None


def name(label: str) -> str:
    """A label without "a" or "my" before it; nothing where it only says "another" or "my timer"."""
    return _INDEFINITE.sub("", label) if _key(label) else ""


def named(found: Sequence[alarm_pb2.Alarm], label: str) -> Sequence[alarm_pb2.Alarm]:
    """Those called so, else those whose name holds all its words: "pasta" finds "the green pasta"."""
    asked = _key(label)
    if not asked:
        return []
    exact = [alarm for alarm in found if _key(alarm.label) == asked]
    return exact or [alarm for alarm in found if asked <= _key(alarm.label)]


def _key(label: str) -> frozenset[str]:
    """The words that matter, without accents."""
    return frozenset(_WORD.findall(folded(label))) - _FILLERS
