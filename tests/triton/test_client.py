"""The client of Triton against a real server: results, sequences, streams, limits, errors, shared memory."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from services.runtime.errors import (
    AntiphonError,
    DeadlineExceeded,
    FailedPrecondition,
    Internal,
    InvalidInput,
    Overloaded,
)
from services.runtime.inference import SequenceStep
from services.runtime.model_store import ModelStore
from services.runtime.triton.client import TritonClient
from services.runtime.triton.server import TritonServer
from services.runtime.triton.streams import LINGER
from tests.fixtures import triton_toys

pytestmark = pytest.mark.triton

SLOW = 0.6  # seconds that a model is kept busy
ONE = np.ones((1, 2), np.float32)


@pytest.fixture(scope="module")
def toys(tmp_path_factory: pytest.TempPathFactory) -> tuple[ModelStore, Path]:
    return triton_toys.write(tmp_path_factory.mktemp("toys"))


@pytest.fixture(scope="module")
def triton_repository(toys: tuple[ModelStore, Path]) -> Path:
    return toys[1]


@pytest.fixture
async def client(toys: tuple[ModelStore, Path], triton_server: TritonServer) -> AsyncIterator[TritonClient]:
    made = TritonClient(toys[0], triton_server.address)
    yield made
    await made.close()


def sleeping(seconds: float = SLOW) -> dict[str, npt.NDArray[np.float32]]:
    return {"x": np.full((1, 2), -seconds, np.float32)}


async def step(client: TritonClient, number: int, *, start: bool = False, end: bool = False, **options: Any) -> float:
    answer = await client.infer("test/sum", {"x": ONE}, sequence=SequenceStep(number, start, end), **options)
    return float(answer["y"][0, 0])


async def kept(client: TritonClient) -> int:
    """Sequences that the server's model keeps, besides the one that asks."""
    step = SequenceStep(10**9, start=True)
    counted = int((await client.infer("test/sum", {"x": ONE}, sequence=step))["open"][0, 0])
    await client.infer("test/sum", {"x": ONE}, sequence=SequenceStep(10**9, end=True))
    return counted - 1


async def eventually(client: TritonClient, wanted: int) -> None:
    async with asyncio.timeout(10):
        while await kept(client) != wanted:  # noqa: ASYNC110 - the state of another process
            await asyncio.sleep(0.05)


def reason_of(caught: pytest.ExceptionInfo[AntiphonError]) -> str:
    return caught.value.reason


# --- single calls -----------------------------------------------------------------------------------------------------


async def test_a_call_gives_the_models_answer(client: TritonClient) -> None:
    x = np.arange(6, dtype=np.float32).reshape(2, 3)
    answer = await client.infer("test/double@1", {"x": x}, deadline=10)
    assert list(answer) == ["y"]
    np.testing.assert_array_equal(answer["y"], x * 2)
    answer["y"][0, 0] = 7  # as in the other home, the caller may write into it
    assert client.backend("test/double@1") == "triton"


async def test_more_rows_than_the_server_takes_go_in_several_calls(client: TritonClient) -> None:
    x = np.arange(22, dtype=np.float32).reshape(11, 2)
    answer = await client.infer("test/double@1", {"x": x}, deadline=10)
    np.testing.assert_array_equal(answer["y"], x * 2)


async def test_sixteen_callers_get_their_own_answers(client: TritonClient) -> None:
    async def ask(number: int) -> float:
        x = np.full((1, 2), number, np.float32)
        return float((await client.infer("test/double@1", {"x": x}, deadline=20))["y"][0, 0])

    assert await asyncio.gather(*map(ask, range(16))) == [2.0 * number for number in range(16)]


@pytest.mark.parametrize(
    ("x", "reason"),
    [
        (np.ones((1, 2)), "TENSOR_MISMATCH"),
        (np.ones((2,), np.float32), "TENSOR_MISMATCH"),
        (np.ones((1, 0), np.float32), "TENSOR_MISMATCH"),
        (np.array([[np.nan]], np.float32), "TENSOR_NOT_FINITE"),
        (np.array([[-np.inf]], np.float32), "TENSOR_NOT_FINITE"),
        (np.ones((1, 1 << 24), np.float32), "TENSOR_TOO_LARGE"),
    ],
)
async def test_bad_tensors_are_refused_before_they_are_sent(
    client: TritonClient, x: npt.NDArray[Any], reason: str
) -> None:
    with pytest.raises(InvalidInput) as caught:
        await client.infer("test/double@1", {"x": x}, deadline=10)
    assert reason_of(caught) == reason


