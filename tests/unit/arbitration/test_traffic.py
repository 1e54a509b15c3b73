"""How sessions are split among pools, how arms are counted over replicas, and what shadows may cost: nothing."""

from __future__ import annotations

import asyncio
import math
from collections import Counter
from dataclasses import replace

import pytest

from services.arbitration.routing.shadowing import MAX_COPIES, Compared, ShadowArm, Shadows, word_error_rate
from services.arbitration.routing.shared import SharedTraffic
from services.arbitration.routing.tallies import Observation, Tally
from services.arbitration.routing.traffic import Arm, ArmMode, Split, Traffic
from services.arbitration.routing.trips import Trips
from services.runtime.errors import Conflict, InvalidInput, NotFound, Overloaded, Unavailable
from services.runtime.store import MemorySessionStore, Versioned

pytestmark = pytest.mark.unit

NOW = 1_000_000.0


def split(*arms: Arm) -> Split:
    return Split("asr", "", arms)


STABLE, CANARY = Arm("stable", "asr", 90), Arm("canary", "asr-next", 10)


def arms_of(traffic: Traffic, sessions: int = 5000) -> list[str]:
    assigned = [traffic.assign(f"session-{n}", "asr", "en") for n in range(sessions)]
    return [arm.name if arm else "" for arm in assigned]


def test_sessions_are_split_by_weight_and_stay() -> None:
    traffic = Traffic()
    assert traffic.assign("s", "asr", "en") is None
    traffic.set(split(STABLE, CANARY))
    first = arms_of(traffic)
    assert Counter(first)["canary"] == pytest.approx(500, abs=75)
    assert arms_of(traffic) == first
    other_replica = Traffic()
    other_replica.set(split(CANARY, STABLE))
    assert arms_of(other_replica) == first


def test_a_change_of_weights_moves_sessions_one_way() -> None:
    traffic = Traffic()
    traffic.set(split(STABLE, CANARY))
    before = arms_of(traffic)
    traffic.set(split(STABLE, replace(CANARY, weight=30)))
    moved = Counter((b, a) for b, a in zip(before, arms_of(traffic), strict=True) if b != a)
    assert moved.keys() == {("stable", "canary")}


def test_an_arm_without_weight_gets_nothing() -> None:
    traffic = Traffic()
    traffic.set(split(STABLE, replace(CANARY, weight=0)))
    assert set(arms_of(traffic)) == {"stable"}


def test_a_locale_may_have_its_own_split() -> None:
    traffic = Traffic()
    traffic.set(split(STABLE))
    traffic.set(Split("asr", "de", (replace(CANARY, weight=1),)))
    german, english = traffic.assign("s", "asr", "de"), traffic.assign("s", "asr", "en")
    assert (german and german.pool, english and english.pool) == ("asr-next", "asr")
    assert [found.locale for found in traffic.splits("asr")] == ["", "de"]


def test_shadows_get_copies_and_serve_nobody() -> None:
    traffic = Traffic()
    traffic.set(split(STABLE, Arm("shadow", "asr-next", 0.25, ArmMode.SHADOW)))
    assert set(arms_of(traffic)) == {"stable"}
    copies = sum(bool(traffic.shadows(f"session-{n}", "asr", "en")) for n in range(4000))
    assert copies == pytest.approx(1000, abs=120)


@pytest.mark.parametrize(
    "arms",
    [
        (), (replace(STABLE, name=""),), (replace(STABLE, pool=""),), (STABLE, STABLE), (replace(STABLE, weight=-1),),
        (replace(STABLE, weight=0),), (replace(STABLE, weight=float("nan")),), (replace(STABLE, mode=ArmMode.SHADOW),),
        (STABLE, Arm("shadow", "p", 1.5, ArmMode.SHADOW)),
    ],
)  # fmt: skip
def test_arms_that_make_no_sense(arms: tuple[Arm, ...]) -> None:
    with pytest.raises(InvalidInput):
        Traffic().set(split(*arms))


def test_weights_are_changed_by_compare_and_set() -> None:
    traffic = Traffic()
    assert traffic.set(split(STABLE), validate_only=True).version == 1
    assert traffic.splits() == ()
    assert traffic.set(split(STABLE), expected=0).version == 1
    with pytest.raises(Conflict):
        traffic.set(split(CANARY), expected=0)
    assert traffic.set(split(CANARY), expected=1).version == 2


def test_a_canarys_share_is_its_weight() -> None:
    """2,000 sessions: the share lies in the 99 % interval of a fair draw, for each of several weights."""
    for weight in (1.0, 5.0, 20.0):
        traffic = Traffic()
        traffic.set(split(replace(STABLE, weight=100 - weight), replace(CANARY, weight=weight)))
        share = Counter(arms_of(traffic, 2000))["canary"] / 2000
        fair = weight / 100
        assert abs(share - fair) < 2.576 * math.sqrt(fair * (1 - fair) / 2000)


