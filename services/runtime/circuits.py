"""Which models a server runs well just now: opened by failed calls, closed by a tiny inference that works.

`resilient.ResilientClient` asks before each call, so that a dead server costs one call a moment and the following ones
nothing. A circuit is a model's own, as the process of one model may die while its server and the others are well; when
the server itself is gone, all circuits open. Only probes go to a model whose circuit is open, never a user's call.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable
from functools import partial

from services.runtime.errors import AntiphonError

logger = logging.getLogger(__name__)

Probe = Callable[[str], Awaitable[None]]

INTERVAL = 1.0
"""Seconds between two probes of a model whose circuit is open."""

_FIRST = 0.25  # after a passing trouble, such as a reload, it is well again at once
_PATIENCE = 10.0  # with a probe and what it mends; a tiny inference has a shorter deadline of its own


class Circuits:
    """The circuits of all models of one server.

    Args:
        probe: runs a tiny inference of a model, may mend it; raises AntiphonError if it is not well.
        changed: told each opening (with its reason) and closing (with ""), for logs and metrics.
    """

    def __init__(self, probe: Probe, changed: Callable[[str, str], None]) -> None:
        self._probe = probe
        self._changed = changed
        self._known: set[str] = set()
        self._open: dict[str, asyncio.Task[None]] = {}
        self._suspected: dict[str, asyncio.Task[None]] = {}

    def closed(self, model: str) -> bool:
        """Whether calls of this model should go to the server."""
        self._known.add(model)
        return model not in self._open

    def open(self, model: str, reason: str, *, everywhere: bool = False) -> None:
        """Keeps calls away until a probe works; `everywhere` for all models that were ever asked for."""
        for one in sorted(self._known | {model}) if everywhere else [model]:
            if one not in self._open:
                task = self._open[one] = asyncio.create_task(self._mend(one))
                task.add_done_callback(partial(self._mended, one))
                self._changed(one, reason)

    def suspect(self, model: str) -> None:
        """A call ran out of time, which may be its own fault: one probe tells, and opens the circuit if it fails."""
        if model in self._open or model in self._suspected:
            return
        task = self._suspected[model] = asyncio.create_task(self._judge(model))
        task.add_done_callback(partial(self._judged, model))

    async def close(self) -> None:
        """Stops probing."""
        tasks = [*self._open.values(), *self._suspected.values()]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    async def _mend(self, model: str) -> None:
        wait = _FIRST
        while True:
            await asyncio.sleep(wait * random.uniform(0.8, 1.2))  # replicas need not all come at the same instant
            wait = INTERVAL
            if not await self._trouble(model):
                del self._open[model]
                self._changed(model, "")
                return

    def _mended(self, model: str, task: asyncio.Task[None]) -> None:
        """A probe that failed in a way of its own must not keep the circuit open for ever: the next call tells."""
        if task.cancelled() or task.exception() is None:
            return
        logger.error("A probe of model %s failed with %s.", model, type(task.exception()).__name__)
        if self._open.get(model) is task:
            del self._open[model]
            self._changed(model, "")

    async def _judge(self, model: str) -> None:
        if reason := await self._trouble(model):
            self.open(model, reason)

    def _judged(self, model: str, _: asyncio.Task[None]) -> None:
        del self._suspected[model]

    async def _trouble(self, model: str) -> str:
        """Why a probe failed; empty if the model is well."""
        try:
            async with asyncio.timeout(_PATIENCE):
                await self._probe(model)
        except AntiphonError as error:
            return error.reason
        except TimeoutError:
            return "TIMEOUT"
        return ""