async def test_a_model_that_fails_says_nothing_of_its_own(client: TritonClient) -> None:
    with pytest.raises(Internal) as caught:
        await client.infer("test/double@1", {"x": np.ones((1, 13), np.float32)}, deadline=10)
    assert reason_of(caught) == "MODEL_FAILED"
    assert "secret" not in str(caught.value)


async def test_an_answer_that_is_no_number_is_the_models_failure(client: TritonClient) -> None:
    with pytest.raises(Internal) as caught:
        await client.infer("test/double@1", {"x": np.ones((1, 14), np.float32)}, deadline=10)
    assert reason_of(caught) == "MODEL_FAILED"


async def test_a_deadline_ends_the_wait_and_the_server_goes_on(client: TritonClient) -> None:
    await client.load("test/double@1")
    started = time.monotonic()
    with pytest.raises(DeadlineExceeded):
        await client.infer("test/double@1", sleeping(), deadline=0.1)
    assert time.monotonic() - started < SLOW
    assert (await client.infer("test/double@1", {"x": ONE}, deadline=10))["y"][0, 0] == 2


@pytest.mark.parametrize("deadline", [0.0, -1.0])
async def test_no_time_left_is_refused_at_once(client: TritonClient, deadline: float) -> None:
    with pytest.raises(DeadlineExceeded):
        await client.infer("test/double@1", {"x": ONE}, deadline=deadline)


# --- limits -----------------------------------------------------------------------------------------------------------


async def test_a_full_queue_on_the_server_is_overload(client: TritonClient) -> None:
    await client.load("test/queued@1")
    calls = [client.infer("test/queued@1", sleeping(), deadline=20) for _ in range(triton_toys.QUEUE + 6)]
    results = await asyncio.gather(*calls, return_exceptions=True)
    refused = [result for result in results if isinstance(result, Overloaded)]
    served = [result for result in results if isinstance(result, Mapping)]
    assert len(served) + len(refused) == len(results), results
    assert served
    assert {(error.reason, error.retry_after) for error in refused} == {("QUEUE_FULL", 0.1)}


async def test_what_nobody_waits_for_leaves_the_servers_queue(client: TritonClient) -> None:
    """The server drops it when its own limit, below the caller's, has passed: the model is not run for nobody."""
    await client.load("test/queued@1")
    first = asyncio.create_task(client.infer("test/queued@1", sleeping(), deadline=20))
    await asyncio.sleep(0.1)
    with pytest.raises((DeadlineExceeded, Overloaded)) as caught:
        await client.infer("test/queued@1", sleeping(5), deadline=0.2)
    assert reason_of(caught) in {"DEADLINE_EXCEEDED", "QUEUE_TIMEOUT"}
    await first
    started = time.monotonic()
    await client.infer("test/queued@1", {"x": ONE}, deadline=20)
    assert time.monotonic() - started < 3


async def test_calls_beyond_the_places_are_refused_and_cancelled_ones_free_theirs(
    toys: tuple[ModelStore, Path], triton_server: TritonServer
) -> None:
    client = TritonClient(toys[0], triton_server.address, max_in_flight=2)
    await client.load("test/double@1")
    held = [asyncio.create_task(client.infer("test/double@1", sleeping(), deadline=20)) for _ in range(2)]
    await asyncio.sleep(0)
    with pytest.raises(Overloaded) as caught:
        await client.infer("test/double@1", {"x": ONE}, deadline=10)
    assert caught.value.retry_after
    for task in held:
        task.cancel()
    assert all(isinstance(end, asyncio.CancelledError) for end in await asyncio.gather(*held, return_exceptions=True))
    assert (await client.infer("test/double@1", {"x": ONE}, deadline=10))["y"][0, 0] == 2
    await client.close()


# --- sequences --------------------------------------------------------------------------------------------------------


async def test_state_follows_its_sequence(client: TritonClient) -> None:
    assert await step(client, 1, start=True) == 1
    assert await step(client, 2, start=True) == 1
    assert await step(client, 1) == 2
    assert await step(client, 1, start=True) == 1  # forgets what was there
    assert await step(client, 1, end=True) == 2
    with pytest.raises(InvalidInput) as caught:
        await step(client, 1)
    assert reason_of(caught) == "SEQUENCE_UNKNOWN"
    assert await step(client, 2, end=True) == 2
    await eventually(client, 0)


async def test_sequences_of_two_clients_with_the_same_ids_stay_apart(
    client: TritonClient, toys: tuple[ModelStore, Path], triton_server: TritonServer
) -> None:
    other = TritonClient(toys[0], triton_server.address)
    for number in range(1, 4):
        assert await step(client, number, start=True) == 1
        assert await step(other, number, start=True) == 1
        assert await step(client, number) == 2
        assert await step(other, number, end=True) == 2
    await other.close()


