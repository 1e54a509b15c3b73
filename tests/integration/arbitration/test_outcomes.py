"""Every outcome of a decision as turns of a dialogue, over the front door: done, confirmed, chosen, refused, left."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass

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
from antiphon.nlu.v1 import understanding_pb2 as nlu_pb2
from antiphon.nlu.v1 import understanding_pb2_grpc as nlu_grpc
from antiphon.skills import Event, Skill, Turn, read_manifest, serve
from antiphon.types.v1 import context_pb2, latency_pb2, understanding_pb2
from services.registry import CAPABILITIES, DEFAULT_POOLS
from services.runtime.platform import PlatformSettings
from services.runtime.server import GrpcPlatform
from services.runtime.spec import load_spec
from tests.fixtures.front_door import Request

pytestmark = pytest.mark.integration

POOLS = tuple(pool for pool in DEFAULT_POOLS if pool.name in ("arbitration", "nlu", "dialogue", "skills"))
MANIFEST = """
skill_id: {id}
version: 1.0.0
locales: [en]
display_names: {{en: {name}}}
intents:
  - name: act
    risk: {risk}
    side_effect: {effect}
    phrases: {{en: ["{phrase}", "please {phrase}", "could you {phrase}"]}}
"""


class Provider(Skill):
    """Says its own name; what changes something is counted."""

    def __init__(self, skill_id: str, phrase: str, *, risk: str = "low", effect: str = "none") -> None:
        name = skill_id.title()
        self.manifest = read_manifest(MANIFEST.format(id=skill_id, name=name, phrase=phrase, risk=risk, effect=effect))
        self.changes = effect != "none"
        self.executed = 0

    async def handle(self, turn: Turn) -> AsyncIterator[Event]:
        self.executed += 1
        yield turn.say(f"This is {self.manifest.skill_id}.")
        if self.changes:
            yield turn.changed(turn.effect("BOUGHT", lasting=True))


@dataclass
class Market:
    """A front door with three skills of third parties: two that are asked alike, and one that costs money."""

    channel: grpc.aio.Channel
    skills: dict[str, Provider]

    async def talk(self, *inputs: str) -> list[assistant_pb2.ConverseResponse]:
        """A conversation, one input after the other; all its events."""
        consent = context_pb2.Consent(third_party_skills=True, retain_text=True)
        context = context_pb2.SessionContext(consent=consent)
        answered = asyncio.Event()
        events: list[assistant_pb2.ConverseResponse] = []

        async def requests() -> AsyncIterator[Request]:
            yield Request(config=assistant_pb2.ConverseConfig(language_codes=["en"], context=context, continuous=True))
            for text in inputs:
                answered.clear()
                yield Request(text=assistant_pb2.TextInput(text=text))
                await asyncio.wait_for(answered.wait(), 20.0)
            yield Request(end=assistant_pb2.EndOfConversation())

        async for event in assistant_pb2_grpc.AssistantServiceStub(self.channel).Converse(requests(), timeout=60):
            events.append(event)
            if event.HasField("turn_completed"):
                answered.set()
        return events


async def both_known(pool: str) -> None:
    """Understanding learns new skills within seconds; then those that are asked alike are read alike."""
    request = nlu_pb2.InterpretRequest(language_code="en")
    request.alternatives.add(spoken_text="spin the lucky wheel")
    async with asyncio.timeout(30.0), grpc.aio.insecure_channel(pool) as channel:
        stub = nlu_grpc.LanguageUnderstandingServiceStub(channel)
        while True:
            read = await stub.Interpret(request, timeout=10)
            sure = {one.skill_id: one.intent_confidence for one in read.interpretations}
            if 0.8 < sure.get("alpha", 0.0) / sure.get("omega", 9.0) < 1.25:
                return
            await asyncio.sleep(0.1)


@pytest.fixture
async def market() -> AsyncIterator[Market]:
    specs = {pool.capability: load_spec(CAPABILITIES[pool.capability]) for pool in POOLS}
    skills = {
        "alpha": Provider("alpha", "spin the lucky wheel"),
        "omega": Provider("omega", "spin the lucky wheel"),
        "jeweller": Provider("jeweller", "buy the golden ring", risk="high", effect="irreversible"),
    }
    async with (
        GrpcPlatform(PlatformSettings(port=0, pool_port=0, pools=POOLS), specs) as platform,
        grpc.aio.insecure_channel(platform.target) as channel,
    ):
        registry = registry_pb2_grpc.SkillRegistryServiceStub(channel)
        servers = []
        for skill in skills.values():
            server, port = await serve([skill])
            servers.append(server)
            await registry.Register(registry_pb2.RegisterRequest(address=f"127.0.0.1:{port}", enable=True))
        try:
            await both_known(platform.directory.resolve("nlu").target)
            yield Market(channel, skills)
        finally:
            await asyncio.gather(*(server.stop(None) for server in servers))


def decisions(events: Sequence[assistant_pb2.ConverseResponse]) -> list[str]:
    """Outcome and reason of each turn."""
    found = [event.decision for event in events if event.HasField("decision")]
    outcome, reason = decision_pb2.DecisionOutcome, decision_pb2.DecisionReason
    return [
        f"{outcome.Name(one.outcome).removeprefix('DECISION_OUTCOME_')}"
        f" {reason.Name(one.reason).removeprefix('DECISION_REASON_')}"
        for one in found
    ]


def ends(events: Sequence[assistant_pb2.ConverseResponse]) -> list[assistant_pb2.TurnCompleted]:
    return [event.turn_completed for event in events if event.HasField("turn_completed")]


async def test_a_purchase_is_confirmed_and_then_made_once(market: Market) -> None:
    events = await market.talk("buy the golden ring", "yes")
    assert decisions(events) == ["CONFIRM RISK", "EXECUTE CONFIRMED_BY_USER"]
    asked, done = ends(events)
    assert (asked.status, asked.expects_follow_up) == (assistant_pb2.TURN_STATUS_PROMPTED, True)
    assert (done.skill_id, len(done.receipt.effects), market.skills["jeweller"].executed) == ("jeweller", 1, 1)


async def test_a_purchase_that_is_denied_is_not_made(market: Market) -> None:
    events = await market.talk("buy the golden ring", "no")
    assert decisions(events) == ["CONFIRM RISK", "FALLBACK DENIED_BY_USER"]
    assert market.skills["jeweller"].executed == 0


@pytest.mark.parametrize(("answer", "number"), [("the second one", 1), ("the first one", 0), ("omega", None)])
async def test_two_that_are_asked_alike_are_offered_and_one_is_chosen(
    market: Market, answer: str, number: int | None
) -> None:
    events = await market.talk("spin the lucky wheel", answer)
    assert decisions(events)[0] == "CLARIFY AMBIGUOUS"
    prompt = next(event.prompt for event in events if event.HasField("prompt"))
    offered = [choice.choice_id for choice in prompt.choices]
    assert {"alpha", "omega"} <= set(offered)
    assert decisions(events)[1].startswith("EXECUTE")
    assert ends(events)[1].skill_id == ("omega" if number is None else offered[number])


async def test_what_lacks_a_value_is_asked_for_and_then_done(market: Market) -> None:
    events = await market.talk("set a timer", "ten minutes")
    assert decisions(events) == ["CLARIFY MISSING_SLOT", "EXECUTE PROMPT_ANSWERED"]
    assert len(ends(events)[1].receipt.effects) == 1


async def test_what_no_skill_knows_is_left(market: Market) -> None:
    registry = registry_pb2_grpc.SkillRegistryServiceStub(market.channel)
    for chatty in ("notyet", "smalltalk"):  # they have an answer to nearly everything
        await registry.Enable(registry_pb2.EnableRequest(skill_id=chatty, enabled=False))
    events = await market.talk("zorp quibble frandle")
    assert decisions(events)[0].startswith("FALLBACK")


async def test_what_was_not_meant_for_it_is_refused(market: Market) -> None:
    stub = arbitration_pb2_grpc.ArbitrationServiceStub(market.channel)
    reading = understanding_pb2.Interpretation(intent="clock.time", skill_id="clock", intent_confidence=0.95)
    request = arbitration_pb2.RankRequest(language_code="en", interpretations=[reading], directedness=0.05)
    assert (await stub.Rank(request)).decision.outcome == decision_pb2.DECISION_OUTCOME_REJECT


async def test_an_explanation_tells_candidates_points_costs_and_stages(market: Market) -> None:
    (turn_id,) = [
        event.decision.turn_id for event in await market.talk("spin the lucky wheel") if event.HasField("decision")
    ]
    stub = arbitration_pb2_grpc.ArbitrationServiceStub(market.channel)
    told = (await stub.Explain(arbitration_pb2.ExplainRequest(turn_id=turn_id))).decision
    by_skill = {candidate.skill_id: candidate for candidate in told.candidates}
    assert {"alpha", "omega"} <= set(by_skill)
    assert any(feature.HasField("contribution") for feature in by_skill["alpha"].features)
    assert [feature.name for feature in by_skill["alpha"].features] == sorted(
        f.name for f in by_skill["alpha"].features
    )
    costs = {one.outcome: one.cost for one in told.costs}
    assert min(costs, key=lambda outcome: costs[outcome]) == told.outcome
    stages = [stage.stage for stage in told.stages]
    assert stages[-5:] == [
        latency_pb2.STAGE_UNDERSTANDING,
        latency_pb2.STAGE_SHORTLIST,
        latency_pb2.STAGE_RESOLUTION,
        latency_pb2.STAGE_CAN_FULFILL,
        latency_pb2.STAGE_RANKING,
    ]
    assert told.ranker.model
    assert not told.arms


async def test_arms_of_split_traffic_are_named(market: Market) -> None:
    arm = traffic_pb2.Arm(name="canary", pool="nlu", weight=1.0)
    split = traffic_pb2.TrafficSplit(capability="nlu", arms=[arm])
    await traffic_pb2_grpc.TrafficServiceStub(market.channel).SetWeights(traffic_pb2.SetWeightsRequest(split=split))
    events = await market.talk("what time is it")
    assert [list(event.decision.arms) for event in events if event.HasField("decision")] == [["nlu=canary"]]
