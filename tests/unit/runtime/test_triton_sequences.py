"""Sequences of the Triton client: what is open, what is sent for whom, and that every one ends."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest

from services.runtime.errors import AntiphonError, InvalidInput, Overloaded, Unavailable
from services.runtime.inference import ModelDefinition, SequenceStep, StateSpec, TensorSpec
from services.runtime.triton.sequences import Sequences
from services.runtime.triton.streams import Farewells
from services.runtime.triton.wire import infer_request
from tests.fakes.triton_stub import FakeStub, answer_error, answer_with, failure

pytestmark = pytest.mark.unit

DEFINITION = ModelDefinition(
    publisher="test",
    name="sum",
    version="1",
    path=Path("model.onnx"),
    sha256="0" * 64,
    licence="Apache-2.0",
    locales=("mul",),
    inputs=(TensorSpec("x", "float32", (None, None)),),
    outputs=(TensorSpec("y", "float32", (None, None)),),
    states=(StateSpec("h", "h2", "float32", (1, 1)),),
)
LINGER = 0.3


@pytest.fixture
def stub() -> FakeStub:
    return FakeStub()


@pytest.fixture
def sequences(stub: FakeStub) -> Sequences:
    return Sequences(stub, Farewells(limit=3, linger=LINGER), limit=8)


async def step(sequences: Sequences, number: int, *, start: bool = False, end: bool = False) -> Any:
    request = infer_request(DEFINITION, {"x": np.ones((1, 1), np.float32)}, DEFINITION.triton_name)
    return await sequences.run(DEFINITION, SequenceStep(number, start, end), request)


def sent(stub: FakeStub) -> list[tuple[bool, bool]]:
    """START and END of each request that went out."""
    return [
        (one.parameters["sequence_start"].bool_param, one.parameters["sequence_end"].bool_param)
        for one in stub.requests
    ]


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not condition():  # noqa: ASYNC110 - several conditions, none with an event
            await asyncio.sleep(0.005)


async def reason(call: Any) -> str:
    with pytest.raises(AntiphonError) as caught:
        await call
    return caught.value.reason


async def test_a_sequence_is_one_stream_with_one_random_id(stub: FakeStub, sequences: Sequences) -> None:
    await step(sequences, 1, start=True)
    await step(sequences, 1)
    await step(sequences, 1, end=True)
    assert sent(stub) == [(True, False), (False, False), (False, True)]
    ids = {one.parameters["sequence_id"].int64_param for one in stub.requests}
    assert len(ids) == 1
    assert 0 < ids.pop() < 2**63
    assert len(stub.streams) == 1
    await until(lambda: stub.streams[0].finished)
    assert not stub.streams[0].cancelled


async def test_two_clients_never_use_the_same_id(stub: FakeStub) -> None:
    for _ in range(50):
        await step(Sequences(stub, Farewells(), limit=8), 1, start=True)
    assert len({one.parameters["sequence_id"].int64_param for one in stub.requests}) == 50


async def test_what_was_never_started_is_unknown_and_sends_nothing(stub: FakeStub, sequences: Sequences) -> None:
    assert await reason(step(sequences, 1)) == "SEQUENCE_UNKNOWN"
    await step(sequences, 1, start=True, end=True)
    assert await reason(step(sequences, 1)) == "SEQUENCE_UNKNOWN"
    assert len(stub.requests) == 1


async def test_a_caller_that_leaves_has_its_step_finished_before_the_end_goes_out(
    stub: FakeStub, sequences: Sequences
) -> None:
    await step(sequences, 1, start=True)
    stub.pace.clear()
    leaving = asyncio.create_task(step(sequences, 1))
    await until(lambda: len(stub.requests) == 2)
    leaving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await leaving
    assert sequences.open_count(DEFINITION.id) == 0
    await asyncio.sleep(0.02)
    assert len(stub.requests) == 2  # not before the answer to the step
    stub.pace.set()
    await until(lambda: stub.streams[0].finished)
    assert sent(stub)[2:] == [(False, True)]
    assert not stub.streams[0].cancelled


async def test_a_server_that_never_answers_holds_nobody_for_ever(stub: FakeStub) -> None:
    farewells = Farewells(limit=3, linger=LINGER)
    sequences = Sequences(stub, farewells, limit=8)
    await step(sequences, 1, start=True)
    stub.pace.clear()
    sequences.leave(DEFINITION, 1)
    async with asyncio.timeout(5):
        await farewells.close()
    assert stub.streams[0].cancelled


async def test_farewells_are_bounded(stub: FakeStub, sequences: Sequences) -> None:
    for number in range(1, 7):
        await step(sequences, number, start=True)
    stub.pace.clear()
    for number in range(1, 7):
        sequences.leave(DEFINITION, number)
    assert [stream.cancelled for stream in stub.streams] == [False] * 3 + [True] * 3
    stub.pace.set()
    await until(lambda: all(stream.finished or stream.cancelled for stream in stub.streams))


async def test_idle_sequences_are_ended_and_used_ones_stay(stub: FakeStub) -> None:
    sequences = Sequences(stub, Farewells(), limit=8, idle=0.2)
    await step(sequences, 1, start=True)
    await step(sequences, 2, start=True)
    for _ in range(8):
        await asyncio.sleep(0.05)
        await step(sequences, 2)
    assert sequences.open_count(DEFINITION.id) == 1
    assert (False, True) in sent(stub)
    assert await reason(step(sequences, 1)) == "SEQUENCE_UNKNOWN"
    await step(sequences, 2)
    sequences.close()


async def test_starts_beyond_the_limit_are_refused(sequences: Sequences) -> None:
    for number in range(1, 9):
        await step(sequences, number, start=True)
    with pytest.raises(Overloaded):
        await step(sequences, 9, start=True)
    await step(sequences, 1, end=True)
    await step(sequences, 9, start=True)


async def test_a_step_under_a_running_one_is_refused_and_harms_nothing(stub: FakeStub, sequences: Sequences) -> None:
    await step(sequences, 1, start=True)
    stub.pace.clear()
    running = asyncio.create_task(step(sequences, 1))
    await until(lambda: len(stub.requests) == 2)
    assert await reason(step(sequences, 1)) == "SEQUENCE_BUSY"
    stub.pace.set()
    await running
    await step(sequences, 1)


@pytest.mark.parametrize(
    ("text", "kind", "reason_told", "stays"),
    [
        ("Exceeds maximum queue size", Overloaded, "QUEUE_FULL", True),
        ("Request timeout expired", Overloaded, "QUEUE_TIMEOUT", True),
        ("[request id: <id_unknown>] unexpected shape for input 'x'", InvalidInput, "TENSOR_MISMATCH", True),
        ("inference request for sequence 5 must specify the START flag", Unavailable, "SEQUENCE_LOST", False),
        ("SEQUENCE_UNKNOWN: dropped", Unavailable, "SEQUENCE_LOST", False),
        ("Stub process 'test.sum@1_0_0' is not healthy.", Unavailable, "SEQUENCE_LOST", False),
        ("MODEL_FAILED: Fail", AntiphonError, "MODEL_FAILED", False),
        ("anything else", AntiphonError, "MODEL_FAILED", False),
    ],
)
async def test_errors_of_a_step_say_whether_the_sequence_goes_on(
    stub: FakeStub, sequences: Sequences, text: str, kind: type[AntiphonError], reason_told: str, stays: bool
) -> None:
    await step(sequences, 1, start=True)
    stub.answer = lambda request: answer_error(text)
    with pytest.raises(kind) as caught:
        await step(sequences, 1)
    assert caught.value.reason == reason_told
    stub.answer = lambda request: answer_with()
    if stays:
        await step(sequences, 1)
    else:
        assert await reason(step(sequences, 1)) == "SEQUENCE_UNKNOWN"


async def test_a_stream_that_breaks_loses_the_state_unless_nothing_was_sent(
    stub: FakeStub, sequences: Sequences
) -> None:
    def break_with(details: str) -> None:
        def answer(request: Any) -> Any:
            raise failure(grpc.StatusCode.UNAVAILABLE, details)

        stub.answer = answer

    await step(sequences, 1, start=True)
    break_with("failed to connect to all addresses")
    assert await reason(step(sequences, 1)) == "SERVER_UNREACHABLE"
    stub.answer = lambda request: answer_with()
    await step(sequences, 1)  # in a new stream
    assert len(stub.streams) == 2
    break_with("Socket closed")
    assert await reason(step(sequences, 1)) == "SEQUENCE_LOST"
    assert await reason(step(sequences, 1, start=True)) == "SERVER_GONE"  # there was nothing to lose
    assert sequences.open_count(DEFINITION.id) == 0


async def test_waiting_for_open_sequences_ends_with_the_last_one_or_with_patience(sequences: Sequences) -> None:
    await step(sequences, 1, start=True)
    assert not await sequences.drained(DEFINITION.id, 0.02)
    waiting = asyncio.create_task(sequences.drained(DEFINITION.id, 5))
    await step(sequences, 1, end=True)
    assert await waiting
