"""Concurrent real-time recognitions per core, against the same engine called in a loop in this process.

    python -m benchmarks recognition [--streams=N] [--seconds=S]

Both sides hear the same audio: commands spoken by espeak-ng (synthetic) with pauses between them, in 100 ms pieces. In
process the engine's transcriber is fed as fast as it goes; on the platform N clients send in real time through HAProxy
while the CPU seconds of the replica, its workers and HAProxy are counted. What the same processes use while nobody
speaks is measured just before and taken off. The ratio is CPU per second of audio in process over that on the platform:
the share of a core that is left for recognition.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import statistics
import time
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import grpc
import numpy as np
from numpy.typing import NDArray

from antiphon.asr.v1 import recognition_pb2, recognition_pb2_grpc
from antiphon.types.v1 import speech_pb2
from benchmarks.processes import command, cpu_seconds, descendants
from benchmarks.turns import FORMAT, QUESTIONS, RATE_HZ, speak
from services import asr
from services.asr.engines.bundles import PocketsphinxBundle
from services.asr.engines.pocketsphinx_worker import Decoders
from services.asr.engines.silero import SileroDetector
from services.asr.requests import Endpointing, SessionConfig
from services.asr.transcriber import Transcriber
from services.registry import CAPABILITIES, DEFAULT_POOLS
from services.runtime.deployment import RayPlatform
from services.runtime.inference import ModelStore
from services.runtime.platform import PlatformSettings

LIMIT = 0.90
PAUSE_S = 1.2
CHUNK = RATE_HZ // 10 * 2
IDLE_S = 5.0
SERVING = ("ServeReplica:asr", "pocketsphinx_worker", "bin/haproxy")
MODEL = "antiphon/en-commands"
MODELS = Path(asr.__file__).parent / "models"

Samples = NDArray[np.int16]


def conversation(spoken: Sequence[Samples], seconds: float, start: int) -> bytes:
    """`seconds` of commands with pauses, each speaker beginning with another one."""
    pause = np.zeros(int(PAUSE_S * RATE_HZ), np.int16)
    pieces: list[Samples] = [pause[: int((start % 7) * 0.15 * RATE_HZ)]]
    number = start
    while sum(piece.size for piece in pieces) < seconds * RATE_HZ:
        pieces += [spoken[number % len(spoken)], pause]
        number += 1
    return np.concatenate(pieces)[: int(seconds * RATE_HZ)].astype("<i2").tobytes()


def in_process(audio: Sequence[bytes]) -> float:
    """CPU seconds per second of audio, the engine fed in a loop."""
    decoders = Decoders(PocketsphinxBundle.open(ModelStore.with_bundled(MODELS).get(MODEL)))
    config = SessionConfig(model=MODEL, endpointing=Endpointing(continuous=True))
    heard = 0.0
    began = time.process_time()
    for stream in audio:
        transcriber = Transcriber(config, SileroDetector(), decoders)
        for start in range(0, len(stream), CHUNK):
            transcriber.feed(stream[start : start + CHUNK])
        transcriber.finish()
        transcriber.close()
        heard += len(stream) / 2 / RATE_HZ
    return (time.process_time() - began) / heard


async def one_client(target: str, audio: bytes, delays: list[float]) -> int:
    """Streams in real time; notes how long after its pace each message went out, and counts final results."""
    options = recognition_pb2.RecognitionOptions(endpointing=speech_pb2.EndpointingConfig(continuous=True))
    config = recognition_pb2.RecognitionConfig(format=FORMAT, language_codes=["en"], options=options)

    async def requests() -> AsyncIterator[recognition_pb2.StreamingRecognizeRequest]:
        request = recognition_pb2.StreamingRecognizeRequest
        yield request(config=recognition_pb2.StreamingRecognitionConfig(config=config))
        began = time.monotonic()
        for number, start in enumerate(range(0, len(audio), CHUNK)):
            due = began + (number + 1) * 0.1
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            delays.append(time.monotonic() - due)
            yield request(audio=audio[start : start + CHUNK])
        yield request(end_of_audio=recognition_pb2.EndOfAudio())

    finals = 0
    async with grpc.aio.insecure_channel(target) as channel:
        stub = recognition_pb2_grpc.SpeechRecognitionServiceStub(channel)
        async for event in stub.StreamingRecognize(requests(), timeout=300):
            finals += event.WhichOneof("event") == "result" and event.result.is_final
    return finals


def serving() -> list[int]:
    """The replica of recognition, its workers, HAProxy."""
    return [pid for pid in descendants(os.getpid()) if any(name in command(pid) for name in SERVING)]


async def on_platform(target: str, audio: Sequence[bytes]) -> tuple[float, int, float]:
    """CPU seconds per second of audio over all streams, final results, and the generator's delay p99 in ms."""
    pids = serving()
    before = cpu_seconds(pids)
    await asyncio.sleep(IDLE_S)
    idle = (cpu_seconds(pids) - before) / IDLE_S
    delays: list[float] = []
    before, began = cpu_seconds(pids), time.monotonic()
    finals = await asyncio.gather(*(one_client(target, stream, delays) for stream in audio))
    took = time.monotonic() - began
    used = cpu_seconds(pids) - before - idle * took
    heard = sum(len(stream) / 2 / RATE_HZ for stream in audio)
    return used / heard, sum(finals), statistics.quantiles(delays, n=100)[98] * 1000


async def voices(target: str) -> list[Samples]:
    """The commands, spoken."""
    async with grpc.aio.insecure_channel(target) as channel:
        return [await speak(channel, text) for text in QUESTIONS]


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--streams", type=int, default=12, help="people who speak at once (default 12)")
    parser.add_argument("--seconds", type=float, default=30.0, help="how long each speaks (default 30)")
    options = parser.parse_args(arguments)
    pools = tuple(pool for pool in DEFAULT_POOLS if pool.name in ("asr", "tts"))
    with RayPlatform(PlatformSettings(port=0, pool_port=0, pools=pools), CAPABILITIES, progress=print) as platform:
        target = next(pool.target for pool in platform.directory.pools if pool.name == "asr")
        spoken = asyncio.run(voices(platform.target))
        audio = [conversation(spoken, options.seconds, number) for number in range(options.streams)]
        time.sleep(3)  # Ray starts processes after its first answer
        served, finals, late_ms = asyncio.run(on_platform(target, audio))
        alone = in_process(audio)
    ratio = alone / served
    print(f"{options.streams} streams of {options.seconds:.0f} s in real time: {finals} utterances recognised")
    print(f"generator late by {late_ms:.1f} ms at p99 {'' if late_ms < 10 else '(over 10 ms: not a valid run)'}")
    print(f"in process {alone * 1000:6.1f} ms CPU per second of audio: {1 / alone:5.1f} streams per core")
    print(f"on Ray     {served * 1000:6.1f} ms CPU per second of audio: {1 / served:5.1f} streams per core")
    verdict = "PASS" if ratio >= LIMIT else "MISS"
    print(f"concurrent real-time recognitions per core: ratio {ratio:.2f} limit {LIMIT:.2f}  {verdict}")


if __name__ == "__main__":
    main()
