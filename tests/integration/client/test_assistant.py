"""The client over a real channel: conversations, resumes after a lost connection, identity."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import grpc
import pytest

from antiphon.arbitration.v1 import assistant_pb2, assistant_pb2_grpc
from antiphon.client import Assistant, NluClient
from antiphon.errors import AntiphonApiError
from antiphon.recordings import Recording, linear16, paced
from antiphon.retries import RetryPolicy
from services.runtime.platform import PlatformSettings, PoolSettings
from services.runtime.server import GrpcPlatform
from tests.fakes.breaking_front import BreakingFront
from tests.fakes.counting_assistant import SPEC

pytestmark = pytest.mark.integration

QUICK = RetryPolicy(first_delay_s=0.01)
RECORDING = Recording(bytes(range(256)) * 250, 16000)  # two seconds


def settings(**more: object) -> PlatformSettings:
    pools = (PoolSettings("front", "arbitration", limits=more.pop("limits", {})),)  # type: ignore[arg-type]
    return PlatformSettings(port=0, pool_port=0, pools=pools, **more)  # type: ignore[arg-type]


@pytest.fixture
async def platform() -> AsyncIterator[GrpcPlatform]:
    async with GrpcPlatform(settings(), {"arbitration": SPEC}) as running:
        yield running


def answers(events: list[assistant_pb2.ConverseResponse]) -> list[str]:
    return [event.turn_completed.answer for event in events if event.HasField("turn_completed")]


async def test_a_typed_turn(platform: GrpcPlatform) -> None:
    async with Assistant(platform.target) as assistant:
        events = [event async for event in assistant.converse("hello")]
    assert answers(events) == ["you sent hello"]
    assert [event.sequence_number for event in events] == list(range(1, len(events) + 1))


async def test_a_spoken_turn(platform: GrpcPlatform) -> None:
    async with Assistant(platform.target) as assistant:
        events = [event async for event in assistant.converse(paced(RECORDING, speed=0))]
    assert answers(events) == ["you sent 2000 ms of audio"]


async def test_several_turns_on_one_stream(platform: GrpcPlatform) -> None:
    async def source() -> AsyncIterator[str]:
        yield "one"
        yield "two"

    async with Assistant(platform.target) as assistant:
        events = [event async for event in assistant.converse(source())]
    assert answers(events) == ["you sent one", "you sent two"]


@pytest.mark.parametrize("code", [grpc.StatusCode.INTERNAL, grpc.StatusCode.CANCELLED, grpc.StatusCode.UNAVAILABLE])
async def test_a_lost_connection_is_resumed_and_nothing_is_lost(platform: GrpcPlatform, code: grpc.StatusCode) -> None:
    async with (
        BreakingFront(platform.target, after_messages=8, code=code) as front,
        Assistant(front.target, retry=QUICK) as assistant,
    ):
        events = [event async for event in assistant.converse(paced(RECORDING, speed=0))]
        assert front.calls == 2
    assert answers(events) == ["you sent 2000 ms of audio"]
    numbers = [event.sequence_number for event in events]
    assert numbers == sorted(set(numbers))


async def test_a_lost_connection_before_the_first_event_begins_anew(platform: GrpcPlatform) -> None:
    async with (
        BreakingFront(platform.target, after_messages=0, code=grpc.StatusCode.INTERNAL) as front,
        Assistant(front.target, retry=QUICK) as assistant,
    ):
        events = [event async for event in assistant.converse(paced(RECORDING, speed=0))]
        assert front.calls == 2
    assert answers(events) == ["you sent 2000 ms of audio"]


async def test_a_full_replica_is_tried_again_when_it_says_so() -> None:
    async with (
        GrpcPlatform(settings(limits={"max_sessions": 1}), {"arbitration": SPEC}) as platform,
        Assistant(platform.target) as first,
        Assistant(platform.target, retry=RetryPolicy(attempts=1)) as second,
        Assistant(platform.target) as third,
    ):
        release = asyncio.Event()

        async def slow() -> AsyncIterator[str]:
            yield "one"
            await release.wait()

        events = first.converse(slow())
        await anext(events)
        with pytest.raises(AntiphonApiError) as refused:
            _ = [event async for event in second.converse("two")]
        assert refused.value.code is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert refused.value.retry_after is not None
        waiting = asyncio.create_task(_collect(third, "three"))
        await asyncio.sleep(0.3)
        release.set()
        _ = [event async for event in events]
        assert answers(await waiting) == ["you sent three"]


async def test_a_refusal_keeps_its_details_while_audio_goes_on() -> None:
    async def endless() -> AsyncIterator[bytes]:
        while True:
            await asyncio.sleep(0)
            yield bytes(320)

    async with (
        GrpcPlatform(settings(limits={"max_sessions": 1}), {"arbitration": SPEC}) as platform,
        Assistant(platform.target) as first,
        Assistant(platform.target, retry=RetryPolicy(attempts=1)) as second,
    ):
        events = first.converse(endless())
        await anext(events)
        for _ in range(20):
            with pytest.raises(AntiphonApiError) as refused:
                _ = [event async for event in second.converse(endless())]
            assert refused.value.reason == "OVERLOADED"
        await events.aclose()


async def _collect(assistant: Assistant, text: str) -> list[assistant_pb2.ConverseResponse]:
    return [event async for event in assistant.converse(text)]


async def test_bad_input_is_named_and_not_repeated(platform: GrpcPlatform) -> None:
    async with Assistant(platform.target) as assistant:
        stub = assistant_pb2_grpc.AssistantServiceStub(assistant.channel)

        async def requests() -> AsyncIterator[assistant_pb2.ConverseRequest]:
            yield assistant_pb2.ConverseRequest(audio=b"\0\0")

        with pytest.raises(AntiphonApiError) as refused:
            _ = [event async for event in assistant.exchange(stub.Converse, requests())]
    assert refused.value.code is grpc.StatusCode.INVALID_ARGUMENT
    assert refused.value.reason == "CONFIG_MISSING"
    assert refused.value.field == "config"
    assert not refused.value.retryable


async def test_another_tenants_conversation_is_not_found(tmp_path: Path) -> None:
    keys = tmp_path / "keys.json"
    keys.write_text(json.dumps({"one": {"tenant": "first"}, "two": {"tenant": "second"}}))
    async with (
        GrpcPlatform(settings(api_keys=str(keys)), {"arbitration": SPEC}) as platform,
        Assistant(platform.target, api_key="one") as mine,
        Assistant(platform.target, api_key="two") as theirs,
        Assistant(platform.target) as nobody,
    ):
        events = [event async for event in mine.converse("hello")]
        config = assistant_pb2.ConverseConfig(resume_token=events[0].session_started.resume_token)
        config.input_format.CopyFrom(linear16(16000))
        assert answers([e async for e in mine.converse("again", config=config)]) == ["you sent again"]
        with pytest.raises(AntiphonApiError) as unauthenticated:
            _ = [event async for event in nobody.converse("hello")]
        assert unauthenticated.value.code is grpc.StatusCode.UNAUTHENTICATED
        # The client begins anew where nothing is lost by it: another tenant's token opens nothing.
        fresh = [event async for event in theirs.converse("hello", config=config)]
        assert not fresh[0].session_started.resumed
        assert fresh[0].session_started.resume_token != config.resume_token


async def test_nobody_there_is_said_plainly() -> None:
    async with NluClient("127.0.0.1:1", retry=QUICK) as client:
        with pytest.raises(AntiphonApiError) as failed:
            await client.interpret("hello")
    assert failed.value.code is grpc.StatusCode.UNAVAILABLE
    assert "127.0.0.1:1" in failed.value.message


async def test_a_caller_that_goes_away_ends_the_call(platform: GrpcPlatform) -> None:
    async def endless() -> AsyncIterator[bytes]:
        while True:
            await asyncio.sleep(0.01)
            yield bytes(320)

    async with Assistant(platform.target) as assistant:
        events = assistant.converse(endless())
        await anext(events)
        await anext(events)
        replica = platform.replicas["front"]
        assert replica.admission.active_sessions == 1
        await events.aclose()
        for _ in range(50):
            if not replica.admission.active_sessions:
                break
            await asyncio.sleep(0.02)
        assert replica.admission.active_sessions == 0
