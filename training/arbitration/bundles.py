"""Writes the bundles of the rankers: the weights, the definition, and the figures. CARD.md is written by hand."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
import yaml

from services.arbitration.rankers.loading import BUNDLED
from services.arbitration.rankers.matrix import COLUMNS
from services.arbitration.stages.calibrate import Calibration
from services.runtime.model_store import ModelStore
from services.runtime.onnx import OnnxClient
from training.arbitration.lists import Floats, Lists

VERSION: Final = "1"

TOLERANCE: Final = 1e-3
"""What scores may differ between a model and its graph, in points."""

_TENSORS: Final[Mapping[str, tuple[str, list[int], str, list[int]]]] = {
    "rank-linear": ("rows", [-1, len(COLUMNS)], "scores", [-1, 1]),
    "rank-lambdamart": ("rows", [-1, len(COLUMNS)], "scores", [-1, 1]),
    "rank-bilstm": ("lists", [-1, -1, len(COLUMNS)], "scores", [-1, -1]),
}


def write_bundle(name: str, content: bytes, calibration: Calibration, folder: Path = BUNDLED) -> Path:
    """One bundle; the linear ranker's content is JSON, the others' ONNX."""
    file = "weights.json" if name == "rank-linear" else "model.onnx"
    into, shape, out, out_shape = _TENSORS[name]
    parameters: dict[str, Any] = {
        "columns": list(COLUMNS),
        "temperature": calibration.temperature,
        "shift": dict(sorted(calibration.shift.items())),
    }
    if name == "rank-linear":
        parameters = {"engine": "linear", **parameters}
    definition = {
        "publisher": "antiphon",
        "name": name,
        "version": VERSION,
        "file": file,
        "sha256": hashlib.sha256(content).hexdigest(),
        "licence": "Apache-2.0",
        "locales": ["und"],
        "inputs": [{"name": into, "dtype": "float32", "shape": shape}],
        "outputs": [{"name": out, "dtype": "float32", "shape": out_shape}],
        "parameters": parameters,
    }
    (folder / name).mkdir(parents=True, exist_ok=True)
    (folder / name / file).write_bytes(content)
    (folder / name / "model.yaml").write_text(yaml.safe_dump(definition, sort_keys=False), encoding="utf-8")
    return folder / name


def check_bundle(name: str, lists: Lists, scores: Floats, folder: Path = BUNDLED) -> None:
    """Raises ValueError unless the graph as it is served gives the scores of the model it was made from."""

    async def served(inputs: Floats) -> Floats:
        client = OnnxClient(ModelStore([folder]), threads=1)
        outputs = await client.infer(f"antiphon/{name}", {_TENSORS[name][0]: inputs})
        await client.close()
        made: Floats = outputs["scores"]
        return made

    for size in range(1, int(lists.sizes.max()) + 1):
        chosen = np.flatnonzero(lists.sizes == size)[:50]
        if not len(chosen):
            continue
        own = lists.rows[chosen, : size + 1]
        rows = own if name == "rank-bilstm" else own.reshape(-1, own.shape[-1])
        found = asyncio.run(served(np.ascontiguousarray(rows))).reshape(len(chosen), size + 1)
        if not np.allclose(found, scores[chosen, : size + 1], atol=TOLERANCE):
            raise ValueError(f"{name} is served otherwise than it was trained: lists of {size}")


def write_scores(name: str, report: Mapping[str, Any], folder: Path = BUNDLED) -> None:
    """The figures of a run, beside the card."""
    (folder / name / "scores.json").write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")


def read_scores(name: str, folder: Path = BUNDLED) -> dict[str, Any]:
    """The figures beside the card."""
    read: dict[str, Any] = json.loads((folder / name / "scores.json").read_text(encoding="utf-8"))
    return read


def as_json(parameters: Mapping[str, Any]) -> bytes:
    return (json.dumps(parameters, indent=2) + "\n").encode()
