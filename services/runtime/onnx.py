"""The embedded home of models: onnxruntime sessions inside the replica. The only import of onnxruntime.

`backends.py` makes one `OnnxClient` per replica, and the capability's engines get it as a `ModelClient`. onnxruntime
releases the GIL while it computes, so runs go to a small thread pool and the event loop stays free; a run whose callers
have all gone or whose deadline has passed is told to stop. Calls of different sessions are merged by `batcher.py`,
states of sequences lie in `sequences.py`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

import onnxruntime as ort
from onnxruntime.capi import onnxruntime_pybind11_state as native

from services.runtime.batcher import Batcher, BatchStats, Feeds, Lanes
from services.runtime.errors import (
    DeadlineExceeded,
    FailedPrecondition,
    Internal,
    InvalidInput,
)
from services.runtime.graphs import GraphInfo, check_graph
from services.runtime.inference import ModelDefinition, SequenceStep, Tensor, TensorSpec
from services.runtime.model_store import ModelStore
from services.runtime.pieces import pieces_of
from services.runtime.sequences import IdleSweep, SequenceStates, zeros

# onnxruntime's exceptions have no common parent of their own.
_NATIVE_ERRORS = (
    native.EPFail,
    native.EngineError,
    native.Fail,
    native.InvalidArgument,
    native.InvalidGraph,
    native.InvalidProtobuf,
    native.NoModel,
    native.NoSuchFile,
    native.NotFound,
    native.NotImplemented,
    native.RuntimeException,
)
_QUIET = 4  # onnxruntime's severity FATAL: what it says names files of this machine, and is raised as well
_MOST_BYTES = 2**31 - 1  # of a file; Protocol Buffers end there, and a file is read whole
_DTYPES = {
    "bfloat16": "bfloat16",
    "bool": "bool",
    "double": "float64",
    "float": "float32",
    "float16": "float16",
    "int16": "int16",
    "int32": "int32",
    "int64": "int64",
    "int8": "int8",
    "uint16": "uint16",
    "uint32": "uint32",
    "uint64": "uint64",
    "uint8": "uint8",
}


class OnnxClient:
    """Runs the bundles of a store in this process.

    Args:
        store: where the bundles are.
        threads: runs at once; each uses `intra_op_threads` cores.
        intra_op_threads: cores for one run; 1 because sessions in parallel use a core better than one split session.
        max_waiting: calls that may wait for a thread; beyond that a call is refused with Overloaded.
    """

    def __init__(
        self, store: ModelStore, *, threads: int = 2, intra_op_threads: int = 1, max_waiting: int = 256
    ) -> None:
        self._store = store
        self._lanes = Lanes(threads, max_waiting)
        self._intra_op_threads = intra_op_threads
        self._batchers: dict[str, asyncio.Task[Batcher]] = {}
        self._sequences = SequenceStates()
        self._idle = IdleSweep(self._sequences)

    @property
    def bytes_of_states(self) -> int:
        """Memory of the states of all open sequences."""
        return self._sequences.size

    def definition(self, model: str) -> ModelDefinition:
        return self._store.get(model)

    def backend(self, model: str) -> str:
        return "embedded"

    def batches(self, model: str) -> BatchStats:
        """What was merged so far of the calls of a loaded model."""
        task = self._batchers.get(self._store.get(model).id)
        return task.result().stats if task and task.done() and not task.exception() else BatchStats()

    async def load(self, model: str) -> ModelDefinition:
        definition = self._store.get(model)
        await self._batcher(definition)
        return definition

    async def infer(
        self,
        model: str,
        inputs: Mapping[str, Tensor],
        *,
        sequence: SequenceStep | None = None,
        deadline: float | None = None,
    ) -> Mapping[str, Tensor]:
        """See `ModelClient.infer`."""
        definition = self._store.get(model)
        definition.check(inputs)
        if definition.states:
            outputs = await self._step(definition, inputs, sequence, deadline)
        else:
            outputs = await self._run(definition, inputs, deadline)
        return {spec.name: outputs[spec.name] for spec in definition.outputs}

    async def stream(
        self, model: str, inputs: Mapping[str, Tensor], *, deadline: float | None = None
    ) -> AsyncIterator[Mapping[str, Tensor]]:
        """See `ModelClient.stream`."""
        definition = self._store.get(model)
        loop = asyncio.get_running_loop()
        end = None if deadline is None else loop.time() + deadline
        states: Mapping[str, Tensor] = zeros(definition)
        for piece in pieces_of(definition, inputs):
            outputs = await self._run(definition, {**piece, **states}, None if end is None else end - loop.time())
            states = {state.input: outputs[state.output] for state in definition.states}
            yield {spec.name: outputs[spec.name] for spec in definition.outputs}

    async def close(self) -> None:
        """Waits for what runs; nothing can be inferred afterwards."""
        self._idle.close()
        for task in self._batchers.values():
            if task.done() and not task.exception():
                task.result().close()
        await self._lanes.close()
        self._batchers.clear()
        self._sequences.clear()

    async def _step(
        self,
        definition: ModelDefinition,
        inputs: Mapping[str, Tensor],
        sequence: SequenceStep | None,
        deadline: float | None,
    ) -> dict[str, Tensor]:
        """One call of a sequence. A model that failed has spoiled its state: the sequence is over."""
        if sequence is None:
            raise InvalidInput(
                f"Model {definition.id} keeps state: a call needs a sequence.", reason="SEQUENCE_MISSING"
            )
        states = self._sequences.take(definition, sequence)
        try:
            outputs = await self._run(definition, {**inputs, **states}, deadline)
        except Internal:
            self._sequences.drop(definition, sequence)
            raise
        except BaseException:
            self._sequences.release(definition, sequence)
            raise
        self._sequences.keep(definition, sequence, outputs)
        self._idle.watch()
        return outputs

    async def _run(self, definition: ModelDefinition, feeds: Feeds, deadline: float | None) -> dict[str, Tensor]:
        if deadline is not None and deadline <= 0:
            raise DeadlineExceeded(f"No time was left to run model {definition.id}.")
        try:
            async with asyncio.timeout(deadline):
                return await (await self._batcher(definition)).call(feeds)
        except TimeoutError:
            raise DeadlineExceeded(f"Model {definition.id} did not answer in time.") from None

    async def _batcher(self, definition: ModelDefinition) -> Batcher:
        """Loads once, however many callers come at once; a failed load is tried again by the next caller."""
        task = self._batchers.get(definition.id)
        if task is None:
            task = self._batchers[definition.id] = asyncio.create_task(self._open(definition))
        try:
            return await asyncio.shield(task)
        except Exception:  # also what no file explains, such as memory that ran out
            if self._batchers.get(definition.id) is task:
                del self._batchers[definition.id]
            raise

    async def _open(self, definition: ModelDefinition) -> Batcher:
        session = await asyncio.to_thread(_open, definition, self._intra_op_threads)
        names = [spec.name for spec in definition.outputs] + [state.output for state in definition.states]
        return Batcher(definition, lambda: _Run(definition, session, names), self._lanes)


class _Run:
    """See `batcher.GraphRun`."""

    def __init__(self, definition: ModelDefinition, session: ort.InferenceSession, names: list[str]) -> None:
        self._definition = definition
        self._session = session
        self._names = names
        self._options = ort.RunOptions()
        self._options.log_severity_level = _QUIET

    def __call__(self, feeds: Feeds) -> dict[str, Tensor]:
        try:
            values = self._session.run(self._names, dict(feeds), self._options)
        except _NATIVE_ERRORS as error:
            raise Internal(
                f"Model {self._definition.id} failed: {type(error).__name__}.", reason="MODEL_FAILED"
            ) from error
        return dict(zip(self._names, values, strict=True))

    def stop(self) -> None:
        self._options.terminate = True  # it ends within one node of the graph


def inspect(path: Path) -> GraphInfo:
    """What an ONNX file says of its inputs, outputs and itself; nothing is run. Blocking.

    Raises:
        FailedPrecondition: `MODEL_MISSING`, or `MODEL_INVALID` for whatever onnxruntime cannot read: no ONNX, cut off,
            unknown operators, weights in other files, notes that are no UTF-8.
    """
    _check_size(path, path.name)
    try:
        content = path.read_bytes()
    except OSError:
        raise FailedPrecondition(f"{path.name} cannot be read.", reason="MODEL_MISSING") from None
    options = ort.SessionOptions()
    # What optimisation would compute in advance is not wanted here, and a hostile graph may ask for much of it.
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    return _info(_session(content, options, path.name), path.name)


def _open(definition: ModelDefinition, intra_op_threads: int) -> ort.InferenceSession:
    _check_size(definition.path, f"model {definition.id}")
    content = definition.verified_bytes()
    options = ort.SessionOptions()
    options.intra_op_num_threads = intra_op_threads
    options.inter_op_num_threads = 1
    session = _session(content, options, f"model {definition.id}")
    check_graph(definition, _info(session, f"model {definition.id}"))
    return session


def _session(content: bytes, options: ort.SessionOptions, what: str) -> ort.InferenceSession:
    """From bytes, never from a path: so a graph can name no other file, whose content no digest covers."""
    options.log_severity_level = _QUIET
    try:
        return ort.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    except _NATIVE_ERRORS as error:
        raise _unusable(what, _why(error)) from error
    except (MemoryError, RuntimeError, ValueError) as error:
        raise _unusable(what, type(error).__name__) from error


def _info(session: ort.InferenceSession, what: str) -> GraphInfo:
    try:
        notes = {str(key): str(value) for key, value in session.get_modelmeta().custom_metadata_map.items()}
        inputs, outputs = (tuple(map(_spec, nodes)) for nodes in (session.get_inputs(), session.get_outputs()))
    except UnicodeDecodeError:
        raise _unusable(what, "its notes or names are no UTF-8") from None
    return GraphInfo(inputs, outputs, notes)


def _spec(node: ort.NodeArg) -> TensorSpec:
    inner = node.type.removeprefix("tensor(").removesuffix(")")
    shape = tuple(size if isinstance(size, int) and size >= 0 else None for size in node.shape)
    return TensorSpec(node.name, _DTYPES.get(inner, node.type), shape)


def _why(error: Exception) -> str:
    """onnxruntime's own text names files of this machine and lines of its source: only the kind is told."""
    if "external" in str(error).lower():
        return "it keeps weights in other files, which no digest covers"
    return type(error).__name__


def _check_size(path: Path, what: str) -> None:
    try:
        size = path.stat().st_size
    except OSError:
        raise FailedPrecondition(f"There is no file {path.name}.", reason="MODEL_MISSING") from None
    if size > _MOST_BYTES:
        raise _unusable(what, f"its file has {size} bytes, no ONNX file may have more than {_MOST_BYTES}")


def _unusable(what: str, why: str) -> FailedPrecondition:
    return FailedPrecondition(f"{what} is no usable ONNX graph: {why}.", reason="MODEL_INVALID")
