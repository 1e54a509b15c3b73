"""Concurrent real-time recognitions per core by a neural model, against its engine called in a loop in this process.

    python -m benchmarks transducer [--model=ID] [--seconds=S] [--sessions=K]

Both sides hear the same audio with the same options: strings of digits spoken by espeak-ng (synthetic: what is heard is
not the point) with pauses between them, in 100 ms pieces, and run the networks in their own process. The engine called
in a loop here tells how many streams a core bears; 80 % of nine tenths of them then send in real time through HAProxy,
while the CPU seconds of replica and HAProxy are counted, what they use while nobody speaks taken off. (A nearly idle
process would spend more on waking up than a busy one.) Meanwhile the time from a piece of audio sent to the answer that
has heard it is noted. Before all that the replica's memory is compared with K sessions in the middle of an utterance
and with none.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import grpc

from antiphon.asr.v1 import recognition_pb2, recognition_pb2_grpc
from antiphon.types.v1 import speech_pb2
from benchmarks.recognition import CHUNK, IDLE_S, MODELS, Samples, conversation, serving, used
from benchmarks.turns import FORMAT, RATE_HZ, speak
from services.asr.engines.neural.engine import NeuralEngine
from services.asr.engines.readers import read_model
from services.asr.requests import Endpointing, SessionConfig
from services.asr.settings import AsrSettings
from services.registry import CAPABILITIES, DEFAULT_POOLS
from services.runtime.backends import model_client
from services.runtime.deployment import RayPlatform
from services.runtime.model_store import ModelStore
from services.runtime.platform import PlatformSettings, PoolSettings

LIMIT = 0.90
MODEL = "antiphon/digits-conv"
DIGITS = ("four seven one", "nine zero two two eight", "six", "five three", "one one seven six", "eight zero three")
SHARE = 0.80
ALONE = 8  # streams heard in this process
MEMORY_LIMIT_MIB = 1.0

Request = recognition_pb2.StreamingRecognizeRequest


@dataclass
class Heard:
    """What the clients of one run noted: final results, and seconds."""

    finals: int = 0
    late: list[float] = field(default_factory=list)
    """By which messages went out after their pace: the generator's own delay."""
    answered: list[float] = field(default_factory=list)
    """From a message sent to the first answer that has heard it."""


async def in_process(model: str, audio: Sequence[bytes], *, at_once: bool) -> float:
    """CPU seconds per second of audio: one stream after another, or all of them side by side."""
    store = ModelStore.with_bundled(MODELS)
    client = await model_client(store, "asr")
    engine = NeuralEngine([read_model(store.get(model), client, AsrSettings())], client)
    await engine.start()
    config = SessionConfig(store.get(model).id, interim=True, endpointing=Endpointing(continuous=True))

    async def hear(stream: bytes) -> None:
        session, _ = await engine.open(config)
        for start in range(0, len(stream), CHUNK):
            await session.feed(stream[start : start + CHUNK])
        await session.finish()
        await session.close()

    await hear(audio[0])
    began = time.process_time()
    if at_once:
        await asyncio.gather(*map(hear, audio))
    else:
        for stream in audio:
            await hear(stream)
    taken = time.process_time() - began
    await engine.close()
    return taken / seconds(audio)


def seconds(audio: Sequence[bytes]) -> float:
    return sum(map(len, audio)) / 2 / RATE_HZ


