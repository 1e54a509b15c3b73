"""The activation service over a real channel, with the real voice activity detector in its process."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Iterable

import grpc
import numpy as np
import pytest
from google.rpc import error_details_pb2, status_pb2

from antiphon.activation.v1 import activation_pb2 as pb
from antiphon.activation.v1 import activation_pb2_grpc as pb_grpc
from antiphon.types.v1 import audio_pb2, capability_pb2, capability_pb2_grpc
from services.activation.app import SPEC
from services.activation.engines.silero import SileroVoiceActivity
from services.runtime.audio import Pcm, Resampler
from services.runtime.errors import WorkerLost
from services.runtime.platform import PlatformSettings, PoolSettings
from services.runtime.server import GrpcPlatform
from services.tts.engines import Prosody
from services.tts.engines.espeak import EspeakEngine

pytestmark = pytest.mark.integration

PCM_16K = audio_pb2.AudioFormat(encoding=audio_pb2.AUDIO_ENCODING_LINEAR16, sample_rate_hertz=16_000)
Stub = pb_grpc.ActivationServiceStub
Request = pb.StreamingDetectRequest
END = Request(end_of_audio=pb.EndOfAudio())


@pytest.fixture
async def channel() -> AsyncIterator[grpc.aio.Channel]:
    pool = PoolSettings(name="activation", capability="activation", settings={"workers": 1})
    settings = PlatformSettings(port=0, pool_port=0, pools=(pool,))
    async with (
        GrpcPlatform(settings, {"activation": SPEC}) as platform,
        grpc.aio.insecure_channel(platform.target) as channel,
    ):
        yield channel


@pytest.fixture
def stub(channel: grpc.aio.Channel) -> Stub:
    return Stub(channel)


async def spoken(text: str) -> Pcm:
    """`text` by espeak-ng at 16 kHz."""
    engine = EspeakEngine(workers=1)
    await engine.start()
    voice = next(voice for voice in engine.voices if voice.language == "en-US")
    chunks = [chunk.pcm async for chunk in engine.speak(text, voice, Prosody())]
    await engine.close()
    return Resampler(22_050, 16_000).feed(np.frombuffer(b"".join(chunks), "<i2"))


def config(**fields: object) -> Request:
    return Request(config=pb.DetectionConfig(format=PCM_16K, **fields))  # type: ignore[arg-type]


def audio(pcm: Pcm, step: int = 1600) -> list[Request]:
    return [Request(audio=pcm[start : start + step].tobytes()) for start in range(0, pcm.size, step)]


async def run(stub: Stub, requests: Iterable[Request], *, close: bool = True) -> list[pb.StreamingDetectResponse]:
    """`close=False` where the last message is to be refused: grpc.aio loses the status when more is written."""
    call = stub.StreamingDetect()
    for request in requests:
        await call.write(request)
    if close:
        await call.done_writing()
    responses: list[pb.StreamingDetectResponse] = []
    while isinstance(response := await asyncio.wait_for(call.read(), 5), pb.StreamingDetectResponse):
        responses.append(response)
    return responses


def reason(error: grpc.aio.AioRpcError) -> str:
    details = dict(error.trailing_metadata() or ())["grpc-status-details-bin"]
    info = error_details_pb2.ErrorInfo()
    assert status_pb2.Status.FromString(bytes(details)).details[0].Unpack(info)
    return str(info.reason)


async def test_speech_between_noise_is_found(stub: Stub) -> None:
    noise = np.random.default_rng(2).normal(0, 60, 3 * 16_000).astype(np.int16)
    speech = await spoken("Please tell me what time it is in Paris.")
    pcm = np.concatenate((noise[:16_000], speech, noise[16_000:]))
    wanted = config(speech_activity=True, acoustic_events=pb.AcousticEventConfig())
    responses = await run(stub, [wanted, *audio(pcm), END])
    kinds = [response.WhichOneof("event") for response in responses]
    assert (kinds[0], kinds[-1]) == ("session_started", "stats")
    found = [response.speech_activity for response in responses if response.HasField("speech_activity")]
    assert [activity.is_speech for activity in found] == [True, False]
    starts, ends = (activity.offset.ToNanoseconds() / 1e9 for activity in found)
    assert starts == pytest.approx(1.0, abs=0.15)
    assert ends == pytest.approx(1.0 + speech.size / 16_000, abs=0.6)
    onsets = [response.acoustic_event for response in responses if response.HasField("acoustic_event")]
    assert onsets[0].span.start_offset.ToNanoseconds() / 1e9 == pytest.approx(1.0, abs=0.1)
    assert "audio_acknowledged" in kinds
    assert responses[-1].received_audio_offset.ToNanoseconds() / 1e9 == pytest.approx(pcm.size / 16_000)


async def test_noise_alone_is_not_speech(stub: Stub) -> None:
    noise = np.random.default_rng(3).normal(0, 3000, 3 * 16_000).astype(np.int16)
    responses = await run(stub, [config(speech_activity=True), *audio(noise), END])
    assert not any(response.HasField("speech_activity") for response in responses)


async def test_describe_says_what_is_missing(channel: grpc.aio.Channel) -> None:
    described = await capability_pb2_grpc.CapabilityServiceStub(channel).Describe(capability_pb2.DescribeRequest())
    assert any("WAKE_WORD_MODEL_MISSING" in note for note in described.notes)
    assert [model.backend for model in described.models] == ["process", "rules"]


async def test_a_wake_word_cannot_be_verified(stub: Stub) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await stub.VerifyWakeWord(pb.VerifyWakeWordRequest(phrase="computer"))
    assert (caught.value.code().name, reason(caught.value)) == ("FAILED_PRECONDITION", "WAKE_WORD_MODEL_MISSING")


SILENCE = Request(audio=bytes(3200))
OPUS = audio_pb2.AudioFormat(encoding=audio_pb2.AUDIO_ENCODING_OGG_OPUS, sample_rate_hertz=48_000)
BAD_INPUT: list[tuple[list[Request], str, str]] = [
    ([], "INVALID_ARGUMENT", "CONFIG_MISSING"),
    ([SILENCE], "INVALID_ARGUMENT", "CONFIG_MISSING"),
    ([config(), config()], "INVALID_ARGUMENT", "CONFIG_TWICE"),
    ([config(), Request(audio=b"abc")], "INVALID_ARGUMENT", "ODD_AUDIO_BYTES"),
    ([config(), Request(audio=bytes(16 * 1024))], "INVALID_ARGUMENT", "AUDIO_CHUNK_TOO_LARGE"),
    ([config(), SILENCE], "INVALID_ARGUMENT", "END_MISSING"),
    ([Request(config=pb.DetectionConfig(format=OPUS))], "INVALID_ARGUMENT", "UNSUPPORTED_ENCODING"),
    ([config(wake_words=[pb.WakeWordConfig(phrase="x")])], "FAILED_PRECONDITION", "WAKE_WORD_MODEL_MISSING"),
    ([config(model="a/b@1")], "FAILED_PRECONDITION", "MODEL_MISSING"),
    ([config(resume_token="t")], "NOT_FOUND", "RESUME_TOKEN_UNKNOWN"),
]


@pytest.mark.parametrize(
    ("requests", "code", "expected"), BAD_INPUT, ids=[f"{i}-{case[2]}" for i, case in enumerate(BAD_INPUT)]
)
async def test_bad_input(stub: Stub, requests: list[Request], code: str, expected: str) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await run(stub, requests, close=expected in ("END_MISSING", "CONFIG_MISSING"))
    assert (caught.value.code().name, reason(caught.value)) == (code, expected)


async def test_sessions_do_not_share_state_and_a_killed_process_is_a_typed_error() -> None:
    engine = SileroVoiceActivity(workers=1)
    await engine.start()
    speech = await spoken("One two three four five six seven.")
    speech = speech[: speech.size // 512 * 512]
    alone = engine.open()
    expected = await alone.probabilities(speech)
    await alone.close()
    first, second = engine.open(), engine.open()
    noise = np.random.default_rng(4).normal(0, 3000, speech.size).astype(np.int16)
    found, _ = await asyncio.gather(first.probabilities(speech), second.probabilities(noise))
    assert found == pytest.approx(expected, abs=1e-5)
    assert max(found) > 0.8
    os.kill(engine.pool.stats()[0].pid, signal.SIGKILL)
    with pytest.raises(WorkerLost):
        await first.probabilities(speech)
    await engine.close()
