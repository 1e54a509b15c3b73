"""The recognition service over a real channel, with pocketsphinx in its workers."""

from __future__ import annotations

import asyncio
import io
import time
from collections.abc import AsyncIterator, Iterable

import grpc
import numpy as np
import pytest
import pytest_asyncio
import soundfile
from google.protobuf.duration_pb2 import Duration
from google.rpc import error_details_pb2, status_pb2

from antiphon.asr.v1 import recognition_pb2 as pb
from antiphon.asr.v1 import recognition_pb2_grpc as pb_grpc
from antiphon.types.v1 import audio_pb2, capability_pb2, capability_pb2_grpc, speech_pb2
from services.asr.app import SPEC
from services.runtime.audio import AudioFormat, Encoding, Pcm, PcmEncoder, encode_mulaw
from services.runtime.platform import PlatformSettings, PoolSettings
from services.runtime.server import GrpcPlatform
from tests.fixtures.synthetic_speech import quiet, spoken

pytestmark = [pytest.mark.integration, pytest.mark.asyncio(loop_scope="module")]

PCM_16K = audio_pb2.AudioFormat(encoding=audio_pb2.AUDIO_ENCODING_LINEAR16, sample_rate_hertz=16_000)
Stub = pb_grpc.SpeechRecognitionServiceStub
Request = pb.StreamingRecognizeRequest
Response = pb.StreamingRecognizeResponse
END = Request(end_of_audio=pb.EndOfAudio())
TOKYO = "what time is it in tokyo"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def channel() -> AsyncIterator[grpc.aio.Channel]:
    pool = PoolSettings(name="asr", capability="asr", settings={"workers": 1})
    settings = PlatformSettings(port=0, pool_port=0, pools=(pool,))
    async with (
        GrpcPlatform(settings, {"asr": SPEC}) as platform,
        grpc.aio.insecure_channel(platform.target) as channel,
    ):
        yield channel


@pytest.fixture
def stub(channel: grpc.aio.Channel) -> Stub:
    return Stub(channel)


def recognition(**options: object) -> pb.RecognitionConfig:
    return pb.RecognitionConfig(
        format=PCM_16K,
        language_codes=["en-US"],
        options=pb.RecognitionOptions(**options),  # type: ignore[arg-type]
    )


def config(**options: object) -> Request:
    return Request(config=pb.StreamingRecognitionConfig(config=recognition(**options)))


def continuous(**fields: object) -> speech_pb2.EndpointingConfig:
    return speech_pb2.EndpointingConfig(continuous=True, **fields)  # type: ignore[arg-type]


def audio(pcm: Pcm, step: int = 1_600) -> list[Request]:
    return [Request(audio=pcm[start : start + step].tobytes()) for start in range(0, pcm.size, step)]


async def run(stub: Stub, requests: Iterable[Request], *, close: bool = True) -> list[Response]:
    """`close=False` where the last message is to be refused: grpc.aio loses the status when more is written."""
    call = stub.StreamingRecognize()
    for request in requests:
        await call.write(request)
    if close:
        await call.done_writing()
    responses: list[Response] = []
    while isinstance(response := await asyncio.wait_for(call.read(), 10), Response):
        responses.append(response)
    return responses


def seconds(duration: Duration) -> float:
    return duration.ToNanoseconds() / 1e9


def finals(responses: Iterable[Response]) -> list[pb.RecognitionResult]:
    return [response.result for response in responses if response.HasField("result") and response.result.is_final]


def endpoints(responses: Iterable[Response]) -> list[str]:
    names = speech_pb2.EndpointReason.Name
    return [
        names(response.endpoint.reason).removeprefix("ENDPOINT_REASON_")
        for response in responses
        if response.HasField("endpoint")
    ]


def reason(error: grpc.aio.AioRpcError) -> str:
    details = dict(error.trailing_metadata() or ())["grpc-status-details-bin"]
    info = error_details_pb2.ErrorInfo()
    assert status_pb2.Status.FromString(bytes(details)).details[0].Unpack(info)
    return str(info.reason)


