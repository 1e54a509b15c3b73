"""States of open sequences: whose they are, how many there may be, and when they go."""

from __future__ import annotations

import asyncio
from pathlib import Path

import numpy as np
import pytest

from services.runtime.errors import InvalidInput, Overloaded
from services.runtime.inference import ModelDefinition, SequenceStep, StateSpec
from services.runtime.sequences import IDLE, IdleSweep, SequenceStates
from tests.fakes.virtual_time import run

pytestmark = pytest.mark.unit

STATES = (StateSpec("h", "h2", "float32", (1, 4)), StateSpec("count", "count2", "int64", (1,)))
TOY = ModelDefinition("test", "toy", "1", Path(), "", "", (), (), (), STATES)
SIZE = 4 * 4 + 8


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def step(sequences: SequenceStates, number: int, value: int = 1, *, start: bool = False, end: bool = False) -> float:
    """One call that adds `value` to both states; returns the new count."""
    sequence = SequenceStep(number, start, end)
    states = sequences.take(TOY, sequence)
    new = {"h2": states["h"] + np.float32(value), "count2": states["count"] + value}
    sequences.keep(TOY, sequence, new)
    return int(new["count2"][0])


def test_states_start_as_zeros_and_follow_their_sequence() -> None:
    sequences = SequenceStates()
    assert step(sequences, 1, start=True) == 1
    assert step(sequences, 2, 10, start=True) == 10
    assert step(sequences, 1) == 2
    assert step(sequences, 2, 10, end=True) == 20
    assert step(sequences, 1, start=True) == 1  # a start forgets
    assert sequences.size == SIZE


def test_end_frees_the_memory() -> None:
    sequences = SequenceStates()
    for number in range(1, 4):
        step(sequences, number, start=True)
    assert (len(sequences), sequences.size) == (3, 3 * SIZE)
    for number in range(1, 4):
        step(sequences, number, end=True)
    assert (len(sequences), sequences.size) == (0, 0)


def test_a_second_call_of_a_running_sequence_is_refused() -> None:
    sequences = SequenceStates()
    step(sequences, 1, start=True)
    sequences.take(TOY, SequenceStep(1))
    for again in (SequenceStep(1), SequenceStep(1, start=True)):
        with pytest.raises(InvalidInput) as caught:
            sequences.take(TOY, again)
        assert caught.value.reason == "SEQUENCE_BUSY"
    sequences.release(TOY, SequenceStep(1))
    assert step(sequences, 1) == 2


@pytest.mark.parametrize("how", [SequenceStep(1, start=True), SequenceStep(1, end=True)])
def test_a_first_or_last_call_that_did_not_run_leaves_nothing(how: SequenceStep) -> None:
    sequences = SequenceStates()
    step(sequences, 1, start=True)
    sequences.take(TOY, how)
    sequences.release(TOY, how)
    assert (len(sequences), sequences.size) == (0, 0)


def test_spoiled_sequence_is_over() -> None:
    sequences = SequenceStates()
    step(sequences, 1, start=True)
    sequences.take(TOY, SequenceStep(1))
    sequences.drop(TOY, SequenceStep(1))
    with pytest.raises(InvalidInput) as caught:
        step(sequences, 1)
    assert caught.value.reason == "SEQUENCE_UNKNOWN"


def test_idle_sequences_are_swept_by_age_and_used_ones_stay() -> None:
    clock = Clock()
    sequences = SequenceStates(clock=clock)
    step(sequences, 1, start=True)
    step(sequences, 2, start=True)
    clock.now += IDLE * 0.75
    step(sequences, 1)
    clock.now += IDLE * 0.75
    sequences.sweep()
    assert (len(sequences), sequences.size) == (1, SIZE)
    assert step(sequences, 1) == 3
    with pytest.raises(InvalidInput):
        step(sequences, 2)


def test_a_long_running_call_is_not_swept_away_under_it() -> None:
    clock = Clock()
    sequences = SequenceStates(clock=clock)
    step(sequences, 1, start=True)
    states = sequences.take(TOY, SequenceStep(1))
    clock.now += IDLE * 2
    sequences.sweep()
    sequences.keep(TOY, SequenceStep(1), {"h2": states["h"], "count2": states["count"] + 5})
    assert step(sequences, 1) == 7


@pytest.mark.parametrize("bounds", [{"most": 2}, {"most_bytes": 2 * SIZE}])
def test_a_start_beyond_the_bounds_is_refused_until_there_is_room(bounds: dict[str, int]) -> None:
    clock = Clock()
    sequences = SequenceStates(**bounds, clock=clock)
    step(sequences, 1, start=True)
    step(sequences, 2, start=True)
    with pytest.raises(Overloaded):
        step(sequences, 3, start=True)
    assert step(sequences, 1, start=True) == 1  # starting anew takes no more room
    clock.now += IDLE
    assert step(sequences, 3, start=True) == 1


def test_what_callers_left_goes_also_if_no_call_comes_any_more() -> None:
    async def scenario() -> None:
        states = SequenceStates(clock=asyncio.get_running_loop().time)
        sweep = IdleSweep(states)
        sweep.watch()  # nothing is there yet: no timer
        for number in (1, 2):
            step(states, number, start=True)
            sweep.watch()
            await asyncio.sleep(IDLE / 2)
        await asyncio.sleep(IDLE / 2)
        assert len(states) == 1
        await asyncio.sleep(IDLE)
        assert (len(states), states.size) == (0, 0)
        sweep.close()

    run(scenario())
