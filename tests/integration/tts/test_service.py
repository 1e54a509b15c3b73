"""The synthesis service over a real channel: the contract, its errors, and what a client may do to it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterable

import grpc
import numpy as np
import pytest
from google.rpc import error_details_pb2, status_pb2

from antiphon.tts.v1 import synthesis_pb2 as tts
from antiphon.tts.v1 import synthesis_pb2_grpc as tts_grpc
from antiphon.types.v1 import audio_pb2, capability_pb2, capability_pb2_grpc, playback_pb2
from services.runtime.platform import PlatformSettings, PoolSettings
from services.runtime.server import GrpcPlatform
from services.tts.app import SPEC

pytestmark = pytest.mark.integration

PCM_16K = audio_pb2.AudioFormat(encoding=audio_pb2.AUDIO_ENCODING_LINEAR16, sample_rate_hertz=16_000)
ALL_MARKS = [playback_pb2.TIMING_MARK_KIND_WORD, playback_pb2.TIMING_MARK_KIND_SENTENCE]
Stub = tts_grpc.SpeechSynthesisServiceStub
Request = tts.StreamingSynthesizeRequest
Call = grpc.aio.StreamStreamCall[tts.StreamingSynthesizeRequest, tts.StreamingSynthesizeResponse]


@pytest.fixture
async def platform() -> AsyncIterator[GrpcPlatform]:
    pool = PoolSettings(name="tts", capability="tts", settings={"workers": 1}, limits={"max_sessions": 4})
    async with GrpcPlatform(PlatformSettings(port=0, pool_port=0, pools=(pool,)), {"tts": SPEC}) as platform:
        yield platform


@pytest.fixture
async def channel(platform: GrpcPlatform) -> AsyncIterator[grpc.aio.Channel]:
    async with grpc.aio.insecure_channel(platform.target) as channel:
        yield channel


@pytest.fixture
def stub(channel: grpc.aio.Channel) -> Stub:
    return tts_grpc.SpeechSynthesisServiceStub(channel)


def config(language: str = "en-US", **options: object) -> Request:
    chosen = tts.SynthesisOptions(**options)  # type: ignore[arg-type]
    return Request(config=tts.StreamingSynthesisConfig(language_code=language, format=PCM_16K, options=chosen))


def text(piece: str) -> Request:
    return Request(text=tts.SynthesisInput(text=piece))


END = Request(end_of_text=tts.EndOfText())


async def run(stub: Stub, requests: Iterable[Request], *, close: bool = True) -> list[tts.StreamingSynthesizeResponse]:
    """Send everything, take everything. `close=False` leaves our side open, where the last message is to be refused:
    grpc.aio loses the server's status when something is written after it."""
    call = stub.StreamingSynthesize()
    for request in requests:
        await call.write(request)
    if close:
        await call.done_writing()
    return await rest(call)


async def read(call: Call) -> tts.StreamingSynthesizeResponse:
    response = await asyncio.wait_for(call.read(), 5)
    assert isinstance(response, tts.StreamingSynthesizeResponse)
    return response


async def rest(call: Call) -> list[tts.StreamingSynthesizeResponse]:
    responses: list[tts.StreamingSynthesizeResponse] = []
    while isinstance(response := await asyncio.wait_for(call.read(), 5), tts.StreamingSynthesizeResponse):
        responses.append(response)
    return responses


def reason(error: grpc.aio.AioRpcError) -> str:
    """ErrorInfo.reason of the rich status."""
    details = dict(error.trailing_metadata() or ())["grpc-status-details-bin"]
    info = error_details_pb2.ErrorInfo()
    assert status_pb2.Status.FromString(bytes(details)).details[0].Unpack(info)
    return str(info.reason)