async def test_a_command_from_first_partial_to_stats(stub: Stub) -> None:
    pcm = spoken(TOKYO)
    asked = config(interim_results=True, words=True, speech_activity=True, endpointing=continuous())
    responses = await run(stub, [asked, *audio(pcm), END])
    kinds = [response.WhichOneof("event") for response in responses]
    assert (kinds[0], kinds[-1]) == ("session_started", "stats")
    assert responses[0].session_started.language_code == "en"
    (final,) = finals(responses)
    best = final.alternatives[0]
    assert (best.spoken_text, best.display_text) == (TOKYO, TOKYO)
    assert 0 < best.confidence <= 1
    assert [TOKYO[word.span.start : word.span.end] for word in best.words] == TOKYO.split()
    assert final.models[0].model == "antiphon/en-commands@2"
    assert final.models[0].digest.startswith("sha256:")
    partials = [response.result for response in responses if response.HasField("result")][:-1]
    assert len({partial.revision for partial in partials}) >= 3
    assert endpoints(responses) == ["SILENCE"]
    assert [response.speech_activity.is_speech for response in responses if response.HasField("speech_activity")] == [
        True,
        False,
    ]
    offsets = [seconds(response.received_audio_offset) for response in responses]
    assert offsets == sorted(offsets)
    stats = responses[-1].stats
    assert seconds(stats.audio_duration) == pytest.approx(pcm.size / 16_000)
    assert stats.utterance_count == 1
    assert 0 < seconds(stats.cpu_time) < pcm.size / 16_000


async def test_without_continuous_the_first_endpoint_ends_the_stream(stub: Stub) -> None:
    call = stub.StreamingRecognize()
    await call.write(config())
    for request in audio(np.concatenate((spoken(TOKYO), quiet(0.5)))):
        await call.write(request)
    responses: list[Response] = []
    while isinstance(response := await asyncio.wait_for(call.read(), 10), Response):
        responses.append(response)
    assert await call.code() is grpc.StatusCode.OK
    assert [result.alternatives[0].spoken_text for result in finals(responses)] == [TOKYO]
    assert responses[-1].HasField("stats")


async def test_utterances_are_numbered(stub: Stub) -> None:
    pcm = np.concatenate((spoken(TOKYO), spoken("what is twelve times nine")))
    responses = await run(stub, [config(endpointing=continuous()), *audio(pcm), END])
    assert [(result.utterance_index, result.alternatives[0].spoken_text) for result in finals(responses)] == [
        (0, TOKYO),
        (1, "what is twelve times nine"),
    ]


async def test_finalize_and_new_settings_mid_stream(stub: Stub) -> None:
    speech = spoken(TOKYO)
    patient = pb.RecognitionControl(
        update_endpointing=continuous(end_silence=Duration(seconds=4), start_timeout=Duration(seconds=30))
    )
    finalize = pb.RecognitionControl(finalize=pb.Finalize())
    asked = [
        config(endpointing=continuous()),
        *audio(speech[:8_000]),
        Request(control=patient),
        *audio(np.concatenate((speech[8_000:], quiet(1.0)))),
        Request(control=finalize),
        Request(control=finalize),
        END,
    ]
    responses = await run(stub, asked)
    assert endpoints(responses) == ["CLIENT", "CLIENT"]
    assert [result.alternatives[0].spoken_text for result in finals(responses)] == [TOKYO]


async def test_biasing_is_reported(stub: Stub) -> None:
    biasing = speech_pb2.BiasingConfig(
        phrases=[speech_pb2.BiasingPhrase(text="tokyo"), speech_pb2.BiasingPhrase(text="xyzzy")],
        catalogues=["contacts"],
    )
    control = Request(control=pb.RecognitionControl(update_biasing=biasing))
    responses = await run(
        stub, [config(biasing=biasing, endpointing=continuous()), *audio(quiet(0.5)), control, *audio(quiet(0.5)), END]
    )
    reports = [response.biasing_report for response in responses if response.HasField("biasing_report")]
    assert len(reports) == 2
    for report in reports:
        assert report.accepted_count == 1
        assert [(each.text, each.reason) for each in report.unmatched] == [
            ("xyzzy", "OUT_OF_VOCABULARY"),
            ("contacts", "UNKNOWN_CATALOGUE"),
        ]


async def test_silence_alone_is_an_endpoint_and_acknowledgements(stub: Stub) -> None:
    responses = await run(stub, [config(endpointing=continuous()), *audio(quiet(3.5)), END])
    kinds = [response.WhichOneof("event") for response in responses]
    assert kinds == ["session_started", *["audio_acknowledged"] * 3, "endpoint", "stats"]
    assert endpoints(responses) == ["NO_SPEECH"]


async def test_one_byte_chunks_of_mulaw(stub: Stub) -> None:
    data = encode_mulaw(spoken("what day is it today"))
    asked = recognition(endpointing=continuous())
    asked.format.encoding = audio_pb2.AUDIO_ENCODING_MULAW
    first = Request(config=pb.StreamingRecognitionConfig(config=asked))
    bytewise = [Request(audio=data[at : at + 1]) for at in range(4_000)]
    rest = [Request(audio=data[at : at + 1_600]) for at in range(4_000, len(data), 1_600)]
    responses = await run(stub, [first, *bytewise, *rest, END])
    assert [result.alternatives[0].spoken_text for result in finals(responses)] == ["what day is it today"]


