"""Writes the bundle: the graph as ONNX (float16 embeddings), its definition, and the figures of the run."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import yaml
from onnx import TensorProto, helper, numpy_helper

from services.nlu.engines.features import SLOTS
from training.nlu_thin.encoding import INTENTS, TAGS
from training.nlu_thin.network import Array, Network

BUNDLE = Path("services/nlu/models/intents-thin")
VERSION = "1"
LOCALES = ("en", "de", "fr", "es", "it")
_OPSET = 17


def write_bundle(network: Network, divisor: float, report: dict[str, Any]) -> None:
    content = graph(network, divisor)
    BUNDLE.mkdir(parents=True, exist_ok=True)
    (BUNDLE / "model.onnx").write_bytes(content)
    definition = {
        "publisher": "antiphon",
        "name": "intents-thin",
        "version": VERSION,
        "file": "model.onnx",
        "sha256": hashlib.sha256(content).hexdigest(),
        "licence": "Apache-2.0",
        "locales": list(LOCALES),
        "inputs": [{"name": "features", "dtype": "int64", "shape": [-1, -1, SLOTS]}],
        "outputs": [
            {"name": "intents", "dtype": "float32", "shape": [-1, len(INTENTS)]},
            {"name": "tags", "dtype": "float32", "shape": [-1, -1, len(TAGS)]},
        ],
        "batching": {"max_size": 32, "delay_ms": 0.0},
        "parameters": {"intents": list(INTENTS), "tags": list(TAGS)},
    }
    (BUNDLE / "model.yaml").write_text(yaml.safe_dump(definition, sort_keys=False), encoding="utf-8")
    (BUNDLE / "scores.json").write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    print(f"{len(content)} bytes in {BUNDLE}")


def graph(network: Network, divisor: float) -> bytes:
    """Batches may be padded with zero rows: they change neither the mean nor the maximum."""
    w = dict(network.weights)
    w["intent"], w["intent_bias"] = w["intent"] / divisor, w["intent_bias"] / divisor
    constants = {
        "embedding": w["embedding"].astype(np.float16),
        "conv1": _kernel(w["conv1"]),
        "bias1": w["bias1"],
        "conv2": _kernel(w["conv2"]),
        "bias2": w["bias2"],
        "tag": w["tag"],
        "tag_bias": w["tag_bias"],
        "intent": w["intent"],
        "intent_bias": w["intent_bias"],
        "zero": np.array(0, np.int64),
        "one": np.array(1, np.float32),
        "features_axis": np.array([2], np.int64),
        "time_axis": np.array([1], np.int64),
    }
    node = helper.make_node
    nodes = [
        node("Gather", ["embedding", "features"], ["rows16"]),
        node("Cast", ["rows16"], ["rows"], to=TensorProto.FLOAT),
        node("ReduceSum", ["rows", "features_axis"], ["x"], keepdims=0),
        node("ReduceMax", ["features"], ["largest"], axes=[2], keepdims=1),
        node("Greater", ["largest", "zero"], ["there"]),
        node("Cast", ["there"], ["mask"], to=TensorProto.FLOAT),
        node("Transpose", ["mask"], ["mask_t"], perm=[0, 2, 1]),
        node("Transpose", ["x"], ["x_t"], perm=[0, 2, 1]),
        node("Conv", ["x_t", "conv1", "bias1"], ["c1"], kernel_shape=[3], pads=[1, 1]),
        node("Relu", ["c1"], ["r1"]),
        node("Mul", ["r1", "mask_t"], ["h1"]),
        node("Conv", ["h1", "conv2", "bias2"], ["c2"], kernel_shape=[3], pads=[1, 1]),
        node("Relu", ["c2"], ["r2"]),
        node("Mul", ["r2", "mask_t"], ["a2"]),
        node("Add", ["h1", "a2"], ["h2_t"]),
        node("ReduceMax", ["h2_t"], ["peak"], axes=[2], keepdims=0),
        node("ReduceSum", ["x", "time_axis"], ["total"], keepdims=0),
        node("ReduceSum", ["mask", "time_axis"], ["count"], keepdims=0),
        node("Max", ["count", "one"], ["length"]),
        node("Div", ["total", "length"], ["mean"]),
        node("Concat", ["peak", "mean"], ["pooled"], axis=1),
        node("Gemm", ["pooled", "intent", "intent_bias"], ["intent_logits"]),
        node("Softmax", ["intent_logits"], ["intents"], axis=-1),
        node("Transpose", ["h2_t"], ["h2"], perm=[0, 2, 1]),
        node("MatMul", ["h2", "tag"], ["tag_products"]),
        node("Add", ["tag_products", "tag_bias"], ["tag_logits"]),
        node("Softmax", ["tag_logits"], ["tags"], axis=-1),
    ]
    made = helper.make_graph(
        nodes,
        "intents-thin",
        [helper.make_tensor_value_info("features", TensorProto.INT64, ["sentences", "tokens", SLOTS])],
        [
            helper.make_tensor_value_info("intents", TensorProto.FLOAT, ["sentences", len(INTENTS)]),
            helper.make_tensor_value_info("tags", TensorProto.FLOAT, ["sentences", "tokens", len(TAGS)]),
        ],
        [numpy_helper.from_array(np.ascontiguousarray(value), name) for name, value in constants.items()],
    )
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", _OPSET)], producer_name="antiphon")
    model.ir_version = 8
    onnx.checker.check_model(model)
    content: bytes = model.SerializeToString()
    return content


def _kernel(weights: Array) -> Array:
    """[3 * width, hidden] in the order before, itself, after -> ONNX Conv [hidden, width, 3]."""
    width = weights.shape[0] // 3
    return weights.reshape(3, width, -1).transpose(2, 1, 0)
