"""Hostile texts over a real channel, with every built-in skill known: a clear status or a sane reading, and soon."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator

import grpc
import pytest
import pytest_asyncio

from antiphon.nlu.v1 import understanding_pb2 as pb
from antiphon.nlu.v1 import understanding_pb2_grpc as pb_grpc
from antiphon.types.v1 import speech_pb2
from services.nlu.app import SPEC
from services.runtime.platform import PlatformSettings, PoolSettings
from services.runtime.server import GrpcPlatform
from tests.fakes.skill_manifests import built_in, built_in_names
from tests.fixtures.hostile_texts import HOSTILE

pytestmark = [pytest.mark.integration, pytest.mark.asyncio(loop_scope="module")]

Stub = pb_grpc.LanguageUnderstandingServiceStub
PLAIN = "set a timer for five minutes"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stub() -> AsyncIterator[Stub]:
    settings = PlatformSettings(port=0, pool_port=0, pools=(PoolSettings(name="nlu", capability="nlu"),))
    async with (
        GrpcPlatform(settings, {"nlu": SPEC}) as platform,
        grpc.aio.insecure_channel(platform.target) as channel,
    ):
        made = Stub(channel)
        for name in built_in_names():
            await made.UpdateSkill(pb.UpdateSkillRequest(manifest=built_in(name), idempotency_key="first"))
        yield made


def request(*texts: str, language: str = "en") -> pb.InterpretRequest:
    return pb.InterpretRequest(
        alternatives=[speech_pb2.SpeechAlternative(spoken_text=text) for text in texts],
        language_code=language,
        options=pb.UnderstandingOptions(dialogue_acts=True),
    )


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE.keys())
async def test_it_is_read_or_refused_and_harms_nobody(stub: Stub, text: str) -> None:
    began = time.perf_counter()
    answer = await stub.Interpret(request(text), timeout=10)
    assert time.perf_counter() - began < 2
    assert answer.interpretations
    for one in answer.interpretations:
        for slot in one.slots:
            whole = answer.texts[one.hypothesis_index]
            assert whole[slot.span.start : slot.span.end] == slot.text
    plain = await stub.Interpret(request(PLAIN), timeout=10)
    assert plain.interpretations[0].intent == "timers.set_timer"


async def test_thirty_hostile_alternatives_cost_little_more_than_one(stub: Stub) -> None:
    texts = list(HOSTILE.values())[:30]
    began = time.perf_counter()
    answer = await stub.Interpret(request(*texts), timeout=20)
    assert len(answer.texts) == 30
    assert time.perf_counter() - began < 10


async def test_what_looks_like_a_request_is_read_as_one(stub: Stub) -> None:
    for text in (
        "s\u0435t \u0430 tim\u0435r f\u043er five minut\u0435s",
        "ｓｅｔ　ａ　ｔｉｍｅｒ　ｆｏｒ　５　ｍｉｎｕｔｅｓ",
        "se\u200dt a ti\u00admer for ５ minutes",
    ):
        best = (await stub.Interpret(request(text), timeout=10)).interpretations[0]
        assert best.intent == "timers.set_timer", text
        (slot,) = [one for one in best.slots if one.value.HasField("duration")]
        assert slot.value.duration.seconds == 300


async def test_too_much_is_refused_at_once_while_others_are_served(stub: Stub) -> None:
    flood = [stub.Interpret(request("x" * 1_000_000), timeout=20) for _ in range(8)]
    began = time.perf_counter()
    plain = await stub.Interpret(request(PLAIN), timeout=10)
    assert plain.interpretations[0].intent == "timers.set_timer"
    assert time.perf_counter() - began < 3
    for call in flood:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await call
        assert caught.value.code() in {grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.RESOURCE_EXHAUSTED}
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await stub.Interpret(request("x" * 20_000_000), timeout=20)
    assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED


async def test_the_slowest_of_all_is_bounded(stub: Stub) -> None:
    """CPU of server and client together, as both are in this process."""
    spent = []
    for text in HOSTILE.values():
        for turned in (text[::-1], text[1:], text.upper()[:4_000], " ".join(text)[:4_000]):
            began = time.process_time()
            await stub.Interpret(request(turned), timeout=20)
            spent.append(time.process_time() - began)
    assert max(spent) < 0.5, sorted(spent)[-3:]
