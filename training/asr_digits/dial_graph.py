"""The encoder with the compute dial as an ONNX graph; `dial_export.py` writes it, `dial_measure.py` times it.

Frames whose gate is shut are left out of the projections and the feed-forward layers: the open ones are gathered,
worked on, and put back. Where no frame of a call is open, the whole sublayer is a branch that is not taken. The scores
of the attention stay dense, with a mask: they are a small part, and gathering them would cost more than it saves.

The graph carries what lies before the call: sum and number of the frames heard (for their running mean), the last five
normalised frames, and per block keys, values and validity of the last `context` frames. All start as zeros.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from training.asr_digits.dial_cost import costs
from training.asr_digits.dial_settings import ALWAYS, KNEES, PRIOR_FRAMES, RECENT, DialSettings

OPSET = 17
_SHUT = -1e4
"""Added to a score, it leaves nothing of it after the softmax."""

_END = np.iinfo(np.int64).max
_THERE = 40.0
"""Added to the score of a key that is there: exp(-40) is nothing, and five digits of the score are kept."""
Weights = Mapping[str, NDArray[np.float32]]


class _Nodes:
    """Nodes of one graph or branch, in order, and the constants they read."""

    def __init__(self, constants: dict[str, NDArray[Any]], prefix: str = "") -> None:
        self.nodes: list[onnx.NodeProto] = []
        self._constants = constants
        self._prefix = prefix
        self._made = 0

    def constant(self, name: str, value: Any) -> str:
        self._constants.setdefault(name, np.array(value, order="C"))
        return name

    def ints(self, *values: int) -> str:
        return self.constant("i_" + "_".join(map(str, values)).replace("-", "m"), np.array(values, np.int64))

    def add(self, kind: str, *inputs: str, name: str = "", **fields: Any) -> str:
        """One node with one output, whose name comes back."""
        return self.split(kind, *inputs, names=[name], **fields)[0]

    def split(self, kind: str, *inputs: str, names: Sequence[str], **fields: Any) -> list[str]:
        outputs = []
        for name in names:
            self._made += 1
            outputs.append(name or f"{self._prefix}{kind.lower()}_{self._made}")
        self.nodes.append(helper.make_node(kind, list(inputs), outputs, **fields))
        return outputs

    def last(self, value: str, count: int, name: str = "") -> str:
        """The last of axis 1."""
        return self.add("Slice", value, self.ints(-count), self.ints(_END), self.ints(1), name=name)

    def branch(self, prefix: str) -> _Nodes:
        return _Nodes(self._constants, prefix)

    def choose(self, condition: str, taken: _Nodes, left: _Nodes, names: Sequence[str]) -> list[str]:
        """`If`: both branches end in nodes that make `<prefix><name>` for each name, all float."""
        graphs = [
            helper.make_graph(
                part.nodes,
                part._prefix + "branch",
                [],
                [helper.make_tensor_value_info(part._prefix + name, TensorProto.FLOAT, None) for name in names],
            )
            for part in (taken, left)
        ]
        return self.split("If", condition, names=list(names), then_branch=graphs[0], else_branch=graphs[1])


def encoder_graph(settings: DialSettings, weights: Weights, *, gated: bool = True) -> onnx.ModelProto:
    """The graph of the trained weights (names as in `DialEncoder.state_dict()`).

    Args:
        gated: False leaves out dial, gates and gathering: the same encoder at full cost, to compare wall-clock with.
    """
    constants: dict[str, NDArray[Any]] = {}
    graph = _Nodes(constants)
    width, blocks = settings.width, settings.blocks
    _front(graph, settings, weights)
    rows = graph.add("Reshape", "front", graph.ints(-1, width), name="rows_0")
    _shapes(graph, settings, weights)
    opened: list[str] = []
    if gated:
        _dial(graph, weights, blocks)
    for block in range(blocks):
        attend, feed = "", ""
        if gated:
            attend, feed = _gates(graph, weights, block, rows)
            opened.append(f"open_{block}")
        rows = _sublayer(graph, settings, weights, block, rows, attend, attention=True)
        rows = _sublayer(graph, settings, weights, block, rows, feed, attention=False)
    out = _linear(graph, weights, "leave", _norm(graph, weights, "norm", rows))
    graph.add("Reshape", out, "shape_encoded", name="encoded")
    if gated:
        _spent(graph, settings, opened)
    return _model(graph, settings, constants, gated=gated)


def _front(graph: _Nodes, settings: DialSettings, weights: Weights) -> None:
    """features -> front [B, T/4, width], the running mean taken off; states `heard` and `recent`."""
    bins = settings.mel_bins
    centred = graph.add("Sub", "features", graph.constant("mean", weights["mean"]))
    counted = graph.add("Pad", centred, graph.ints(0, 0, 0, 0, 0, 1), graph.constant("unit", np.float32(1)))
    sums = graph.add("CumSum", counted, graph.constant("one", np.array(1, np.int64)))
    sums = graph.add("Add", sums, graph.add("Unsqueeze", "heard", graph.ints(1)))
    graph.add("Squeeze", graph.last(sums, 1), graph.ints(1), name="heard_next")
    total, count = graph.split("Split", sums, graph.ints(bins, 1), names=["", ""], axis=2)
    mean = graph.add("Div", total, graph.add("Add", count, graph.constant("prior", np.float32(PRIOR_FRAMES))))
    normal = graph.add("Mul", graph.add("Sub", centred, mean), graph.constant("scale", weights["scale"]))
    joined = graph.add("Concat", "recent", normal, axis=1)
    graph.last(joined, RECENT, name="recent_next")
    x = graph.add("Unsqueeze", joined, graph.ints(1))
    for name in ("conv1", "conv2"):
        for part in ("weight", "bias"):
            graph.constant(f"{name}.{part}", weights[f"{name}.{part}"])
        x = graph.add("Conv", x, f"{name}.weight", f"{name}.bias", strides=[2, 2], pads=[0, 1, 0, 1])
        x = graph.add("Relu", x)
    x = graph.add("Transpose", x, perm=[0, 2, 1, 3])
    channels = int(weights["project.weight"].shape[1])
    x = graph.add("Reshape", x, graph.ints(0, 0, channels))
    x = graph.add("MatMul", x, graph.constant("project.weight", weights["project.weight"].T))
    x = graph.add("Add", x, graph.constant("project.bias", weights["project.bias"]))
    graph.add("Identity", _norm(graph, weights, "enter", x), name="front")


def _shapes(graph: _Nodes, settings: DialSettings, weights: Weights) -> None:
    """Shapes of this call, and the bias of every query and head towards every key: `bias` [T*heads, context+T]."""
    context, heads = settings.context, settings.heads
    shape = graph.add("Shape", "front")
    batch, frames = graph.split(
        "Split", graph.add("Slice", shape, graph.ints(0), graph.ints(2), name="calls"), graph.ints(1, 1),
        names=["batch", "frames"], axis=0,
    )  # fmt: skip
    one = graph.constant("one", np.array(1, np.int64))
    zero = graph.constant("zero", np.array(0, np.int64))
    count = graph.add("Squeeze", frames, graph.ints(0))
    columns = graph.add("Add", count, graph.constant("context", np.array(context, np.int64)))
    own = graph.add("Range", graph.constant("context", 0), columns, one)
    key = graph.add("Range", zero, columns, one)
    distance = graph.add("Sub", graph.add("Unsqueeze", own, graph.ints(1)), key)
    beyond = graph.constant("beyond", np.array(context + 1, np.int64))
    distance = graph.add("Where", graph.add("Less", distance, zero), beyond, graph.add("Min", distance, beyond))
    table = np.concatenate([weights["position"].T, np.full((1, heads), _SHUT, np.float32)])
    bias = graph.add("Gather", graph.constant("position", table), distance)
    bias = graph.add("Transpose", bias, perm=[0, 2, 1])
    graph.add(
        "Reshape",
        bias,
        graph.add("Concat", graph.ints(-1), graph.add("Reshape", columns, graph.ints(1)), axis=0),
        name="bias",
    )
    graph.add("Concat", batch, graph.ints(-1, settings.head_width + 1), axis=0, name="shape_queries")
    graph.add("Concat", batch, frames, graph.ints(settings.projected), axis=0, name="shape_projected")
    everything = graph.add("Mul", batch, frames)
    graph.add("Concat", everything, graph.ints(settings.projected), axis=0, name="shape_flat")
    graph.add("Concat", batch, frames, graph.ints(settings.kept), axis=0, name="shape_kept")
    graph.add("Concat", batch, frames, graph.ints(settings.encoded), axis=0, name="shape_encoded")


def _dial(graph: _Nodes, weights: Weights, blocks: int) -> None:
    """budget -> `wish_<block>` [2, rows]: what the budget adds to the logits of the block's two gates."""
    knees = graph.add("Relu", graph.add("Sub", "budget", graph.constant("knees", np.array([KNEES], np.float32))))
    parts = [graph.constant(f"dial.{part}", weights[f"dial.{part}"]) for part in ("weight", "bias")]
    full = graph.add("GreaterOrEqual", "budget", graph.constant("unit", np.float32(1)))
    full = graph.add("Cast", full, to=TensorProto.FLOAT)
    always = graph.add("Mul", full, graph.constant("always", np.float32(ALWAYS)))
    wish = graph.add("Transpose", graph.add("Add", graph.add("Gemm", knees, *parts, transB=1), always), perm=[1, 0])
    wish = graph.add(
        "Expand", graph.add("Unsqueeze", wish, graph.ints(2)), graph.add("Concat", graph.ints(1), "calls", axis=0)
    )
    wish = graph.add("Reshape", wish, graph.ints(2 * blocks, -1))
    graph.split("Split", wish, graph.ints(*[2] * blocks), names=[f"wish_{block}" for block in range(blocks)], axis=0)


