"""One definition, two homes: every model that ships gives the same on a real Triton server as in this process.

Models are found in the folders of the capabilities, so a new one is covered by being there. Inputs are real where the
test knows how to make them (sentences, spoken digits), else drawn from a seed.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest

from services.model_commands import bundled_folders
from services.runtime.inference import ModelClient, ModelDefinition, SequenceStep, Tensor
from services.runtime.model_store import ModelStore
from services.runtime.onnx import OnnxClient
from services.runtime.triton.client import TritonClient
from services.runtime.triton.repository import servable, write_repository
from services.runtime.triton.server import TritonServer
from tests.fixtures.model_inputs import Call, Recordings, calls_of, long_call, spoken_digits
from tests.fixtures.triton_models import TOYS, toy_store

pytestmark = [pytest.mark.triton, pytest.mark.data]

SHIPPED = tuple(definition.id for definition in servable(ModelStore(bundled_folders()).models()))
MODELS = (*SHIPPED, *(f"toy/{name}@1" for name in TOYS))


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> ModelStore:
    toys = tmp_path_factory.mktemp("bundles")
    toy_store(toys)
    return ModelStore([*bundled_folders(), toys])


@pytest.fixture(scope="module")
def triton_repository(store: ModelStore, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("parity") / "repository"
    write_repository(store.models(), out, "cpu")
    return out


@pytest.fixture
async def embedded(store: ModelStore) -> AsyncIterator[ModelClient]:
    client = OnnxClient(store)
    yield client
    await client.close()


@pytest.fixture
async def remote(store: ModelStore, triton_server: TritonServer) -> AsyncIterator[ModelClient]:
    client = TritonClient(store, triton_server.address)
    yield client
    await client.close()


@pytest.fixture(scope="module")
def digits(data: Path) -> Recordings:
    return spoken_digits(data)


async def test_every_shipped_model_is_there_and_ready(
    store: ModelStore, remote: ModelClient, triton_server: TritonServer
) -> None:
    assert SHIPPED
    for model in MODELS:
        assert (await remote.load(model)).id == model
    assert triton_server.unready() == {}


@pytest.mark.parametrize("model", MODELS)
async def test_both_homes_agree_call_by_call(
    model: str, store: ModelStore, embedded: ModelClient, remote: ModelClient, digits: Recordings
) -> None:
    definition = store.get(model)
    for number, call in enumerate(calls_of(definition, store, digits)):
        sequence = SequenceStep(7, start=number == 0) if definition.states else None
        here = await embedded.infer(model, call, sequence=sequence)
        there = await remote.infer(model, call, sequence=sequence)
        _assert_close(there, here, definition.tolerance, f"{model}, call {number}")


@pytest.mark.parametrize("model", MODELS)
async def test_sessions_at_once_give_what_each_gives_alone(
    model: str, store: ModelStore, embedded: ModelClient, remote: ModelClient, digits: Recordings
) -> None:
    definition = store.get(model)
    calls = calls_of(definition, store, digits)
    alone = [await _session(embedded, definition, calls[start:], start + 1) for start in range(4)]
    merged = await asyncio.gather(*(_session(remote, definition, calls[start:], start + 1) for start in range(4)))
    for here, there in zip(alone, merged, strict=True):
        for one, other in zip(here, there, strict=True):
            _assert_close(other, one, definition.tolerance, model)


@pytest.mark.parametrize("model", MODELS)
async def test_pieces_equal_the_whole_in_both_homes(
    model: str, store: ModelStore, embedded: ModelClient, remote: ModelClient, digits: Recordings
) -> None:
    definition = store.get(model)
    if definition.streaming is None:
        return
    call = long_call(definition, store, digits)
    step = SequenceStep(9, start=True, end=True) if definition.states else None
    whole = await embedded.infer(model, call, sequence=step)
    for client in (embedded, remote):
        pieces = [piece async for piece in client.stream(model, call)]
        assert len(pieces) > 1
        names = [spec.name for spec in definition.outputs if len(spec.shape) > definition.streaming.axis]
        joined = {name: np.concatenate([piece[name] for piece in pieces], definition.streaming.axis) for name in names}
        names = [name for name in names if joined[name].shape == whole[name].shape]
        assert names
        _assert_close({n: joined[n] for n in names}, {n: whole[n] for n in names}, 1e-5, f"{model}, streamed")


async def _session(
    client: ModelClient, definition: ModelDefinition, calls: Sequence[Call], number: int
) -> list[Mapping[str, Tensor]]:
    outputs = []
    for at, call in enumerate(calls):
        step = SequenceStep(number, start=at == 0, end=at == len(calls) - 1) if definition.states else None
        outputs.append(await client.infer(definition.id, call, sequence=step))
    return outputs


def _assert_close(have: Mapping[str, Tensor], want: Mapping[str, Tensor], tolerance: float, what: str) -> None:
    assert have.keys() == want.keys()
    for name, value in want.items():
        assert have[name].dtype == value.dtype, f"{what}: {name}"
        np.testing.assert_allclose(have[name], value, rtol=tolerance, atol=tolerance, err_msg=f"{what}: {name}")
