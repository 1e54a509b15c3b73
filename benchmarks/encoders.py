"""The stateful encoder that `batching` and `homes` measure with: our own if its bundle is there, else one made here.

What is made has about a million weights, as a small streaming recogniser has: four frames stacked, a projection, two
LSTM layers with carried state. Its weights are random; what it costs does not depend on them.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import yaml
from onnx import TensorProto, helper, numpy_helper

from services.runtime.inference import ModelDefinition, Tensor
from services.runtime.model_store import ModelStore, read_definition

OWN = Path(__file__).parents[1] / "services" / "asr" / "models" / "digits-conv" / "encoder"
CHUNK_FRAMES, MELS = 16, 40
CHUNK_S = 0.16
"""What a chunk of frames lasts when it is spoken."""

_HIDDEN, _LAYERS, _STACKED = 256, 2, 4


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
            inputs[spec.name] = rng.standard_normal(shape).astype(spec.dtype) if spec.name != "budget" else _full(shape)
        return inputs


def encoder(folder: Path, max_size: int = 32, delay_ms: float = 2.0) -> Encoder:
    """Writes both bundles below `folder`."""
    if OWN.is_dir():
        content, raw = (OWN / "model.onnx").read_bytes(), yaml.safe_load((OWN / "model.yaml").read_text())
        what = f"{raw['publisher']}/{raw['name']}@{raw['version']}"
    else:
        content, raw, what = _graph(), _definition(), "a made LSTM encoder"
    raw = {**raw, "file": "model.onnx", "sha256": hashlib.sha256(content).hexdigest()}
    merged = {**raw, "publisher": "merged", "batching": {"max_size": max_size, "delay_ms": delay_ms}}
    alone = {key: value for key, value in {**raw, "publisher": "alone"}.items() if key != "batching"}
    written = [_write(folder / str(one["publisher"]), content, one) for one in (merged, alone)]
    what = f"{what}, {_weights(content) / 1e6:.2f} M weights"
    return Encoder(ModelStore([folder]), written[0], written[1], what)


def _write(bundle: Path, content: bytes, definition: dict[str, Any]) -> ModelDefinition:
    bundle.mkdir(parents=True)
    (bundle / "model.onnx").write_bytes(content)
    (bundle / "model.yaml").write_text(yaml.safe_dump(definition))
    return read_definition(bundle / "model.yaml")


def _full(shape: list[int]) -> Tensor:
    return np.ones(shape, np.float32)


def _weights(content: bytes) -> int:
    return sum(int(np.prod(tensor.dims)) for tensor in onnx.load_from_string(content).graph.initializer)


def _definition() -> dict[str, Any]:
    states = [f"{kind}{layer}" for layer in range(_LAYERS) for kind in "hc"]
    return {
        "name": "encoder",
        "version": "1",
        "licence": "Apache-2.0",
        "locales": ["mul"],
        "inputs": [{"name": "features", "dtype": "float32", "shape": [-1, -1, MELS]}],
        "outputs": [{"name": "encoded", "dtype": "float32", "shape": [-1, -1, _HIDDEN]}],
        "states": [
            {"input": name, "output": f"{name}_next", "dtype": "float32", "shape": [1, 1, _HIDDEN], "batch_axis": 1}
            for name in states
        ],
        "streaming": {"axis": 1, "size": CHUNK_FRAMES},
        "tolerance": 1e-5,
    }


def _graph() -> bytes:
    rng = np.random.default_rng(5)
    weights: dict[str, tuple[int, ...]] = {"project": (_STACKED * MELS, _HIDDEN)}
    nodes = [
        helper.make_node("Reshape", ["features", "stacked"], ["wide"]),
        helper.make_node("MatMul", ["wide", "project"], ["projected"]),
        helper.make_node("Transpose", ["projected"], ["x0"], perm=[1, 0, 2]),
    ]
    for layer in range(_LAYERS):
        weights |= {f"w{layer}": (1, 4 * _HIDDEN, _HIDDEN), f"r{layer}": (1, 4 * _HIDDEN, _HIDDEN)}
        nodes.append(
            helper.make_node(
                "LSTM",
                [f"x{layer}", f"w{layer}", f"r{layer}", "", "", f"h{layer}", f"c{layer}"],
                [f"y{layer}", f"h{layer}_next", f"c{layer}_next"],
                hidden_size=_HIDDEN,
            )
        )
        nodes.append(helper.make_node("Squeeze", [f"y{layer}", "one"], [f"x{layer + 1}"]))
    nodes.append(helper.make_node("Transpose", [f"x{_LAYERS}"], ["encoded"], perm=[1, 0, 2]))
    constants = {"stacked": np.array([0, -1, _STACKED * MELS], np.int64), "one": np.array([1], np.int64)}
    constants |= {name: (rng.standard_normal(shape) * 0.05).astype(np.float32) for name, shape in weights.items()}
    names = [f"{kind}{layer}" for layer in range(_LAYERS) for kind in "hc"]
    features = helper.make_tensor_value_info("features", TensorProto.FLOAT, ["rows", "frames", MELS])
    encoded = helper.make_tensor_value_info("encoded", TensorProto.FLOAT, ["rows", "steps", _HIDDEN])
    states = [[_state(name) for name in names], [_state(f"{name}_next") for name in names]]
    graph = helper.make_graph(
        nodes,
        "encoder",
        [features, *states[0]],
        [encoded, *states[1]],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return bytes(made.SerializeToString())


def _state(name: str) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, "rows", _HIDDEN])
