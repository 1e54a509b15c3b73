"""Which device answers in a simulated room: whether it is the nearest, whether it is one, and what it waits.

    python -m benchmarks devices [--trials=N]

Claims through two replicas that share a store, without network and gRPC: in memory, with 1 to 5 ms for each step, on a
clock that jumps from event to event, so that what else runs here changes nothing; and in a file, in real time. A person
stands in a room without echo and says the wake word; the second device hears it by a given gap less loud than the
nearest, and further ones less than that. What a device reports differs from what is there:

    microphones                   2 dB standard deviation, which voice and ambience share
    measuring voice, ambience     0.7 dB (half a second of it), 0.3 dB (seconds of it)
    ambience itself               40 dB, 0.5 dB from place to place; the voice has 65 dB at one metre
    the wake word's probability   rises with the signal over noise, 0.03 standard deviation
    clocks of the devices         a second fast to a second slow
    way to the platform           median 30 ms, 95 % within 80 ms

In a troubled network 5 % of the claims are lost and sent again after 300 ms, 5 % come twice, and 2 % a second late.
These are assumptions, not measurements of homes.
"""

from __future__ import annotations

import argparse
import asyncio
import math
import random
import selectors
import statistics
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from services.arbitration.devices.claims import Account, Claims
from services.arbitration.devices.policies import Claim, Policy
from services.runtime.errors import AntiphonError
from services.runtime.store import MemorySessionStore, SessionStore, StoreLimits, Versioned
from services.runtime.store_sqlite import SqliteSessionStore

TRIALS = 1_000
LEAST_NEAREST = 0.95
GAP_DB = 3.0
GAPS_DB = (1.0, 2.0, GAP_DB, 6.0)
AT_ONCE = 50
"""Trials that run together: more would measure this machine's two cores, not the policies."""

_VOICE_DB, _AMBIENCE_DB, _FULL_SCALE_DB = 65.0, 40.0, 100.0


class JumpingClock(selectors.SelectSelector):
    """Waits for nothing: what it would have waited has passed."""

    now = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        self.now += 0.0 if ready else max(0.0, timeout or 0.0)
        return ready


class JumpingLoop(asyncio.SelectorEventLoop):
    """Runs by a `JumpingClock`."""

    def __init__(self) -> None:
        self._clock = JumpingClock()
        super().__init__(self._clock)

    def time(self) -> float:
        return self._clock.now


class RemoteStore(MemorySessionStore):
    """In memory, and as far away as a store of a cluster: between reading and writing others write.

    `way`: seconds that the next step takes.
    """

    def __init__(self, entries: int = 100_000, way: Callable[[], float] = lambda: random.uniform(0.001, 0.005)) -> None:
        super().__init__(StoreLimits(max_entries=entries), now)
        self.way = way

    async def get(self, tenant: str, key: str) -> Versioned | None:
        await asyncio.sleep(self.way())
        return await super().get(tenant, key)

    async def put(
        self, tenant: str, key: str, value: bytes, *, ttl: float, expected: int | None = None, turn: str = ""
    ) -> Versioned:
        await asyncio.sleep(self.way())
        return await super().put(tenant, key, value, ttl=ttl, expected=expected, turn=turn)


def now() -> float:
    """Seconds on the clock of the running loop."""
    return asyncio.get_running_loop().time()


@dataclass(frozen=True)
class Trouble:
    """Shares of the claims that this happens to."""

    lost: float = 0.0
    twice: float = 0.0
    late: float = 0.0


QUIET, TROUBLED = Trouble(), Trouble(0.05, 0.05, 0.02)


@dataclass(frozen=True)
class Told:
    """What one device was told in the end.

    Attributes:
        waited: for the first answer, in seconds.
        held_up: its claim was lost or late on the way.
        asked: the platform has answered.
    """

    device: int
    granted: bool
    waited: float
    held_up: bool
    asked: bool = True