def _gates(graph: _Nodes, weights: Weights, block: int, rows: str) -> list[str]:
    """Of the block's attention and feed-forward layer: is it open for any row? One boolean each."""
    gates = graph.constant(f"gates.{block}", weights["gates"][block])
    logits = graph.add("Gemm", gates, rows, f"wish_{block}", transB=1)
    nought = graph.constant("nought", np.float32(0))
    graph.add("Greater", logits, nought, name=f"open_{block}")
    highest = graph.add("Greater", graph.add("ReduceMax", logits, axes=[1], keepdims=0), nought)
    return [graph.add("Gather", highest, _which(graph, attention), axis=0) for attention in (True, False)]


def _which(graph: _Nodes, attention: bool) -> str:
    """Index of the layer's gate within its block."""
    return graph.constant("zero", np.array(0, np.int64)) if attention else graph.constant("one", np.array(1, np.int64))


def _sublayer(
    graph: _Nodes, settings: DialSettings, weights: Weights, block: int, rows: str, there: str, *, attention: bool
) -> str:
    """One attention or feed-forward layer with its residual; without `there` for all rows."""
    kind = "attended" if attention else "fed"
    names = [f"{kind}_{block}", *([f"memory_{block}_next"] if attention else [])]
    if not there:
        _work(graph, settings, weights, block, rows, "", names, attention=attention)
        return names[0]
    taken, left = graph.branch(f"then_{kind}_{block}_"), graph.branch(f"else_{kind}_{block}_")
    mine = taken.add("Gather", f"open_{block}", _which(taken, attention), axis=0)
    which = taken.add("Transpose", taken.add("NonZero", mine), perm=[1, 0])
    _work(taken, settings, weights, block, rows, which, [taken._prefix + name for name in names], attention=attention)
    left.add("Identity", rows, name=left._prefix + names[0])
    if attention:
        nothing = left.add("ConstantOfShape", "shape_kept")
        _remember(left, settings, block, nothing, left._prefix + names[1])
    return graph.choose(there, taken, left, names)[0]


