"""One conversation over as many streams as it takes: what `Assistant.converse` runs.

It keeps what the server has not yet confirmed, and nothing more. When a replica is lost, or announces that it goes, the
conversation goes on with the server's resume token on a new stream, or from its beginning where no event has come
yet. The idempotency key makes sure that nothing is done twice.
"""

from __future__ import annotations

import asyncio
import time
import uuid
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Callable
from contextlib import aclosing
from dataclasses import dataclass
from typing import TypeAlias

import grpc
from google.protobuf.duration_pb2 import Duration

from antiphon.arbitration.v1 import assistant_pb2
from antiphon.errors import AntiphonApiError
from antiphon.retries import RetryPolicy
from antiphon.types.v1 import audio_pb2, session_pb2

Item: TypeAlias = "bytes | str | assistant_pb2.ConverseRequest"
"""What a source yields: audio of the microphone, a typed turn, or any message of the contract."""
Requests = AsyncIterator[assistant_pb2.ConverseRequest]
Responses = AsyncGenerator[assistant_pb2.ConverseResponse, None]
OpenStream = Callable[[Requests], Responses]

MAX_UNCONFIRMED_BYTES = 8 * 1024 * 1024
MAX_UNSENT_BYTES = 1024 * 1024
MAX_CHUNK_BYTES = 15_360
_SAMPLE_BYTES = {
    audio_pb2.AUDIO_ENCODING_LINEAR16: 2,
    audio_pb2.AUDIO_ENCODING_MULAW: 1,
    audio_pb2.AUDIO_ENCODING_ALAW: 1,
}
_RESUMABLE_ENDINGS = (
    session_pb2.SESSION_ENDING_REASON_DRAINING,
    session_pb2.SESSION_ENDING_REASON_MAX_DURATION,
    session_pb2.SESSION_ENDING_REASON_BACKEND_LOST,
)


@dataclass(frozen=True)
class Sent:
    """A message and the audio bytes of the conversation up to its end."""

    request: assistant_pb2.ConverseRequest
    end: int

    @property
    def start(self) -> int:
        """Audio bytes of the conversation before it."""
        return self.end - len(self.request.audio)


class Outbox:
    """What was given to the conversation and may have to be sent, or sent again.

    Args:
        bytes_per_second: of the microphone's audio; 0 if audio time tells nothing of bytes (Opus): then nothing of the
            audio is ever confirmed.
        frame_bytes: bytes of one sample of all channels.
        limit: bytes of audio that are kept after they were sent; the oldest go first, and cannot be sent again.
        ahead: bytes of audio that may wait to be sent before the source has to wait.
    """

    def __init__(
        self,
        bytes_per_second: int,
        frame_bytes: int = 2,
        limit: int = MAX_UNCONFIRMED_BYTES,
        ahead: int = MAX_UNSENT_BYTES,
    ) -> None:
        self._rate = bytes_per_second
        self._frame = frame_bytes
        self._limit = limit
        self._ahead = ahead
        self._items: deque[Sent] = deque()
        self._first = 0  # number of the first item kept
        self._end = 0  # audio bytes taken in so far
        self._sent = 0  # of these, sent at least once
        self._confirmed = 0  # of these, safe with the server
        self._kept_from = 0  # all audio from here on is kept
        self._whole = True
        self._changed = asyncio.Event()
        self._closed = False
        self._failure: Exception | None = None

    @property
    def kept_bytes(self) -> int:
        """Audio kept, sent or not."""
        return self._end - self._kept_from

    @property
    def whole(self) -> bool:
        """Everything from the conversation's first message on is still here."""
        return self._whole

    @property
    def confirmed_s(self) -> float:
        """Audio time that the server has said it holds, seconds."""
        return self._confirmed / self._rate if self._rate else 0.0

    async def put(self, request: assistant_pb2.ConverseRequest) -> None:
        """Takes a message in; waits while too much waits to be sent."""
        while self._end - self._sent + len(request.audio) > self._ahead:
            self._changed.clear()
            await self._changed.wait()
        self._end += len(request.audio)
        self._items.append(Sent(request, self._end))
        self._changed.set()

    def close(self, failure: Exception | None = None) -> None:
        """No more will come; a `failure` of the source is raised to whoever reads."""
        self._closed, self._failure = True, failure
        self._changed.set()

    def confirm(self, audio_s: float) -> None:
        """The server holds the conversation's first `audio_s` seconds of audio: they may go, with what lies between."""
        self._confirmed = max(self._confirmed, self.byte_offset(audio_s))
        while self._items and self._is_confirmed(self._items[0]):
            self._drop()

    def confirm_turn(self) -> None:
        """A turn is over: typed turns up to now need not be sent again."""
        while self._items and self._items[0].request.WhichOneof("request") == "text":
            self._drop()

    def byte_offset(self, audio_s: float) -> int:
        """Audio time as a count of bytes, whole samples only."""
        exact = round(audio_s * self._rate)
        return min(exact - exact % self._frame, self._end)

    async def read(self, offset: int) -> Requests:
        """Messages from that byte of audio on, and those still to come, until `close`.

        Raises:
            AntiphonApiError: AUDIO_FORGOTTEN, some of that audio is not kept any more.
        """
        if self._kept_from > offset:
            raise AntiphonApiError(
                grpc.StatusCode.DATA_LOSS,
                "audio that would have to be sent again is no longer kept: begin a new turn",
                reason="AUDIO_FORGOTTEN",
            )
        position = self._first
        while True:
            while position < self._first + len(self._items):
                item = self._items[max(position, self._first) - self._first]
                position = max(position, self._first) + 1
                self._note_sent(item)
                if item.request.HasField("audio") and item.start < offset:
                    if item.end > offset:
                        yield assistant_pb2.ConverseRequest(audio=item.request.audio[offset - item.start :])
                    continue
                yield item.request
            if self._failure is not None:
                raise self._failure
            if self._closed:
                return
            self._changed.clear()
            await self._changed.wait()

    def _note_sent(self, item: Sent) -> None:
        self._sent = max(self._sent, item.end)
        while self._sent - self._kept_from > self._limit and self._items[0].end < self._sent:
            self._drop()
        self._changed.set()

    def _is_confirmed(self, item: Sent) -> bool:
        if item.request.HasField("audio"):
            return item.end <= self._confirmed
        # A control is known to have arrived once audio sent after it has; a typed turn once it was answered.
        return item.request.WhichOneof("request") != "text" and item.end < self._confirmed

    def _drop(self) -> None:
        self._kept_from = self._items.popleft().end
        self._first += 1
        self._whole = False


