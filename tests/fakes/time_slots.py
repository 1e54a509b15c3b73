"""Slots of times and lengths as understanding fills them, for the tests of timers and alarms."""

from __future__ import annotations

from datetime import timedelta

from antiphon.types.v1 import understanding_pb2, value_pb2

Slot = understanding_pb2.Slot


def length(**parts: float) -> Slot:
    slot = Slot(name="duration", text="so long")
    slot.value.duration.FromTimedelta(timedelta(**parts))
    return slot


def label(text: str) -> Slot:
    return Slot(name="label", text=text, value=value_pb2.Value(text=text))


def clock(hours: int, minutes: int = 0) -> Slot:
    slot = Slot(name="at", text="then")
    slot.value.time.hours, slot.value.time.minutes = hours, minutes
    return slot


def moment(year: int, month: int, day: int, hour: int, minute: int = 0) -> Slot:
    slot = Slot(name="at", text="then")
    at = slot.value.datetime
    at.year, at.month, at.day, at.hours, at.minutes = year, month, day, hour, minute
    return slot


def that_day(year: int, month: int, day: int) -> Slot:
    slot = Slot(name="at", text="that day")
    slot.value.date.year, slot.value.date.month, slot.value.date.day = year, month, day
    return slot


def every(rule: str) -> Slot:
    slot = Slot(name="recurrence", text="every so often")
    slot.value.recurrence.rule = rule
    return slot
