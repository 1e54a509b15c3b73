"""Engines that hold the GIL, in processes of their own.

A capability whose engine blocks (pocketsphinx, espeak-ng) keeps a `WorkerPool` in its replica: the event loop does
nothing but move bytes over socketpairs, and a crash of the engine costs its own sessions only. The worker's side is
`worker_process.serve`, called by the target module's `__main__`.

Why not something ready-made: a round trip of 3200 bytes costs 55 us here, 140 with Pipe and a thread, 289 with
ProcessPoolExecutor and 1086 with a Ray actor, and none of those pins a session to a process.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import os
import socket
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from services.runtime.errors import InvalidInput, Unavailable, WorkerLost
from services.runtime.worker_frames import (
    FD_VARIABLE,
    PARENT_VARIABLE,
    FrameReader,
    Kind,
    pack,
    unpack_error,
)

_log = logging.getLogger(__name__)
_CLOCK_TICKS = os.sysconf("SC_CLK_TCK")
_REAP_SECONDS = 0.02
_FIRST_BACKOFF_SECONDS = 0.1
_MAX_BACKOFF_SECONDS = 10.0
_HEALTHY_SECONDS = 30.0  # a worker that lived this long starts the backoff anew
_QUIT_SECONDS = 2.0
_RETRY_AFTER_SECONDS = 0.5
# One process is one core's worth of work: libraries that would start threads of their own are told not to.
_ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}


@dataclass(frozen=True)
class WorkerStats:
    """One live worker as benchmarks and metrics see it; `cpu_seconds` is user + system time since its start."""

    pid: int
    sessions: int
    cpu_seconds: float


class WorkerPool:
    """N processes of one engine, restarted when they die.

    Args:
        target: module to run as `python -m target args…`; its `__main__` calls `worker_process.serve`.
        args: command line arguments of the target.
        size: number of processes; as many as this process may use cores when None.
        max_pending_bytes: per session; `request` waits while more than this is unanswered.
        max_request_bytes: a longer payload is refused with InvalidInput.
        start_timeout: seconds for all workers to be ready.
        env: environment variables on top of this process's own.
    """

    def __init__(
        self,
        target: str,
        args: Sequence[str] = (),
        size: int | None = None,
        *,
        max_pending_bytes: int = 1 << 20,
        max_request_bytes: int = 8 << 20,
        start_timeout: float = 60.0,
        env: Mapping[str, str] | None = None,
    ) -> None:
        self.size = size or len(os.sched_getaffinity(0))
        self.max_pending_bytes = max_pending_bytes
        self.max_request_bytes = max_request_bytes
        self._command = [sys.executable, "-m", target, *args]
        self._start_timeout = start_timeout
        self._env = dict(env or {})
        self._slots = [_Slot(self, index) for index in range(self.size)]
        self._session_ids = itertools.count(1)
        self.closed = False

    async def start(self) -> None:
        """Starts all workers; raises Unavailable when one does not get ready."""
        try:
            async with asyncio.timeout(self._start_timeout):
                await asyncio.gather(*(slot.start() for slot in self._slots))
        except TimeoutError:
            await self.close()
            raise Unavailable("the engine's workers did not start in time", reason="WORKER_START_FAILED") from None
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        """Ends all workers; pending requests fail with WorkerLost."""
        self.closed = True
        await asyncio.gather(*(slot.close() for slot in self._slots))

    def session(self) -> WorkerSession:
        """Opens a session on the least loaded worker; raises Unavailable when no worker is up."""
        live = [slot.worker for slot in self._slots if slot.worker is not None]
        if not live:
            raise Unavailable("no worker is up", reason="NO_WORKER", retry_after=_RETRY_AFTER_SECONDS)
        worker = min(live, key=lambda candidate: candidate.session_count)
        return WorkerSession(worker, next(self._session_ids) & 0xFFFFFFFF, self.max_pending_bytes)

    def stats(self) -> list[WorkerStats]:
        live = [slot.worker for slot in self._slots if slot.worker is not None]
        return [WorkerStats(worker.pid, worker.session_count, _cpu_seconds(worker.pid)) for worker in live]

    def spawn(self) -> tuple[subprocess.Popen[bytes], socket.socket]:
        """Starts one process; returns it with our end of its socketpair."""
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        own = {FD_VARIABLE: str(theirs.fileno()), PARENT_VARIABLE: str(os.getpid())}
        path = os.pathsep.join(entry for entry in sys.path if entry)
        with theirs:
            process = subprocess.Popen(
                self._command,
                env={**os.environ, **_ONE_THREAD, "PYTHONPATH": path, **self._env, **own},
                pass_fds=(theirs.fileno(),),
                stdin=subprocess.DEVNULL,
            )
        return process, ours


class WorkerSession:
    """One session, pinned to one worker for its life. Requests are answered in order."""

    def __init__(self, worker: _Worker, session_id: int, max_pending_bytes: int) -> None:
        self._worker = worker
        self._id = session_id
        self._max_pending = max_pending_bytes
        self._pending = 0
        self._waiters: deque[tuple[int, asyncio.Future[None]]] = deque()  # first come, first served
        self._closed = False
        worker.open(session_id)

    async def request(self, payload: bytes) -> bytes:
        """Sends one request and waits for its answer.

        Waits first while this session has too much unanswered: that is the caller's back-pressure. When cancelled, a
        request that the worker has not begun is dropped there, and a late reply here.

        Raises:
            WorkerLost: the process died, before or during the request; the session is of no more use.
            InvalidInput: the payload is longer than the pool allows.
            AntiphonError: what the engine raised.
        """
        size = len(payload)
        self._worker.check_size(size)
        await self._admit(size)
        try:
            return await self._worker.request(self._id, payload)
        finally:
            self._release(size)

    async def close(self) -> None:
        """Frees the session's state in the worker; pending requests fail with WorkerLost. Safe to call twice."""
        if not self._closed:
            self._closed = True
            self._worker.close_session(self._id)
            for _, waiter in self._waiters:
                if not waiter.done():
                    waiter.set_exception(WorkerLost("the session was closed", reason="SESSION_CLOSED"))
            self._waiters.clear()

    async def _admit(self, size: int) -> None:
        if self._waiters or self._is_full(size):
            waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiters.append((size, waiter))
            try:
                await waiter
            except asyncio.CancelledError:
                if waiter.done() and not waiter.cancelled() and waiter.exception() is None:
                    self._release(size)  # it was our turn already: pass it on
                raise
        else:
            self._pending += size

    def _release(self, size: int) -> None:
        self._pending -= size
        while self._waiters:
            size, waiter = self._waiters[0]
            if not waiter.done():
                if self._is_full(size):
                    return
                self._pending += size
                waiter.set_result(None)
            self._waiters.popleft()

    def _is_full(self, size: int) -> bool:
        return self._pending > 0 and self._pending + size > self._max_pending


