"""The contract of a session store, run on each form of it."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from services.runtime.errors import (
    AntiphonError,
    FailedPrecondition,
    QuotaExceeded,
    Unavailable,
)
from services.runtime.store import (
    MemorySessionStore,
    SessionStore,
    sweep_regularly,
)
from services.runtime.store_sqlite import SqliteSessionStore
from tests.fakes.virtual_time import run as run_virtually
from tests.fixtures.store_contract import LIMITS, Run, SettableClock, StoreContract, runner

pytestmark = pytest.mark.unit


class TestMemory(StoreContract):
    @pytest.fixture
    def run(self) -> Run:
        async def opened(clock: SettableClock) -> SessionStore:
            return MemorySessionStore(LIMITS, clock)

        return runner(opened)


class TestSqlite(StoreContract):
    @pytest.fixture
    def run(self, tmp_path: Path) -> Run:
        return runner(lambda clock: SqliteSessionStore.open(tmp_path / "sessions.db", limits=LIMITS, now=clock))


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
