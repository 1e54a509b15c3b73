"""What an ONNX file says of itself, and whether a definition says the same.

`onnx.py` reads a `GraphInfo` from a file: to check a bundle when it is loaded, and for whoever makes bundles out of
files of others (`onnx.inspect`). A definition that disagrees with its graph would fail at the first call, or worse,
only at the first merged one; it fails at load, and names the tensor.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from services.runtime.errors import FailedPrecondition
from services.runtime.inference import ModelDefinition, StateSpec, TensorSpec


@dataclass(frozen=True, slots=True)
class GraphInfo:
    """Inputs and outputs in the file's order, states among them, and the file's own notes.

    A dtype is a name of numpy's, or ONNX's own text ("seq(tensor(int64))") where numpy has none. A shape holds None for
    a length that the file leaves open; it is empty for a scalar and where the file does not even say the rank.
    """

    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    metadata: Mapping[str, str]


def check_graph(definition: ModelDefinition, graph: GraphInfo) -> None:
    """Raises FailedPrecondition `MODEL_DEFINITION_INVALID` naming the first tensor that differs."""
    for complaint in _complaints(definition, graph):
        raise FailedPrecondition(
            f"The definition of model {definition.id} and its graph disagree: {complaint}.",
            reason="MODEL_DEFINITION_INVALID",
            metadata={"model": definition.id},
        )


def _complaints(definition: ModelDefinition, graph: GraphInfo) -> Iterator[str]:
    fed = [*definition.inputs, *(_tensor(state, state.input, definition) for state in definition.states)]
    read = [*definition.outputs, *(_tensor(state, state.output, definition) for state in definition.states)]
    yield from _differences("input", fed, graph.inputs)
    yield from _differences("output", read, graph.outputs)
    for name in sorted({spec.name for spec in graph.inputs} - {spec.name for spec in fed}):
        yield f"the graph needs {name}, which is not declared"
    if definition.batching:
        for spec in definition.inputs:
            if not spec.shape or spec.shape[0] is not None:
                yield f"input {spec.name} cannot be merged, as its first length is not -1"


def _differences(kind: str, declared: Sequence[TensorSpec], own: Sequence[TensorSpec]) -> Iterator[str]:
    there = {spec.name: spec for spec in own}
    for spec in declared:
        if spec.name not in there:
            yield f"the graph has no {kind} {spec.name}"
        elif wrong := _difference(spec, there[spec.name], fed=kind == "input"):
            yield f"{kind} {spec.name} {wrong}"


def _tensor(state: StateSpec, name: str, definition: ModelDefinition) -> TensorSpec:
    """A state as its graph must take it: of any number of sequences if calls are merged."""
    shape: list[int | None] = list(state.shape)
    if definition.batching:
        shape[state.batch_axis] = None
    return TensorSpec(name, state.dtype, tuple(shape))


def _difference(declared: TensorSpec, own: TensorSpec, *, fed: bool) -> str:
    """Empty if they fit. What is fed must be taken in every declared length; what is read may be declared loosely."""
    if declared.dtype != own.dtype:
        return f"is declared {declared.dtype} and is {own.dtype}"
    if not own.shape:
        return ""
    if len(declared.shape) != len(own.shape):
        return f"is declared with {len(declared.shape)} dimensions and has {len(own.shape)}"
    for axis, (want, have) in enumerate(zip(declared.shape, own.shape, strict=True)):
        if have is not None and want != have and (want is not None or fed):
            return f"is declared {'any length' if want is None else want} along axis {axis} and is {have}"
    return ""
