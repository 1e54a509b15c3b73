"""The contract of a session store, run on each form of it."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from services.runtime.errors import (
    AntiphonError,
    Conflict,
    FailedPrecondition,
    InvalidInput,
    QuotaExceeded,
    Unavailable,
)
from services.runtime.store import (
    ABSENT,
    REMEMBERED_TURNS,
    MemorySessionStore,
    SessionStore,
    StoreLimits,
    sweep_regularly,
)
from services.runtime.store_sqlite import SqliteSessionStore
from tests.fakes.virtual_time import run as run_virtually

pytestmark = pytest.mark.unit

Scenario = Callable[[SessionStore, "SettableClock"], Awaitable[None]]
Run = Callable[[Scenario], None]


class SettableClock:
    """Seconds since 1970 as the test says."""

    def __init__(self) -> None:
        self.time = 1_000.0

    def __call__(self) -> float:
        return self.time


@pytest.fixture(params=["memory", "sqlite"])
def run(request: pytest.FixtureRequest, tmp_path: Path) -> Run:
    limits = StoreLimits(max_entries=4, max_entries_per_tenant=3, max_value_bytes=64)

    async def drive(scenario: Scenario) -> None:
        clock = SettableClock()
        store: SessionStore
        if request.param == "memory":
            store = MemorySessionStore(limits, clock)
        else:
            store = await SqliteSessionStore.open(tmp_path / "sessions.db", limits=limits, now=clock)
        try:
            await scenario(store, clock)
        finally:
            await store.close()

    return lambda scenario: asyncio.run(drive(scenario))


def test_put_then_get(run: Run) -> None:
    async def scenario(store: SessionStore, clock: SettableClock) -> None:
        assert await store.get("acme", "a") is None
        first = await store.put("acme", "a", b"one", ttl=10)
        second = await store.put("acme", "a", b"two", ttl=10)
        assert (first.version, second.version) == (1, 2)
        assert await store.get("acme", "a") == second
        assert second.expires_at == clock.time + 10

    run(scenario)


def test_tenants_do_not_see_each_other(run: Run) -> None:
    async def scenario(store: SessionStore, clock: SettableClock) -> None:
        await store.put("acme", "a", b"one", ttl=10)
        assert await store.get("other", "a") is None
        assert not await store.delete("other", "a")
        await store.put("other", "a", b"theirs", ttl=10, expected=ABSENT)
        found = await store.get("acme", "a")
        assert found is not None
        assert found.value == b"one"

    run(scenario)


def test_compare_and_set(run: Run) -> None:
    async def scenario(store: SessionStore, clock: SettableClock) -> None:
        await store.put("acme", "a", b"one", ttl=10, expected=ABSENT)
        with pytest.raises(Conflict) as lost:
            await store.put("acme", "a", b"again", ttl=10, expected=ABSENT)
        assert lost.value.reason == "VERSION_CONFLICT"
        await store.put("acme", "a", b"two", ttl=10, expected=1)
        with pytest.raises(Conflict):
            await store.put("acme", "a", b"late", ttl=10, expected=1)
        with pytest.raises(Conflict):
            await store.delete("acme", "a", expected=1)
        found = await store.get("acme", "a")
        assert found is not None
        assert (found.value, found.version) == (b"two", 2)

    run(scenario)


def test_of_many_writers_one_wins(run: Run) -> None:
    async def scenario(store: SessionStore, clock: SettableClock) -> None:
        writes = [store.put("acme", "a", bytes([n]), ttl=10, expected=ABSENT) for n in range(20)]
        results = await asyncio.gather(*writes, return_exceptions=True)
        assert sum(not isinstance(r, BaseException) for r in results) == 1
        assert sum(isinstance(r, Conflict) for r in results) == 19

    run(scenario)


def test_a_turn_writes_once(run: Run) -> None:
    async def scenario(store: SessionStore, clock: SettableClock) -> None:
        first = await store.put("acme", "a", b"one", ttl=10, expected=ABSENT, turn="t1")
        assert await store.put("acme", "a", b"repeat", ttl=99, expected=ABSENT, turn="t1") == first
        second = await store.put("acme", "a", b"two", ttl=10, expected=1, turn="t2")
        assert await store.put("acme", "a", b"repeat", ttl=10, expected=1, turn="t1") == second

    run(scenario)


def test_old_turns_are_forgotten(run: Run) -> None:
    async def scenario(store: SessionStore, clock: SettableClock) -> None:
        for n in range(REMEMBERED_TURNS + 1):
            await store.put("acme", "a", b"x", ttl=10, turn=f"t{n}")
        assert (await store.put("acme", "a", b"y", ttl=10, turn="t1")).value == b"x"
        assert (await store.put("acme", "a", b"y", ttl=10, turn="t0")).value == b"y"

    run(scenario)


def test_entries_expire(run: Run) -> None:
    async def scenario(store: SessionStore, clock: SettableClock) -> None:
        await store.put("acme", "a", b"one", ttl=10, turn="t1")
        await store.put("acme", "b", b"two", ttl=20)
        clock.time += 10
        assert await store.get("acme", "a") is None
        assert (await store.put("acme", "a", b"new", ttl=5, expected=ABSENT, turn="t1")).version == 1
        clock.time += 5
        assert await store.sweep() == 1
        assert await store.sweep() == 0
        assert await store.get("acme", "b") is not None

    run(scenario)


def test_delete(run: Run) -> None:
    async def scenario(store: SessionStore, clock: SettableClock) -> None:
        await store.put("acme", "a", b"one", ttl=10)
        assert await store.delete("acme", "a", expected=1)
        assert not await store.delete("acme", "a")
        assert await store.get("acme", "a") is None

    run(scenario)


def test_size_is_bounded_per_tenant_and_over_all(run: Run) -> None:
    async def scenario(store: SessionStore, clock: SettableClock) -> None:
        for key in "abc":
            await store.put("acme", key, b"x", ttl=10)
        with pytest.raises(QuotaExceeded) as full:
            await store.put("acme", "d", b"x", ttl=10)
        assert full.value.reason == "STORE_FULL"
        assert full.value.retry_after
        await store.put("acme", "a", b"y", ttl=10)  # overwriting needs no room
        await store.put("other", "a", b"x", ttl=60)
        with pytest.raises(QuotaExceeded):
            await store.put("other", "b", b"x", ttl=10)
        clock.time += 10  # what has expired makes room without a sweep by anyone
        await store.put("other", "b", b"x", ttl=10)

    run(scenario)


@pytest.mark.parametrize(
    ("key", "value", "ttl", "reason"),
    [("", b"", 1, "STORE_KEY"), ("k" * 513, b"", 1, "STORE_KEY"), ("k", b"x" * 65, 1, "STORE_VALUE_TOO_LARGE"),
     ("k", b"", 0, "STORE_TTL"), ("k", b"", float("nan"), "STORE_TTL")],
)  # fmt: skip
def test_bad_arguments(run: Run, key: str, value: bytes, ttl: float, reason: str) -> None:
    async def scenario(store: SessionStore, clock: SettableClock) -> None:
        with pytest.raises(InvalidInput) as refused:
            await store.put("acme", key, value, ttl=ttl)
        assert refused.value.reason == reason

    run(scenario)


def open_error(path: Path) -> AntiphonError:
    with pytest.raises(AntiphonError) as refused:
        asyncio.run(SqliteSessionStore.open(path))
    return refused.value


def test_a_file_that_is_no_store(tmp_path: Path) -> None:
    path = tmp_path / "sessions.db"
    path.write_bytes(b"this is a text file, long enough to be taken for a header " * 40)
    error = open_error(path)
    assert isinstance(error, FailedPrecondition)
    assert error.reason == "STORE_CORRUPT"
    assert str(path) in error.message


def test_a_damaged_file(tmp_path: Path) -> None:
    path = tmp_path / "sessions.db"

    async def fill() -> None:
        store = await SqliteSessionStore.open(path)
        for n in range(200):
            await store.put("acme", f"k{n}", os.urandom(400), ttl=1000)
        await store.close()

    asyncio.run(fill())
    damaged = bytearray(path.read_bytes())
    damaged[4096:12288] = os.urandom(8192)
    path.write_bytes(damaged)
    assert open_error(path).reason == "STORE_CORRUPT"


def test_a_folder_that_is_missing(tmp_path: Path) -> None:
    assert open_error(tmp_path / "missing" / "sessions.db").reason == "STORE_UNWRITABLE"


def test_a_file_of_another_version(tmp_path: Path) -> None:
    path = tmp_path / "sessions.db"
    with sqlite3.connect(path) as db:
        db.execute("PRAGMA user_version=99")
    db.close()
    assert open_error(path).reason == "STORE_SCHEMA"


def test_a_closed_store_says_so(tmp_path: Path) -> None:
    async def scenario() -> None:
        store = await SqliteSessionStore.open(tmp_path / "sessions.db")
        await store.close()
        with pytest.raises(Unavailable) as refused:
            await store.get("acme", "a")
        assert refused.value.reason == "STORE_CLOSED"

    asyncio.run(scenario())


def test_the_file_is_bounded(tmp_path: Path) -> None:
    async def scenario() -> None:
        store = await SqliteSessionStore.open(tmp_path / "sessions.db", max_file_bytes=256 * 1024)
        writes = [store.put("acme", f"k{n}", os.urandom(16_000), ttl=1000) for n in range(100)]
        results = await asyncio.gather(*writes, return_exceptions=True)
        assert not isinstance(results[0], BaseException)
        assert isinstance(results[-1], QuotaExceeded)
        assert await store.get("acme", "k0") is not None
        await store.close()

    asyncio.run(scenario())


def test_a_busy_file_neither_blocks_the_loop_nor_waits_for_ever(tmp_path: Path) -> None:
    path = tmp_path / "sessions.db"

    async def scenario() -> None:
        store = await SqliteSessionStore.open(path, busy_timeout=0.2)
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        ticks = 0
        write = asyncio.create_task(store.put("acme", "a", b"x", ttl=10))
        while not write.done():
            await asyncio.sleep(0.01)
            ticks += 1
        with pytest.raises(Unavailable) as refused:
            await write
        assert refused.value.reason == "STORE_BUSY"
        assert ticks >= 5
        other.execute("ROLLBACK")
        other.close()
        await store.put("acme", "a", b"x", ttl=10)
        await store.close()

    asyncio.run(scenario())


_COUNTER = """
import asyncio, sys
from pathlib import Path
from services.runtime.errors import Conflict
from services.runtime.store_sqlite import SqliteSessionStore
from tests.fakes.virtual_time import run as run_virtually

