"""`antiphon.asr.v1.SpeechRecognitionService`: from messages to the domain and back, nothing else.

Served by the runtime as `app.py` declares it.
"""

from __future__ import annotations

import asyncio
import uuid
from collections import OrderedDict
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable, Sequence
from contextlib import aclosing

from antiphon.asr.v1 import recognition_pb2 as pb
from antiphon.types.v1 import provenance_pb2, session_pb2
from services.asr.conversion import (
    audio_format,
    biasing_report,
    container,
    duration,
    endpoint,
    endpointing_update,
    grammar,
    grammar_digest,
    grammar_report,
    phrases,
    result,
    session_config,
    speech_activity,
    stats,
    unknown_catalogues,
)
from services.asr.events import BiasingReport, Endpoint, Event, Final, GrammarReport, Partial, SpeechActivity
from services.asr.grammar import PhraseGrammar
from services.asr.recognizer import Recognizer, RecognizerSession, Selection
from services.asr.recordings import read_recording
from services.runtime.admission import Limits
from services.runtime.audio import AudioFormat
from services.runtime.calls import Call
from services.runtime.errors import InvalidInput, NotFound

_ACKNOWLEDGE_EVERY_S = 1.0
_KEPT_GRAMMARS = 8
_LARGE_GRAMMAR_BYTES = 32 * 1024  # 2 ms to read
_Response = pb.StreamingRecognizeResponse


class SpeechRecognitionServicer:
    """One per replica.

    Args:
        recognizer: with its engine started.
        pool: name of the pool, for provenance.
        limits: of the replica, told to clients when a session starts.
    """

    def __init__(self, recognizer: Recognizer, pool: str, limits: Limits) -> None:
        self._recognizer = recognizer
        self._pool = pool
        self._limits = limits
        self._grammars: OrderedDict[str, PhraseGrammar] = OrderedDict()

    async def Recognize(self, request: pb.RecognizeRequest, call: Call) -> pb.RecognizeResponse:
        selection = self._select(request.config)
        if not request.audio:
            raise InvalidInput("there is no audio", reason="NO_AUDIO", field="audio")
        source, audio = await self._recording(request)
        config = session_config(request.config, selection.model.id, self._recognizer.endpointing, source)
        phrase_grammar = await self._grammar(request.config.options)
        events, taken = await self._recognizer.transcribe(config, audio, phrase_grammar)
        models = [self._provenance(selection)]
        results = [result(event, selection.locale, models) for event in events if isinstance(event, Final)]
        reports = [event for event in events if isinstance(event, BiasingReport)]
        adopted = next((event for event in events if isinstance(event, GrammarReport)), None)
        unknown = unknown_catalogues(request.config.options.biasing)
        return pb.RecognizeResponse(
            results=results,
            biasing_report=biasing_report(reports[0] if reports else None, unknown) if reports or unknown else None,
            grammar_report=grammar_report(adopted) if adopted else None,
            stats=stats(taken, config.format.seconds(len(audio)), len(results), models),
        )

    async def StreamingRecognize(
        self, requests: AsyncIterator[pb.StreamingRecognizeRequest], call: Call
    ) -> AsyncGenerator[_Response, None]:
        first = await anext(requests, None)
        if first is None or first.WhichOneof("request") != "config":
            raise InvalidInput("the first message must be config", reason="CONFIG_MISSING", field="config")
        if first.config.resume_token:
            raise NotFound("there is no session to resume", reason="RESUME_TOKEN_UNKNOWN", field="resume_token")
        asked = first.config.config
        selection = self._select(asked)
        config = session_config(asked, selection.model.id, self._recognizer.endpointing)
        session, events = await self._recognizer.open(config, await self._grammar(asked.options))
        stream = _Stream(session, selection.locale, lambda: self._provenance(selection))
        try:
            yield stream.stamped(_Response(session_started=self._started(stream)))
            for response in stream.responses(events, unknown_catalogues(asked.options.biasing)):
                yield response
            async with aclosing(stream.answer(requests, call)) as responses:
                async for response in responses:
                    yield response
        finally:
            await session.close()

    def _select(self, config: pb.RecognitionConfig) -> Selection:
        return self._recognizer.select(config.language_codes, config.options.model)

    async def _recording(self, request: pb.RecognizeRequest) -> tuple[AudioFormat, bytes]:
        """The format and the bytes of raw audio."""
        kind = container(request.config.format)
        if kind is None:
            return audio_format(request.config.format), request.audio
        return await asyncio.to_thread(read_recording, request.audio, kind, self._recognizer.settings.max_recording)

    async def _grammar(self, options: pb.RecognitionOptions) -> PhraseGrammar | None:
        """The grammar of a request; the latest are kept, for most sessions bring the same."""
        given = options.grammar
        if not options.HasField("grammar"):
            return None
        digest = grammar_digest(given)
        if digest not in self._grammars:
            large = given.ByteSize() > _LARGE_GRAMMAR_BYTES
            read = await asyncio.to_thread(grammar, given, digest) if large else grammar(given, digest)
            self._grammars[digest] = read
            if len(self._grammars) > _KEPT_GRAMMARS:
                self._grammars.popitem(last=False)
        self._grammars.move_to_end(digest)
        return self._grammars[digest]

    def _started(self, stream: _Stream) -> session_pb2.SessionStarted:
        return session_pb2.SessionStarted(
            session_id=uuid.uuid4().hex,
            max_duration=duration(self._limits.session_s),
            idle_timeout=duration(self._limits.idle_s),
            language_code=stream.locale,
            models=stream.models,
        )

    def _provenance(self, selection: Selection) -> provenance_pb2.ModelProvenance:
        return provenance_pb2.ModelProvenance(
            model=selection.model.id,
            digest=f"sha256:{selection.model.digest}",
            backend=self._recognizer.engine.backend(selection.model.id),
            engine=self._recognizer.engine.name,
            pool=self._pool,
            locale=selection.locale,
            mode=provenance_pb2.MODEL_MODE_FINETUNED,
        )


