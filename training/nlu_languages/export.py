"""Writes the bundle: linear part and members in one ONNX graph (embeddings in eight bits), its definition, its figures.

The graph repeats `network.Network.forward` and `linear.Linear.logits`; a data test holds the two to the same figures.
"""

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

from services.nlu.engines.language_features import SLOTS
from training.nlu_languages.linear import Linear
from training.nlu_languages.network import HIDDEN, WIDTH, Array, Names, Network

BUNDLE = Path("services/nlu/models/intents-xsid")
VERSION = "1"
_OPSET = 17


def write_bundle(
    members: Sequence[Network],
    linear: Linear,
    names: Names,
    centre: Array,
    share: float,
    divisor: float,
    varieties: Sequence[str],
    report: Mapping[str, Any],
) -> None:
    content = graph(members, linear, names, centre, share, divisor)
    BUNDLE.mkdir(parents=True, exist_ok=True)
    (BUNDLE / "model.onnx").write_bytes(content)
    definition = {
        "publisher": "antiphon",
        "name": "intents-xsid",
        "version": VERSION,
        "file": "model.onnx",
        "sha256": hashlib.sha256(content).hexdigest(),
        "licence": "CC-BY-SA-4.0",
        "locales": list(varieties),
        "inputs": [{"name": "features", "dtype": "int64", "shape": [-1, -1, SLOTS]}],
        "outputs": [
            {"name": "intents", "dtype": "float32", "shape": [-1, len(names.intents)]},
            {"name": "tags", "dtype": "float32", "shape": [-1, -1, len(names.tags)]},
            {"name": "embedding", "dtype": "float32", "shape": [-1, _embedding(members)]},
        ],
        "batching": {"max_size": 32, "delay_ms": 0.0},
        "parameters": {"taxonomy": "xsid", "intents": list(names.intents), "tags": list(names.tags)},
    }
    (BUNDLE / "model.yaml").write_text(yaml.safe_dump(definition, sort_keys=False), encoding="utf-8")
    (BUNDLE / "scores.json").write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    print(f"{len(content)} bytes in {BUNDLE}")


def graph(
    members: Sequence[Network], linear: Linear, names: Names, centre: Array, share: float, divisor: float
) -> bytes:
    """Mean logits of the members and the linear part's share, then softmax; rows of zeros pad and change nothing.

    The embedding is what the members read intents from, less its mean over the training sentences (`centre`), at
    length 1: without that all sentences would lie near each other.
    """
    constants: dict[str, Any] = {
        "zero": np.array(0, np.int64),
        "one": np.array(1, np.float32),
        "features_axis": np.array([2], np.int64),
        "time_axis": np.array([1], np.int64),
        "both_axes": np.array([1, 2], np.int64),
        "linear_rows": linear.rows,
        "linear_scales": linear.scales * np.float32(share),
        "linear_bias": linear.bias * np.float32(share),
        "count_members": np.array(len(members), np.float32),
        "divisor": np.array(divisor, np.float32),
        "centre": centre,
    }
    node = helper.make_node
    nodes = [
        node("Greater", ["features", "zero"], ["real"]),
        node("Cast", ["real"], ["there"], to=TensorProto.FLOAT),
        node("ReduceMax", ["there"], ["mask"], axes=[2], keepdims=1),
        node("Transpose", ["mask"], ["mask_t"], perm=[0, 2, 1]),
        node("ReduceSum", ["there", "features_axis"], ["features_count"], keepdims=1),
        node("Max", ["features_count", "one"], ["features_least"]),
        node("Sqrt", ["features_least"], ["features_root"]),
        node("ReduceSum", ["mask", "time_axis"], ["token_count"], keepdims=0),
        node("Max", ["token_count", "one"], ["token_least"]),
        node("Sqrt", ["token_least"], ["token_root"]),
        node("ReduceSum", ["there", "both_axes"], ["all_count"], keepdims=0),
        node("Max", ["all_count", "one"], ["all_least"]),
        node("Sqrt", ["all_least"], ["all_root"]),
        node("Unsqueeze", ["all_root", "time_axis"], ["all_roots"]),
        node("Gather", ["linear_rows", "features"], ["linear8"]),
        node("Cast", ["linear8"], ["linear_found"], to=TensorProto.FLOAT),
        node("ReduceSum", ["linear_found", "both_axes"], ["linear_total"], keepdims=0),
        node("Mul", ["linear_total", "linear_scales"], ["linear_scaled"]),
        node("Div", ["linear_scaled", "all_roots"], ["linear_rooted"]),
        node("Add", ["linear_rooted", "linear_bias"], ["linear_logits"]),
    ]
    for number, member in enumerate(members):
        made, own = _member(number, member)
        nodes += made
        constants |= own
    numbers = range(len(members))
    nodes += [
        node("Sum", [f"intents_{number}" for number in numbers], ["intents_sum"]),
        node("Div", ["intents_sum", "count_members"], ["intents_mean"]),
        node("Add", ["intents_mean", "linear_logits"], ["intents_both"]),
        node("Div", ["intents_both", "divisor"], ["intents_logits"]),
        node("Softmax", ["intents_logits"], ["intents"], axis=-1),
        node("Sum", [f"tags_{number}" for number in numbers], ["tags_sum"]),
        node("Div", ["tags_sum", "count_members"], ["tags_mean"]),
        node("Softmax", ["tags_mean"], ["tags"], axis=-1),
        node("Concat", [f"pooled_{number}" for number in numbers], ["pooled"], axis=1),
        node("Sub", ["pooled", "centre"], ["centred"]),
        node("LpNormalization", ["centred"], ["embedding"], axis=1, p=2),
    ]
    sizes: Mapping[str, list[str | int | None]] = {
        "intents": ["sentences", len(names.intents)],
        "tags": ["sentences", "tokens", len(names.tags)],
        "embedding": ["sentences", _embedding(members)],
    }
    made_graph = helper.make_graph(
        nodes,
        "intents-xsid",
        [helper.make_tensor_value_info("features", TensorProto.INT64, ["sentences", "tokens", SLOTS])],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in sizes.items()],
        [numpy_helper.from_array(np.ascontiguousarray(value), name) for name, value in constants.items()],
    )
    model = helper.make_model(made_graph, opset_imports=[helper.make_opsetid("", _OPSET)], producer_name="antiphon")
    model.ir_version = 8
    onnx.checker.check_model(model)
    content: bytes = model.SerializeToString()
    return content


