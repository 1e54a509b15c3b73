"""Timers and what they share with alarms, kept by the platform's own book, in five languages."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from antiphon.types.v1 import understanding_pb2, value_pb2
from skills.timers.handler import MAX_KEPT, TIMERS
from skills.timers.words import WORDS
from tests.fakes.kept_alarms import KeptAlarms
from tests.fakes.skill_turns import can_fulfill, execute, request
from tests.fakes.time_slots import Slot, clock, every, label, length, that_day

pytestmark = pytest.mark.unit

NOW = datetime(2026, 11, 20, 8, 30, tzinfo=UTC)  # a Friday, half past nine in Berlin


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


def test_a_clock_that_is_set_changes_what_is_left_and_nothing_else(ada: KeptAlarms) -> None:
    ada.say("set_timer", length(minutes=10), label("tea"))
    ada.now -= timedelta(hours=1)
    assert ada.say("list_timers") == "Tea: 1 hour and 10 minutes left."
    ada.now += timedelta(hours=3)  # it was due while nobody listened
    assert ada.say("list_timers") == "Tea: ended 1 hour and 50 minutes ago."
    assert ada.say("cancel_timer", label("tea")) == "Timer cancelled."


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
