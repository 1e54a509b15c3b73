"""A graph that adds its input to its state, whose runs are noted, can be held up, and fail where a test says so."""

from __future__ import annotations

import asyncio
import threading

import numpy as np

from services.runtime.batcher import Feeds
from services.runtime.errors import Internal
from services.runtime.inference import Tensor

BAD = 666.0
"""A run with this number among its inputs fails, whoever else is in it."""

UNANSWERED = 777.0
"""The row of this number comes back as NaN."""

TIMEOUT = 10.0


class GraphRuns:
    """Makes the runs of a `Batcher`; `rows` notes how many calls each run had together."""

    def __init__(self) -> None:
        self.rows: list[int] = []
        self.stopped = 0
        self.forgets_rows = False
        self._noted = threading.Condition()
        self.gate = threading.Event()
        self.gate.set()

    async def begun(self, count: int) -> None:
        """Returns when so many runs have begun."""

        def wait() -> bool:
            with self._noted:
                return self._noted.wait_for(lambda: len(self.rows) >= count, TIMEOUT)

        if not await asyncio.to_thread(wait):
            raise TimeoutError(f"only {len(self.rows)} runs began")

    def run(self, feeds: Feeds) -> dict[str, Tensor]:
        with self._noted:
            self.rows.append(len(feeds["x"]))
            self._noted.notify_all()
        if not self.gate.wait(TIMEOUT):
            raise TimeoutError("nobody opened the gate")
        if (feeds["x"] == BAD).any():
            raise Internal("It was a bad number.", reason="MODEL_FAILED")
        total = feeds["x"] + feeds["h"].T if "h" in feeds else feeds["x"] * 2
        if self.forgets_rows and len(total) > 1:
            total = total[:1]
        answer = np.where(feeds["x"][: len(total)] == UNANSWERED, np.float32(np.nan), total)
        return {"y": answer, "h2": total.T} if "h" in feeds else {"y": answer}

    def __call__(self) -> Held:
        return Held(self)


class Held:
    """One `GraphRun` of a `GraphRuns`."""

    def __init__(self, runs: GraphRuns) -> None:
        self._runs = runs

    def __call__(self, feeds: Feeds) -> dict[str, Tensor]:
        return self._runs.run(feeds)

    def stop(self) -> None:
        self._runs.stopped += 1