class _Stream:
    """The conversation on one StreamingRecognize after its config."""

    def __init__(
        self, session: RecognizerSession, locale: str, provenance: Callable[[], provenance_pb2.ModelProvenance]
    ) -> None:
        self.locale = locale
        self._provenance = provenance
        self._session = session
        self._acknowledged = 0.0
        self._utterances = 0

    @property
    def models(self) -> Sequence[provenance_pb2.ModelProvenance]:
        """What hears it: asked anew each time, for a model may move to its other home in the middle of a stream."""
        return [self._provenance()]

    async def answer(
        self, requests: AsyncIterator[pb.StreamingRecognizeRequest], call: Call
    ) -> AsyncGenerator[_Response, None]:
        async for request in requests:
            events: list[Event] = []
            unknown: tuple[str, ...] = ()
            ended = False
            match request.WhichOneof("request"):
                case "audio":
                    events = await self._session.feed(request.audio)
                    call.received_audio_s = self._session.received_s
                case "control":
                    events = await self._control(request.control)
                    unknown = unknown_catalogues(request.control.update_biasing)
                case "end_of_audio":
                    events, ended = await self._session.finish(), True
                case "config":
                    raise InvalidInput("config may come only once", reason="CONFIG_TWICE", field="config")
                case _:
                    raise InvalidInput("the message has no request that is known here", reason="MESSAGE_EMPTY")
            if self._session.is_over and not ended:
                events += await self._session.finish()
                ended = True
            for response in self.responses(events, unknown):
                yield response
            if ended:
                yield self.stamped(_Response(stats=self._stats()))
                return
        raise InvalidInput("the stream closed without end_of_audio: cancelled", reason="END_MISSING")

    def responses(self, events: Iterable[Event], unknown: Sequence[str] = ()) -> list[_Response]:
        """One message per event; an acknowledgement when there is nothing else for a second."""
        messages = [self._response(event, unknown) for event in events]
        if unknown and not any(message.HasField("biasing_report") for message in messages):
            messages.append(_Response(biasing_report=biasing_report(None, unknown)))
        received = self._session.received_s
        if not messages and received - self._acknowledged >= _ACKNOWLEDGE_EVERY_S:
            messages.append(_Response(audio_acknowledged=session_pb2.AudioAcknowledged()))
        if messages:
            self._acknowledged = received
        return [self.stamped(message) for message in messages]

    def stamped(self, message: _Response) -> _Response:
        message.received_audio_offset.CopyFrom(duration(self._session.received_s))
        return message

    async def _control(self, control: pb.RecognitionControl) -> list[Event]:
        match control.WhichOneof("control"):
            case "finalize":
                return await self._session.finalize()
            case "update_biasing":
                return await self._session.update_biasing(phrases(control.update_biasing))
            case "update_endpointing":
                return await self._session.update_endpointing(endpointing_update(control.update_endpointing))
            case _:
                raise InvalidInput("the control is empty", reason="MESSAGE_EMPTY", field="control")

    def _response(self, event: Event, unknown: Sequence[str]) -> _Response:
        match event:
            case Final() | Partial():
                self._utterances += isinstance(event, Final)
                return _Response(result=result(event, self.locale, self.models))
            case Endpoint():
                return _Response(endpoint=endpoint(event))
            case SpeechActivity():
                return _Response(speech_activity=speech_activity(event))
            case BiasingReport():
                return _Response(biasing_report=biasing_report(event, unknown))
            case GrammarReport():
                return _Response(grammar_report=grammar_report(event))
        raise TypeError(f"{type(event).__name__} is no event for a client")

    def _stats(self) -> pb.RecognitionStats:
        return stats(self._session.stats, self._session.received_s, self._utterances, self.models)
