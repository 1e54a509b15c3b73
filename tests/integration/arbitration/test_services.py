"""The services of the front door beside Converse, over a real channel, with the real capabilities behind it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest

from antiphon.arbitration.v1 import (
    arbitration_pb2,
    arbitration_pb2_grpc,
    assistant_pb2,
    assistant_pb2_grpc,
    decision_pb2,
    registry_pb2,
    registry_pb2_grpc,
    traffic_pb2,
    traffic_pb2_grpc,
)
from antiphon.skills import Event, Skill, Turn, serve
from antiphon.skills.manifest import read_manifest
from antiphon.types.v1 import context_pb2, understanding_pb2
from services.registry import CAPABILITIES, DEFAULT_POOLS
from services.runtime.platform import PlatformSettings
from services.runtime.server import GrpcPlatform
from services.runtime.spec import load_spec
from tests.fixtures.front_door import END, Request
from tests.fixtures.toy_client import Failure

pytestmark = pytest.mark.integration

POOLS = tuple(pool for pool in DEFAULT_POOLS if pool.name in ("arbitration", "nlu", "dialogue", "skills"))
DICE = """
skill_id: dice
version: 1.0.0
locales: [en]
intents:
  - name: roll
    risk: LOW
    side_effect: NONE
    phrases: {en: [roll the dice]}
