"""`antiphon.speaker.v1.SpeakerService`: from messages to the domain and back, nothing else.

Served by the runtime as `app.py` declares it.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncGenerator, AsyncIterator

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from antiphon.speaker.v1 import speaker_pb2 as pb
from antiphon.types.v1 import audio_pb2, provenance_pb2, session_pb2
from services.runtime.admission import Limits
from services.runtime.audio import AudioFormat, Pcm, PcmDecoder
from services.runtime.calls import Call
from services.runtime.errors import InvalidInput
from services.runtime.intake import AudioIntake
from services.speaker.features import RATE_HZ
from services.speaker.verifier import Compared, CompareRequest, Comparison, Enrolment, EnrolRequest, Verifier

_MIN_CLIP_S, _MAX_CLIP_S = 0.5, 30.0
_MIN_INTERVAL_S, _MAX_INTERVAL_S = 0.5, 10.0
_ACKNOWLEDGE_EVERY_S = 1.0


class SpeakerServicer:
    """One per replica.

    Args:
        verifier: the domain.
        pool: name of the pool, for provenance.
        limits: of the replica, told to clients when a session starts.
    """

    def __init__(self, verifier: Verifier, pool: str, limits: Limits) -> None:
        self._verifier = verifier
        self._pool = pool
        self._limits = limits

    async def Enroll(self, requests: AsyncIterator[pb.EnrollRequest], call: Call) -> pb.EnrollResponse:
        first = await anext(requests, None)
        if first is None or first.WhichOneof("request") != "config":
            raise _config_missing()
        config = first.config
        intake = AudioIntake(_audio_format(config.format, "config.format"), RATE_HZ)
        enrolment = self._verifier.enrolment(call.principal.tenant, _enrol_request(config))
        await _take(requests, intake, enrolment)
        enrolled = await enrolment.finish()
        expires = Timestamp()
        expires.FromNanoseconds(int(enrolled.expires_at * 1e9))
        return pb.EnrollResponse(
            profile_id=enrolled.profile_id,
            received_audio_offset=_duration(intake.received_s),
            speech_duration=_duration(enrolled.speech_s),
            utterance_count=enrolled.utterances,
            consistency=enrolled.consistency,
            provenance=self._provenance(),
            expire_time=expires,
        )

    async def Verify(self, request: pb.VerifyRequest, call: Call) -> pb.VerifyResponse:
        clip = request.audio
        source = _audio_format(clip.format, "audio.format")
        if not _MIN_CLIP_S <= source.seconds(len(clip.content)) <= _MAX_CLIP_S:
            raise InvalidInput(
                f"a recording has {_MIN_CLIP_S:g} to {_MAX_CLIP_S:g} s", reason="AUDIO_LENGTH", field="audio.content"
            )
        comparison = await self._verifier.comparison(call.principal.tenant, _compare_request(request.options))
        decoder = PcmDecoder(source, RATE_HZ)
        pcm = decoder.feed(clip.content), decoder.finish()
        # 30 s take some 20 ms, too long for the event loop; numpy lets go of the GIL for most of it.
        return self._verification(await asyncio.to_thread(_compare, comparison, pcm))

    async def StreamingVerify(
        self, requests: AsyncIterator[pb.StreamingVerifyRequest], call: Call
    ) -> AsyncGenerator[pb.StreamingVerifyResponse, None]:
        first = await anext(requests, None)
        if first is None or first.WhichOneof("request") != "config":
            raise _config_missing()
        config = first.config
        interval = _interval(config)
        intake = AudioIntake(_audio_format(config.format, "config.format"), RATE_HZ)
        comparison = await self._verifier.comparison(call.principal.tenant, _compare_request(config.options))
        yield pb.StreamingVerifyResponse(session_started=self._started())
        told_s, acknowledged = 0.0, 0.0
        async for request in requests:
            match request.WhichOneof("request"):
                case "audio":
                    comparison.feed(intake.feed(request.audio))
                    call.received_audio_s = intake.received_s
                case "end_of_audio":
                    comparison.feed(intake.finish())
                    yield self._result(comparison, intake, final=True)
                    return
                case other:
                    raise _out_of_place(other)
            if interval and comparison.speech_s - told_s >= interval and self._enough(comparison):
                told_s, acknowledged = comparison.speech_s, intake.received_s
                yield self._result(comparison, intake, final=False)
            elif intake.received_s - acknowledged >= _ACKNOWLEDGE_EVERY_S:
                acknowledged = intake.received_s
                yield pb.StreamingVerifyResponse(
                    received_audio_offset=_duration(acknowledged), audio_acknowledged=session_pb2.AudioAcknowledged()
                )
        raise _end_missing()

    async def DeleteProfile(self, request: pb.DeleteProfileRequest, call: Call) -> pb.DeleteProfileResponse:
        deleted = await self._verifier.delete(call.principal.tenant, request.profile_id)
        return pb.DeleteProfileResponse(deleted=deleted)

    def _enough(self, comparison: Comparison) -> bool:
        return comparison.speech_s >= self._verifier.settings.min_verify_s

    def _result(self, comparison: Comparison, intake: AudioIntake, *, final: bool) -> pb.StreamingVerifyResponse:
        result = pb.VerifyResult(verification=self._verification(comparison.result()), is_final=final)
        return pb.StreamingVerifyResponse(received_audio_offset=_duration(intake.received_s), result=result)

    def _verification(self, compared: Compared) -> pb.VerifyResponse:
        return pb.VerifyResponse(
            scores=[
                pb.ProfileScore(profile_id=name, score=score, accepted=score >= compared.threshold)
                for name, score in compared.scores
            ],
            profile_id=compared.profile_id,
            threshold=compared.threshold,
            speech_duration=_duration(compared.speech_s),
            provenance=self._provenance(),
        )

    def _started(self) -> session_pb2.SessionStarted:
        return session_pb2.SessionStarted(
            session_id=uuid.uuid4().hex,
            max_duration=_duration(self._limits.session_s),
            idle_timeout=_duration(self._limits.idle_s),
            models=[self._provenance()],
        )

    def _provenance(self) -> provenance_pb2.ModelProvenance:
        model = self._verifier.model
        return provenance_pb2.ModelProvenance(
            model=model.name, digest=model.digest, backend="embedded", engine="numpy", pool=self._pool
        )


async def _take(requests: AsyncIterator[pb.EnrollRequest], intake: AudioIntake, enrolment: Enrolment) -> None:
    async for request in requests:
        match request.WhichOneof("request"):
            case "audio":
                enrolment.feed(intake.feed(request.audio))
            case "end_of_utterance":
                enrolment.end_utterance()
            case "end_of_audio":
                enrolment.feed(intake.finish())
                return
            case other:
                raise _out_of_place(other)
    raise _end_missing()


def _compare(comparison: Comparison, parts: tuple[Pcm, ...]) -> Compared:
    for pcm in parts:
        comparison.feed(pcm)
    return comparison.result()


def _enrol_request(config: pb.EnrollConfig) -> EnrolRequest:
    return EnrolRequest(
        profile_id=config.profile_id,
        display_name=config.display_name,
        language=config.language_code,
        extend=config.extend,
        replace=config.replace,
        key=config.idempotency_key,
        consent=config.context.consent.speaker_recognition,
    )


def _compare_request(options: pb.VerifyOptions) -> CompareRequest:
    return CompareRequest(
        profile_ids=tuple(options.profile_ids),
        threshold=options.threshold if options.HasField("threshold") else 0.5,
        consent=options.context.consent.speaker_recognition,
    )


def _interval(config: pb.StreamingVerifyConfig) -> float:
    """Seconds of speech between results; 0 for the last alone."""
    if not config.HasField("interval"):
        return 0.0
    seconds = float(config.interval.ToNanoseconds() / 1e9)
    if not _MIN_INTERVAL_S <= seconds <= _MAX_INTERVAL_S:
        raise InvalidInput(
            f"interval is {_MIN_INTERVAL_S:g} to {_MAX_INTERVAL_S:g} s", reason="OUT_OF_RANGE", field="config.interval"
        )
    return seconds


def _config_missing() -> InvalidInput:
    return InvalidInput("the first message must be config", reason="CONFIG_MISSING", field="config")


def _end_missing() -> InvalidInput:
    return InvalidInput("the stream closed without end_of_audio: cancelled", reason="END_MISSING")


def _out_of_place(kind: str | None) -> InvalidInput:
    if kind == "config":
        return InvalidInput("config may come only once", reason="CONFIG_TWICE", field="config")
    return InvalidInput("the message has no request that is known here", reason="MESSAGE_EMPTY")


def _audio_format(given: audio_pb2.AudioFormat, field: str) -> AudioFormat:
    known = given.encoding in audio_pb2.AudioEncoding.values()
    encoding = audio_pb2.AudioEncoding.Name(given.encoding).removeprefix("AUDIO_ENCODING_") if known else "unknown"
    return AudioFormat.parse(encoding, given.sample_rate_hertz, given.channel_count, field=field)


def _duration(seconds: float) -> Duration:
    duration = Duration()
    duration.FromNanoseconds(round(seconds * 1e9))
    return duration