def _embedding(members: Sequence[Network]) -> int:
    return len(members) * (HIDDEN + WIDTH)


def _member(number: int, member: Network) -> tuple[list[Any], dict[str, Any]]:
    def own(name: str) -> str:
        return f"{name}_{number}"

    def node(kind: str, inputs: list[str], output: str, **fields: Any) -> Any:
        shared = {"features", "mask_t", "token_root", "features_root", "features_axis", "time_axis"}
        return helper.make_node(kind, [i if i in shared else own(i) for i in inputs], [own(output)], **fields)

    weights: dict[str, Array] = {name: value.numpy() for name, value in member.state_dict().items()}
    table = weights["embedding.weight"]
    scales = np.maximum(np.abs(table).max(axis=0) / 127, 1e-9).astype(np.float32)
    constants = {
        "rows8": np.round(table / scales).astype(np.int8),
        "row_scales": scales,
        "conv1": weights["conv1.weight"],
        "bias1": weights["conv1.bias"],
        "conv2": weights["conv2.weight"],
        "bias2": weights["conv2.bias"],
        "tag": weights["tags.weight"].T,
        "tag_bias": weights["tags.bias"],
        "intent": weights["intents.weight"].T,
        "intent_bias": weights["intents.bias"],
    }
    nodes = [
        node("Gather", ["rows8", "features"], "found8"),
        node("Cast", ["found8"], "found", to=TensorProto.FLOAT),
        node("ReduceSum", ["found", "features_axis"], "unscaled", keepdims=0),
        node("Mul", ["unscaled", "row_scales"], "scaled"),
        node("Div", ["scaled", "features_root"], "x"),
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
        node("Div", ["total", "token_root"], "mean"),
        node("Concat", ["peak", "mean"], "pooled", axis=1),
        node("Gemm", ["pooled", "intent", "intent_bias"], "intents"),
        node("Transpose", ["h2_t"], "h2", perm=[0, 2, 1]),
        node("MatMul", ["h2", "tag"], "tag_products"),
        node("Add", ["tag_products", "tag_bias"], "tags"),
    ]
    return nodes, {own(name): value for name, value in constants.items()}
