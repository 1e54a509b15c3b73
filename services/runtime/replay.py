"""What was said to open sequences so far, so that a sequence whose state is lost can be told all of it again.

`resilient.ResilientClient` keeps one `Replay` for each open sequence. Memory is bounded: of a sequence by steps and
bytes, of all together by bytes. Beyond a bound the oldest steps go; a repeat is then only approximately what it was,
which a recogniser's encoder forgives, as its state fades.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from services.runtime.errors import FailedPrecondition, InvalidInput, Overloaded
from services.runtime.inference import ModelDefinition, SequenceStep, Tensor
from services.runtime.sequences import IDLE

Inputs = Mapping[str, Tensor]

STEPS = 512
"""Of one sequence; `parameters.replay_steps` of a definition says otherwise, up to this."""


@dataclass(frozen=True, slots=True)
class ReplayLimits:
    """How much is kept.

    Attributes:
        steps: of one sequence.
        bytes: of one sequence.
        all_bytes: of all sequences together.
        sequences: open at once; a start beyond it is refused.
    """

    steps: int = STEPS
    bytes: int = 8 << 20
    all_bytes: int = 256 << 20
    sequences: int = 4096


@dataclass(slots=True, eq=False)
class Replay:
    """One open sequence.

    Attributes:
        home: whoever runs it; chosen by the client.
        unsure: a step's outcome is unknown, so its state cannot be gone on with.
        complete: nothing since its start was dropped.
    """

    home: int
    most: int
    used: float
    steps: deque[tuple[Inputs, int]] = field(default_factory=deque)
    size: int = 0
    busy: bool = False
    unsure: bool = False
    complete: bool = True

    def inputs(self) -> Sequence[Inputs]:
        """Of every step that is kept, from the oldest."""
        return [inputs for inputs, _ in self.steps]


class Replays:
    """The open sequences of a client, by model and id, the longest unused first.

    Args:
        clock: seconds, monotonic.
    """

    def __init__(self, clock: Callable[[], float], limits: ReplayLimits) -> None:
        self._clock = clock
        self._limits = limits
        self._open: OrderedDict[tuple[str, int], Replay] = OrderedDict()
        self._size = 0

    def __len__(self) -> int:
        return len(self._open)

    @property
    def size(self) -> int:
        """Bytes that are kept."""
        return self._size

    def start(self, definition: ModelDefinition, sequence: SequenceStep, home: int) -> Replay:
        """Forgets what was there under this id. Raises Overloaded."""
        self.sweep()
        self._refuse_busy(definition, sequence)
        self.drop(definition, sequence)
        if len(self._open) >= self._limits.sequences:
            raise Overloaded("Too many open sequences of stateful models.", retry_after=1.0)
        most = min(self._limits.steps, steps_of(definition))
        replay = self._open[definition.id, sequence.id] = Replay(home, most, self._clock())
        return replay

    def get(self, definition: ModelDefinition, sequence: SequenceStep) -> Replay:
        """Raises InvalidInput `SEQUENCE_UNKNOWN`, or `SEQUENCE_BUSY` while another call of it runs."""
        self.sweep()
        self._refuse_busy(definition, sequence)
        replay = self._open.get((definition.id, sequence.id))
        if replay is None:
            raise InvalidInput(
                f"Sequence {sequence.id} of model {definition.id} was not started, ended, or idle for {IDLE:.0f} s.",
                reason="SEQUENCE_UNKNOWN",
            )
        replay.used = self._clock()
        self._open.move_to_end((definition.id, sequence.id))
        return replay

    def add(self, replay: Replay, inputs: Inputs) -> None:
        """Notes a step that was answered. Copies it: arrays may be written to, or cut from larger ones."""
        copies = {name: value.copy() for name, value in inputs.items()}
        size = sum(value.nbytes for value in copies.values())
        replay.steps.append((copies, size))
        replay.size += size
        self._size += size
        while replay.steps and (
            len(replay.steps) > replay.most or replay.size > self._limits.bytes or self._size > self._limits.all_bytes
        ):
            _, gone = replay.steps.popleft()
            replay.size -= gone
            self._size -= gone
            replay.complete = False

    def drop(self, definition: ModelDefinition, sequence: SequenceStep) -> None:
        if replay := self._open.pop((definition.id, sequence.id), None):
            self._size -= replay.size

    def sweep(self) -> None:
        """Drops what was idle for too long."""
        oldest = self._clock() - IDLE
        while self._open:
            key, replay = next(iter(self._open.items()))
            if replay.used > oldest or replay.busy:
                break
            del self._open[key]
            self._size -= replay.size

    def _refuse_busy(self, definition: ModelDefinition, sequence: SequenceStep) -> None:
        replay = self._open.get((definition.id, sequence.id))
        if replay and replay.busy:
            raise InvalidInput(
                f"Another call of sequence {sequence.id} of model {definition.id} is still running.",
                reason="SEQUENCE_BUSY",
            )


def steps_of(definition: ModelDefinition) -> int:
    """How many steps its sequences are told again. Raises FailedPrecondition `MODEL_DEFINITION_INVALID`."""
    steps = definition.parameters.get("replay_steps", STEPS)
    if type(steps) is not int or steps < 0:
        raise FailedPrecondition(
            f"parameters.replay_steps of model {definition.id} is a whole number from 0 on.",
            reason="MODEL_DEFINITION_INVALID",
        )
    return steps