def heard(rng: random.Random, gap: float, devices: int) -> list[Claim]:
    """What the devices of one room report, the nearest first."""
    distance = rng.uniform(0.7, 2.5)
    claims = []
    for at in range(devices):
        away = distance * 10 ** ((gap * at + (rng.uniform(0, 6) if at > 1 else 0.0)) / 20)
        voice, ambience = _VOICE_DB - 20 * math.log10(away), _AMBIENCE_DB + rng.gauss(0, 0.5)
        microphone = rng.gauss(0, 2.0) - _FULL_SCALE_DB
        sure = 1 / (1 + math.exp(-(voice - ambience) / 5)) + rng.gauss(0, 0.03)
        claims.append(
            Claim(
                activation_id=f"a{at}",
                device_id=f"d{at}",
                room="room",
                wake_time=now() + rng.uniform(-1, 1),
                voice_db=voice + microphone + rng.gauss(0, 0.7),
                ambient_db=ambience + microphone + rng.gauss(0, 0.3),
                wake_score=min(1.0, max(0.0, sure)),
                arrived=0.0,
            )
        )
    return claims


async def device(
    rng: random.Random, replicas: Sequence[Claims], account: Account, claim: Claim, policy: Policy, trouble: Trouble
) -> Told:
    """Claims as a device does: again after a loss, and again while the grant is provisional."""
    await asyncio.sleep(rng.lognormvariate(math.log(0.03), 0.6))
    late, lost = rng.random() < trouble.late, rng.random() < trouble.lost
    await asyncio.sleep(1.0 * late + 0.3 * lost)

    async def ask() -> tuple[bool, bool]:
        verdict = await rng.choice(replicas).claim(account, "alexa", replace(claim, arrived=now()), policy)
        return verdict.granted, verdict.provisional

    at = int(claim.device_id[1:])
    began = now()
    try:
        asked = [asyncio.create_task(ask()) for _ in range(2 if rng.random() < trouble.twice else 1)]
        done, _ = await asyncio.wait(asked, return_when=asyncio.FIRST_COMPLETED)
        waited = now() - began
        await asyncio.gather(*asked)
        granted, provisional = next(iter(done)).result()
        while provisional:
            granted, provisional = await ask()
    except AntiphonError:
        return Told(at, granted=False, waited=now() - began, held_up=late or lost, asked=False)
    return Told(at, granted, waited, late or lost)


async def trials(
    store: Sequence[SessionStore], policy: Policy, gap: float, trouble: Trouble, count: int, devices: int
) -> list[list[Told]]:
    """What all devices of each trial were told."""
    replicas = [Claims(one, now=now) for one in store]
    rng = random.Random(f"{policy} {gap} {trouble} {devices}")
    made: list[list[Told]] = []

    async def one(number: int) -> list[Told]:
        account = Account(f"home {number}", f"{policy} {gap} {trouble}")
        claims = heard(rng, gap, devices)
        return list(await asyncio.gather(*(device(rng, replicas, account, one, policy, trouble) for one in claims)))

    for at in range(0, count, AT_ONCE):
        made += await asyncio.gather(*(one(number) for number in range(at, min(count, at + AT_ONCE))))
    for claims in replicas:
        await claims.close()
    return made


def nearest(told: Sequence[Sequence[Told]]) -> float:
    """Share of the trials in which the nearest device answers."""
    return statistics.fmean(any(one.granted and one.device == 0 for one in trial) for trial in told)


def nearest_in_time(told: Sequence[Sequence[Told]]) -> float:
    """The same among the trials in which its claim was neither lost nor late."""
    return nearest([trial for trial in told if not any(one.device == 0 and one.held_up for one in trial)])


def alone(told: Sequence[Sequence[Told]]) -> int:
    """Trials in which exactly one answers."""
    return sum(sum(one.granted for one in trial) == 1 for trial in told)


