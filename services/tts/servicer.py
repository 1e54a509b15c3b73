"""`antiphon.tts.v1.SpeechSynthesisService`: from messages to the domain and back, nothing else.

Served by the runtime as `app.py` declares it.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing

from google.protobuf.duration_pb2 import Duration

from antiphon.tts.v1 import synthesis_pb2 as tts_pb2
from antiphon.types.v1 import audio_pb2, playback_pb2, provenance_pb2, session_pb2
from services.runtime.admission import Limits
from services.runtime.audio import AudioFormat
from services.runtime.calls import Call
from services.runtime.errors import AntiphonError, FailedPrecondition, InvalidInput
from services.tts.engines import Voice
from services.tts.output import Audio
from services.tts.synthesizer import Event, Mark, SpeechRequest, Summary, Synthesizer, Utterance, normalized

_MARK_KINDS = {
    "word": playback_pb2.TIMING_MARK_KIND_WORD,
    "sentence": playback_pb2.TIMING_MARK_KIND_SENTENCE,
}
_GENDERS = {"female": tts_pb2.VOICE_GENDER_FEMALE, "male": tts_pb2.VOICE_GENDER_MALE}
_ENCODING_PREFIX = "AUDIO_ENCODING_"


class SpeechSynthesisServicer:
    """One per replica.

    Args:
        synthesizer: the domain.
        pool: name of the pool, for provenance.
        limits: of the replica, told to clients when a session starts.
    """

    def __init__(self, synthesizer: Synthesizer, pool: str, limits: Limits) -> None:
        self._synthesizer = synthesizer
        self._pool = pool
        self._limits = limits

    async def Synthesize(self, request: tts_pb2.SynthesizeRequest, call: Call) -> tts_pb2.SynthesizeResponse:
        utterance = self._prepare(request.language_code, request.format, request.options)
        text = normalized(_plain(request.input))
        utterance.feed(text)
        utterance.end()
        response = tts_pb2.SynthesizeResponse(text=text, format=request.format)
        audio = bytearray()
        async with aclosing(utterance.events()) as events:
            async for event in events:
                if isinstance(event, Audio):
                    audio += event.data
                    self._check_size(len(audio))
                elif isinstance(event, Summary):
                    response.stats.CopyFrom(self._stats(event, utterance))
                elif _MARK_KINDS[event.kind] in request.options.timing_marks:
                    response.timing_marks.append(_timing_mark(event))
        response.audio = bytes(audio)
        return response

    async def StreamingSynthesize(
        self, requests: AsyncIterator[tts_pb2.StreamingSynthesizeRequest], call: Call
    ) -> AsyncGenerator[tts_pb2.StreamingSynthesizeResponse, None]:
        first = await anext(requests, None)
        if first is None or first.WhichOneof("request") != "config":
            raise InvalidInput("the first message must be config", reason="CONFIG_MISSING", field="config")
        config = first.config
        utterance = self._prepare(config.language_code, config.format, config.options)
        yield tts_pb2.StreamingSynthesizeResponse(session_started=self._started(utterance))
        reader = asyncio.create_task(_take(requests, utterance))
        try:
            async with aclosing(utterance.events()) as events:
                async for event in events:
                    response = self._response(event, utterance, config.options)
                    if response is not None:
                        response.received_text_code_points = utterance.received
                        yield response
        finally:
            reader.cancel()
            await asyncio.gather(reader, return_exceptions=True)

    async def Phonemize(self, request: tts_pb2.PhonemizeRequest, call: Call) -> tts_pb2.PhonemizeResponse:
        if request.alphabet == tts_pb2.PHONETIC_ALPHABET_X_SAMPA:
            raise InvalidInput("only IPA is given", reason="ALPHABET_UNSUPPORTED", field="alphabet")
        texts = [normalized(text) for text in request.texts]
        phones, language = await self._synthesizer.phonemize(texts, request.language_code)
        results = [
            tts_pb2.PhonemizedText(text=text, pronunciations=[tts_pb2.Pronunciation(phones=found)])
            for text, found in zip(texts, phones, strict=True)
        ]
        return tts_pb2.PhonemizeResponse(results=results, language_code=language, provenance=self._provenance(language))

    async def ListVoices(self, request: tts_pb2.ListVoicesRequest, call: Call) -> tts_pb2.ListVoicesResponse:
        voices = sorted(self._synthesizer.catalogue.list(request.language_code), key=lambda voice: voice.id)
        return tts_pb2.ListVoicesResponse(voices=[self._voice(voice) for voice in voices])

    @property
    def model(self) -> str:
        """Name of the engine in the form of a bundle: publisher/name@version."""
        engine = self._synthesizer.engine
        return f"{engine.name}/{engine.name}@{engine.version}"

    def _prepare(self, language: str, target: audio_pb2.AudioFormat, options: tts_pb2.SynthesisOptions) -> Utterance:
        _refuse_unserved(options, self.model)
        prosody = options.prosody
        return self._synthesizer.prepare(
            SpeechRequest(
                voice=options.voice,
                language=language,
                rate=prosody.rate if prosody.HasField("rate") else 1.0,
                pitch=prosody.pitch_semitones,
                gain_db=prosody.volume_gain_db,
                format=_audio_format(target),
            )
        )

    def _check_size(self, size: int) -> None:
        limit = self._synthesizer.settings.max_response
        if size > limit:
            raise InvalidInput(
                f"the audio has more than {limit} bytes; use StreamingSynthesize",
                reason="AUDIO_TOO_LONG",
                field="input.text",
            )

    def _started(self, utterance: Utterance) -> session_pb2.SessionStarted:
        return session_pb2.SessionStarted(
            session_id=uuid.uuid4().hex,
            max_duration=_duration(self._limits.session_s),
            idle_timeout=_duration(self._limits.idle_s),
            language_code=utterance.language,
            models=[self._provenance(utterance.language)],
        )

    def _response(
        self, event: Event, utterance: Utterance, options: tts_pb2.SynthesisOptions
    ) -> tts_pb2.StreamingSynthesizeResponse | None:
        if isinstance(event, Audio):
            chunk = tts_pb2.AudioChunk(
                content=event.data,
                start_offset=_duration(event.start),
                end_offset=_duration(event.start + event.duration),
            )
            chunk.span.start, chunk.span.end = event.span
            return tts_pb2.StreamingSynthesizeResponse(audio=chunk)
        if isinstance(event, Summary):
            return tts_pb2.StreamingSynthesizeResponse(stats=self._stats(event, utterance))
        if _MARK_KINDS[event.kind] in options.timing_marks:
            return tts_pb2.StreamingSynthesizeResponse(timing_mark=_timing_mark(event))
        return None

    def _stats(self, summary: Summary, utterance: Utterance) -> tts_pb2.SynthesisStats:
        return tts_pb2.SynthesisStats(
            audio_duration=_duration(summary.audio_s),
            first_audio_delay=_duration(summary.first_audio_s),
            leading_silence=_duration(summary.leading_silence_s),
            cpu_time=_duration(summary.cpu_s) if summary.cpu_s else None,
            code_point_count=summary.characters,
            voice=utterance.voice.id,
            models=[self._provenance(utterance.language)],
        )

    def _voice(self, voice: Voice) -> tts_pb2.Voice:
        return tts_pb2.Voice(
            name=voice.id,
            language_codes=list(voice.languages),
            gender=_GENDERS.get(voice.gender, tts_pb2.VOICE_GENDER_UNSPECIFIED),
            natural_sample_rate_hertz=self._synthesizer.engine.sample_rate,
            timing_marks=list(_MARK_KINDS.values()),
            provenance=self._provenance(voice.language),
        )

    def _provenance(self, language: str) -> provenance_pb2.ModelProvenance:
        return provenance_pb2.ModelProvenance(
            model=self.model,
            backend="process",
            engine=self._synthesizer.engine.name,
            pool=self._pool,
            locale=language,
            mode=provenance_pb2.MODEL_MODE_RULES,
        )


async def _take(requests: AsyncIterator[tts_pb2.StreamingSynthesizeRequest], utterance: Utterance) -> None:
    """Hand the client's messages to the utterance until it says that the text has ended."""
    try:
        async for request in requests:
            if _applied(request, utterance):
                return
        raise InvalidInput("the stream closed without end_of_text: cancelled", reason="END_MISSING")
    except AntiphonError as error:
        utterance.fail(error)