async def test_sixteen_sequences_at_once_keep_their_sums(client: TritonClient) -> None:
    async def run(number: int) -> list[float]:
        return [await step(client, number, start=at == 0, end=at == 9) for at in range(10)]

    sums = await asyncio.gather(*map(run, range(1, 17)))
    assert sums == [[float(at + 1) for at in range(10)]] * 16
    await eventually(client, 0)


async def test_one_call_that_starts_and_ends_leaves_nothing(client: TritonClient) -> None:
    assert await step(client, 1, start=True, end=True) == 1
    await eventually(client, 0)


async def test_a_stateful_model_needs_a_sequence(client: TritonClient) -> None:
    with pytest.raises(InvalidInput) as caught:
        await client.infer("test/sum", {"x": ONE}, deadline=10)
    assert reason_of(caught) == "SEQUENCE_MISSING"


async def test_steps_of_one_sequence_do_not_overtake_each_other(client: TritonClient) -> None:
    await step(client, 1, start=True)
    busy = asyncio.create_task(client.infer("test/sum", sleeping(), sequence=SequenceStep(1), deadline=20))
    await asyncio.sleep(0.05)
    with pytest.raises(InvalidInput) as caught:
        await step(client, 1)
    assert reason_of(caught) == "SEQUENCE_BUSY"
    await busy
    await step(client, 1, end=True)


async def test_a_caller_that_leaves_has_its_sequence_ended(client: TritonClient) -> None:
    await step(client, 1, start=True)
    left = asyncio.create_task(client.infer("test/sum", sleeping(), sequence=SequenceStep(1), deadline=20))
    await asyncio.sleep(0.05)
    left.cancel()
    with pytest.raises(asyncio.CancelledError):
        await left
    with pytest.raises(InvalidInput):
        await step(client, 1)
    await eventually(client, 0)


async def test_a_step_past_its_deadline_ends_the_sequence(client: TritonClient) -> None:
    await step(client, 1, start=True)
    with pytest.raises(DeadlineExceeded):
        await client.infer("test/sum", sleeping(), sequence=SequenceStep(1), deadline=0.1)
    with pytest.raises(InvalidInput):
        await step(client, 1)
    await eventually(client, 0)


async def test_a_closed_client_leaves_no_sequence_on_the_server(
    client: TritonClient, toys: tuple[ModelStore, Path], triton_server: TritonServer
) -> None:
    other = TritonClient(toys[0], triton_server.address)
    for number in range(1, 6):
        await step(other, number, start=True)
    assert await kept(client) == 5
    await other.close()
    await eventually(client, 0)
    with pytest.raises(AntiphonError) as caught:
        await step(other, 9, start=True)
    assert reason_of(caught) == "CLIENT_CLOSED"


async def test_an_answer_that_is_no_number_ends_the_sequence(client: TritonClient) -> None:
    wide = np.ones((1, 14), np.float32)
    with pytest.raises(Internal):
        await client.infer("test/sum", {"x": wide}, sequence=SequenceStep(1, start=True), deadline=10)
    with pytest.raises(InvalidInput):
        await client.infer("test/sum", {"x": wide}, sequence=SequenceStep(1), deadline=10)
    await eventually(client, 0)


async def test_open_sequences_are_bounded(toys: tuple[ModelStore, Path], triton_server: TritonServer) -> None:
    client = TritonClient(toys[0], triton_server.address, max_sequences=2)
    await step(client, 1, start=True)
    await step(client, 2, start=True)
    with pytest.raises(Overloaded):
        await step(client, 3, start=True)
    await step(client, 1, end=True)
    assert await step(client, 3, start=True) == 1
    await client.close()


# --- streams ----------------------------------------------------------------------------------------------------------


async def pieces(client: TritonClient, x: npt.NDArray[np.float32], deadline: float = 20) -> list[list[float]]:
    return [answer["y"][0].tolist() async for answer in client.stream("test/sum", {"x": x}, deadline=deadline)]


async def test_a_long_input_comes_back_piece_by_piece(client: TritonClient) -> None:
    x = np.arange(10, dtype=np.float32)[None]
    assert await pieces(client, x) == [[0, 2, 4, 6], [8, 10, 12, 14], [16, 18]]
    assert await pieces(client, x[:, :1]) == [[0]]


