"""What a published recogniser becomes here: one part per graph, with the definition that both homes of models read.

Filled in by `nemo.py`, `wenet.py` and `zipformer2.py`, one per family; written to disk by `importing.py`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from services.asr.engines.published.notes import Notes
from services.runtime.errors import FailedPrecondition
from services.runtime.graphs import GraphInfo
from services.runtime.inference import Batching, StateSpec, TensorSpec
from services.runtime.onnx import inspect

MEL_BINS = 80
"""All families hear as many, and their graphs say so."""

TAIL_MS = 300
"""Silence to hear after the last sound: what the publishers' own examples add, for tokens come late."""

_MOST_STATE_BYTES = 64 << 20  # of one session: ten times what the largest published model keeps
_BATCHING = Batching(max_size=32, delay_ms=5.0)  # a chunk is 160 to 1,040 ms of audio


@dataclass(frozen=True)
class File:
    """One ONNX file, opened to see what it takes and gives."""

    path: Path
    graph: GraphInfo
    notes: Notes

    @classmethod
    def open(cls, path: Path) -> File:
        """Raises FailedPrecondition `MODEL_INVALID` or `MODEL_MISSING`. Blocking."""
        graph = inspect(path)
        return cls(path, graph, Notes(path.name, graph.metadata))

    @property
    def quantised(self) -> bool:
        """To whole numbers of a scale that is found anew for every call."""
        return "int8" in self.path.name or "onnx.infer" in self.notes.values

    def wrong(self, what: str) -> FailedPrecondition:
        return FailedPrecondition(
            f"{self.path.name}: {what}.", reason="MODEL_INVALID", metadata={"file": self.path.name}
        )

    def tensors(self, inputs: int, outputs: int) -> tuple[Sequence[TensorSpec], Sequence[TensorSpec]]:
        """Raises FailedPrecondition `MODEL_INVALID` unless there are that many."""
        have = len(self.graph.inputs), len(self.graph.outputs)
        if have != (inputs, outputs):
            raise self.wrong(f"it has {have[0]} inputs and {have[1]} outputs, its kind has {inputs} and {outputs}")
        return self.graph.inputs, self.graph.outputs

    def fitting(self, tensor: TensorSpec, dtype: str, shape: tuple[int | None, ...]) -> TensorSpec:
        """The tensor with what its graph leaves open filled in from the notes; None stays open.

        Raises FailedPrecondition `MODEL_INVALID` when graph and notes disagree.
        """
        if tensor.dtype != dtype:
            raise self.wrong(f"{tensor.name} is {tensor.dtype}, only {dtype} is served")
        fits = len(tensor.shape) == len(shape) and all(
            None in (have, want) or have == want for have, want in zip(tensor.shape, shape, strict=True)
        )
        if tensor.shape and not fits:
            raise self.wrong(f"{tensor.name} is {_shown(tensor.shape)}, the metadata makes it {_shown(shape)}")
        return TensorSpec(tensor.name, dtype, shape)


@dataclass(frozen=True)
class Part:
    """One graph of a recogniser. `name` is that of its folder in the bundle."""

    name: str
    file: File
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    states: tuple[StateSpec, ...] = ()
    batching: Batching | None = None


@dataclass(frozen=True)
class Form:
    """A whole recogniser: its graphs, how many tokens it knows, and the parameters of its bundle."""

    parts: tuple[Part, ...]
    vocabulary: int
    blank: int
    parameters: Mapping[str, Any] = field(default_factory=dict)


def state(
    file: File, before: TensorSpec, after: TensorSpec, dtype: str, shape: tuple[int, ...], axis: int
) -> StateSpec:
    """A state of `shape` (that of one sequence) that enters as one tensor and leaves as the other."""
    for tensor in (before, after):
        opened = tuple(None if at == axis else size for at, size in enumerate(shape))
        file.fitting(tensor, dtype, opened)
    return StateSpec(before.name, after.name, dtype, shape, axis)


def check_memory(file: File, shapes: Iterable[tuple[int, ...]]) -> None:
    """Raises FailedPrecondition `MODEL_INVALID` when a session would keep too much. `shapes` are of float32."""
    taken = sum(4 * math.prod(shape) for shape in shapes)
    if taken > _MOST_STATE_BYTES:
        raise file.wrong(f"a session would keep {taken >> 20} MiB of state, more than {_MOST_STATE_BYTES >> 20}")


def batching(file: File, states: Sequence[StateSpec] = ()) -> Batching | None:
    """Calls are merged if the graph leaves open how many rows there are, in every tensor.

    A quantised graph finds its scale over all rows of a call: merged calls would change each other's numbers.
    """
    axes = {one.input: one.batch_axis for one in states} | {one.output: one.batch_axis for one in states}
    tensors = (*file.graph.inputs, *file.graph.outputs)
    is_open = all(one.shape and one.shape[axes.get(one.name, 0)] is None for one in tensors)
    return _BATCHING if is_open and not file.quantised else None


def rows(merged: Batching | None) -> int | None:
    """The first length of a tensor: any where calls are merged, 1 where each runs alone."""
    return None if merged else 1


def _shown(shape: Sequence[int | None]) -> list[int | str]:
    return ["any" if size is None else size for size in shape]
