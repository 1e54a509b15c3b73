"""The embedded home of models: onnxruntime sessions inside the replica. The only import of onnxruntime.

`app.py` of a capability makes one `OnnxClient` per replica and hands it to its engines as a `ModelClient`. onnxruntime
releases the GIL while it computes, so runs go to a small thread pool and the event loop stays free; a run whose caller
has gone or whose deadline has passed is told to stop. Batching across sessions is not done here yet.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import onnxruntime as ort
from onnxruntime.capi import onnxruntime_pybind11_state as native

from services.runtime.errors import (
    AntiphonError,
    DeadlineExceeded,
    FailedPrecondition,
    Internal,
    InvalidInput,
    Overloaded,
)
from services.runtime.inference import ModelDefinition, SequenceStep, Tensor
from services.runtime.model_store import ModelStore

# onnxruntime's exceptions have no common parent of their own.
_NATIVE_ERRORS = (
    native.EPFail,
    native.EngineError,
    native.Fail,
    native.InvalidArgument,
    native.InvalidGraph,
    native.InvalidProtobuf,
    native.NoModel,
    native.NotImplemented,
    native.RuntimeException,
)
_QUIET = 3  # onnxruntime's severity ERROR: its warnings name files of this machine
_MAX_SEQUENCES = 4096
_IDLE = 60.0  # seconds after which a sequence may be dropped, as Triton's max_sequence_idle_microseconds


class OnnxClient:
    """Runs the bundles of a store in this process.

    Args:
        store: where the bundles are.
        threads: runs at once; each uses `intra_op_threads` cores.
        intra_op_threads: cores for one run; 1 because sessions in parallel use a core better than one split session.
        max_waiting: runs that may wait for a thread; beyond that a call is refused with Overloaded.
    """

    def __init__(
        self, store: ModelStore, *, threads: int = 2, intra_op_threads: int = 1, max_waiting: int = 256
    ) -> None:
        self._store = store
        self._threads = ThreadPoolExecutor(max_workers=threads, thread_name_prefix="onnx")
        self._intra_op_threads = intra_op_threads
        self._places = threading.BoundedSemaphore(threads + max_waiting)
        self._sessions: dict[str, asyncio.Task[ort.InferenceSession]] = {}
        self._states: dict[tuple[str, int], tuple[float, dict[str, Tensor]]] = {}  # with the time of their last call

    def definition(self, model: str) -> ModelDefinition:
        return self._store.get(model)

    async def load(self, model: str) -> ModelDefinition:
        definition = self._store.get(model)
        await self._session(definition)
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
        if deadline is not None and deadline <= 0:
            raise DeadlineExceeded(f"No time was left to run model {definition.id}.")
        feeds = {**inputs, **self._take_states(definition, sequence)}
        try:
            async with asyncio.timeout(deadline):
                outputs = await self._run(definition, await self._session(definition), feeds)
        except TimeoutError:
            raise DeadlineExceeded(f"Model {definition.id} did not answer in time.") from None
        self._keep_states(definition, sequence, outputs)
        return {spec.name: outputs[spec.name] for spec in definition.outputs}

    async def close(self) -> None:
        """Waits for what runs; nothing can be inferred afterwards."""
        await asyncio.to_thread(self._threads.shutdown, cancel_futures=True)
        self._sessions.clear()
        self._states.clear()

    async def _session(self, definition: ModelDefinition) -> ort.InferenceSession:
        """Loads once, however many callers come at once; a failed load is tried again by the next caller."""
        task = self._sessions.get(definition.id)
        if task is None:
            task = asyncio.create_task(asyncio.to_thread(_open, definition, self._intra_op_threads))
            self._sessions[definition.id] = task
        try:
            return await asyncio.shield(task)
        except AntiphonError:
            self._sessions.pop(definition.id, None)
            raise

    async def _run(
        self, definition: ModelDefinition, session: ort.InferenceSession, feeds: Mapping[str, Tensor]
    ) -> dict[str, Tensor]:
        if not self._places.acquire(blocking=False):
            raise Overloaded(f"Too many calls wait for model {definition.id}.", retry_after=0.1)
        names = [spec.name for spec in definition.outputs] + [state.output for state in definition.states]
        options = ort.RunOptions()
        options.log_severity_level = _QUIET
        run = self._threads.submit(session.run, names, dict(feeds), options)
        run.add_done_callback(lambda _: self._places.release())
        try:
            values = await asyncio.wrap_future(run)
        except asyncio.CancelledError:
            options.terminate = True  # nobody waits any more: free the core within one graph node
            raise
        except _NATIVE_ERRORS as error:
            raise Internal(f"Model {definition.id} failed: {type(error).__name__}.", reason="MODEL_FAILED") from error
        return dict(zip(names, values, strict=True))

    def _take_states(self, definition: ModelDefinition, sequence: SequenceStep | None) -> dict[str, Tensor]:
        if not definition.states:
            return {}
        if sequence is None:
            raise InvalidInput(
                f"Model {definition.id} keeps state: a call needs a sequence.", reason="SEQUENCE_MISSING"
            )
        key = (definition.id, sequence.id)
        if sequence.start:
            self._make_room()
            return {state.input: np.zeros(state.shape, state.dtype) for state in definition.states}
        if key not in self._states:
            raise InvalidInput(
                f"Sequence {sequence.id} of model {definition.id} was not started, ended, or idle for {_IDLE:.0f} s.",
                reason="SEQUENCE_UNKNOWN",
            )
        return self._states[key][1]

    def _make_room(self) -> None:
        """Sequences whose callers left without an end are dropped once the room is needed."""
        if len(self._states) < _MAX_SEQUENCES:
            return
        oldest = time.monotonic() - _IDLE
        self._states = {key: kept for key, kept in self._states.items() if kept[0] > oldest}
        if len(self._states) >= _MAX_SEQUENCES:
            raise Overloaded("Too many open sequences of stateful models.", retry_after=1.0)

    def _keep_states(
        self, definition: ModelDefinition, sequence: SequenceStep | None, outputs: Mapping[str, Tensor]
    ) -> None:
        if not definition.states or sequence is None:
            return
        key = (definition.id, sequence.id)
        if sequence.end:
            self._states.pop(key, None)
        else:
            kept = {state.input: outputs[state.output] for state in definition.states}
            self._states[key] = (time.monotonic(), kept)


def _open(definition: ModelDefinition, intra_op_threads: int) -> ort.InferenceSession:
    content = definition.verified_bytes()
    options = ort.SessionOptions()
    options.intra_op_num_threads = intra_op_threads
    options.inter_op_num_threads = 1
    options.log_severity_level = _QUIET
    try:
        session = ort.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    except _NATIVE_ERRORS as error:
        raise FailedPrecondition(f"Model {definition.id} is no usable ONNX graph.", reason="MODEL_INVALID") from error
    _check_names(definition, session)
    return session


def _check_names(definition: ModelDefinition, session: ort.InferenceSession) -> None:
    """A definition that names other tensors than its graph would only fail at the first call; it fails here."""
    declared = {spec.name for spec in definition.inputs} | {state.input for state in definition.states}
    wanted = {spec.name for spec in definition.outputs} | {state.output for state in definition.states}
    inputs = {node.name for node in session.get_inputs()}
    outputs = {node.name for node in session.get_outputs()}
    if declared != inputs or not wanted <= outputs:
        raise FailedPrecondition(
            f"The definition of model {definition.id} and its graph name different tensors: "
            f"{sorted(declared)} -> {sorted(wanted)} against {sorted(inputs)} -> {sorted(outputs)}.",
            reason="MODEL_DEFINITION_INVALID",
        )
