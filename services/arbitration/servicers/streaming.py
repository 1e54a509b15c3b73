"""The messages of one conversation on their way to the client; `assistant.py` makes a `Stream` for each call."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import Any

from antiphon.arbitration.v1 import assistant_pb2
from services.arbitration.adapters.messages import Messages
from services.arbitration.adapters.values import set_seconds
from services.arbitration.conversation import Conversation
from services.arbitration.devices.claims import Account, Claims
from services.arbitration.events import Event, TurnEnded
from services.arbitration.inputs import Input
from services.arbitration.ledger import LatencyLedger, Mark
from services.runtime import telemetry
from services.runtime.calls import Call
from services.runtime.errors import AntiphonError

log = logging.getLogger(__name__)

ACKNOWLEDGE_S = 1.0
"""Longest time without a `received_audio_offset` while audio comes in."""

MEASURED = (Mark.ENDPOINT, Mark.FINAL, Mark.DECISION, Mark.FIRST_TEXT, Mark.FIRST_AUDIBLE, Mark.COMPLETED)


class Watch:
    """Sees whether the activation that a conversation rests on went to another device.

    While the claims cannot be compared the device goes on: it was granted once.

    Attributes:
        lost: the activation that did.
    """

    def __init__(self, claims: Claims, account: Account, device_id: str) -> None:
        self.lost: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._claims = claims
        self._account = account
        self._device_id = device_id
        self._task: asyncio.Task[bool] | None = None

    def over(self, wake: assistant_pb2.Wake) -> None:
        """From now on over this wake's activation, if it names one, in place of the last."""
        if not wake.activation_id:
            return
        if self._task is not None:
            self._task.cancel()
        self._task = asyncio.create_task(
            self._claims.lost(self._account, wake.phrase, wake.activation_id, self._device_id)
        )
        self._task.add_done_callback(lambda task: self._seen(task, wake.activation_id))

    def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
        self.lost.cancel()

    def _seen(self, task: asyncio.Task[bool], activation_id: str) -> None:
        if task.cancelled() or self.lost.done():
            return
        error = task.exception()
        if isinstance(error, AntiphonError):
            log.warning("a grant was not compared: %s", error.reason)
        elif error is not None:
            self.lost.set_exception(error)  # a defect is told as one
        elif task.result():
            self.lost.set_result(activation_id)


class Stream:
    """Numbers the messages of one conversation and acknowledges audio when there is nothing else to say.

    A conversation whose device was granted too early ends as soon as another one answers.
    """

    def __init__(self, conversation: Conversation, messages: Messages, call: Call, watch: Watch) -> None:
        self._watch = watch
        self._conversation = conversation
        self._messages = messages
        self._call = call
        self._heard = 0.0
        call.complete_ending = self._number

    async def run(self, inputs: AsyncIterator[Input]) -> AsyncGenerator[assistant_pb2.ConverseResponse, None]:
        lost = self._watch.lost
        try:
            async with aclosing(_or_silence(self._conversation.run(inputs), ACKNOWLEDGE_S, lost)) as events:
                async for event in events:
                    self._call.resume_token = self._conversation.resume_token
                    for message in self._of(event):
                        self._number(message)
                        yield message
            if lost.done():
                yield self._revocation(lost.result())
        finally:
            self._watch.close()

    def _revocation(self, activation_id: str) -> assistant_pb2.ConverseResponse:
        message = assistant_pb2.ConverseResponse()
        message.activation_revoked.activation_id = activation_id
        message.activation_revoked.reason = "OTHER_DEVICE"
        self._number(message)
        return message

    def _of(self, event: Event | None) -> list[assistant_pb2.ConverseResponse]:
        if event is not None:
            if isinstance(event, TurnEnded) and event.ledger is not None:
                _measure(event.ledger)
            return list(self._messages.of(event))
        if self._conversation.received_audio <= self._heard:
            return []
        message = assistant_pb2.ConverseResponse()
        message.audio_acknowledged.SetInParent()
        return [message]

    def _number(self, message: assistant_pb2.ConverseResponse) -> None:
        self._conversation.sequence += 1
        message.sequence_number = self._conversation.sequence
        self._heard = self._conversation.received_audio
        # Not what was received but what is safe: from there on a resumed client sends again.
        self._call.received_audio_s = self._conversation.safe_audio
        set_seconds(message.received_audio_offset, self._conversation.safe_audio)


def _measure(ledger: LatencyLedger) -> None:
    """The turn's latency by stage, from the end of speech (a typed turn's text: from its arrival)."""
    spoken = ledger.marks.get(Mark.END_OF_SPEECH, 0.0)
    for mark in MEASURED:
        if mark in ledger.marks:
            telemetry.TURN_STAGE_SECONDS.record(max(0.0, ledger.marks[mark] - spoken), {"stage": str(mark)})


async def _or_silence(
    events: AsyncIterator[Event], limit_s: float, revoked: asyncio.Future[str] | None = None
) -> AsyncGenerator[Event | None, None]:
    """The events, and None whenever `limit_s` seconds pass without one; no more after the first once `revoked`."""
    pending: asyncio.Future[Event] | None = None
    ending: set[asyncio.Future[str]] = set()
    try:
        while not any(future.done() for future in ending):
            pending = pending or asyncio.ensure_future(anext(events))
            waited: set[asyncio.Future[Any]] = {pending, *ending}
            done, _ = await asyncio.wait(waited, timeout=limit_s, return_when=asyncio.FIRST_COMPLETED)
            if not done:
                yield None
            if not pending.done():
                continue
            finished, pending = pending, None
            try:
                event = finished.result()
            except StopAsyncIteration:
                return
            ending = {revoked} if revoked is not None else ending
            yield event
    finally:
        if pending is not None:
            pending.cancel()
            await asyncio.gather(pending, return_exceptions=True)
        if isinstance(events, AsyncGenerator):
            await events.aclose()
