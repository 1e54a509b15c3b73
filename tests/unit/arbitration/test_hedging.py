"""Second calls: when they are made, how many, and that the loser is gone."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest

from services.arbitration.stages.hedging import Answered, Hedging, HedgingPolicy
from services.runtime.errors import Unavailable
from tests.fakes.virtual_time import now, run

pytestmark = pytest.mark.unit

USUAL = 0.010


@dataclass
class Replicas:
    """A callee whose n-th call takes `seconds[n]` (the last for all further ones); a second call takes `another`."""

    seconds: Sequence[float] = (USUAL,)
    another: float = USUAL
    failing: bool = False
    calls: int = 0
    second: int = 0
    cancelled: list[str] = field(default_factory=list)

    async def call(self, another: bool) -> str:
        name = "second" if another else "first"
        if another:
            self.second += 1
            seconds = self.another
        else:
            seconds = self.seconds[min(self.calls, len(self.seconds) - 1)]
            self.calls += 1
        try:
            await asyncio.sleep(seconds)
        except asyncio.CancelledError:
            self.cancelled.append(name)
            raise
        if self.failing and not another:
            raise Unavailable("gone", reason="GONE")
        return name


async def warm(hedging: Hedging, calls: int = 250) -> None:
    """Usual calls: the times are known and second calls are saved up."""
    callee = Replicas()
    for _ in range(calls):
        await hedging.ask("clock", callee.call)
    assert callee.second == 0


def test_a_slow_call_is_overtaken_and_cancelled() -> None:
    async def scenario() -> tuple[Answered[str], float, Replicas]:
        hedging, slow = Hedging(), Replicas((1.0,))
        await warm(hedging)
        began = now()
        answer = await hedging.ask("clock", slow.call)
        await asyncio.sleep(0)
        return answer, now() - began, slow

    answer, took, slow = run(scenario())
    assert answer == Answered("second", hedged=True)
    assert took == pytest.approx(2.05 * USUAL)
    assert slow.cancelled == ["first"]


def test_the_first_may_still_win() -> None:
    async def scenario() -> tuple[Answered[str], Replicas]:
        hedging, slow = Hedging(), Replicas((1.5 * USUAL,))
        await warm(hedging)
        answer = await hedging.ask("clock", slow.call)
        await asyncio.sleep(0)
        return answer, slow

    answer, slow = run(scenario())
    assert answer == Answered("first", hedged=False)
    assert slow.cancelled == ["second"]


def test_nobody_is_asked_twice_before_it_is_known_what_is_slow() -> None:
    async def scenario() -> int:
        callee = Replicas((0.5,))
        for _ in range(15):
            await Hedging(HedgingPolicy(share=1.0)).ask("clock", callee.call)
        return callee.second

    assert run(scenario()) == 0


def test_no_more_than_the_share_is_asked_again_however_slow_all_are() -> None:
    async def scenario() -> Hedging:
        hedging = Hedging()
        await warm(hedging, 400)
        slow = Replicas((0.2,), another=0.2)
        for _ in range(400):
            await hedging.ask("clock", slow.call)
        return hedging

    hedging = run(scenario())
    assert hedging.second <= 0.05 * hedging.calls


def test_one_that_fails_fast_has_not_won() -> None:
    async def scenario() -> Answered[str]:
        hedging = Hedging()
        await warm(hedging)
        return await hedging.ask("clock", Replicas((1.5 * USUAL,), another=0.1, failing=True).call)

    assert run(scenario()) == Answered("second", hedged=True)


def test_an_error_without_a_second_call_is_the_callers() -> None:
    async def scenario() -> None:
        await Hedging().ask("clock", Replicas(failing=True).call)

    with pytest.raises(Unavailable):
        run(scenario())


def test_a_caller_that_gives_up_leaves_no_call_behind() -> None:
    async def scenario() -> list[str]:
        hedging, slow = Hedging(), Replicas((9.0,), another=9.0)
        await warm(hedging)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.08):
                await hedging.ask("clock", slow.call)
        await asyncio.sleep(0)
        return slow.cancelled

    assert sorted(run(scenario())) == ["first", "second"]


def test_times_are_kept_for_a_bounded_number_of_callees() -> None:
    async def scenario() -> int:
        hedging, callee = Hedging(), Replicas((0.0,))
        for n in range(5_100):
            await hedging.ask(f"skill{n}", callee.call)
        return len(hedging._times)

    assert run(scenario()) == 5_000
