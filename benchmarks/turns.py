"""End of speech to the first audible sample of the answer, and how often the user is cut off for it.

    python -m benchmarks.turns [--questions N] [--recordings N] [--json FILE]

Both figures come from one run on one platform: questions spoken by espeak-ng (synthetic) are asked in real time, one
session at a time, and real recordings with pauses (audio/s2i in $ANTIPHON_DATA) are streamed in real time to count
endpoints that came before the person had finished. They are coffee orders, and the coffee bar is there to understand
them: what was said may be a complete order before it is over. The clock starts at the instant at which the last audible
sample of the question was due, and stops when the first audible sample of the answer's own words arrives.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import grpc
import numpy as np
import soundfile
from google.protobuf.duration_pb2 import Duration

from antiphon.arbitration.v1 import assistant_pb2, assistant_pb2_grpc, decision_pb2
from antiphon.client import SkillsClient
from antiphon.skills import serve
from antiphon.tts.v1 import synthesis_pb2, synthesis_pb2_grpc
from antiphon.types.v1 import audio_pb2
from services.registry import CAPABILITIES, DEFAULT_POOLS
from services.runtime.deployment import RayPlatform
from services.runtime.platform import PlatformSettings
from skills.coffee_order.handler import CoffeeBar

RATE_HZ = 16000
CHUNK_S = 0.1
LEAD_S, TAIL_S = 0.4, 2.5
P50_LIMIT_S, P95_LIMIT_S, EARLY_LIMIT = 0.350, 0.500, 0.05
AUDIBLE = 200
"""Sample value from which a sample counts as audible, about -44 dBFS."""
AT_ONCE = 4
UNDERSTOOD_S = 4.0
"""After which a newly registered skill is understood and heard."""

FORMAT = audio_pb2.AudioFormat(encoding=audio_pb2.AUDIO_ENCODING_LINEAR16, sample_rate_hertz=RATE_HZ, channel_count=1)
QUESTIONS = (
    "what time is it in tokyo",
    "what is twelve times nine",
    "what time is it in new york",
    "how much is seven hundred and five divided by five",
    "what is the date today",
    "what's the time in london",
    "what is fifteen plus thirty",
    "what time is it in sydney",
    "calculate eighty minus seventeen",
    "what day is it today",
    "what is the time in paris",
    "how much is nine times nine",
)


STAGES = ("endpoint", "final_transcript", "decision", "first_text", "first_audio", "first_audible")
ORDERS = assistant_pb2.ConverseConfig(skill_ids=["coffee_order"])
ORDERS.context.consent.third_party_skills = True


@dataclass(frozen=True)
class Asked:
    """One question: seconds from the end of speech, or None where no answer was heard.

    `stages` are the marks of the turn's ledger, seconds from the end of speech as the platform heard it.
    """

    endpoint_s: float | None
    audible_s: float | None
    answered: bool
    stages: dict[str, float] = field(default_factory=dict)


def last_audible(samples: np.ndarray, threshold: int = AUDIBLE) -> float:
    """Seconds to the last audible sample of clean speech."""
    loud = np.flatnonzero(np.abs(samples.astype(np.int32)) > threshold)
    return float(loud[-1] + 1) / RATE_HZ if len(loud) else 0.0


def end_of_recorded_speech(samples: np.ndarray) -> float:
    """Seconds to the end of speech in a recording: the last 100 ms that stand 15 dB above its quietest tenth."""
    frame = RATE_HZ // 50
    frames = samples[: len(samples) // frame * frame].reshape(-1, frame).astype(np.float64)
    level = 10 * np.log10((frames**2).mean(axis=1) + 1.0)
    floor = np.percentile(level, 10)
    loud = np.convolve(level > max(floor + 15.0, 30.0), np.ones(5), "valid") >= 4
    where = np.flatnonzero(loud)
    return float(where[-1] + 5) * frame / RATE_HZ if len(where) else 0.0


async def ask(stub: assistant_pb2_grpc.AssistantServiceStub, samples: np.ndarray) -> Asked:
    """Asks one question in real time."""
    spoken_s = LEAD_S + last_audible(samples)
    audio = np.concatenate([np.zeros(int(LEAD_S * RATE_HZ)), samples, np.zeros(int(TAIL_S * RATE_HZ))])
    begun = time.monotonic()
    call = stub.Converse(_requests(audio.astype("<i2").tobytes(), begun), timeout=60)
    endpoint = audible = None
    answered = False
    stages: dict[str, float] = {}
    async for event in call:
        now = time.monotonic() - begun
        match event.WhichOneof("event"):
            case "endpoint" if endpoint is None:
                endpoint = now - spoken_s
            case "answer_audio" if audible is None:
                heard = np.frombuffer(event.answer_audio.content, "<i2")
                loud = np.flatnonzero(np.abs(heard.astype(np.int32)) > AUDIBLE)
                if len(loud):
                    audible = now + float(loud[0]) / RATE_HZ - spoken_s
            case "decision":  # "I cannot help with that" also completes a turn: only a skill's answer counts
                answered = event.decision.outcome == decision_pb2.DECISION_OUTCOME_EXECUTE
            case "latency":
                spoken = seconds(event.latency.end_of_speech)
                stages = {name: seconds(getattr(event.latency, name)) - spoken for name in STAGES}
    return Asked(endpoint, audible, answered, stages)


def seconds(duration: Duration) -> float:
    """A duration of the ledger."""
    return duration.seconds + duration.nanos * 1e-9


async def cut_early(stub: assistant_pb2_grpc.AssistantServiceStub, samples: np.ndarray) -> bool | None:
    """Whether the endpoint came before the person had finished; None when no endpoint came."""
    end_s = LEAD_S + end_of_recorded_speech(samples)
    audio = np.concatenate([np.zeros(int(LEAD_S * RATE_HZ)), samples, np.zeros(int(TAIL_S * RATE_HZ))])
    begun = time.monotonic()
    call = stub.Converse(_requests(audio.astype("<i2").tobytes(), begun, ORDERS), timeout=120)
    verdict = None
    async for event in call:
        if event.WhichOneof("event") == "endpoint" and not event.endpoint.is_eager and verdict is None:
            decided = event.endpoint.decided_offset
            verdict = decided.seconds + decided.nanos * 1e-9 < end_s
    return verdict


async def _requests(
    audio: bytes, begun: float, more: assistant_pb2.ConverseConfig | None = None
) -> AsyncIterator[assistant_pb2.ConverseRequest]:
    config = assistant_pb2.ConverseConfig(input_format=FORMAT, output_format=FORMAT, language_codes=["en"])
    config.MergeFrom(more or assistant_pb2.ConverseConfig())
    yield assistant_pb2.ConverseRequest(config=config)
    step = int(RATE_HZ * CHUNK_S) * 2
    for number, start in enumerate(range(0, len(audio), step)):
        await asyncio.sleep(max(0.0, begun + (number + 1) * CHUNK_S - time.monotonic()))
        yield assistant_pb2.ConverseRequest(audio=audio[start : start + step])
    yield assistant_pb2.ConverseRequest(end=assistant_pb2.EndOfConversation())


async def speak(channel: grpc.aio.Channel, text: str) -> np.ndarray:
    """A question as espeak-ng says it."""
    stub = synthesis_pb2_grpc.SpeechSynthesisServiceStub(channel)
    request = synthesis_pb2.SynthesizeRequest(
        input=synthesis_pb2.SynthesisInput(text=text), language_code="en-US", format=FORMAT
    )
    return np.frombuffer((await stub.Synthesize(request, timeout=20)).audio, "<i2")


def recordings(count: int) -> list[np.ndarray]:
    """Real orders with pauses; empty without the data."""
    folder = Path(os.environ.get("ANTIPHON_DATA", "../shared/data")) / "audio" / "s2i"
    found = []
    for path in sorted(folder.rglob("*.flac"))[:count]:
        samples, rate = soundfile.read(path, dtype="int16")
        if rate == RATE_HZ and samples.ndim == 1:
            found.append(samples)
    return found


async def coffee_bar(target: str) -> grpc.aio.Server:
    """The skill that the recordings speak to, registered and known to understanding."""
    server, port = await serve([CoffeeBar()])
    async with SkillsClient(target) as client:
        await client.register(f"127.0.0.1:{port}")
    await asyncio.sleep(UNDERSTOOD_S)
    return server


def _median(values: list[float]) -> float:
    return statistics.median(values) if values else float("nan")


async def measure(target: str, questions: int, real: int) -> dict[str, float]:
    """All figures of one run."""
    async with grpc.aio.insecure_channel(target) as channel:
        stub = assistant_pb2_grpc.AssistantServiceStub(channel)
        spoken = [await speak(channel, text) for text in QUESTIONS]
        await ask(stub, spoken[0])  # the first turn meets cold caches
        asked = []
        for number in range(questions):
            asked.append(await ask(stub, spoken[number % len(spoken)]))
            print(f"\rquestions {number + 1}/{questions}", end="", flush=True)
        print()
        server = await coffee_bar(target)
        slots = asyncio.Semaphore(AT_ONCE)

        async def one(samples: np.ndarray) -> bool | None:
            async with slots:
                return await cut_early(stub, samples)

        verdicts = await asyncio.gather(*(one(samples) for samples in recordings(real)))
        await server.stop(0)
    heard = sorted(a.audible_s for a in asked if a.audible_s is not None)
    ends = sorted(a.endpoint_s for a in asked if a.endpoint_s is not None)
    judged = [v for v in verdicts if v is not None]
    return {
        "questions": len(asked),
        "answered": sum(a.answered for a in asked),
        "audible_p50_s": statistics.median(heard) if heard else float("nan"),
        "audible_p95_s": heard[min(len(heard) - 1, int(0.95 * len(heard)))] if heard else float("nan"),
        **{f"stage_{name}_p50_s": _median([a.stages[name] for a in asked if a.stages]) for name in STAGES},
        "endpoint_p50_s": statistics.median(ends) if ends else float("nan"),
        "recordings": len(judged),
        "early_cuts": sum(judged),
        "early_cut_rate": sum(judged) / len(judged) if judged else float("nan"),
    }


def report(found: dict[str, float]) -> None:
    """Prints the figures with their limits."""
    rows = (
        ("end of speech -> first audible, p50", found["audible_p50_s"], P50_LIMIT_S, "s"),
        ("end of speech -> first audible, p95", found["audible_p95_s"], P95_LIMIT_S, "s"),
        ("early cuts on real recordings", found["early_cut_rate"], EARLY_LIMIT, ""),
    )
    print(f"{found['answered']:.0f} of {found['questions']:.0f} synthetic questions answered by a skill; ", end="")
    print(f"endpoint p50 {found['endpoint_p50_s']:.3f} s; {found['recordings']:.0f} real recordings")
    stages = ", ".join(f"{name.replace('_', ' ')} {found[f'stage_{name}_p50_s'] * 1000:.0f}" for name in STAGES)
    print(f"ms from the end of speech as it was heard, p50 of each stage: {stages}")
    for name, value, limit, unit in rows:
        verdict = "PASS" if value <= limit else "MISS"
        print(f"{name:38} {value:7.3f}{unit:2} limit {limit:.3f}  ratio {value / limit:5.2f}  {verdict}")


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--questions", type=int, default=36, help="questions to ask (default 36)")
    parser.add_argument("--recordings", type=int, default=80, help="real recordings to stream (default 80)")
    parser.add_argument("--target", help="a running platform; without it one is started")
    parser.add_argument("--json", type=Path, help="write the figures here")
    options = parser.parse_args(arguments)
    if options.target:
        found = asyncio.run(measure(options.target, options.questions, options.recordings))
    else:
        settings = PlatformSettings(port=0, pool_port=0, pools=DEFAULT_POOLS)
        with RayPlatform(settings, CAPABILITIES, progress=print) as platform:
            found = asyncio.run(measure(platform.target, options.questions, options.recordings))
    report(found)
    if options.json:
        options.json.write_text(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
