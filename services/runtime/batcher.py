"""Merges calls of one model that come at about the same time: one run of a graph for the sessions of many users.

`onnx.OnnxClient` has one `Batcher` for each loaded model. A call on an idle model runs at once. While all lanes are
taken, calls gather, and those of equal shape run together as soon as one is free; with a lane free beside a run of the
same model they gather for `delay_ms` at most. A definition without `batching` runs its calls one by one, in the order
they came, by the same code.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from services.runtime.errors import AntiphonError, Internal, InvalidInput, Overloaded, Unavailable
from services.runtime.inference import Batching, ModelDefinition, Tensor

logger = logging.getLogger(__name__)

_ALONE = Batching(max_size=1, delay_ms=0.0)

Feeds = Mapping[str, Tensor]
_Shapes = tuple[tuple[int, ...], ...]


class GraphRun(Protocol):
    """One run of a graph, in a thread."""

    def __call__(self, feeds: Feeds) -> dict[str, Tensor]:
        """All outputs and new states by name. Raises Internal `MODEL_FAILED`."""
        ...

    def stop(self) -> None:
        """Called from another thread: nobody waits for the result any more."""
        ...


class Lanes:
    """The threads that graphs run in, shared by all models of a client, and how many calls may be in flight.

    A batcher that finds no lane free is woken when one is; batchers take turns.

    Args:
        threads: runs at once.
        max_waiting: calls that may wait besides.
    """

    def __init__(self, threads: int, max_waiting: int) -> None:
        self.threads = ThreadPoolExecutor(max_workers=threads, thread_name_prefix="graphs")
        self._free = threads
        self._places = threads + max_waiting
        self._asking: list[Batcher] = []
        self._closed = False

    def take_place(self, model: str) -> None:
        """Raises Overloaded, or Unavailable after `close`."""
        if self._closed:
            raise _closed()
        if self._places <= 0:
            raise Overloaded(f"Too many calls wait for model {model}.", retry_after=0.1)
        self._places -= 1

    def give_places(self, count: int) -> None:
        self._places += count

    def free(self, asking: Batcher) -> bool:
        """Whether a run could start now; if not, `asking` is woken when one can."""
        if not self._free and asking not in self._asking:
            self._asking.append(asking)
        return self._free > 0

    def occupy(self) -> None:
        self._free -= 1

    def vacate(self) -> None:
        self._free += 1
        asking, self._asking = self._asking, []
        for batcher in asking:
            batcher.look_soon()

    async def close(self) -> None:
        """Waits for what runs; nothing is started any more."""
        self._closed = True
        await asyncio.to_thread(self.threads.shutdown, cancel_futures=True)


@dataclass(slots=True)
class BatchStats:
    """What a batcher did.

    Attributes:
        merged: calls that shared their run with others.
        held: batches that were kept back for others though a lane was free.
        longest_hold: seconds that one of them was kept back.
    """

    calls: int = 0
    runs: int = 0
    merged: int = 0
    held: int = 0
    longest_hold: float = 0.0


@dataclass(slots=True, eq=False)
class _Call:
    feeds: Feeds
    rows: int
    shapes: _Shapes
    due: float
    answer: asyncio.Future[dict[str, Tensor]]
    batch: _Batch | None = None


@dataclass(slots=True, eq=False)
class _Batch:
    """Calls that run together. `execute` runs in a thread and touches nothing of the event loop."""

    definition: ModelDefinition
    calls: Sequence[_Call]
    run: GraphRun

    def execute(self) -> list[dict[str, Tensor] | Internal]:
        """One result for each call. What spoils a merged run spoils only its own call: they are run again alone."""
        if len(self.calls) > 1:
            try:
                return _split(self.definition, self.calls, self.run(_merged(self.definition, self.calls)))
            except Internal:
                if all(call.answer.cancelled() for call in self.calls):  # then it was told to stop
                    return [_failed(self.definition, "stopped") for _ in self.calls]
                logger.warning("A merged run of model %s failed; its calls run one by one.", self.definition.id)
        return [self._alone(call) for call in self.calls]

    def _alone(self, call: _Call) -> dict[str, Tensor] | Internal:
        if call.answer.cancelled():
            return _failed(self.definition, "stopped")
        try:
            return _judged(self.definition, self.run(call.feeds))
        except Internal as error:
            return error


class Batcher:
    """Runs the calls of one model.

    Args:
        make_run: makes what runs the graph for one batch.
        lanes: shared with the other models of the client.
    """

    def __init__(self, definition: ModelDefinition, make_run: Callable[[], GraphRun], lanes: Lanes) -> None:
        self._definition = definition
        self._batching = definition.batching or _ALONE
        self._make_run = make_run
        self._lanes = lanes
        self._axes = _axes(definition)
        self._waiting: list[_Call] = []
        self._running = 0
        self._soon = False
        self._timer: asyncio.TimerHandle | None = None
        self._held_since: float | None = None
        self.stats = BatchStats()

    async def call(self, feeds: Feeds) -> dict[str, Tensor]:
        """All outputs and new states by name. A cancelled call is not run, or its run is stopped if it was alone in it.

        Raises:
            InvalidInput: `TENSOR_MISMATCH` if a call that could be merged has inputs of different first lengths.
            Overloaded: all places are taken.
            Unavailable: the client is being closed.
            Internal: `MODEL_FAILED`; also when an output or state holds NaN or infinity.
        """
        rows, shapes = self._rows(feeds), tuple(self._shape(name, feeds[name]) for name in self._axes)
        self._lanes.take_place(self._definition.id)
        loop = asyncio.get_running_loop()
        call = _Call(feeds, rows, shapes, loop.time() + self._batching.delay_ms / 1000, loop.create_future())
        self._waiting.append(call)
        self.stats.calls += 1
        self.look_soon()
        try:
            return await call.answer
        except asyncio.CancelledError:
            self._forget(call)
            raise

    def close(self) -> None:
        """Who waits hears that there will be no answer; what runs is answered."""
        waiting, self._waiting = self._waiting, []
        self._lanes.give_places(len(waiting))
        for call in waiting:
            if not call.answer.done():
                call.answer.set_exception(_closed())

    def _rows(self, feeds: Feeds) -> int:
        if self._definition.batching is None:
            return 1
        lengths = {name: feeds[name].shape[axis] for name, axis in self._axes.items()}
        rows = next(iter(lengths.values()), 1)
        for name, length in lengths.items():
            if length != rows:
                raise InvalidInput(
                    f"Model {self._definition.id} takes {name} with {rows} rows as its other inputs, not {length}.",
                    reason="TENSOR_MISMATCH",
                    field=name,
                )
        return rows

    def _shape(self, name: str, value: Tensor) -> tuple[int, ...]:
        axis = self._axes[name]
        return value.shape[:axis] + value.shape[axis + 1 :]

    def look_soon(self) -> None:
        """Looks after everything that is ready now had its turn, so that calls made at the same instant meet."""
        if self._waiting and not self._soon:
            self._soon = True
            asyncio.get_running_loop().call_soon(self._look)

    def _look(self) -> None:
        """Starts one run if it can. Calls are kept back for others only beside a running batch, and not past `due`."""
        self._soon = False
        if self._timer:
            self._timer.cancel()
            self._timer = None
        if not self._waiting or not self._lanes.free(self):
            self._held_since = None
            return
        loop = asyncio.get_running_loop()
        calls, full = self._gathered()
        if self._running and not full and loop.time() < calls[0].due:
            if self._held_since is None:
                self._held_since = loop.time()
                self.stats.held += 1
            self._timer = loop.call_at(calls[0].due, self._look)
            return
        if self._held_since is not None:
            self.stats.longest_hold = max(self.stats.longest_hold, loop.time() - self._held_since)
            self._held_since = None
        self._start(calls)
        self.look_soon()  # not at once: other models wait for lanes too

    def _gathered(self) -> tuple[list[_Call], bool]:
        """The oldest call and those of its shapes that fit in with it; and whether no further row would."""
        oldest, room = self._waiting[0], self._batching.max_size
        calls: list[_Call] = []
        for call in self._waiting:
            if call.shapes == oldest.shapes and (call is oldest or call.rows <= room):
                calls.append(call)
                room -= call.rows
        return calls, room <= 0

    def _start(self, calls: Sequence[_Call]) -> None:
        batch = _Batch(self._definition, calls, self._make_run())
        for call in calls:
            call.batch = batch
        self._waiting = [call for call in self._waiting if call.batch is None]
        self._running += 1
        self._lanes.occupy()
        self.stats.runs += 1
        self.stats.merged += len(calls) if len(calls) > 1 else 0
        loop = asyncio.get_running_loop()
        job = self._lanes.threads.submit(batch.execute)
        job.add_done_callback(lambda done: _call_soon(loop, self._finished, batch, done))

    def _finished(self, batch: _Batch, done: Future[list[dict[str, Tensor] | Internal]]) -> None:
        self._running -= 1
        self._lanes.give_places(len(batch.calls))
        for call, result in zip(batch.calls, _results(batch, done), strict=True):
            if call.answer.done():
                continue
            if isinstance(result, AntiphonError):
                call.answer.set_exception(result)
            else:
                call.answer.set_result(result)
        self._lanes.vacate()  # those who asked before come first
        self.look_soon()

    def _forget(self, call: _Call) -> None:
        """Nobody waits for it: it is not run, and a run whose calls are all forgotten frees its thread."""
        if call in self._waiting:
            self._waiting.remove(call)
            self._lanes.give_places(1)
        elif call.batch and all(other.answer.cancelled() for other in call.batch.calls):
            call.batch.run.stop()


def _call_soon(loop: asyncio.AbstractEventLoop, function: Callable[..., None], *arguments: object) -> None:
    """From a thread. A loop that was closed meanwhile has nobody left who waits."""
    with suppress(RuntimeError):
        loop.call_soon_threadsafe(function, *arguments)


def _results(
    batch: _Batch, done: Future[list[dict[str, Tensor] | Internal]]
) -> Sequence[dict[str, Tensor] | AntiphonError]:
    if done.cancelled():
        return [_closed() for _ in batch.calls]
    if error := done.exception():
        logger.error("A run of model %s failed with %s.", batch.definition.id, type(error).__name__)
        return [_failed(batch.definition, type(error).__name__) for _ in batch.calls]
    return done.result()


def _axes(definition: ModelDefinition) -> dict[str, int]:
    """Along which axis each tensor that is fed is merged."""
    return {spec.name: 0 for spec in definition.inputs} | {one.input: one.batch_axis for one in definition.states}


def _merged(definition: ModelDefinition, calls: Sequence[_Call]) -> dict[str, Tensor]:
    return {
        name: np.concatenate([call.feeds[name] for call in calls], axis) for name, axis in _axes(definition).items()
    }


def _split(definition: ModelDefinition, calls: Sequence[_Call], outputs: Feeds) -> list[dict[str, Tensor] | Internal]:
    """Copies, so that no answer keeps those of others alive."""
    axes = {spec.name: 0 for spec in definition.outputs} | {one.output: one.batch_axis for one in definition.states}
    total = sum(call.rows for call in calls)
    for name, axis in axes.items():
        if outputs[name].ndim <= axis or outputs[name].shape[axis] != total:
            raise _failed(definition, f"{name} has no row for each row of the inputs")
    results: list[dict[str, Tensor] | Internal] = []
    start = 0
    for call in calls:
        rows = slice(start, start + call.rows)
        own = {name: outputs[name][(*[slice(None)] * axis, rows)].copy() for name, axis in axes.items()}
        try:
            results.append(_judged(definition, own))
        except Internal as error:
            results.append(error)
        start += call.rows
    return results


def _judged(definition: ModelDefinition, outputs: dict[str, Tensor]) -> dict[str, Tensor]:
    """NaN or infinity in an answer is no answer, and in a state it would spoil all that follow."""
    for name, value in outputs.items():
        if value.dtype.kind == "f" and not np.isfinite(value).all():
            raise _failed(definition, f"{name} holds NaN or infinity")
    return outputs


def _closed() -> Unavailable:
    return Unavailable("The models of this process are being closed.")


def _failed(definition: ModelDefinition, why: str) -> Internal:
    return Internal(f"Model {definition.id} failed: {why}.", reason="MODEL_FAILED")
