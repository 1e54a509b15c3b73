"""Copies of work for shadow arms, in the background: nobody waits for them, and their answers are only compared.

The adapters hand in what a copy does; `Shadows` bounds how many run and how long, and counts what came of them. A copy
that is refused, slow, lost or wrong costs a count and nothing else.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from services.arbitration.routing.shared import observed
from services.arbitration.routing.tallies import Observation
from services.arbitration.routing.traffic import Traffic
from services.runtime import telemetry
from services.runtime.errors import AntiphonError

log = logging.getLogger(__name__)

MAX_COPIES: Final = 32
"""Copies that run at a time on one replica."""

COPY_S: Final = 30.0
"""Longest life of a copy beyond the work that it is a copy of."""

MAX_COMPARED: Final = 500
"""Words, or characters, of each transcript that are compared: longer ones would hold up the event loop."""

_WITHOUT_SPACES: Final = ("zh", "ja", "th", "yue", "lo", "km", "my")


@dataclass(frozen=True, slots=True)
class Compared:
    """What came of a copy: its latency in seconds, None if it has none, and figures against what was served."""

    latency: float | None
    metrics: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class ShadowArm:
    """Where copies go, and under which names they are counted."""

    capability: str
    locale: str
    arm: str
    target: str


@dataclass
class Shadows:
    """The copies of one replica."""

    traffic: Traffic
    longest: float = COPY_S
    _running: set[asyncio.Task[None]] = field(default_factory=set)

    def begin(
        self, arm: ShadowArm, copy: Callable[[], Coroutine[Any, Any, Compared | None]], *, work: float = 0.0
    ) -> bool:
        """Start a copy, which returns None when there was nothing to compare; False when it is dropped.

        Args:
            work: longest time, in seconds, that the work itself may go on.
        """
        if len(self._running) >= MAX_COPIES:
            self.dropped(arm)
            return False
        task = asyncio.create_task(self._run(arm, copy, work + self.longest))
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return True

    def dropped(self, arm: ShadowArm) -> None:
        """Count a copy that was not made, or not to its end, for want of room."""
        self._note(arm, Observation(time.time(), metrics={"copies_dropped": 1.0}))

    async def close(self) -> None:
        """Give up what runs."""
        for task in list(self._running):
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)

    async def _run(
        self, arm: ShadowArm, copy: Callable[[], Coroutine[Any, Any, Compared | None]], limit: float
    ) -> None:
        now = time.time()
        try:
            async with asyncio.timeout(limit):
                found = await copy()
        except (AntiphonError, TimeoutError) as error:
            log.info("a shadow failed: %s", getattr(error, "reason", "TIMEOUT"))
            self._note(arm, Observation(now, turn=True, error=True, metrics={"copies_dropped": 0.0}))
            return
        except Exception as error:  # noqa: BLE001 - a shadow's rubbish harms nobody
            log.warning("a shadow failed: %s", type(error).__name__)
            self._note(arm, Observation(now, turn=True, error=True, metrics={"copies_dropped": 0.0}))
            return
        if found is not None:
            metrics = {**found.metrics, "copies_dropped": 0.0}
            self._note(arm, Observation(now, turn=True, latency=found.latency, metrics=metrics))

    def _note(self, arm: ShadowArm, seen: Observation) -> None:
        observed(self.traffic, arm.capability, arm.locale, arm.arm, seen)
        labels = {"capability": arm.capability, "arm": arm.arm}
        for name, value in seen.metrics.items():
            telemetry.SHADOW_FIGURES.record(value, {**labels, "figure": name})


def word_error_rate(served: str, shadow: str, locale: str) -> float:
    """Edits between two transcripts per word of the served one; per character in languages that part no words.

    1 where nothing was served and the shadow heard something. Of long transcripts the beginnings are compared.
    """
    by_character = locale.split("-")[0] in _WITHOUT_SPACES
    said, heard = (
        (list("".join(t.split())) if by_character else t.casefold().split())[:MAX_COMPARED] for t in (served, shadow)
    )
    row = list(range(len(heard) + 1))
    for i, word in enumerate(said, 1):
        last, row = row, [i]
        for j, other in enumerate(heard, 1):
            row.append(min(last[j] + 1, row[j - 1] + 1, last[j - 1] + (word != other)))
    return row[-1] / len(said) if said else float(bool(heard))
