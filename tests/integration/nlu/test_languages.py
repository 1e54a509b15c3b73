"""Many languages over a real channel: fallback, modes, examples of a request, and locales that are added."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.rpc import error_details_pb2

from antiphon.nlu.v1 import understanding_pb2 as pb
from antiphon.nlu.v1 import understanding_pb2_grpc as pb_grpc
from antiphon.types.v1 import provenance_pb2, speech_pb2, text_pb2, understanding_pb2
from services.nlu.app import SPEC
from services.runtime.platform import PlatformSettings, PoolSettings
from services.runtime.server import GrpcPlatform
from services.runtime.statuses import rich_status
from tests.fakes.skill_manifests import built_in

pytestmark = pytest.mark.integration

Stub = pb_grpc.LanguageUnderstandingServiceStub
MANY = "antiphon/intents-xsid@1"
LEXICON = {
    "set": ["zet"], "alarm": ["wekker"], "an": ["een"], "my": ["mijn"], "cancel": ["annuleer"], "timer": ["timer"],
    "minutes": ["minuten"], "start": ["start"], "the": ["de"], "what": ["welke"], "for": ["voor"], "delete": ["wis"],
}  # fmt: skip


@pytest.fixture
async def platform(tmp_path: Path) -> AsyncIterator[Stub]:
    settings = PlatformSettings(
        port=0, pool_port=0, state_dir=str(tmp_path), pools=(PoolSettings(name="nlu", capability="nlu"),)
    )
    async with (
        GrpcPlatform(settings, {"nlu": SPEC}) as running,
        grpc.aio.insecure_channel(running.target) as channel,
    ):
        stub = Stub(channel)
        timers = built_in("timers")
        await stub.UpdateSkill(pb.UpdateSkillRequest(manifest=timers, idempotency_key="timers"))
        yield stub


def asked(text: str, language: str, **options: Any) -> pb.InterpretRequest:
    return pb.InterpretRequest(
        alternatives=[speech_pb2.SpeechAlternative(spoken_text=text)],
        language_code=language,
        options=pb.UnderstandingOptions(**options),
    )


def new(key: str = "nl", **fields: Any) -> pb.AddLocaleRequest:
    entries = [pb.LexiconEntry(source=source, targets=targets) for source, targets in LEXICON.items()]
    return pb.AddLocaleRequest(**{"language_code": "nl", "lexicon": entries, "idempotency_key": key, **fields})


async def added(stub: Stub, request: pb.AddLocaleRequest) -> pb.AddLocaleResponse:
    async with asyncio.timeout(120):
        while True:
            answer = await stub.AddLocale(request)
            if answer.state != pb.UPDATE_STATE_RUNNING:
                return answer
            await asyncio.sleep(0.1)


def mode_of(models: Sequence[provenance_pb2.ModelProvenance], name: str) -> tuple[str, str]:
    (one,) = (one for one in models if one.model.startswith(name))
    return provenance_pb2.ModelMode.Name(one.mode).removeprefix("MODEL_MODE_"), one.locale


@pytest.mark.parametrize(
    ("text", "language", "served", "intent"),
    [
        ("sæt en alarm til klokken 7", "da-DK", "da", "timers.set_alarm"),
        ("sett på en alarm klokken 7", "nb", "no", "timers.set_alarm"),
        ("设置明天早上7点的闹钟", "zh-TW", "zh", "timers.set_alarm"),
        ("stell den Wecker auf 7 Uhr", "de-AT", "de", "timers.set_alarm"),
    ],
)
async def test_a_locale_falls_back_to_what_serves_it(
    platform: Stub, text: str, language: str, served: str, intent: str
) -> None:
    answer = await platform.Interpret(asked(text, language))
    assert answer.language_code == served
    assert answer.interpretations[0].intent == intent
    assert mode_of(answer.models, MANY) == ("FINETUNED", served)


async def test_a_language_that_was_never_trained_is_zero_shot_and_says_so(platform: Stub) -> None:
    answer = await platform.Interpret(asked("sätt ett alarm klockan 7", "sv"))
    assert answer.language_code == "mul"
    assert mode_of(answer.models, MANY) == ("ZERO_SHOT", "mul")
    greek = await platform.Interpret(asked("τι κάνεις σήμερα φίλε μου", "el"))
    assert greek.interpretations[0].out_of_scope


async def test_only_allowed_modes_read(platform: Stub) -> None:
    ruled = await platform.Interpret(asked("set an alarm", "en", modes=["MODEL_MODE_RULES"]))
    modes = {model.mode for model in ruled.interpretations[0].models}
    assert modes == {provenance_pb2.MODEL_MODE_RULES}
    trained = await platform.Interpret(asked("set an alarm", "en", modes=["MODEL_MODE_FINETUNED"]))
    assert provenance_pb2.MODEL_MODE_RULES not in {
        model.mode for model in trained.interpretations[0].models if "values" not in model.model
    }


async def test_examples_are_gone_by_and_called_what_they_are(platform: Stub) -> None:
    examples = [
        pb.LabelledExample(text="feed the cat", intent="pets.feed"),
        pb.LabelledExample(text="give the cat something to eat", intent="pets.feed"),
        pb.LabelledExample(text="water the plants", intent="garden.water"),
        pb.LabelledExample(
            text="water the roses",
            intent="garden.water",
            slots=[understanding_pb2.Slot(name="what", span=text_pb2.TextSpan(start=10, end=15))],
        ),
        pb.LabelledExample(text="how are you"),
    ]
    answer = await platform.Interpret(
        asked("please water the tulips", "en", examples=examples, modes=["MODEL_MODE_IN_CONTEXT"])
    )
    best = answer.interpretations[0]
    assert best.intent == "garden.water"
    assert mode_of(best.models, MANY) == ("IN_CONTEXT", "en")
    assert [(slot.name, slot.text) for slot in best.slots] == [("what", "tulips")]
    bare = await platform.Interpret(asked("please water the tulips", "en"))
    assert all(one.intent != "garden.water" for one in bare.interpretations)


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"examples": [pb.LabelledExample(text="hi", intent="a.b")] * 65}, "EXAMPLES_TOO_MANY"),
        ({"examples": [pb.LabelledExample(text="", intent="a.b")]}, "TEXT_EMPTY"),
        ({"examples": [pb.LabelledExample(text="hi", intent="nonsense")]}, "EXAMPLE_INVALID"),
        (
            {
                "examples": [
                    pb.LabelledExample(
                        text="hi",
                        intent="a.b",
                        slots=[understanding_pb2.Slot(name="x", span=text_pb2.TextSpan(start=1, end=9))],
                    )
                ]
            },
            "EXAMPLE_INVALID",
        ),
        ({"modes": ["MODEL_MODE_IN_CONTEXT"]}, "EXAMPLES_MISSING"),
        ({"modes": [99]}, "MODE_NOT_SERVED"),
        ({"latency_class": "LATENCY_CLASS_BEST"}, "LATENCY_CLASS_NOT_SERVED"),
        ({"latency_class": 99}, "LATENCY_CLASS_NOT_SERVED"),
    ],
)
async def test_bad_examples_have_a_clear_status(platform: Stub, options: dict[str, Any], why: str) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await platform.Interpret(asked("hi", "en", **options))
    assert reason(caught.value) == why


async def test_a_distilled_model_tells_what_it_was_made_of(platform: Stub) -> None:
    answer = await platform.Interpret(asked("set an alarm", "en", latency_class="LATENCY_CLASS_INTERACTIVE"))
    (model,) = (one for one in answer.models if one.model.startswith("antiphon/intents-en@"))
    assert model.lineage[0] == model.model.replace("intents-en@", "intents-en-teacher@")
    assert len(model.lineage) == 2
    assert model.latency_class == provenance_pb2.LATENCY_CLASS_INTERACTIVE


async def test_a_locale_is_added_while_others_are_served(platform: Stub) -> None:
    said = asked("annuleer mijn wekker", "nl")
    assert (await platform.AddLocale(new(validate_only=True))).state == pb.UPDATE_STATE_VALIDATED
    first = await platform.AddLocale(new())
    assert first.state == pb.UPDATE_STATE_RUNNING
    slowest = 0.0
    loop = asyncio.get_running_loop()
    while (answer := await platform.AddLocale(new())).state == pb.UPDATE_STATE_RUNNING:
        begun = loop.time()
        await platform.Interpret(asked("what time is it", "en"))
        slowest = max(slowest, loop.time() - begun)
    assert answer.state == pb.UPDATE_STATE_SERVING
    assert slowest < 2.0
    assert 0.1 < answer.lexicon_coverage < 1
    assert answer.model.model.startswith("antiphon/locale-nl@")
    assert answer.model.mode == provenance_pb2.MODEL_MODE_ZERO_SHOT
    assert any("cannot answer" in warning for warning in answer.warnings)
    made = await platform.Interpret(said)
    assert made.interpretations[0].intent == "timers.cancel_alarm"
    assert mode_of(made.models, "antiphon/locale-nl@") == ("ZERO_SHOT", "nl")
    assert (await added(platform, new())).model == answer.model


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"language_code": "!!"}, "LANGUAGE_TAG_MALFORMED"),
        ({"language_code": "de-CH"}, "LOCALE_SERVED"),
        ({"lexicon": []}, "LEXICON_EMPTY"),
        ({"lexicon": [pb.LexiconEntry(source="x" * 1000, targets=["y"])]}, "LEXICON_INVALID"),
        ({"lexicon": [pb.LexiconEntry(source="x", targets=["y"] * 1000)]}, "LEXICON_INVALID"),
        ({"source_language_code": "fi"}, "SOURCE_UNKNOWN"),
        ({"idempotency_key": ""}, "KEY_INVALID"),
    ],
)
async def test_locales_that_cannot_be_added_say_why(platform: Stub, fields: dict[str, Any], why: str) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await platform.AddLocale(new(**fields))
    assert reason(caught.value) == why


def reason(error: grpc.aio.AioRpcError) -> str:
    status = rich_status(error)
    assert status is not None
    info = error_details_pb2.ErrorInfo()
    assert status.details[0].Unpack(info)
    return str(info.reason)
