"""A server that fails beside a fallback: sequences go on, circuits open and close, deadlines hold."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

import numpy as np
import pytest

from services.runtime.errors import (
    AntiphonError,
    DeadlineExceeded,
    FailedPrecondition,
    Internal,
    InvalidInput,
    Overloaded,
    Unavailable,
)
from services.runtime.inference import SequenceStep
from services.runtime.resilient import PATIENCE, ResilientClient
from services.runtime.sequences import IDLE
from tests.fakes.model_clients import DOUBLE, ODD, SHORT, SUM, SummingHome, full, gone, lost
from tests.fakes.virtual_time import now, run

pytestmark = pytest.mark.unit

WITHIN = 5.0
"""Seconds in which a healthy server is used again."""

Scenario = Callable[[ResilientClient, SummingHome, SummingHome], Awaitable[None]]


def play(scenario: Scenario, *, fallback: bool = True) -> None:
    """In virtual time, with a server and a replica as homes."""

    async def whole() -> None:
        server, replica = SummingHome("triton"), SummingHome("embedded")
        client = ResilientClient(server, replica if fallback else None)
        try:
            await scenario(client, server, replica)
        finally:
            await client.close()
            assert server.closed
            assert replica.closed is fallback

    run(whole())


def x(value: float) -> dict[str, np.ndarray]:
    return {"x": np.full((1, 1), value, np.float32)}


async def say(
    client: ResilientClient,
    value: float,
    number: int = 1,
    *,
    start: bool = False,
    end: bool = False,
    model: str = SUM.id,
    deadline: float | None = None,
) -> float:
    answer = await client.infer(model, x(value), sequence=SequenceStep(number, start, end), deadline=deadline)
    return float(answer["y"][0, 0])


async def double(client: ResilientClient, value: float, deadline: float | None = None) -> float:
    return float((await client.infer(DOUBLE.id, x(value), deadline=deadline))["y"][0, 0])


async def refused(call: Awaitable[object]) -> AntiphonError:
    with pytest.raises(AntiphonError) as caught:
        await call
    return caught.value


def test_a_healthy_server_does_all_the_work() -> None:
    async def scenario(client: ResilientClient, server: SummingHome, replica: SummingHome) -> None:
        await client.load(SUM.id)
        assert [await say(client, 1, start=True), await say(client, 2), await say(client, 3, end=True)] == [1, 3, 6]
        assert await double(client, 4) == 8
        assert client.backend(SUM.id) == "triton"
        assert replica.calls == []
        assert (server.loads, replica.loads) == (1, 1)

    play(scenario)


def test_stateless_call_is_answered_by_the_fallback_and_the_next_does_not_ask_the_dead() -> None:
    async def scenario(client: ResilientClient, server: SummingHome, replica: SummingHome) -> None:
        server.trouble = gone()
        assert await double(client, 4) == 8
        server.trouble = None  # whoever asked it would get an answer
        assert await double(client, 5) == 10
        assert server.calls == []
        assert client.backend(DOUBLE.id) == "embedded"

    play(scenario)


@pytest.mark.parametrize("trouble", [gone, lost], ids=["server gone", "state lost there"])
@pytest.mark.parametrize("at", [0, 1, 4], ids=["at its start", "after one step", "in the middle"])
def test_sequence_goes_on_as_if_nothing_had_been(trouble: Callable[[], Unavailable], at: int) -> None:
    async def scenario(client: ResilientClient, server: SummingHome, replica: SummingHome) -> None:
        sums = []
        for step in range(6):
            if step == at:
                server.trouble, server.sums = trouble(), {}
            sums.append(await say(client, step + 1, start=step == 0, end=step == 5))
        assert sums == [1, 3, 6, 10, 15, 21]
        assert [value for _, _, value in replica.calls] == [1, 2, 3, 4, 5, 6]

    play(scenario)


def test_lost_state_of_a_healthy_server_is_told_again_there() -> None:
    async def scenario(client: ResilientClient, server: SummingHome, replica: SummingHome) -> None:
        await say(client, 1, start=True)
        await say(client, 2)
        server.sums.clear()
        assert await say(client, 3) == 6
        assert await say(client, 4, end=True) == 10
        assert replica.calls == []
        assert client.backend(SUM.id) == "triton"

    play(scenario)


def test_one_models_trouble_is_not_the_others() -> None:
    async def scenario(client: ResilientClient, server: SummingHome, replica: SummingHome) -> None:
        assert await double(client, 1) == 2
        server.trouble = Unavailable("Its process died.", reason="MODEL_UNHEALTHY")
        await say(client, 1, start=True)
        assert (client.backend(SUM.id), client.backend(DOUBLE.id)) == ("embedded", "triton")

    play(scenario)


def test_dead_process_of_a_model_is_loaded_anew_and_nothing_else_is() -> None:
    async def scenario(client: ResilientClient, server: SummingHome, replica: SummingHome) -> None:
        server.trouble = Unavailable("Its process died.", reason="MODEL_UNHEALTHY")
        assert await double(client, 1) == 2
        await asyncio.sleep(WITHIN)
        assert client.backend(DOUBLE.id) == "triton"
        assert server.revived == 1
        server.trouble = gone()
        assert await double(client, 1) == 2
        await asyncio.sleep(WITHIN)
        assert server.revived == 1

    play(scenario)


def test_a_server_that_is_gone_costs_the_other_models_nothing() -> None:
    async def scenario(client: ResilientClient, server: SummingHome, replica: SummingHome) -> None:
        assert await double(client, 1) == 2
        server.trouble = gone()
        await say(client, 1, start=True)
        assert client.backend(DOUBLE.id) == "embedded"

    play(scenario)


def test_back_on_the_server_within_seconds_and_open_sequences_stay() -> None:
    async def scenario(client: ResilientClient, server: SummingHome, replica: SummingHome) -> None:
        server.trouble = gone()
        await say(client, 1, start=True)
        await asyncio.sleep(IDLE - 10)
        await say(client, 1)
        assert server.probes == pytest.approx(IDLE - 10, abs=5)
        server.trouble = None
        await asyncio.sleep(WITHIN)
        assert client.backend(SUM.id) == "triton"
        assert server.calls == []  # only probes told that it is back
        assert await say(client, 1, 2, start=True) == 1
        assert await say(client, 1) == 3
        assert [number for _, number, _ in server.calls] == [2]
        probes = server.probes
        await asyncio.sleep(60)
        assert server.probes == probes  # a healthy server is left alone

    play(scenario)


def test_silent_server_costs_each_call_its_patience_once() -> None:
    async def scenario(client: ResilientClient, server: SummingHome, replica: SummingHome) -> None:
        server.silent = True
        began = now()
        assert await double(client, 1) == 2
        assert now() - began <= PATIENCE + 0.1
        began = now()
        for _ in range(5):
            assert await double(client, 1, deadline=0.5) == 2
        assert now() - began < 0.1

    play(scenario)


def test_of_many_open_sequences_only_one_waits_for_a_silent_server() -> None:
    async def scenario(client: ResilientClient, server: SummingHome, replica: SummingHome) -> None:
        for number in range(1, 9):
            await say(client, number, number, start=True)
        server.silent = True
        assert await say(client, 1, 1) == 2
        began = now()
        assert [await say(client, 1, number) for number in range(2, 9)] == list(range(3, 10))
        assert now() - began < 0.1

    play(scenario)


def test_reload_lets_open_sequences_end_where_they_are() -> None:
    async def scenario(client: ResilientClient, server: SummingHome, replica: SummingHome) -> None:
        await say(client, 1, start=True)
        server.trouble = Unavailable("It is being loaded anew.", reason="MODEL_RELOADING", retry_after=1.0)
        assert await say(client, 5, 2, start=True) == 5
        server.trouble = None
        assert await say(client, 2, end=True) == 3
        assert [(number, value) for _, number, value in server.calls] == [(1, 1), (1, 2)]
        assert server.probes == 0

    play(scenario)


def test_calls_in_a_hurry_find_out_too_that_the_server_is_silent() -> None:
    async def scenario(client: ResilientClient, server: SummingHome, replica: SummingHome) -> None:
        server.silent = True
        assert isinstance(await refused(double(client, 1, deadline=0.3)), DeadlineExceeded)
        await asyncio.sleep(WITHIN)
        assert await double(client, 1, deadline=0.3) == 2

    play(scenario)


def test_slow_call_of_a_healthy_server_does_not_open_the_circuit() -> None:
    async def scenario(client: ResilientClient, server: SummingHome, replica: SummingHome) -> None:
        server.silent = True
        call = asyncio.create_task(refused(double(client, 1, deadline=0.3)))
        await asyncio.sleep(0.1)
        server.silent = False  # it answers all but that one
        assert isinstance(await call, DeadlineExceeded)
        await asyncio.sleep(1.0)
        assert client.backend(DOUBLE.id) == "triton"
        assert server.probes == 1

    play(scenario)


def test_deadline_holds_through_a_repeat() -> None:
    async def scenario(client: ResilientClient, server: SummingHome, replica: SummingHome) -> None:
        await say(client, 1, start=True)
        server.trouble, replica.silent = gone(), True
        began = now()
        assert isinstance(await refused(say(client, 2, deadline=0.7)), DeadlineExceeded)
        assert now() - began == pytest.approx(0.7, abs=0.01)
        replica.silent = False
        assert await say(client, 2) == 3  # the call that ran out of time is not part of it

    play(scenario)


def test_without_fallback_calls_are_refused_with_a_time_to_come_again() -> None:
    async def scenario(client: ResilientClient, server: SummingHome, replica: SummingHome) -> None:
        await say(client, 1, start=True)
        server.trouble = gone()
        for call in (double(client, 1), say(client, 2), say(client, 1, 2, start=True)):
            error = await refused(call)
            assert isinstance(error, Unavailable)
            assert error.reason == "MODEL_SERVER_UNAVAILABLE"
            assert error.retry_after
        assert client.backend(SUM.id) == "triton"
        server.trouble, server.sums = None, {}
        await asyncio.sleep(WITHIN)
        assert await say(client, 2) == 3  # the user's sequence outlives the outage
        assert await double(client, 2) == 4

    play(scenario, fallback=False)


def test_load_needs_the_server_only_where_there_is_no_fallback() -> None:
    async def with_fallback(client: ResilientClient, server: SummingHome, replica: SummingHome) -> None:
        server.trouble = gone()
        assert (await client.load(SUM.id)).id == SUM.id
        assert client.backend(SUM.id) == "embedded"
        server.trouble, server.silent = None, True
        await client.load(DOUBLE.id)

    async def without(client: ResilientClient, server: SummingHome, replica: SummingHome) -> None:
        server.trouble = gone()
        assert isinstance(await refused(client.load(SUM.id)), Unavailable)

    async def other_file(client: ResilientClient, server: SummingHome, replica: SummingHome) -> None:
        server.trouble = FailedPrecondition("It has another file.", reason="MODEL_DIGEST_MISMATCH")
        assert (await refused(client.load(SUM.id))).reason == "MODEL_DIGEST_MISMATCH"

    play(with_fallback)
    play(without, fallback=False)
    play(other_file)


def test_server_that_came_back_with_another_model_is_not_used() -> None:
    async def scenario(client: ResilientClient, server: SummingHome, replica: SummingHome) -> None:
        server.trouble = FailedPrecondition("It has another file.", reason="MODEL_DIGEST_MISMATCH")
        assert await double(client, 1) == 2
        await asyncio.sleep(WITHIN)
        assert client.backend(DOUBLE.id) == "embedded"

    play(scenario)


@pytest.mark.parametrize("trouble", [full(), InvalidInput("No.", reason="TENSOR_MISMATCH"), Internal("It failed.")])
def test_errors_that_are_an_answer_go_to_the_caller(trouble: AntiphonError) -> None:
    async def scenario(client: ResilientClient, server: SummingHome, replica: SummingHome) -> None:
        server.trouble = trouble
        assert await refused(double(client, 1)) is trouble
        assert await refused(say(client, 1, start=True)) is trouble
        server.trouble = None
        assert client.backend(DOUBLE.id) == "triton"
        assert replica.calls == []
        assert (await refused(say(client, 1))).reason == "SEQUENCE_UNKNOWN"

    play(scenario)


def test_full_queue_leaves_an_open_sequence_as_it_was() -> None:
    async def scenario(client: ResilientClient, server: SummingHome, replica: SummingHome) -> None:
        await say(client, 1, start=True)
        server.trouble = full()
        assert isinstance(await refused(say(client, 2)), Overloaded)
        server.trouble = None
        assert await say(client, 2) == 3
        assert [value for _, _, value in server.calls] == [1, 2]

    play(scenario)


def test_step_whose_caller_left_is_not_counted_twice() -> None:
    async def scenario(client: ResilientClient, server: SummingHome, replica: SummingHome) -> None:
        await say(client, 1, start=True)
        server.silent = True
        call = asyncio.create_task(say(client, 2))
        await asyncio.sleep(0.1)
        call.cancel()
        await asyncio.wait([call])
        server.silent = False
        server.sums[SUM.id, 1] += 2  # it ran all the same
        assert await say(client, 2) == 3

    play(scenario)


def test_calls_of_one_sequence_come_one_after_the_other() -> None:
    async def scenario(client: ResilientClient, server: SummingHome, replica: SummingHome) -> None:
        await say(client, 1, start=True)
        first, second = await asyncio.gather(say(client, 2), say(client, 2), return_exceptions=True)
        assert first == 3
        assert isinstance(second, InvalidInput)
        assert second.reason == "SEQUENCE_BUSY"

    play(scenario)


def test_idle_sequences_are_forgotten() -> None:
    async def scenario(client: ResilientClient, server: SummingHome, replica: SummingHome) -> None:
        await say(client, 1, start=True)
        await asyncio.sleep(IDLE + 1)
        assert (await refused(say(client, 2))).reason == "SEQUENCE_UNKNOWN"

    play(scenario)


def test_bounded_repeat_tells_the_newest_steps(caplog: pytest.LogCaptureFixture) -> None:
    async def scenario(client: ResilientClient, server: SummingHome, replica: SummingHome) -> None:
        for step in range(5):
            await say(client, 10**step, start=step == 0, model=SHORT.id)
        server.trouble = gone()
        assert await say(client, 7, model=SHORT.id) == 11_007
        assert await say(client, 7, model=SHORT.id) == 11_014

    with caplog.at_level(logging.INFO):
        play(scenario)
    assert "after 2 repeated steps, its oldest ones were no longer there" in caplog.text


def test_stream_goes_on_where_it_broke_off() -> None:
    async def scenario(client: ResilientClient, server: SummingHome, replica: SummingHome) -> None:
        server.trouble, server.pieces = gone(), 2
        whole = {"x": np.array([[1, 2, 3, 4]], np.float32)}
        sums = [float(piece["y"][0, 0]) async for piece in client.stream(SUM.id, whole, deadline=5)]
        assert sums == [1, 3, 6, 10]
        assert client.backend(SUM.id) == "embedded"

    play(scenario)


def test_silent_stream_goes_on_elsewhere_and_without_fallback_is_refused() -> None:
    whole = {"x": np.array([[1, 2, 3]], np.float32)}

    async def scenario(client: ResilientClient, server: SummingHome, replica: SummingHome) -> None:
        server.silent, server.pieces = True, 1
        assert [float(piece["y"][0, 0]) async for piece in client.stream(SUM.id, whole)] == [1, 3, 6]

    async def alone(client: ResilientClient, server: SummingHome, replica: SummingHome) -> None:
        server.trouble = gone()
        assert (await refused(anext(client.stream(SUM.id, whole)))).reason == "MODEL_SERVER_UNAVAILABLE"

    play(scenario)
    play(alone, fallback=False)


def test_each_change_of_home_is_logged_once_without_content(caplog: pytest.LogCaptureFixture) -> None:
    async def scenario(client: ResilientClient, server: SummingHome, replica: SummingHome) -> None:
        server.trouble = gone()
        for _ in range(3):
            await double(client, 12345)
        server.trouble = None
        await asyncio.sleep(WITHIN)

    with caplog.at_level(logging.INFO):
        play(scenario)
    assert [record.levelname for record in caplog.records] == ["WARNING", "INFO"]
    assert "SERVER_UNREACHABLE" in caplog.text
    assert "12345" not in caplog.text


def test_probe_that_breaks_does_not_keep_the_server_away_for_ever(caplog: pytest.LogCaptureFixture) -> None:
    async def scenario(client: ResilientClient, server: SummingHome, replica: SummingHome) -> None:
        server.trouble, server.probe_breaks = gone(), True
        assert await double(client, 1) == 2
        server.trouble = None
        await asyncio.sleep(WITHIN)
        assert await double(client, 2) == 4
        assert server.calls == [(DOUBLE.id, 0, 2)]

    play(scenario)
    assert "ZeroDivisionError" in caplog.text


def test_definition_that_names_no_number_of_steps_does_not_load() -> None:
    async def scenario(client: ResilientClient, server: SummingHome, replica: SummingHome) -> None:
        assert (await refused(client.load(ODD.id))).reason == "MODEL_DEFINITION_INVALID"
        assert (await refused(say(client, 1, start=True, model=ODD.id))).reason == "MODEL_DEFINITION_INVALID"

    play(scenario)
