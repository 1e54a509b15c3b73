"""The recognition service over a real channel, with a transducer small enough to be made here."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import grpc
import numpy as np
import pytest
import pytest_asyncio

from antiphon.asr.v1 import recognition_pb2 as pb
from antiphon.asr.v1 import recognition_pb2_grpc as pb_grpc
from antiphon.types.v1 import audio_pb2, capability_pb2, capability_pb2_grpc, speech_pb2
from services.asr.app import SPEC
from services.asr.engines.neural.engine import NeuralEngine
from services.asr.engines.readers import read_model
from services.asr.events import Final
from services.asr.requests import Endpointing, SessionConfig
from services.asr.settings import AsrSettings
from services.runtime.errors import FailedPrecondition
from services.runtime.model_store import MODELS_VARIABLE
from services.runtime.onnx import OnnxClient
from services.runtime.platform import PlatformSettings, PoolSettings
from services.runtime.server import GrpcPlatform
from tests.fixtures.synthetic_speech import quiet, spoken
from tests.fixtures.tiny_transducer import TinyBundle, tones

pytestmark = [pytest.mark.integration, pytest.mark.asyncio(loop_scope="module")]

MODEL = "tiny/tones@1"
PCM_16K = audio_pb2.AudioFormat(encoding=audio_pb2.AUDIO_ENCODING_LINEAR16, sample_rate_hertz=16_000)
Stub = pb_grpc.SpeechRecognitionServiceStub
Request = pb.StreamingRecognizeRequest
Response = pb.StreamingRecognizeResponse
BUNDLE = TinyBundle(dial=True, batching={"max_size": 16, "delay_ms": 1}, parameters={"least_budget": 0.25})


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("store")
    BUNDLE.write(folder / "tones")
    return folder


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def channel(store: Path) -> AsyncIterator[grpc.aio.Channel]:
    pool = PoolSettings(name="asr", capability="asr", settings={"models": {"en": MODEL}})
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(MODELS_VARIABLE, str(store))
        async with (
            GrpcPlatform(PlatformSettings(port=0, pool_port=0, pools=(pool,)), {"asr": SPEC}) as platform,
            grpc.aio.insecure_channel(platform.target) as channel,
        ):
            yield channel


def speech() -> bytes:
    """Two sentences, by which the detector knows speech, with tones, which are all that the model knows."""
    said = np.concatenate((spoken("what time is it in tokyo"), quiet(0.3), spoken("what day is it today"), quiet(1.0)))
    for begin, words in ((1.0, ["one", "three"]), (said.size / 16_000 - 2.6, ["two", "five"])):
        sound = tones(words, seconds=0.2, amplitude=0.3)
        at = round(begin * 16_000)
        said[at : at + sound.size] = said[at : at + sound.size] // 2 + sound
    return said.tobytes()


def config(**options: object) -> pb.RecognitionConfig:
    asked = pb.RecognitionOptions(
        endpointing=speech_pb2.EndpointingConfig(continuous=True),
        **options,  # type: ignore[arg-type]
    )
    return pb.RecognitionConfig(format=PCM_16K, language_codes=["en-GB"], options=asked)


async def streamed(channel: grpc.aio.Channel, audio: bytes, step: int = 3_200, **options: object) -> list[Response]:
    async def requests() -> AsyncIterator[Request]:
        yield Request(config=pb.StreamingRecognitionConfig(config=config(**options)))
        for at in range(0, len(audio), step):
            yield Request(audio=audio[at : at + step])
        yield Request(end_of_audio=pb.EndOfAudio())

    return [response async for response in Stub(channel).StreamingRecognize(requests(), timeout=60)]


def finals(responses: list[Response]) -> list[pb.RecognitionResult]:
    return [response.result for response in responses if response.HasField("result") and response.result.is_final]


async def in_process(store: Path, audio: bytes) -> list[str]:
    """What the same engine hears without a service around it."""
    models = BUNDLE.write(store / "tones")
    client = OnnxClient(models)
    engine = NeuralEngine([read_model(models.get(MODEL), client, AsrSettings())], client)
    await engine.start()
    session, _ = await engine.open(SessionConfig(MODEL, endpointing=Endpointing(continuous=True)))
    events = await session.feed(audio) + await session.finish()
    await session.close()
    await engine.close()
    return [event.alternatives[0].text for event in events if isinstance(event, Final)]


async def test_a_stream_hears_what_the_engine_hears_by_itself(channel: grpc.aio.Channel, store: Path) -> None:
    audio = speech()
    expected = await in_process(store, audio)
    assert expected == ["one three", "two five"]
    for step in (320, 3_200, 15_360):
        responses = await streamed(channel, audio, step, words=True, interim_results=True)
        found = finals(responses)
        assert [result.alternatives[0].spoken_text for result in found] == expected
        for result in found:
            (best,) = result.alternatives
            starts = [word.start_offset.ToNanoseconds() for word in best.words]
            assert starts == sorted(starts)
            assert [best.spoken_text[word.span.start : word.span.end] for word in best.words] == [
                word.text for word in best.words
            ]


async def test_the_dial_and_where_it_ran(channel: grpc.aio.Channel) -> None:
    responses = await streamed(channel, speech(), compute_budget=0.5)
    for result in finals(responses):
        assert result.compute_spent == pytest.approx(0.5)
        assert [(model.engine, model.backend, model.model) for model in result.models] == [
            ("transducer", "embedded", MODEL)
        ]
    stats = responses[-1].stats
    assert stats.compute_spent == pytest.approx(0.5)
    assert not stats.HasField("cpu_time")
    whole = await streamed(channel, speech())
    assert whole[-1].stats.compute_spent == pytest.approx(1.0)


async def test_a_budget_out_of_range_is_refused(channel: grpc.aio.Channel) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await Stub(channel).Recognize(pb.RecognizeRequest(config=config(compute_budget=1.5), audio=bytes(3_200)))
    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT


async def test_a_recording_with_alternatives_phrases_and_a_grammar(channel: grpc.aio.Channel) -> None:
    options = {
        "max_alternatives": 3,
        "biasing": speech_pb2.BiasingConfig(
            phrases=[speech_pb2.BiasingPhrase(text="one two", boost=2.0), speech_pb2.BiasingPhrase(text="ten")]
        ),
        "grammar": speech_pb2.PhraseGrammar(
            phrases=[speech_pb2.GrammarPhrase(text="three four"), speech_pb2.GrammarPhrase(text="six")]
        ),
    }
    response = await Stub(channel).Recognize(pb.RecognizeRequest(config=config(**options), audio=speech()))
    assert [each.text for each in response.biasing_report.unmatched] == ["ten"]
    assert [each.text for each in response.grammar_report.unmatched] == ["six"]
    assert response.grammar_report.accepted_count == 1
    for result in response.results:
        texts = [alternative.spoken_text for alternative in result.alternatives]
        assert 1 <= len(texts) <= 3
        assert len(set(texts)) == len(texts)


async def test_sessions_at_once_and_some_that_go_away(channel: grpc.aio.Channel) -> None:
    audio = speech()
    alone = [result.alternatives[0].spoken_text for result in finals(await streamed(channel, audio))]
    leaving = [asyncio.create_task(streamed(channel, audio * 20)) for _ in range(4)]
    await asyncio.sleep(0.1)
    staying = [asyncio.create_task(streamed(channel, audio)) for _ in range(8)]
    for task in leaving:
        task.cancel()
    for responses in await asyncio.gather(*staying):
        assert [result.alternatives[0].spoken_text for result in finals(responses)] == alone
    await asyncio.gather(*leaving, return_exceptions=True)


async def test_describe(channel: grpc.aio.Channel) -> None:
    described = await capability_pb2_grpc.CapabilityServiceStub(channel).Describe(capability_pb2.DescribeRequest())
    ((model),) = described.models
    assert (model.model, model.backend, model.engine) == (MODEL, "embedded", "transducer")
    assert model.size_bytes > 1_000
    assert any("compute_budget" in note for note in described.notes)
    assert list(described.locales) == ["en"]


async def test_models_of_two_engines_do_not_start(store: Path) -> None:
    settings = {"models": {"en": "antiphon/en-commands", "de": MODEL}}
    pool = PoolSettings(name="asr", capability="asr", settings=settings)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(MODELS_VARIABLE, str(store))
        with pytest.raises(FailedPrecondition) as refused:
            async with GrpcPlatform(PlatformSettings(port=0, pool_port=0, pools=(pool,)), {"asr": SPEC}):
                raise AssertionError("it started")
    assert refused.value.reason == "ENGINES_MIXED"
