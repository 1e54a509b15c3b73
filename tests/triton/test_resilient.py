"""A real server that dies, loses a model's process or falls silent under open sequences, with a fallback and without.

What a caller gets is compared with an undisturbed run of the embedded home. Each test leaves the server mended.
"""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import numpy as np
import pytest

from services.runtime.errors import Unavailable
from services.runtime.inference import ModelClient, SequenceStep, Tensor
from services.runtime.model_store import ModelStore
from services.runtime.onnx import OnnxClient
from services.runtime.resilient import PATIENCE, ResilientClient
from services.runtime.triton.client import TritonClient
from services.runtime.triton.repository import write_repository
from services.runtime.triton.server import TritonServer
from tests.fixtures.triton_models import toy_store

pytestmark = [pytest.mark.triton, pytest.mark.timeout(180)]

WITHIN_S = 5.0
"""A healthy server is used again after at most this."""
ANEW_S = 15.0
"""A model whose process died is loaded anew after at most this: finding it dead takes the server a second or two, its
program two to start while the machine has nothing else to do."""

SUM, DOUBLE = "toy/sum@1", "toy/double@1"
STEPS = 12
CHUNKS = [np.random.default_rng(7).standard_normal((1, 3, 2)).astype(np.float32) for _ in range(STEPS)]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> ModelStore:
    return toy_store(tmp_path_factory.mktemp("bundles"))


@pytest.fixture(scope="module")
def triton_repository(store: ModelStore, tmp_path_factory: pytest.TempPathFactory) -> Path:
    repository = tmp_path_factory.mktemp("repository") / "cpu"
    wanted = [definition for definition in store.models() if definition.id in (SUM, DOUBLE)]
    write_repository(wanted, repository, platform="cpu")
    return repository


@asynccontextmanager
async def homes(store: ModelStore, server: TritonServer, *, fallback: bool = True) -> AsyncIterator[ResilientClient]:
    client = ResilientClient(TritonClient(store, server.address), OnnxClient(store) if fallback else None)
    try:
        await client.load(SUM)
        await client.load(DOUBLE)
        assert client.backend(SUM) == "triton"
        yield client
    finally:
        await client.close()


async def undisturbed(store: ModelStore) -> list[Tensor]:
    client = OnnxClient(store)
    try:
        return [await step(client, at) for at in range(STEPS)]
    finally:
        await client.close()


async def step(client: ModelClient, at: int, number: int = 1) -> Tensor:
    sequence = SequenceStep(number, start=at == 0, end=at == STEPS - 1)
    return (await client.infer(SUM, {"x": CHUNKS[at]}, sequence=sequence, deadline=10.0))["y"]


async def back_on_the_server(client: ModelClient, seconds: float = WITHIN_S) -> None:
    async with asyncio.timeout(seconds):
        while client.backend(SUM) != "triton":  # noqa: ASYNC110 - what is polled is the very answer callers get
            await asyncio.sleep(0.02)


def same(found: list[Tensor], expected: list[Tensor]) -> None:
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)


def kill_server(server: TritonServer) -> None:
    server.kill()


def kill_stub(server: TritonServer) -> None:
    for pid in server.stub_pids("toy.sum@1"):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


@pytest.mark.parametrize("harm", [kill_server, kill_stub])
@pytest.mark.parametrize("at", [0, 1, 7, STEPS - 1])
async def test_sequence_goes_on_when_its_state_dies(
    store: ModelStore, triton_server: TritonServer, harm: Callable[[TritonServer], None], at: int
) -> None:
    expected = await undisturbed(store)
    try:
        async with homes(store, triton_server) as client:
            found = []
            for number in range(STEPS):
                if number == at:
                    await asyncio.to_thread(harm, triton_server)
                found.append(await step(client, number))
            assert client.backend(SUM) == "embedded"
        same(found, expected)
    finally:
        await asyncio.to_thread(triton_server.start)


