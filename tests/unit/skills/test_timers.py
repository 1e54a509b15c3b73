"""Timers and alarms, kept by the platform's own book, in five languages and through changes of the clock."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from antiphon.types.v1 import understanding_pb2, value_pb2
from services.nlu.text import tokenise
from services.nlu.value_messages import to_message
from skills.timers.handler import MAX_KEPT, TIMERS
from skills.timers.words import WORDS
from tests.fakes.kept_alarms import KeptAlarms
from tests.fakes.skill_turns import can_fulfill, execute, request
from tests.unit.nlu import value_tables

pytestmark = pytest.mark.unit

NOW = datetime(2026, 11, 20, 8, 30, tzinfo=UTC)  # a Friday, half past nine in Berlin
BERLIN = ZoneInfo("Europe/Berlin")
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


def read_as(language: str, words: str, now: datetime) -> Slot:
    """A time as the understanding service reads it, with its other readings."""
    values = value_tables.a_finder(language, now=now).read("DATETIME", tokenise(words))
    slot = Slot(name="at", text=words)
    slot.value.CopyFrom(to_message(values[0]))
    slot.alternatives.extend(to_message(value) for value in values[1:])
    return slot


ALL = Slot(name="scope", text="all", value=value_pb2.Value(entity=value_pb2.EntityRef(entity_id="all")))


@pytest.fixture
def ada() -> KeptAlarms:
    return KeptAlarms(TIMERS, NOW)


@pytest.mark.parametrize(
    ("locale", "set_", "left", "cancelled"),
    [
        ("en", "Pasta: 10 minutes, starting now.", "Pasta: about 4 minutes left.", "Timer cancelled."),
        ("de", "Pasta: 10 Minuten, ab jetzt.", "Pasta: noch etwa 4 Minuten.", "Timer gelöscht."),
        ("es", "Pasta: 10 minutos desde ahora.", "Pasta: tiempo restante, unos 4 minutos.", "Temporizador cancelado."),
        ("fr", "Pasta : 10 minutes, c'est parti.", "Pasta : encore environ 4 minutes.", "Minuteur annulé."),
        ("it", "Pasta: 10 minuti da adesso.", "Pasta: tempo rimanente, circa 4 minuti.", "Timer annullato."),
    ],
)
def test_a_timer_from_end_to_end(locale: str, set_: str, left: str, cancelled: str) -> None:
    ada = KeptAlarms(TIMERS, NOW, locale=locale)
    assert ada.say("set_timer", length(minutes=10), label("pasta")) == set_
    assert ada.due() == NOW + timedelta(minutes=10)
    ada.wait(timedelta(minutes=5, seconds=50))
    assert ada.say("list_timers") == left
    assert ada.say("cancel_timer", label("pasta timer")) == cancelled
    assert ada.alarms() == []


def test_what_is_missing_is_asked(ada: KeptAlarms) -> None:
    assert ada.say("set_timer") == ""
    assert ada.asked == "For how long?"
    ada.say("set_alarm")
    assert ada.asked == "For what time?"
    ada.say("set_alarm", that_day(2026, 11, 22))
    assert ada.asked == "For what time?"


def test_a_repeat_of_a_turn_sets_one_timer(ada: KeptAlarms) -> None:
    first = ada.say("set_timer", length(minutes=1), key="same")
    assert ada.say("set_timer", length(minutes=1), key="same") == first
    assert len(ada.alarms()) == 1


def test_several_timers_are_told_apart(ada: KeptAlarms) -> None:
    ada.say("set_timer", length(minutes=10), label("die Nudeln"))
    ada.say("set_timer", length(minutes=20))
    said = ada.say("list_timers")
    assert said == "You have 2 timers. Die Nudeln: 10 minutes left. Timer, 20 minutes: 20 minutes left."
    assert ada.say("list_timers", label("nudeln")) == "Die Nudeln: 10 minutes left."
    ada.say("cancel_timer")
    assert ada.asked == "Which one? Die Nudeln and 20 minutes."
    assert len(ada.alarms()) == 2
    assert ada.say("cancel_timer", length(minutes=20)) == "Timer cancelled."
    assert [alarm.label for alarm in ada.alarms()] == ["die Nudeln"]
    assert ada.say("cancel_timer", label("laundry")) == "I found no such timer."
    assert ada.reason == "NOT_FOUND"


def test_a_name_goes_without_its_article(ada: KeptAlarms) -> None:
    assert ada.say("set_timer", length(minutes=7), label("an egg")) == "Egg: 7 minutes, starting now."


def test_a_rule_that_holds_its_time_needs_no_other(ada: KeptAlarms) -> None:
    rule = every("FREQ=DAILY")
    start = rule.value.recurrence.start
    start.year, start.month, start.day, start.hours, start.minutes = 2026, 11, 21, 6, 30
    assert ada.say("set_alarm", rule) == "Alarm set: every day, first tomorrow at 6:30 AM."


@pytest.mark.parametrize("filler", ["another", "einen neuen", "otro", "un autre", "un altro", "my timer"])
def test_words_that_name_nothing_are_no_label(ada: KeptAlarms, filler: str) -> None:
    assert ada.say("set_timer", length(minutes=7), label(filler)) == "Timer set: 7 minutes, starting now."
    assert ada.say("list_timers", label(filler)) == "7 minutes left."
    assert ada.say("cancel_timer", label(filler)) == "Timer cancelled."


def test_all_of_them_go_at_once(ada: KeptAlarms) -> None:
    for minutes in (5, 6, 7):
        ada.say("set_timer", length(minutes=minutes))
    ada.say("set_alarm", clock(7))
    assert ada.say("cancel_timer", ALL) == "3 timers cancelled."
    assert len(ada.alarms()) == 1
    assert ada.say("cancel_alarm", ALL) == "Alarm cancelled."


@pytest.mark.parametrize(
    ("locale", "text"),
    [
        ("en", "cancel all alarms"),
        ("de", "Lösche alle Wecker"),
        ("fr", "annule tous mes réveils"),
        ("it", "togli tutte le sveglie"),
    ],
)
def test_that_all_are_meant_is_heard_without_a_slot_too(locale: str, text: str) -> None:
    made = request("timers.cancel_alarm", locale=locale, now=NOW)
    made.interpretation.text = text
    for number in range(2):
        made.context.alarms.add(alarm_id=f"alarm-{number}").due_time.FromDatetime(NOW + timedelta(hours=number + 1))
    events = execute(TIMERS, made)
    assert [event.alarm_change.deleted_alarm_id for event in events if event.HasField("alarm_change")] == [
        "alarm-0", "alarm-1"
    ]  # fmt: skip


def test_what_rings_is_stopped_and_the_device_told(ada: KeptAlarms) -> None:
    ada.say("set_timer", length(minutes=1), label("egg"))
    assert ada.wait(timedelta(minutes=1)) == 1
    assert ada.say("list_timers") == "Egg: is ringing."
    assert ada.say("stop") == "Okay."
    assert ada.alarms() == []
    assert ada.directives[0].stop_ringing.alarm_id.startswith("timer-60-")


def test_stop_means_something_else_while_nothing_rings(ada: KeptAlarms) -> None:
    asked = can_fulfill(TIMERS, request("timers.stop", now=NOW))
    assert (asked.fulfilment, asked.reason) == (understanding_pb2.FULFILMENT_NO, "NOTHING_RINGS")
    assert (ada.say("stop"), ada.reason) == ("Nothing is ringing.", "NOTHING_RINGS")
    assert (ada.say("snooze"), ada.reason) == ("Nothing is ringing.", "NOTHING_RINGS")


def test_stopping_a_timer_that_does_not_ring_takes_it_back(ada: KeptAlarms) -> None:
    def what(entity: str) -> Slot:
        return Slot(name="what", value=value_pb2.Value(entity=value_pb2.EntityRef(entity_id=entity)))

    ada.say("set_timer", length(minutes=5), label("tea"))
    assert ada.say("stop", what("alarm")) == "Nothing is ringing."
    ada.say("set_timer", length(minutes=6), label("egg"))
    assert ada.say("stop", what("timer")) == ""
    assert ada.asked == "Which one? Tea and egg."
    ada.say("cancel_timer", label("tea"))
    assert ada.say("stop", what("timer")) == "Timer cancelled."
    ada.say("set_alarm", clock(7))
    assert ada.say("stop", what("alarm")) == "Alarm cancelled."
    assert ada.alarms() == []


def test_snoozing_rings_again(ada: KeptAlarms) -> None:
    ada.say("set_alarm", clock(10))
    assert ada.wait(timedelta(minutes=30)) == 1
    assert ada.say("snooze") == "Okay, again in 9 minutes."
    assert not ada.alarms()[0].ringing
    assert ada.wait(timedelta(minutes=9)) == 1
    assert ada.say("snooze", length(minutes=5)) == "Okay, again in 5 minutes."
    assert ada.wait(timedelta(minutes=4)) == 0
    assert ada.wait(timedelta(minutes=1)) == 1


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


def test_a_clock_that_is_set_changes_what_is_left_and_nothing_else(ada: KeptAlarms) -> None:
    ada.say("set_timer", length(minutes=10), label("tea"))
    ada.now -= timedelta(hours=1)
    assert ada.say("list_timers") == "Tea: 1 hour and 10 minutes left."
    ada.now += timedelta(hours=3)  # it was due while nobody listened
    assert ada.say("list_timers") == "Tea: ended 1 hour and 50 minutes ago."
    assert ada.say("cancel_timer", label("tea")) == "Timer cancelled."


def test_a_missed_alarm_is_owned_up_to(ada: KeptAlarms) -> None:
    ada.say("set_alarm", clock(10))
    ada.now += timedelta(hours=2)
    assert ada.say("list_alarms") == "Was due today at 10:00 AM."


@pytest.mark.parametrize(("seconds", "fine"), [(0, False), (0.4, False), (1, True), (30 * 86_400, True), (3e6, False)])
def test_lengths_have_bounds(ada: KeptAlarms, seconds: float, fine: bool) -> None:
    ada.say("set_timer", length(seconds=seconds))
    assert len(ada.alarms()) == fine
    assert ada.reason == ("" if fine else "LENGTH_OUT_OF_RANGE")


def test_a_user_has_so_many_and_no_more(ada: KeptAlarms) -> None:
    for number in range(MAX_KEPT):
        ada.say("set_timer", length(minutes=number + 1))
    assert ada.say("set_timer", length(minutes=1)).startswith("You have 50 already")
    assert ada.reason == "TOO_MANY_TIMERS"
    ada.say("set_alarm", clock(7))
    assert ada.reason == "TOO_MANY_ALARMS"


def test_of_many_the_next_ones_are_told(ada: KeptAlarms) -> None:
    for number in range(MAX_KEPT // 2):
        ada.say("set_timer", length(minutes=number + 3), label(f"{number} " + "y" * 80))
        ada.say("set_alarm", clock(10, number), label(f"{number} " + "z" * 80))
    for listed, counted in (("list_timers", "You have 25 timers."), ("list_alarms", "You have 25 alarms.")):
        said = ada.say(listed)
        assert said.startswith(counted)
        assert len(said) < 2_000
    ada.say("cancel_timer")
    assert len(ada.asked) < 1_000


def test_alarms_of_other_skills_are_none_of_its_business(ada: KeptAlarms) -> None:
    made = request("timers.cancel_alarm", ALL, now=NOW)
    made.context.alarms.add(alarm_id="x", skill_id="calendar", ringing=True)
    assert can_fulfill(TIMERS, made).fulfilment == understanding_pb2.FULFILMENT_YES
    made.interpretation.intent = "timers.stop"
    assert can_fulfill(TIMERS, made).fulfilment == understanding_pb2.FULFILMENT_NO


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


def test_hostile_slots(ada: KeptAlarms) -> None:
    long = label("x\0\x1b[31m" + "y" * 100_000)
    assert len(ada.say("set_timer", length(minutes=1), long)) < 200
    assert "\x1b" not in ada.alarms()[0].label
    assert ada.say("set_timer", Slot(name="duration", text="soon", value=value_pb2.Value(text="soon"))) == ""
    assert ada.asked == "For how long?"
    bad = Slot(name="at")
    bad.value.datetime.year, bad.value.datetime.month = 2026, 13
    ada.say("set_alarm", bad)
    assert ada.asked == "For what time?"
    wrong = clock(7)
    wrong.value.time.hours = 99
    ada.say("set_alarm", wrong)
    assert ada.asked == "For what time?"


@pytest.mark.parametrize("locale", [*sorted(WORDS), "de-AT", "xx"])
def test_everything_is_said_in_every_language(locale: str) -> None:
    ada = KeptAlarms(TIMERS, NOW, locale=locale)
    for intent in ("list_timers", "cancel_timer", "list_alarms", "cancel_alarm", "stop", "snooze"):
        assert ada.say(intent)
    for minutes in (1, 90):
        ada.say("set_timer", length(minutes=minutes))
        ada.say("set_alarm", clock(7, minutes % 60), every("FREQ=DAILY"))
    ada.wait(timedelta(minutes=2))
    for intent in ("list_timers", "list_alarms", "snooze"):
        said = ada.say(intent)
        assert said
        assert "{" not in said
    ada.say("cancel_timer")
    assert ada.asked
    assert ada.say("cancel_timer", ALL)
    assert ada.say("cancel_alarm", ALL)
