"""The session store on a real Redis server: its contract, and what becomes of it when the server dies."""

from __future__ import annotations

import asyncio
import itertools
import logging
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from redis.asyncio import Redis

from services.runtime.errors import Conflict, FailedPrecondition, QuotaExceeded, Unavailable
from services.runtime.spec import Runtime
from services.runtime.store import ABSENT, SessionStore, StoreLimits
from services.runtime.store_redis import RedisSessionStore
from services.runtime.stores import check_store, open_store
from tests.fixtures.redis_server import RedisServer
from tests.fixtures.store_contract import LIMITS, Run, SettableClock, StoreContract, runner

pytestmark = pytest.mark.integration

_spaces = itertools.count()


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with RedisServer(tmp_path_factory.mktemp("redis")) as server:
        yield server


def space() -> str:
    """Each test has entries of its own."""
    return f"test-{next(_spaces)}"


class TestRedis(StoreContract):
    @pytest.fixture
    def run(self, redis: RedisServer) -> Run:
        async def opened(clock: SettableClock) -> SessionStore:
            return await RedisSessionStore.open(redis.url, space(), limits=LIMITS, now=clock)

        return runner(opened)


async def test_the_servers_clock_counts_and_what_has_expired_is_gone_by_itself(redis: RedisServer) -> None:
    store = await RedisSessionStore.open(redis.url, space())
    await store.put("acme", "a", b"one", ttl=0.1)
    assert await store.get("acme", "a") is not None
    await asyncio.sleep(0.15)
    assert await store.get("acme", "a") is None
    assert (await store.put("acme", "a", b"two", ttl=10, expected=ABSENT)).version == 1
    assert await store.sweep() == 0
    await store.close()


async def test_what_counts_entries_does_not_outgrow_them(redis: RedisServer) -> None:
    clock, name = SettableClock(), space()
    store = await RedisSessionStore.open(redis.url, name, now=clock)
    for number in range(50):
        await store.put("acme", f"turn-{number}", b"x", ttl=10)
        clock.time += 9
    async with Redis.from_url(redis.url) as client:
        counted = [await client.zcard(f"{{antiphon:{name}}}{of}") for of in ("live", "tenant:acme")]
    assert counted == [2, 2]
    await store.close()


async def test_names_that_run_together_stay_apart(redis: RedisServer) -> None:
    store = await RedisSessionStore.open(redis.url, space())
    other = await RedisSessionStore.open(redis.url, space())
    await store.put("a:b", "c", b"\x00\xff binary \n", ttl=10, turn="1")
    await store.put("a", "b:c", b"two", ttl=10)
    found = await store.get("a:b", "c")
    assert found is not None
    assert found.value == b"\x00\xff binary \n"
    assert await other.get("a", "b:c") is None
    await store.close()
    await other.close()


async def test_replicas_count_together(redis: RedisServer) -> None:
    shared = space()
    stores = [await RedisSessionStore.open(redis.url, shared) for _ in range(3)]

    async def count(store: SessionStore) -> None:
        for _ in range(40):
            while True:
                found = await store.get("acme", "n")
                number, version = (int(found.value), found.version) if found else (0, ABSENT)
                try:
                    await store.put("acme", "n", str(number + 1).encode(), ttl=100, expected=version)
                    break
                except Conflict:
                    continue

    await asyncio.gather(*map(count, stores))
    found = await stores[0].get("acme", "n")
    assert found is not None
    assert (found.value, found.version) == (b"120", 120)
    for store in stores:
        await store.close()


