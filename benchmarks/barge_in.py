"""How fast an answer stops when the user speaks over it.

    python -m benchmarks barge_in [--times N] [--target HOST:PORT] [--json FILE]

A device with an echo-free microphone asks "what can you do" in real time, and while the answer comes it says something
else (espeak-ng, synthetic). The clock runs from the instant at which the first audible sample of the interruption was
due at the microphone to the arrival of StopPlayback. Audio goes out in pieces of 20 ms.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from antiphon.arbitration.v1 import assistant_pb2
from antiphon.client import Assistant, TtsClient
from antiphon.conversation import Item
from antiphon.recordings import linear16
from services.registry import CAPABILITIES, DEFAULT_POOLS
from services.runtime.deployment import RayPlatform
from services.runtime.platform import PlatformSettings

RATE_HZ = 16_000
PIECE_S = 0.02
LIMIT_S = 0.2
AUDIBLE = 500
"""Sample value from which a sample counts as audible, about -36 dBFS."""
AFTER_S = 6.0
"""How long the device goes on listening after it has interrupted."""
QUESTION, INTERRUPTIONS = "what can you do", ("what is three times four", "tell me a joke", "stop", "what time is it")


@dataclass
class Heard:
    """What the device got, each event with its instant in monotonic seconds. `onset` of its own interruption."""

    onset: float = 0.0
    events: list[tuple[float, assistant_pb2.ConverseResponse]] = field(default_factory=list)

    def all(self, kind: str) -> list[tuple[float, assistant_pb2.ConverseResponse]]:
        """The events of one kind."""
        return [(at, event) for at, event in self.events if event.WhichOneof("event") == kind]

    @property
    def latency(self) -> float | None:
        """Seconds from the onset of speech to StopPlayback; None when the answer went on."""
        stops = self.all("stop_playback")
        return stops[0][0] - self.onset if stops and self.onset else None


async def interrupted(
    assistant: Assistant, question: bytes, interruption: bytes, *, echo_cancelled: bool = True
) -> Heard:
    """Asks, and speaks over the answer (PCM16 of 16 kHz)."""
    heard, answering = Heard(), asyncio.Event()
    config = assistant_pb2.ConverseConfig(language_codes=["en"], continuous=True)
    config.input_format.CopyFrom(linear16(RATE_HZ))
    config.output_format.CopyFrom(linear16(RATE_HZ))
    client = config.context.client
    client.barge_in = client.playback_events = True
    client.echo_cancelled = echo_cancelled
    async for event in assistant.converse(_microphone(heard, answering, question, interruption), config=config):
        heard.events.append((time.monotonic(), event))
        if event.WhichOneof("event") == "answer_audio":
            answering.set()
    return heard


async def _microphone(
    heard: Heard, answering: asyncio.Event, question: bytes, interruption: bytes
) -> AsyncIterator[Item]:
    step = int(RATE_HZ * PIECE_S) * 2
    begun, sent, over = time.monotonic(), 0, float("inf")
    waiting = bytes(2 * int(0.3 * RATE_HZ)) + question
    while time.monotonic() < over:
        if answering.is_set() and not heard.onset:
            quiet = bytes(2 * int(0.6 * RATE_HZ))  # the answer has been heard for a while
            waiting = quiet + interruption
            # What is sent next is due one piece later than what was sent last.
            heard.onset = begun + sent * PIECE_S + len(quiet) / 2 / RATE_HZ + _first_audible(interruption)
            over = heard.onset + AFTER_S
        piece, waiting = waiting[:step], waiting[step:]
        sent += 1
        await asyncio.sleep(max(0.0, begun + sent * PIECE_S - time.monotonic()))
        yield piece.ljust(step, b"\0")


def _first_audible(pcm: bytes) -> float:
    loud = np.flatnonzero(np.abs(np.frombuffer(pcm, "<i2").astype(np.int32)) > AUDIBLE)
    return float(loud[0]) / RATE_HZ if len(loud) else 0.0


async def measure(target: str, times: int) -> list[float | None]:
    """The latencies of `times` interruptions, one after another."""
    latencies = []
    async with Assistant(target) as assistant, TtsClient(target) as voice:
        question = (await voice.synthesize(QUESTION, sample_rate_hertz=RATE_HZ)).audio
        for number in range(times):
            text = INTERRUPTIONS[number % len(INTERRUPTIONS)]
            said = (await voice.synthesize(text, sample_rate_hertz=RATE_HZ)).audio
            latencies.append((await interrupted(assistant, question, said)).latency)
    return latencies


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the benchmark; 1 if an answer was not stopped."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--times", type=int, default=12)
    parser.add_argument("--target", default="", help="a running platform; without one is started")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args(arguments)
    if options.target:
        latencies = asyncio.run(measure(options.target, options.times))
    else:
        with RayPlatform(PlatformSettings(port=0, pool_port=0, pools=DEFAULT_POOLS), CAPABILITIES) as platform:
            latencies = asyncio.run(measure(platform.target, options.times))
    stopped = sorted(each for each in latencies if each is not None)
    print(f"\nbarge-in by speech (synthetic): {len(stopped)} of {len(latencies)} answers stopped")
    if stopped:
        p50, worst = statistics.median(stopped), stopped[-1]
        print(f"  onset of speech to StopPlayback: p50 {p50 * 1000:.0f} ms ({p50 / LIMIT_S:.2f} of the limit)")
        print(f"  longest {worst * 1000:.0f} ms ({worst / LIMIT_S:.2f} of the limit of {LIMIT_S * 1000:.0f} ms)")
    if options.json:
        options.json.write_text(json.dumps({"stop_s": stopped, "missed": len(latencies) - len(stopped)}) + "\n")
    return 0 if len(stopped) == len(latencies) else 1


if __name__ == "__main__":
    raise SystemExit(main())
