"""What follow-up turns take over of the turn before, as the manifests of built-in skills say, over a real channel."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime

import grpc
import pytest
import pytest_asyncio

from antiphon.nlu.v1 import understanding_pb2, understanding_pb2_grpc
from antiphon.types.v1 import context_pb2, speech_pb2
from services.nlu.app import SPEC
from services.runtime.platform import PlatformSettings, PoolSettings
from services.runtime.server import GrpcPlatform
from tests.fakes.skill_manifests import built_in

pytestmark = [pytest.mark.integration, pytest.mark.asyncio(loop_scope="module")]

Stub = understanding_pb2_grpc.LanguageUnderstandingServiceStub


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stub() -> AsyncIterator[Stub]:
    settings = PlatformSettings(port=0, pool_port=0, pools=(PoolSettings(name="nlu", capability="nlu"),))
    async with (
        GrpcPlatform(settings, {"nlu": SPEC}) as platform,
        grpc.aio.insecure_channel(platform.target) as channel,
    ):
        made = Stub(channel)
        for name in ("lists", "units"):
            await made.UpdateSkill(understanding_pb2.UpdateSkillRequest(manifest=built_in(name), idempotency_key="1"))
        yield made


async def understood(
    stub: Stub, text: str, language: str, context: context_pb2.TurnContext
) -> understanding_pb2.InterpretResponse:
    return await stub.Interpret(
        understanding_pb2.InterpretRequest(
            alternatives=[speech_pb2.SpeechAlternative(spoken_text=text)], language_code=language, context=context
        )
    )


@pytest.mark.parametrize(
    ("language", "first", "then", "taken_over"),
    [
        ("en", "convert five miles to kilometers", "what about twenty miles", {"unit": "km"}),
        ("de", "rechne fünf meilen in kilometer um", "und zwanzig meilen", {"unit": "km"}),
        ("es", "convierte cinco millas a kilómetros", "y veinte millas", {"unit": "km"}),
        ("fr", "convertis cinq miles en kilomètres", "et vingt miles", {"unit": "km"}),
        ("it", "converti cinque miglia in chilometri", "e venti miglia", {"unit": "km"}),
        ("en", "add milk to my packing list", "and eggs", {"list": "packing"}),
        ("en", "remove milk from my packing list", "and eggs", {"list": "packing"}),
    ],
)
async def test_a_follow_up_stays_with_what_was_said(
    stub: Stub, language: str, first: str, then: str, taken_over: dict[str, str]
) -> None:
    context = context_pb2.TurnContext()
    context.now.FromDatetime(datetime(2026, 11, 20, 12, tzinfo=UTC))
    before = (await understood(stub, first, language, context)).interpretations[0]
    context.past_turns.add(turn_id="before", interpretation=before)
    readings = (await understood(stub, then, language, context)).interpretations
    again = next(one for one in readings if one.intent == before.intent)
    found = {slot.name: slot.value.entity.entity_id for slot in again.slots if slot.source_turn_id}
    assert found.items() >= taken_over.items()
