"""Collects rows of turns and has them written, off the event loop and without ever holding a turn up.

`school` records here. Rows wait in a bounded buffer, also while their place cannot be written; what does not fit is
dropped and counted (`antiphon.learning.rows`), never lost in silence. `parquet` is the place in production.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol, TypeVar

from opentelemetry import metrics

from services.arbitration.learning.interactions import Interaction
from services.runtime.errors import AntiphonError

log = logging.getLogger(__name__)

Item = TypeVar("Item")

MAX_WAITING: Final = 20_000
"""Rows in memory: some 40 MB at ten candidates each."""

ROTATE_ROWS: Final = 5_000
ROTATE_S: Final = 60.0
"""A file is written when so many rows wait, or so many seconds have gone."""

SAID: Final = {"COMPLETED": True, "POSITIVE": True, "NEGATIVE": False, "REPHRASED": False, "INTERRUPTED": False}
"""What a remark says about its turn, by the contract's names; the others say nothing of its end. Said by a person, it
outweighs what was guessed."""

_ROWS = metrics.get_meter("antiphon").create_counter(
    "antiphon.learning.rows", "{row}", "Rows of the interaction log, by what became of them"
)


@dataclass(frozen=True, slots=True)
class Remark:
    """Feedback that came after the row was written: joined to it by `turn_id`. `at` in seconds since 1970."""

    turn_id: str
    tenant: str
    kind: str
    at: float


class Place(Protocol):
    """Where rows go. Both calls block: they run in a thread of their own."""

    def write(self, rows: Sequence[Interaction]) -> None:
        """Keep rows of turns. Raises Unavailable or FailedPrecondition; then none of them was kept."""

    def write_remarks(self, remarks: Sequence[Remark]) -> None:
        """Keep feedback. Raises as `write`."""


@dataclass
class InteractionLog:
    """The buffer in front of a place. One per replica; `place` None keeps nothing.

    Attributes:
        dropped: rows that were lost since the start.
    """

    place: Place | None = None
    most: int = MAX_WAITING
    rotate_rows: int = ROTATE_ROWS
    rotate_s: float = ROTATE_S
    dropped: int = 0
    _rows: deque[Interaction] = field(default_factory=deque)
    _remarks: deque[Remark] = field(default_factory=deque)
    _wake: asyncio.Event = field(default_factory=asyncio.Event)
    _writing: asyncio.Lock = field(default_factory=asyncio.Lock)

    def record(self, row: Interaction) -> None:
        """Keep a row, or count that it was dropped. Never waits, never fails."""
        if self.place is None:
            return
        if len(self._rows) >= self.most:
            self._lose(1, "full")
            return
        self._rows.append(row)
        if len(self._rows) == self.rotate_rows:  # once: a place that fails is tried again in its time, not at every row
            self._wake.set()

    def remark(self, remark: Remark) -> None:
        """Keep feedback about an earlier row, or count that it was dropped."""
        if self.place is None:
            return
        if len(self._remarks) >= self.most:
            self._lose(1, "full")
            return
        self._remarks.append(remark)

    async def follow(self) -> None:
        """Write regularly, for ever."""
        while True:
            try:
                async with asyncio.timeout(self.rotate_s):
                    await self._wake.wait()
            except TimeoutError:
                pass
            self._wake.clear()
            await self.flush()

    async def flush(self) -> None:
        """Write what waits. When the place fails, what still fits waits for the next time."""
        async with self._writing:
            rows, remarks = _drained(self._rows), _drained(self._remarks)
            if self.place is None:
                return
            await self._write(self.place.write, rows, self._rows)
            await self._write(self.place.write_remarks, remarks, self._remarks)

    async def close(self) -> None:
        """Write what waits, for the last time."""
        await self.flush()
        if left := len(self._rows) + len(self._remarks):
            self._lose(left, "unwritable")

    async def _write(
        self, write: Callable[[Sequence[Item]], None], items: Sequence[Item], waiting: deque[Item]
    ) -> None:
        if not items:
            return
        try:
            await asyncio.to_thread(write, items)
            _ROWS.add(len(items), {"state": "written"})
        except AntiphonError as error:
            log.warning("the interaction log was not written: %s", error.reason)
            room = max(0, self.most - len(waiting))
            waiting.extendleft(reversed(items[:room]))
            if len(items) > room:
                self._lose(len(items) - room, "unwritable")
        except Exception as error:  # noqa: BLE001 - a row at fault would fail again, and must not end the writing
            log.error("rows of the interaction log are lost: %s", type(error).__name__)
            self._lose(len(items), "invalid")

    def _lose(self, count: int, why: str) -> None:
        self.dropped += count
        _ROWS.add(count, {"state": "dropped", "reason": why})


def _drained(waiting: deque[Item]) -> list[Item]:
    taken = list(waiting)
    waiting.clear()
    return taken
