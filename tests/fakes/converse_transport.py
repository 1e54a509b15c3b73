"""A Converse stream without a network: answers by a script, and breaks where the script says so."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from dataclasses import dataclass, field

from antiphon.arbitration.v1 import assistant_pb2
from antiphon.errors import AntiphonApiError
from antiphon.types.v1 import session_pb2

Request = assistant_pb2.ConverseRequest
Response = assistant_pb2.ConverseResponse


@dataclass
class Leg:
    """What one stream does.

    Attributes:
        hears: audio bytes it takes before it ends as below; None takes all up to `end`.
        confirms: whether it acknowledges what it hears.
        failure: how it ends; None ends well.
        refusal: it fails so before it says anything.
        ending: announced before `failure`.
        resume_at_s: audio time from which a resumed conversation is to be sent again; None leaves it unsaid.
    """

    hears: int | None = None
    confirms: bool = True
    failure: AntiphonApiError | None = None
    refusal: AntiphonApiError | None = None
    ending: session_pb2.SessionEnding | None = None
    resume_at_s: float | None = 0.0


@dataclass
class ScriptedTransport:
    """Plays its legs one after the other; `opened` keeps what each stream was sent.

    Args:
        legs: one for each stream that may be opened.
        bytes_per_second: of the audio.
    """

    legs: list[Leg]
    bytes_per_second: int = 32000
    configs: list[assistant_pb2.ConverseConfig] = field(default_factory=list)
    audio: list[bytes] = field(default_factory=list)
    others: list[list[str]] = field(default_factory=list)
    sequence: int = 0
    on_event: Callable[[], None] = lambda: None

    async def open(self, requests: AsyncIterator[Request]) -> AsyncGenerator[Response, None]:
        leg = self.legs[len(self.configs)]
        config = (await anext(requests)).config
        self.configs.append(config)
        self.audio.append(b"")
        self.others.append([])
        if leg.refusal is not None:
            raise leg.refusal
        resumed = bool(config.resume_token)
        yield self._event(session_started=self._started(leg, resumed))
        heard = 0
        while leg.hears is None or heard < leg.hears:
            request = await anext(requests, None)
            if request is None:
                break
            kind = request.WhichOneof("request") or ""
            if kind == "audio":
                heard += len(request.audio)
                self.audio[-1] += request.audio
                if leg.confirms:
                    acknowledged = self._event(audio_acknowledged=session_pb2.AudioAcknowledged())
                    acknowledged.received_audio_offset.FromNanoseconds(round(1e9 * heard / self.bytes_per_second))
                    yield acknowledged
            else:
                self.others[-1].append(kind)
            if kind == "end":
                break
        if leg.ending is not None:
            yield self._event(session_ending=leg.ending)
        if leg.failure is not None:
            raise leg.failure
        yield self._event(turn_completed=assistant_pb2.TurnCompleted(answer="done"))

    def _started(self, leg: Leg, resumed: bool) -> session_pb2.SessionStarted:
        started = session_pb2.SessionStarted(resume_token=f"token-{len(self.configs)}", resumed=resumed)
        if leg.resume_at_s is not None:
            started.resume_audio_offset.FromNanoseconds(round(leg.resume_at_s * 1e9))
        return started

    def _event(self, **event: object) -> Response:
        self.sequence += 1
        return Response(sequence_number=self.sequence, **event)  # type: ignore[arg-type]


async def chunks(audio: bytes, size: int) -> AsyncIterator[bytes]:
    """A source of audio that lets others run between its pieces."""
    for start in range(0, len(audio), size):
        await asyncio.sleep(0)
        yield audio[start : start + size]