async def test_a_streamed_answer(stub: Stub) -> None:
    said = "It is ten past nine. Anything else?"
    responses = await run(stub, [config(timing_marks=ALL_MARKS), *map(text, said), END])
    kinds = [response.WhichOneof("event") for response in responses]
    assert kinds[0] == "session_started"
    assert kinds[-1] == "stats"
    assert responses[0].session_started.language_code == "en-US"
    audio = [response.audio for response in responses if response.HasField("audio")]
    samples = np.frombuffer(b"".join(chunk.content for chunk in audio), "<i2")
    seconds = samples.size / 16_000
    assert 1.0 < seconds < 6.0
    assert responses[-1].stats.audio_duration.ToTimedelta().total_seconds() == pytest.approx(seconds, abs=1e-3)
    assert responses[-1].stats.cpu_time.ToNanoseconds() > 0
    assert np.abs(samples[: 16 * 50].astype(int)).max() > 500
    words = [
        said[response.timing_mark.span.start : response.timing_mark.span.end]
        for response in responses
        if response.timing_mark.kind == playback_pb2.TIMING_MARK_KIND_WORD
    ]
    assert words == said.split()


async def test_the_first_sentence_sounds_before_the_text_ends(stub: Stub) -> None:
    call = stub.StreamingSynthesize()
    await call.write(config())
    await call.write(text("First sentence. And"))
    heard = 0
    while heard < 16_000:
        response = await read(call)
        heard += len(response.audio.content)
    await call.write(text(" more."))
    await call.write(END)
    left = await rest(call)
    assert left[-1].WhichOneof("event") == "stats"
    assert left[-1].received_text_code_points == len("First sentence. And more.")


async def test_flush_and_discard(stub: Stub) -> None:
    flush = Request(control=tts.SynthesisControl(flush=tts.Flush()))
    discard = Request(control=tts.SynthesisControl(discard=tts.Discard()))
    call = stub.StreamingSynthesize()
    for request in (config(), text("No end"), flush):
        await call.write(request)
    heard = 0
    while not heard:
        heard = len((await read(call)).audio.content)
    for request in (text(" dropped words"), discard, text("kept."), END):
        await call.write(request)
    left = await rest(call)
    assert left[-1].stats.code_point_count <= len("No end") + len("kept.")
    spans = {(response.audio.span.start, response.audio.span.end) for response in left if response.HasField("audio")}
    assert spans <= {(0, 6), (20, 25)}
    assert (20, 25) in spans


async def test_the_unary_answer(stub: Stub) -> None:
    response = await stub.Synthesize(
        tts.SynthesizeRequest(
            input=tts.SynthesisInput(text="Cafe\u0301 at noon."),
            language_code="en",
            format=audio_pb2.AudioFormat(encoding=audio_pb2.AUDIO_ENCODING_MULAW, sample_rate_hertz=8000),
            options=tts.SynthesisOptions(timing_marks=[playback_pb2.TIMING_MARK_KIND_WORD]),
        )
    )
    assert response.text == "Café at noon."
    assert 4_000 < len(response.audio) < 24_000
    assert len(set(response.audio)) > 50
    spoken = [response.text[mark.span.start : mark.span.end] for mark in response.timing_marks]
    assert spoken == ["Café", "at", "noon."]


async def test_voices_phonemes_and_describe(stub: Stub, channel: grpc.aio.Channel) -> None:
    voices = (await stub.ListVoices(tts.ListVoicesRequest())).voices
    languages = {code.partition("-")[0] for voice in voices for code in voice.language_codes}
    assert len(languages) >= 100
    assert [voice.name for voice in voices] == sorted(voice.name for voice in voices)
    german = (await stub.ListVoices(tts.ListVoicesRequest(language_code="de-AT"))).voices
    assert [list(voice.language_codes) for voice in german] == [["de"]]
    phones = await stub.Phonemize(tts.PhonemizeRequest(language_code="de-AT", texts=["ja", "nein"]))
    assert [result.pronunciations[0].phones for result in phones.results] == ["j ˈɑː", "n ˈaɪ n"]
    assert phones.language_code == "de"
    described = await capability_pb2_grpc.CapabilityServiceStub(channel).Describe(capability_pb2.DescribeRequest())
    assert "en-US" in described.locales
    assert described.models[0].licence == "GPL-3.0-or-later"
    assert described.models[0].backend == "process"


