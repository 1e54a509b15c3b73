"""The limits of one open stream: idle time, length, bytes; and the announcement of a planned cut.

`guard.py` makes one `SessionClock` per stream. It costs two timers and no task while nothing happens.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from services.runtime.admission import Limits
from services.runtime.errors import AntiphonError, DeadlineExceeded, Draining, QuotaExceeded

Announce = Callable[[str, float], Awaitable[None]]
"""`announce(reason, time_left_s)` tells the client that its session will be cut."""

# How long an announcement may wait for a client that does not read.
ANNOUNCE_S = 0.5
_CLOCK_SLACK_S = 0.001  # a timer may fire this much before its time


class SessionClock:
    """Watches one stream and ends its handler's task when a limit is reached; `failure` then says why.

    Args:
        limits: idle, length, notice and bytes.
        announce: sends `SessionEnding` to the client.
    """

    def __init__(self, limits: Limits, announce: Announce) -> None:
        self.failure: AntiphonError | None = None
        self._limits = limits
        self._announce = announce
        self._loop = asyncio.get_running_loop()
        self._task = asyncio.current_task()
        self._bytes = 0
        self._last = self._started = self._loop.time()
        self._warned_at = -1.0
        self._announcing: set[asyncio.Task[None]] = set()
        # Half the limit at most: a short limit must not be announced as soon as the stream is quiet or open.
        self._idle_notice_s = min(limits.notice_s, limits.idle_s / 2)
        notice_s = min(limits.notice_s, limits.session_s / 2)
        self._timers = {
            "idle": self._loop.call_later(limits.idle_s - self._idle_notice_s, self._check_idle),
            "notice": self._loop.call_later(limits.session_s - notice_s, self.announce, "MAX_DURATION", notice_s),
            "length": self._loop.call_later(limits.session_s, self._fail, _too_long(limits)),
        }

    def took(self, size: int) -> bool:
        """Notes one message of `size` bytes from the client; False when the session has sent too many bytes."""
        self._last = self._loop.time()
        self._bytes += size
        return self._bytes <= self._limits.session_bytes

    async def too_many_bytes(self) -> QuotaExceeded:
        """Announces the cut of a session that sent too much, and is the error it ends with."""
        await self._announce_quietly("QUOTA", 0.0)
        return QuotaExceeded(
            f"this session sent more than {self._limits.session_bytes} bytes",
            reason="SESSION_BYTES",
            metadata={"limit": str(self._limits.session_bytes), "subject": "session_bytes"},
        )

    def touch(self) -> None:
        """The server sent something: a client that listens is not idle."""
        self._last = self._loop.time()

    def drain(self, grace_s: float) -> None:
        """Announces that the replica goes, and cuts the stream when `grace_s` seconds are over."""
        left = max(0.0, min(grace_s, self._started + self._limits.session_s - self._loop.time()))
        self.announce("DRAINING", left)
        self._timers["drain"] = self._loop.call_later(
            grace_s, self._fail, Draining("this replica has shut down; connect again", retry_after=0.5)
        )

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
            async with asyncio.timeout(ANNOUNCE_S):  # a client that does not read is cut all the same
                await self._announce(reason, time_left_s)
        except Exception:  # noqa: BLE001 - the stream is closing anyway: nobody is left to be told
            return

    def _check_idle(self) -> None:
        quiet = self._loop.time() - self._last
        if quiet >= self._limits.idle_s - _CLOCK_SLACK_S:
            self._fail(DeadlineExceeded(f"nothing was sent for {self._limits.idle_s:g} s", reason="SESSION_IDLE"))
            return
        if quiet >= self._limits.idle_s - self._idle_notice_s - _CLOCK_SLACK_S:
            if self._warned_at != self._last:
                self._warned_at = self._last
                self.announce("IDLE", self._limits.idle_s - quiet)
            wait = self._limits.idle_s - quiet
        else:
            wait = self._limits.idle_s - self._idle_notice_s - quiet
        self._timers["idle"] = self._loop.call_later(wait, self._check_idle)

    def _fail(self, error: AntiphonError) -> None:
        self.failure = error
        if self._task is not None:
            self._task.cancel()


def _too_long(limits: Limits) -> DeadlineExceeded:
    return DeadlineExceeded(f"the session reached its {limits.session_s:g} s; resume it", reason="SESSION_MAX_DURATION")
