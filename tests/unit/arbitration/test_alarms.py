"""Alarms are kept with their owner, ring once on one stream, repeat by the wall clock, and are over when they are."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

from services.arbitration.alarms import KEPT_S, MAX_ALARMS, RINGS_S, Alarm, AlarmBook, AlarmChange, next_due, owner_of
from services.arbitration.contexts import Profile
from services.arbitration.recurrence import next_occurrence
from services.arbitration.ringing import LOOK_S, Ringer
from services.runtime.errors import QuotaExceeded, Unavailable
from services.runtime.store import MemorySessionStore, Versioned
from tests.fakes.virtual_time import run

pytestmark = pytest.mark.unit

KITCHEN = "device:kitchen"


@dataclass
class SetClock:
    """A wall clock that tests set."""

    time: float = 1_000_000.0

    def __call__(self) -> float:
        return self.time


def book(clock: SetClock, store: MemorySessionStore | None = None) -> AlarmBook:
    return AlarmBook(store or MemorySessionStore(now=clock), clock)


async def keep(alarms: AlarmBook, *changes: Alarm | str, skill_id: str = "timers", device_id: str = "kitchen") -> None:
    made = [AlarmChange(change) if isinstance(change, Alarm) else AlarmChange(deleted_id=change) for change in changes]
    await alarms.change("acme", KITCHEN, made, skill_id=skill_id, device_id=device_id)


async def ids(alarms: AlarmBook) -> list[str]:
    return [alarm.id for alarm in await alarms.alarms("acme", KITCHEN)]


def test_whose_alarms_they_are() -> None:
    assert owner_of("ann", "kitchen", "s") == "user:ann"
    assert owner_of("", "kitchen", "s") == "device:kitchen"
    assert owner_of("", "", "s") == "session:s"


async def test_alarms_are_kept_by_due_time_and_deleted_by_their_skill_alone() -> None:
    clock = SetClock()
    alarms = book(clock)
    await keep(alarms, Alarm("late", clock() + 60), Alarm("early", clock() + 30))
    assert await ids(alarms) == ["early", "late"]
    assert await alarms.alarms("globex", KITCHEN) == ()
    await keep(alarms, "early", skill_id="other")
    assert await ids(alarms) == ["early", "late"]
    await keep(alarms, "early", "never-was")
    assert await ids(alarms) == ["late"]


async def test_setting_an_alarm_again_replaces_it() -> None:
    clock = SetClock()
    alarms = book(clock)
    await keep(alarms, Alarm("egg", clock() + 60, label="egg"))
    await keep(alarms, Alarm("egg", clock() + 90, label="egg"))
    assert [alarm.due for alarm in await alarms.alarms("acme", KITCHEN)] == [clock() + 90]


async def test_too_many_alarms_are_refused_and_none_is_lost() -> None:
    clock = SetClock()
    alarms = book(clock)
    await keep(alarms, *(Alarm(f"a{n}", clock() + n) for n in range(1, MAX_ALARMS + 1)))
    with pytest.raises(QuotaExceeded):
        await keep(alarms, Alarm("one-more", clock() + 5))
    assert len(await ids(alarms)) == MAX_ALARMS


async def test_an_alarm_rings_on_one_stream_only() -> None:
    clock = SetClock()
    store = MemorySessionStore(now=clock)
    here, there = book(clock, store), book(clock, store)
    await keep(here, Alarm("egg", clock() + 60))
    assert await here.ring_due("acme", KITCHEN, "kitchen") == ()
    clock.time += 60
    rung = await asyncio.gather(*(each.ring_due("acme", KITCHEN, "kitchen") for each in (here, there, here)))
    assert sorted(map(len, rung)) == [0, 0, 1]
    found = (await here.alarms("acme", KITCHEN))[0]
    assert found.ringing(clock())
    clock.time += RINGS_S
    assert await ids(here) == []


async def test_an_alarm_rings_on_its_device() -> None:
    clock = SetClock()
    alarms = book(clock)
    await keep(alarms, Alarm("egg", clock() + 1), Alarm("wash", clock() + 1, device_id="cellar"))
    clock.time += 2
    assert [alarm.id for alarm in await alarms.ring_due("acme", KITCHEN, "cellar")] == ["wash"]
    assert next_due(await alarms.alarms("acme", KITCHEN), "cellar") is None
    assert [alarm.id for alarm in await alarms.ring_due("acme", KITCHEN, "kitchen")] == ["egg"]


async def test_an_alarm_waits_for_its_device_but_not_for_ever() -> None:
    clock = SetClock()
    alarms = book(clock)
    await keep(alarms, Alarm("egg", clock() + 60))
    clock.time += 60 + KEPT_S - 1
    assert await ids(alarms) == ["egg"]
    clock.time += 2
    assert await ids(alarms) == []


async def test_a_repeating_alarm_rings_each_time_and_ends_with_its_rule() -> None:
    zone = ZoneInfo("Europe/Vienna")
    clock = SetClock(datetime(2026, 10, 23, 6, 0, tzinfo=zone).timestamp())
    alarms = book(clock)
    due = datetime(2026, 10, 23, 7, 0, tzinfo=zone).timestamp()
    rule = "FREQ=DAILY;COUNT=4"
    await keep(alarms, Alarm("wake", due, rule=rule, start="2026-10-23T07:00:00", zone="Europe/Vienna"))
    rung = []
    for _ in range(5):
        due_next = next_due(await alarms.alarms("acme", KITCHEN), "kitchen")
        if due_next is None:
            break
        clock.time = due_next
        rung += [datetime.fromtimestamp(a.due, zone) for a in await alarms.ring_due("acme", KITCHEN, "kitchen")]
    # The clocks go back on the 25th: it stays seven o'clock.
    assert [(moment.day, moment.hour) for moment in rung] == [(23, 7), (24, 7), (25, 7), (26, 7)]


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ("FREQ=DAILY", "2026-11-21T07:00:00"),
        ("FREQ=WEEKLY;BYDAY=MO,TU,WE,TH,FR", "2026-11-23T07:00:00"),
        ("FREQ=WEEKLY;INTERVAL=2;BYDAY=FR", "2026-12-04T07:00:00"),
        ("FREQ=MONTHLY;BYDAY=-1FR", "2026-11-27T07:00:00"),
    ],
)
def test_the_next_occurrence(rule: str, expected: str) -> None:
    zone = ZoneInfo("America/New_York")
    after = datetime(2026, 11, 20, 7, 0, tzinfo=zone).timestamp()
    found = next_occurrence(rule, "2026-11-20T07:00:00", "America/New_York", after=after)
    assert found is not None
    assert datetime.fromtimestamp(found, zone).replace(tzinfo=None).isoformat() == expected


@pytest.mark.parametrize(
    "rule",
    [
        "",
        "FREQ=SECONDLY",
        "FREQ=MINUTELY;INTERVAL=5",
        "FREQ=DAILY;BYMONTH=2;BYMONTHDAY=30",
        "FREQ=MONTHLY;BYDAY=5MO",
        "FREQ=DAILY;COUNT=99999999",
        "FREQ=DAILY;UNTIL=20200101",
        "FREQ=DAILY;UNTIL=99999999",
        "freq=daily\nRDATE:20300101",
        "FREQ=DAILY" * 1_000,
    ],
)
def test_rules_that_are_none_or_never_happen_are_not_waited_for(rule: str) -> None:
    assert next_occurrence(rule, "2026-11-20T07:00:00", "UTC", after=1_800_000_000.0) is None


def test_a_rule_of_long_ago_or_without_a_start_is_none() -> None:
    assert next_occurrence("FREQ=DAILY", "1000-01-01T00:00:00", "UTC", after=1_800_000_000.0) is None
    assert next_occurrence("FREQ=DAILY", "soon", "UTC", after=1_800_000_000.0) is None
    assert next_occurrence("FREQ=DAILY", "2026-11-20T07:00:00", "Mars/Olympus", after=1_790_000_000.0) is not None


def test_an_hour_that_the_clocks_skip_still_rings() -> None:
    zone = ZoneInfo("Europe/Vienna")
    after = datetime(2027, 3, 27, 3, 0, tzinfo=zone).timestamp()
    found = next_occurrence("FREQ=DAILY", "2027-03-20T02:30:00", "Europe/Vienna", after=after)
    assert found is not None
    assert datetime.fromtimestamp(found, zone).isoformat() == "2027-03-28T03:30:00+02:00"


# --- ringing -------------------------------------------------------------------------------------------------------
PROFILE = Profile("acme", "en", device_id="kitchen")


def ringing(alarms: AlarmBook, rung: list[tuple[float, str]]) -> Ringer:
    async def ring(alarm: Alarm) -> None:
        rung.append((asyncio.get_running_loop().time(), alarm.id))

    return Ringer(alarms, PROFILE, "session", ring)


def test_a_stream_rings_what_is_set_while_it_is_open_at_its_time() -> None:
    rung: list[tuple[float, str]] = []

    async def scenario() -> None:
        loop = asyncio.get_running_loop()
        alarms = AlarmBook(MemorySessionStore(now=loop.time), loop.time)
        ringer = asyncio.create_task(ringing(alarms, rung).run())
        await asyncio.sleep(5.0)
        await keep(alarms, Alarm("egg", loop.time() + 7.0))
        await asyncio.sleep(100.0)
        ringer.cancel()

    run(scenario())
    assert [alarm for _, alarm in rung] == ["egg"]
    assert rung[0][0] == pytest.approx(12.0)


def test_what_came_due_without_a_stream_rings_on_the_next() -> None:
    rung: list[tuple[float, str]] = []

    async def scenario() -> None:
        loop = asyncio.get_running_loop()
        alarms = AlarmBook(MemorySessionStore(now=loop.time), loop.time)
        await keep(alarms, Alarm("egg", loop.time() + 7.0))
        await asyncio.sleep(1_000.0)
        ringer = asyncio.create_task(ringing(alarms, rung).run())
        await asyncio.sleep(1.0)
        ringer.cancel()

    run(scenario())
    assert [alarm for _, alarm in rung] == ["egg"]
    assert rung[0][0] == pytest.approx(1_000.0)


def test_a_clock_that_is_set_forward_rings_late_by_one_look_at_most() -> None:
    rung: list[tuple[float, str]] = []
    clock = SetClock()

    async def scenario() -> None:
        alarms = book(clock)
        await keep(alarms, Alarm("egg", clock() + 3_600))
        ringer = asyncio.create_task(ringing(alarms, rung).run())
        await asyncio.sleep(10.0)
        clock.time += 7_200
        await asyncio.sleep(LOOK_S)
        ringer.cancel()

    run(scenario())
    assert [alarm for _, alarm in rung] == ["egg"]


@dataclass
class AbsentStore(MemorySessionStore):
    """A store that cannot be reached while `away`."""

    away: bool = True

    async def get(self, tenant: str, key: str) -> Versioned | None:
        if self.away:
            raise Unavailable("away", reason="STORE_GONE")
        return await super().get(tenant, key)


def test_a_store_that_is_gone_for_a_while_only_delays() -> None:
    rung: list[tuple[float, str]] = []

    async def scenario() -> None:
        loop = asyncio.get_running_loop()
        store = AbsentStore(now=loop.time, away=False)
        alarms = AlarmBook(store, loop.time)
        await keep(alarms, Alarm("egg", loop.time() + 20.0))
        store.away = True
        ringer = asyncio.create_task(ringing(alarms, rung).run())
        await asyncio.sleep(25.0)
        store.away = False
        await asyncio.sleep(LOOK_S)
        ringer.cancel()

    run(scenario())
    assert [alarm for _, alarm in rung] == ["egg"]


def test_an_alarm_that_was_rung_does_not_ring_again_when_set_back() -> None:
    alarm = Alarm("egg", 100.0, rung=100.0)
    assert alarm.ringing(150.0)
    assert not replace(alarm, rung=None).ringing(150.0)


def test_who_rings_is_known_before_the_first_turn_and_until_it_is_over() -> None:
    async def scenario() -> list[frozenset[str]]:
        loop = asyncio.get_running_loop()
        alarms = AlarmBook(MemorySessionStore(now=loop.time), loop.time)
        await keep(alarms, Alarm("egg", loop.time() + 1.0))
        await asyncio.sleep(2.0)
        ringer = ringing(alarms, [])
        before = ringer.ringing
        await ringer.begin()
        during = ringer.ringing
        await asyncio.sleep(RINGS_S)
        return [before, during, ringer.ringing]

    assert run(scenario()) == [frozenset(), frozenset({"timers"}), frozenset()]


def test_who_rings_is_known_when_it_is_heard() -> None:
    known: list[frozenset[str]] = []

    async def scenario() -> None:
        loop = asyncio.get_running_loop()
        alarms = AlarmBook(MemorySessionStore(now=loop.time), loop.time)
        await keep(alarms, Alarm("egg", loop.time() + 1.0))

        async def ring(alarm: Alarm) -> None:
            known.append(ringer.ringing)

        ringer = Ringer(alarms, PROFILE, "session", ring)
        running = asyncio.create_task(ringer.run())
        await asyncio.sleep(2.0)
        running.cancel()

    run(scenario())
    assert known == [frozenset({"timers"})]
