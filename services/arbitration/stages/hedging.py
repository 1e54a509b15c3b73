"""Asks a second time when the first call takes longer than usual, and takes the answer that comes first.

For calls without side effects only: `stages.fulfil` hedges CanFulfill; nothing that executes comes here. A second call
is made once the first has taken longer than 95 % of calls did, and for at most one call in twenty: a service that is
slow as a whole must not get twice the load. The loser is cancelled.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Final, Generic, TypeVar

T = TypeVar("T")

MAX_KEYS: Final = 5_000
"""Callees whose times are remembered; the least recently called is forgotten first."""

_SAMPLES: Final = 200
_CLEARLY: Final = 1.05
"""Longer than usual is this much longer: one that always takes the same time is not asked twice."""

_EVERY: Final = 20
"""Calls after which the 95th percentile is worked out anew."""


@dataclass(frozen=True, slots=True)
class HedgingPolicy:
    """When a second call is made.

    Attributes:
        share: most second calls, as a share of all first ones.
        burst: second calls that may be saved up, so that a short outage can be bridged.
        percentile: of the times seen, after which the second call is made.
        least: calls that must have been seen before.
        soonest: seconds below which no second call is made.
    """

    share: float = 0.05
    burst: float = 10.0
    percentile: float = 0.95
    least: int = 20
    soonest: float = 0.002


@dataclass(frozen=True, slots=True)
class Answered(Generic[T]):
    """An answer, and whether the second call gave it."""

    value: T
    hedged: bool = False


@dataclass(slots=True)
class _Times:
    """Times of one callee's calls in seconds, the newest last."""

    seen: deque[float] = field(default_factory=lambda: deque(maxlen=_SAMPLES))
    since: int = 0
    after: float | None = None


@dataclass
class Hedging:
    """Second calls of this replica. `calls` and `second` count what was made."""

    policy: HedgingPolicy = field(default_factory=HedgingPolicy)
    calls: int = 0
    second: int = 0
    _saved: float = 0.0
    _times: OrderedDict[str, _Times] = field(default_factory=OrderedDict)

    async def ask(self, key: str, call: Callable[[bool], Awaitable[T]]) -> Answered[T]:
        """The first answer of one call or two.

        Args:
            key: whom it goes to: times are kept for each.
            call: makes the call; True asks for another way there than the first took.

        Raises:
            whatever the first call raises, when no second one was made or that failed as well.
        """
        self.calls += 1
        self._saved = min(self.policy.burst, self._saved + self.policy.share)
        times, began = self._of(key), _now()
        first = _begin(call, another=False)
        try:
            after = times.after
            if after is not None:
                await asyncio.wait((first,), timeout=after)
            if after is None or first.done() or not self._may_ask_again():
                return Answered(await first)
            return await self._race(first, call)
        finally:
            first.cancel()
            self._note(times, _now() - began)

    async def _race(self, first: asyncio.Future[T], call: Callable[[bool], Awaitable[T]]) -> Answered[T]:
        second = _begin(call, another=True)
        try:
            await asyncio.wait((first, second), return_when=asyncio.FIRST_COMPLETED)
            sooner, other = (first, second) if first.done() else (second, first)
            if sooner.exception() is not None:  # one that fails fast has not won
                sooner, other = other, sooner
                await asyncio.wait((sooner,))
                if sooner.exception() is not None:
                    sooner = first
            return Answered(sooner.result(), sooner is second)
        finally:
            second.cancel()

    def _may_ask_again(self) -> bool:
        if self._saved < 1.0:
            return False
        self._saved -= 1.0
        self.second += 1
        return True

    def _of(self, key: str) -> _Times:
        times = self._times.setdefault(key, _Times())
        self._times.move_to_end(key)
        while len(self._times) > MAX_KEYS:
            self._times.popitem(last=False)
        return times

    def _note(self, times: _Times, took: float) -> None:
        """A call that was given up counts with the time it was waited for: the least it would have taken."""
        times.seen.append(took)
        times.since += 1
        if len(times.seen) >= self.policy.least and (times.after is None or times.since >= _EVERY):
            ordered = sorted(times.seen)
            at = min(len(ordered) - 1, int(self.policy.percentile * len(ordered)))
            times.after, times.since = max(self.policy.soonest, _CLEARLY * ordered[at]), 0


def _begin(call: Callable[[bool], Awaitable[T]], *, another: bool) -> asyncio.Future[T]:
    begun = asyncio.ensure_future(call(another))
    begun.add_done_callback(_heard)
    return begun


def _heard(ended: asyncio.Future[T]) -> None:
    """Whoever lost may have failed, and nobody asks for its error."""
    if not ended.cancelled():
        ended.exception()


def _now() -> float:
    return asyncio.get_running_loop().time()
