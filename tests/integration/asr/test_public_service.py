"""The recognition service with recognisers as others publish them: a transducer, and CTC models of three kinds."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import grpc
import numpy as np
import pytest

from antiphon.asr.v1 import recognition_pb2 as pb
from antiphon.asr.v1 import recognition_pb2_grpc as pb_grpc
from antiphon.types.v1 import audio_pb2, capability_pb2, capability_pb2_grpc, speech_pb2
from services.asr.app import SPEC
from services.asr.engines.neural.engine import NeuralEngine
from services.asr.engines.published.importing import import_public
from services.asr.engines.readers import read_model
from services.asr.events import Final
from services.asr.requests import Endpointing, SessionConfig
from services.asr.settings import AsrSettings
from services.runtime.model_store import MODELS_VARIABLE, ModelStore
from services.runtime.onnx import OnnxClient
from services.runtime.platform import PlatformSettings, PoolSettings
from services.runtime.server import GrpcPlatform
from tests.fixtures import public_models
from tests.fixtures.synthetic_speech import quiet, spoken

pytestmark = pytest.mark.integration

MODEL = "them/model@1"
_AROUND = 800_000_000  # nanoseconds
PCM_16K = audio_pb2.AudioFormat(encoding=audio_pb2.AUDIO_ENCODING_LINEAR16, sample_rate_hertz=16_000)
FAMILIES: dict[str, Callable[[Path], Path]] = {
    "transducer": public_models.zipformer2,
    "zipformer2_ctc": public_models.zipformer2_ctc,
    "wenet_ctc": public_models.wenet_ctc,
    "nemo_ctc": public_models.nemo_ctc,
}


@pytest.fixture(params=FAMILIES)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    folder = FAMILIES[request.param](tmp_path / "published")
    out = tmp_path / "store"
    import_public(folder, publisher="them", name="model", version="1", licence="none", locales=["en"], out=out)
    return out


@pytest.fixture
async def channel(store: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[grpc.aio.Channel]:
    monkeypatch.setenv(MODELS_VARIABLE, str(store))
    pool = PoolSettings(name="asr", capability="asr", settings={"models": {"en": MODEL}, "beam": 1})
    async with (
        GrpcPlatform(PlatformSettings(port=0, pool_port=0, pools=(pool,)), {"asr": SPEC}) as platform,
        grpc.aio.insecure_channel(platform.target) as opened,
    ):
        yield opened


def speech() -> bytes:
    said = (spoken("what time is it in tokyo"), quiet(0.6), spoken("what day is it today"), quiet(1.0))
    return np.concatenate(said).tobytes()


async def streamed(channel: grpc.aio.Channel, audio: bytes, step: int = 3_200) -> list[pb.RecognitionResult]:
    """The finals."""
    asked = pb.RecognitionOptions(
        endpointing=speech_pb2.EndpointingConfig(continuous=True), words=True, interim_results=True
    )
    config = pb.RecognitionConfig(format=PCM_16K, language_codes=["en"], options=asked)

    async def requests() -> AsyncIterator[pb.StreamingRecognizeRequest]:
        yield pb.StreamingRecognizeRequest(config=pb.StreamingRecognitionConfig(config=config))
        for at in range(0, len(audio), step):
            yield pb.StreamingRecognizeRequest(audio=audio[at : at + step])
        yield pb.StreamingRecognizeRequest(end_of_audio=pb.EndOfAudio())

    stub = pb_grpc.SpeechRecognitionServiceStub(channel)
    responses = [response async for response in stub.StreamingRecognize(requests(), timeout=30)]
    return [response.result for response in responses if response.HasField("result") and response.result.is_final]


async def by_itself(store: Path, audio: bytes) -> list[str]:
    """What the engine hears without a service around it."""
    models = ModelStore([store])
    client = OnnxClient(models)
    engine = NeuralEngine([read_model(models.get(MODEL), client, AsrSettings(beam=1))], client)
    await engine.start()
    session, _ = await engine.open(SessionConfig(MODEL, endpointing=Endpointing(continuous=True)))
    events = await session.feed(audio) + await session.finish()
    await session.close()
    await engine.close()
    return [event.alternatives[0].text for event in events if isinstance(event, Final)]


async def test_a_published_recogniser_serves_streams(channel: grpc.aio.Channel, store: Path) -> None:
    audio = speech()
    expected = await by_itself(store, audio)
    assert len(expected) >= 2
    assert all(expected)
    together = await asyncio.gather(*(streamed(channel, audio, step) for step in (1_000, 3_200, 15_360)))
    for finals in together:
        assert [result.alternatives[0].spoken_text for result in finals] == expected
        for result in finals:
            begin, end = (time.ToNanoseconds() for time in (result.start_offset, result.result_end_offset))
            (best,) = result.alternatives
            times = [(word.start_offset.ToNanoseconds(), word.end_offset.ToNanoseconds()) for word in best.words]
            assert times == sorted(times)
            # Weights drawn at random hear things in the silence before the first and after the last sound too.
            assert all(begin - _AROUND <= first <= last <= end + _AROUND for first, last in times)
            assert all(0.0 <= word.confidence <= 1.0 for word in best.words)


async def test_describe_tells_what_it_is(channel: grpc.aio.Channel, store: Path) -> None:
    described = await capability_pb2_grpc.CapabilityServiceStub(channel).Describe(capability_pb2.DescribeRequest())
    ((model),) = described.models
    engine = ModelStore([store]).get(MODEL).parameters["engine"]
    assert (model.model, model.backend, model.engine) == (MODEL, "embedded", engine)


async def test_alternatives_of_a_recording_are_distinct(channel: grpc.aio.Channel) -> None:
    config = pb.RecognitionConfig(
        format=PCM_16K, language_codes=["en"], options=pb.RecognitionOptions(max_alternatives=3)
    )
    stub = pb_grpc.SpeechRecognitionServiceStub(channel)
    response = await stub.Recognize(pb.RecognizeRequest(config=config, audio=speech()))
    assert response.results
    for result in response.results:
        texts = [alternative.spoken_text for alternative in result.alternatives]
        assert 2 <= len(texts) <= 3
        assert len(texts) == len(set(texts))
