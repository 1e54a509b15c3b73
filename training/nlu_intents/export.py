"""Writes the bundle: all members in one ONNX graph (embeddings in eight bits), its definition, and the figures."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import yaml
from onnx import TensorProto, helper, numpy_helper

from services.nlu.engines.features import SLOTS
from training.nlu_intents.encoding import MASSIVE_LABELS, TAGS
from training.nlu_intents.linear import Linear
from training.nlu_intents.network import Array, Network, eight_bits

BUNDLE = Path("services/nlu/models/intents-en")
VERSION = "1"
_OPSET = 17


def write_bundle(
    members: Sequence[Network],
    linear: Linear,
    share: float,
    temperatures: Mapping[str, float],
    clinc: Sequence[str],
    report: Mapping[str, Any],
) -> None:
    content = graph(members, linear, share, temperatures, len(clinc))
    BUNDLE.mkdir(parents=True, exist_ok=True)
    (BUNDLE / "model.onnx").write_bytes(content)
    definition = {
        "publisher": "antiphon",
        "name": "intents-en",
        "version": VERSION,
        "file": "model.onnx",
        "sha256": hashlib.sha256(content).hexdigest(),
        "licence": "Apache-2.0",
        "locales": ["en"],
        "inputs": [{"name": "features", "dtype": "int64", "shape": [-1, -1, SLOTS]}],
        "outputs": [
            {"name": "massive", "dtype": "float32", "shape": [-1, len(MASSIVE_LABELS)]},
            {"name": "clinc", "dtype": "float32", "shape": [-1, len(clinc)]},
            {"name": "tags", "dtype": "float32", "shape": [-1, -1, len(TAGS)]},
        ],
        "batching": {"max_size": 32, "delay_ms": 0.0},
        "parameters": {"massive": list(MASSIVE_LABELS), "clinc": list(clinc), "tags": list(TAGS)},
    }
    (BUNDLE / "model.yaml").write_text(yaml.safe_dump(definition, sort_keys=False), encoding="utf-8")
    (BUNDLE / "scores.json").write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    print(f"{len(content)} bytes in {BUNDLE}")


def graph(
    members: Sequence[Network], linear: Linear, share: float, temperatures: Mapping[str, float], clinc: int
) -> bytes:
    """The mean of the members' logits with the linear part's share, then softmax.

    Rows of zeros pad: they change neither sum nor maximum.
    """
    constants: dict[str, Any] = {
        "zero": np.array(0, np.int64),
        "one": np.array(1, np.float32),
        "features_axis": np.array([2], np.int64),
        "time_axis": np.array([1], np.int64),
        "both_axes": np.array([1, 2], np.int64),
        "linear_rows": linear.rows,
        "linear_scales": linear.scales * share,
        "linear_bias": linear.bias * share,
    }
    node = helper.make_node
    nodes = [
        node("ReduceMax", ["features"], ["largest"], axes=[2], keepdims=1),
        node("Greater", ["largest", "zero"], ["there"]),
        node("Cast", ["there"], ["mask"], to=TensorProto.FLOAT),
        node("Transpose", ["mask"], ["mask_t"], perm=[0, 2, 1]),
        node("ReduceSum", ["mask", "time_axis"], ["count"], keepdims=0),
        node("Max", ["count", "one"], ["length"]),
        node("Sqrt", ["length"], ["root"]),
        node("Gather", ["linear_rows", "features"], ["linear8"]),
        node("Cast", ["linear8"], ["linear_found"], to=TensorProto.FLOAT),
        node("ReduceSum", ["linear_found", "both_axes"], ["linear_total"], keepdims=0),
        node("Mul", ["linear_total", "linear_scales"], ["linear_scaled"]),
        node("Div", ["linear_scaled", "root"], ["linear_rooted"]),
        node("Add", ["linear_rooted", "linear_bias"], ["linear_logits"]),
    ]
    heads = ("massive", "clinc", "tags")
    for number, member in enumerate(members):
        made, own = _member(number, member.weights)
        nodes += made
        constants |= own
    for head in heads:
        constants[f"members_{head}"] = np.array(len(members), np.float32)
        constants[f"divisor_{head}"] = np.array(temperatures.get(head, 1.0), np.float32)
        nodes += [
            node("Sum", [f"{head}_{number}" for number in range(len(members))], [f"{head}_sum"]),
            node("Div", [f"{head}_sum", f"members_{head}"], [f"{head}_mean"]),
        ]
        whole = f"{head}_mean"
        if head == "massive":
            nodes.append(node("Add", [whole, "linear_logits"], ["massive_both"]))
            whole = "massive_both"
        nodes += [
            node("Div", [whole, f"divisor_{head}"], [f"{head}_logits"]),
            node("Softmax", [f"{head}_logits"], [head], axis=-1),
        ]
    sizes: dict[str, list[str | int | None]] = {
        "massive": ["sentences", len(MASSIVE_LABELS)],
        "clinc": ["sentences", clinc],
    }
    made_graph = helper.make_graph(
        nodes,
        "intents-en",
        [helper.make_tensor_value_info("features", TensorProto.INT64, ["sentences", "tokens", SLOTS])],
        [
            helper.make_tensor_value_info(head, TensorProto.FLOAT, sizes.get(head, ["sentences", "tokens", len(TAGS)]))
            for head in heads
        ],
        [numpy_helper.from_array(np.ascontiguousarray(value), name) for name, value in constants.items()],
    )
    model = helper.make_model(made_graph, opset_imports=[helper.make_opsetid("", _OPSET)], producer_name="antiphon")
    model.ir_version = 8
    onnx.checker.check_model(model)
    content: bytes = model.SerializeToString()
    return content


def _member(number: int, weights: Mapping[str, Array]) -> tuple[list[Any], dict[str, Any]]:
    def own(name: str) -> str:
        return f"{name}_{number}"

    def node(kind: str, inputs: list[str], output: str, **fields: Any) -> Any:
        shared = {"features", "mask_t", "root", "features_axis", "time_axis"}
        return helper.make_node(kind, [i if i in shared else own(i) for i in inputs], [own(output)], **fields)

    rows, scales = eight_bits(weights["embedding"])
    constants = {
        "embedding": rows,
        "embedding_scales": scales,
        "conv1": _kernel(weights["conv1"]),
        "conv2": _kernel(weights["conv2"]),
        **{name: value for name, value in weights.items() if name not in {"embedding", "conv1", "conv2"}},
    }
    constants |= {"w_massive": constants.pop("massive"), "w_clinc": constants.pop("clinc")}
    nodes = [
        node("Gather", ["embedding", "features"], "rows8"),
        node("Cast", ["rows8"], "rows", to=TensorProto.FLOAT),
        node("ReduceSum", ["rows", "features_axis"], "unscaled", keepdims=0),
        node("Mul", ["unscaled", "embedding_scales"], "x"),
        node("Transpose", ["x"], "x_t", perm=[0, 2, 1]),
        node("Conv", ["x_t", "conv1", "bias1"], "c1", kernel_shape=[3], pads=[1, 1]),
        node("Relu", ["c1"], "r1"),
        node("Mul", ["r1", "mask_t"], "h1"),
        node("Conv", ["h1", "conv2", "bias2"], "c2", kernel_shape=[3], pads=[1, 1]),
        node("Relu", ["c2"], "r2"),
        node("Mul", ["r2", "mask_t"], "a2"),
        node("Add", ["h1", "a2"], "h2_t"),
        node("ReduceMax", ["h2_t"], "peak", axes=[2], keepdims=0),
        node("ReduceSum", ["x", "time_axis"], "total", keepdims=0),
        node("Div", ["total", "root"], "mean"),
        node("Concat", ["peak", "mean"], "pooled", axis=1),
        node("Gemm", ["pooled", "w_massive", "massive_bias"], "massive"),
        node("Gemm", ["pooled", "w_clinc", "clinc_bias"], "clinc"),
        node("Transpose", ["h2_t"], "h2", perm=[0, 2, 1]),
        node("MatMul", ["h2", "tag"], "tag_products"),
        node("Add", ["tag_products", "tag_bias"], "tags"),
    ]
    return nodes, {own(name): value for name, value in constants.items()}


def _kernel(weights: Array) -> Array:
    """[3 * width, hidden] in the order before, itself, after -> ONNX Conv [hidden, width, 3]."""
    width = weights.shape[0] // 3
    return weights.reshape(3, width, -1).transpose(2, 1, 0)
