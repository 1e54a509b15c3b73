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
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path

import grpc
import numpy as np
from numpy.typing import NDArray

from antiphon.asr.v1 import recognition_pb2, recognition_pb2_grpc
from antiphon.types.v1 import speech_pb2
from benchmarks.processes import command, cpu_seconds, descendants
from benchmarks.turns import FORMAT, QUESTIONS, RATE_HZ, speak
from services import asr
from services.asr.engines.pocketsphinx.bundles import PocketsphinxBundle
from services.asr.engines.pocketsphinx.worker import Decoders
from services.asr.engines.silero import SileroDetector
from services.asr.requests import Endpointing, SessionConfig
from services.asr.transcriber import Transcriber
from services.registry import CAPABILITIES, DEFAULT_POOLS
from services.runtime.deployment import RayPlatform
from services.runtime.model_store import ModelStore
from services.runtime.platform import PlatformSettings

LIMIT = 0.90
PAUSE_S = 1.2
CHUNK = RATE_HZ // 10 * 2
IDLE_S = 5.0
SERVING = {"replica": "ServeReplica:asr", "workers": "pocketsphinx.worker", "HAProxy": "bin/haproxy"}
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


def in_process(audio: Sequence[bytes], *, at_once: bool) -> float:
    """CPU seconds per second of audio, the engine fed in a loop: one stream after another, or a piece of each in turn.

    In turn is how any server meets them, and costs more; why (caches, it seems) is not measured here.
    """
    decoders = Decoders(PocketsphinxBundle.open(ModelStore.with_bundled(MODELS).get(MODEL)))
    config = SessionConfig(model=MODEL, endpointing=Endpointing(continuous=True))
    began = time.process_time()
    groups = [audio] if at_once else [[stream] for stream in audio]
    for group in groups:
        transcribers = [Transcriber(config, SileroDetector(), decoders) for _ in group]
        for start in range(0, max(map(len, group)), CHUNK):
            for stream, transcriber in zip(group, transcribers, strict=True):
                transcriber.feed(stream[start : start + CHUNK])
        for transcriber in transcribers:
            transcriber.finish()
            transcriber.close()
    return (time.process_time() - began) / (sum(map(len, audio)) / 2 / RATE_HZ)


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


def serving() -> dict[str, list[int]]:
    """The replica of recognition, its workers, HAProxy."""
    below = descendants(os.getpid())
    return {part: [pid for pid in below if name in command(pid)] for part, name in SERVING.items()}


def used(parts: Mapping[str, Sequence[int]]) -> dict[str, float]:
    """CPU seconds of each part so far."""
    return {part: cpu_seconds(pids) for part, pids in parts.items()}


async def on_platform(target: str, audio: Sequence[bytes]) -> tuple[dict[str, float], int, float]:
    """CPU seconds per second of audio by part, final results, and the generator's delay p99 in ms."""
    parts = serving()
    resting = used(parts)
    await asyncio.sleep(IDLE_S)
    before, began = used(parts), time.monotonic()
    idle = {part: (before[part] - resting[part]) / IDLE_S for part in parts}
    delays: list[float] = []
    finals = await asyncio.gather(*(one_client(target, stream, delays) for stream in audio))
    after, took = used(parts), time.monotonic() - began
    heard = sum(len(stream) / 2 / RATE_HZ for stream in audio)
    spent = {part: (after[part] - before[part] - idle[part] * took) / heard for part in parts}
    return spent, sum(finals), statistics.quantiles(delays, n=100)[98] * 1000


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
        spent, finals, late_ms = asyncio.run(on_platform(target, audio))
        alone = in_process(audio, at_once=False)
        in_turn = in_process(audio, at_once=True)
    served = sum(spent.values())
    ratio = alone / served
    print(f"{options.streams} streams of {options.seconds:.0f} s in real time: {finals} utterances recognised")
    print(f"generator late by {late_ms:.1f} ms at p99 {'' if late_ms < 10 else '(over 10 ms: not a valid run)'}")
    print(f"in process {alone * 1000:6.1f} ms CPU per second of audio: {1 / alone:5.1f} streams per core")
    print(f"  in turn  {in_turn * 1000:6.1f} ms CPU per second of audio: {1 / in_turn:5.1f} streams per core")
    print(f"on Ray     {served * 1000:6.1f} ms CPU per second of audio: {1 / served:5.1f} streams per core, of it")
    print("           " + ", ".join(f"{part} {seconds * 1000:.1f} ms" for part, seconds in spent.items()))
    verdict = "PASS" if ratio >= LIMIT else "MISS"
    print(f"concurrent real-time recognitions per core: ratio {ratio:.2f} limit {LIMIT:.2f}  {verdict}")
    print(f"against the engine that hears as many streams in turn: ratio {in_turn / served:.2f}")


if __name__ == "__main__":
    main()
