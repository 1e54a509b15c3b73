"""The shipped ConvRNN-T of digits: its bundles fit their graphs, and pieces and neighbours change nothing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from services.asr.engines.features import FeatureSettings
from services.runtime.inference import SequenceStep, Tensor
from services.runtime.model_store import ModelStore
from services.runtime.onnx import OnnxClient

pytestmark = pytest.mark.unit

MODELS = Path(__file__).parents[3] / "services" / "asr" / "models"
ENCODER = "antiphon/digits-conv.encoder@1"
STORE = ModelStore([MODELS])


@pytest.fixture
async def client() -> AsyncIterator[OnnxClient]:
    made = OnnxClient(STORE, threads=1)
    yield made
    await made.close()


def features(frames: int, seed: int = 0) -> NDArray[np.float32]:
    """Loud and silent frames in turn, as log energies are."""
    rng = np.random.default_rng(seed)
    loudness = np.where(np.arange(frames) // 20 % 2, -3.0, -12.0)
    return (loudness[None, :, None] + rng.standard_normal((1, frames, 40))).astype(np.float32)


async def encoded(client: OnnxClient, whole: Tensor, pieces: list[int], sequence: int) -> Tensor:
    out, at = [], 0
    for size in pieces:
        piece = whole[:, at : at + size]
        step = SequenceStep(sequence, start=at == 0, end=at + size >= whole.shape[1])
        out.append((await client.infer(ENCODER, {"features": piece}, sequence=step))["encoded"])
        at += size
    assert at == whole.shape[1]
    return np.concatenate(out, axis=1)


def test_the_recogniser_declares_what_an_engine_needs() -> None:
    top = STORE.get("antiphon/digits-conv@1")
    parameters = top.parameters
    assert parameters["engine"] == "transducer"
    assert FeatureSettings.parse(parameters["features"]).mel_bins == 40
    for part in ("encoder", "predictor", "joiner"):
        assert STORE.get(parameters[part]).batching is not None
    lines = top.verified_bytes().decode().splitlines()
    assert lines[0] == "<blk> 0"
    assert lines[10] == "nine 10"
    assert len(lines) == 11
    assert top.card.is_file()


@pytest.mark.parametrize("pieces", [[4] * 48, [16] * 12, [100, 4, 88], [12, 180]])
async def test_pieces_give_what_the_whole_gives(client: OnnxClient, pieces: list[int]) -> None:
    whole = features(192)
    wanted = await encoded(client, whole, [192], sequence=1)
    assert wanted.shape == (1, 48, 128)
    got = await encoded(client, whole, pieces, sequence=2)
    assert np.abs(got - wanted).max() < 1e-5
    assert np.ptp(wanted) > 0.1


async def test_streamed_gives_what_the_whole_gives(client: OnnxClient) -> None:
    whole = features(160, seed=3)
    wanted = await encoded(client, whole, [160], sequence=1)
    pieces = [piece["encoded"] async for piece in client.stream(ENCODER, {"features": whole})]
    assert len(pieces) == 10
    assert np.abs(np.concatenate(pieces, axis=1) - wanted).max() < 1e-5


async def test_what_comes_later_changes_nothing(client: OnnxClient) -> None:
    whole = features(128)
    other = whole.copy()
    other[:, 64:] = features(64, seed=9)
    one, two = [await encoded(client, each, [128], sequence=1 + at) for at, each in enumerate((whole, other))]
    assert np.abs(one[:, :16] - two[:, :16]).max() < 1e-5
    assert np.abs(one[:, 16:] - two[:, 16:]).max() > 1e-2


async def test_neighbours_in_a_batch_change_nothing(client: OnnxClient) -> None:
    rows = [features(64, seed=seed) for seed in range(3)]
    alone = [await encoded(client, row, [16] * 4, sequence=1 + at) for at, row in enumerate(rows)]
    together = await asyncio.gather(*(encoded(client, row, [16] * 4, sequence=4 + at) for at, row in enumerate(rows)))
    for one, other in zip(alone, together, strict=True):
        assert np.abs(one - other).max() < 1e-5


async def test_predictor_and_joiner_go_together(client: OnnxClient) -> None:
    zeros = np.zeros((2, 64), np.float32)
    token = np.array([[0], [5]], np.int64)
    step = await client.infer("antiphon/digits-conv.predictor@1", {"token": token, "hidden": zeros, "cell": zeros})
    assert step["predicted"].shape == (2, 128)
    assert np.abs(step["hidden_next"][0] - step["hidden_next"][1]).max() > 1e-3
    both = {"encoded": np.zeros((2, 128), np.float32), "predicted": step["predicted"]}
    assert (await client.infer("antiphon/digits-conv.joiner@1", both))["logits"].shape == (2, 11)
