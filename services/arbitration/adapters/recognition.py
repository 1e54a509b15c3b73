"""Recognition over `SpeechRecognitionService.StreamingRecognize`: one stream per utterance."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Sequence
from typing import Any

from antiphon.arbitration.v1 import assistant_pb2
from antiphon.asr.v1 import recognition_pb2, recognition_pb2_grpc
from antiphon.channels import write
from antiphon.types.v1 import audio_pb2, speech_pb2
from services.arbitration.adapters.channels import Channels, read, rpc_errors
from services.arbitration.adapters.copies import RecognitionCopy
from services.arbitration.adapters.grammar import Grammars
from services.arbitration.adapters.values import (
    audio_offset,
    from_provenance,
    seconds,
    set_seconds,
    without_prefix,
)
from services.arbitration.contexts import Profile, TurnContext
from services.arbitration.hypotheses import Alternative
from services.arbitration.ports import (
    Endpoint,
    Final,
    Partial,
    Recognition,
    RecognitionEvent,
    SpeechActivity,
)
from services.arbitration.routing.trips import Trip
from services.arbitration.stages.shedding import Shed, Shedding
from services.runtime.errors import AntiphonError

log = logging.getLogger(__name__)

MAX_ALTERNATIVES = 3
WARM_RATE_HZ = 16_000
WARM_TIMEOUT_S = 25.0


class GrpcRecogniser:
    """`RecogniserPort` for one conversation.

    Args:
        channels: to the recognition pools.
        config: the conversation's config; the client's audio goes to the pool in the form it came in.
        grammars: what users say to their skills.
        shedding: what is not asked for under load: rescoring, then further alternatives.
    """

    def __init__(
        self, channels: Channels, config: assistant_pb2.ConverseConfig, grammars: Grammars, shedding: Shedding
    ) -> None:
        self._channels = channels
        self._shedding = shedding
        self._grammars = grammars
        self._config = config
        self._open: GrpcRecognition | None = None

    async def open(self, context: TurnContext) -> Recognition:
        """Begins an utterance."""
        stub, first = recognition_pb2_grpc.SpeechRecognitionServiceStub, self._first_message(context)
        trip = self._channels.trip("asr", context)
        try:
            with rpc_errors():
                call = self._channels.upload(stub, "StreamingRecognize", "asr", context)
                await write(call, first)
        except AntiphonError as error:
            trip.failed(error)
            raise
        copies = [
            RecognitionCopy(self._channels, arm, context, first) for arm in self._channels.shadow_arms("asr", context)
        ]
        self._open = GrpcRecognition(call, context.audio_offset, trip, copies)
        return self._open

    async def update(self, control: recognition_pb2.RecognitionControl) -> None:
        """What the client wants otherwise, for the open utterance and those to come."""
        options = self._config.recognition
        if control.HasField("update_biasing"):
            options.biasing.CopyFrom(control.update_biasing)
        if control.HasField("update_endpointing"):
            options.endpointing.MergeFrom(control.update_endpointing)
        if self._open is not None:
            await self._open.control(control)

    def _first_message(self, context: TurnContext) -> recognition_pb2.StreamingRecognizeRequest:
        message = recognition_pb2.StreamingRecognizeRequest()
        config = message.config.config
        config.format.CopyFrom(self._config.input_format)
        config.language_codes.extend(self._config.language_codes or [context.profile.locale])
        config.context.CopyFrom(self._config.context)
        config.options.CopyFrom(self._config.recognition)
        config.options.interim_results = True
        config.options.endpointing.continuous = False  # one utterance a stream; the conversation opens the next
        config.options.speech_activity = True
        config.options.words = True
        config.options.max_alternatives = config.options.max_alternatives or MAX_ALTERNATIVES
        if self._shedding.sheds(Shed.RESCORING):
            config.options.rescore = False
        if self._shedding.sheds(Shed.N_BEST):
            config.options.max_alternatives = 1
        if not config.options.HasField("grammar"):  # a client may know better what will be said
            grammar = self._grammars.of(context.profile)
            if grammar is not None:
                config.options.grammar.CopyFrom(grammar)
        return message


class Warming:
    """Lets the recognisers build the language models of the skills that everybody has, before anybody speaks.

    Run by `replica` whenever skills have changed. A recogniser that is away is left to its first user.
    """

    def __init__(self, channels: Channels, grammars: Grammars, locales: Sequence[str]) -> None:
        self._channels = channels
        self._grammars = grammars
        self._locales = locales

    async def warm(self) -> None:
        """One language after another: they share the recogniser's cores with whoever speaks meanwhile."""
        for locale in self._locales:
            profile = Profile(tenant="", locale=locale)
            grammar = self._grammars.of(profile)
            if grammar is None:
                continue
            try:
                pool = self._channels.directory.resolve("asr", locale)
                await self._build(pool.target, locale, grammar)
            except AntiphonError as error:
                log.info("recognition of %s is not warm: %s", locale, error.reason)

    async def _build(self, target: str, locale: str, grammar: speech_pb2.PhraseGrammar) -> None:
        first = recognition_pb2.StreamingRecognizeRequest()
        config = first.config.config
        config.format.encoding = audio_pb2.AUDIO_ENCODING_LINEAR16
        config.format.sample_rate_hertz = WARM_RATE_HZ
        config.language_codes.append(locale)
        config.options.grammar.CopyFrom(grammar)
        stub = recognition_pb2_grpc.SpeechRecognitionServiceStub(self._channels.channel(target))
        call = stub.StreamingRecognize(metadata=self._channels.platform_metadata(), timeout=WARM_TIMEOUT_S)
        # A moment of silence and its end: the recogniser answers once the language model is there.
        silence = recognition_pb2.StreamingRecognizeRequest(audio=bytes(2 * WARM_RATE_HZ // 10))
        end = recognition_pb2.StreamingRecognizeRequest(end_of_audio=recognition_pb2.EndOfAudio())
        try:
            with rpc_errors():
                for message in (first, silence, end):
                    await write(call, message)
                await call.done_writing()
            async for _ in read(call):
                continue
        finally:
            call.cancel()


class GrpcRecognition:
    """`Recognition` over one open stream. Offsets are moved from the utterance's audio to the conversation's."""

    def __init__(self, call: Any, audio_base: float, trip: Trip, copies: Sequence[RecognitionCopy] = ()) -> None:
        self._call = call
        self._base = audio_base
        self._trip = trip
        self._copies = copies
        self._ended: float | None = None  # seconds of the trip when the words were over
        self._open = True

    async def send(self, pcm: bytes) -> None:
        """Hands over audio in the conversation's format; gRPC's flow control makes it wait."""
        if self._open:
            await self._write(recognition_pb2.StreamingRecognizeRequest(audio=pcm))

    async def finish(self) -> None:
        """In-band end of the audio."""
        if self._open:
            self._open = False
            self._ended = self._trip.age if self._ended is None else self._ended
            await self._write(recognition_pb2.StreamingRecognizeRequest(end_of_audio=recognition_pb2.EndOfAudio()))
            with rpc_errors():
                await self._call.done_writing()

    async def update_endpointing(self, end_silence: float) -> None:
        """Another end silence, seconds, for the rest of the utterance."""
        if self._open:
            control = recognition_pb2.RecognitionControl()
            set_seconds(control.update_endpointing.end_silence, end_silence)
            await self.control(control)

    async def control(self, control: recognition_pb2.RecognitionControl) -> None:
        """Passes a control on."""
        if self._open:
            await self._write(recognition_pb2.StreamingRecognizeRequest(control=control))

    async def events(self) -> AsyncIterator[RecognitionEvent]:
        """What is heard, until the first final result."""
        try:
            async for response in read(self._call):
                event = self._event(response)
                if isinstance(event, Endpoint) and not event.is_eager:
                    self._ended = self._trip.age
                if isinstance(event, Final):
                    self._done(event)
                if event is not None:
                    yield event
                if isinstance(event, Final):
                    return
                if isinstance(event, Endpoint) and event.reason == "NO_SPEECH":
                    self._done(Final(()))
                    yield Final(())
                    return
        except AntiphonError as error:
            self._trip.failed(error)
            self._give_up_copies()
            raise

    async def close(self) -> None:
        """Gives the utterance up."""
        self._open = False
        self._call.cancel()
        self._trip.done()
        self._give_up_copies()

    async def _write(self, message: recognition_pb2.StreamingRecognizeRequest) -> None:
        for copy in self._copies:
            copy.put(message)
        with rpc_errors():
            await write(self._call, message)

    def _done(self, final: Final) -> None:
        self._trip.done(None if self._ended is None else self._trip.age - self._ended)
        for copy in self._copies:
            copy.served(final.alternatives[0].text if final.alternatives else "")

    def _give_up_copies(self) -> None:
        for copy in self._copies:
            copy.served(None)

    def _event(self, response: recognition_pb2.StreamingRecognizeResponse) -> RecognitionEvent | None:
        kind = response.WhichOneof("event")
        if kind == "result":
            return self._result(response.result)
        if kind == "endpoint":
            return self._endpoint(response.endpoint)
        if kind == "speech_activity":
            activity = response.speech_activity
            return SpeechActivity(activity.is_speech, self._base + seconds(activity.offset))
        return None

    def _endpoint(self, event: speech_pb2.EndpointEvent) -> Endpoint:
        return Endpoint(
            reason=without_prefix(speech_pb2.EndpointReason.Name(event.reason), "ENDPOINT_REASON_"),
            speech_start=audio_offset(event, "speech_start_offset", self._base),
            speech_end=audio_offset(event, "speech_end_offset", self._base),
            decided=audio_offset(event, "decided_offset", self._base),
            is_eager=event.is_eager,
            is_withdrawn=event.is_withdrawn,
        )

    def _result(self, result: recognition_pb2.RecognitionResult) -> Partial | Final:
        self._move(result)
        if not result.is_final:
            text = result.alternatives[0].spoken_text if result.alternatives else ""
            return Partial(text, result.stability, result.revision)
        return Final(
            alternatives=tuple(Alternative(a.spoken_text, a.confidence) for a in result.alternatives if a.spoken_text),
            locale=result.language_code,
            models=tuple(from_provenance(m) for m in result.models),
            wire=result.SerializeToString(),
        )

    def _move(self, result: recognition_pb2.RecognitionResult) -> None:
        """Offsets of the utterance's audio become offsets of the conversation's audio."""
        if not self._base:
            return
        spans = [result.start_offset, result.result_end_offset]
        spans += [o for a in result.alternatives for w in a.words for o in (w.start_offset, w.end_offset)]
        for span in spans:
            set_seconds(span, seconds(span) + self._base)
