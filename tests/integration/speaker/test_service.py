"""The speaker service over a real channel, its profiles in a real SQLite file."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from pathlib import Path

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration
from google.rpc import error_details_pb2, status_pb2

from antiphon.speaker.v1 import speaker_pb2 as pb
from antiphon.speaker.v1 import speaker_pb2_grpc as pb_grpc
from antiphon.types.v1 import audio_pb2, capability_pb2, capability_pb2_grpc, context_pb2
from services.runtime.audio import Pcm
from services.runtime.platform import PlatformSettings, PoolSettings
from services.runtime.server import GrpcPlatform
from services.speaker.app import SPEC
from tests.unit.speaker.test_voiceprints import hum

pytestmark = pytest.mark.integration

PCM_16K = audio_pb2.AudioFormat(encoding=audio_pb2.AUDIO_ENCODING_LINEAR16, sample_rate_hertz=16_000)
CONSENT = context_pb2.SessionContext(consent=context_pb2.Consent(speaker_recognition=True))
ANNA, BERT = (230.0, (700.0, 1900.0, 3100.0)), (100.0, (450.0, 1300.0, 2400.0))
Stub = pb_grpc.SpeakerServiceStub


def platform(folder: Path) -> GrpcPlatform:
    pool = PoolSettings(name="speaker", capability="speaker")
    settings = PlatformSettings(port=0, pool_port=0, pools=(pool,), state_dir=str(folder))
    return GrpcPlatform(settings, {"speaker": SPEC})


@pytest.fixture
async def channel(tmp_path: Path) -> AsyncIterator[grpc.aio.Channel]:
    async with platform(tmp_path) as running, grpc.aio.insecure_channel(running.target) as channel:
        yield channel


@pytest.fixture
def stub(channel: grpc.aio.Channel) -> Stub:
    return Stub(channel)


def chunks(pcm: Pcm) -> list[bytes]:
    return [pcm[start : start + 1600].tobytes() for start in range(0, pcm.size, 1600)]


def config(profile_id: str = "", *, consent: bool = True, **fields: object) -> pb.EnrollRequest:
    context = CONSENT if consent else None
    return pb.EnrollRequest(
        config=pb.EnrollConfig(format=PCM_16K, profile_id=profile_id, context=context, **fields)  # type: ignore[arg-type]
    )


async def enrol(stub: Stub, voice: tuple[float, tuple[float, ...]], profile_id: str) -> pb.EnrollResponse:
    requests = [config(profile_id)]
    for seed in (1, 2):
        requests += [pb.EnrollRequest(audio=chunk) for chunk in chunks(hum(*voice, seconds=3.0, seed=seed))]
        requests.append(pb.EnrollRequest(end_of_utterance=pb.EndOfUtterance()))
    requests.append(pb.EnrollRequest(end_of_audio=pb.EndOfAudio()))
    return await refused_or_answered(stub, requests)


async def refused_or_answered(stub: Stub, requests: Iterable[pb.EnrollRequest]) -> pb.EnrollResponse:
    call = stub.Enroll()
    for request in requests:
        await call.write(request)
    await call.done_writing()
    return await call


def options(*profile_ids: str) -> pb.VerifyOptions:
    return pb.VerifyOptions(profile_ids=profile_ids, context=CONSENT)


def clip(pcm: Pcm) -> audio_pb2.AudioClip:
    return audio_pb2.AudioClip(format=PCM_16K, content=pcm.tobytes())


def reason(error: grpc.aio.AioRpcError) -> str:
    details = dict(error.trailing_metadata() or ())["grpc-status-details-bin"]
    info = error_details_pb2.ErrorInfo()
    assert status_pb2.Status.FromString(bytes(details)).details[0].Unpack(info)
    return str(info.reason)


async def test_enrol_verify_delete(stub: Stub) -> None:
    enrolled = await enrol(stub, ANNA, "anna")
    assert (enrolled.profile_id, enrolled.utterance_count) == ("anna", 2)
    assert enrolled.expire_time.seconds > 0
    await enrol(stub, BERT, "bert")
    heard = await stub.Verify(pb.VerifyRequest(audio=clip(hum(*ANNA, seed=5)), options=options("bert", "anna")))
    assert heard.profile_id == "anna"
    assert [score.profile_id for score in heard.scores] == ["anna", "bert"]
    assert heard.scores[0].accepted
    assert heard.scores[0].score > heard.scores[1].score
    assert heard.provenance.digest.startswith("sha256:")
    assert (await stub.DeleteProfile(pb.DeleteProfileRequest(profile_id="anna"))).deleted
    assert not (await stub.DeleteProfile(pb.DeleteProfileRequest(profile_id="anna"))).deleted
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await stub.Verify(pb.VerifyRequest(audio=clip(hum(*ANNA)), options=options("anna")))
    assert (caught.value.code().name, reason(caught.value)) == ("NOT_FOUND", "PROFILE_NOT_FOUND")


async def test_a_stream_tells_more_as_it_hears_more(stub: Stub) -> None:
    await enrol(stub, ANNA, "anna")
    call = stub.StreamingVerify()
    interval = Duration(seconds=1)
    wanted = pb.StreamingVerifyConfig(format=PCM_16K, options=options("anna"), interval=interval)
    await call.write(pb.StreamingVerifyRequest(config=wanted))
    for chunk in chunks(hum(*ANNA, seed=6)):
        await call.write(pb.StreamingVerifyRequest(audio=chunk))
    await call.write(pb.StreamingVerifyRequest(end_of_audio=pb.EndOfAudio()))
    await call.done_writing()
    responses: list[pb.StreamingVerifyResponse] = []
    while isinstance(response := await asyncio.wait_for(call.read(), 5), pb.StreamingVerifyResponse):
        responses.append(response)
    assert responses[0].HasField("session_started")
    results = [response.result for response in responses if response.HasField("result")]
    assert len(results) >= 3
    assert [result.is_final for result in results] == [False] * (len(results) - 1) + [True]
    assert results[-1].verification.profile_id == "anna"
    assert responses[-1].received_audio_offset.ToNanoseconds() == 4_000_000_000


async def test_profiles_outlive_the_server(tmp_path: Path) -> None:
    async with platform(tmp_path) as running, grpc.aio.insecure_channel(running.target) as channel:
        await enrol(Stub(channel), ANNA, "anna")
    async with platform(tmp_path) as running, grpc.aio.insecure_channel(running.target) as channel:
        heard = await Stub(channel).Verify(pb.VerifyRequest(audio=clip(hum(*ANNA, seed=5)), options=options("anna")))
        assert heard.profile_id == "anna"


async def test_describe_says_how_good_it_is(channel: grpc.aio.Channel) -> None:
    described = await capability_pb2_grpc.CapabilityServiceStub(channel).Describe(capability_pb2.DescribeRequest())
    assert [score.metric for score in described.models[0].scores] == ["eer", "eer"]
    assert all(0 < score.value < 0.2 for score in described.models[0].scores)
    assert any("not proof" in note for note in described.notes)


HALF = pb.EnrollRequest(audio=bytes(3))
BAD_ENROLMENT: list[tuple[list[pb.EnrollRequest], str, str]] = [
    ([], "INVALID_ARGUMENT", "CONFIG_MISSING"),
    ([HALF], "INVALID_ARGUMENT", "CONFIG_MISSING"),
    ([config(consent=False)], "FAILED_PRECONDITION", "CONSENT_MISSING"),
    ([config("a/b")], "INVALID_ARGUMENT", "PROFILE_ID_MALFORMED"),
    ([config(), config()], "INVALID_ARGUMENT", "CONFIG_TWICE"),
    ([config(), HALF], "INVALID_ARGUMENT", "ODD_AUDIO_BYTES"),
    ([config()], "INVALID_ARGUMENT", "END_MISSING"),
    ([config(), pb.EnrollRequest(end_of_audio=pb.EndOfAudio())], "FAILED_PRECONDITION", "TOO_LITTLE_SPEECH"),
]


@pytest.mark.parametrize(
    ("requests", "code", "expected"), BAD_ENROLMENT, ids=[f"{i}-{case[2]}" for i, case in enumerate(BAD_ENROLMENT)]
)
async def test_bad_enrolments(stub: Stub, requests: list[pb.EnrollRequest], code: str, expected: str) -> None:
    call = stub.Enroll()
    for request in requests:
        await call.write(request)
    if expected in ("END_MISSING", "CONFIG_MISSING"):  # elsewhere grpc.aio loses the status when more is written
        await call.done_writing()
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await asyncio.wait_for(call, 5)
    assert (caught.value.code().name, reason(caught.value)) == (code, expected)


async def test_enrolling_twice_already_exists(stub: Stub) -> None:
    await enrol(stub, ANNA, "anna")
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await enrol(stub, ANNA, "anna")
    assert (caught.value.code().name, reason(caught.value)) == ("ALREADY_EXISTS", "PROFILE_EXISTS")
