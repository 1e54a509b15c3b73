"""Calls of different sessions share a run: who waits for whom, and that nobody pays for another's call."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import numpy as np
import pytest

from services.runtime.batcher import Batcher, Lanes
from services.runtime.errors import Internal, InvalidInput, Overloaded, Unavailable
from services.runtime.inference import Batching, ModelDefinition, StateSpec, TensorSpec
from tests.fakes.graph_runs import BAD, UNANSWERED, GraphRuns

pytestmark = pytest.mark.unit

FOREVER_MS = 60_000.0
"""A delay that would hang the test if anybody waited for it."""

Make = Callable[..., Batcher]


@pytest.fixture
def runs() -> GraphRuns:
    return GraphRuns()


@pytest.fixture
async def make(runs: GraphRuns) -> AsyncIterator[Make]:
    made = []

    def batcher(
        batching: Batching | None = None,
        *,
        lanes: int = 1,
        max_waiting: int = 100,
        states: tuple[StateSpec, ...] = (),
        shared: Lanes | None = None,
    ) -> Batcher:
        made.append(shared or Lanes(lanes, max_waiting))
        return Batcher(toy(batching, states), runs, made[-1])

    yield batcher
    runs.gate.set()
    for lanes in made:
        await lanes.close()


def toy(batching: Batching | None, states: tuple[StateSpec, ...]) -> ModelDefinition:
    tensor = (TensorSpec("x", "float32", (None, None)),)
    answer = (TensorSpec("y", "float32", (None, None)),)
    return ModelDefinition("test", "toy", "1", Path(), "", "", (), tensor, answer, states, batching)


def number(value: float, width: int = 1, rows: int = 1) -> dict[str, np.ndarray]:
    return {"x": np.full((rows, width), value, np.float32)}


async def held(batcher: Batcher, runs: GraphRuns, *feeds: dict[str, np.ndarray]) -> list[asyncio.Task[float]]:
    """Calls that came while the model's only lane was taken; the first is the one that took it."""
    runs.gate.clear()

    async def one(own: dict[str, np.ndarray]) -> float:
        return float((await batcher.call(own))["y"].sum())

    tasks = [asyncio.create_task(one(number(0)))]
    await runs.begun(1)
    tasks += [asyncio.create_task(one(own)) for own in feeds]
    await asyncio.sleep(0.01)
    return tasks


async def test_lone_call_on_an_idle_model_does_not_wait(make: Make, runs: GraphRuns) -> None:
    batcher = make(Batching(8, FOREVER_MS))
    async with asyncio.timeout(5):
        assert (await batcher.call(number(3)))["y"] == 6
        assert (await batcher.call(number(4)))["y"] == 8
    assert runs.rows == [1, 1]
    assert batcher.stats.held == 0


async def test_calls_of_one_instant_share_a_run(make: Make, runs: GraphRuns) -> None:
    batcher = make(Batching(8, FOREVER_MS))
    answers = await asyncio.gather(*(batcher.call(number(value)) for value in range(5)))
    assert [float(answer["y"][0, 0]) for answer in answers] == [0, 2, 4, 6, 8]
    assert runs.rows == [5]
    assert batcher.stats.merged == 5


async def test_what_gathers_behind_a_run_is_merged_up_to_the_size(make: Make, runs: GraphRuns) -> None:
    batcher = make(Batching(3, FOREVER_MS))
    tasks = await held(batcher, runs, *(number(value) for value in range(1, 6)))
    runs.gate.set()
    assert await asyncio.gather(*tasks) == [0, 2, 4, 6, 8, 10]
    assert runs.rows == [1, 3, 2]


async def test_rows_count_not_calls(make: Make, runs: GraphRuns) -> None:
    batcher = make(Batching(4, FOREVER_MS))
    tasks = await held(batcher, runs, number(1, rows=3), number(1, rows=2), number(1), number(1, rows=9))
    runs.gate.set()
    assert await asyncio.gather(*tasks) == [0, 6, 4, 2, 18]
    assert runs.rows == [1, 4, 2, 9]