class Conversation:
    """Runs one conversation. Use `events()` once.

    Args:
        open_stream: opens one Converse stream: takes its requests, gives its responses.
        config: of the conversation; an idempotency key is made where it has none.
        source: audio, typed turns and other messages of the user, in order; its end ends the conversation.
        retry: when to go on after a failure.
    """

    def __init__(
        self,
        open_stream: OpenStream,
        config: assistant_pb2.ConverseConfig,
        source: AsyncIterable[Item],
        retry: RetryPolicy,
    ) -> None:
        self._open = open_stream
        self._config = assistant_pb2.ConverseConfig()
        self._config.CopyFrom(config)
        self._config.idempotency_key = config.idempotency_key or uuid.uuid4().hex
        self._source = source
        self._retry = retry
        audio = config.input_format
        frame = _SAMPLE_BYTES.get(audio.encoding, 0) * max(audio.channel_count, 1)
        self._outbox = Outbox(frame * audio.sample_rate_hertz, max(frame, 1))
        self._token = config.resume_token
        self._seen = config.last_sequence_number
        self._base_s = 0.0  # conversation's audio time at the start of this stream's audio
        self._origin_s: float | None = None if config.resume_token else 0.0  # what an earlier process had sent
        self._started = asyncio.Event()
        self._ending: session_pb2.SessionEnding | None = None
        self._failures = 0  # since the last event that said something new
        self._failing_since = 0.0  # monotonic seconds; 0 while all is well
        self.resumes = 0

    async def events(self) -> Responses:
        """The server's events, each once, over all streams.

        Raises:
            AntiphonApiError: the conversation failed for good.
            Exception: whatever the source raised.
        """
        taking = asyncio.create_task(self._take_source())
        try:
            while True:
                try:
                    async with aclosing(self._one_stream()) as events:
                        async for event in events:
                            yield event
                    return
                except AntiphonApiError as error:
                    await self._prepare_again(error)
        finally:
            taking.cancel()
            await asyncio.gather(taking, return_exceptions=True)  # the microphone is let go before we return

    async def _take_source(self) -> None:
        turns = 0
        try:
            async for item in self._source:
                request = _as_request(item)
                if request.HasField("text") and not request.text.idempotency_key:
                    turns += 1
                    request.text.idempotency_key = f"{self._config.idempotency_key}/text-{turns}"
                await self._outbox.put(request)
        except Exception as error:  # noqa: BLE001 - the source is the caller's: all it raises goes back to the caller
            self._outbox.close(error)
            return
        finally:
            close = getattr(self._source, "aclose", None)
            if close is not None:
                await close()
        await self._outbox.put(assistant_pb2.ConverseRequest(end=assistant_pb2.EndOfConversation()))
        self._outbox.close()

    async def _one_stream(self) -> Responses:
        self._started.clear()
        self._ending = None
        async with aclosing(self._open(self._requests())) as stream:
            async for event in stream:
                self._note(event)
                if event.sequence_number and event.sequence_number <= self._seen:
                    continue
                self._seen = max(self._seen, event.sequence_number)
                yield event

    async def _requests(self) -> Requests:
        config = assistant_pb2.ConverseConfig()
        config.CopyFrom(self._config)
        config.resume_token, config.last_sequence_number = self._token, self._seen
        yield assistant_pb2.ConverseRequest(config=config)
        if self._token:
            await self._started.wait()  # it says from where on to send
        async for request in self._outbox.read(self._outbox.byte_offset(self._base_s)):
            yield request

    def _note(self, event: assistant_pb2.ConverseResponse) -> None:
        kind = event.WhichOneof("event")
        if kind == "session_started":
            started = event.session_started
            self._token = started.resume_token or self._token
            if started.resumed:
                self._base_s = self._resume_from(started)
            self._started.set()
        elif kind == "session_ending":
            self._ending = event.session_ending
            self._token = event.session_ending.resume_token or self._token
        else:
            if kind != "audio_acknowledged":
                self._failures, self._failing_since = 0, 0.0
            if kind == "turn_completed":
                self._outbox.confirm_turn()
        if event.HasField("received_audio_offset"):
            self._outbox.confirm(self._base_s + _seconds(event.received_audio_offset))

    def _resume_from(self, started: session_pb2.SessionStarted) -> float:
        """Audio time of this conversation, seconds, from which on the server wants it again."""
        if not started.HasField("resume_audio_offset"):
            return self._outbox.confirmed_s
        held_s = _seconds(started.resume_audio_offset)
        self._origin_s = held_s if self._origin_s is None else self._origin_s
        return max(held_s - self._origin_s, self._outbox.confirmed_s)

    async def _prepare_again(self, error: AntiphonApiError) -> None:
        """Waits until a new stream should be opened, or raises `error` where the conversation cannot go on."""
        self._failures += 1
        self._failing_since = self._failing_since or time.monotonic()
        delay = self._delay(error)
        if delay is None or not (self._token or self._outbox.whole):
            raise error
        if not self._token:
            self._base_s = 0.0
        self.resumes += 1
        await asyncio.sleep(delay)

    def _delay(self, error: AntiphonApiError) -> float | None:
        """Seconds to wait before the next stream; None to give up."""
        patient = time.monotonic() - self._failing_since < self._retry.patience_s
        if self._token and error.code == grpc.StatusCode.NOT_FOUND and self._outbox.whole:
            self._token = ""  # the server knows nothing of it any more, and nothing is lost yet: begin anew
            return 0.0 if self._failures <= self._retry.attempts else None
        if self._ending is not None and self._ending.reason in _RESUMABLE_ENDINGS and self._token:
            return 0.0 if self._failures <= self._retry.attempts else None
        replacing = error.retryable or error.code == grpc.StatusCode.UNAVAILABLE
        if self._token and replacing and patient:
            # A replica that was lost is being replaced, which takes a while: worth the wait in a running conversation.
            return self._retry.delay(error, 1)
        return self._retry.delay(error, self._failures)


def _as_request(item: Item) -> assistant_pb2.ConverseRequest:
    if isinstance(item, bytes):
        if len(item) > MAX_CHUNK_BYTES:
            raise ValueError(f"a piece of audio has {len(item)} bytes; at most {MAX_CHUNK_BYTES} go in one message")
        return assistant_pb2.ConverseRequest(audio=item)
    if isinstance(item, str):
        return assistant_pb2.ConverseRequest(text=assistant_pb2.TextInput(text=item))
    return item


def _seconds(duration: Duration) -> float:
    return duration.ToNanoseconds() / 1e9
