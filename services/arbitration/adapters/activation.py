"""Activation over `ActivationService.StreamingDetect`, beside the recognition of an utterance."""

from __future__ import annotations

import asyncio
from typing import Any

from antiphon.activation.v1 import activation_pb2, activation_pb2_grpc
from antiphon.arbitration.v1 import assistant_pb2
from antiphon.channels import write
from services.arbitration.adapters.channels import Channels, read, rpc_errors
from services.arbitration.contexts import TurnContext
from services.arbitration.ports import Activation
from services.runtime.errors import AntiphonError

PENDING_CHUNKS = 16
"""Chunks that wait for a slow detector; newer ones are dropped, the turn never waits for it."""

ASSUMED_DIRECTED = 1.0
"""What a detector that has no directedness model leaves us with: the button or wake word has decided."""


class GrpcActivation:
    """`ActivationPort` for one conversation."""

    def __init__(self, channels: Channels, config: assistant_pb2.ConverseConfig) -> None:
        self._channels = channels
        self._config = config

    async def open(self, context: TurnContext) -> Activation:
        """Begins to judge an utterance."""
        stub = activation_pb2_grpc.ActivationServiceStub
        config = activation_pb2.DetectionConfig(
            format=self._config.input_format, speech_activity=True, context=self._config.context
        )
        with rpc_errors():
            call = self._channels.upload(stub, "StreamingDetect", "activation", context)
            await write(call, activation_pb2.StreamingDetectRequest(config=config))
        return GrpcDetection(call)


class GrpcDetection:
    """`Activation` over one open stream; a queue keeps a slow detector away from the turn."""

    def __init__(self, call: Any) -> None:
        self._call = call
        self._chunks: asyncio.Queue[bytes | None] = asyncio.Queue(PENDING_CHUNKS)
        self._score = ASSUMED_DIRECTED
        self._tasks = (asyncio.create_task(self._write()), asyncio.create_task(self._read()))

    async def send(self, pcm: bytes) -> None:
        """Hands over audio, or drops it when the detector is behind."""
        if not self._chunks.full():
            self._chunks.put_nowait(pcm)

    async def directed(self) -> float:
        """The last score; 1 when nobody judges it."""
        return self._score

    async def close(self) -> None:
        """Gives it up."""
        for task in self._tasks:
            task.cancel()
        self._call.cancel()

    async def _write(self) -> None:
        try:
            with rpc_errors():
                while (chunk := await self._chunks.get()) is not None:
                    await write(self._call, activation_pb2.StreamingDetectRequest(audio=chunk))
        except AntiphonError:
            return  # without a detector the utterance counts as meant for the assistant

    async def _read(self) -> None:
        try:
            async for response in read(self._call):
                score = response.directed_speech.score
                if response.WhichOneof("event") == "directed_speech" and 0.0 <= score <= 1.0:
                    self._score = score
        except AntiphonError:
            return
