"""A client that sends audio faster than anybody can recognize it: it is held back, memory is bounded, and meanwhile
another client is answered."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator

import pytest

from services.runtime.deployment import RayPlatform
from tests.fixtures.front_door import RATE_HZ, Request, config, converse, spoken, turn
from tests.fixtures.processes import descendants, resident_mb

pytestmark = pytest.mark.system

CHUNK_BYTES = 15_360


class Flood:
    """Offers speech without a pause, over and over, and counts the chunks that were taken."""

    def __init__(self, target: str, speech: bytes) -> None:
        self.taken = 0
        self._target = target
        self._speech = speech

    async def run(self) -> None:
        """Begins again whenever the platform has had enough of the conversation."""
        while True:
            await converse(self._target, self._requests(), timeout=120)

    async def _requests(self) -> AsyncIterator[Request]:
        yield config(continuous=True)
        starts = range(0, len(self._speech), CHUNK_BYTES)
        for start in itertools.cycle(starts):
            yield Request(audio=self._speech[start : start + CHUNK_BYTES])
            self.taken += 1


async def test_others_are_answered_while_two_flood(platform: RayPlatform) -> None:
    question = await spoken(platform.target, "what time is it in Tokyo")
    speech = await spoken(platform.target, " and ".join(["I would like to know how many apples there are"] * 4))
    before = _memory()
    floods = [Flood(platform.target, speech), Flood(platform.target, speech)]
    flooding = [asyncio.create_task(flood.run()) for flood in floods]
    await asyncio.sleep(4.0)
    neighbour = await converse(platform.target, turn(question), timeout=40)
    after = _memory()
    for task in flooding:
        task.cancel()
    await asyncio.gather(*flooding, return_exceptions=True)
    assert neighbour.failure is None, neighbour.failure
    # Recognition shares its workers with the floods, so its words may come late, but they come.
    assert neighbour.all("transcript"), [event.WhichOneof("event") for event in neighbour.events]
    assert neighbour.all("turn_completed")
    offered_faster = [flood.taken * CHUNK_BYTES / 2 / RATE_HZ for flood in floods]
    assert min(offered_faster) > 10, f"that was no flood: {offered_faster} s of audio were taken"
    assert after - before < 200, f"{after - before:.0f} MB more for {offered_faster} s of audio"


def _memory() -> float:
    """MB of front door, recognition and HAProxy, with their workers."""
    names = ("ServeReplica:arbitration", "ServeReplica:asr", "/haproxy -db")
    found = [process for process in descendants() if any(name in process.title for name in names)]
    return sum(resident_mb(p.pid) for process in found for p in (process, *descendants(process.pid)))