async def test_many_sequences_outlive_the_server_and_new_ones_return_to_it(
    store: ModelStore, triton_server: TritonServer
) -> None:
    expected = await undisturbed(store)
    async with homes(store, triton_server) as client:

        async def whole(number: int) -> list[Tensor]:
            found = []
            for at in range(STEPS):
                found.append(await step(client, at, number))
                await asyncio.sleep(0.02 * (number % 3))
            return found

        running = [asyncio.create_task(whole(number)) for number in range(1, 9)]
        await asyncio.sleep(0.05)
        await asyncio.to_thread(triton_server.kill)
        for found in await asyncio.gather(*running):
            same(found, expected)
        assert client.backend(SUM) == "embedded"
        await asyncio.to_thread(triton_server.start)
        await back_on_the_server(client)
        same(await whole(99), expected)
        assert client.backend(SUM) == "triton"


async def test_open_sequence_stays_where_it_went(store: ModelStore, triton_server: TritonServer) -> None:
    expected = await undisturbed(store)
    async with homes(store, triton_server) as client:
        found = [await step(client, at) for at in range(4)]
        await asyncio.to_thread(triton_server.kill)
        found.append(await step(client, 4))
        await asyncio.to_thread(triton_server.start)
        await back_on_the_server(client)
        found += [await step(client, at) for at in range(5, STEPS)]
    same(found, expected)


async def test_dead_process_of_a_model_leaves_the_others_on_the_server_and_heals(
    store: ModelStore, triton_server: TritonServer
) -> None:
    async with homes(store, triton_server) as client:
        await asyncio.to_thread(kill_stub, triton_server)
        await step(client, 0)
        assert (client.backend(SUM), client.backend(DOUBLE)) == ("embedded", "triton")
        await back_on_the_server(client, ANEW_S)
        await step(client, 0, 2)
        assert (client.backend(SUM), client.backend(DOUBLE)) == ("triton", "triton")


async def test_without_fallback_calls_are_refused_and_the_sequence_goes_on_afterwards(
    store: ModelStore, triton_server: TritonServer
) -> None:
    expected = await undisturbed(store)
    async with homes(store, triton_server, fallback=False) as client:
        found = [await step(client, at) for at in range(5)]
        await asyncio.to_thread(triton_server.kill)
        began = time.monotonic()
        for _ in range(20):
            with pytest.raises(Unavailable) as caught:
                await step(client, 5)
            assert caught.value.retry_after
            assert caught.value.reason == "MODEL_SERVER_UNAVAILABLE"
        assert time.monotonic() - began < WITHIN_S
        await asyncio.to_thread(triton_server.start)
        async with asyncio.timeout(WITHIN_S):
            while len(found) < STEPS:
                try:
                    found.append(await step(client, len(found)))
                except Unavailable as error:
                    await asyncio.sleep(min(0.1, error.retry_after or 0.1))
    same(found, expected)


async def test_silent_server_costs_one_patience_and_is_used_again_when_it_speaks(
    store: ModelStore, triton_server: TritonServer
) -> None:
    expected = await undisturbed(store)
    async with homes(store, triton_server) as client:
        found = [await step(client, at) for at in range(3)]
        os.kill(triton_server.pid, signal.SIGSTOP)
        try:
            began = time.monotonic()
            found += [await step(client, at) for at in range(3, STEPS)]
            took = time.monotonic() - began
        finally:
            os.kill(triton_server.pid, signal.SIGCONT)
        same(found, expected)
        assert PATIENCE * 0.9 < took < PATIENCE * 2 + 2  # the step and the repeat may each have to find out
        await back_on_the_server(client)


async def test_stream_goes_on_where_the_server_broke_off(store: ModelStore, triton_server: TritonServer) -> None:
    x = np.random.default_rng(8).standard_normal((1, 4000, 2)).astype(np.float32)
    expected = np.cumsum(x, axis=1, dtype=np.float32)
    async with homes(store, triton_server) as client:
        found = []
        try:
            async for piece in client.stream(SUM, {"x": x}, deadline=30.0):
                found.append(piece["y"])
                if len(found) == 10:
                    await asyncio.to_thread(triton_server.kill)
            assert client.backend(SUM) == "embedded"
        finally:
            await asyncio.to_thread(triton_server.start)
        np.testing.assert_allclose(np.concatenate(found, axis=1), expected, atol=1e-4)
