"""Timers and alarms: sets them, says how much is left, takes them back, stops and snoozes what rings.

The skill host finds `TIMERS` by its entry point. The platform keeps what is set and rings it; this skill reads it from
the turn and yields changes. What is left is reckoned from when it is due, so a clock that was set changes nothing else.
"""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, timedelta
from pathlib import Path
from typing import Final

from antiphon.skills import Answerable, Event, Skill, Turn, load_manifest
from antiphon.skills.spoken import capital, spoken_length, spoken_list
from antiphon.skills.values import plain
from antiphon.types.v1 import alarm_pb2, answer_pb2
from skills.timers import schedule
from skills.timers.book import Book, due, length_of, name, named
from skills.timers.words import Words, spoken_days, spoken_left, spoken_when, words

MAX_KEPT: Final = 50
"""Timers and alarms of one user; the platform keeps a hundred of all skills."""

SHORTEST: Final = timedelta(seconds=1)
LONGEST: Final = timedelta(days=30)
SNOOZE: Final = timedelta(minutes=9)
LONGEST_SNOOZE: Final = timedelta(hours=24)
MAX_LABEL: Final = 80

TOLD: Final = 10
"""Timers or alarms that are told; who has more hears how many, and may ask for one."""


class Timers(Skill):
    """Intents set_timer, list_timers, cancel_timer, set_alarm, list_alarms, cancel_alarm, stop, snooze."""

    manifest = load_manifest(Path(__file__).with_name("manifest.yaml"))

    async def can_fulfill(self, turn: Turn) -> tuple[Answerable, str]:
        """NO to stop and snooze while nothing rings: "stop" then means the assistant, "stop the timer" a timer."""
        book = Book(turn)
        named_one = turn.intent == "stop" and bool(book.of(turn.entity("what")))
        if turn.intent in ("stop", "snooze") and not book.ringing and not named_one:
            return Answerable.NO, "NOTHING_RINGS"
        return Answerable.YES, ""

    async def handle(self, turn: Turn) -> AsyncIterator[Event]:
        """One intent, one method."""
        events = {
            "set_timer": _set_timer,
            "list_timers": _list_timers,
            "cancel_timer": _cancel,
            "set_alarm": _set_alarm,
            "list_alarms": _list_alarms,
            "cancel_alarm": _cancel,
            "stop": _stop,
            "snooze": _snooze,
        }[turn.intent](turn, Book(turn), words(turn.language))
        for event in events:
            yield event


def _set_timer(turn: Turn, book: Book, said: Words) -> Sequence[Event]:
    length = turn.duration("duration")
    if length is None:
        return [turn.ask(said.for_how_long, "duration")]
    if not SHORTEST <= length <= LONGEST:
        return _declined(turn, said.bad_length, "LENGTH_OUT_OF_RANGE")
    if len(book.all) >= MAX_KEPT:
        return _declined(turn, said.too_many.format(count=len(book.all)), "TOO_MANY_TIMERS")
    label = name(turn.text("label", MAX_LABEL))
    alarm = alarm_pb2.Alarm(
        alarm_id=_name(turn, f"timer-{round(length.total_seconds())}"),
        kind=alarm_pb2.ALARM_KIND_TIMER,
        label=label,
    )
    alarm.due_time.FromDatetime(turn.now + length)
    template = said.timer_set_label if label else said.timer_set
    text = template.format(length=spoken_length(length, turn.locale), label=capital(label))
    return [turn.say(text), turn.set_alarm(alarm), _done(turn, "TIMER_SET", alarm.alarm_id)]


def _list_timers(turn: Turn, book: Book, said: Words) -> Sequence[Event]:
    found = book.timers
    if not found:
        return [turn.say(said.no_timer)]
    if name(turn.text("label")) and not (found := named(found, turn.text("label"))):
        return [turn.say(said.no_such_timer)]
    told = [_left(turn, timer, said, alone=len(found) == 1) for timer in found[:TOLD]]
    if len(told) > 1:
        told.insert(0, said.several_timers.format(count=len(found)))
    return [turn.say(" ".join(told))]


def _left(turn: Turn, timer: alarm_pb2.Alarm, said: Words, *, alone: bool) -> str:
    label = _called(turn, timer, said)
    left = due(timer) - turn.now
    if timer.ringing:
        return said.colon.format(label=label, text=said.ringing) + "."
    if left <= timedelta(0):
        ended = said.ended.format(length=spoken_left(-left, turn.locale, said))
        return said.colon.format(label=label, text=ended) + "."
    spoken = spoken_left(left, turn.locale, said)
    if alone and not timer.label:
        return capital(said.left.format(length=spoken))
    return said.left_label.format(label=label, length=spoken)