def _work(
    graph: _Nodes,
    settings: DialSettings,
    weights: Weights,
    block: int,
    rows: str,
    which: str,
    names: Sequence[str],
    *,
    attention: bool,
) -> None:
    mine = graph.add("GatherND", rows, which) if which else rows
    base = f"blocks.{block}."
    normed = _norm(graph, weights, base + ("norm1" if attention else "norm2"), mine)
    if attention:
        changed = _attention(graph, settings, weights, block, normed, which, names[1])
    else:
        wide = graph.add("Relu", _linear(graph, weights, base + "wide", normed))
        changed = _linear(graph, weights, base + "narrow", wide)
    if not which:
        graph.add("Add", mine, changed, name=names[0])
        return
    graph.add("ScatterND", rows, which, graph.add("Add", mine, changed), name=names[0])


def _attention(
    graph: _Nodes, settings: DialSettings, weights: Weights, block: int, normed: str, which: str, memory: str
) -> str:
    """Queries of all heads share one key and one value per frame, so that no head needs a transposed copy."""
    width, narrow = settings.width, settings.head_width
    projected = _projection(graph, settings, weights, block, normed)
    if which:
        blank = graph.add("ConstantOfShape", "shape_flat")
        projected = graph.add("ScatterND", blank, which, projected)
    projected = graph.add("Reshape", projected, "shape_projected")
    sizes = graph.ints(settings.queries, settings.kept)
    queries, kept = graph.split("Split", projected, sizes, names=["", ""], axis=2)
    both = _remember(graph, settings, block, kept, memory)
    keys, values = graph.split("Split", both, graph.ints(narrow + 1, narrow), names=["", ""], axis=2)
    queries = graph.add("Reshape", queries, "shape_queries")
    scores = graph.add("MatMul", queries, graph.add("Transpose", keys, perm=[0, 2, 1]))
    scores = graph.add("Add", scores, "bias")
    mixed = graph.add("MatMul", graph.add("Softmax", scores, axis=2), values)
    mixed = graph.add("Reshape", mixed, graph.ints(-1, width))
    if which:
        mixed = graph.add("GatherND", mixed, which)
    return _linear(graph, weights, f"blocks.{block}.out", mixed)


