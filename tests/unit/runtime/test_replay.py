"""What is kept of open sequences, and what goes when it becomes too much."""

from __future__ import annotations

import numpy as np
import pytest

from services.runtime.errors import Overloaded
from services.runtime.inference import SequenceStep
from services.runtime.replay import ReplayLimits, Replays
from tests.fakes.model_clients import SUM

pytestmark = pytest.mark.unit

STEP = 400
"""Bytes of one."""


def step(value: float) -> dict[str, np.ndarray]:
    return {"x": np.full((1, STEP // 4), value, np.float32)}


def kept(replays: Replays, number: int, values: range) -> list[float]:
    """What is left of a sequence that was told these values."""
    replay = replays.start(SUM, SequenceStep(number, start=True), 0)
    for value in values:
        replays.add(replay, step(value))
    return [float(inputs["x"][0, 0]) for inputs in replay.inputs()]


def test_everything_is_kept_within_the_bounds() -> None:
    replays = Replays(lambda: 0.0, ReplayLimits())
    assert kept(replays, 1, range(100)) == list(range(100))
    assert replays.size == 100 * STEP
    replays.drop(SUM, SequenceStep(1))
    assert (len(replays), replays.size) == (0, 0)


@pytest.mark.parametrize(
    "limits", [ReplayLimits(steps=3), ReplayLimits(bytes=3 * STEP), ReplayLimits(all_bytes=3 * STEP)]
)
def test_the_oldest_steps_go_first_and_it_is_known(limits: ReplayLimits) -> None:
    replays = Replays(lambda: 0.0, limits)
    assert kept(replays, 1, range(10)) == [7, 8, 9]
    assert not replays.get(SUM, SequenceStep(1)).complete
    assert replays.size == 3 * STEP


def test_all_sequences_together_are_bounded() -> None:
    replays = Replays(lambda: 0.0, ReplayLimits(all_bytes=10 * STEP, sequences=100))
    for number in range(1, 31):
        kept(replays, number, range(4))
    assert replays.size <= 10 * STEP
    for number in range(31, 101):
        replays.start(SUM, SequenceStep(number, start=True), 0)
    with pytest.raises(Overloaded):
        replays.start(SUM, SequenceStep(101, start=True), 0)


def test_a_step_of_no_room_is_not_kept_at_all() -> None:
    replays = Replays(lambda: 0.0, ReplayLimits(bytes=STEP - 1))
    assert kept(replays, 1, range(3)) == []
    assert replays.size == 0


def test_what_is_kept_is_not_changed_by_who_said_it() -> None:
    replays = Replays(lambda: 0.0, ReplayLimits())
    replay = replays.start(SUM, SequenceStep(1, start=True), 0)
    said = step(1)
    replays.add(replay, said)
    said["x"][:] = 9
    assert replay.inputs()[0]["x"][0, 0] == 1
