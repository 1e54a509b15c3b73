"""The limits of one open stream: idle time, length, bytes; and the announcement of a planned cut.

`guard.py` makes one `SessionClock` per stream. It costs two timers and no task while nothing happens.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

from services.runtime.admission import Limits
from services.runtime.errors import AntiphonError, DeadlineExceeded, QuotaExceeded

Announce = Callable[[str, float], Awaitable[None]]
"""`announce(reason, time_left_s)` tells the client that its session will be cut."""


class SessionClock:
    """Watches one stream and ends its handler's task when a limit is reached; `failure` then says why.

    Args:
        limits: idle, length, notice and bytes.
        announce: sends `SessionEnding` to the client; called once for each reason.
    """

    def __init__(self, limits: Limits, announce: Announce) -> None:
        self.failure: AntiphonError | None = None
        self._limits = limits
        self._announce = announce
        self._loop = asyncio.get_running_loop()
        self._task = asyncio.current_task()
        self._bytes = 0
        self._last = time.monotonic()
        self._announcing: set[asyncio.Task[None]] = set()
        notice_at = max(0.0, limits.session_s - limits.notice_s)
        self._timers = {
            "idle": self._loop.call_later(limits.idle_s, self._check_idle),
            "notice": self._loop.call_later(notice_at, self.announce, "MAX_DURATION", limits.notice_s),
            "length": self._loop.call_later(limits.session_s, self._too_long),
        }

    def took(self, size: int) -> None:
        """Notes one message of `size` bytes from the client. Raises QuotaExceeded past the session's bytes."""
        self._last = time.monotonic()
        self._bytes += size
        if self._bytes > self._limits.session_bytes:
            raise QuotaExceeded(
                f"this session sent more than {self._limits.session_bytes} bytes",
                reason="SESSION_BYTES",
                metadata={"limit": str(self._limits.session_bytes), "subject": "session_bytes"},
            )

    def touch(self) -> None:
        """The server sent something: a client that listens is not idle."""
        self._last = time.monotonic()

    def announce(self, reason: str, time_left_s: float) -> None:
        """Tells the client, without waiting for it, that the session will end in `time_left_s` seconds."""
        task = self._loop.create_task(self._announce_quietly(reason, time_left_s))
        self._announcing.add(task)
        task.add_done_callback(self._announcing.discard)

    def close(self) -> None:
        """Stops all timers."""
        for timer in self._timers.values():
            timer.cancel()
        for task in self._announcing:
            task.cancel()

    async def _announce_quietly(self, reason: str, time_left_s: float) -> None:
        try:
            await self._announce(reason, time_left_s)
        except Exception:  # noqa: BLE001 - the stream is closing anyway: nobody is left to be told
            return

    def _check_idle(self) -> None:
        quiet = time.monotonic() - self._last
        if quiet >= self._limits.idle_s:
            self._fail(DeadlineExceeded(f"nothing was sent for {self._limits.idle_s:g} s", reason="SESSION_IDLE"))
            return
        self._timers["idle"] = self._loop.call_later(self._limits.idle_s - quiet, self._check_idle)

    def _too_long(self) -> None:
        self._fail(
            DeadlineExceeded(
                f"the session reached its {self._limits.session_s:g} s; resume it", reason="SESSION_MAX_DURATION"
            )
        )

    def _fail(self, error: AntiphonError) -> None:
        self.failure = error
        if self._task is not None:
            self._task.cancel()
