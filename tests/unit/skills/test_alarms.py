"""Alarms: when they ring, how they repeat and how that is said, in five languages and through changes of the clock."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from services.nlu.text import tokenise
from services.nlu.value_messages import to_message
from skills.timers.handler import TIMERS
from tests.fakes.kept_alarms import KeptAlarms
from tests.fakes.skill_turns import execute, request
from tests.fakes.time_slots import Slot, clock, every, label, length, moment, that_day
from tests.unit.nlu import value_tables

pytestmark = pytest.mark.unit

NOW = datetime(2026, 11, 20, 8, 30, tzinfo=UTC)  # a Friday, half past nine in Berlin
BERLIN = ZoneInfo("Europe/Berlin")


def read_as(language: str, words: str, now: datetime) -> Slot:
    """A time as the understanding service reads it, with its other readings."""
    values = value_tables.a_finder(language, now=now).read("DATETIME", tokenise(words))
    slot = Slot(name="at", text=words)
    slot.value.CopyFrom(to_message(values[0]))
    slot.alternatives.extend(to_message(value) for value in values[1:])
    return slot


@pytest.fixture
def ada() -> KeptAlarms:
    return KeptAlarms(TIMERS, NOW)


def test_a_rule_that_holds_its_time_needs_no_other(ada: KeptAlarms) -> None:
    rule = every("FREQ=DAILY")
    start = rule.value.recurrence.start
    start.year, start.month, start.day, start.hours, start.minutes = 2026, 11, 21, 6, 30
    assert ada.say("set_alarm", rule) == "Alarm set: every day, first tomorrow at 6:30 AM."


def test_a_repeating_alarm_outlives_its_snooze_and_its_stop(ada: KeptAlarms) -> None:
    said = ada.say("set_alarm", clock(7), every("FREQ=WEEKLY;BYDAY=MO,TU,WE,TH,FR"))
    assert said == "Alarm set: Monday to Friday, first Monday at 7:00\u202fAM.".replace("\u202f", " ")
    assert ada.due() == datetime(2026, 11, 23, 6, 0, tzinfo=UTC)
    assert ada.wait(timedelta(days=2, hours=21, minutes=30)) == 1
    ada.say("snooze", length(minutes=10))
    assert [alarm.due_time.ToDatetime(tzinfo=UTC) for alarm in ada.alarms()] == [
        datetime(2026, 11, 23, 6, 10, tzinfo=UTC),
        datetime(2026, 11, 24, 6, 0, tzinfo=UTC),
    ]
    assert ada.wait(timedelta(minutes=10)) == 1
    ada.say("stop")
    assert ada.due() == datetime(2026, 11, 24, 6, 0, tzinfo=UTC)
    assert ada.alarms()[0].recurrence.rule


@pytest.mark.parametrize(
    ("locale", "today", "tomorrow", "sunday"),
    [
        ("en", "Alarm set: today at 9:45 PM.", "Alarm set: tomorrow at 1:00 AM.", "Alarm set: Sunday at 7:00 AM."),
        ("de", "Wecker gestellt: heute um 21:45 Uhr.", "Wecker gestellt: morgen um 01:00 Uhr.",
         "Wecker gestellt: Sonntag um 07:00 Uhr."),
        ("es", "Alarma puesta: hoy a las 21:45.", "Alarma puesta: mañana a la 1:00.",
         "Alarma puesta: el domingo a las 7:00."),
        ("fr", "Réveil mis : aujourd'hui à 21:45.", "Réveil mis : demain à 01:00.", "Réveil mis : dimanche à 07:00."),
        ("it", "Sveglia impostata: oggi alle 21:45.", "Sveglia impostata: domani all'1:00.",
         "Sveglia impostata: domenica alle 07:00."),
    ],
)  # fmt: skip
def test_alarms_are_for_the_next_such_time(locale: str, today: str, tomorrow: str, sunday: str) -> None:
    ada = KeptAlarms(TIMERS, NOW, locale=locale)
    assert ada.say("set_alarm", clock(21, 45)) == today
    assert ada.say("set_alarm", clock(1)) == tomorrow
    assert ada.say("set_alarm", moment(2026, 11, 22, 7)) == sunday
    dues = sorted(alarm.due_time.ToDatetime() for alarm in ada.alarms())
    assert [(due.day, due.hour) for due in dues] == [(20, 20), (21, 0), (22, 6)]


def test_a_day_and_a_time_said_apart_belong_together(ada: KeptAlarms) -> None:
    assert ada.say("set_alarm", that_day(2026, 11, 22), clock(7)) == "Alarm set: Sunday at 7:00 AM."


def test_of_two_readings_the_one_to_come_is_meant(ada: KeptAlarms) -> None:
    seven = moment(2026, 11, 20, 7)
    seven.alternatives.add().CopyFrom(moment(2026, 11, 20, 19).value)
    assert ada.say("set_alarm", seven) == "Alarm set: today at 7:00 PM."


@pytest.mark.parametrize(
    ("language", "said"),
    [
        ("en", "seven | 21T07:00; four | 21T04:00; 7:30 | 21T07:30; tomorrow at five | 21T05:00; seven a m | 21T07:00;"
               "7 pm | 20T19:00; seven in the evening | 20T19:00; 19:00 | 20T19:00; today at seven | 20T19:00;"
               "three | 20T15:00; monday at seven | 23T07:00; twelve | 21T00:00"),
        ("de", "sieben | 21T07:00; halb acht | 21T07:30; 7 uhr | 21T07:00; morgen um fünf | 21T05:00;"
               "19 uhr | 20T19:00; heute abend um sieben | 20T19:00; neunzehn uhr | 20T19:00; drei | 20T15:00"),
        ("es", "las siete | 21T07:00; las cinco y media | 21T05:30; las siete de la tarde | 20T19:00;"
               "las diecinueve | 20T19:00; mañana a las siete | 21T07:00; las tres | 20T15:00"),
        ("fr", "sept heures | 21T07:00; 7h | 21T07:00; sept heures du soir | 20T19:00; 19 heures | 20T19:00;"
               "demain à cinq heures | 21T05:00; trois heures | 20T15:00"),
        ("it", "le sette | 21T07:00; le sette e mezza | 21T07:30; sette di sera | 20T19:00; le diciannove | 20T19:00;"
               "domani alle cinque | 21T05:00; le tre | 20T15:00"),
    ],
)  # fmt: skip
def test_one_is_woken_in_the_morning(language: str, said: str) -> None:
    afternoon = datetime(2026, 11, 20, 13, tzinfo=UTC)  # two o'clock in Berlin
    for row in said.split(";"):
        words, wanted = (part.strip() for part in row.split("|"))
        ada = KeptAlarms(TIMERS, afternoon, locale=language)
        ada.say("set_alarm", read_as(language, words, afternoon))
        assert ada.due().astimezone(BERLIN).strftime("%dT%H:%M") == wanted, words


@pytest.mark.parametrize(
    "text",
    ["remind me at five to call", "erinnere mich um fünf", "recuérdame a las cinco", "rappelle-moi à cinq heures",
     "ricordami alle cinque"],
)  # fmt: skip
def test_one_is_reminded_while_awake(text: str) -> None:
    afternoon = datetime(2026, 11, 20, 13, tzinfo=UTC)
    made = request("timers.set_alarm", read_as("en", "five", afternoon), now=afternoon, time_zone="Europe/Berlin")
    made.interpretation.text = text
    alarms = [event.alarm_change.alarm for event in execute(TIMERS, made) if event.HasField("alarm_change")]
    assert [alarm.due_time.ToDatetime().hour for alarm in alarms] == [16]


def test_what_repeats_without_a_time_does_not_ring_at_midnight(ada: KeptAlarms) -> None:
    rule = every("FREQ=WEEKLY;BYDAY=MO,TU,WE,TH,FR")
    start = rule.value.recurrence.start
    start.year, start.month, start.day = 2026, 11, 23
    ada.say("set_alarm", rule)
    assert ada.asked == "For what time?"
    assert ada.alarms() == []


def test_a_time_of_today_that_is_over_is_tomorrows(ada: KeptAlarms) -> None:
    assert ada.say("set_alarm", moment(2026, 11, 20, 7)) == "Alarm set: tomorrow at 7:00 AM."
    assert ada.say("set_alarm", moment(2026, 11, 18, 7)) == "That time is over or too far away."
    assert ada.reason == "TIME_OUT_OF_RANGE"
    ada.say("set_alarm", moment(2036, 11, 18, 7))
    assert ada.reason == "TIME_OUT_OF_RANGE"


def test_seven_stays_seven_when_the_clocks_change() -> None:
    ada = KeptAlarms(TIMERS, datetime(2027, 3, 27, 20, tzinfo=UTC))  # summer time begins in the night
    ada.say("set_alarm", clock(7))
    assert ada.due() == datetime(2027, 3, 28, 5, 0, tzinfo=UTC)
    skipped = KeptAlarms(TIMERS, datetime(2027, 3, 27, 20, tzinfo=UTC))
    skipped.say("set_alarm", clock(2, 30))  # does not happen: as long after midnight as it would have been
    assert skipped.due() == datetime(2027, 3, 28, 1, 30, tzinfo=UTC)
    twice = KeptAlarms(TIMERS, datetime(2026, 10, 24, 20, tzinfo=UTC))
    twice.say("set_alarm", clock(2, 30))  # happens twice: the first
    assert twice.due() == datetime(2026, 10, 25, 0, 30, tzinfo=UTC)


def test_without_a_time_zone_it_says_so() -> None:
    ada = KeptAlarms(TIMERS, NOW, time_zone="")
    assert ada.say("set_alarm", clock(10)).endswith("That is universal time: I do not know where you are.")
    assert ada.due() == datetime(2026, 11, 20, 10, tzinfo=UTC)
    assert "universal time" in ada.say("list_alarms")


def test_alarms_are_listed_and_found_by_time(ada: KeptAlarms) -> None:
    assert ada.say("list_alarms") == "No alarm is set."
    ada.say("set_alarm", clock(7), label("school"))
    assert ada.say("list_alarms") == "School: tomorrow at 7:00 AM."
    ada.say("set_alarm", clock(18, 30), every("FREQ=DAILY"))
    assert ada.say("list_alarms") == ("You have 2 alarms. Today at 6:30 PM, every day. School: tomorrow at 7:00 AM.")
    assert ada.say("list_alarms", clock(7)) == "School: tomorrow at 7:00 AM."
    assert ada.say("list_alarms", clock(9)) == "I found no such alarm."
    ada.say("cancel_alarm")
    assert ada.asked == "Which one? Today at 6:30 PM and school."
    assert ada.say("cancel_alarm", clock(6, 30)) == "Alarm cancelled."
    assert [alarm.label for alarm in ada.alarms()] == ["school"]


def test_a_missed_alarm_is_owned_up_to(ada: KeptAlarms) -> None:
    ada.say("set_alarm", clock(10))
    ada.now += timedelta(hours=2)
    assert ada.say("list_alarms") == "Was due today at 10:00 AM."


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        ("FREQ=DAILY", "every day, first tomorrow"),
        ("FREQ=WEEKLY;BYDAY=SA,SU", "on weekends, first tomorrow"),
        ("FREQ=WEEKLY;BYDAY=MO,WE", "every Monday and Wednesday, first Monday"),
        ("FREQ=WEEKLY;INTERVAL=2;BYDAY=MO", "repeating, first Monday"),
    ],
)
def test_what_repeats_says_how(ada: KeptAlarms, rule: str, said: str) -> None:
    assert ada.say("set_alarm", clock(7), every(rule)) == f"Alarm set: {said} at 7:00 AM."


@pytest.mark.parametrize("rule", ["nonsense", "FREQ=SECONDLY", "FREQ=WEEKLY;BYDAY=XX", "\0", "FREQ=" * 5000])
def test_a_rule_that_is_none_sets_nothing_strange(ada: KeptAlarms, rule: str) -> None:
    ada.say("set_alarm", clock(7), every(rule))
    assert [alarm.recurrence.rule for alarm in ada.alarms()] in ([], [rule])