async def test_other_shapes_are_not_merged_and_not_starved(make: Make, runs: GraphRuns) -> None:
    batcher = make(Batching(8, FOREVER_MS))
    tasks = await held(batcher, runs, number(1, width=2), number(1), number(2, width=2), number(2))
    runs.gate.set()
    assert await asyncio.gather(*tasks) == [0, 4, 2, 8, 4]
    assert runs.rows == [1, 2, 2]


async def test_without_batching_calls_run_one_by_one(make: Make, runs: GraphRuns) -> None:
    batcher = make(None)
    assert len(await asyncio.gather(*(batcher.call(number(1, rows=2)) for _ in range(3)))) == 3
    assert runs.rows == [2, 2, 2]
    assert batcher.stats.merged == 0


async def test_beside_a_run_a_call_waits_for_its_delay_at_most(make: Make, runs: GraphRuns) -> None:
    batcher = make(Batching(8, 30.0), lanes=2)
    tasks = await held(batcher, runs, number(1))
    assert runs.rows == [1]
    await runs.begun(2)  # the gate is still shut: nothing but the delay can have started it
    assert batcher.stats.held == 1
    runs.gate.set()
    assert await asyncio.gather(*tasks) == [0, 2]


async def test_a_full_batch_beside_a_run_does_not_wait(make: Make, runs: GraphRuns) -> None:
    batcher = make(Batching(2, FOREVER_MS), lanes=2)
    tasks = await held(batcher, runs, number(1), number(2))
    await runs.begun(2)
    runs.gate.set()
    assert await asyncio.gather(*tasks) == [0, 2, 4]
    assert runs.rows == [1, 2]


async def test_who_waits_beside_a_run_goes_when_it_ends(make: Make, runs: GraphRuns) -> None:
    batcher = make(Batching(8, FOREVER_MS), lanes=2)
    tasks = await held(batcher, runs, number(1))
    runs.gate.set()
    async with asyncio.timeout(5):
        assert await asyncio.gather(*tasks) == [0, 2]


@pytest.mark.parametrize(("poison", "runs_needed"), [(BAD, [1, 3, 1, 1, 1]), (UNANSWERED, [1, 3])])
async def test_a_bad_call_harms_only_itself(make: Make, runs: GraphRuns, poison: float, runs_needed: list[int]) -> None:
    batcher = make(Batching(8, FOREVER_MS))
    tasks = await held(batcher, runs, number(1), number(poison), number(3))
    runs.gate.set()
    first, second, third, fourth = await asyncio.gather(*tasks, return_exceptions=True)
    assert (first, second, fourth) == (0, 2, 6)
    assert isinstance(third, Internal)
    assert third.reason == "MODEL_FAILED"
    assert runs.rows == runs_needed


async def test_a_graph_that_mixes_rows_up_is_run_call_by_call(make: Make, runs: GraphRuns) -> None:
    runs.forgets_rows = True
    batcher = make(Batching(8, FOREVER_MS))
    answers = await asyncio.gather(*(batcher.call(number(value)) for value in (1, 2)))
    assert [float(answer["y"][0, 0]) for answer in answers] == [2, 4]
    assert runs.rows == [2, 1, 1]


async def test_inputs_of_different_rows_are_refused(make: Make, runs: GraphRuns) -> None:
    batcher = make(Batching(8, 1.0), states=(StateSpec("h", "h2", "float32", (1, 1), batch_axis=1),))
    with pytest.raises(InvalidInput) as caught:
        await batcher.call({**number(1, rows=2), "h": np.zeros((1, 1), np.float32)})
    assert caught.value.reason == "TENSOR_MISMATCH"
    assert runs.rows == []