async def test_recognize_a_recording(stub: Stub) -> None:
    pcm = np.concatenate((spoken(TOKYO), spoken("what is twelve times nine")))
    response = await stub.Recognize(
        pb.RecognizeRequest(config=recognition(max_alternatives=3, words=True), audio=pcm.tobytes())
    )
    assert [result.alternatives[0].spoken_text for result in response.results] == [TOKYO, "what is twelve times nine"]
    assert all(result.is_final and result.alternatives[0].words for result in response.results)
    assert seconds(response.stats.audio_duration) == pytest.approx(pcm.size / 16_000)


@pytest.mark.parametrize("rate_hz", [8_000, 11_025, 22_050, 44_100, 48_000])
async def test_any_rate_in_streams(stub: Stub, rate_hz: int) -> None:
    source = AudioFormat(Encoding.LINEAR16, rate_hz)
    encoder = PcmEncoder(source, 16_000)
    data = encoder.feed(spoken(TOKYO)) + encoder.finish()
    asked = recognition(endpointing=continuous())
    asked.format.sample_rate_hertz = rate_hz
    first = Request(config=pb.StreamingRecognitionConfig(config=asked))
    pieces = [Request(audio=data[at : at + 3_000]) for at in range(0, len(data), 3_000)]
    responses = await run(stub, [first, *pieces, END])
    texts = [result.alternatives[0].spoken_text for result in finals(responses)]
    assert texts == [TOKYO]
    assert seconds(responses[-1].stats.audio_duration) == pytest.approx(len(data) / 2 / rate_hz)


@pytest.mark.parametrize(("encoding", "name"), [("WAV", "WAV"), ("FLAC", "FLAC")])
@pytest.mark.parametrize("rate_hz", [16_000, 44_100])
async def test_recognize_a_file(stub: Stub, encoding: str, name: str, rate_hz: int) -> None:
    encoder = PcmEncoder(AudioFormat(Encoding.LINEAR16, rate_hz), 16_000)
    pcm = np.frombuffer(encoder.feed(spoken(TOKYO)) + encoder.finish(), "<i2")
    out = io.BytesIO()
    soundfile.write(out, pcm, rate_hz, format=name)
    asked = recognition()
    asked.format.CopyFrom(audio_pb2.AudioFormat(encoding=audio_pb2.AudioEncoding.Value(f"AUDIO_ENCODING_{encoding}")))
    response = await stub.Recognize(pb.RecognizeRequest(config=asked, audio=out.getvalue()))
    assert [result.alternatives[0].spoken_text for result in response.results] == [TOKYO]
    assert seconds(response.stats.audio_duration) == pytest.approx(pcm.size / rate_hz)


async def test_a_file_that_is_none(stub: Stub) -> None:
    asked = recognition()
    asked.format.CopyFrom(audio_pb2.AudioFormat(encoding=audio_pb2.AUDIO_ENCODING_FLAC))
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await stub.Recognize(pb.RecognizeRequest(config=asked, audio=b"fLaC" + bytes(2_000)))
    assert (caught.value.code().name, reason(caught.value)) == ("INVALID_ARGUMENT", "AUDIO_UNREADABLE")


async def test_cancelled_streams_leave_no_session_and_cost_nothing_more(stub: Stub) -> None:
    calls = [stub.StreamingRecognize() for _ in range(5)]
    for call in calls:
        await call.write(config(interim_results=True))
        for request in audio(spoken(TOKYO))[:15]:
            await call.write(request)
    for call in calls:
        call.cancel()
    begin = time.monotonic()
    responses = await run(stub, [config(endpointing=continuous()), *audio(spoken(TOKYO)), END])
    assert [result.alternatives[0].spoken_text for result in finals(responses)] == [TOKYO]
    assert time.monotonic() - begin < 5


async def test_describe(channel: grpc.aio.Channel) -> None:
    described = await capability_pb2_grpc.CapabilityServiceStub(channel).Describe(capability_pb2.DescribeRequest())
    assert "en" in described.locales
    served = {(model.model, model.backend, model.engine) for model in described.models}
    assert ("antiphon/en-commands@2", "process", "pocketsphinx") in served
    assert list(described.features) == sorted(described.features)


SILENCE = Request(audio=bytes(3_200))
OPUS = audio_pb2.AudioFormat(encoding=audio_pb2.AUDIO_ENCODING_OGG_OPUS, sample_rate_hertz=48_000)


def with_format(given: audio_pb2.AudioFormat) -> Request:
    asked = pb.RecognitionConfig(format=given, language_codes=["en"])
    return Request(config=pb.StreamingRecognitionConfig(config=asked))