def test_what_has_effects_has_no_shadow() -> None:
    shadow = Arm("shadow", "skills-next", 1.0, ArmMode.SHADOW)
    with pytest.raises(InvalidInput) as refused:
        Traffic().set(Split("skills", "", (Arm("stable", "skills", 1.0), shadow)))
    assert refused.value.reason == "TRAFFIC_SHADOW"


# --- what is counted -----------------------------------------------------------------------------------------------
def test_percentiles_of_tallies_that_are_merged() -> None:
    one, other = Tally(), Tally()
    for n in range(1, 101):
        (one if n % 3 else other).add(Observation(NOW, latency=n / 1000, metrics={"rate": float(n % 2)}))
    one.merge(Tally.decoded(other.encoded()))
    found = one.latencies()
    assert found[50.0] == pytest.approx(0.050, rel=0.05)
    assert found[99.0] == pytest.approx(0.099, rel=0.05)
    rate = one.metrics()["rate"]
    assert (rate.count, rate.value) == (100, 0.5)
    assert rate.lower is not None
    assert rate.upper is not None
    assert rate.lower == pytest.approx(0.5 - 1.96 * math.sqrt(0.25 * 100 / 99 / 100))
    other.add(Observation(NOW, latency=math.nan, metrics={"rate": math.inf}))
    assert math.isfinite(other.metrics()["rate"].value)


def replica(store: MemorySessionStore) -> SharedTraffic:
    return SharedTraffic(Traffic(), store, lambda: NOW)


async def test_replicas_have_one_mind_about_splits() -> None:
    store = MemorySessionStore()
    here, there = replica(store), replica(store)
    assert (await here.set(split(STABLE))).version == 1
    await there.catch_up()
    assert there.traffic.splits() == here.traffic.splits()
    assert (await there.set(split(STABLE, CANARY), expected=1)).version == 2
    with pytest.raises(Conflict) as late:
        await here.set(split(STABLE), expected=1)
    assert late.value.reason == "TRAFFIC_CHANGED"
    both = await asyncio.gather(here.set(Split("tts", "", (STABLE,))), there.set(Split("nlu", "", (STABLE,))))
    await here.catch_up()
    assert [found.capability for found in here.traffic.splits()] == ["asr", "nlu", "tts"]
    assert [found.version for found in both] == [1, 1]
    assert (await here.set(Split("nlu", "", (CANARY,)), validate_only=True)).version == 2
    await there.catch_up()
    assert there.traffic.splits("nlu")[0].arms == (STABLE,)


async def test_what_replicas_counted_is_summed() -> None:
    store = MemorySessionStore(now=lambda: NOW)
    replicas = [replica(store) for _ in range(3)]
    await replicas[0].set(split(STABLE, CANARY))
    for each in replicas:
        await each.catch_up()
        for n in range(10):
            seen = Observation(NOW - 60 * n, session=n == 0, turn=True, error=n == 9, latency=0.1)
            each.traffic.observe("asr", "en", "stable", seen)
    await asyncio.gather(*(each.hand_in() for each in replicas))
    canary, stable = await replicas[1].reports(3600.0)
    assert (stable.sessions, stable.turns, stable.errors) == (3, 30, 3)
    assert stable.latencies[50.0] == pytest.approx(0.1, rel=0.03)
    assert (canary.turns, canary.latencies) == (0, {})
    assert (await replicas[2].reports(120.0))[1].turns == 9
    assert (await replicas[2].reports(86_400.0))[1].turns == 30
    with pytest.raises(NotFound):
        replicas[0].traffic.observe("asr", "en", "nobody", Observation(NOW))


class Forgetful(MemorySessionStore):
    """Writes, and says every other time that it did not."""

    writes = 0

    async def put(
        self, tenant: str, key: str, value: bytes, *, ttl: float, expected: int | None = None, turn: str = ""
    ) -> Versioned:
        stored = await super().put(tenant, key, value, ttl=ttl, expected=expected, turn=turn)
        self.writes += 1
        if self.writes % 2 and turn:
            raise Unavailable("the answer was lost", reason="STORE_GONE")
        return stored


async def test_a_tally_handed_in_twice_counts_once() -> None:
    shared = replica(Forgetful(now=lambda: NOW))
    await shared.set(split(STABLE))
    shared.traffic.observe("asr", "en", "stable", Observation(NOW, turn=True))
    for _ in range(6):
        try:
            await shared.hand_in()
            break
        except Unavailable:
            continue
    assert [report.turns for report in await shared.reports(60.0)] == [1]


