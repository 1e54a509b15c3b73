"""The understanding service over a real channel, with the bundled model."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from datetime import UTC, datetime
from typing import Any

import grpc
import pytest
from google.rpc import error_details_pb2, status_pb2

from antiphon.nlu.v1 import understanding_pb2 as pb
from antiphon.nlu.v1 import understanding_pb2_grpc as pb_grpc
from antiphon.types.v1 import answer_pb2, capability_pb2, capability_pb2_grpc, context_pb2, speech_pb2
from services.nlu.app import SPEC
from services.runtime.platform import PlatformSettings, PoolSettings
from services.runtime.server import GrpcPlatform
from services.runtime.statuses import rich_status

pytestmark = pytest.mark.integration

Stub = pb_grpc.LanguageUnderstandingServiceStub
Streamed = pb.StreamingInterpretRequest
END = Streamed(end_of_input=pb.EndOfInput())


@pytest.fixture
async def channel() -> AsyncIterator[grpc.aio.Channel]:
    settings = PlatformSettings(port=0, pool_port=0, pools=(PoolSettings(name="nlu", capability="nlu"),))
    async with (
        GrpcPlatform(settings, {"nlu": SPEC}) as platform,
        grpc.aio.insecure_channel(platform.target) as channel,
    ):
        yield channel


@pytest.fixture
def stub(channel: grpc.aio.Channel) -> Stub:
    return Stub(channel)


def request(*texts: str, language: str = "en-US", **options: Any) -> pb.InterpretRequest:
    context = context_pb2.TurnContext(session=context_pb2.SessionContext(time_zone="Europe/Vienna"))
    context.now.FromDatetime(datetime(2026, 11, 20, 12, 0, tzinfo=UTC))
    return pb.InterpretRequest(
        alternatives=[speech_pb2.SpeechAlternative(spoken_text=text) for text in texts],
        language_code=language,
        context=context,
        options=pb.UnderstandingOptions(**options),
    )


def update(name: str, *texts: str, revision: int = 0, language: str = "") -> Streamed:
    bare = pb.InterpretRequest(
        alternatives=[speech_pb2.SpeechAlternative(spoken_text=text) for text in texts], language_code=language
    )
    return Streamed(update=pb.InterpretUpdate(request_id=name, revision=revision, request=bare))


def config(**fields: Any) -> Streamed:
    whole = request()
    return Streamed(config=pb.StreamingInterpretConfig(language_code="en", context=whole.context, **fields))


async def stream(stub: Stub, messages: Iterable[Streamed]) -> list[pb.StreamingInterpretResponse]:
    return [answer async for answer in stub.StreamingInterpret(iter(messages), timeout=20)]


def reason(status: status_pb2.Status | None) -> str:
    assert status is not None
    info = error_details_pb2.ErrorInfo()
    assert status.details[0].Unpack(info)
    return str(info.reason)


async def test_a_place_comes_with_its_zone_and_its_span(stub: Stub) -> None:
    response = await stub.Interpret(request("what time is it in Sa\u0303o Paulo"))
    best = response.interpretations[0]
    assert (best.intent, best.skill_id, best.out_of_scope) == ("clock.time", "clock", False)
    slot = best.slots[0]
    assert slot.value.place.time_zone == "America/Sao_Paulo"
    assert response.texts[0][slot.span.start : slot.span.end] == slot.text == "São Paulo"
    assert response.language_code == "en"
    assert best.models[0].model == "antiphon/intents-thin@1"
    assert best.models[0].digest.startswith("sha256:")
    assert best.models[0].pool == "nlu"
    assert 0 < response.elapsed.ToMilliseconds() + 1 < 1000


async def test_an_expression_a_day_and_something_out_of_scope(stub: Stub) -> None:
    compute = (await stub.Interpret(request("what is seven hundred and five divided by five"))).interpretations[0]
    assert compute.slots[0].value.expression.infix == "705 / 5"
    day = (await stub.Interpret(request("what's the date tomorrow"))).interpretations[0].slots[0].value.date
    assert (day.year, day.month, day.day) == (2026, 11, 21)
    other = await stub.Interpret(request("play some jazz"))
    assert other.interpretations[0].out_of_scope
    assert other.out_of_scope_score > 0.9


async def test_a_country_of_several_times_has_no_zone_but_alternatives(stub: Stub) -> None:
    slot = (await stub.Interpret(request("what time is it in the united states"))).interpretations[0].slots[0]
    assert (slot.value.place.region, slot.value.place.time_zone) == ("US", "")
    assert slot.alternatives[0].place.time_zone == "America/New_York"


async def test_acts_and_fallback_of_the_locale(stub: Stub) -> None:
    response = await stub.Interpret(request("ja bitte", language="de-AT", dialogue_acts=True))
    assert response.language_code == "de"
    assert response.dialogue_acts[0].type == answer_pb2.DIALOGUE_ACT_TYPE_AFFIRM


@pytest.mark.parametrize(
    ("asked", "code", "why"),
    [
        (request(), grpc.StatusCode.INVALID_ARGUMENT, "ALTERNATIVES_OUT_OF_RANGE"),
        (request(""), grpc.StatusCode.INVALID_ARGUMENT, "TEXT_EMPTY"),
        (request("x" * 1_000_000), grpc.StatusCode.INVALID_ARGUMENT, "TEXT_TOO_LONG"),
        (request("hi", language=""), grpc.StatusCode.INVALID_ARGUMENT, "LANGUAGE_TAG_MALFORMED"),
        (request("hi", max_interpretations=51), grpc.StatusCode.INVALID_ARGUMENT, "OPTION_OUT_OF_RANGE"),
        pytest.param(
            request("nuqneH", language="tlh", modes=["MODEL_MODE_FINETUNED", "MODEL_MODE_RULES"]),
            grpc.StatusCode.FAILED_PRECONDITION,
            "MODE_NOT_SERVED",
            id="a-language-that-nobody-was-trained-on",
        ),
        (request("hi", modes=["MODEL_MODE_ZERO_SHOT"]), grpc.StatusCode.FAILED_PRECONDITION, "MODE_NOT_SERVED"),
        (request("hi", model="acme/other@1"), grpc.StatusCode.FAILED_PRECONDITION, "MODEL_MISSING"),
        (
            request("hi", examples=[pb.LabelledExample(text="hi")], modes=["MODEL_MODE_RULES"]),
            grpc.StatusCode.FAILED_PRECONDITION,
            "IN_CONTEXT_NOT_SERVED",
        ),
    ],
)
async def test_bad_requests_have_a_clear_status(
    stub: Stub, asked: pb.InterpretRequest, code: grpc.StatusCode, why: str
) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await stub.Interpret(asked)
    assert caught.value.code() == code
    assert reason(rich_status(caught.value)) == why
    assert "xxx" not in (caught.value.details() or "")


async def test_a_date_outside_the_calendar_is_refused(stub: Stub) -> None:
    asked = request("what's the date tomorrow")
    asked.context.now.seconds = 253_402_300_000 - 1  # the last second of 9999
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await stub.Interpret(asked)
    assert caught.value.code() == grpc.StatusCode.INVALID_ARGUMENT


async def test_a_stream_answers_every_update(stub: Stub) -> None:
    messages = [
        config(options=pb.UnderstandingOptions(max_interpretations=1)),
        update("a", "what time"),
        update("a", "what time is it in tokyo", revision=1),
        update("b", ""),
        update("", "hi"),
        update("c", "wie spät ist es", language="de"),
        END,
    ]
    answers = await stream(stub, messages)
    assert answers[0].session_started.models[0].model == "antiphon/intents-thin@1"
    kinds = [(answer.request_id, answer.revision, answer.WhichOneof("event")) for answer in answers[1:]]
    assert kinds == [("a", 0, "result"), ("a", 1, "result"), ("b", 0, "error"), ("", 0, "error"), ("c", 0, "result")]
    place = answers[2].result.interpretations[0].slots[0].value.place
    assert (place.time_zone, len(answers[2].result.interpretations)) == ("Asia/Tokyo", 1)
    assert reason(answers[3].error) == "TEXT_EMPTY"
    assert answers[5].result.language_code == "de"


@pytest.mark.parametrize(
    ("messages", "why"),
    [
        ([update("a", "hi")], "CONFIG_MISSING"),
        ([END], "CONFIG_MISSING"),
        ([config(), config()], "CONFIG_TWICE"),
        ([config(), Streamed()], "MESSAGE_EMPTY"),
        ([config()], "END_MISSING"),
        ([Streamed(config=pb.StreamingInterpretConfig(language_code="!!"))], "LANGUAGE_TAG_MALFORMED"),
    ],
    ids=["update-first", "end-first", "config-twice", "empty", "no-end", "no-locale"],
)
async def test_streams_that_are_none_end_with_a_reason(stub: Stub, messages: list[Streamed], why: str) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await stream(stub, messages)
    assert reason(rich_status(caught.value)) == why


async def test_many_at_once(stub: Stub) -> None:
    answers = await asyncio.gather(*(stub.Interpret(request(f"what is {n} plus {n}")) for n in range(100)))
    infixes = [answer.interpretations[0].slots[0].value.expression.infix for answer in answers]
    assert infixes == [f"{n} + {n}" for n in range(100)]


async def test_describe_tells_what_it_is(channel: grpc.aio.Channel) -> None:
    stub = capability_pb2_grpc.CapabilityServiceStub(channel)
    described = await stub.Describe(capability_pb2.DescribeRequest())
    assert described.capability == "nlu"
    assert {"de", "en", "es", "fr", "it", "da", "zh", "mul"} <= set(described.locales)
    assert {"AddLocale", "UpdateSkill", "catalogues", "examples", "modes"} <= set(described.features)
    model = described.models[0]
    assert (model.model, model.backend, model.licence) == ("antiphon/intents-thin@1", "embedded", "Apache-2.0")
    assert model.size_bytes > 1_000_000
    assert {score.metric for score in model.scores} == {"intent_accuracy", "slot_f1"}
