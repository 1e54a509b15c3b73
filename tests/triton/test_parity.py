"""One definition, two homes: every model that ships gives the same on a real Triton server as in this process.

Models are found in the folders of the capabilities, so a new one is covered by being there. Inputs are real where the
test knows how to make them (sentences, spoken digits), else drawn from a seed.
"""

from __future__ import annotations

import asyncio
import wave
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest

from services.asr.engines.features import Features, FeatureSettings
from services.model_commands import bundled_folders
from services.nlu.engines.features import encode
from services.nlu.text import tokenise
from services.runtime.inference import ModelClient, ModelDefinition, SequenceStep, Tensor, TensorSpec
from services.runtime.model_store import ModelStore
from services.runtime.onnx import OnnxClient
from services.runtime.triton import TritonClient
from services.runtime.triton_repository import servable, write_repository
from services.runtime.triton_server import TritonServer
from tests.fixtures.triton_models import TOYS, toy_store

pytestmark = [pytest.mark.triton, pytest.mark.data]

SENTENCES = (
    "wake me up at five am this week",
    "what's the weather like in Paris tomorrow",
    "stell einen Wecker auf halb acht",
    "quelle heure est-il à Tokyo",
    "pon música de jazz en el salón",
    "metti in pausa",
    "stop",
)
SHIPPED = tuple(definition.id for definition in servable(ModelStore(bundled_folders()).models()))
MODELS = (*SHIPPED, *(f"toy/{name}@1" for name in TOYS))
STEPS = 6
Call = Mapping[str, Tensor]


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
def digits(data: Path) -> Sequence[np.ndarray]:
    """Spoken digits of several voices, 16-bit samples at 16 kHz (the source has every second one)."""
    recordings = []
    for path in sorted((data / "audio" / "fsdd").rglob("*.wav"))[:600:40]:
        with wave.open(str(path)) as file:
            samples = np.frombuffer(file.readframes(file.getnframes()), np.int16)
        recordings.append(np.repeat(samples, 16_000 // file.getframerate()))
    assert recordings
    return recordings


async def test_every_shipped_model_is_there_and_ready(
    store: ModelStore, remote: ModelClient, triton_server: TritonServer
) -> None:
    assert SHIPPED
    for model in MODELS:
        assert (await remote.load(model)).id == model
    assert triton_server.unready() == {}


@pytest.mark.parametrize("model", MODELS)
async def test_both_homes_agree_call_by_call(
    model: str, store: ModelStore, embedded: ModelClient, remote: ModelClient, digits: Sequence[np.ndarray]
) -> None:
    definition = store.get(model)
    for number, call in enumerate(_calls(definition, store, digits)):
        sequence = SequenceStep(7, start=number == 0) if definition.states else None
        here = await embedded.infer(model, call, sequence=sequence)
        there = await remote.infer(model, call, sequence=sequence)
        _assert_close(there, here, definition.tolerance, f"{model}, call {number}")


@pytest.mark.parametrize("model", MODELS)
async def test_sessions_at_once_give_what_each_gives_alone(
    model: str, store: ModelStore, embedded: ModelClient, remote: ModelClient, digits: Sequence[np.ndarray]
) -> None:
    definition = store.get(model)
    calls = _calls(definition, store, digits)
    alone = [await _session(embedded, definition, calls[start:], start + 1) for start in range(4)]
    merged = await asyncio.gather(*(_session(remote, definition, calls[start:], start + 1) for start in range(4)))
    for here, there in zip(alone, merged, strict=True):
        for one, other in zip(here, there, strict=True):
            _assert_close(other, one, definition.tolerance, model)


@pytest.mark.parametrize("model", MODELS)
async def test_pieces_equal_the_whole_in_both_homes(
    model: str, store: ModelStore, embedded: ModelClient, remote: ModelClient, digits: Sequence[np.ndarray]
) -> None:
    definition = store.get(model)
    if definition.streaming is None:
        return
    call = _long(definition, store, digits)
    step = SequenceStep(9, start=True, end=True) if definition.states else None
    whole = await embedded.infer(model, call, sequence=step)
    for client in (embedded, remote):
        pieces = [piece async for piece in client.stream(model, call)]
        assert len(pieces) > 1
        names = [spec.name for spec in definition.outputs if len(spec.shape) > definition.streaming.axis]
        joined = {name: np.concatenate([piece[name] for piece in pieces], definition.streaming.axis) for name in names}
        names = [name for name in names if joined[name].shape == whole[name].shape]
        assert names
        tolerance = max(definition.tolerance, 1e-5)
        _assert_close({n: joined[n] for n in names}, {n: whole[n] for n in names}, tolerance, f"{model}, streamed")


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


# --- inputs -----------------------------------------------------------------------------------------------------------


def _calls(definition: ModelDefinition, store: ModelStore, digits: Sequence[np.ndarray]) -> list[Call]:
    """At least `STEPS` calls; of a stateful model, one sequence."""
    names = {spec.name: spec for spec in definition.inputs}
    if definition.name.startswith("intents-"):
        return [{"features": encode(tokenise(sentence))} for sentence in SENTENCES]
    if "features" in names and definition.streaming is not None:
        long, size = _long(definition, store, digits), definition.streaming.size
        return [
            {name: value[:, at : at + size] if name == "features" else value for name, value in long.items()}
            for at in range(0, STEPS * size, size)
        ]
    random = np.random.default_rng(len(definition.id))
    return [{name: _drawn(spec, random, definition) for name, spec in names.items()} for _ in range(STEPS)]


def _long(definition: ModelDefinition, store: ModelStore, digits: Sequence[np.ndarray]) -> Call:
    """An input of many pieces: spoken digits where the model takes their features."""
    assert definition.streaming is not None
    axis, length = definition.streaming.axis, definition.streaming.size * STEPS
    random = np.random.default_rng(len(definition.id))
    call = {spec.name: _drawn(spec, random, definition, {axis: length}) for spec in definition.inputs}
    settings = _features_of(definition, store)
    if settings is not None and "features" in call:
        reader = Features(settings)
        frames = np.concatenate([reader.feed(np.concatenate(digits)), reader.finish()])
        call["features"] = frames[np.newaxis, :length]
    return call


def _features_of(definition: ModelDefinition, store: ModelStore) -> FeatureSettings | None:
    for whole in store.models():
        if whole.parameters.get("encoder") == definition.id:
            return FeatureSettings.parse(whole.parameters.get("features", {}))
    return None


def _drawn(
    spec: TensorSpec,
    random: np.random.Generator,
    definition: ModelDefinition,
    lengths: Mapping[int, int] | None = None,
) -> Tensor:
    lengths = {0: 1, **(lengths or {})}
    if definition.streaming is not None:
        lengths = {definition.streaming.axis: definition.streaming.size, **lengths}
    shape = [lengths.get(axis, 2) if size is None else size for axis, size in enumerate(spec.shape)]
    if np.dtype(spec.dtype).kind in "iu":
        return random.integers(0, 8, shape).astype(spec.dtype)
    return random.standard_normal(shape).astype(spec.dtype)