def with_languages(*codes: str) -> Request:
    asked = pb.RecognitionConfig(format=PCM_16K, language_codes=codes)
    return Request(config=pb.StreamingRecognitionConfig(config=asked))


BAD_INPUT: list[tuple[list[Request], str, str]] = [
    ([], "INVALID_ARGUMENT", "CONFIG_MISSING"),
    ([SILENCE], "INVALID_ARGUMENT", "CONFIG_MISSING"),
    ([config(), config()], "INVALID_ARGUMENT", "CONFIG_TWICE"),
    ([config(), Request(audio=b"abc")], "INVALID_ARGUMENT", "ODD_AUDIO_BYTES"),
    ([config(), Request(audio=bytes(16 * 1024))], "INVALID_ARGUMENT", "AUDIO_CHUNK_TOO_LARGE"),
    ([config(), SILENCE], "INVALID_ARGUMENT", "END_MISSING"),
    ([config(), END], "INVALID_ARGUMENT", "NO_AUDIO"),
    ([config(), Request()], "INVALID_ARGUMENT", "MESSAGE_EMPTY"),
    ([config(), Request(control=pb.RecognitionControl())], "INVALID_ARGUMENT", "MESSAGE_EMPTY"),
    (
        [with_format(audio_pb2.AudioFormat(encoding=audio_pb2.AUDIO_ENCODING_WAV))],
        "INVALID_ARGUMENT",
        "UNSUPPORTED_ENCODING",
    ),
    ([with_format(OPUS)], "INVALID_ARGUMENT", "UNSUPPORTED_ENCODING"),
    (
        [with_format(audio_pb2.AudioFormat(encoding=audio_pb2.AUDIO_ENCODING_LINEAR16, sample_rate_hertz=4_000))],
        "INVALID_ARGUMENT",
        "UNSUPPORTED_SAMPLE_RATE",
    ),
    ([with_languages()], "INVALID_ARGUMENT", "LANGUAGE_MISSING"),
    ([with_languages("no language")], "INVALID_ARGUMENT", "LANGUAGE_TAG_MALFORMED"),
    ([with_languages("ja")], "FAILED_PRECONDITION", "LOCALE_NOT_SUPPORTED"),
    ([config(model="a/b@1")], "FAILED_PRECONDITION", "MODEL_MISSING"),
    ([config(max_alternatives=31)], "INVALID_ARGUMENT", "ALTERNATIVES_OUT_OF_RANGE"),
    ([config(compute_budget=2.0)], "INVALID_ARGUMENT", "COMPUTE_BUDGET_OUT_OF_RANGE"),
    ([config(profanity_filter=True)], "FAILED_PRECONDITION", "FEATURE_MISSING"),
    (
        [config(endpointing=continuous(end_silence=Duration(seconds=60)))],
        "INVALID_ARGUMENT",
        "ENDPOINTING_OUT_OF_RANGE",
    ),
    (
        [Request(config=pb.StreamingRecognitionConfig(config=recognition(), resume_token="t"))],
        "NOT_FOUND",
        "RESUME_TOKEN_UNKNOWN",
    ),
]


@pytest.mark.parametrize(
    ("requests", "code", "why"), BAD_INPUT, ids=[f"{at}-{case[2]}" for at, case in enumerate(BAD_INPUT)]
)
async def test_bad_input(stub: Stub, requests: list[Request], code: str, why: str) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await run(stub, requests, close=why in ("CONFIG_MISSING", "END_MISSING") and len(requests) != 1)
    assert (caught.value.code().name, reason(caught.value)) == (code, why)


async def test_text_as_audio_is_heard_as_noise(stub: Stub) -> None:
    text = ("It was a dark and stormy night; the rain fell in torrents. " * 800).encode()[:48_000]
    pcm = np.frombuffer(text, "<i2")
    responses = await run(stub, [config(endpointing=continuous()), *audio(pcm), END])
    assert responses[-1].HasField("stats")


async def test_a_pool_for_dictation_has_another_model() -> None:
    pool = PoolSettings(
        name="asr-dictation", capability="asr", settings={"workers": 1, "models": {"en": "cmusphinx/en-dictation"}}
    )
    settings = PlatformSettings(port=0, pool_port=0, pools=(pool,))
    async with (
        GrpcPlatform(settings, {"asr": SPEC}) as platform,
        grpc.aio.insecure_channel(platform.directory.resolve("asr", "en").target) as channel,
    ):
        responses = await run(Stub(channel), [config(endpointing=continuous()), *audio(spoken(TOKYO)), END])
    (final,) = finals(responses)
    assert final.models[0].model == "cmusphinx/en-dictation@5.1"
    assert "tokyo" in final.alternatives[0].spoken_text
