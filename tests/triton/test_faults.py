"""What goes wrong with a Triton server, each on a real one: gone and back, dead processes, unloads, reloads."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import numpy as np
import pytest

from services.runtime.errors import AntiphonError, FailedPrecondition, Internal, InvalidInput, Unavailable
from services.runtime.inference import SequenceStep
from services.runtime.model_store import ModelStore
from services.runtime.triton.client import TritonClient
from services.runtime.triton.server import TritonServer
from services.runtime.triton.wire import message
from tests.fixtures import triton_toys

pytestmark = pytest.mark.triton

ONE = np.ones((1, 2), np.float32)
LARGE = np.ones((1, 1 << 16), np.float32)
RECOVERY = 5.0  # seconds from a server's return until it is used again


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
    if not triton_server.pid:
        triton_server.start()


async def double(client: TritonClient, value: float = 1.0, deadline: float = 20.0) -> float:
    answer = await client.infer("test/double@1", {"x": np.full((1, 2), value, np.float32)}, deadline=deadline)
    return float(answer["y"][0, 0])


async def step(client: TritonClient, number: int, value: float = 1.0, *, start: bool = False) -> float:
    inputs = {"x": np.full((1, 2), value, np.float32)}
    answer = await client.infer("test/sum", inputs, sequence=SequenceStep(number, start), deadline=20)
    return float(answer["y"][0, 0])


async def eventually(attempt: Callable[[], Awaitable[object]], seconds: float) -> float:
    """Repeats until no AntiphonError comes, and returns after how many seconds that was."""
    started = time.monotonic()
    while True:
        try:
            await attempt()
        except AntiphonError as error:
            if time.monotonic() - started > seconds:
                raise AssertionError(f"still {error.reason} after {seconds} s") from error
            await asyncio.sleep(0.05)
        else:
            return time.monotonic() - started


# --- the server -------------------------------------------------------------------------------------------------------


async def test_a_server_that_is_gone_is_unavailable_at_once_and_used_again_when_back(
    client: TritonClient, triton_server: TritonServer
) -> None:
    assert await double(client) == 2
    np.testing.assert_array_equal((await client.infer("test/double@1", {"x": LARGE}))["y"], LARGE * 2)
    await asyncio.to_thread(triton_server.kill)
    for _ in range(3):
        started = time.monotonic()
        with pytest.raises(Unavailable) as caught:
            await double(client)
        assert caught.value.reason in {"SERVER_UNREACHABLE", "SERVER_GONE"}
        assert caught.value.retry_after is not None
        assert time.monotonic() - started < 2
    with pytest.raises(Unavailable):
        await client.probe("test/double@1", deadline=2)
    await asyncio.to_thread(triton_server.start)
    assert await eventually(lambda: double(client), RECOVERY) < RECOVERY
    # The regions of shared memory went with the old server.
    np.testing.assert_array_equal((await client.infer("test/double@1", {"x": LARGE}))["y"], LARGE * 2)


async def test_a_call_under_which_the_server_dies_is_unavailable(
    client: TritonClient, triton_server: TritonServer
) -> None:
    await client.load("test/double@1")
    waiting = [asyncio.create_task(double(client, -20.0)) for _ in range(4)]
    await asyncio.sleep(0.2)
    await asyncio.to_thread(triton_server.kill)
    for result in await asyncio.gather(*waiting, return_exceptions=True):
        assert isinstance(result, Unavailable), result
        assert result.reason == "SERVER_GONE"


async def test_open_sequences_are_lost_with_the_server_and_new_ones_start(
    client: TritonClient, triton_server: TritonServer
) -> None:
    assert await step(client, 1, start=True) == 1
    assert await step(client, 2, start=True) == 1
    await asyncio.to_thread(triton_server.kill)
    with pytest.raises(Unavailable) as caught:
        await step(client, 1)
    assert caught.value.reason in {"SEQUENCE_LOST", "SERVER_UNREACHABLE"}
    await asyncio.to_thread(triton_server.start)
    await eventually(lambda: client.probe("test/sum", deadline=2), RECOVERY)
    with pytest.raises(Unavailable) as caught:  # it was open here, and this server has never heard of it
        await step(client, 2)
    assert caught.value.reason == "SEQUENCE_LOST"
    with pytest.raises(InvalidInput) as unknown:
        await step(client, 2)
    assert unknown.value.reason == "SEQUENCE_UNKNOWN"
    assert await step(client, 2, start=True) == 1
    assert await step(client, 2) == 2


async def test_a_stream_under_which_the_server_dies_is_unavailable(
    client: TritonClient, triton_server: TritonServer
) -> None:
    x = np.ones((1, 8), np.float32)
    x[0, 4:] = -20
    stream = client.stream("test/sum", {"x": x}, deadline=30)
    await anext(stream)
    await asyncio.to_thread(triton_server.kill)
    with pytest.raises(Unavailable):
        await anext(stream)


async def test_a_service_may_start_in_the_moment_when_its_server_does(
    client: TritonClient, toys: tuple[ModelStore, Path], triton_server: TritonServer
) -> None:
    await asyncio.to_thread(triton_server.kill)
    with pytest.raises(Unavailable):
        await client.load("test/double@1")
    await asyncio.to_thread(triton_server.start)
    await client.load("test/double@1")
    later = TritonClient(toys[0], triton_server.address)
    await later.load("test/double@1")
    await later.close()


async def test_nothing_listens_there(toys: tuple[ModelStore, Path]) -> None:
    client = TritonClient(toys[0], "127.0.0.1:1")
    with pytest.raises(Unavailable) as caught:
        await client.load("test/double@1")
    assert caught.value.reason == "SERVER_UNREACHABLE"
    await client.close()


# --- the process of a model -------------------------------------------------------------------------------------------


async def test_a_dead_process_of_a_model_shows_in_its_health_and_a_reload_heals_it(
    client: TritonClient, triton_server: TritonServer
) -> None:
    inputs = {"x": ONE}
    await client.load("test/fragile")
    [stub] = triton_server.stub_pids("test.fragile@1")
    os.kill(stub, signal.SIGKILL)
    ready = await client._server.stub.ModelReady(message("ModelReadyRequest", name="test.fragile@1"))
    assert ready.ready  # why health is an inference
    with pytest.raises((Unavailable, Internal)):
        await client.probe("test/fragile", deadline=5)
    with pytest.raises(Unavailable) as caught:
        await client.infer("test/fragile", inputs, deadline=10)
    assert caught.value.reason == "MODEL_UNHEALTHY"
    assert await double(client) == 2  # no other model is harmed
    await client.reload("test/fragile", 0)
    np.testing.assert_array_equal((await client.infer("test/fragile", inputs, deadline=10))["y"], ONE * 2)


async def test_the_state_dies_with_the_process_of_its_model(client: TritonClient, triton_server: TritonServer) -> None:
    await step(client, 1, start=True)
    [stub] = triton_server.stub_pids("test.sum@1")
    os.kill(stub, signal.SIGKILL)
    with pytest.raises(Unavailable) as caught:
        await step(client, 1)
    assert caught.value.reason == "SEQUENCE_LOST"
    with pytest.raises(Unavailable) as caught:
        await step(client, 2, start=True)
    assert caught.value.reason == "MODEL_UNHEALTHY"
    await client.revive("test/sum")
    assert await step(client, 1, start=True) == 1


async def test_a_dead_process_is_mended_once_however_many_clients_find_it(
    client: TritonClient, toys: tuple[ModelStore, Path], triton_server: TritonServer
) -> None:
    other = TritonClient(toys[0], triton_server.address)
    await client.load("test/sum")
    [stub] = triton_server.stub_pids("test.sum@1")
    os.kill(stub, signal.SIGKILL)
    for one in (client, other):
        with pytest.raises(Unavailable):
            await one.probe("test/sum", deadline=10)
    await other.revive("test/sum")
    assert await step(other, 1, start=True) == 1
    await client.revive("test/sum")
    assert await step(other, 1) == 2
    await other.close()


# --- loading ----------------------------------------------------------------------------------------------------------


async def test_an_unload_during_traffic_gives_typed_errors_only_and_a_load_mends_it(client: TritonClient) -> None:
    served, refused = 0, set()
    stop = asyncio.Event()

    async def traffic() -> None:
        nonlocal served
        while not stop.is_set():
            try:
                assert await double(client) == 2
                served += 1
            except Unavailable as error:
                refused.add(error.reason)
                await asyncio.sleep(0.02)

    await client.load("test/double@1")
    callers = [asyncio.create_task(traffic()) for _ in range(4)]
    calls = client._server.stub
    await asyncio.sleep(0.2)
    await calls.RepositoryModelUnload(message("RepositoryModelUnloadRequest", model_name="test.double@1"))
    async with asyncio.timeout(20):
        while not refused:  # noqa: ASYNC110 - what the callers see, not an event
            await asyncio.sleep(0.02)
    await calls.RepositoryModelLoad(message("RepositoryModelLoadRequest", model_name="test.double@1"))
    await eventually(lambda: double(client), RECOVERY)
    stop.set()
    await asyncio.gather(*callers)
    assert refused == {"MODEL_NOT_READY"}
    assert served


async def test_a_reload_waits_for_open_sequences_and_refuses_new_ones_meanwhile(client: TritonClient) -> None:
    await step(client, 1, start=True)
    reload = asyncio.create_task(client.reload("test/sum", 30))
    await asyncio.sleep(0.05)
    with pytest.raises(Unavailable) as caught:
        await step(client, 2, start=True)
    assert caught.value.reason == "MODEL_RELOADING"
    assert caught.value.retry_after
    with pytest.raises(Unavailable):  # one at a time
        await client.reload("test/sum", 0)
    assert await step(client, 1) == 2
    assert not reload.done()
    await client.infer("test/sum", {"x": ONE}, sequence=SequenceStep(1, end=True), deadline=20)
    async with asyncio.timeout(30):
        await reload
    assert await step(client, 2, start=True) == 1


async def test_a_reload_does_not_wait_for_ever_and_cuts_what_is_left(
    client: TritonClient, toys: tuple[ModelStore, Path]
) -> None:
    await step(client, 1, start=True)
    program = toys[1] / "test.sum@1" / "1" / "model.py"
    program.write_text(program.read_text() + "\n# Triton reads a model again only when its files have changed.\n")
    started = time.monotonic()
    await client.reload("test/sum", 0.2)
    assert time.monotonic() - started < 30
    with pytest.raises(Unavailable) as caught:
        await step(client, 1)
    assert caught.value.reason == "SEQUENCE_LOST"


async def test_a_reload_of_what_the_server_does_not_have_is_refused(client: TritonClient) -> None:
    with pytest.raises(FailedPrecondition) as caught:
        await client.reload("test/absent", 0)
    assert caught.value.reason == "MODEL_RELOAD_REFUSED"


async def test_a_model_exchanged_under_a_client_is_found_out_at_the_next_load(
    client: TritonClient, toys: tuple[ModelStore, Path]
) -> None:
    await client.load("test/fragile")
    config = toys[1] / "test.fragile@1" / "config.pbtxt"
    honest = config.read_text()
    config.write_text(honest.replace(triton_toys.SHA256, "f" * 64))
    try:
        with pytest.raises(FailedPrecondition) as caught:
            await client.reload("test/fragile", 0)
        assert caught.value.reason == "MODEL_DIGEST_MISMATCH"
        with pytest.raises(FailedPrecondition):
            await client.infer("test/fragile", {"x": ONE}, deadline=10)
    finally:
        config.write_text(honest)
    await client.reload("test/fragile", 0)


# --- callers that leave -----------------------------------------------------------------------------------------------


async def test_callers_that_leave_harm_nobody(client: TritonClient) -> None:
    """Three rounds of sixteen, half of which leave at once or in the midst of a step; the rest get their answers."""
    await client.load("test/sum")
    for _ in range(3):
        tasks = [asyncio.create_task(step(client, number, -0.02, start=True)) for number in range(1, 17)]
        await asyncio.sleep(0.05)
        for task in tasks[::2]:
            task.cancel()
        ends = await asyncio.gather(*tasks, return_exceptions=True)
        assert [isinstance(end, float) for end in ends[1::2]] == [True] * 8, ends
        for number in range(2, 17, 2):
            await client.infer("test/sum", {"x": ONE}, sequence=SequenceStep(number, end=True), deadline=20)
    assert await double(client) == 2