def _applied(request: tts_pb2.StreamingSynthesizeRequest, utterance: Utterance) -> bool:
    """Apply one message; True for the last one."""
    match request.WhichOneof("request"):
        case "text":
            utterance.feed(_plain(request.text))
        case "control" if request.control.HasField("flush"):
            utterance.flush()
        case "control" if request.control.HasField("discard"):
            utterance.discard()
        case "end_of_text":
            utterance.end()
            return True
        case "config":
            raise InvalidInput("config may come only once", reason="CONFIG_TWICE", field="config")
        case _:
            raise InvalidInput("the message has no request that is known here", reason="MESSAGE_EMPTY")
    return False


def _plain(text: tts_pb2.SynthesisInput) -> str:
    if text.WhichOneof("input") == "ssml":
        raise InvalidInput("SSML is not supported; send plain text", reason="SSML_UNSUPPORTED", field="input.ssml")
    return text.text


def _refuse_unserved(options: tts_pb2.SynthesisOptions, model: str) -> None:
    """What has its place in the contract and no engine here yet is refused, not ignored."""
    if unserved := sorted(set(options.timing_marks) - set(_MARK_KINDS.values())):
        raise InvalidInput(
            f"timing marks of kind {unserved[0]} are not given; WORD and SENTENCE are",
            reason="TIMING_MARK_UNSUPPORTED",
            field="options.timing_marks",
        )
    for name, asked in (("reference_audio", options.HasField("reference_audio")), ("lexicon", bool(options.lexicon))):
        if asked:
            raise FailedPrecondition(
                f"no engine here takes a {name}", reason=f"{name.upper()}_UNSUPPORTED", field=f"options.{name}"
            )
    if options.model not in ("", model):
        raise FailedPrecondition(f"only {model} speaks here", reason="MODEL_MISSING", field="options.model")


def _audio_format(wanted: audio_pb2.AudioFormat) -> AudioFormat:
    known = wanted.encoding in audio_pb2.AudioEncoding.values()
    encoding = audio_pb2.AudioEncoding.Name(wanted.encoding).removeprefix(_ENCODING_PREFIX) if known else "unknown"
    return AudioFormat.parse(encoding, wanted.sample_rate_hertz, wanted.channel_count, field="format")


def _timing_mark(mark: Mark) -> playback_pb2.TimingMark:
    timing = playback_pb2.TimingMark(
        kind=_MARK_KINDS[mark.kind], start_offset=_duration(mark.start_s), end_offset=_duration(mark.end_s)
    )
    timing.span.start, timing.span.end = mark.start, mark.end
    return timing


def _duration(seconds: float) -> Duration:
    duration = Duration()
    duration.FromNanoseconds(round(seconds * 1e9))
    return duration
