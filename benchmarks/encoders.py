"""The stateful encoder that `batching` and `homes` measure with: that of our own recogniser of digits."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import yaml

from services.runtime.inference import ModelDefinition, Tensor
from services.runtime.model_store import ModelStore, read_definition

OWN = Path(__file__).parents[1] / "services" / "asr" / "models" / "digits-conv" / "encoder"
CHUNK_FRAMES = 16
CHUNK_S = 0.16
"""What a chunk of frames lasts when it is spoken."""


@dataclass(frozen=True)
class Encoder:
    """The same graph twice: with calls merged, and each call alone.

    Attributes:
        merged, alone: definitions in `store`.
        what: in words, for the report.
    """

    store: ModelStore
    merged: ModelDefinition
    alone: ModelDefinition
    what: str

    def chunk(self, number: int) -> dict[str, Tensor]:
        """Inputs of one call, one row; every number another."""
        rng = np.random.default_rng(number)
        inputs: dict[str, Tensor] = {}
        for spec in self.merged.inputs:
            shape = [1, *(CHUNK_FRAMES if size is None else size for size in spec.shape[1:])]
            inputs[spec.name] = rng.standard_normal(shape).astype(spec.dtype)
        return inputs


def encoder(folder: Path, max_size: int = 32, delay_ms: float = 2.0) -> Encoder:
    """Writes both bundles below `folder`."""
    content, raw = (OWN / "model.onnx").read_bytes(), yaml.safe_load((OWN / "model.yaml").read_text())
    merged = {**raw, "publisher": "merged", "batching": {"max_size": max_size, "delay_ms": delay_ms}}
    alone = {key: value for key, value in {**raw, "publisher": "alone"}.items() if key != "batching"}
    written = [_write(folder / str(one["publisher"]), content, one) for one in (merged, alone)]
    what = f"{raw['publisher']}/{raw['name']}@{raw['version']}, {_weights(content) / 1e6:.2f} M weights"
    return Encoder(ModelStore([folder]), written[0], written[1], what)


def _write(bundle: Path, content: bytes, definition: dict[str, Any]) -> ModelDefinition:
    bundle.mkdir(parents=True)
    (bundle / "model.onnx").write_bytes(content)
    (bundle / "model.yaml").write_text(yaml.safe_dump(definition))
    return read_definition(bundle / "model.yaml")


def _weights(content: bytes) -> int:
    return sum(int(np.prod(tensor.dims)) for tensor in onnx.load_from_string(content).graph.initializer)
