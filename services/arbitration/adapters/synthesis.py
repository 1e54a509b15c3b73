"""Synthesis over `SpeechSynthesisService.StreamingSynthesize`: text goes in as written, audio comes as it is made."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from antiphon.arbitration.v1 import assistant_pb2
from antiphon.channels import write
from antiphon.tts.v1 import synthesis_pb2, synthesis_pb2_grpc
from antiphon.types.v1 import audio_pb2
from services.arbitration.adapters.channels import Channels, read, rpc_errors
from services.arbitration.adapters.values import from_provenance
from services.arbitration.contexts import TurnContext
from services.arbitration.hypotheses import Provenance
from services.arbitration.ports import Speech
from services.runtime.errors import AntiphonError


class GrpcSynthesis:
    """`SynthesisPort` for one conversation, in the form of audio that its config asks for."""

    def __init__(self, channels: Channels, config: assistant_pb2.ConverseConfig) -> None:
        self._channels = channels
        self._config = config

    async def speak(self, texts: AsyncIterator[str], context: TurnContext) -> AsyncIterator[Speech]:
        """Audio of the texts, in order; ends when the last text is spoken."""
        stub = self._channels.stub(synthesis_pb2_grpc.SpeechSynthesisServiceStub, "tts", context)
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
