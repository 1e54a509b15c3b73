"""Generates load in a process of its own, so that its CPU does not count: `python -m benchmarks.load JSON`.

Prints one JSON line when it is ready, waits for a line on standard input, runs, and prints the outcome.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import asdict, dataclass, field

import grpc

from antiphon.arbitration.v1 import assistant_pb2, assistant_pb2_grpc
from antiphon.nlu.v1 import understanding_pb2, understanding_pb2_grpc
from antiphon.types.v1 import speech_pb2


@dataclass(frozen=True)
class Load:
    """What to send.

    Attributes:
        target: address.
        kind: "stream" (a message, its answer, the next message, on `streams` streams) or "unary".
        streams: streams, or unary calls in flight.
        seconds: how long.
        period_s: seconds from message to message on a stream; 0 is flat out.
        size: bytes of audio in a message; a unary call carries a sentence.
        application: `application` metadata; empty sends none.
    """

    target: str
    kind: str = "stream"
    streams: int = 16
    seconds: float = 5.0
    period_s: float = 0.0
    size: int = 3200
    application: str = ""


@dataclass
class Outcome:
    """What came of it: answers, seconds, and the time of each answer in ms."""

    messages: int = 0
    seconds: float = 0.0
    p50_ms: float = 0.0
    p99_ms: float = 0.0
    times_ms: list[float] = field(default_factory=list)


class Generator:
    """One process' worth of load."""

    def __init__(self, load: Load) -> None:
        self._load = load
        self._outcome = Outcome()
        self._metadata = (("application", load.application),) if load.application else ()
        self._until = 0.0

    async def run(self) -> Outcome:
        """Warms up, tells that it is ready, waits for the word, runs."""
        async with grpc.aio.insecure_channel(self._load.target) as channel:
            await self._once(channel, 0.5)
            print(json.dumps({"ready": True}), flush=True)
            await asyncio.to_thread(sys.stdin.readline)
            self._outcome = Outcome()
            began = time.monotonic()
            await self._once(channel, self._load.seconds)
            self._outcome.seconds = time.monotonic() - began
        times = sorted(self._outcome.times_ms)
        self._outcome.messages = len(times)
        self._outcome.p50_ms, self._outcome.p99_ms = _percentile(times, 0.5), _percentile(times, 0.99)
        self._outcome.times_ms = []
        return self._outcome

    async def _once(self, channel: grpc.aio.Channel, seconds: float) -> None:
        self._until = time.monotonic() + seconds
        worker = self._stream if self._load.kind == "stream" else self._unary
        await asyncio.gather(*(worker(channel, i) for i in range(self._load.streams)))

    async def _stream(self, channel: grpc.aio.Channel, number: int) -> None:
        call = assistant_pb2_grpc.AssistantServiceStub(channel).Converse(metadata=self._metadata)
        request = assistant_pb2.ConverseRequest(audio=bytes(self._load.size))
        async for began in self._beats(number):
            await call.write(request)
            if await call.read() is grpc.aio.EOF:
                raise RuntimeError(f"the stream ended: {await call.code()} {await call.details()}")
            self._outcome.times_ms.append((time.monotonic() - began) * 1000)
        await call.done_writing()
        await call.read()

    async def _unary(self, channel: grpc.aio.Channel, number: int) -> None:
        stub = understanding_pb2_grpc.LanguageUnderstandingServiceStub(channel)
        request = understanding_pb2.InterpretRequest(
            alternatives=[speech_pb2.SpeechAlternative(spoken_text="what time is it in new york")],
            language_code="en-US",
        )
        async for began in self._beats(number):
            await stub.Interpret(request, metadata=self._metadata)
            self._outcome.times_ms.append((time.monotonic() - began) * 1000)

    async def _beats(self, number: int) -> AsyncIterator[float]:
        """The instants at which one stream sends, spread over the period among the streams."""
        load = self._load
        beat = time.monotonic() + load.period_s * number / load.streams
        while (now := time.monotonic()) < self._until:
            if load.period_s:
                await asyncio.sleep(max(0.0, beat - now))
                beat += load.period_s
            yield time.monotonic()


def _percentile(ordered: Sequence[float], share: float) -> float:
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))] if ordered else 0.0


if __name__ == "__main__":
    print(json.dumps(asdict(asyncio.run(Generator(Load(**json.loads(sys.argv[1]))).run()))), flush=True)