def _projection(graph: _Nodes, settings: DialSettings, weights: Weights, block: int, normed: str) -> str:
    """Queries (scaled), key, value. A last number of each query times one of the key favours keys that are there.

    So a frame without key, whose numbers are all zero, needs no mask of its own.
    """
    width, heads, narrow = settings.width, settings.heads, settings.head_width
    base = f"blocks.{block}.project"
    both = np.concatenate([weights[base + ".weight"].T, weights[base + ".bias"][None]])
    queries = np.zeros((width + 1, heads, narrow + 1), np.float32)
    queries[:, :, :narrow] = both[:, :width].reshape(-1, heads, narrow) * narrow**-0.5
    queries[width, :, narrow] = 1
    there = np.zeros((width + 1, 1), np.float32)
    there[width] = _THERE
    keys, values = both[:, width : width + narrow], both[:, width + narrow :]
    whole = np.concatenate([queries.reshape(width + 1, -1), keys, there, values], axis=1)
    weight = graph.constant(base + ".weight", whole[:width])
    return graph.add("Gemm", normed, weight, graph.constant(base + ".bias", whole[width]))


def _remember(graph: _Nodes, settings: DialSettings, block: int, kept: str, name: str) -> str:
    """Keys and values before this call and of it; the last of them go on to the next call."""
    both = graph.add("Concat", f"memory_{block}", kept, axis=1)
    graph.add(
        "Slice", both, graph.ints(-settings.context), graph.ints(np.iinfo(np.int64).max), graph.ints(1), name=name
    )
    return both


def _linear(graph: _Nodes, weights: Weights, name: str, rows: str) -> str:
    weight = graph.constant(name + ".weight", weights[name + ".weight"].T)
    return graph.add("Gemm", rows, weight, graph.constant(name + ".bias", weights[name + ".bias"]))


def _norm(graph: _Nodes, weights: Weights, name: str, rows: str) -> str:
    parts = [graph.constant(f"{name}.{part}", weights[f"{name}.{part}"]) for part in ("weight", "bias")]
    return graph.add("LayerNormalization", rows, *parts, axis=-1, epsilon=1e-5)


def _spent(graph: _Nodes, settings: DialSettings, opened: Sequence[str]) -> None:
    """Share of the full cost, mean over the frames of the call: [B, 1]."""
    shares = costs(settings)
    gates = graph.add("Cast", graph.add("Concat", *opened, axis=0), to=TensorProto.FLOAT)
    gates = graph.add("Reshape", gates, graph.add("Concat", graph.ints(2 * settings.blocks), "calls", axis=0))
    mean = graph.add("ReduceMean", gates, axes=[2], keepdims=0)
    each = np.array([[shares.attention], [shares.feed_forward]] * settings.blocks, np.float32)
    constants = graph.constant("shares", each), graph.constant("fixed", np.array([shares.fixed], np.float32))
    spent = graph.add("Gemm", mean, *constants, transA=1)
    graph.add("Min", spent, graph.constant("unit", np.float32(1)), name="spent")  # all together may round up


def _model(
    graph: _Nodes, settings: DialSettings, constants: Mapping[str, NDArray[Any]], *, gated: bool
) -> onnx.ModelProto:
    def tensor(name: str, *shape: str | int) -> onnx.ValueInfoProto:
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", *shape])

    inputs = [tensor("features", "time", settings.mel_bins), *([tensor("budget", 1)] if gated else [])]
    outputs = [tensor("encoded", "frames", settings.encoded), *([tensor("spent", 1)] if gated else [])]
    for name, shape in settings.states().items():
        inputs.append(tensor(name, *shape))
        outputs.append(tensor(f"{name}_next", *shape))
    stored = [numpy_helper.from_array(value, name) for name, value in constants.items()]
    made = helper.make_graph(graph.nodes, "dial", inputs, outputs, stored)
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", OPSET)], producer_name="antiphon")
    model.ir_version = 8
    onnx.checker.check_model(model, full_check=True)
    return model