"""


@pytest.fixture
async def front() -> AsyncIterator[grpc.aio.Channel]:
    """A channel to a front door whose built-in skills are known."""
    specs = {pool.capability: load_spec(CAPABILITIES[pool.capability]) for pool in POOLS}
    async with (
        GrpcPlatform(PlatformSettings(port=0, pool_port=0, pools=POOLS), specs) as platform,
        grpc.aio.insecure_channel(platform.target) as channel,
    ):
        registry = registry_pb2_grpc.SkillRegistryServiceStub(channel)
        for _ in range(200):
            if len((await registry.List(registry_pb2.ListRequest())).skills) >= 3:
                break
            await asyncio.sleep(0.05)
        yield channel


async def failure(call: Any) -> Failure:
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await call
    return Failure(refused.value)


async def ask(channel: grpc.aio.Channel, text: str, user_id: str = "") -> list[assistant_pb2.ConverseResponse]:
    stub = assistant_pb2_grpc.AssistantServiceStub(channel)
    context = context_pb2.SessionContext(user_id=user_id)
    config = assistant_pb2.ConverseConfig(language_codes=["en"], context=context)

    async def requests() -> AsyncIterator[Request]:
        yield Request(config=config)
        yield Request(text=assistant_pb2.TextInput(text=text))
        yield END

    return [event async for event in stub.Converse(requests(), timeout=20)]


class TestSkillRegistry:
    async def test_built_in_skills_are_listed_and_enabled(self, front: grpc.aio.Channel) -> None:
        registry = registry_pb2_grpc.SkillRegistryServiceStub(front)
        listed = await registry.List(registry_pb2.ListRequest(enabled_only=True, language_code="de-AT"))
        assert {skill.manifest.skill_id for skill in listed.skills} >= {"calculator", "clock"}
        page = await registry.List(registry_pb2.ListRequest(page_size=1))
        rest = await registry.List(registry_pb2.ListRequest(page_token=page.next_page_token))
        assert len(page.skills) == 1
        assert page.skills[0].manifest.skill_id not in {s.manifest.skill_id for s in rest.skills}

    async def test_a_disabled_skill_answers_no_more(self, front: grpc.aio.Channel) -> None:
        registry = registry_pb2_grpc.SkillRegistryServiceStub(front)
        await registry.Enable(registry_pb2.EnableRequest(skill_id="calculator", enabled=False))
        events = await ask(front, "what is two plus two")
        decision = next(e.decision for e in events if e.HasField("decision"))
        assert decision.outcome != decision_pb2.DECISION_OUTCOME_EXECUTE
        await registry.Enable(registry_pb2.EnableRequest(skill_id="calculator", enabled=True))
        events = await ask(front, "what is two plus two")
        assert "4" in next(e.turn_completed.answer for e in events if e.HasField("turn_completed"))

    async def test_a_skill_is_disabled_for_one_user(self, front: grpc.aio.Channel) -> None:
        registry = registry_pb2_grpc.SkillRegistryServiceStub(front)
        request = registry_pb2.EnableRequest(skill_id="calculator", enabled=False, user_id="kid")
        assert not (await registry.Enable(request)).skill.enabled
        events = await ask(front, "what is two plus two", "kid")
        decision = next(e.decision for e in events if e.HasField("decision"))
        assert decision.outcome != decision_pb2.DECISION_OUTCOME_EXECUTE
        events = await ask(front, "what is two plus two", "ada")
        assert "4" in next(e.turn_completed.answer for e in events if e.HasField("turn_completed"))
        request.user_id = "a\nb"
        assert (await failure(registry.Enable(request))).bad_fields == ["user_id"]

    async def test_built_in_skills_stay(self, front: grpc.aio.Channel) -> None:
        registry = registry_pb2_grpc.SkillRegistryServiceStub(front)
        refused = await failure(registry.Remove(registry_pb2.RemoveRequest(skill_id="clock")))
        assert (refused.code, refused.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "SKILL_BUILT_IN")

    async def test_a_third_partys_skill_comes_and_goes(self, front: grpc.aio.Channel) -> None:
        registry = registry_pb2_grpc.SkillRegistryServiceStub(front)
        server, port = await serve([Dice()])
        address = f"127.0.0.1:{port}"
        try:
            checked = await registry.Register(registry_pb2.RegisterRequest(address=address, validate_only=True))
            assert [skill.manifest.skill_id for skill in checked.skills] == ["dice"]
            registered = await registry.Register(registry_pb2.RegisterRequest(address=address, enable=True))
            assert registered.skills[0].enabled
            listed = await registry.List(registry_pb2.ListRequest())
            assert "dice" in {skill.manifest.skill_id for skill in listed.skills}
            assert (await registry.Remove(registry_pb2.RemoveRequest(skill_id="dice"))).removed
            assert not (await registry.Remove(registry_pb2.RemoveRequest(skill_id="dice"))).removed
        finally:
            await server.stop(grace=None)

    @pytest.mark.parametrize("address", ["", "nowhere", "127.0.0.1:99999", "169.254.169.254:80", "0.0.0.0:80", "a/b:1"])
    async def test_addresses_that_are_none(self, front: grpc.aio.Channel, address: str) -> None:
        registry = registry_pb2_grpc.SkillRegistryServiceStub(front)
        refused = await failure(registry.Register(registry_pb2.RegisterRequest(address=address)))
        assert refused.code == grpc.StatusCode.INVALID_ARGUMENT
        assert refused.bad_fields == ["address"]

    async def test_a_server_that_is_not_there(self, front: grpc.aio.Channel) -> None:
        registry = registry_pb2_grpc.SkillRegistryServiceStub(front)
        refused = await failure(registry.Register(registry_pb2.RegisterRequest(address="127.0.0.1:1"), timeout=20))
        assert refused.code in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED)


class TestTraffic:
    async def test_weights_are_set_read_and_guarded(self, front: grpc.aio.Channel) -> None:
        traffic = traffic_pb2_grpc.TrafficServiceStub(front)
        split = traffic_pb2.TrafficSplit(
            capability="nlu", arms=[traffic_pb2.Arm(name="stable", pool="nlu", weight=1.0)]
        )
        stored = await traffic.SetWeights(traffic_pb2.SetWeightsRequest(split=split))
        read = await traffic.GetWeights(traffic_pb2.GetWeightsRequest(capability="nlu"))
        assert [arm.pool for arm in read.splits[0].arms] == ["nlu"]
        assert read.splits[0].etag == stored.split.etag == "1"
        await traffic.SetWeights(traffic_pb2.SetWeightsRequest(split=split))
        stale = traffic_pb2.TrafficSplit.FromString(split.SerializeToString())
        stale.etag = "1"
        assert (await failure(traffic.SetWeights(traffic_pb2.SetWeightsRequest(split=stale)))).code == (
            grpc.StatusCode.ABORTED
        )
        for nonsense in ("x", "²", "9" * 5_000):
            stale.etag = nonsense
            refused = await failure(traffic.SetWeights(traffic_pb2.SetWeightsRequest(split=stale)))
            assert refused.code == grpc.StatusCode.INVALID_ARGUMENT, nonsense
        split.arms[0].pool = "elsewhere"
        refused = await failure(traffic.SetWeights(traffic_pb2.SetWeightsRequest(split=split)))
        assert (refused.code, refused.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "POOL_NOT_RUNNING")

    async def test_arms_report_what_they_were_told_once(self, front: grpc.aio.Channel) -> None:
        traffic = traffic_pb2_grpc.TrafficServiceStub(front)
        arm = traffic_pb2.Arm(name="canary", pool="nlu", weight=1.0)
        split = traffic_pb2.TrafficSplit(capability="nlu", arms=[arm])
        await traffic.SetWeights(traffic_pb2.SetWeightsRequest(split=split))
        report = traffic_pb2.ArmReport(capability="nlu", arm="canary", session_count=3, error_count=1)
        request = traffic_pb2.ReportArmRequest(report=report, idempotency_key="once")
        assert not (await traffic.ReportArm(request)).replayed
        assert (await traffic.ReportArm(request)).replayed
        listed = await traffic.ListArms(traffic_pb2.ListArmsRequest(capability="nlu"))
        assert [(r.arm, r.session_count, r.error_count) for r in listed.reports] == [("canary", 3, 1)]


class TestArbitration:
    async def test_rank_decides_without_doing(self, front: grpc.aio.Channel) -> None:
        stub = arbitration_pb2_grpc.ArbitrationServiceStub(front)
        readings = [
            understanding_pb2.Interpretation(intent="clock.time", skill_id="clock", intent_confidence=0.95, score=0.95),
            understanding_pb2.Interpretation(intent="clock.date", skill_id="clock", intent_confidence=0.03, score=0.03),
        ]
        request = arbitration_pb2.RankRequest(language_code="en", interpretations=readings, include_features=True)
        decision = (await stub.Rank(request)).decision
        assert decision.candidates[decision.winner_index].interpretation.intent == "clock.time"
        assert decision.candidates[0].features
        assert decision.candidates[0].score > decision.candidates[1].score
        refused = await failure(stub.Rank(arbitration_pb2.RankRequest(language_code="en")))
        assert refused.bad_fields == ["interpretations"]

    @pytest.mark.parametrize(
        ("ranker", "model"),
        [
            (arbitration_pb2.RANKER_KIND_LINEAR, "antiphon/rank-linear@"),
            (arbitration_pb2.RANKER_KIND_LAMBDA_MART, "antiphon/rank-lambdamart@"),
            (arbitration_pb2.RANKER_KIND_BI_LSTM, "antiphon/rank-bilstm@"),
            (arbitration_pb2.RANKER_KIND_SHORTLIST, "antiphon/shortlister-order@"),
        ],
    )
    async def test_a_request_names_its_ranker(
        self, front: grpc.aio.Channel, ranker: arbitration_pb2.RankerKind.ValueType, model: str
    ) -> None:
        stub = arbitration_pb2_grpc.ArbitrationServiceStub(front)
        readings = [
            understanding_pb2.Interpretation(intent="clock.time", skill_id="clock", intent_confidence=0.9, score=0.9),
            understanding_pb2.Interpretation(intent="clock.date", skill_id="clock", intent_confidence=0.05, score=0.05),
        ]
        request = arbitration_pb2.RankRequest(
            language_code="en", interpretations=readings, include_features=True, ranker=ranker
        )
        decision = (await stub.Rank(request)).decision
        assert decision.candidates[decision.winner_index].interpretation.intent == "clock.time"
        assert decision.ranker.model.startswith(model)
        told = [one.name for one in decision.candidates[0].features if one.HasField("contribution")]
        assert ("nlu.intent_confidence" in told) is (ranker != arbitration_pb2.RANKER_KIND_SHORTLIST)
        request.MergeFromString(bytes((8 << 3, 77)))  # a kind that this version does not know
        assert (await failure(stub.Rank(request))).bad_fields == ["ranker"]

    async def test_feedback_counts_once(self, front: grpc.aio.Channel) -> None:
        stub = arbitration_pb2_grpc.ArbitrationServiceStub(front)
        events = await ask(front, "what is two plus three")
        turn_id = next(e.decision.turn_id for e in events if e.HasField("decision"))
        request = arbitration_pb2.FeedbackRequest(
            turn_id=turn_id, kind=arbitration_pb2.FEEDBACK_KIND_POSITIVE, idempotency_key="k"
        )
        assert not (await stub.Feedback(request)).replayed
        assert (await stub.Feedback(request)).replayed
        explained = await stub.Explain(arbitration_pb2.ExplainRequest(turn_id=turn_id))
        assert list(explained.feedback) == [arbitration_pb2.FEEDBACK_KIND_POSITIVE]
        unknown = arbitration_pb2.FeedbackRequest(turn_id="no-such", kind=arbitration_pb2.FEEDBACK_KIND_POSITIVE)
        assert (await failure(stub.Feedback(unknown))).code == grpc.StatusCode.NOT_FOUND

    async def test_one_device_answers(self, front: grpc.aio.Channel) -> None:
        stub = arbitration_pb2_grpc.ArbitrationServiceStub(front)

        def request(device: str, level: float) -> arbitration_pb2.ClaimActivationRequest:
            claim = arbitration_pb2.ClaimActivationRequest(
                activation_id=f"a-{device}", phrase="alexa", voice_level_dbfs=level, ambient_level_dbfs=-50
            )
            claim.context.device.device_id = device
            claim.wake_time.GetCurrentTime()
            return claim

        answers = await asyncio.gather(*(stub.ClaimActivation(request(d, v)) for d, v in (("far", -40), ("near", -25))))
        assert [answer.granted for answer in answers] == [False, True]
        assert {answer.winner_device_id for answer in answers} == {"near"}
        nameless = arbitration_pb2.ClaimActivationRequest(activation_id="x")
        assert (await failure(stub.ClaimActivation(nameless))).bad_fields == ["context.device.device_id"]


class Dice(Skill):
    """A third party's."""

    manifest = read_manifest(DICE)

    async def handle(self, turn: Turn) -> AsyncIterator[Event]:
        yield turn.say("Six.")
