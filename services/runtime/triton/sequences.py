"""Sequences of stateful models on a Triton server: which are open, on which stream, and that each one ends.

`client.py` runs every step of a stateful model through `Sequences`. One sequence has one bidirectional stream: against
unary calls that was a quarter to a third less latency and processor time per step, and a stream stays on one server,
also behind a proxy that would spread calls over several, where the state is not.

Nothing of a sequence is cancelled on the server: a caller that leaves has its step finished and an END sent behind its
back, within bounds. A state without an END would stay until the server finds it idle.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import grpc.aio

from services.runtime.errors import AntiphonError, InvalidInput, Overloaded, Unavailable
from services.runtime.inference import ModelDefinition, SequenceStep
from services.runtime.triton.errors import FAILURES, never_ran, sequence_lost, translate
from services.runtime.triton.samples import sample_inputs
from services.runtime.triton.streams import Farewells, exchange, finish
from services.runtime.triton.wire import Message, infer_request, mark_sequence

IDLE = 60.0
"""Seconds after which a sequence is ended for its caller, as `max_sequence_idle_microseconds` of the server."""

_Key = tuple[str, int]


@dataclass(slots=True, eq=False)
class _Open:
    """A sequence as this client knows it. `id` is the server's: random, so that no other client has it."""

    definition: ModelDefinition
    key: _Key
    id: int = field(default_factory=lambda: secrets.randbits(63) | 1)
    used: float = field(default_factory=time.monotonic)
    call: Any = None
    step: asyncio.Task[Message] | None = None


class Sequences:
    """The open sequences of one client.

    Args:
        stub: of the server.
        farewells: does what is left to do for callers that leave.
        limit: open at once; beyond that a START is refused with Overloaded.
        idle: seconds after which a sequence that nobody uses is ended.
    """

    def __init__(self, stub: Any, farewells: Farewells, limit: int, idle: float = IDLE) -> None:
        self._stub = stub
        self._farewells = farewells
        self._limit = limit
        self._idle = idle
        self._open: dict[_Key, _Open] = {}  # the one used longest ago first
        self._count: Counter[str] = Counter()
        self._changed = asyncio.Event()
        self._sweep: asyncio.TimerHandle | None = None

    def open_count(self, model: str) -> int:
        """Open sequences of a model by its id."""
        return self._count[model]

    async def run(self, definition: ModelDefinition, step: SequenceStep, request: Message) -> Message:
        """Runs one step and returns the response. A caller that stops waiting loses the sequence.

        Raises:
            InvalidInput: `SEQUENCE_UNKNOWN`, `SEQUENCE_BUSY`, or the server does not take the tensors.
            Overloaded: not run; the sequence is as it was, one that should have started is not.
            Unavailable: `SEQUENCE_LOST`, or what `translate` says when nothing was sent.
        """
        sequence = self._take(definition, step)
        mark_sequence(request, sequence.id, start=step.start, end=step.end)
        sequence.step = asyncio.create_task(self._ask(sequence, request))
        try:
            response = await asyncio.shield(sequence.step)
        except FAILURES as error:
            raise self._after_error(sequence, step, translate(error, definition)) from None
        except asyncio.CancelledError:
            self.leave(definition, step.id)
            raise
        sequence.step = None
        if step.end:
            self._remove(sequence)
            self._farewells.say(sequence.call, self._farewell(sequence, end=False))
        return response

    def leave(self, definition: ModelDefinition, number: int) -> None:
        """Ends a sequence in the background, whatever it is doing; unknown ones are none."""
        sequence = self._open.get((definition.id, number))
        if sequence is not None:
            self._remove(sequence)
            self._farewells.say(sequence.call, self._farewell(sequence, end=True))

    async def drained(self, model: str, seconds: float) -> bool:
        """Waits until a model has no open sequence here; False when some are left after `seconds`."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while self._count[model]:
                    self._changed.clear()
                    await self._changed.wait()
        return not self._count[model]

    def close(self) -> None:
        """Ends what is open, in the background."""
        for sequence in list(self._open.values()):
            self.leave(sequence.definition, sequence.key[1])
        if self._sweep is not None:
            self._sweep.cancel()

    def _take(self, definition: ModelDefinition, step: SequenceStep) -> _Open:
        key = (definition.id, step.id)
        sequence = self._open.pop(key, None)
        if sequence is None:
            sequence = self._begin(definition, step)
        self._open[key] = sequence  # last: used latest
        if sequence.step is not None:
            raise InvalidInput(
                f"Sequence {step.id} of model {definition.id} has a call running; its calls come one after the other.",
                reason="SEQUENCE_BUSY",
            )
        sequence.used = time.monotonic()
        return sequence

    def _begin(self, definition: ModelDefinition, step: SequenceStep) -> _Open:
        if not step.start:
            raise InvalidInput(
                f"Sequence {step.id} of model {definition.id} was not started, ended, or idle for {self._idle:.0f} s.",
                reason="SEQUENCE_UNKNOWN",
            )
        if len(self._open) >= self._limit:
            raise Overloaded("Too many open sequences of stateful models.", reason="SEQUENCES_FULL", retry_after=1.0)
        if self._sweep is None:
            self._sweep = asyncio.get_running_loop().call_later(self._idle, self._leave_idle)
        self._count[definition.id] += 1
        return _Open(definition, (definition.id, step.id))

    def _leave_idle(self) -> None:
        now = time.monotonic()
        for sequence in list(self._open.values()):
            if sequence.used + self._idle > now:
                break
            if sequence.step is None:
                self.leave(sequence.definition, sequence.key[1])
        oldest = next(iter(self._open.values()), None)
        wait = max(self._idle / 10, oldest.used + self._idle - now) if oldest is not None else 0.0
        self._sweep = asyncio.get_running_loop().call_later(wait, self._leave_idle) if oldest is not None else None

    async def _ask(self, sequence: _Open, request: Message) -> Message:
        if sequence.call is None:
            sequence.call = self._stub.ModelStreamInfer()
        try:
            return await exchange(sequence.call, request)
        except grpc.aio.AioRpcError:
            sequence.call = None  # the stream is over; the sequence may go on in another
            raise

    def _after_error(self, sequence: _Open, step: SequenceStep, error: AntiphonError) -> AntiphonError:
        """What the caller hears. The sequence stays open only if the model certainly did not see the step."""
        sequence.step = None
        unseen = isinstance(error, InvalidInput | Overloaded) or never_ran(error)
        if unseen and not step.start:
            return error
        self._remove(sequence)
        lost = isinstance(error, Unavailable)
        if not lost:
            self._farewells.say(sequence.call, self._farewell(sequence, end=True))
        return sequence_lost(sequence.definition) if lost and not step.start else error

    def _remove(self, sequence: _Open) -> None:
        if self._open.pop(sequence.key, None) is not None:
            self._count[sequence.definition.id] -= 1
            self._changed.set()

    async def _farewell(self, sequence: _Open, *, end: bool) -> None:
        if sequence.step is not None:
            await asyncio.gather(sequence.step, return_exceptions=True)
        if end:
            await self._ask(sequence, _end_of(sequence))
        if sequence.call is not None:
            await finish(sequence.call)


def _end_of(sequence: _Open) -> Message:
    definition = sequence.definition
    request = infer_request(definition, sample_inputs(definition), definition.triton_name)
    mark_sequence(request, sequence.id, start=False, end=True)
    return request
