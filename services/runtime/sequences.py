"""Hidden states of open sequences in the embedded home of models.

`onnx.OnnxClient` takes the states of a call here and puts the new ones back. Callers may leave without an end and may
be hostile: the number of sequences and their bytes are bounded, idle ones are swept by age, and two calls of one
sequence at once are refused instead of one of them winning.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from services.runtime.errors import InvalidInput, Overloaded
from services.runtime.inference import ModelDefinition, SequenceStep, Tensor

IDLE = 60.0
"""Seconds after which a sequence may be dropped, as Triton's max_sequence_idle_microseconds."""

_Key = tuple[str, int]


@dataclass(slots=True)
class _Kept:
    used: float
    states: Mapping[str, Tensor] = field(default_factory=dict)  # by name of the input; empty before the first answer
    size: int = 0
    busy: bool = False


class SequenceStates:
    """States by model and sequence, the longest unused first.

    Args:
        most: sequences at once; a start beyond it is refused with Overloaded.
        most_bytes: of all their states together; a start beyond it is refused too.
        clock: seconds, monotonic.
    """

    def __init__(
        self, most: int = 4096, most_bytes: int = 2 << 30, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._most = most
        self._most_bytes = most_bytes
        self._clock = clock
        self._kept: OrderedDict[_Key, _Kept] = OrderedDict()
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._kept)

    @property
    def size(self) -> int:
        """Bytes of all states that are kept."""
        return self._bytes

    def take(self, definition: ModelDefinition, sequence: SequenceStep) -> Mapping[str, Tensor]:
        """The states that a call is fed with; `keep` or `release` must follow.

        Raises:
            InvalidInput: `SEQUENCE_UNKNOWN` if it was not started, `SEQUENCE_BUSY` while another call of it runs.
            Overloaded: no room for one more.
        """
        self.sweep()
        key = (definition.id, sequence.id)
        kept = self._kept.get(key)
        if kept and kept.busy:
            raise InvalidInput(
                f"Another call of sequence {sequence.id} of model {definition.id} is still running.",
                reason="SEQUENCE_BUSY",
            )
        if sequence.start:
            self._drop(key)
            kept = self._open(key, definition)
        if kept is None:
            raise InvalidInput(
                f"Sequence {sequence.id} of model {definition.id} was not started, ended, or idle for {IDLE:.0f} s.",
                reason="SEQUENCE_UNKNOWN",
            )
        kept.busy = True
        return kept.states

    def keep(self, definition: ModelDefinition, sequence: SequenceStep, outputs: Mapping[str, Tensor]) -> None:
        """After an answer: the new states take the place of the old, or all go if the sequence ends."""
        key = (definition.id, sequence.id)
        kept = self._kept.get(key)
        if sequence.end or kept is None:
            self._drop(key)
            return
        kept.states = {state.input: outputs[state.output] for state in definition.states}
        size = sum(value.nbytes for value in kept.states.values())
        self._bytes += size - kept.size
        kept.size, kept.busy, kept.used = size, False, self._clock()
        self._kept.move_to_end(key)

    def release(self, definition: ModelDefinition, sequence: SequenceStep) -> None:
        """After a call that did not run: the sequence stays as it was before it, so not there if it was the first."""
        key = (definition.id, sequence.id)
        if sequence.start or sequence.end:
            self._drop(key)
        elif kept := self._kept.get(key):
            kept.busy = False

    def drop(self, definition: ModelDefinition, sequence: SequenceStep) -> None:
        """After a call that spoiled its sequence."""
        self._drop((definition.id, sequence.id))

    def clear(self) -> None:
        self._kept.clear()
        self._bytes = 0

    def sweep(self) -> None:
        """Drops what was idle for too long. Cheap: they lie in order of their last use."""
        oldest = self._clock() - IDLE
        while self._kept:
            key, kept = next(iter(self._kept.items()))
            if kept.used > oldest:
                break
            if kept.busy:
                kept.used = self._clock()
                self._kept.move_to_end(key)
            else:
                self._drop(key)

    def _open(self, key: _Key, definition: ModelDefinition) -> _Kept:
        if len(self._kept) >= self._most or self._bytes >= self._most_bytes:
            raise Overloaded("Too many open sequences of stateful models.", retry_after=1.0)
        kept = self._kept[key] = _Kept(self._clock(), zeros(definition))
        kept.size = sum(value.nbytes for value in kept.states.values())
        self._bytes += kept.size
        return kept

    def _drop(self, key: _Key) -> None:
        if kept := self._kept.pop(key, None):
            self._bytes -= kept.size


class Swept(Protocol):
    """Holds what callers may leave behind."""

    def __len__(self) -> int: ...

    def sweep(self) -> None:
        """Drops what was idle for `IDLE`."""
        ...


class IdleSweep:
    """Has what callers have left go in time, also if no call comes any more: a timer runs while anything is held."""

    def __init__(self, swept: Swept) -> None:
        self._swept = swept
        self._timer: asyncio.TimerHandle | None = None
        self._closed = False

    def watch(self) -> None:
        """To be called after something was put there, in the event loop."""
        if self._timer is None and not self._closed and len(self._swept):
            self._timer = asyncio.get_running_loop().call_later(IDLE, self._look)

    def close(self) -> None:
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()

    def _look(self) -> None:
        self._timer = None
        self._swept.sweep()
        self.watch()


def zeros(definition: ModelDefinition) -> dict[str, Tensor]:
    """The states of a sequence before its first call, by name of the input."""
    return {state.input: np.zeros(state.shape, state.dtype) for state in definition.states}