async def test_pieces_come_before_the_end(client: TritonClient) -> None:
    await client.load("test/sum@1")
    x = np.ones((1, 8), np.float32)
    x[0, 4:] = -SLOW
    started = time.monotonic()
    stream = client.stream("test/sum", {"x": x}, deadline=20)
    await anext(stream)
    assert time.monotonic() - started < SLOW
    assert (await anext(stream))["y"][0, 0] == pytest.approx(-2 * SLOW)
    with pytest.raises(StopAsyncIteration):
        await anext(stream)


async def test_whoever_stops_iterating_stops_the_run(client: TritonClient) -> None:
    await client.load("test/sum@1")
    x = np.full((1, 800), -0.1, np.float32)  # twenty seconds of work
    async for _ in client.stream("test/sum", {"x": x}, deadline=60):
        break
    started = time.monotonic()
    assert await pieces(client, np.ones((1, 4), np.float32)) == [[2, 2, 2, 2]]
    assert time.monotonic() - started < LINGER + 5


async def test_an_error_between_pieces_is_typed(client: TritonClient) -> None:
    x = np.ones((1, 8), np.float32)
    x[0, 5] = 100
    stream = client.stream("test/sum", {"x": x}, deadline=20)
    await anext(stream)
    with pytest.raises(InvalidInput) as caught:
        await anext(stream)
    assert reason_of(caught) == "TENSOR_NOT_FINITE"


async def test_a_stream_keeps_its_deadline(client: TritonClient) -> None:
    await client.load("test/sum@1")
    with pytest.raises(DeadlineExceeded):
        await pieces(client, np.full((1, 8), -SLOW, np.float32), deadline=0.2)
    with pytest.raises(DeadlineExceeded):
        await pieces(client, np.ones((1, 8), np.float32), deadline=0)


async def test_a_model_that_does_not_stream_says_so(client: TritonClient) -> None:
    with pytest.raises(InvalidInput) as caught:
        await anext(client.stream("test/double@1", {"x": ONE}))
    assert reason_of(caught) == "STREAMING_NOT_DECLARED"


# --- what the server has ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("model", "reason", "told"),
    [
        ("test/absent", "MODEL_MISSING", "antiphon models repository"),
        ("test/double@2", "MODEL_MISSING", "of versions it has 1"),
        ("test/otherwise", "MODEL_DIGEST_MISMATCH", "0" * 64),
        ("test/misfit", "MODEL_DEFINITION_INVALID", "y is FP32"),
        ("test/nowhere", "MODEL_MISSING", "in the store"),
    ],
)
async def test_models_that_cannot_serve_say_why(client: TritonClient, model: str, reason: str, told: str) -> None:
    for _ in range(2):  # a failure is not remembered as success
        with pytest.raises(FailedPrecondition, match=told) as caught:
            await client.load(model)
        assert reason_of(caught) == reason
    with pytest.raises(FailedPrecondition) as caught:
        await client.infer(model, {"x": ONE}, deadline=10)
    assert reason_of(caught) == reason


async def test_models_that_serve_load_and_are_healthy(client: TritonClient) -> None:
    for model in ("test/double@1", "test/sum"):
        assert (await client.load(model)).id == f"{model.removesuffix('@1')}@1"
        await client.probe(model, deadline=10)
    await eventually(client, 0)


# --- shared memory ----------------------------------------------------------------------------------------------------


def shared() -> set[str]:
    return {path.name for path in Path("/dev/shm").glob(f"antiphon-inputs-{os.getpid()}-*")}  # noqa: S108 - where regions would be left


async def test_large_inputs_go_by_shared_memory_and_leave_nothing_behind(
    client: TritonClient, caplog: pytest.LogCaptureFixture
) -> None:
    before = shared()
    x = np.random.default_rng(1).normal(size=(4, 1 << 16)).astype(np.float32) ** 2
    for _ in range(2):
        answers = await asyncio.gather(*[client.infer("test/double@1", {"x": x + n}, deadline=30) for n in range(12)])
        for n, answer in enumerate(answers):
            np.testing.assert_array_equal(answer["y"], (x + n) * 2)
    assert client.shared_regions > 0
    assert shared() == before
    assert not caplog.records


async def test_without_shared_memory_the_same_comes_out(
    toys: tuple[ModelStore, Path], triton_server: TritonServer
) -> None:
    client = TritonClient(toys[0], triton_server.address, shared_memory="off")
    x = np.ones((2, 1 << 16), np.float32)
    np.testing.assert_array_equal((await client.infer("test/double@1", {"x": x}, deadline=30))["y"], x * 2)
    assert client.shared_regions == 0
    await client.close()
