"""Limits of a stream, on a clock that jumps."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from services.runtime.admission import Limits
from services.runtime.errors import AntiphonError, QuotaExceeded
from services.runtime.sessions import ANNOUNCE_S, SessionClock
from tests.fixtures.jumping_loop import run

pytestmark = pytest.mark.unit

LIMITS = Limits(idle_s=30.0, session_s=600.0, notice_s=10.0, session_bytes=1000)
Announced = list[tuple[float, str, float]]


class Ended:
    """How and when a session ended, and what was announced when."""

    def __init__(self) -> None:
        self.announced: Announced = []
        self.at = 0.0
        self.failure: AntiphonError | None = None


def session(behave: Callable[[SessionClock], Awaitable[None]], limits: Limits = LIMITS) -> Ended:
    """Runs a handler that does `behave` under a clock."""
    ended = Ended()

    async def main() -> None:
        loop = asyncio.get_running_loop()

        async def announce(reason: str, time_left_s: float) -> None:
            ended.announced.append((round(loop.time(), 3), reason, round(time_left_s, 3)))

        async def handler() -> None:
            clock = SessionClock(limits, announce)
            try:
                await behave(clock)
            except asyncio.CancelledError:
                ended.failure = clock.failure
            finally:
                clock.close()
                ended.at = round(loop.time(), 2)

        await asyncio.create_task(handler())

    run(main())
    return ended


async def wait(clock: SessionClock) -> None:
    await asyncio.sleep(10_000)


async def talk(clock: SessionClock) -> None:
    while True:
        clock.took(0)
        await asyncio.sleep(1.0)


def test_a_quiet_session_is_warned_and_cut() -> None:
    ended = session(wait)
    assert ended.announced == [(20.0, "IDLE", 10.0)]
    assert ended.at == 30.0
    assert ended.failure is not None
    assert ended.failure.reason == "SESSION_IDLE"


def test_who_answers_the_warning_goes_on() -> None:
    async def answer(clock: SessionClock) -> None:
        await asyncio.sleep(25.0)
        clock.took(1)
        await asyncio.sleep(25.0)
        clock.touch()
        await asyncio.sleep(19.0)

    ended = session(answer)
    assert ended.announced == [(20.0, "IDLE", 10.0), (45.0, "IDLE", 10.0)]
    assert ended.failure is None
    assert ended.at == 69.0


def test_a_session_that_talks_lasts_its_full_length() -> None:
    ended = session(talk)
    assert ended.announced == [(590.0, "MAX_DURATION", 10.0)]
    assert ended.at == 600.0
    assert ended.failure is not None
    assert ended.failure.reason == "SESSION_MAX_DURATION"


def test_short_sessions_are_not_announced_before_they_have_begun() -> None:
    limits = Limits(idle_s=30.0, session_s=4.0, notice_s=10.0)
    assert session(talk, limits).announced == [(2.0, "MAX_DURATION", 2.0)]


def test_too_many_bytes() -> None:
    async def send(clock: SessionClock) -> None:
        assert clock.took(1000)
        assert not clock.took(1)
        assert (await clock.too_many_bytes()).reason == "SESSION_BYTES"

    assert session(send).announced == [(0.0, "QUOTA", 0.0)]


def test_draining_leaves_the_grace_period() -> None:
    async def drained(clock: SessionClock) -> None:
        await asyncio.sleep(5.0)
        clock.drain(12.0)
        await talk(clock)

    ended = session(drained)
    assert ended.announced == [(5.0, "DRAINING", 12.0)]
    assert ended.at == 17.0
    assert ended.failure is not None
    assert (ended.failure.reason, ended.failure.retryable) == ("DRAINING", True)


def test_draining_promises_no_more_than_the_session_has_left() -> None:
    async def drained(clock: SessionClock) -> None:
        for _ in range(580):
            clock.took(0)
            await asyncio.sleep(1.0)
        clock.drain(630.0)
        await talk(clock)

    ended = session(drained)
    assert ended.announced[0] == (580.0, "DRAINING", 20.0)
    assert ended.at == 600.0


def test_an_announcement_that_nobody_reads_holds_nothing_up() -> None:
    async def main() -> float:
        async def stuck(reason: str, time_left_s: float) -> None:
            await asyncio.sleep(10_000)

        clock = SessionClock(LIMITS, stuck)
        assert not clock.took(1001)
        assert isinstance(await clock.too_many_bytes(), QuotaExceeded)
        clock.close()
        return asyncio.get_running_loop().time()

    assert run(main()) == pytest.approx(ANNOUNCE_S)


def test_a_closed_clock_cuts_nobody() -> None:
    async def close(clock: SessionClock) -> None:
        clock.close()
        await asyncio.sleep(10_000)

    assert session(close).failure is None
