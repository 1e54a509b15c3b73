"""The program of every model in the CPU form of a Triton repository: one ONNX graph, calls merged, state kept here.

`triton_repository.py` copies this file to `<model>/1/model.py`; Triton's python backend runs it in a process of its
own, in an environment that has numpy and onnxruntime and nothing of ours, so it imports nothing else. What the model
takes and gives is in `definition.json` beside it.

State is kept by correlation id: implicit state is silently never updated on this backend, and the backend is not told
when Triton drops an idle sequence, so they are swept by age. Messages begin with a code that the client reads; nothing
of a request's content is ever in one.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

# Before the import, as in services/runtime/__init__.py: otherwise it reports to its maker.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
import onnxruntime as ort
import triton_python_backend_utils as pb_utils

Tensor = npt.NDArray[Any]

MAX_SEQUENCES = 4096
MAX_STATE_BYTES = 2 << 30
IDLE_S = 60.0
_QUIET = 4  # onnxruntime's severity FATAL: its texts may quote what a model was given
_START, _END = pb_utils.TRITONSERVER_REQUEST_FLAG_SEQUENCE_START, pb_utils.TRITONSERVER_REQUEST_FLAG_SEQUENCE_END


class Refused(Exception):
    """A request that gets an error instead of an answer."""

    def __init__(self, code: str, message: str, status: int) -> None:
        super().__init__(f"{code}: {message}")
        self.status = status


@dataclass(slots=True)
class Call:
    """One request on its way: what the graph is fed with, and what becomes of it."""

    place: int
    feeds: dict[str, Tensor]
    rows: int
    sequence: int = 0
    ends: bool = False
    outputs: dict[str, Tensor] = field(default_factory=dict)
    error: Refused | None = None

    @property
    def shapes(self) -> tuple[tuple[int, ...], ...]:
        """Calls with equal ones can be merged."""
        return tuple(value.shape[1:] for value in self.feeds.values())


class States:
    """States of open sequences by correlation id, the longest unused first; bounded in number, bytes and age."""

    def __init__(self, specs: Sequence[Mapping[str, Any]], clock: Any = time.monotonic) -> None:
        self._specs = specs
        self._clock = clock
        self._kept: OrderedDict[int, tuple[float, dict[str, Tensor]]] = OrderedDict()
        self._bytes_each = sum(int(np.prod(spec["shape"])) * np.dtype(spec["dtype"]).itemsize for spec in specs)

    def __len__(self) -> int:
        return len(self._kept)

    def start(self, sequence: int) -> dict[str, Tensor]:
        """Zeros; what a sequence of that id had before is gone."""
        self._kept.pop(sequence, None)
        if len(self) >= MAX_SEQUENCES or (len(self) + 1) * self._bytes_each > MAX_STATE_BYTES:
            raise Refused("SEQUENCES_FULL", f"{len(self)} sequences are open", pb_utils.TritonError.UNAVAILABLE)
        return {spec["input"]: np.zeros(spec["shape"], spec["dtype"]) for spec in self._specs}

    def of(self, sequence: int) -> dict[str, Tensor]:
        """What the last call of the sequence left."""
        if sequence not in self._kept:
            raise Refused(
                "SEQUENCE_UNKNOWN",
                f"not started, ended, or idle for {IDLE_S:.0f} s",
                pb_utils.TritonError.INVALID_ARG,
            )
        return self._kept[sequence][1]

    def keep(self, sequence: int, states: dict[str, Tensor]) -> None:
        """After an answer."""
        self._kept[sequence] = (self._clock(), states)
        self._kept.move_to_end(sequence)

    def drop(self, sequence: int) -> None:
        """After its end, or a call that spoiled it."""
        self._kept.pop(sequence, None)

    def sweep(self) -> None:
        """Drops what was idle for too long."""
        oldest = self._clock() - IDLE_S
        while self._kept and next(iter(self._kept.values()))[0] < oldest:
            self._kept.popitem(last=False)


class TritonPythonModel:
    """What the python backend makes once per instance and calls from one thread."""

    def initialize(self, args: Mapping[str, str]) -> None:
        """Loads the graph, and runs it once so that the first caller does not wait for what it does lazily.

        An exception's text becomes the reason why the model did not load.
        """
        folder = Path(args["model_repository"]) / args["model_version"]
        definition = json.loads((folder / "definition.json").read_text(encoding="utf-8"))
        self._inputs: list[dict[str, Any]] = definition["inputs"]
        self._outputs: list[dict[str, Any]] = definition["outputs"]
        self._states: list[dict[str, Any]] = definition["states"]
        self._most: int = definition["max_rows"]  # of a merged call; 1 where calls must not be merged
        self._sequences = States(self._states)
        self._names = [spec["name"] for spec in self._outputs] + [state["output"] for state in self._states]
        self._session = _open(folder / "model.onnx", definition["sha256"], definition["threads"])
        zeros = {spec["name"]: np.zeros(spec["sample"], spec["dtype"]) for spec in self._inputs}
        self._run_alone(Call(0, {**zeros, **self._sequences.start(0)}, 1))  # that it cannot take zeros is no fault

    def execute(self, requests: Sequence[Any]) -> list[Any]:
        """Answers each request; one that is wrong never harms those beside it."""
        self._sequences.sweep()
        answers: list[Any] = [None] * len(requests)
        for turn in _turns(requests, bool(self._states)):
            for call in self._run([self._read(place, requests[place]) for place in turn]):
                answers[call.place] = self._answer(call)
        return answers

    # --- one request --------------------------------------------------------------------------------------------------

    def _read(self, place: int, request: Any) -> Call:
        call = Call(place, {}, 0)
        try:
            if self._states:
                call.sequence, call.ends = request.correlation_id(), bool(request.flags() & _END)
            if request.is_cancelled():
                raise Refused("CANCELLED", "nobody waits for it", pb_utils.TritonError.CANCELLED)
            call.feeds = {spec["name"]: _tensor(request, spec) for spec in self._inputs}
            call.rows = self._rows(call.feeds)
            if self._states:
                starts = bool(request.flags() & _START)
                call.feeds |= self._sequences.start(call.sequence) if starts else self._sequences.of(call.sequence)
        except Refused as error:
            call.error = error
        return call

    def _rows(self, feeds: Mapping[str, Tensor]) -> int:
        """How many rows a call has: all its inputs the same number where calls are merged, and a sequence's one."""
        if self._most == 1:
            return 1
        rows = {len(value) for value in feeds.values()}
        if len(rows) != 1 or (self._states and rows != {1}) or max(rows) > self._most:
            raise _mismatch("the inputs", "differ in their first length, or it is too large")
        return rows.pop()

    def _answer(self, call: Call) -> Any:
        """The response, after the state was put where the next call of the sequence finds it."""
        if call.error is None and self._states:
            kept = {state["input"]: np.array(call.outputs[state["output"]]) for state in self._states}
            self._sequences.keep(call.sequence, kept)
        spoiled = call.error is not None and str(call.error).startswith("MODEL_FAILED")
        if self._states and (call.ends or spoiled):
            self._sequences.drop(call.sequence)
        if call.error is not None:
            return pb_utils.InferenceResponse([], pb_utils.TritonError(str(call.error), call.error.status))
        names = (spec["name"] for spec in self._outputs)
        return pb_utils.InferenceResponse(
            [pb_utils.Tensor(name, np.ascontiguousarray(call.outputs[name])) for name in names]
        )

    # --- running ------------------------------------------------------------------------------------------------------

    def _run(self, calls: Sequence[Call]) -> Sequence[Call]:
        for batch in self._batches([call for call in calls if call.error is None]):
            if len(batch) == 1 or not self._run_merged(batch):
                for call in batch:
                    self._run_alone(call)
        return calls

    def _batches(self, calls: Sequence[Call]) -> Iterator[list[Call]]:
        """Calls with equal shapes, as many as one run takes."""
        alike: dict[Any, list[Call]] = {}
        for call in calls:
            alike.setdefault(call.shapes if self._most > 1 else call.place, []).append(call)
        for group in alike.values():
            batch: list[Call] = []
            for call in group:
                if batch and sum(one.rows for one in batch) + call.rows > self._most:
                    yield batch
                    batch = []
                batch.append(call)
            yield batch

    def _run_merged(self, batch: Sequence[Call]) -> bool:
        """False if it failed, or if its outputs cannot be told apart: then each call runs alone."""
        axes = {state["input"]: state["batch_axis"] for state in self._states}
        feeds = {
            name: np.concatenate([call.feeds[name] for call in batch], axis=axes.get(name, 0))
            for name in batch[0].feeds
        }
        try:
            values = self._infer(feeds)
        except Refused:
            return False
        back = {state["output"]: state["batch_axis"] for state in self._states}
        rows = sum(call.rows for call in batch)
        if any(
            value.ndim <= back.get(name, 0) or value.shape[back.get(name, 0)] != rows for name, value in values.items()
        ):
            return False
        ends = np.cumsum([call.rows for call in batch])[:-1]
        for name, value in values.items():
            for call, part in zip(batch, np.split(value, ends, axis=back.get(name, 0)), strict=True):
                call.outputs[name] = part
        for call in batch:
            call.error = _not_finite(call.outputs)
        return True

    def _run_alone(self, call: Call) -> Call:
        try:
            call.outputs = self._infer(call.feeds)
            call.error = _not_finite(call.outputs)
        except Refused as error:
            call.error = error
        return call

    def _infer(self, feeds: dict[str, Tensor]) -> dict[str, Tensor]:
        options = ort.RunOptions()
        options.log_severity_level = _QUIET
        try:
            values = self._session.run(self._names, feeds, options)
        # onnxruntime's errors have no common parent, and their texts may quote values: only the kind is told.
        except Exception as error:  # noqa: BLE001
            raise Refused("MODEL_FAILED", type(error).__name__, pb_utils.TritonError.INTERNAL) from None
        return dict(zip(self._names, values, strict=True))