async def test_a_server_that_is_killed(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """What was acknowledged is there again afterwards; what was not is refused, with a reason."""
    caplog.set_level(logging.DEBUG)
    acknowledged: list[int] = []
    enough = asyncio.Event()
    with RedisServer(tmp_path) as server:
        store = await RedisSessionStore.open(server.url, "sessions", timeout=0.5)

        async def write() -> Unavailable:
            for number in itertools.count():
                try:
                    await store.put("acme", f"secret-{number}", b"x", ttl=100)
                    acknowledged.append(number)
                    if number == 50:
                        enough.set()
                except Unavailable as error:
                    return error
            raise AssertionError

        writing = asyncio.create_task(write())
        await enough.wait()
        await asyncio.to_thread(server.kill)
        error = await asyncio.wait_for(writing, 5)
        assert error.reason in ("STORE_GONE", "STORE_TIMEOUT")
        assert "127.0.0.1" not in error.message
        with pytest.raises(Unavailable):
            await store.get("acme", "secret-0")
        await asyncio.to_thread(server.start)
        for number in acknowledged:
            assert await store.get("acme", f"secret-{number}") is not None, f"entry {number} is lost"
        await store.put("acme", "secret-0", b"again", ttl=100, expected=1)
        await store.close()
    assert "secret" not in caplog.text


async def test_a_server_that_hangs_holds_nobody() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:  # takes connections and never answers
        url = f"redis://127.0.0.1:{silent.getsockname()[1]}/0"
        began = asyncio.get_running_loop().time()
        with pytest.raises(Unavailable) as refused:
            await RedisSessionStore.open(url, "sessions", timeout=0.2, patience=0.0)
        assert refused.value.reason == "STORE_TIMEOUT"
        assert asyncio.get_running_loop().time() - began < 2.0


async def test_a_password_comes_from_the_environment_alone(tmp_path: Path) -> None:
    with RedisServer(tmp_path / "redis", "open sesame") as server:
        runtime = Runtime("grpc", "pool", store_url=server.url)
        with pytest.raises(FailedPrecondition) as refused:
            await open_store(runtime, "sessions.sqlite3", environment={})
        assert refused.value.reason == "STORE_REFUSED"
        with pytest.raises(FailedPrecondition) as refused:
            await open_store(runtime, "sessions.sqlite3", environment={"ANTIPHON_STORE_PASSWORD": "wrong"})
        assert refused.value.reason == "STORE_REFUSED"
        assert "wrong" not in refused.value.message
        (tmp_path / "secret").write_text("open sesame\n")
        given = {"ANTIPHON_STORE_PASSWORD_FILE": str(tmp_path / "secret")}
        store = await open_store(runtime, "sessions.sqlite3", environment=given)
        await store.put("acme", "a", b"x", ttl=10)
        await store.close()
        with pytest.raises(Unavailable) as closed:
            await store.get("acme", "a")
        assert closed.value.reason == "STORE_CLOSED"


async def test_a_server_that_is_full(tmp_path: Path) -> None:
    with RedisServer(tmp_path, "", "--maxmemory", "3mb", "--maxmemory-policy", "noeviction") as server:
        limits = StoreLimits(max_value_bytes=1 << 20)
        store = await RedisSessionStore.open(server.url, "sessions", limits=limits)
        writes = [store.put("acme", f"k{number}", bytes(500_000), ttl=100) for number in range(20)]
        results = await asyncio.gather(*writes, return_exceptions=True)
        refusals = [result for result in results if isinstance(result, QuotaExceeded)]
        assert {refusal.reason for refusal in refusals} == {"STORE_FULL"}
        assert await store.get("acme", "k0") is not None
        await store.close()


@pytest.mark.parametrize(
    "url", ["", "localhost:6379", "http://localhost", "redis://", "redis://:hidden@localhost", "redis://localhost:x",
            "rediss://localhost?ssl_cert_reqs=none"],
)  # fmt: skip
async def test_addresses_that_are_none(url: str) -> None:
    with pytest.raises(FailedPrecondition) as refused:
        await RedisSessionStore.open(url, "sessions")
    assert refused.value.reason == "SETTINGS_INVALID"
    assert "hidden" not in refused.value.message


class TestBeforeTheStart:
    async def test_a_server_that_answers_is_enough(self, tmp_path: Path) -> None:
        with RedisServer(tmp_path) as server:
            await check_store(server.url, environment={})

    async def test_one_that_is_not_there_is_named(self) -> None:
        with pytest.raises(Unavailable, match=r"nothing answers at 127\.0\.0\.1:1 .*ANTIPHON_STORE_URL"):
            await check_store("redis://127.0.0.1:1/0", environment={})
