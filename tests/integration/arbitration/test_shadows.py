"""A canary and a shadow of understanding, beside the real one: who is served by whom, and what is told of each arm."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any

import grpc
import pytest

from antiphon.arbitration.v1 import assistant_pb2, assistant_pb2_grpc, traffic_pb2, traffic_pb2_grpc
from antiphon.nlu.v1 import understanding_pb2
from antiphon.types.v1 import capability_pb2
from services.registry import CAPABILITIES
from services.runtime.calls import Call
from services.runtime.errors import Unavailable
from services.runtime.platform import PlatformSettings, PoolSettings
from services.runtime.server import GrpcPlatform
from services.runtime.spec import Application, Runtime, ServiceSpec, load_spec
from tests.fixtures.front_door import END, Request

pytestmark = [pytest.mark.integration, pytest.mark.timeout(180)]

SERVICE = understanding_pb2.DESCRIPTOR.services_by_name["LanguageUnderstandingService"]


@dataclass
class ToyUnderstanding:
    """Reads everything as one intent; or answers late, or never, or with an error, as its pool's options say."""

    options: Mapping[str, Any]

    async def Interpret(
        self, request: understanding_pb2.InterpretRequest, call: Call
    ) -> understanding_pb2.InterpretResponse:
        if self.options.get("fails"):
            raise Unavailable("broken")
        await asyncio.sleep(float(self.options.get("seconds", 0.0)))
        response = understanding_pb2.InterpretResponse()
        intent = str(self.options.get("intent", "dialogue.greeting"))
        skill_id = intent.partition(".")[0]
        response.interpretations.add(intent=intent, skill_id=skill_id, intent_confidence=0.97, score=0.97)
        return response

    async def UpdateSkill(
        self, request: understanding_pb2.UpdateSkillRequest, call: Call
    ) -> understanding_pb2.UpdateSkillResponse:
        return understanding_pb2.UpdateSkillResponse()

    async def never(self, request: Any, call: Call) -> Any:
        raise Unavailable("not here")

    StreamingInterpret = AddLocale = never


async def build(runtime: Runtime) -> Application:
    async def describe() -> capability_pb2.DescribeResponse:
        return capability_pb2.DescribeResponse()

    return Application({SERVICE.full_name: ToyUnderstanding(runtime.options)}, describe)


SPEC = ServiceSpec(capability="nlu", services=(SERVICE,), build=build)
POOLS = (
    PoolSettings("arbitration", "arbitration"),
    PoolSettings("dialogue", "dialogue"),
    PoolSettings("skills", "skills"),
    PoolSettings("nlu", "nlu", settings={"intent": "dialogue.greeting"}),
    PoolSettings("nlu-same", "nlu", arm="b", settings={"intent": "dialogue.greeting"}),
    PoolSettings("nlu-other", "nlu", arm="c", settings={"intent": "dialogue.thanks"}),
    PoolSettings("nlu-hangs", "nlu", arm="d", settings={"seconds": 60}),
    PoolSettings("nlu-fails", "nlu", arm="e", settings={"fails": True}),
)


@pytest.fixture
async def front() -> AsyncIterator[grpc.aio.Channel]:
    specs = {name: load_spec(CAPABILITIES[name]) for name in ("arbitration", "dialogue", "skills")}
    settings = PlatformSettings(port=0, pool_port=0, pools=POOLS)
    async with (
        GrpcPlatform(settings, {**specs, "nlu": SPEC}) as platform,
        grpc.aio.insecure_channel(platform.target) as channel,
    ):
        yield channel


async def ask(channel: grpc.aio.Channel, text: str) -> str:
    """What is answered."""

    async def requests() -> AsyncIterator[Request]:
        yield Request(config=assistant_pb2.ConverseConfig(language_codes=["en"]))
        yield Request(text=assistant_pb2.TextInput(text=text))
        yield END

    stub = assistant_pb2_grpc.AssistantServiceStub(channel)
    events = [event async for event in stub.Converse(requests(), timeout=40)]
    return next(event.turn_completed.answer for event in events if event.HasField("turn_completed"))


async def split(channel: grpc.aio.Channel, *arms: traffic_pb2.Arm) -> None:
    stub = traffic_pb2_grpc.TrafficServiceStub(channel)
    await stub.SetWeights(
        traffic_pb2.SetWeightsRequest(split=traffic_pb2.TrafficSplit(capability="nlu", arms=arms)), timeout=10
    )


async def reports(channel: grpc.aio.Channel) -> dict[str, traffic_pb2.ArmReport]:
    stub = traffic_pb2_grpc.TrafficServiceStub(channel)
    listed = await stub.ListArms(traffic_pb2.ListArmsRequest(capability="nlu"), timeout=10)
    return {report.arm: report for report in listed.reports}


def shadow(name: str, pool: str) -> traffic_pb2.Arm:
    return traffic_pb2.Arm(name=name, pool=pool, weight=1.0, mode=traffic_pb2.ARM_MODE_SHADOW)


STABLE = traffic_pb2.Arm(name="stable", pool="nlu", weight=1.0)


async def test_shadows_are_compared_and_harm_nobody(front: grpc.aio.Channel) -> None:
    alone = await ask(front, "hello")
    assert alone
    await split(
        front,
        STABLE,
        *(shadow(name, f"nlu-{name}") for name in ("same", "other", "hangs", "fails")),
    )
    for _ in range(5):
        assert await ask(front, "hello") == alone
    await asyncio.sleep(3.0)  # the hanging one is asked for two seconds
    found = await reports(front)
    metrics = {arm: {metric.name: metric.value for metric in report.metrics} for arm, report in found.items()}
    assert (found["stable"].session_count, found["stable"].error_count) == (5, 0)
    assert found["stable"].latencies
    assert metrics["same"]["intent_agreement"] == 1.0
    assert metrics["other"]["intent_agreement"] == 0.0
    assert "latency_difference_s" in metrics["same"]
    for arm in ("hangs", "fails"):
        assert found[arm].error_count == found[arm].turn_count > 0
        assert "intent_agreement" not in metrics[arm]


async def test_a_canary_serves_its_share_and_is_counted(front: grpc.aio.Channel) -> None:
    await split(front, STABLE, traffic_pb2.Arm(name="canary", pool="nlu-other", weight=1.0))
    answers = [await ask(front, "hello") for _ in range(16)]
    found = await reports(front)
    assert found["stable"].session_count + found["canary"].session_count == 16
    assert found["canary"].session_count > 0
    assert found["stable"].session_count > 0
    assert len(set(answers)) > 1  # a greeting, and thanks
