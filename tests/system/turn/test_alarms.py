"""Timers ring on the device's stream, on its next one when there is none, and after the front door was lost: once."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator

import pytest

from antiphon.arbitration.v1 import assistant_pb2
from antiphon.types.v1 import context_pb2
from services.runtime.deployment import RayPlatform
from tests.fixtures.front_door import END, Outcome, Request, config, converse
from tests.fixtures.processes import descendants

pytestmark = pytest.mark.system


def device(name: str) -> Request:
    context = context_pb2.SessionContext(device=context_pb2.Device(device_id=name), time_zone="Europe/Vienna")
    return config(context=context, continuous=True)


async def said(target: str, name: str, *texts: str, wait_s: float = 0.0, until_it_rings: bool = False) -> Outcome:
    """One stream: the texts one after another, then open for a while, at most until it rings if that is asked for."""
    outcome = Outcome()

    async def requests() -> AsyncIterator[Request]:
        yield device(name)
        for text in texts:
            yield Request(text=assistant_pb2.TextInput(text=text))
            await asyncio.sleep(1.5)
        if not texts:
            yield Request(text=assistant_pb2.TextInput(text="hello"))
        until = time.monotonic() + wait_s
        while time.monotonic() < until and not (until_it_rings and rings(outcome)):  # noqa: ASYNC110 - two conditions
            await asyncio.sleep(0.05)
        yield END

    return await converse(target, requests(), outcome=outcome)


def rings(outcome: Outcome) -> list[str]:
    return [each.ring.alarm_id for each in outcome.all("directive") if each.HasField("ring")]


async def test_a_timer_rings_on_the_stream_that_set_it_and_can_be_stopped(platform: RayPlatform) -> None:
    name = f"kitchen-{time.time_ns()}"
    outcome = await said(platform.target, name, "set a timer for three seconds", wait_s=20.0, until_it_rings=True)
    assert "3" in outcome.all("turn_completed")[0].answer or "three" in outcome.all("turn_completed")[0].answer
    assert len(rings(outcome)) == 1
    stopped = await said(platform.target, name, "stop", wait_s=0.5)
    kinds = [each.WhichOneof("action") for each in stopped.all("directive")]
    assert "stop_ringing" in kinds, kinds
    asked = await said(platform.target, name, "which timers are running")
    assert "no timer" in asked.all("turn_completed")[-1].answer.lower(), asked.all("turn_completed")


async def test_a_timer_that_came_due_without_a_stream_rings_on_the_next_one_alone(platform: RayPlatform) -> None:
    name = f"cellar-{time.time_ns()}"
    first = await said(platform.target, name, "set a timer for two seconds")
    assert first.failure is None
    await asyncio.sleep(2.0)
    elsewhere, here = await asyncio.gather(
        said(platform.target, f"{name}-other", wait_s=1.0), said(platform.target, name, wait_s=1.0)
    )
    assert rings(elsewhere) == []
    assert len(rings(here)) == 1
    assert rings(await said(platform.target, name, wait_s=1.0)) == []


@pytest.mark.timeout(180)
async def test_a_timer_outlives_the_front_door(platform: RayPlatform) -> None:
    name = f"attic-{time.time_ns()}"
    assert (await said(platform.target, name, "set a timer for eight seconds")).failure is None
    victims = [process.pid for process in descendants() if "ServeReplica:arbitration" in process.title]
    os.kill(victims[0], signal.SIGKILL)
    deadline = time.monotonic() + 60.0
    rung: list[str] = []
    while not rung and time.monotonic() < deadline:
        outcome = await said(platform.target, name, wait_s=3.0)
        rung += rings(outcome)
    assert len(rung) == 1
