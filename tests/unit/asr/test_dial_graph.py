"""The graph with the compute dial, random weights: it computes what a reading of the rules frame by frame does."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from numpy.typing import NDArray

from services.runtime.inference import SequenceStep
from services.runtime.model_store import ModelStore
from services.runtime.onnx import OnnxClient
from training.asr_digits.dial_cost import costs
from training.asr_digits.dial_graph import encoder_graph
from training.asr_digits.dial_settings import KNEES, PRIOR_FRAMES, RECENT, DialSettings

pytestmark = pytest.mark.unit

Array = NDArray[np.float32]
SETTINGS = DialSettings(width=16, heads=2, blocks=3, context=6, channels=(2, 4), encoded=8)
FRAMES = 64


@dataclass(frozen=True)
class Result:
    encoded: Array
    spent: float


@pytest.fixture(scope="module")
def weights() -> dict[str, Array]:
    rng = np.random.default_rng(5)
    width, narrow = SETTINGS.width, SETTINGS.head_width
    first, second = SETTINGS.channels
    shapes: dict[str, tuple[int, ...]] = {
        "conv1": (first, 1, 5, 3),
        "conv2": (second, first, 3, 3),
        "project": (width, second * 10),
        "leave": (SETTINGS.encoded, width),
        "dial": (2 * SETTINGS.blocks, len(KNEES)),
    }
    for block in range(SETTINGS.blocks):
        shapes[f"blocks.{block}.project"] = (width + 2 * narrow, width)
        shapes[f"blocks.{block}.out"] = (width, width)
        shapes[f"blocks.{block}.wide"] = (4 * width, width)
        shapes[f"blocks.{block}.narrow"] = (width, 4 * width)
    made = {f"{name}.weight": rng.normal(0, shape[-1] ** -0.5, shape) for name, shape in shapes.items()}
    made |= {f"{name}.bias": rng.normal(0, 0.1, shape[0]) for name, shape in shapes.items()}
    norms = [f"blocks.{block}.norm{which}" for block in range(SETTINGS.blocks) for which in (1, 2)]
    for name in ("enter", "norm", *norms):
        made |= {f"{name}.weight": rng.normal(1, 0.1, width), f"{name}.bias": rng.normal(0, 0.1, width)}
    made |= {
        "mean": rng.normal(-8, 1, 40),
        "scale": rng.uniform(0.2, 0.5, 40),
        "position": rng.normal(0, 0.5, (SETTINGS.heads, SETTINGS.context + 1)),
        "gates": rng.normal(0, 0.5, (SETTINGS.blocks, 2, width)),
    }
    return {name: value.astype(np.float32) for name, value in made.items()}


def features(batch: int = 1) -> Array:
    rng = np.random.default_rng(3)
    return (rng.normal(-8, 3, (batch, FRAMES, 40))).astype(np.float32)


def run(
    folder: Path, weights: Mapping[str, Array], x: Array, budgets: list[float] | None, piece: int = FRAMES
) -> list[Result]:
    """Through the embedded home, one sequence per row at the same time, so that rows are merged into one call."""
    graph = encoder_graph(SETTINGS, weights, gated=budgets is not None).SerializeToString()
    dial = budgets is not None
    definition: dict[str, Any] = {
        "publisher": "t",
        "name": "dial",
        "version": "1",
        "file": "model.onnx",
        "sha256": hashlib.sha256(graph).hexdigest(),
        "licence": "none",
        "locales": [],
        "inputs": [tensor("features", -1, -1, 40), *([tensor("budget", -1, 1)] if dial else [])],
        "outputs": [tensor("encoded", -1, -1, SETTINGS.encoded), *([tensor("spent", -1, 1)] if dial else [])],
        "states": [
            {"input": name, "output": f"{name}_next", "dtype": "float32", "shape": [1, *shape]}
            for name, shape in SETTINGS.states().items()
        ],
        "batching": {"max_size": 8, "delay_ms": 50},
    }
    folder.mkdir(exist_ok=True)
    (folder / "model.onnx").write_bytes(graph)
    (folder / "model.yaml").write_text(yaml.safe_dump(definition), encoding="utf-8")
    return asyncio.run(_served(folder, x, budgets, piece))


async def _served(folder: Path, x: Array, budgets: list[float] | None, piece: int) -> list[Result]:
    client = OnnxClient(ModelStore([folder]), threads=1)

    async def one(row: int) -> Result:
        encoded, spent = [], []
        for at in range(0, FRAMES, piece):
            inputs = {"features": x[row : row + 1, at : at + piece]}
            if budgets is not None:
                inputs["budget"] = np.array([[budgets[row]]], np.float32)
            step = SequenceStep(row + 1, start=at == 0, end=at + piece >= FRAMES)
            found = await client.infer("t/dial@1", inputs, sequence=step)
            encoded.append(found["encoded"][0])
            spent.append(float(found["spent"][0, 0]) if budgets is not None else 1.0)
        return Result(np.concatenate(encoded), float(np.mean(spent)))

    try:
        return list(await asyncio.gather(*map(one, range(len(x)))))
    finally:
        await client.close()


def tensor(name: str, *shape: int) -> dict[str, Any]:
    return {"name": name, "dtype": "float32", "shape": list(shape)}


def by_the_rules(w: Mapping[str, Array], x: Array, budget: float) -> Result:
    """[T, 40], frame by frame: a shut layer leaves its frame alone, and a shut attention gives no key to others."""
    rows = front(w, x)
    knees = np.maximum(budget - np.array(KNEES), 0)
    wish = (w["dial.weight"] @ knees + w["dial.bias"]).reshape(SETTINGS.blocks, 2)
    width, narrow = SETTINGS.width, SETTINGS.head_width
    opened = 0.0
    share = costs(SETTINGS)
    for block in range(SETTINGS.blocks):
        is_open = (rows @ w["gates"][block].T + wish[block] > 0) | (budget >= 1)
        opened += float(is_open.mean(axis=0) @ np.array([share.attention, share.feed_forward]))
        base = f"blocks.{block}."
        projected = linear(w, base + "project", norm(w, base + "norm1", rows))
        keys, values = projected[:, width : width + narrow], projected[:, width + narrow :]
        after = rows.copy()
        for t in map(int, np.flatnonzero(is_open[:, 0])):
            seen = [s for s in range(max(0, t - SETTINGS.context), t + 1) if is_open[s, 0]]
            mixed = []
            for head in range(SETTINGS.heads):
                query = projected[t, head * narrow : (head + 1) * narrow] * narrow**-0.5
                scores = np.array([query @ keys[s] + w["position"][head, t - s] for s in seen])
                mixed.append(np.exp(scores) / np.exp(scores).sum() @ values[seen])
            after[t] += linear(w, base + "out", np.concatenate(mixed))
        for t in map(int, np.flatnonzero(is_open[:, 1])):
            wide = np.maximum(linear(w, base + "wide", norm(w, base + "norm2", after[t])), 0)
            after[t] += linear(w, base + "narrow", wide)
        rows = after
    return Result(linear(w, "leave", norm(w, "norm", rows)), share.fixed + opened)


def front(w: Mapping[str, Array], x: Array) -> Array:
    centred = x - w["mean"]
    count = np.arange(1, len(x) + 1)[:, None] + PRIOR_FRAMES
    normal = (centred - centred.cumsum(axis=0) / count) * w["scale"]
    maps = np.pad(normal, ((RECENT, 0), (0, 0)))[None]
    for name in ("conv1", "conv2"):
        maps = np.maximum(convolved(maps, w[name + ".weight"], w[name + ".bias"]), 0)
    return norm(w, "enter", linear(w, "project", maps.transpose(1, 0, 2).reshape(maps.shape[1], -1)))


def convolved(maps: Array, kernel: Array, bias: Array) -> Array:
    """[C, T, F] in steps of two, bands padded by one."""
    high, wide = kernel.shape[2:]
    maps = np.pad(maps, ((0, 0), (0, 0), (1, 1)))
    times, bands = (maps.shape[1] - high) // 2 + 1, (maps.shape[2] - wide) // 2 + 1
    out = np.zeros((len(kernel), times, bands), np.float32)
    for t in range(times):
        for f in range(bands):
            out[:, t, f] = np.tensordot(kernel, maps[:, 2 * t : 2 * t + high, 2 * f : 2 * f + wide], 3) + bias
    return out


def linear(w: Mapping[str, Array], name: str, rows: Array) -> Array:
    return np.asarray(rows @ w[name + ".weight"].T + w[name + ".bias"], np.float32)


def norm(w: Mapping[str, Array], name: str, rows: Array) -> Array:
    centred = rows - rows.mean(axis=-1, keepdims=True)
    deviation = np.sqrt((centred**2).mean(axis=-1, keepdims=True) + 1e-5)
    return np.asarray(centred / deviation * w[name + ".weight"] + w[name + ".bias"], np.float32)


@pytest.mark.parametrize("budget", [1.0, 0.6, 0.3, 0.05])
def test_a_call_computes_what_the_rules_say(tmp_path: Path, weights: dict[str, Array], budget: float) -> None:
    x = features()
    (got,) = run(tmp_path, weights, x, [budget])
    wanted = by_the_rules(weights, x[0], budget)
    assert got.spent == pytest.approx(wanted.spent, abs=1e-6)
    assert np.abs(got.encoded - wanted.encoded).max() < 1e-4
    if budget in (0.6, 0.3):
        assert costs(SETTINGS).fixed + 0.05 < got.spent < 0.95, "nothing is tested unless some gates are shut"


def test_budgets_side_by_side_in_one_call_do_not_touch(tmp_path: Path, weights: dict[str, Array]) -> None:
    x, budgets = features(4), [1.0, 0.4, 0.7, 0.05]
    for row, got in enumerate(run(tmp_path, weights, x, budgets, piece=16)):
        wanted = by_the_rules(weights, x[row], budgets[row])
        assert got.spent == pytest.approx(wanted.spent, abs=1e-6)
        assert np.abs(got.encoded - wanted.encoded).max() < 1e-4


@pytest.mark.parametrize("piece", [4, 8, 16, 32])
@pytest.mark.parametrize("budget", [1.0, 0.4])
def test_pieces_give_what_the_whole_gives(tmp_path: Path, weights: dict[str, Array], budget: float, piece: int) -> None:
    (whole,) = run(tmp_path, weights, features(), [budget])
    (pieces,) = run(tmp_path, weights, features(), [budget], piece)
    assert np.abs(whole.encoded - pieces.encoded).max() < 1e-5
    assert whole.spent == pytest.approx(pieces.spent, abs=1e-6)


def test_all_gates_open_is_the_encoder_without_gates(tmp_path: Path, weights: dict[str, Array]) -> None:
    (dialled,) = run(tmp_path / "dial", weights, features(), [1.0], piece=16)
    (plain,) = run(tmp_path / "plain", weights, features(), None, piece=16)
    assert np.abs(dialled.encoded - plain.encoded).max() < 1e-5
    assert dialled.spent == 1.0


def test_the_cost_is_that_of_the_matrices_in_the_graph(weights: dict[str, Array]) -> None:
    """Every weight of a matrix is one multiplication per encoder frame; kernels slide over bands and time."""
    counted = 0
    for name, value in weights.items():
        if name == "gates" or (name.endswith(".weight") and value.ndim == 2 and name != "dial.weight"):
            counted += value.size
    counted += weights["conv1.weight"].size * 20 * 2 + weights["conv2.weight"].size * 10
    counted += SETTINGS.blocks * 2 * SETTINGS.width * (SETTINGS.context + 1)
    found = costs(SETTINGS)
    assert found.full == counted
    assert found.fixed + SETTINGS.blocks * (found.attention + found.feed_forward) == pytest.approx(1)