async def main() -> None:
    store = await SqliteSessionStore.open(Path(sys.argv[1]), busy_timeout=20)
    for _ in range(40):
        while True:
            found = await store.get("acme", "n")
            count, version = (int(found.value), found.version) if found else (0, 0)
            try:
                await store.put("acme", "n", str(count + 1).encode(), ttl=1000, expected=version)
                break
            except Conflict:
                continue
    await store.close()

asyncio.run(main())
"""


def test_processes_share_the_file(tmp_path: Path) -> None:
    path = tmp_path / "sessions.db"
    children = [subprocess.Popen([sys.executable, "-c", _COUNTER, str(path)]) for _ in range(3)]
    assert [child.wait(timeout=50) for child in children] == [0, 0, 0]

    async def count() -> int:
        store = await SqliteSessionStore.open(path)
        found = await store.get("acme", "n")
        await store.close()
        assert found is not None
        return int(found.value)

    assert asyncio.run(count()) == 120


class AwayAtFirst(MemorySessionStore):
    """Cannot be reached at its first sweep."""

    swept = 0

    async def sweep(self) -> int:
        self.swept += 1
        if self.swept == 1:
            raise Unavailable("away", reason="STORE_GONE")
        return await super().sweep()


def test_what_has_expired_is_dropped_without_being_asked_for() -> None:
    async def scenario() -> int:
        store = AwayAtFirst(now=asyncio.get_running_loop().time)
        await store.put("acme", "key", b"value", ttl=30.0)
        sweeping = asyncio.create_task(sweep_regularly(store, every=60.0))
        await asyncio.sleep(130.0)
        sweeping.cancel()
        return sum(map(len, store._entries.values()))

    assert run_virtually(scenario()) == 0
