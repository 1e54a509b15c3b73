"""What only a real server tells of a repository: that it takes every form, and how the program of the CPU form behaves.

The server here has no onnxruntime backend. So of the production form, everything that Triton itself checks is checked
by loading it with the backend exchanged: scheduling, queues, state, warm-up, dimensions.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import grpc.aio
import numpy as np
import pytest

from services.runtime.errors import AntiphonError, InvalidInput
from services.runtime.inference import SequenceStep
from services.runtime.model_store import ModelStore
from services.runtime.triton.client import TritonClient
from services.runtime.triton.repository import write_repository
from services.runtime.triton.server import TritonServer
from services.runtime.triton.wire import infer_request, stub
from tests.fixtures.triton import server
from tests.fixtures.triton_models import toy_store, write_toy

pytestmark = pytest.mark.triton


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> ModelStore:
    return toy_store(tmp_path_factory.mktemp("bundles"))


@pytest.fixture(scope="module")
def triton_repository(store: ModelStore, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("forms") / "repository"
    write_repository(store.models(), out, "gpu")
    return out


@pytest.fixture
async def client(store: ModelStore, cpu_server: TritonServer) -> AsyncIterator[TritonClient]:
    connected = TritonClient(store, cpu_server.address)
    yield connected
    await connected.close()


@pytest.fixture(scope="module")
def cpu_server(triton_repository: Path) -> Iterator[TritonServer]:
    """A repository for GPUs, started in its CPU form."""
    with server(triton_repository, config_name="cpu") as running:
        yield running


def _exchange_backends(repository: Path) -> None:
    for config in repository.glob("*/config.pbtxt"):
        text = config.read_text().replace('backend: "onnxruntime"', 'backend: "python"')
        text = text.replace('default_model_filename: "model.onnx"\n', "").replace("KIND_GPU", "KIND_CPU")
        config.write_text(text)


@pytest.mark.parametrize(("toy", "declared"), [("double", [-1, 2]), ("count", [-1, -1])], ids=["more", "less"])
async def test_a_definition_may_say_more_of_outputs_than_its_graph_or_less(
    tmp_path: Path, toy: str, declared: list[int]
) -> None:
    write_toy(tmp_path / "bundles", toy, outputs=[{"name": "y", "dtype": "float32", "shape": declared}])
    store = ModelStore([tmp_path / "bundles"])
    write_repository(store.models(), tmp_path / "repository", "gpu")
    _exchange_backends(tmp_path / "repository")
    with server(tmp_path / "repository") as running:
        client = TritonClient(store, running.address)
        try:
            step = SequenceStep(1, start=True, end=True)
            answer = await client.infer(f"toy/{toy}@1", {"x": np.ones((1, 2), np.float32)}, sequence=step)
            assert answer["y"].shape == (1, 2)
        finally:
            await client.close()


def test_triton_accepts_the_production_form(tmp_path: Path) -> None:
    toy_store(tmp_path / "bundles")
    shapes = {"min": [1, 2], "opt": [8, 4], "max": [8, 64]}
    options = {"tensorrt": True, "fp16": True, "instances": 2, "shapes": {"x": shapes}}
    options["queue"] = {"max_size": 8, "timeout_ms": 500}
    write_toy(tmp_path / "more", "double", name="fast", parameters={"triton": options})
    out = tmp_path / "repository"
    names = write_repository(ModelStore([tmp_path / "bundles", tmp_path / "more"]).models(), out, "gpu")
    _exchange_backends(out)
    with server(out) as running:
        assert running.index() == dict.fromkeys(names, "")
        assert len(running.stub_pids("toy.fast@1")) == 2


async def test_calls_that_wait_are_merged(client: TritonClient, cpu_server: TritonServer) -> None:
    async def session(number: int) -> None:
        for at in range(20):
            step = SequenceStep(number, start=at == 0, end=at == 19)
            await client.infer("toy/sum@1", {"x": np.full((1, 3, 2), number, np.float32)}, sequence=step)

    before = cpu_server.statistics("toy.sum@1")
    await asyncio.gather(*(session(number) for number in range(1, 9)))
    deadline = time.monotonic() + 10
    while True:  # Triton counts a call a moment after it has answered it
        after = cpu_server.statistics("toy.sum@1")
        calls = after["inference_count"] - before["inference_count"]
        runs = after["execution_count"] - before["execution_count"]
        if calls == 160 or time.monotonic() > deadline:
            break
        await asyncio.sleep(0.02)
    assert calls == 160
    assert runs < calls


async def test_one_bad_call_harms_none_that_are_merged_with_it(client: TritonClient) -> None:
    good = {"x": np.ones((2, 3), np.float32)}
    bad = {"x": np.full((2, 3), 3e38, np.float32)}  # finite, and twice it is not
    answers = await asyncio.gather(
        *(client.infer("toy/double@1", bad if number % 4 == 0 else good) for number in range(16)),
        return_exceptions=True,
    )
    for number, answer in enumerate(answers):
        if number % 4 == 0:
            assert isinstance(answer, AntiphonError)
            assert answer.reason == "MODEL_FAILED"
        else:
            assert not isinstance(answer, BaseException)
            np.testing.assert_array_equal(answer["y"], np.full((2, 3), 2, np.float32))


async def test_a_sequence_that_was_spoiled_is_over_and_its_number_can_begin_again(client: TritonClient) -> None:
    huge = {"x": np.full((1, 2, 2), 3e38, np.float32)}
    await client.infer("toy/sum@1", {"x": np.ones((1, 2, 2), np.float32)}, sequence=SequenceStep(5, start=True))
    with pytest.raises(AntiphonError) as caught:
        await client.infer("toy/sum@1", huge, sequence=SequenceStep(5))
    assert caught.value.reason == "MODEL_FAILED"
    with pytest.raises(AntiphonError) as caught:
        await client.infer("toy/sum@1", huge, sequence=SequenceStep(5))
    assert caught.value.reason in ("SEQUENCE_LOST", "SEQUENCE_UNKNOWN")
    step = SequenceStep(5, start=True, end=True)
    answer = await client.infer("toy/sum@1", {"x": np.ones((1, 2, 2), np.float32)}, sequence=step)
    np.testing.assert_array_equal(answer["y"], [[[1, 1], [2, 2]]])


async def test_a_stream_that_is_left_frees_its_place(client: TritonClient) -> None:
    for _ in range(4):
        pieces = client.stream("toy/sum@1", {"x": np.ones((1, 4000, 2), np.float32)})
        async for _piece in pieces:
            break
        await pieces.aclose()  # type: ignore[attr-defined]
    whole = [piece async for piece in client.stream("toy/sum@1", {"x": np.ones((1, 8, 2), np.float32)})]
    assert [float(piece["y"][0, -1, 0]) for piece in whole] == [4.0, 8.0]


async def test_a_stream_with_a_failing_piece_says_so(client: TritonClient) -> None:
    x = np.ones((1, 12, 2), np.float32)
    x[0, 5] = 3e38
    x[0, 6] = 3e38
    with pytest.raises(AntiphonError) as caught:
        [piece async for piece in client.stream("toy/sum@1", {"x": x})]
    assert caught.value.reason == "MODEL_FAILED"


async def test_streams_at_once_take_turns(client: TritonClient) -> None:
    """A long one must not keep a short one waiting until it has ended."""
    ended: list[str] = []

    async def stream(name: str, length: int) -> None:
        pieces = [piece async for piece in client.stream("toy/sum@1", {"x": np.ones((1, length, 2), np.float32)})]
        assert float(pieces[-1]["y"][0, -1, 0]) == length
        ended.append(name)

    await asyncio.gather(stream("long", 2000), stream("short", 12))
    assert ended == ["short", "long"]


async def test_a_stream_of_a_model_that_is_not_loaded_fails_at_once(store: ModelStore, triton_repository: Path) -> None:
    definition = store.get("toy/sum@1")
    request = infer_request(definition, {"x": np.ones((1, 8, 2), np.float32)}, "toy.sum@1.stream")
    with TritonServer(triton_repository, models=["toy.sum@1.stream"], config_name="cpu") as running:
        async with grpc.aio.insecure_channel(running.address) as channel:
            call = stub(channel).ModelStreamInfer(timeout=20)
            await call.write(request)
            await call.done_writing()
            answers = [answer async for answer in call]
    (answer,) = answers
    assert "toy.sum@1" in answer.error_message


async def test_calls_do_not_sleep_between_two_runs(client: TritonClient) -> None:
    """A queue policy would have Triton's batcher miss wake-ups: every thirtieth call then took half a second."""
    took = []
    for _ in range(200):
        began = time.monotonic()
        await client.infer("toy/double@1", {"x": np.ones((1, 3), np.float32)})
        took.append(time.monotonic() - began)
    assert len([seconds for seconds in took if seconds > 0.4]) <= 1


async def test_numbers_that_are_none_are_refused_before_they_are_sent(client: TritonClient) -> None:
    with pytest.raises(InvalidInput) as caught:
        await client.infer("toy/double@1", {"x": np.full((1, 1), np.nan, np.float32)})
    assert caught.value.reason == "TENSOR_NOT_FINITE"


def test_a_file_that_was_exchanged_does_not_load(store: ModelStore, tmp_path: Path) -> None:
    out = tmp_path / "repository"
    write_repository(store.models(), out, "cpu")
    (out / "toy.double@1" / "1" / "model.onnx").write_bytes(b"another")
    with TritonServer(out, models=["toy.double@1", "toy.count@1"]) as running:
        unready = running.unready()
    assert list(unready) == ["toy.double@1"]
    assert "MODEL_DIGEST_MISMATCH" in unready["toy.double@1"]