def _set_alarm(turn: Turn, book: Book, said: Words) -> Sequence[Event]:
    local = turn.time_zone or UTC
    try:
        when = schedule.resolve(schedule.said(turn, local), turn.now, local)
    except (ValueError, OverflowError):
        return _declined(turn, said.bad_time, "TIME_OUT_OF_RANGE")
    if when is None:
        return [turn.ask(said.for_what_time, "at")]
    if len(book.all) >= MAX_KEPT:
        return _declined(turn, said.too_many.format(count=len(book.all)), "TOO_MANY_ALARMS")
    label = name(turn.text("label", MAX_LABEL))
    alarm = alarm_pb2.Alarm(alarm_id=_name(turn, "alarm"), kind=alarm_pb2.ALARM_KIND_ALARM, label=label)
    alarm.due_time.FromDatetime(when.moment)
    if when.rule:
        _repeat(alarm, when, turn)
    spoken = spoken_when(when.local, turn.now.astimezone(local), turn.locale, said)
    text = (
        said.alarm_repeats.format(days=spoken_days(when.rule, turn.locale, said), when=spoken)
        if when.rule
        else said.alarm_set.format(when=spoken)
    )
    text += said.universal if turn.time_zone is None else ""
    return [turn.say(text), turn.set_alarm(alarm), _done(turn, "ALARM_SET", alarm.alarm_id)]


def _repeat(alarm: alarm_pb2.Alarm, when: schedule.Due, turn: Turn) -> None:
    start, local = alarm.recurrence.start, when.local
    alarm.recurrence.rule = when.rule
    start.year, start.month, start.day = local.year, local.month, local.day
    start.hours, start.minutes, start.seconds = local.hour, local.minute, local.second
    start.time_zone.id = turn.time_zone.key if turn.time_zone is not None else "UTC"


def _list_alarms(turn: Turn, book: Book, said: Words) -> Sequence[Event]:
    found = book.alarms
    if not found:
        return [turn.say(said.no_alarm)]
    found = book.at(found) if turn.slot("at") is not None else found
    found = named(found, turn.text("label")) if name(turn.text("label")) else found
    if not found:
        return [turn.say(said.no_such_alarm)]
    told = [_told(turn, alarm, said) for alarm in found[:TOLD]]
    if len(told) == 1 and not found[0].label and not found[0].ringing and due(found[0]) > turn.now:
        return [turn.say(said.alarm_at.format(when=told[0]) + (said.universal if turn.time_zone is None else ""))]
    if len(told) > 1:
        told[0] = f"{said.several_alarms.format(count=len(found))} {capital(told[0])}"
    text = ". ".join(capital(one) for one in told) + "."
    return [turn.say(text + (said.universal if turn.time_zone is None else ""))]


def _told(turn: Turn, alarm: alarm_pb2.Alarm, said: Words) -> str:
    """An alarm in words: what for, when, how it repeats, or that it rings or was missed."""
    local = turn.time_zone or UTC
    when = spoken_when(due(alarm).astimezone(local), turn.now.astimezone(local), turn.locale, said)
    if alarm.ringing:
        when = said.ringing
    elif due(alarm) <= turn.now:
        when = said.missed.format(when=when)
    elif alarm.recurrence.rule:
        when = f"{when}, {spoken_days(alarm.recurrence.rule, turn.locale, said)}"
    return said.colon.format(label=plain(alarm.label, MAX_LABEL), text=when) if alarm.label else when


def _cancel(turn: Turn, book: Book, said: Words) -> Sequence[Event]:
    timers = turn.intent == "cancel_timer" or turn.entity("what") == "timer"
    kept = book.timers if timers else book.alarms
    if not kept:
        return _declined(turn, said.no_timer if timers else said.no_alarm, "NOTHING_SET")
    found = _meant(turn, book, kept)
    if not found:
        return _declined(turn, said.no_such_timer if timers else said.no_such_alarm, "NOT_FOUND")
    if len(found) > 1 and not _all(turn):
        ask = said.which_timer if timers else said.which_alarm
        names = spoken_list([_short(turn, alarm, said) for alarm in found[:TOLD]], turn.locale)
        return [turn.ask(ask.format(list=capital(names)), "label" if timers else "at")]
    many = said.timers_cancelled if timers else said.alarms_cancelled
    text = (said.timer_cancelled if timers else said.alarm_cancelled) if len(found) == 1 else ""
    kind = "TIMER_CANCELLED" if timers else "ALARM_CANCELLED"
    return [
        turn.say(text or many.format(count=len(found))),
        *(turn.delete_alarm(alarm.alarm_id) for alarm in found),
        *(_silence(turn, alarm) for alarm in found if alarm.ringing),
        turn.changed(*(turn.effect(kind, alarm.alarm_id) for alarm in found)),
    ]


