"""The embedded home of models: results, errors, deadlines, cancellation, state."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pytest

from services.runtime.errors import (
    DeadlineExceeded,
    FailedPrecondition,
    Internal,
    InvalidInput,
    Overloaded,
    Unavailable,
)
from services.runtime.inference import ModelDefinition, SequenceStep
from services.runtime.model_store import ModelStore
from services.runtime.onnx import OnnxClient
from tests.unit.runtime.tiny_graphs import graph, write_bundle

pytestmark = pytest.mark.unit

SLOW_STEPS = 400
SLOW_SIZE = 700  # 400 products of 700 x 700 matrices: seconds on any machine


@pytest.fixture
async def client(tmp_path: Path) -> AsyncIterator[OnnxClient]:
    product = graph([("MatMul", ["a", "b"], ["c"])], ["a", "b"], ["c"])
    write_bundle(tmp_path / "product", product, ["a", "b"], ["c"])
    write_bundle(tmp_path / "garbage", b"no graph", ["a"], ["c"])
    write_bundle(tmp_path / "misnamed", product, ["a", "x"], ["c"])
    running_sum = graph([("Add", ["x", "h"], ["y"]), ("Add", ["x", "h"], ["h2"])], ["x", "h"], ["y", "h2"])
    write_bundle(tmp_path / "sum", running_sum, ["x"], ["y"], {"h": "h2"})
    steps = [("MatMul", [f"a{n}" if n else "a", "b"], [f"a{n + 1}"]) for n in range(SLOW_STEPS)]
    write_bundle(tmp_path / "slow", graph(steps, ["a", "b"], [f"a{SLOW_STEPS}"]), ["a", "b"], [f"a{SLOW_STEPS}"])
    write_bundle(
        tmp_path / "streamed",
        running_sum,
        ["x"],
        ["y"],
        {"h": "h2"},
        streaming={"axis": 1, "size": 2},
        batching={"max_size": 8, "delay_ms": 1},
    )
    dense = graph([("Softmax", ["x"], ["s"]), ("Tanh", ["s"], ["y"])], ["x"], ["y"])
    write_bundle(tmp_path / "dense", dense, ["x"], ["y"], batching={"max_size": 8, "delay_ms": 1})
    made = OnnxClient(ModelStore([tmp_path]), threads=1, max_waiting=1)
    yield made
    await made.close()


@pytest.fixture
async def roomy(client: OnnxClient, tmp_path: Path) -> AsyncIterator[OnnxClient]:
    """The same bundles with room for many calls."""
    made = OnnxClient(ModelStore([tmp_path]), threads=1)
    yield made
    await made.close()


def slow_inputs() -> dict[str, np.ndarray]:
    matrix = np.full((SLOW_SIZE, SLOW_SIZE), 1 / SLOW_SIZE, np.float32)
    return {"a": matrix, "b": matrix}


async def test_result_is_the_graphs(client: OnnxClient) -> None:
    left, right = np.array([[1, 2]], np.float32), np.array([[3], [4]], np.float32)
    answer = await client.infer("test/product", {"a": left, "b": right}, deadline=5)
    np.testing.assert_array_equal(answer["c"], [[11]])


async def test_wrong_dtype_never_reaches_the_graph(client: OnnxClient) -> None:
    with pytest.raises(InvalidInput, match="float32"):
        await client.infer("test/product", {"a": np.ones((1, 2)), "b": np.ones((2, 1), np.float32)})


async def test_shapes_that_only_the_graph_can_judge_are_an_internal_error(client: OnnxClient) -> None:
    one = np.ones((1, 2), np.float32)
    with pytest.raises(Internal) as caught:
        await client.infer("test/product", {"a": one, "b": one})
    assert caught.value.reason == "MODEL_FAILED"


@pytest.mark.parametrize(
    ("model", "reason"),
    [
        ("test/none", "MODEL_MISSING"),
        ("test/garbage", "MODEL_INVALID"),
        ("test/misnamed", "MODEL_DEFINITION_INVALID"),
    ],
)
async def test_bundles_that_cannot_serve_say_why(client: OnnxClient, model: str, reason: str) -> None:
    for _ in range(2):  # a failed load is not remembered as a loaded one
        with pytest.raises(FailedPrecondition) as caught:
            await client.load(model)
        assert caught.value.reason == reason


async def test_a_load_that_failed_for_want_of_memory_is_tried_again(
    client: OnnxClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_room(definition: ModelDefinition) -> bytes:
        raise MemoryError

    with monkeypatch.context() as patched:
        patched.setattr(ModelDefinition, "verified_bytes", no_room)
        with pytest.raises(MemoryError):
            await client.load("test/product")
    await client.load("test/product")


async def test_deadline_stops_the_run_and_frees_its_thread(client: OnnxClient) -> None:
    await client.load("test/slow")
    started = time.monotonic()
    with pytest.raises(DeadlineExceeded):
        await client.infer("test/slow", slow_inputs(), deadline=0.05)
    one = np.ones((1, 1), np.float32)
    await client.infer("test/product", {"a": one, "b": one})  # the only thread must come back before its run's end
    assert time.monotonic() - started < 1.0


async def test_no_time_left_is_refused_at_once(client: OnnxClient) -> None:
    with pytest.raises(DeadlineExceeded):
        await client.infer("test/slow", slow_inputs(), deadline=0.0)


async def test_calls_beyond_the_places_are_refused_and_cancelled_ones_give_theirs_back(client: OnnxClient) -> None:
    await client.load("test/slow")
    held = [asyncio.create_task(client.infer("test/slow", slow_inputs())) for _ in range(2)]
    await asyncio.sleep(0.05)
    with pytest.raises(Overloaded) as caught:
        await client.infer("test/slow", slow_inputs())
    assert caught.value.retry_after
    for task in held:
        task.cancel()
    await asyncio.wait(held)
    one = np.ones((1, 1), np.float32)
    async with asyncio.timeout(2):
        while True:
            try:
                await client.infer("test/product", {"a": one, "b": one})
                break
            except Overloaded:
                await asyncio.sleep(0.02)


async def test_event_loop_stays_free_while_a_model_runs(client: OnnxClient) -> None:
    await client.load("test/slow")
    task = asyncio.create_task(client.infer("test/slow", slow_inputs()))
    started = time.monotonic()
    for _ in range(10):
        await asyncio.sleep(0.01)
    assert time.monotonic() - started < 0.5
    assert not task.done()
    task.cancel()


async def test_state_follows_its_sequence(client: OnnxClient) -> None:
    x = np.array([[1, 2]], np.float32)

    async def step(sequence: int, *, start: bool = False, end: bool = False) -> list[float]:
        answer = await client.infer("test/sum", {"x": x}, sequence=SequenceStep(sequence, start, end))
        return [float(value) for value in answer["y"][0]]

    assert await step(1, start=True) == [1, 2]
    assert await step(2, start=True) == [1, 2]
    assert await step(1) == [2, 4]
    assert await step(1, end=True) == [3, 6]
    with pytest.raises(InvalidInput) as caught:
        await step(1)
    assert caught.value.reason == "SEQUENCE_UNKNOWN"
    assert await step(2) == [2, 4]


async def test_stateful_model_needs_a_sequence(client: OnnxClient) -> None:
    with pytest.raises(InvalidInput) as caught:
        await client.infer("test/sum", {"x": np.ones((1, 2), np.float32)})
    assert caught.value.reason == "SEQUENCE_MISSING"


async def test_infinity_in_an_answer_ends_the_sequence_instead_of_spoiling_it(client: OnnxClient) -> None:
    huge = {"x": np.array([[3e38, 1]], np.float32)}
    await client.infer("test/sum", huge, sequence=SequenceStep(1, start=True))
    with pytest.raises(Internal) as caught:
        await client.infer("test/sum", huge, sequence=SequenceStep(1))
    assert caught.value.reason == "MODEL_FAILED"
    with pytest.raises(InvalidInput) as gone:
        await client.infer("test/sum", {"x": np.ones((1, 2), np.float32)}, sequence=SequenceStep(1))
    assert gone.value.reason == "SEQUENCE_UNKNOWN"
    assert client.bytes_of_states == 0


async def test_two_calls_of_a_sequence_at_once_are_refused_and_one_goes_on(client: OnnxClient) -> None:
    x = {"x": np.ones((1, 2), np.float32)}
    await client.infer("test/sum", x, sequence=SequenceStep(1, start=True))
    both = [client.infer("test/sum", x, sequence=SequenceStep(1)) for _ in range(2)]
    first, second = await asyncio.gather(*both, return_exceptions=True)
    assert not isinstance(first, BaseException)
    assert first["y"][0, 0] == 2
    assert isinstance(second, InvalidInput)
    assert second.reason == "SEQUENCE_BUSY"
    assert (await client.infer("test/sum", x, sequence=SequenceStep(1)))["y"][0, 0] == 3


async def test_call_given_up_leaves_its_sequence_as_it_was(client: OnnxClient) -> None:
    x = {"x": np.ones((1, 2), np.float32)}
    await client.infer("test/sum", x, sequence=SequenceStep(1, start=True))
    await client.load("test/slow")
    blocked = asyncio.create_task(client.infer("test/slow", slow_inputs()))  # takes the only thread
    await asyncio.sleep(0.05)
    with pytest.raises(DeadlineExceeded):
        await client.infer("test/sum", x, sequence=SequenceStep(1), deadline=0.02)
    blocked.cancel()
    assert (await client.infer("test/sum", x, sequence=SequenceStep(1)))["y"][0, 0] == 2


@pytest.mark.parametrize("rows", [1, 2, 3, 7])
async def test_stream_in_pieces_equals_one_call_of_a_running_sum(client: OnnxClient, rows: int) -> None:
    x = np.arange(rows * 2, dtype=np.float32).reshape(1, rows * 2)
    pieces = [np.asarray(piece["y"]) async for piece in client.stream("test/streamed", {"x": x}, deadline=5)]
    assert len(pieces) == rows
    np.testing.assert_allclose(np.vstack(pieces), np.cumsum(x.reshape(rows, 2), axis=0))
    assert client.bytes_of_states == 0


async def test_stream_needs_a_declaration_and_time(client: OnnxClient) -> None:
    x = {"x": np.ones((1, 4), np.float32)}
    with pytest.raises(InvalidInput) as caught:
        await anext(client.stream("test/sum", x))
    assert caught.value.reason == "STREAMING_NOT_DECLARED"
    with pytest.raises(DeadlineExceeded):
        await anext(client.stream("test/streamed", x, deadline=0.0))


async def test_merged_calls_answer_as_single_ones(roomy: OnnxClient) -> None:
    rng = np.random.default_rng(1)
    calls = [{"x": rng.standard_normal((1 + n % 3, 64)).astype(np.float32)} for n in range(12)]
    alone = [(await roomy.infer("test/dense", one))["y"] for one in calls]
    together = await asyncio.gather(*(roomy.infer("test/dense", one) for one in calls))
    assert roomy.batches("test/dense").merged == len(calls)
    assert roomy.batches("test/dense").runs < 2 * len(calls)
    for one, other in zip(alone, together, strict=True):
        np.testing.assert_allclose(other["y"], one, atol=1e-5)


async def test_sequences_share_runs_and_keep_their_states(roomy: OnnxClient) -> None:
    async def sums(number: int) -> list[float]:
        values = []
        for at in range(6):
            x = {"x": np.full((1, 2), number, np.float32)}
            sequence = SequenceStep(number, start=at == 0, end=at == 5)
            values.append(float((await roomy.infer("test/streamed", x, sequence=sequence))["y"][0, 0]))
        return values

    found = await asyncio.gather(*(sums(number) for number in range(1, 9)))
    assert found == [[number * (at + 1) for at in range(6)] for number in range(1, 9)]
    assert roomy.batches("test/streamed").merged > 0
    assert roomy.bytes_of_states == 0


async def test_nothing_is_inferred_after_close(client: OnnxClient) -> None:
    await client.close()
    with pytest.raises(Unavailable):
        await client.infer("test/sum", {"x": np.ones((1, 2), np.float32)}, sequence=SequenceStep(1, start=True))