def wait_ms(told: Sequence[Sequence[Told]]) -> tuple[float, float]:
    """Median and 95th percentile of the winner's wait for leave to answer."""
    waits = [one.waited * 1000 for trial in told for one in trial if one.granted]
    return statistics.median(waits), statistics.quantiles(waits, n=20)[18]


async def on_a_slow_store(policy: Policy, count: int) -> bool:
    """Four devices, a quiet network, a store that takes its time: prints a line, and whether the nearest answers."""
    store = RemoteStore(10 * count, lambda: random.uniform(0.005, 0.02))
    told = await trials([store, store], policy, GAP_DB, QUIET, count, 4)
    p50, p95 = wait_ms(told)
    held = alone(told) == count and (nearest(told) >= LEAST_NEAREST or policy is Policy.FIRST)
    print(f"  {policy:<12}nearest {nearest(told):6.1%}   wait of the winner p50 {p50:3.0f} ms, p95 {p95:3.0f} ms")
    return held


async def by_gap(policy: Policy, count: int) -> bool:
    """Two devices, a quiet network: prints a line; whether the nearest answers often enough."""
    told = {}
    for gap in GAPS_DB:
        store = RemoteStore(10 * count)
        told[gap] = await trials([store, store], policy, gap, QUIET, count, 2)
    shares = "   ".join(f"{gap:g} dB {nearest(one):6.1%}" for gap, one in told.items())
    p50, p95 = wait_ms(told[GAP_DB])
    share, good = nearest(told[GAP_DB]), alone(told[GAP_DB])
    held = good == count and (share >= LEAST_NEAREST or policy is Policy.FIRST)
    limit = "no limit" if policy is Policy.FIRST else f"limit {LEAST_NEAREST:.0%}  {'PASS' if held else 'MISS'}"
    print(
        f"  {policy:<12}{shares}   at {GAP_DB:g} dB {limit}   wait of the winner p50 {p50:3.0f} ms, p95 {p95:3.0f} ms"
    )
    return held


def exactly_one(told: Sequence[Sequence[Told]], where: str, policy: Policy) -> bool:
    """Prints a line; whether it holds."""
    good, count = alone(told), len(told)
    unheard = sum(not one.asked for trial in told for one in trial)
    verdict = f"{good} of {count}  {'PASS' if good == count else 'MISS'}"
    print(
        f"  {where:<8}{policy:<12}exactly one: {verdict}   nearest {nearest(told):.1%}, "
        f"{nearest_in_time(told):.1%} where its claim came in time, refused {unheard}"
    )
    return good == count


async def in_memory(count: int) -> bool:
    """On the jumping clock."""
    random.seed(5)
    print(f"two devices, two replicas, {count} trials each; the nearest answers, by gap:")
    held = [await by_gap(policy, count) for policy in Policy]
    print(f"four devices, {GAP_DB:g} dB and more apart, a store that takes 5 to 20 ms a step:")
    held += [await on_a_slow_store(policy, count) for policy in Policy]
    print(f"three devices, {GAP_DB:g} dB and more apart, two replicas, troubled network:")
    for policy in Policy:
        store = RemoteStore(10 * count)
        told = await trials([store, store], policy, GAP_DB, TROUBLED, count, 3)
        held.append(exactly_one(told, "memory", policy))
    return all(held)


async def in_a_file(count: int) -> bool:
    """In real time."""
    with tempfile.TemporaryDirectory() as folder:
        stores = [await SqliteSessionStore.open(Path(folder) / "claims.sqlite3") for _ in range(2)]
        told = {policy: await trials(stores, policy, GAP_DB, TROUBLED, count, 3) for policy in Policy}
        for store in stores:
            await store.close()
    held = [exactly_one(one, "file", policy) for policy, one in told.items()]
    return all(held)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=TRIALS, help=f"of each setting (default {TRIALS})")
    count = parser.parse_args(arguments).trials
    with asyncio.Runner(loop_factory=JumpingLoop) as runner:
        runner.run(in_memory(count))
    asyncio.run(in_a_file(count))


if __name__ == "__main__":
    main()