async def one_client(target: str, audio: bytes, heard: Heard, hold: asyncio.Event | None = None) -> None:
    """Streams in real time; with `hold` the stream stays open at its end until that is set."""
    options = recognition_pb2.RecognitionOptions(
        endpointing=speech_pb2.EndpointingConfig(continuous=True), interim_results=True
    )
    config = recognition_pb2.RecognitionConfig(format=FORMAT, language_codes=["en"], options=options)
    sent: dict[int, float] = {}  # by the milliseconds of audio that were sent then

    async def requests() -> AsyncIterator[Request]:
        yield Request(config=recognition_pb2.StreamingRecognitionConfig(config=config))
        began = time.monotonic()
        for number, start in enumerate(range(0, len(audio), CHUNK)):
            due = began + (number + 1) * 0.1
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            piece = audio[start : start + CHUNK]
            sent[(start + len(piece)) * 500 // RATE_HZ] = time.monotonic()
            heard.late.append(time.monotonic() - due)
            yield Request(audio=piece)
        if hold is not None:
            await hold.wait()
        yield Request(end_of_audio=recognition_pb2.EndOfAudio())

    async with grpc.aio.insecure_channel(target, options=[("grpc.use_local_subchannel_pool", 1)]) as channel:
        stub = recognition_pb2_grpc.SpeechRecognitionServiceStub(channel)
        async for event in stub.StreamingRecognize(requests(), timeout=600):
            at = sent.pop(event.received_audio_offset.ToMilliseconds(), None)
            if at is not None:
                heard.answered.append(time.monotonic() - at)
            heard.finals += event.WhichOneof("event") == "result" and event.result.is_final


async def cost(target: str, audio: Sequence[bytes]) -> tuple[dict[str, float], Heard]:
    """CPU seconds per second of audio by part, and what was heard."""
    parts = serving()
    resting = used(parts)
    await asyncio.sleep(IDLE_S)
    before, began = used(parts), time.monotonic()
    idle = {part: (before[part] - resting[part]) / IDLE_S for part in parts}
    heard = Heard()
    await asyncio.gather(*(one_client(target, stream, heard) for stream in audio))
    after, took = used(parts), time.monotonic() - began
    return {part: (after[part] - before[part] - idle[part] * took) / seconds(audio) for part in parts}, heard


async def memory(target: str, audio: bytes, sessions: int) -> float:
    """MiB of the replica per session in the middle of an utterance, which `audio` ends in; in a fresh process."""
    (replica,) = serving()["replica"]
    await one_client(target, audio, Heard())
    before = resident_mib(replica)
    hold = asyncio.Event()
    heard = [Heard() for _ in range(sessions)]
    clients = [asyncio.create_task(one_client(target, audio, each, hold)) for each in heard]
    await asyncio.sleep(seconds([audio]) + 2)
    grown = resident_mib(replica) - before
    if any(each.finals for each in heard):
        raise RuntimeError("the utterance is over: its memory cannot be measured")
    hold.set()
    await asyncio.gather(*clients)
    return grown / sessions


def resident_mib(pid: int) -> float:
    fields = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return sum(int(line.split()[1]) for line in fields if line.startswith("Pss:")) / 1024


async def voices(target: str) -> list[Samples]:
    async with grpc.aio.insecure_channel(target) as channel:
        return [await speak(channel, text) for text in DIGITS]


def percentile(values: Sequence[float], percent: int) -> float:
    """In milliseconds."""
    return statistics.quantiles(values, n=100)[percent - 1] * 1000


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default=MODEL, help=f"a neural model (default {MODEL})")
    parser.add_argument("--seconds", type=float, default=25.0, help="how long each speaks (default 25)")
    parser.add_argument("--sessions", type=int, default=32, help="sessions whose memory is measured (default 32)")
    options = parser.parse_args(arguments)
    neural = PoolSettings(name="asr", capability="asr", settings={"models": {"en": options.model}})
    pools = (neural, *(pool for pool in DEFAULT_POOLS if pool.name == "tts"))
    with RayPlatform(PlatformSettings(port=0, pool_port=0, pools=pools), CAPABILITIES, progress=print) as platform:
        target = next(pool.target for pool in platform.directory.pools if pool.name == "asr")
        spoken = asyncio.run(voices(platform.target))
        few = [conversation(spoken, options.seconds, number) for number in range(ALONE)]
        mib = asyncio.run(memory(target, few[1][: CHUNK * 12], options.sessions))
        alone = asyncio.run(in_process(options.model, few, at_once=False))
        beside = asyncio.run(in_process(options.model, few, at_once=True))
        crowd = [
            conversation(spoken, options.seconds, number) for number in range(max(1, round(SHARE * LIMIT / alone)))
        ]
        spent, heard = asyncio.run(cost(target, crowd))
    served, late_ms = sum(spent.values()), percentile(heard.late, 99)
    ratio = alone / served
    print(f"{len(crowd)} streams of {options.seconds:.0f} s in real time: {heard.finals} utterances recognised")
    print(f"in process {alone * 1000:6.1f} ms CPU per second of audio: {1 / alone:5.1f} streams per core")
    print(f"  at once  {beside * 1000:6.1f} ms CPU per second of audio: {1 / beside:5.1f} streams per core")
    print(f"on Ray     {served * 1000:6.1f} ms CPU per second of audio: {1 / served:5.1f} streams per core, of it")
    print("           " + ", ".join(f"{part} {value * 1000:.1f} ms" for part, value in spent.items()))
    verdict = "PASS" if ratio >= LIMIT else "MISS"
    print(f"concurrent real-time recognitions per core: ratio {ratio:.2f} limit {LIMIT:.2f}  {verdict}")
    print(f"against {ALONE} streams at once in process: ratio {beside / served:.2f}")
    print(f"at {len(crowd) * served:.0%} of a core: answers p50 {percentile(heard.answered, 50):.1f} ms, ", end="")
    print(f"p95 {percentile(heard.answered, 95):.1f} ms after the audio they have heard")
    print(f"generator late by {late_ms:.1f} ms at p99 {'' if late_ms < 10 else '(over 10 ms: not a valid run)'}")
    fits = "PASS" if mib <= MEMORY_LIMIT_MIB else "MISS"
    print(f"memory of a session that is heard: {mib:.2f} MiB limit {MEMORY_LIMIT_MIB:.0f}  {fits}")


if __name__ == "__main__":
    main()
