"""The student as an ONNX graph in eight bits, from its weights alone; `export.py` writes it.

Products are of whole numbers: weights have a scale per column and seven bits, so that processors without VNNI do not
overflow; what comes in is quantised as it comes (`DynamicQuantizeLinear`). Embeddings have a scale per row. Everything
else, under one in a hundred of all weights, stays float32. All operators are ONNX's own, so that either home runs them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

Array = npt.NDArray[np.float32]

_OPSET = 17
_HEADS = 12
_EPSILON = 1e-12
_LARGEST_WEIGHT = 63
_FAR = 1e4  # taken from what attention would give to padding


class Writer:
    """Nodes and constants of one graph."""

    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self._constants: dict[str, Any] = {}

    def constant(self, name: str, value: Any, dtype: npt.DTypeLike = np.float32) -> str:
        self._constants[name] = numpy_helper.from_array(np.asarray(value, dtype, order="C"), name)
        return name

    def node(self, kind: str, inputs: Sequence[str], name: str, **fields: Any) -> str:
        """Adds a node of one output, which is named as the node."""
        self.nodes.append(helper.make_node(kind, list(inputs), [name], name=name, **fields))
        return name

    def quantise(self, x: str) -> tuple[str, str, str]:
        """Whole numbers, their scale and their zero; made once for every product that reads `x`."""
        names = (f"{x}_q", f"{x}_scale", f"{x}_zero")
        self.nodes.append(helper.make_node("DynamicQuantizeLinear", [x], list(names), name=f"{x}_quantised"))
        return names

    def linear(self, x: tuple[str, str, str], weight: Array, bias: Array, name: str) -> str:
        """`x` times the transposed `weight` [out, in], plus `bias`."""
        scales = np.maximum(np.abs(weight).max(axis=1) / _LARGEST_WEIGHT, 1e-9)
        rows = self.constant(f"{name}_w", np.round(weight / scales[:, None]).T, np.int8)
        zero = self.constant(f"{name}_z", np.zeros((), np.int8), np.int8)
        whole = self.node("MatMulInteger", [x[0], rows, x[2], zero], f"{name}_int")
        real = self.node("Cast", [whole], f"{name}_float", to=TensorProto.FLOAT)
        scale = self.node("Mul", [x[1], self.constant(f"{name}_s", scales)], f"{name}_scale")
        product = self.node("Mul", [real, scale], f"{name}_product")
        return self.node("Add", [product, self.constant(f"{name}_b", bias)], name)

    def normalised(self, x: str, weight: Array, bias: Array, name: str) -> str:
        parts = [x, self.constant(f"{name}_w", weight), self.constant(f"{name}_b", bias)]
        return self.node("LayerNormalization", parts, name, axis=-1, epsilon=_EPSILON)

    def model(self, inputs: Sequence[Any], outputs: Sequence[Any]) -> bytes:
        made = helper.make_graph(self.nodes, "intents-en", inputs, outputs, list(self._constants.values()))
        model = helper.make_model(made, opset_imports=[helper.make_opsetid("", _OPSET)], producer_name="antiphon")
        model.ir_version = 8
        onnx.checker.check_model(model)
        content: bytes = model.SerializeToString()
        return content


def graph(state: Mapping[str, Array], temperatures: Mapping[str, float]) -> bytes:
    """Pieces int64 [sentences, pieces] to probabilities by head.

    Args:
        state: weights as `encoder.Encoder` names them.
        temperatures: divisors of logits by head; 1 where none is given.
    """
    g = Writer()
    x, bias, weights = _begin(g, state)
    for at in range(1 + max(int(name.split(".")[1]) for name in state if name.startswith("layers."))):
        own = {name.split(".", 2)[2]: value for name, value in state.items() if name.startswith(f"layers.{at}.")}
        x = _layer(g, own, x, bias, f"l{at}")
    total = g.node("ReduceSum", [g.node("Mul", [x, weights], "weighted"), g.constant("time", [1], np.int64)],
                   "total", keepdims=0)  # fmt: skip
    count = g.node("ReduceSum", [weights, "time"], "count", keepdims=0)
    pooled = g.node("Div", [total, g.node("Max", [count, "unit"], "length_or_one")], "pooled")  # nothing but padding
    outputs = []
    for head, source in (("massive", pooled), ("clinc", pooled), ("tags", x)):
        divisor = temperatures.get(head, 1.0)
        weight = g.constant(f"{head}_w", state[f"{head}.weight"].T / divisor)
        product = g.node("MatMul", [source, weight], f"{head}_product")
        logits = g.node("Add", [product, g.constant(f"{head}_b", state[f"{head}.bias"] / divisor)], f"{head}_logits")
        g.node("Softmax", [logits], head, axis=-1)
        sizes: list[str | int] = ["sentences", *(["pieces"] if head == "tags" else []), len(state[f"{head}.bias"])]
        outputs.append(helper.make_tensor_value_info(head, TensorProto.FLOAT, sizes))
    pieces = helper.make_tensor_value_info("pieces", TensorProto.INT64, ["sentences", "pieces"])
    return g.model([pieces], outputs)


def _begin(g: Writer, state: Mapping[str, Array]) -> tuple[str, str, str]:
    """Embeddings; what is added to attention; 1 at pieces and 0 at padding [sentences, pieces, 1]."""
    words = state["words.weight"]
    scales = np.maximum(np.abs(words).max(axis=1, keepdims=True) / 127, 1e-9)
    rows = g.node("Gather", [g.constant("words", np.round(words / scales), np.int8), "pieces"], "words8")
    scaled = g.node("Gather", [g.constant("word_scales", scales), "pieces"], "words_scale")
    found = g.node("Mul", [g.node("Cast", [rows], "words_whole", to=TensorProto.FLOAT), scaled], "words_found")
    length = g.node("Gather", [g.node("Shape", ["pieces"], "shape"), g.constant("second", [1], np.int64)], "length")
    begin, axis = g.constant("begin", [0], np.int64), g.constant("rows_axis", [0], np.int64)
    places = g.node("Slice", [g.constant("places", state["places.weight"]), begin, length, axis], "places_taken")
    x = g.normalised(g.node("Add", [found, places], "embedded"), state["norm.weight"], state["norm.bias"], "x")
    there = g.node("Greater", ["pieces", g.constant("padding", 0, np.int64)], "there")
    flat = g.node("Cast", [there], "there_float", to=TensorProto.FLOAT)
    weights = g.node("Unsqueeze", [flat, g.constant("last", [2], np.int64)], "weights")
    missing = g.node("Sub", [flat, g.constant("unit", 1.0)], "missing")
    far = g.node("Mul", [missing, g.constant("far", _FAR)], "far_flat")
    return x, g.node("Unsqueeze", [far, g.constant("middle", [1, 2], np.int64)], "bias"), weights


def _layer(g: Writer, own: Mapping[str, Array], x: str, bias: str, name: str) -> str:
    width = own["out.bias"].shape[0]
    scale = np.ones(3 * width, np.float32)
    scale[:width] = (width / _HEADS) ** -0.5  # of the queries: attention then needs no division
    qkv = g.linear(g.quantise(x), own["qkv.weight"] * scale[:, None], own["qkv.bias"] * scale, f"{name}_qkv")
    shape = g.constant(f"{name}_shape", [0, 0, 3, _HEADS, width // _HEADS], np.int64)
    parts = g.node("Reshape", [qkv, shape], f"{name}_parts")
    moved = g.node("Transpose", [parts], f"{name}_moved", perm=[2, 0, 3, 1, 4])
    q, k, v = (
        g.node("Gather", [moved, g.constant(f"{name}_{part}_at", at, np.int64)], f"{name}_{part}", axis=0)
        for at, part in enumerate("qkv")
    )
    turned = g.node("Transpose", [k], f"{name}_kt", perm=[0, 1, 3, 2])
    scores = g.node("Add", [g.node("MatMul", [q, turned], f"{name}_qk"), bias], f"{name}_scores")
    mixed = g.node("MatMul", [g.node("Softmax", [scores], f"{name}_shares", axis=-1), v], f"{name}_mixed")
    back = g.node("Transpose", [mixed], f"{name}_back", perm=[0, 2, 1, 3])
    flat = g.node("Reshape", [back, g.constant(f"{name}_flat_shape", [0, 0, width], np.int64)], f"{name}_flat")
    out = g.linear(g.quantise(flat), own["out.weight"], own["out.bias"], f"{name}_out")
    first = g.normalised(
        g.node("Add", [x, out], f"{name}_sum1"), own["norm1.weight"], own["norm1.bias"], f"{name}_norm1"
    )
    inner = g.linear(g.quantise(first), own["inner.weight"], own["inner.bias"], f"{name}_inner")
    outer = g.linear(g.quantise(_gelu(g, inner, name)), own["outer.weight"], own["outer.bias"], f"{name}_outer")
    return g.normalised(
        g.node("Add", [first, outer], f"{name}_sum2"), own["norm2.weight"], own["norm2.bias"], f"{name}_norm2"
    )


def _gelu(g: Writer, x: str, name: str) -> str:
    """In the form that ONNX Runtime knows as one operator."""
    scaled = g.node("Div", [x, g.constant(f"{name}_root", 2**0.5)], f"{name}_by_root")
    grown = g.node("Add", [g.node("Erf", [scaled], f"{name}_erf"), g.constant(f"{name}_one", 1.0)], f"{name}_grown")
    product = g.node("Mul", [x, grown], f"{name}_gated")
    return g.node("Mul", [product, g.constant(f"{name}_half", 0.5)], f"{name}_gelu")