class _Slot:
    """One place in the pool: the worker that holds it, and its successors."""

    def __init__(self, pool: WorkerPool, index: int) -> None:
        self.worker: _Worker | None = None  # only while it is ready
        self._pool = pool
        self._index = index
        self._current: _Worker | None = None
        self._backoff = _FIRST_BACKOFF_SECONDS
        self._respawn: asyncio.Task[None] | None = None

    async def start(self) -> None:
        process, channel = self._pool.spawn()
        worker = _Worker(process, self._pool.max_request_bytes, self._lost)
        self._current = worker
        await asyncio.get_running_loop().create_connection(lambda: worker, sock=channel)
        try:
            await worker.ready
        except BaseException:
            worker.kill()
            raise
        if not worker.is_connected:  # it died in the very moment
            raise Unavailable("the engine's worker died at start", reason="WORKER_START_FAILED")
        self.worker = worker

    def _lost(self, worker: _Worker) -> None:
        was_ready = self.worker is worker
        if was_ready:
            self.worker = None
        if self._pool.closed:
            return
        _log.warning("worker %d (pid %d) died", self._index, worker.pid)
        if time.monotonic() - worker.started > _HEALTHY_SECONDS:
            self._backoff = _FIRST_BACKOFF_SECONDS
        if was_ready:  # one that never was ready is `start`'s to report, or the respawn's to repeat
            self._respawn = asyncio.get_running_loop().create_task(self._replace())

    async def _replace(self) -> None:
        while not self._pool.closed:
            await asyncio.sleep(self._backoff)
            self._backoff = min(2 * self._backoff, _MAX_BACKOFF_SECONDS)
            try:
                await self.start()
                return
            except (Unavailable, OSError):
                _log.warning("worker %d did not start; next try in %.1f s", self._index, self._backoff)

    async def close(self) -> None:
        if self._respawn is not None:
            self._respawn.cancel()
            await asyncio.gather(self._respawn, return_exceptions=True)
        self.worker = None
        if self._current is not None:
            await self._current.quit()


