"""A skill in languages that have no grammar of values, over a real channel: its slots come typed."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime

import grpc
import pytest
import pytest_asyncio

from antiphon.nlu.v1 import understanding_pb2 as pb
from antiphon.nlu.v1 import understanding_pb2_grpc as pb_grpc
from antiphon.skills.manifest import read_manifest
from antiphon.types.v1 import context_pb2, speech_pb2
from services.nlu.app import SPEC
from services.runtime.platform import PlatformSettings, PoolSettings
from services.runtime.server import GrpcPlatform

pytestmark = [pytest.mark.integration, pytest.mark.asyncio(loop_scope="module")]

Stub = pb_grpc.LanguageUnderstandingServiceStub
KETTLE = """
skill_id: kettle
version: 1.0.0
locales: [nl, da, ja]
intents:
  - name: later
    risk: LOW
    side_effect: NONE
    slots: [{name: when, value_type: DATETIME}]
    phrases:
      nl: ["zet de waterkoker {when|morgen om 9 uur} aan"]
      da: ["tænd kedlen {when|i morgen kl. 9}"]
      ja: ["{when|明日の朝9時}にやかんをつけて"]
"""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stub() -> AsyncIterator[Stub]:
    settings = PlatformSettings(port=0, pool_port=0, pools=(PoolSettings(name="nlu", capability="nlu"),))
    async with (
        GrpcPlatform(settings, {"nlu": SPEC}) as platform,
        grpc.aio.insecure_channel(platform.target) as channel,
    ):
        made = Stub(channel)
        await made.UpdateSkill(pb.UpdateSkillRequest(manifest=read_manifest(KETTLE), idempotency_key="first"))
        yield made


@pytest.mark.parametrize(
    ("language", "text", "said", "hour"),
    [
        ("nl", "zet de waterkoker overmorgen om half negen aan", "overmorgen om half negen", (22, 8, 30)),
        ("nl-BE", "zet de waterkoker morgenavond om acht uur aan", "morgenavond om acht uur", (21, 20, 0)),
        ("da", "tænd kedlen på fredag klokken syv om aftenen", "fredag klokken syv om aftenen", (27, 19, 0)),
        ("ja", "金曜日の午後3時30分にやかんをつけて", "金曜日の午後3時30分", (27, 15, 30)),
    ],
)
async def test_moments_come_typed(stub: Stub, language: str, text: str, said: str, hour: tuple[int, int, int]) -> None:
    context = context_pb2.TurnContext(session=context_pb2.SessionContext(time_zone="Europe/Vienna"))
    context.now.FromDatetime(datetime(2026, 11, 20, 12, 0, tzinfo=UTC))
    request = pb.InterpretRequest(
        alternatives=[speech_pb2.SpeechAlternative(spoken_text=text)], language_code=language, context=context
    )
    response = await stub.Interpret(request, timeout=10)
    best = response.interpretations[0]
    assert best.intent == "kettle.later"
    (slot,) = best.slots
    when = slot.value.datetime
    assert slot.text.removeprefix("på ") == said
    assert (when.day, when.hours, when.minutes) == hour
