"""The shipped recogniser with the compute dial: bundles fit their graphs, pieces and neighbours change nothing."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from services.asr.engines.features import FeatureSettings
from services.runtime.inference import SequenceStep, Tensor
from services.runtime.model_store import ModelStore
from services.runtime.onnx import OnnxClient
from training.asr_digits.dial_cost import costs
from training.asr_digits.dial_settings import DialSettings

pytestmark = pytest.mark.unit

FOLDER = Path(__file__).parents[3] / "services" / "asr" / "models" / "digits-dial"
ENCODER = "antiphon/digits-dial.encoder@1"
STORE = ModelStore([FOLDER.parent])
FRAMES = 192


@pytest.fixture
async def client() -> AsyncIterator[OnnxClient]:
    made = OnnxClient(STORE, threads=1)
    yield made
    await made.close()


def features(seed: int = 0) -> NDArray[np.float32]:
    """Loud and silent frames in turn, as log energies are."""
    rng = np.random.default_rng(seed)
    loudness = np.where(np.arange(FRAMES) // 20 % 2, -3.0, -12.0)
    return (loudness[None, :, None] + rng.standard_normal((1, FRAMES, 40))).astype(np.float32)


async def run(
    client: OnnxClient, whole: Tensor, budget: float, pieces: Sequence[int] = (FRAMES,), sequence: int = 1
) -> tuple[Tensor, float]:
    """Encoded frames, and what was spent on them."""
    encoded, spent, at = [], [], 0
    for size in pieces:
        inputs = {"features": whole[:, at : at + size], "budget": np.array([[budget]], np.float32)}
        step = SequenceStep(sequence, start=at == 0, end=at + size >= FRAMES)
        found = await client.infer(ENCODER, inputs, sequence=step)
        encoded.append(found["encoded"])
        spent.append(float(found["spent"][0, 0]))
        at += size
    assert at == FRAMES
    return np.concatenate(encoded, axis=1), float(np.average(spent, weights=pieces))


def test_the_recogniser_declares_what_an_engine_needs() -> None:
    top = STORE.get("antiphon/digits-dial@1")
    assert top.parameters["engine"] == "transducer"
    assert FeatureSettings.parse(top.parameters["features"]).mel_bins == 40
    assert costs(DialSettings()).fixed < top.parameters["least_budget"] < 0.2
    for part in ("encoder", "predictor", "joiner"):
        assert STORE.get(top.parameters[part]).batching is not None
    assert top.verified_bytes().decode().splitlines()[0] == "<blk> 0"
    assert top.card.is_file()


@pytest.mark.parametrize("budget", [1.0, 0.4])
@pytest.mark.parametrize("pieces", [[4] * 48, [16] * 12, [100, 4, 88]])
async def test_pieces_give_what_the_whole_gives(client: OnnxClient, budget: float, pieces: list[int]) -> None:
    wanted, cost = await run(client, features(), budget)
    got, cost_of_pieces = await run(client, features(), budget, pieces, sequence=2)
    assert wanted.shape == (1, FRAMES // 4, 128)
    assert np.ptp(wanted) > 0.1
    assert np.abs(got - wanted).max() < 1e-5
    assert cost_of_pieces == pytest.approx(cost, abs=1e-5)


async def test_sequences_with_budgets_of_their_own_share_calls_and_nothing_else(client: OnnxClient) -> None:
    budgets = (1.0, 0.4, 0.7, 0.4)
    rows = [features(seed) for seed in range(4)]
    pieces = [16] * 12
    alone = [await run(client, *each, pieces, at + 1) for at, each in enumerate(zip(rows, budgets, strict=True))]
    beside = zip(rows, budgets, range(11, 15), strict=True)
    together = await asyncio.gather(*(run(client, row, budget, pieces, at) for row, budget, at in beside))
    for (one, cost), (other, other_cost) in zip(alone, together, strict=True):
        assert np.abs(one - other).max() < 1e-5
        assert other_cost == pytest.approx(cost, abs=1e-6)


async def test_the_dial_is_obeyed(client: OnnxClient) -> None:
    spent = [(await run(client, features(), budget, sequence=at + 1))[1] for at, budget in enumerate((1.0, 0.7, 0.4))]
    assert spent[0] == 1.0
    assert spent[0] > spent[1] > spent[2] > costs(DialSettings()).fixed


async def test_what_comes_later_changes_nothing(client: OnnxClient) -> None:
    whole, other = features(), features()
    other[:, 96:] = features(9)[:, 96:]
    one, two = [(await run(client, each, 0.4, sequence=at + 1))[0] for at, each in enumerate((whole, other))]
    assert np.abs(one[:, :24] - two[:, :24]).max() < 1e-5
    assert np.abs(one[:, 24:] - two[:, 24:]).max() > 1e-2


def test_the_card_tells_the_curve_that_was_measured() -> None:
    card = (FOLDER / "CARD.md").read_text(encoding="utf-8")
    report = json.loads((FOLDER / "dial.json").read_text(encoding="utf-8"))
    for point in report["points"]:
        if point["name"] == "dial" and point["setting"] in (1.0, 0.5, 0.4, 0.3):
            assert f"{100 * point['clean']['wer']:.1f} %" in card
            assert f"{100 * point['spent']['clean']:.0f} %" in card
    assert (FOLDER / "dial.svg").stat().st_size < 60_000
