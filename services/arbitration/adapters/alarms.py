"""Alarms in the words of the contract; `skills` reads and writes them."""

from __future__ import annotations

from google.type import datetime_pb2

from antiphon.types.v1 import alarm_pb2
from services.arbitration.adapters.values import timestamp, without_prefix
from services.arbitration.alarms import Alarm, AlarmChange

MAX_ID = 128
MAX_LABEL = 200
LONGEST_S = 400 * 86_400.0
"""How far ahead an alarm may be due."""


def from_change(message: alarm_pb2.AlarmChange, now: float) -> AlarmChange | None:
    """What a skill wants; None when it makes no sense: no name, no time, or one that is out of all bounds."""
    if message.WhichOneof("change") != "alarm":
        return AlarmChange(deleted_id=message.deleted_alarm_id) if message.deleted_alarm_id else None
    alarm = message.alarm
    due = alarm.due_time.seconds + alarm.due_time.nanos * 1e-9
    if not 1 <= len(alarm.alarm_id) <= MAX_ID or not now - 86_400 <= due <= now + LONGEST_S:
        return None
    start = alarm.recurrence.start
    return AlarmChange(
        Alarm(
            id=alarm.alarm_id,
            due=due,
            kind=without_prefix(alarm_pb2.AlarmKind.Name(alarm.kind), "ALARM_KIND_") or "ALARM",
            label=alarm.label[:MAX_LABEL],
            rule=alarm.recurrence.rule,
            start=_start(start) if alarm.recurrence.rule else "",
            zone=start.time_zone.id,
            device_id=alarm.device_id,
        )
    )


def to_alarm(alarm: Alarm, now: float) -> alarm_pb2.Alarm:
    """An alarm for a skill to read."""
    message = alarm_pb2.Alarm(
        alarm_id=alarm.id,
        kind=alarm_pb2.AlarmKind.Value(f"ALARM_KIND_{alarm.kind}"),
        due_time=timestamp(alarm.due),
        label=alarm.label,
        device_id=alarm.device_id,
        skill_id=alarm.skill_id,
        ringing=alarm.ringing(now),
    )
    if alarm.rule:
        message.recurrence.rule = alarm.rule
        date, _, time = alarm.start.partition("T")
        year, month, day = map(int, date.split("-"))
        hours, minutes, seconds = map(int, time.split(":"))
        message.recurrence.start.CopyFrom(
            datetime_pb2.DateTime(year=year, month=month, day=day, hours=hours, minutes=minutes, seconds=seconds)
        )
        message.recurrence.start.time_zone.id = alarm.zone
    return message


def _start(moment: datetime_pb2.DateTime) -> str:
    return (
        f"{moment.year:04}-{moment.month:02}-{moment.day:02}T{moment.hours:02}:{moment.minutes:02}:{moment.seconds:02}"
    )
