"""A front door whose understanding is away: what skills name word for word is still done, the rest is said to be so."""

from __future__ import annotations

from collections.abc import AsyncIterator

import grpc
import pytest

from antiphon.arbitration.v1 import (
    arbitration_pb2,
    arbitration_pb2_grpc,
    assistant_pb2,
    assistant_pb2_grpc,
    decision_pb2,
)
from antiphon.types.v1 import latency_pb2
from services.registry import CAPABILITIES, DEFAULT_POOLS
from services.runtime.platform import PlatformSettings
from services.runtime.server import GrpcPlatform
from services.runtime.spec import load_spec
from tests.fixtures.front_door import END, Request

pytestmark = pytest.mark.integration

POOLS = tuple(pool for pool in DEFAULT_POOLS if pool.name in ("arbitration", "nlu", "dialogue", "skills"))


@pytest.fixture
async def platform() -> AsyncIterator[GrpcPlatform]:
    specs = {pool.capability: load_spec(CAPABILITIES[pool.capability]) for pool in POOLS}
    async with GrpcPlatform(PlatformSettings(port=0, pool_port=0, pools=POOLS), specs) as running:
        yield running


@pytest.fixture
async def front(platform: GrpcPlatform) -> AsyncIterator[grpc.aio.Channel]:
    """A channel to the front door, whose understanding has gone after the first conversation."""
    async with grpc.aio.insecure_channel(platform.target) as channel:
        for _ in range(20):
            decision, _ = await said(channel, "what day is it")
            if not understanding(decision).fallback or understanding(decision).fallback == "WAITED":
                break
        await platform.replicas["nlu"].drain(0.0)
        yield channel


async def said(channel: grpc.aio.Channel, text: str) -> tuple[decision_pb2.Decision, assistant_pb2.TurnCompleted]:
    """One typed turn: its decision as it is explained afterwards, and its end."""

    async def requests() -> AsyncIterator[Request]:
        config = assistant_pb2.ConverseConfig(language_codes=["en"])
        config.context.device.device_id = "kitchen"  # what is remembered is remembered of a user or a device
        yield Request(config=config)
        yield Request(text=assistant_pb2.TextInput(text=text))
        yield END

    call = assistant_pb2_grpc.AssistantServiceStub(channel).Converse(requests(), timeout=30)
    events = [event async for event in call]
    done = next(event for event in events if event.HasField("turn_completed"))
    stub = arbitration_pb2_grpc.ArbitrationServiceStub(channel)
    explained = await stub.Explain(arbitration_pb2.ExplainRequest(turn_id=done.turn_id))
    return explained.decision, done.turn_completed


def understanding(decision: decision_pb2.Decision) -> decision_pb2.StageReport:
    """How understanding kept its time."""
    return next(stage for stage in decision.stages if stage.stage == latency_pb2.STAGE_UNDERSTANDING)


async def test_what_a_skill_names_word_for_word_is_still_done(front: grpc.aio.Channel) -> None:
    decision, done = await said(front, "What time is it?")
    assert decision.outcome == decision_pb2.DECISION_OUTCOME_EXECUTE
    assert (done.skill_id, done.status) == ("clock", assistant_pb2.TURN_STATUS_ANSWERED)
    stage = understanding(decision)
    assert (stage.missed, stage.fallback) == (True, "RULES")
    missing = {feature.name for feature in decision.candidates[0].features if feature.missing}
    assert "nlu.intent_confidence" in missing


async def test_what_was_understood_before_still_is(front: grpc.aio.Channel) -> None:
    decision, done = await said(front, "what day is it")
    assert decision.outcome == decision_pb2.DECISION_OUTCOME_EXECUTE
    assert done.skill_id == "clock"
    stage = understanding(decision)
    assert (stage.missed, stage.fallback) == (True, "LAST_GOOD_MODEL")


async def test_the_rest_is_said_to_be_so(front: grpc.aio.Channel) -> None:
    decision, done = await said(front, "please tell me which hour it might be")
    assert decision.outcome == decision_pb2.DECISION_OUTCOME_FALLBACK
    assert done.answer