def _all(turn: Turn) -> bool:
    """Whether all were meant; understanding does not fill every slot, so the words count too."""
    if turn.entity("scope") == "all":
        return True
    words = f" {turn.interpretation.text.casefold()} "
    names = next(entry.names for entry in Timers.manifest.catalogues[0].entries)
    return any(f" {name.text} " in words for name in names if name.language_code == turn.language)


def _meant(turn: Turn, book: Book, kept: Sequence[alarm_pb2.Alarm]) -> Sequence[alarm_pb2.Alarm]:
    """Those that fit what was said, all of them when nothing was."""
    found = kept
    if name(turn.text("label")):
        found = named(found, turn.text("label"))
    if turn.slot("at") is not None:
        found = book.at(found)
    if (length := turn.duration("duration")) is not None:
        found = [timer for timer in found if length_of(timer) == length]
    return found


def _stop(turn: Turn, book: Book, said: Words) -> Sequence[Event]:
    if not book.ringing and book.of(turn.entity("what")):
        return _cancel(turn, book, said)
    if not book.ringing:
        return _declined(turn, said.nothing_rings, "NOTHING_RINGS")
    return [
        turn.say(said.stopped),
        *(_ended(turn, alarm) for alarm in book.ringing),
        *(_silence(turn, alarm) for alarm in book.ringing),
        turn.changed(*(turn.effect("RINGING_STOPPED", alarm.alarm_id) for alarm in book.ringing)),
    ]


def _ended(turn: Turn, alarm: alarm_pb2.Alarm) -> Event:
    """It has rung: gone, or, when it repeats, waiting for its next time (which is its due time already)."""
    return turn.set_alarm(alarm) if alarm.recurrence.rule else turn.delete_alarm(alarm.alarm_id)


def _snooze(turn: Turn, book: Book, said: Words) -> Sequence[Event]:
    if not book.ringing:
        return _declined(turn, said.nothing_rings, "NOTHING_RINGS")
    length = turn.duration("duration") or SNOOZE
    if not SHORTEST <= length <= LONGEST_SNOOZE:
        return _declined(turn, said.bad_length, "LENGTH_OUT_OF_RANGE")
    changes = []
    for number, alarm in enumerate(book.ringing):
        again = alarm_pb2.Alarm(alarm_id=alarm.alarm_id, kind=alarm.kind, label=alarm.label, device_id=alarm.device_id)
        if alarm.recurrence.rule:
            changes.append(_ended(turn, alarm))
            again.alarm_id = _name(turn, f"snooze-{number}")
        again.due_time.FromDatetime(turn.now + length)
        changes.append(turn.set_alarm(again))
    return [
        turn.say(said.snoozed.format(length=spoken_length(length, turn.locale))),
        *changes,
        *(_silence(turn, alarm) for alarm in book.ringing),
        turn.changed(*(turn.effect("SNOOZED", alarm.alarm_id) for alarm in book.ringing)),
    ]


def _silence(turn: Turn, alarm: alarm_pb2.Alarm) -> Event:
    return turn.direct(
        answer_pb2.Directive(
            directive_id=_name(turn, f"stop-{alarm.alarm_id}"[:60]),
            stop_ringing=answer_pb2.StopRinging(alarm_id=alarm.alarm_id),
        )
    )


def _name(turn: Turn, beginning: str) -> str:
    """The same for every repeat of the turn."""
    return f"{beginning}-{hashlib.sha256(turn.idempotency_key.encode()).hexdigest()[:32]}"


def _done(turn: Turn, kind: str, alarm_id: str) -> Event:
    return turn.changed(turn.effect(kind, alarm_id))


def _declined(turn: Turn, text: str, reason: str) -> Sequence[Event]:
    return [turn.say(text), turn.decline(reason)]


def _called(turn: Turn, timer: alarm_pb2.Alarm, said: Words) -> str:
    """Its label, else the length it was set for."""
    if timer.label:
        return capital(plain(timer.label, MAX_LABEL))
    length = length_of(timer)
    return f"{said.unnamed}, {spoken_length(length, turn.locale)}" if length is not None else said.unnamed


def _short(turn: Turn, alarm: alarm_pb2.Alarm, said: Words) -> str:
    label = plain(alarm.label, MAX_LABEL)
    if alarm.kind == alarm_pb2.ALARM_KIND_TIMER:
        length = length_of(alarm)
        return label or (spoken_length(length, turn.locale) if length is not None else said.unnamed)
    local = turn.time_zone or UTC
    return label or spoken_when(due(alarm).astimezone(local), turn.now.astimezone(local), turn.locale, said)


TIMERS = Timers()
