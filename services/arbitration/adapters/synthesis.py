"""Synthesis over `SpeechSynthesisService.StreamingSynthesize`: text goes in as written, audio comes as it is made."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing
from functools import partial
from typing import Any, Final

from antiphon.arbitration.v1 import assistant_pb2
from antiphon.channels import write
from antiphon.tts.v1 import synthesis_pb2, synthesis_pb2_grpc
from antiphon.types.v1 import audio_pb2
from services.arbitration.adapters.channels import Channels, read, rpc_errors
from services.arbitration.adapters.values import from_provenance
from services.arbitration.contexts import TurnContext
from services.arbitration.hypotheses import Provenance
from services.arbitration.ports import Speech
from services.arbitration.routing.shadowing import Compared, ShadowArm
from services.runtime.errors import AntiphonError

MAX_COPIED: Final = 4_000
"""Characters of an answer that a shadow gets a copy of; a longer answer is not copied."""


class GrpcSynthesis:
    """`SynthesisPort` for one conversation, in the form of audio that its config asks for."""

    def __init__(self, channels: Channels, config: assistant_pb2.ConverseConfig) -> None:
        self._channels = channels
        self._config = config

    async def speak(self, texts: AsyncIterator[str], context: TurnContext) -> AsyncIterator[Speech]:
        """Audio of the texts, in order; ends when the last text is spoken."""
        arms = self._channels.shadow_arms("tts", context)
        said = _Said(asyncio.get_running_loop().time)
        trip = self._channels.trip("tts", context)
        target = self._channels.pool("tts", context).target
        try:
            speeches = self._spoken(target, said.noting(texts), context)
            async with aclosing(speeches):
                async for speech in speeches:
                    said.heard(len(speech.audio))
                    yield speech
        except AntiphonError as error:
            trip.failed(error)
            raise
        finally:  # also where the listener leaves early: what was said so far was served
            trip.done(said.latency)
        for arm in arms:
            if said.whole:
                self._channels.shadows.begin(arm, partial(self._compare, arm, said, context))
            else:
                self._channels.shadows.dropped(arm)

    async def _spoken(self, target: str, texts: AsyncIterator[str], context: TurnContext) -> AsyncGenerator[Speech]:
        stub = synthesis_pb2_grpc.SpeechSynthesisServiceStub(self._channels.channel(target))
        with rpc_errors():
            call = stub.StreamingSynthesize(metadata=self._channels.metadata(context))
            await write(call, self._first_message(context))
        writing = asyncio.create_task(_write(call, texts))
        try:
            async for speech in self._speech(call):
                yield speech
            await writing
        finally:
            writing.cancel()
            call.cancel()

    async def _compare(self, arm: ShadowArm, served: _Said, context: TurnContext) -> Compared:
        """The same words to a shadow: how much later its first sound comes, and how long it speaks."""
        own = _Said(asyncio.get_running_loop().time)
        speeches = self._spoken(arm.target, own.noting(_again(served.texts)), context)
        async with aclosing(speeches):
            async for speech in speeches:
                own.heard(len(speech.audio))
        metrics = {"audio_length_ratio": own.size / served.size} if served.size else {}
        if own.latency is not None and served.latency is not None:
            metrics["latency_difference_s"] = own.latency - served.latency
        return Compared(own.latency, metrics)

    async def _speech(self, call: Any) -> AsyncIterator[Speech]:
        models: tuple[Provenance, ...] = ()
        marks: list[bytes] = []
        async for response in read(call):
            match response.WhichOneof("event"):
                case "session_started":
                    models = tuple(from_provenance(m) for m in response.session_started.models)
                case "timing_mark":
                    marks.append(response.timing_mark.SerializeToString())
                case "audio":
                    wire = response.audio.SerializeToString()
                    yield Speech(response.audio.content, 0.0, models, wire, tuple(marks))
                    models, marks = (), []
        if marks:
            yield Speech(b"", marks=tuple(marks))

    def _first_message(self, context: TurnContext) -> synthesis_pb2.StreamingSynthesizeRequest:
        config = synthesis_pb2.StreamingSynthesisConfig(
            language_code=context.profile.locale, options=self._config.synthesis
        )
        config.format.CopyFrom(self._config.output_format)
        if not config.format.encoding:
            config.format.encoding = audio_pb2.AUDIO_ENCODING_LINEAR16
        return synthesis_pb2.StreamingSynthesizeRequest(config=config)


class _Said:
    """What one synthesis was given and gave. Latency is from its first text to its first sound, in seconds."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._began: float | None = None
        self.texts: list[str] = []
        self.size = 0
        self.whole = True
        self.latency: float | None = None

    async def noting(self, texts: AsyncIterator[str]) -> AsyncIterator[str]:
        """The texts as they come."""
        async for text in texts:
            self._began = self._now() if self._began is None else self._began
            if sum(map(len, self.texts)) + len(text) <= MAX_COPIED:
                self.texts.append(text)
            else:
                self.whole = False
            yield text

    def heard(self, size: int) -> None:
        """So many bytes of sound have come."""
        if size and self.latency is None and self._began is not None:
            self.latency = self._now() - self._began
        self.size += size


async def _again(texts: list[str]) -> AsyncIterator[str]:
    for text in texts:
        yield text


async def _write(call: Any, texts: AsyncIterator[str]) -> None:
    try:
        with rpc_errors():
            async for text in texts:
                piece = synthesis_pb2.SynthesisInput(text=text)
                await write(call, synthesis_pb2.StreamingSynthesizeRequest(text=piece))
            await write(call, synthesis_pb2.StreamingSynthesizeRequest(end_of_text=synthesis_pb2.EndOfText()))
            await call.done_writing()
    except AntiphonError:
        return  # the reading side meets the same end and reports it
