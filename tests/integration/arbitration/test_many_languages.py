"""Typed conversations in languages that no skill was written for: they are understood, or told what is spoken."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import grpc
import pytest
import pytest_asyncio

from antiphon.arbitration.v1 import (
    assistant_pb2,
    assistant_pb2_grpc,
    decision_pb2,
    registry_pb2,
    registry_pb2_grpc,
)
from antiphon.nlu.v1 import understanding_pb2, understanding_pb2_grpc
from antiphon.skills import Event, Skill, Turn, serve
from antiphon.skills.manifest import read_manifest
from antiphon.types.v1 import context_pb2, provenance_pb2, speech_pb2
from services.dialogue.sentences import SENTENCES
from services.registry import CAPABILITIES, DEFAULT_POOLS
from services.runtime.platform import PlatformSettings
from services.runtime.server import GrpcPlatform
from services.runtime.spec import load_spec
from tests.fixtures.front_door import END, Request

pytestmark = [pytest.mark.integration, pytest.mark.asyncio(loop_scope="module")]

POOLS = tuple(pool for pool in DEFAULT_POOLS if pool.name in ("arbitration", "nlu", "dialogue", "skills"))
ALARMS = """
skill_id: vaekker
version: 1.0.0
locales: [da]
intents:
  - name: set
    risk: LOW
    side_effect: NONE
    phrases: {da: ["væk mig til morgengymnastik"]}
"""


class Waker(Skill):
    """Speaks Danish and nothing else."""

    manifest = read_manifest(ALARMS)

    async def handle(self, turn: Turn) -> AsyncIterator[Event]:
        yield turn.say("Det skal jeg nok.")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def front() -> AsyncIterator[grpc.aio.Channel]:
    """A channel to a front door whose built-in skills are known."""
    specs = {pool.capability: load_spec(CAPABILITIES[pool.capability]) for pool in POOLS}
    async with (
        GrpcPlatform(PlatformSettings(port=0, pool_port=0, pools=POOLS), specs) as platform,
        grpc.aio.insecure_channel(platform.target) as channel,
    ):
        registry = registry_pb2_grpc.SkillRegistryServiceStub(channel)
        for _ in range(400):
            if len((await registry.List(registry_pb2.ListRequest())).skills) >= 3:
                break
            await asyncio.sleep(0.05)
        await said(channel, "what day is it", "en")  # a conversation waits until understanding knows the skills
        yield channel


async def said(
    channel: grpc.aio.Channel, text: str, *languages: str
) -> tuple[assistant_pb2.TurnCompleted, decision_pb2.Decision]:
    """One typed turn: how it ended, and what was decided."""
    consent = context_pb2.Consent(third_party_skills=True)

    async def requests() -> AsyncIterator[Request]:
        context = context_pb2.SessionContext(consent=consent)
        yield Request(config=assistant_pb2.ConverseConfig(language_codes=languages, context=context))
        yield Request(text=assistant_pb2.TextInput(text=text))
        yield END

    call = assistant_pb2_grpc.AssistantServiceStub(channel).Converse(requests(), timeout=30)
    events = [event async for event in call]
    done = next(event.turn_completed for event in events if event.HasField("turn_completed"))
    return done, next(event.decision for event in events if event.HasField("decision"))


async def read(channel: grpc.aio.Channel, text: str, language: str) -> understanding_pb2.InterpretResponse:
    stub = understanding_pb2_grpc.LanguageUnderstandingServiceStub(channel)
    return await stub.Interpret(
        understanding_pb2.InterpretRequest(
            alternatives=[speech_pb2.SpeechAlternative(spoken_text=text)], language_code=language
        ),
        timeout=20,
    )


@pytest.mark.parametrize(
    ("language", "text"),
    [
        ("da", "indstil en alarm til klokken syv"),
        ("nl", "zet de wekker om zeven uur morgenochtend"),
        ("zh", "明天早上七点叫醒我"),
    ],
)
async def test_orders_are_understood(front: grpc.aio.Channel, language: str, text: str) -> None:
    response = await read(front, text, language)
    best = response.interpretations[0]
    assert best.intent == "timers.set_alarm"
    assert response.language_code == language
    (model,) = (one for one in response.models if one.model.startswith("antiphon/intents-xsid@"))
    assert (model.locale, model.mode) == (language, provenance_pb2.MODEL_MODE_FINETUNED)


@pytest.mark.parametrize("language", ["da", "sw", "nl-BE"])
async def test_a_user_without_a_common_language_is_told_which_are_spoken(
    front: grpc.aio.Channel, language: str
) -> None:
    done, decision = await said(front, "zet de wekker om zeven uur morgenochtend", language)
    assert done.answer == SENTENCES["en"].languages
    assert decision.outcome == decision_pb2.DECISION_OUTCOME_FALLBACK


async def test_the_first_language_that_some_skill_answers_in_is_taken(front: grpc.aio.Channel) -> None:
    done, decision = await said(front, "what is two plus two", "da", "en")
    assert decision.outcome == decision_pb2.DECISION_OUTCOME_EXECUTE
    assert "4" in done.answer


async def test_a_skill_may_bring_a_language(front: grpc.aio.Channel) -> None:
    server, port = await serve([Waker()])
    registry = registry_pb2_grpc.SkillRegistryServiceStub(front)
    try:
        await registry.Register(registry_pb2.RegisterRequest(address=f"127.0.0.1:{port}", enable=True), timeout=20)
        async with asyncio.timeout(30):
            while True:
                done, _ = await said(front, "væk mig til morgengymnastik", "da", "en")
                if done.skill_id == "vaekker":
                    break
                await asyncio.sleep(0.2)
        assert done.answer == "Det skal jeg nok."
    finally:
        await registry.Remove(registry_pb2.RemoveRequest(skill_id="vaekker"), timeout=20)
        await server.stop(grace=None)