BAD_INPUT: list[tuple[list[Request], str, str]] = [
    ([], "INVALID_ARGUMENT", "CONFIG_MISSING"),
    ([text("hello")], "INVALID_ARGUMENT", "CONFIG_MISSING"),
    ([config(), config()], "INVALID_ARGUMENT", "CONFIG_TWICE"),
    ([config(), text("hello. "), Request()], "INVALID_ARGUMENT", "MESSAGE_EMPTY"),
    ([config(), END], "INVALID_ARGUMENT", "TEXT_EMPTY"),
    ([config(), text("..."), END], "INVALID_ARGUMENT", "TEXT_EMPTY"),
    ([config(), text("a" * 1_000_000)], "INVALID_ARGUMENT", "TEXT_TOO_LONG"),
    ([config(), text("hello. ")], "INVALID_ARGUMENT", "END_MISSING"),
    ([config(), Request(text=tts.SynthesisInput(ssml="<speak/>"))], "INVALID_ARGUMENT", "SSML_UNSUPPORTED"),
    ([config("km-KH")], "FAILED_PRECONDITION", "LOCALE_UNSUPPORTED"),
    ([config("")], "INVALID_ARGUMENT", "LANGUAGE_TAG_MALFORMED"),
    ([config(voice="nobody")], "FAILED_PRECONDITION", "VOICE_UNAVAILABLE"),
    ([config(model="someone/else@1")], "FAILED_PRECONDITION", "MODEL_MISSING"),
    ([config(prosody=tts.Prosody(rate=9))], "INVALID_ARGUMENT", "OUT_OF_RANGE"),
    ([config(timing_marks=[playback_pb2.TIMING_MARK_KIND_PHONE])], "INVALID_ARGUMENT", "TIMING_MARK_UNSUPPORTED"),
    ([config(lexicon=[tts.LexiconEntry(word="a")])], "FAILED_PRECONDITION", "LEXICON_UNSUPPORTED"),
    (
        [Request(config=tts.StreamingSynthesisConfig(language_code="en"))],
        "INVALID_ARGUMENT",
        "UNSUPPORTED_ENCODING",
    ),
]


@pytest.mark.parametrize(
    ("requests", "code", "expected"),
    BAD_INPUT,
    ids=[f"{index}-{case[2]}" for index, case in enumerate(BAD_INPUT)],
)
async def test_bad_input(stub: Stub, requests: list[Request], code: str, expected: str) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await run(stub, requests, close=expected in ("END_MISSING", "CONFIG_MISSING"))
    assert caught.value.code().name == code
    assert reason(caught.value) == expected
    assert (await run(stub, [config(), text("Still well."), END]))[-1].HasField("stats")


async def test_an_answer_too_long_for_one_message(stub: Stub) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await stub.Synthesize(
            tts.SynthesizeRequest(
                input=tts.SynthesisInput(text="A sentence of words. " * 190),
                language_code="en",
                format=audio_pb2.AudioFormat(encoding=audio_pb2.AUDIO_ENCODING_LINEAR16, sample_rate_hertz=48_000),
            )
        )
    assert reason(caught.value) == "AUDIO_TOO_LONG"


async def test_whoever_vanishes_or_never_reads_harms_nobody(platform: GrpcPlatform, stub: Stub) -> None:
    silent = [stub.StreamingSynthesize() for _ in range(3)]
    for call in silent:
        await call.write(config())
        for _ in range(10):
            await call.write(text("A sentence that nobody reads. " * 100))
    started = time.monotonic()
    assert (await run(stub, [config(), text("I am heard."), END]))[-1].HasField("stats")
    assert time.monotonic() - started < 2
    for call in silent:
        call.cancel()
    admission = platform.replicas["tts"].admission
    deadline = time.monotonic() + 1
    while admission.active_sessions:
        assert time.monotonic() < deadline
        await asyncio.sleep(0.01)


async def test_one_session_too_many_is_refused_at_once(stub: Stub) -> None:
    held = [stub.StreamingSynthesize() for _ in range(4)]
    for call in held:
        await call.write(config())
        assert (await read(call)).HasField("session_started")
    started = time.monotonic()
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await run(stub, [config()], close=False)
    assert time.monotonic() - started < 0.1
    assert (caught.value.code().name, reason(caught.value)) == ("RESOURCE_EXHAUSTED", "OVERLOADED")
    for call in held:
        call.cancel()
