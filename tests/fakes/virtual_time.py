"""An event loop whose clock jumps: tests of deadlines and pauses run in no time and always the same.

`run(scenario())` is `asyncio.run` on such a loop. When nothing is ready the clock moves to the next timer instead of
waiting for it. Sockets and threads have no place here; what never ends is reported as such.
"""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any, TypeVar

Result = TypeVar("Result")


class JumpingSelector(selectors.SelectSelector):
    """Selects what is ready at once, or moves the loop's clock by what it would have waited."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if not ready:
            if timeout is None:
                raise RuntimeError("everything waits for something that will not happen")
            self.now += max(0.0, timeout)
        return ready


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """A loop that starts at 0 s."""

    def __init__(self) -> None:
        self._jumping = JumpingSelector()
        super().__init__(self._jumping)

    def time(self) -> float:
        return self._jumping.now


def run(scenario: Coroutine[Any, Any, Result]) -> Result:
    """`asyncio.run` in virtual time."""
    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        return runner.run(scenario)


def now() -> float:
    """Virtual seconds since the loop began."""
    return asyncio.get_running_loop().time()
