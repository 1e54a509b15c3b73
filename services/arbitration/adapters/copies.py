"""Copies of an utterance's audio for shadow recognisers; `recognition` makes one per shadow arm and fills it.

The served stream never waits for a copy: its messages go into a bounded queue, and a shadow that cannot keep up loses
its copy.
"""

from __future__ import annotations

import asyncio
import time
from typing import Any, Final

from antiphon.asr.v1 import recognition_pb2, recognition_pb2_grpc
from antiphon.channels import write
from services.arbitration.adapters.channels import Channels, read, rpc_errors
from services.arbitration.contexts import TurnContext
from services.arbitration.routing.shadowing import Compared, ShadowArm, word_error_rate

Message = recognition_pb2.StreamingRecognizeRequest

MESSAGES_AHEAD: Final = 100
"""Messages that wait for a shadow: 10 s of speech, at most 1.5 MB."""

UTTERANCE_S: Final = 60.0
"""Longest utterance that a shadow follows."""


class RecognitionCopy:
    """One utterance on its way to a shadow. Nothing here waits or raises.

    Args:
        first: the message that began the served stream.
    """

    def __init__(self, channels: Channels, arm: ShadowArm, context: TurnContext, first: Message) -> None:
        self._channels = channels
        self._arm = arm
        self._context = context
        self._messages: asyncio.Queue[Message] = asyncio.Queue(MESSAGES_AHEAD)
        self._served: asyncio.Future[tuple[str, float] | None] = asyncio.get_running_loop().create_future()
        self._going = channels.shadows.begin(arm, self._run, work=UTTERANCE_S)
        self.put(first)

    def put(self, message: Message) -> None:
        """The same message for the shadow."""
        if not self._going:
            return
        try:
            self._messages.put_nowait(message)
        except asyncio.QueueFull:
            self._channels.shadows.dropped(self._arm)
            self.served(None)

    def served(self, text: str | None) -> None:
        """What the user got: the transcript, or None when the utterance came to nothing, and so does the copy."""
        self._going = self._going and text is not None
        if not self._served.done():
            self._served.set_result(None if text is None else (text, time.monotonic()))

    async def _run(self) -> Compared | None:
        stub = recognition_pb2_grpc.SpeechRecognitionServiceStub
        with rpc_errors():
            call = self._channels.upload(
                stub, "StreamingRecognize", "asr", self._context, target=self._arm.target, timeout=UTTERANCE_S
            )
        sending = asyncio.create_task(self._send(call))
        listening = asyncio.create_task(_transcript(call))
        try:
            served = await self._served
            if served is None:
                return None
            text, at = served
            heard, heard_at = await listening
            metrics = {
                "wer_against_served": word_error_rate(text, heard, self._context.profile.locale),
                "latency_difference_s": heard_at - at,
            }
            return Compared(None, metrics)
        finally:
            sending.cancel()
            listening.cancel()
            call.cancel()
            await asyncio.gather(sending, listening, return_exceptions=True)

    async def _send(self, call: Any) -> None:
        with rpc_errors():
            while True:
                message = await self._messages.get()
                await write(call, message)
                if message.HasField("end_of_audio"):
                    await call.done_writing()
                    return


async def _transcript(call: Any) -> tuple[str, float]:
    """The best final words and when they came; none where the stream ends without any."""
    async for response in read(call):
        if response.WhichOneof("event") == "result" and response.result.is_final:
            best = response.result.alternatives
            return best[0].spoken_text if best else "", time.monotonic()
    return "", time.monotonic()
