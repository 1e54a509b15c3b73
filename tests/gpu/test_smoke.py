"""The repository on a real GPU: every shipped model loads in its production form and agrees with this process.

`make test-gpu` runs it against the server at ANTIPHON_TRITON_URL; README.md says how to start one.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path

import grpc
import numpy as np
import pytest
from tritonclient.grpc import model_config_pb2, service_pb2, service_pb2_grpc

from services.model_commands import bundled_folders
from services.runtime.inference import ModelClient, ModelDefinition, SequenceStep, Tensor
from services.runtime.model_store import ModelStore
from services.runtime.onnx import OnnxClient
from services.runtime.triton.client import TritonClient
from services.runtime.triton.repository import servable
from tests.fixtures.model_inputs import Call, calls_of, long_call, spoken_digits

pytestmark = [pytest.mark.gpu, pytest.mark.data]

STORE = ModelStore(bundled_folders())
MODELS = tuple(definition.id for definition in servable(STORE.models()))
# A GPU adds in another order, and may round the factors of a product to ten bits (TF32).
LEAST_TOLERANCE = 2e-3


@pytest.fixture(scope="module")
def url() -> str:
    named = os.environ.get("ANTIPHON_TRITON_URL", "")
    if not named:
        pytest.skip("ANTIPHON_TRITON_URL names no server: tests/gpu/README.md")
    return named


@pytest.fixture
async def embedded() -> AsyncIterator[ModelClient]:
    client = OnnxClient(STORE)
    yield client
    await client.close()


@pytest.fixture
async def remote(url: str) -> AsyncIterator[ModelClient]:
    client = TritonClient(STORE, url)
    yield client
    await client.close()


@pytest.mark.parametrize("model", MODELS)
def test_the_model_runs_on_a_gpu(model: str, url: str) -> None:
    with grpc.insecure_channel(url) as channel:
        request = service_pb2.ModelConfigRequest(name=STORE.get(model).triton_name)
        config = service_pb2_grpc.GRPCInferenceServiceStub(channel).ModelConfig(request, timeout=10).config
    assert config.backend == "onnxruntime"
    assert {group.kind for group in config.instance_group} == {model_config_pb2.ModelInstanceGroup.KIND_GPU}


@pytest.mark.parametrize("model", MODELS)
async def test_it_agrees_with_this_process(model: str, data: Path, embedded: ModelClient, remote: ModelClient) -> None:
    definition = STORE.get(model)
    await remote.load(model)
    calls = calls_of(definition, STORE, spoken_digits(data))
    here = await _session(embedded, definition, calls, 1)
    for there in await asyncio.gather(*(_session(remote, definition, calls, number) for number in range(1, 9))):
        for have, want in zip(there, here, strict=True):
            _assert_close(have, want, definition)


@pytest.mark.parametrize("model", MODELS)
async def test_a_stream_agrees_with_this_process(
    model: str, data: Path, embedded: ModelClient, remote: ModelClient
) -> None:
    definition = STORE.get(model)
    if definition.streaming is None:
        return
    call = long_call(definition, STORE, spoken_digits(data))
    here = [piece async for piece in embedded.stream(model, call)]
    there = [piece async for piece in remote.stream(model, call)]
    for have, want in zip(there, here, strict=True):
        _assert_close(have, want, definition)


async def _session(
    client: ModelClient, definition: ModelDefinition, calls: Sequence[Call], number: int
) -> list[Mapping[str, Tensor]]:
    outputs = []
    for at, call in enumerate(calls):
        step = SequenceStep(number, start=at == 0, end=at == len(calls) - 1) if definition.states else None
        outputs.append(await client.infer(definition.id, call, sequence=step))
    return outputs


def _assert_close(have: Mapping[str, Tensor], want: Mapping[str, Tensor], definition: ModelDefinition) -> None:
    tolerance = max(definition.tolerance, LEAST_TOLERANCE)
    for name, value in want.items():
        np.testing.assert_allclose(
            have[name], value, rtol=tolerance, atol=tolerance, err_msg=f"{definition.id}: {name}"
        )