@pytest.mark.parametrize("held", [b"[1, 2]", b"[[1]]", b"{", b"7", b'[["asr", "", "stable", 7]]'])
async def test_a_tally_that_cannot_be_stored_holds_up_no_others(held: bytes) -> None:
    store = MemorySessionStore(now=lambda: NOW)
    shared = replica(store)
    await shared.set(split(STABLE))
    minute = int(NOW // 60)
    await store.put("@platform", f"arms/m/{minute - 1}", held, ttl=100)
    for at in (NOW - 60, NOW):
        shared.traffic.observe("asr", "en", "stable", Observation(at, turn=True))
    await shared.hand_in()
    assert await store.get("@platform", f"arms/m/{minute}") is not None


async def test_a_report_with_a_key_is_new_once() -> None:
    store = MemorySessionStore()
    assert await replica(store).first_time("acme", "k")
    assert not await replica(store).first_time("acme", "k")
    assert await replica(store).first_time("globex", "k")


def test_sessions_and_turns_count_once() -> None:
    traffic = Traffic()
    traffic.set(split(STABLE))
    trips = Trips(traffic)
    for session, turn in (("s1", "t1"), ("s1", "t1"), ("s1", "t2"), ("s2", "t3")):
        trips.begin("asr", "en", STABLE, session, turn).done(0.1)
    refused = trips.begin("asr", "en", STABLE, "s3", "t4")
    refused.failed(Overloaded("full"))
    refused.done()  # over already
    trips.begin("asr", "en", STABLE, "s2", "t5").failed(Unavailable("gone"))
    trips.begin("asr", "en", None, "s9", "t9").done(0.1)
    (tally,) = traffic.taken().values()
    assert (tally.sessions, tally.turns, tally.errors, tally.refused) == (3, 5, 1, 1)
    assert tally.bins.total() == 4


def test_what_is_dropped_counts_for_nothing_and_takes_nothing_from_what_follows() -> None:
    """Work done ahead is dropped when the words change; the turn is counted by the call that serves it."""
    traffic = Traffic()
    traffic.set(split(STABLE))
    trips = Trips(traffic)
    trips.begin("asr", "en", STABLE, "s1", "t1")
    trips.begin("asr", "en", STABLE, "s1", "t1").done(0.1)
    (tally,) = traffic.taken().values()
    assert (tally.sessions, tally.turns, tally.bins.total()) == (1, 1, 1)


# --- shadows -------------------------------------------------------------------------------------------------------
SHADOW = ShadowArm("asr", "en", "shadow", "nowhere")


def shadowed() -> Shadows:
    traffic = Traffic()
    traffic.set(split(STABLE, Arm("shadow", "asr-next", 1.0, ArmMode.SHADOW)))
    return Shadows(traffic, longest=0.2)


def counted(shadows: Shadows) -> Tally:
    return next(tally for key, tally in shadows.traffic.taken().items() if key.arm == "shadow")


async def ended(shadows: Shadows) -> None:
    """All copies are over, or the test is."""
    async with asyncio.timeout(20):
        await asyncio.gather(*shadows._running)


async def test_a_shadow_has_its_time_beyond_the_work_that_it_copies() -> None:
    shadows = shadowed()

    async def follow() -> Compared:
        await asyncio.sleep(0.4)
        return Compared(0.1, {})

    assert shadows.begin(SHADOW, follow, work=20.0)
    await ended(shadows)
    assert counted(shadows).errors == 0


async def test_shadows_that_hang_are_bounded_and_end() -> None:
    shadows = shadowed()

    async def hang() -> Compared:
        await asyncio.sleep(3600)
        raise AssertionError

    began = [shadows.begin(SHADOW, hang) for _ in range(MAX_COPIES + 10)]
    assert Counter(began) == {True: MAX_COPIES, False: 10}
    await ended(shadows)
    tally = counted(shadows)
    assert (tally.turns, tally.errors) == (MAX_COPIES, MAX_COPIES)
    assert tally.metrics()["copies_dropped"].value == pytest.approx(10 / (MAX_COPIES + 10))
    assert shadows.begin(SHADOW, hang)
    await shadows.close()


async def test_shadows_that_fail_or_disagree_are_counted() -> None:
    shadows = shadowed()

    async def fail() -> Compared:
        raise Unavailable("no")

    async def rubbish() -> Compared:
        raise KeyError

    async def compare(agrees: float) -> Compared:
        return Compared(0.2, {"intent_agreement": agrees})

    async def nothing() -> None:
        return None

    for copy in (fail, rubbish, nothing, lambda: compare(1.0), lambda: compare(0.0)):
        assert shadows.begin(SHADOW, copy)
    await ended(shadows)
    tally = counted(shadows)
    assert (tally.turns, tally.errors) == (4, 2)
    assert tally.metrics()["intent_agreement"].value == 0.5


@pytest.mark.parametrize(
    ("served", "shadow", "locale", "rate"),
    [
        ("turn on the light", "turn on the light", "en", 0.0), ("turn on the light", "Turn off light", "en", 0.5),
        ("", "", "en", 0.0), ("", "hello", "en", 1.0), ("yes", "", "en", 1.0), ("开灯吧", "关灯吧", "zh-CN", 1 / 3),
    ],
)  # fmt: skip
def test_word_error_rate(served: str, shadow: str, locale: str, rate: float) -> None:
    assert word_error_rate(served, shadow, locale) == pytest.approx(rate)


def test_transcripts_of_any_length_are_compared_in_bounded_time() -> None:
    assert word_error_rate("a " * 1_000_000, "b " * 1_000_000, "en") == 1.0