async def test_states_are_laid_side_by_side_along_their_own_axis(make: Make, runs: GraphRuns) -> None:
    batcher = make(Batching(8, 1.0), states=(StateSpec("h", "h2", "float32", (1, 1), batch_axis=1),))
    feeds = [{**number(value), "h": np.full((1, 1), value * 10, np.float32)} for value in (1, 2, 3)]
    answers = await asyncio.gather(*(batcher.call(own) for own in feeds))
    assert [float(answer["h2"][0, 0]) for answer in answers] == [11, 22, 33]
    assert runs.rows == [3]
    assert all(answer["h2"].base is None for answer in answers)  # no answer keeps the batch of others alive


async def test_calls_given_up_before_their_run_are_not_run(make: Make, runs: GraphRuns) -> None:
    batcher = make(Batching(8, FOREVER_MS))
    tasks = await held(batcher, runs, number(1), number(2))
    tasks[1].cancel()
    await asyncio.wait([tasks[1]])
    runs.gate.set()
    assert await tasks[2] == 4
    assert runs.rows == [1, 1]
    assert runs.stopped == 0


async def test_a_run_is_stopped_only_when_all_its_callers_are_gone(make: Make, runs: GraphRuns) -> None:
    batcher = make(Batching(8, FOREVER_MS))
    runs.gate.clear()
    tasks = [asyncio.create_task(batcher.call(number(value))) for value in (1, 2)]
    await runs.begun(1)
    assert runs.rows == [2]
    for task, stopped in zip(tasks, (0, 1), strict=True):
        task.cancel()
        await asyncio.wait([task])
        assert runs.stopped == stopped
    runs.gate.set()


async def test_places_bound_what_waits_and_come_back(make: Make, runs: GraphRuns) -> None:
    batcher = make(Batching(8, FOREVER_MS), max_waiting=2)
    tasks = await held(batcher, runs, number(1), number(2))
    with pytest.raises(Overloaded) as caught:
        await batcher.call(number(3))
    assert caught.value.retry_after
    tasks[1].cancel()
    await asyncio.wait([tasks[1]])
    tasks.append(asyncio.create_task(batcher.call(number(4))))  # type: ignore[arg-type]
    runs.gate.set()
    await asyncio.wait(tasks)
    assert (await asyncio.gather(*(batcher.call(number(5)) for _ in range(3))))[0]["y"] == 10


async def test_models_take_turns_on_a_shared_lane(make: Make, runs: GraphRuns) -> None:
    lanes = Lanes(1, 100)
    busy, other = (make(Batching(1, FOREVER_MS), shared=lanes) for _ in range(2))
    tasks = await held(busy, runs, *(number(1) for _ in range(8)))
    late = asyncio.create_task(other.call(number(1, width=3)))
    await asyncio.sleep(0.01)
    runs.gate.set()
    await late
    assert sum(task.done() for task in tasks) <= 3
    await asyncio.gather(*tasks)


async def test_calls_go_on_gathering_while_another_model_has_the_lane(make: Make, runs: GraphRuns) -> None:
    lanes = Lanes(1, 100)
    busy, other = make(None, shared=lanes), make(Batching(8, 0.0), shared=lanes)
    tasks = await held(busy, runs)
    late = []
    for value in (1, 2, 3):
        late.append(asyncio.create_task(other.call(number(value))))
        await asyncio.sleep(0.005)
    runs.gate.set()
    await asyncio.gather(*tasks, *late)
    assert runs.rows == [1, 3]


async def test_close_answers_what_runs_and_refuses_what_waits(make: Make, runs: GraphRuns) -> None:
    lanes = Lanes(1, 100)
    batcher = make(Batching(8, FOREVER_MS), shared=lanes)
    running, waiting = await held(batcher, runs, number(1))
    batcher.close()
    closing = asyncio.create_task(lanes.close())
    await asyncio.wait([waiting])
    assert isinstance(waiting.exception(), Unavailable)
    runs.gate.set()
    await closing
    assert await running == 0
    with pytest.raises(Unavailable):
        await batcher.call(number(2))