def _turns(requests: Sequence[Any], stateful: bool) -> Iterator[list[int]]:
    """Places of requests that can run at once: of one sequence only one, in the order in which they came."""
    waiting = list(range(len(requests)))
    while waiting:
        turn: dict[int, int] = {}
        for place in waiting:
            turn.setdefault(requests[place].correlation_id() if stateful else place, place)
        yield list(turn.values())
        waiting = [place for place in waiting if place not in set(turn.values())]


def _open(path: Path, sha256: str, threads: int) -> ort.InferenceSession:
    content = path.read_bytes()
    if hashlib.sha256(content).hexdigest() != sha256:
        raise Refused(
            "MODEL_DIGEST_MISMATCH",
            "model.onnx is not the file its definition was signed off with",
            pb_utils.TritonError.INVALID_ARG,
        )
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = _QUIET
    try:
        return ort.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # noqa: BLE001 - as above
        raise Refused("MODEL_INVALID", type(error).__name__, pb_utils.TritonError.INVALID_ARG) from None


def _tensor(request: Any, spec: Mapping[str, Any]) -> Tensor:
    """An input as a number array that fits its definition."""
    name, wanted = spec["name"], spec["shape"]
    tensor = pb_utils.get_input_tensor_by_name(request, name)
    if tensor is None:
        raise _mismatch(name, "is missing")
    value: Tensor = tensor.as_numpy()
    if value.dtype != np.dtype(spec["dtype"]):
        raise _mismatch(name, f"is {value.dtype} and must be {spec['dtype']}")
    fits = len(value.shape) == len(wanted) and all(
        have == want if want >= 0 else have > 0 for have, want in zip(value.shape, wanted, strict=True)
    )
    if not fits:
        raise _mismatch(name, f"is {list(value.shape)} and must be {wanted}")
    if value.dtype.kind == "f" and not np.isfinite(value).all():
        raise Refused("TENSOR_NOT_FINITE", f"{name} holds NaN or infinity", pb_utils.TritonError.INVALID_ARG)
    return value


def _not_finite(outputs: Mapping[str, Tensor]) -> Refused | None:
    """A state with NaN would spoil every later answer of its sequence."""
    if all(value.dtype.kind != "f" or np.isfinite(value).all() for value in outputs.values()):
        return None
    return Refused("MODEL_FAILED", "it gave NaN or infinity", pb_utils.TritonError.INTERNAL)


def _mismatch(name: str, what: str) -> Refused:
    return Refused("TENSOR_MISMATCH", f"{name} {what}", pb_utils.TritonError.INVALID_ARG)
