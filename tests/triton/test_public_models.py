"""Published recognisers behind a real Triton server: what each hears there and in this process is the same.

Their graphs are as hard on a server as graphs get: twenty states along different axes, one of them whole numbers, and
WeNet's caches that have no axis for sequences at all.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from services.asr.engines.neural.chunks import FeatureChunks
from services.asr.engines.neural.search import Asked, Hypothesis, SpeechModel
from services.asr.engines.published.importing import import_public
from services.asr.engines.readers import read_model
from services.asr.settings import AsrSettings
from services.runtime.audio import Pcm
from services.runtime.inference import ModelClient
from services.runtime.model_store import ModelStore
from services.runtime.onnx import OnnxClient
from services.runtime.triton.client import TritonClient
from services.runtime.triton.repository import write_repository
from services.runtime.triton.server import TritonServer
from tests.fixtures import public_models

pytestmark = pytest.mark.triton

FAMILIES: dict[str, Callable[[Path], Path]] = {
    "transducer": public_models.zipformer2,
    "zipformer2-ctc": public_models.zipformer2_ctc,
    "wenet-ctc": public_models.wenet_ctc,
    "nemo-ctc": public_models.nemo_ctc,
}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> ModelStore:
    published, out = tmp_path_factory.mktemp("published"), tmp_path_factory.mktemp("store")
    for name, write in FAMILIES.items():
        folder = write(published / name)
        import_public(folder, publisher="them", name=name, version="1", licence="none", locales=["en"], out=out)
    return ModelStore([out])


@pytest.fixture(scope="module")
def triton_repository(store: ModelStore, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("public") / "repository"
    write_repository(store.models(), out, "cpu")
    return out


def sound(seed: int) -> Pcm:
    """Three seconds of bursts of noise."""
    random = np.random.default_rng(seed)
    loudness = np.repeat(random.uniform(10, 8_000, 30), 1_600)
    samples: Pcm = (loudness * random.uniform(-1, 1, loudness.size)).astype(np.int16)
    return samples


async def heard(model: SpeechModel, pcm: Pcm) -> Hypothesis:
    search = model.search(Asked())
    pieces = FeatureChunks(model.shape.features, model.shape.window, model.shape.shift).feed(pcm)
    for at, piece in enumerate(pieces):
        await search.advance(piece, last=at == len(pieces) - 1)
    await search.close()
    return search.best(1)[0]


@pytest.mark.parametrize("name", FAMILIES)
async def test_both_homes_hear_the_same(name: str, store: ModelStore, triton_server: TritonServer) -> None:
    clients: list[ModelClient] = [OnnxClient(store), TritonClient(store, triton_server.address)]
    here, there = (read_model(store.get(f"them/{name}"), client, AsrSettings(beam=1)) for client in clients)
    for model in (here, there):
        await model.load()
    for seed in (1, 2):
        ours, theirs = await heard(here, sound(seed)), await heard(there, sound(seed))
        assert len(ours.tokens) > 3
        assert (theirs.tokens, theirs.frames) == (ours.tokens, ours.frames)
        assert theirs.log_probs == pytest.approx(ours.log_probs, abs=1e-4)
    for client in clients:
        await client.close()


@pytest.mark.parametrize("name", FAMILIES)
async def test_sessions_side_by_side_are_not_mixed_up(
    name: str, store: ModelStore, triton_server: TritonServer
) -> None:
    client = TritonClient(store, triton_server.address)
    model = read_model(store.get(f"them/{name}"), client, AsrSettings(beam=1))
    alone = [(await heard(model, sound(seed))).tokens for seed in range(4)]
    together = await asyncio.gather(*(heard(model, sound(seed)) for seed in range(4)))
    assert [guess.tokens for guess in together] == alone
    assert len(set(alone)) > 1
    await client.close()