class _Worker(asyncio.Protocol):
    """Our end of one worker's socketpair."""

    def __init__(self, process: subprocess.Popen[bytes], max_request: int, lost: Callable[[_Worker], None]) -> None:
        self.pid = process.pid
        self.started = time.monotonic()
        self.ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._exited = asyncio.Event()
        self._process = process
        self._max_request = max_request
        self._on_lost = lost
        self._transport: asyncio.Transport | None = None
        self._reader = FrameReader(max_body=(1 << 32) - 1)
        self._request_ids = itertools.count(1)
        self._sessions: dict[int, dict[int, asyncio.Future[bytes]]] = {}

    @property
    def session_count(self) -> int:
        return len(self._sessions)

    @property
    def is_connected(self) -> bool:
        return self._transport is not None

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports, which Ray Serve runs on, are no subclasses of asyncio's: an isinstance check would fail.
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        for frame in self._reader.feed(data):
            if frame.kind == Kind.READY:
                if not self.ready.done():
                    self.ready.set_result(None)
                continue
            future = self._sessions.get(frame.session, {}).pop(frame.request, None)
            if future is None or future.done():
                continue  # cancelled, or its session was closed: a late reply
            if frame.kind == Kind.REPLY:
                future.set_result(frame.body)
            else:
                future.set_exception(unpack_error(frame.body))

    def connection_lost(self, error: Exception | None) -> None:
        self._transport = None
        self.kill()
        if not self.ready.done():
            self.ready.set_exception(Unavailable("the engine's worker died at start", reason="WORKER_START_FAILED"))
            self.ready.exception()  # whoever waited may be gone
        for session in list(self._sessions):
            self._fail(session, "the engine's process died")
        self._on_lost(self)
        self._reap()

    # for WorkerSession

    def check_size(self, size: int) -> None:
        if size > self._max_request:
            raise InvalidInput(
                f"a request to the engine may have {self._max_request} bytes, not {size}", reason="MESSAGE_TOO_LARGE"
            )

    def open(self, session: int) -> None:
        self._sessions[session] = {}
        self._send(pack(session, 0, Kind.OPEN))

    async def request(self, session: int, payload: bytes) -> bytes:
        pending = self._sessions.get(session)
        if pending is None or self._transport is None:
            raise WorkerLost("the engine's process died", retry_after=_RETRY_AFTER_SECONDS)
        request = next(self._request_ids) & 0xFFFFFFFF
        future: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        pending[request] = future
        self._send(pack(session, request, Kind.REQUEST, payload))
        try:
            return await future
        except asyncio.CancelledError:
            if pending.pop(request, None) is not None:
                self._send(pack(session, request, Kind.CANCEL))
            raise

    def close_session(self, session: int) -> None:
        if session in self._sessions:
            self._fail(session, "the session was closed")
            self._send(pack(session, 0, Kind.CLOSE))

    # for _Slot

    def kill(self) -> None:
        if self._process.poll() is None:
            self._process.kill()

    async def quit(self) -> None:
        """Closes the socket, at which the process leaves by itself; kills it if it does not."""
        if self._transport is not None:
            self._transport.write_eof()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._exited.wait(), _QUIT_SECONDS)
        self.kill()
        await self._exited.wait()

    def _send(self, data: bytes) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(data)

    def _fail(self, session: int, message: str) -> None:
        for future in self._sessions.pop(session).values():
            if not future.done():
                future.set_exception(WorkerLost(message, retry_after=_RETRY_AFTER_SECONDS))

    def _reap(self) -> None:
        """Collects the dead process without a thread and without blocking the loop."""
        if self._process.poll() is None:
            asyncio.get_running_loop().call_later(_REAP_SECONDS, self._reap)
        else:
            self._exited.set()


def _cpu_seconds(pid: int) -> float:
    """User + system time of a process, from /proc/<pid>/stat (proc(5), fields 14 and 15); 0.0 when it is gone."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / _CLOCK_TICKS


__all__ = ["WorkerLost", "WorkerPool", "WorkerSession", "WorkerStats"]
