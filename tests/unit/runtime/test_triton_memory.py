"""Shared memory with a Triton server: what is worth it, what is bounded, and that nothing is left behind."""

from __future__ import annotations

import asyncio
import logging
import os
from pathlib import Path

import grpc
import numpy as np
import pytest

from services.runtime.inference import ModelDefinition, Tensor, TensorSpec
from services.runtime.triton.memory import MIN_BYTES, Region, SharedInputs, fill
from tests.fakes.triton_stub import FakeStub, failure

pytestmark = pytest.mark.unit

LARGE = {"x": np.ones((1, MIN_BYTES // 4), np.float32)}
DEFINITION = ModelDefinition(
    publisher="test",
    name="double",
    version="1",
    path=Path("model.onnx"),
    sha256="0" * 64,
    licence="Apache-2.0",
    locales=("mul",),
    inputs=(TensorSpec("x", "float32", (None, None)), TensorSpec("n", "int64", (None,))),
    outputs=(TensorSpec("y", "float32", (None, None)),),
)


def left_behind() -> set[str]:
    return {path.name for path in Path("/dev/shm").glob(f"antiphon-inputs-{os.getpid()}-*")}  # noqa: S108 - where regions would be left


@pytest.fixture
def stub() -> FakeStub:
    return FakeStub()


async def lent(memory: SharedInputs) -> Region:
    region = await memory.lend(LARGE)
    assert region is not None
    return region


async def test_only_large_inputs_are_worth_it(stub: FakeStub) -> None:
    memory = SharedInputs(stub)
    assert await memory.lend({"x": np.ones((1, 100), np.float32)}) is None
    assert await memory.lend({"x": np.ones((64, MIN_BYTES), np.float32)}) is None  # more than a region holds
    assert not stub.registered
    await lent(memory)
    assert len(stub.registered) == 1


async def test_regions_are_used_again_bounded_and_have_no_name_that_could_stay(stub: FakeStub) -> None:
    memory, before = SharedInputs(stub), left_behind()
    regions = [await memory.lend(LARGE) for _ in range(20)]
    held = [region for region in regions if region is not None]
    assert 1 <= len(held) < 20
    assert memory.regions == len(held) == len(stub.registered)
    assert left_behind() == before
    for region in held:
        memory.give_back(region, tainted=False)
    assert await memory.lend(LARGE) in held
    assert len(stub.registered) == len(held)


async def test_tensors_lie_in_the_region_as_the_request_says(stub: FakeStub) -> None:
    region = await lent(SharedInputs(stub))
    inputs: dict[str, Tensor] = {
        "n": np.arange(3),
        "x": np.arange(6, dtype=np.float32).reshape(2, 3).T,
    }  # the second not contiguous
    request = fill(region, DEFINITION, inputs, "test.double@1")
    assert not request.raw_input_contents
    for tensor, value in zip(request.inputs, inputs.values(), strict=True):
        offset = tensor.parameters["shared_memory_offset"].int64_param
        size = tensor.parameters["shared_memory_byte_size"].int64_param
        assert tensor.parameters["shared_memory_region"].string_param == region.name
        assert tuple(tensor.shape) == value.shape
        assert region.memory[offset : offset + size] == value.tobytes()


async def test_a_server_that_cannot_is_asked_once_and_said_once(
    stub: FakeStub, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    memory, before = SharedInputs(stub), left_behind()
    stub.refusal = failure(grpc.StatusCode.INTERNAL, "Unable to open shared memory region: '/x'")
    for _ in range(3):
        assert await memory.lend(LARGE) is None
    stub.refusal = None
    assert await memory.lend(LARGE) is None
    assert len(caplog.records) == 1
    assert memory.regions == 0
    assert left_behind() == before


async def test_a_server_that_is_away_is_asked_again_later(stub: FakeStub, caplog: pytest.LogCaptureFixture) -> None:
    memory = SharedInputs(stub)
    stub.refusal = failure(grpc.StatusCode.UNAVAILABLE, "failed to connect")
    assert await memory.lend(LARGE) is None
    stub.refusal = None
    await lent(memory)
    assert not caplog.records


async def test_a_server_that_was_restarted_knows_no_region_any_more(stub: FakeStub) -> None:
    memory = SharedInputs(stub)
    first, second = await lent(memory), await lent(memory)
    memory.give_back(second, tainted=False)
    memory.forget(first)
    assert memory.regions == 0
    assert (await lent(memory)).name not in (first.name, second.name)


async def test_a_caller_that_leaves_while_a_region_is_made_leaves_it_to_the_next(stub: FakeStub) -> None:
    memory, before = SharedInputs(stub), left_behind()
    lending = asyncio.create_task(memory.lend(LARGE))
    await asyncio.sleep(0)
    lending.cancel()
    with pytest.raises(asyncio.CancelledError):
        await lending
    async with asyncio.timeout(5):
        while not stub.registered or left_behind() != before:  # noqa: ASYNC110 - a thread comes to its end by itself
            await asyncio.sleep(0.01)
    await lent(memory)
    assert len(stub.registered) == memory.regions == 1


async def test_the_end_takes_back_what_no_call_may_still_read(stub: FakeStub) -> None:
    memory = SharedInputs(stub)
    clean, given_up = await lent(memory), await lent(memory)
    memory.give_back(clean, tainted=False)
    memory.give_back(given_up, tainted=True)
    await memory.close()
    assert stub.unregistered == [clean.name]
    assert await memory.lend(LARGE) is None
