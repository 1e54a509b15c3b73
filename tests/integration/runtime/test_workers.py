"""`WorkerPool` with real processes: what a replica relies on when an engine dies, hangs or floods."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from services.runtime.errors import FailedPrecondition, Internal, InvalidInput, Unavailable, WorkerLost
from services.runtime.workers import WorkerPool, WorkerSession

pytestmark = pytest.mark.integration

TARGET = "tests.integration.runtime.echo_worker"


@contextlib.asynccontextmanager
async def running(size: int = 1, **options: int) -> AsyncIterator[WorkerPool]:
    pool = WorkerPool(TARGET, size=size, **options)  # type: ignore[arg-type]
    await pool.start()
    try:
        yield pool
    finally:
        await pool.close()


async def until(condition: Callable[[], bool], seconds: float = 5.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        await asyncio.sleep(0.01)


async def pid_of(session: WorkerSession) -> int:
    return int(await session.request(b"pid"))


def is_alive(pid: int) -> bool:
    try:
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False


async def test_echoes_small_and_huge_payloads() -> None:
    async with running(max_request_bytes=8 << 20) as pool:
        session = pool.session()
        huge = os.urandom(8 << 20)
        assert await session.request(b"") == b""
        assert await session.request(huge) == huge
        with pytest.raises(InvalidInput) as refused:
            await session.request(huge + b"!")
        assert refused.value.reason == "MESSAGE_TOO_LARGE"
        assert await session.request(b"still here") == b"still here"


async def test_starts_fast() -> None:
    begin = time.monotonic()
    async with running(size=2) as pool:
        assert time.monotonic() - begin < 2.0
        assert len(pool.stats()) == 2


async def test_pins_sessions_to_the_least_loaded_worker() -> None:
    async with running(size=2) as pool:
        sessions = [pool.session() for _ in range(40)]
        pids = await asyncio.gather(*(pid_of(session) for session in sessions))
        assert sorted(pids.count(pid) for pid in set(pids)) == [20, 20]
        assert [await pid_of(session) for session in sessions] == pids
        for session, pid in zip(sessions, pids, strict=True):
            if pid == pids[0]:
                await session.close()
        assert await pid_of(pool.session()) == pids[0]


async def test_many_sessions_at_once_keep_their_own_state_and_order() -> None:
    async with running(size=2) as pool:
        sessions = [pool.session() for _ in range(200)]

        async def count(session: WorkerSession) -> list[bytes]:
            return list(await asyncio.gather(*(session.request(b"count") for _ in range(10))))

        for counted in await asyncio.gather(*(count(session) for session in sessions)):
            assert counted == [str(n).encode() for n in range(1, 11)]


async def test_closing_a_session_frees_its_state_in_the_worker() -> None:
    async with running() as pool:
        first, second = pool.session(), pool.session()
        assert await first.request(b"open") == b"2"
        await second.close()
        await second.close()
        assert await first.request(b"open") == b"1"
        with pytest.raises(WorkerLost):
            await second.request(b"count")
        assert pool.stats()[0].sessions == 1


async def test_close_while_pending_fails_the_request_and_drops_what_was_queued() -> None:
    async with running() as pool:
        session, other = pool.session(), pool.session()
        pending = [asyncio.create_task(session.request(b"sleep 0.2")) for _ in range(20)]
        await asyncio.sleep(0.05)
        begin = time.monotonic()
        await session.close()
        results = await asyncio.gather(*pending, return_exceptions=True)
        assert all(isinstance(result, WorkerLost) for result in results)
        assert await other.request(b"open") == b"1"
        assert time.monotonic() - begin < 0.5  # one request was in hand, nineteen were never begun


async def test_cancelled_request_is_dropped_and_its_late_reply_harms_nobody() -> None:
    async with running() as pool:
        session = pool.session()
        slow = asyncio.create_task(session.request(b"sleep 0.2"))
        queued = asyncio.create_task(session.request(b"sleep 5"))
        await asyncio.sleep(0.05)
        slow.cancel()
        queued.cancel()
        await asyncio.gather(slow, queued, return_exceptions=True)
        async with asyncio.timeout(2):
            assert await session.request(b"next") == b"next"
            assert await session.request(b"count") == b"3"  # sleep 0.2, next, count: `sleep 5` was never begun


async def test_flooding_session_delays_another_by_one_request_only() -> None:
    async with running() as pool:
        flood, other = pool.session(), pool.session()
        pending = [asyncio.create_task(flood.request(b"burn 0.02")) for _ in range(50)]
        await asyncio.sleep(0.05)
        begin = time.monotonic()
        await other.request(b"hello")
        assert time.monotonic() - begin < 0.3
        await flood.close()
        await asyncio.gather(*pending, return_exceptions=True)


async def test_too_much_pending_waits() -> None:
    async with running(max_pending_bytes=100) as pool:
        session = pool.session()
        first = asyncio.create_task(session.request(b"sleep 0.3"))
        await asyncio.sleep(0.05)
        waiting = [asyncio.create_task(session.request(b"x" * 60)) for _ in range(5)]
        given_up = asyncio.create_task(session.request(b"x" * 99))
        await asyncio.sleep(0.05)
        given_up.cancel()
        assert not any(task.done() for task in waiting)
        await first
        assert await asyncio.gather(*waiting) == [b"x" * 60] * 5
        assert await session.request(b"count") == b"7"


async def test_killed_worker_fails_its_sessions_only_and_comes_back() -> None:
    async with running(size=2) as pool:
        doomed, safe = pool.session(), pool.session()
        pid = await pid_of(doomed)
        utterance = asyncio.create_task(doomed.request(b"sleep 5"))
        await asyncio.sleep(0.05)
        os.kill(pid, signal.SIGKILL)
        with pytest.raises(WorkerLost) as lost:
            await asyncio.wait_for(utterance, 1)
        assert lost.value.retryable
        with pytest.raises(WorkerLost):
            await doomed.request(b"count")
        await doomed.close()
        assert await safe.request(b"safe") == b"safe"
        assert await pool.session().request(b"new") == b"new"
        await until(lambda: len(pool.stats()) == 2)
        assert await pid_of(pool.session()) != pid
        await until(lambda: not Path(f"/proc/{pid}").exists())


async def test_no_worker_is_a_typed_error_with_retry() -> None:
    async with running() as pool:
        session = pool.session()
        with pytest.raises(WorkerLost):
            await session.request(b"die")
        with pytest.raises(Unavailable) as refused:
            pool.session()
        assert refused.value.retry_after
        await until(lambda: len(pool.stats()) == 1)
        assert await pool.session().request(b"back") == b"back"


async def test_engine_errors_keep_their_class_and_foreign_ones_lose_their_text() -> None:
    async with running() as pool:
        session = pool.session()
        with pytest.raises(FailedPrecondition) as failed:
            await session.request(b"fail")
        assert (failed.value.reason, failed.value.field) == ("NO_MODEL", "config.model")
        with pytest.raises(Internal) as crashed:
            await session.request(b"crash")
        assert "user" not in str(crashed.value)
        assert await session.request(b"on") == b"on"


async def test_worker_that_cannot_start_is_reported() -> None:
    pool = WorkerPool(TARGET, ["--broken"], size=2)
    with pytest.raises(Unavailable) as failed:
        await pool.start()
    assert failed.value.reason == "WORKER_START_FAILED"


async def test_cpu_seconds_are_those_of_the_worker() -> None:
    async with running() as pool:
        before = pool.stats()[0].cpu_seconds
        await pool.session().request(b"burn 0.3")
        assert 0.25 < pool.stats()[0].cpu_seconds - before < 0.6


async def test_closing_the_pool_ends_busy_workers_and_pending_requests() -> None:
    async with running(size=2) as pool:
        session = pool.session()
        pids = [stats.pid for stats in pool.stats()]
        pending = asyncio.create_task(session.request(b"sleep 30"))
        await asyncio.sleep(0.05)
    with pytest.raises(WorkerLost):
        await pending
    assert not any(is_alive(pid) for pid in pids)


async def test_workers_die_with_a_parent_that_was_killed() -> None:
    script = (
        "import asyncio\n"
        "from services.runtime.workers import WorkerPool\n"
        "async def main():\n"
        f"    pool = WorkerPool({TARGET!r}, size=2)\n"
        "    await pool.start()\n"
        "    task = asyncio.create_task(pool.session().request(b'sleep 30'))\n"
        "    await asyncio.sleep(0)\n"
        "    print(*(stats.pid for stats in pool.stats()), flush=True)\n"
        "    await task\n"
        "asyncio.run(main())\n"
    )
    path = os.pathsep.join(entry for entry in sys.path if entry)
    parent = subprocess.Popen(  # noqa: ASYNC220 - the test waits for nothing else
        [sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": path}
    )
    assert parent.stdout is not None
    pids = [int(pid) for pid in parent.stdout.readline().split()]
    assert len(pids) == 2
    assert all(is_alive(pid) for pid in pids)
    parent.kill()
    parent.communicate()
    await until(lambda: not any(is_alive(pid) for pid in pids), 2.0)
