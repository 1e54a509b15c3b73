"""What merging the calls of different sessions gains in the embedded home, and that it costs no more than its budget.

    python -m benchmarks batching [--seconds=N] [--rounds=N] [--delay=MS] [--threads=N]

A stateful encoder is asked chunk by chunk by 1, 8 and 32 sessions: flat out (each session asks again as soon as it is
answered) and at the pace of speech, each session at its own phase. The same graph runs with its calls merged and with
each call alone, in turn, several rounds in one run; medians of the rounds count. CPU is that of the whole process, per
chunk. The budget is the definition's `delay_ms`: no call may be kept back longer than that though a thread was free
(beyond what the event loop itself is late, which is told), and the paced p95 may not be later by more than that than
without merging.
"""

from __future__ import annotations

import argparse
import asyncio
import math
import random
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import astuple, dataclass
from pathlib import Path

import numpy as np

from benchmarks.encoders import CHUNK_S, Encoder, encoder
from services.runtime.inference import ModelDefinition, SequenceStep, Tensor
from services.runtime.onnx import OnnxClient

SESSIONS = (1, 8, 32)
_CHUNKS = 64  # different ones

Load = Callable[["Asked", int, float], Awaitable[list[float]]]


@dataclass(frozen=True)
class Asked:
    """Who is asked, for what, with which inputs in turn."""

    client: OnnxClient
    definition: ModelDefinition
    chunks: Sequence[Mapping[str, Tensor]]

    async def step(self, session: int, at: int) -> None:
        chunk = self.chunks[at % len(self.chunks)]
        sequence = SequenceStep(session, start=at == 0)
        await self.client.infer(self.definition.id, chunk, sequence=sequence, deadline=10)


@dataclass(frozen=True)
class Figure:
    """One round: milliseconds, and chunks per second."""

    p50: float
    p95: float
    cpu: float
    rate: float
    rows: float


async def flat_out(asked: Asked, sessions: int, seconds: float) -> list[float]:
    """Seconds of each call."""
    took: list[float] = []
    end = time.perf_counter() + seconds

    async def session(number: int) -> None:
        at = 0
        while (began := time.perf_counter()) < end:
            await asked.step(number, at)
            took.append(time.perf_counter() - began)
            at += 1

    await asyncio.gather(*(session(number) for number in range(1, sessions + 1)))
    return took


async def paced(asked: Asked, sessions: int, seconds: float) -> list[float]:
    """Seconds of each call, from the instant the chunk was complete."""
    took: list[float] = []
    phases = random.Random(sessions)

    async def session(number: int) -> None:
        due = time.perf_counter() + phases.uniform(0, CHUNK_S)
        end = due + seconds
        at = 0
        while due < end:
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            await asked.step(number, at)
            took.append(time.perf_counter() - due)
            due += CHUNK_S
            at += 1

    await asyncio.gather(*(session(number) for number in range(1, sessions + 1)))
    return took


async def one_round(load: Load, asked: Asked, sessions: int, seconds: float) -> Figure:
    stats = asked.client.batches(asked.definition.id)
    calls, runs = stats.calls, stats.runs
    began, used = time.perf_counter(), time.process_time()
    took = await load(asked, sessions, seconds)
    cpu, wall = time.process_time() - used, time.perf_counter() - began
    rows = (stats.calls - calls) / max(1, stats.runs - runs)
    p95 = float(np.quantile(took, 0.95))
    return Figure(statistics.median(took) * 1000, p95 * 1000, cpu / len(took) * 1000, len(took) / wall, rows)


def middle(rounds: Sequence[Figure]) -> Figure:
    return Figure(*(statistics.median(values) for values in zip(*map(astuple, rounds), strict=True)))


async def compared(
    load: Load, both: tuple[Asked, Asked], sessions: int, seconds: float, rounds: int
) -> tuple[Figure, Figure]:
    """Merged and alone."""
    found: tuple[list[Figure], list[Figure]] = [], []
    for _ in range(rounds):
        for asked, figures in zip(both, found, strict=True):
            figures.append(await one_round(load, asked, sessions, seconds))
    return middle(found[0]), middle(found[1])


async def differ(client: OnnxClient, made: Encoder) -> float:
    """How much outputs differ at most between chunks of 16 sequences merged and alone."""

    async def whole(definition: ModelDefinition, number: int) -> np.ndarray:
        outputs = []
        for at in range(6):
            step = SequenceStep(number, start=at == 0, end=at == 5)
            answer = await client.infer(definition.id, made.chunk(number * 6 + at), sequence=step)
            outputs.append(answer[definition.outputs[0].name])
        return np.concatenate(outputs, axis=1)

    numbers = range(1, 17)
    merged = await asyncio.gather(*(whole(made.merged, number) for number in numbers))
    alone = [await whole(made.alone, number) for number in numbers]
    return max(float(np.abs(one - other).max()) for one, other in zip(merged, alone, strict=True))


async def loop_lag(worst: list[float]) -> None:
    """Keeps in `worst` how much too late the event loop wakes at worst, milliseconds."""
    while True:
        asked = time.perf_counter()
        await asyncio.sleep(0.002)
        worst[0] = max(worst[0], (time.perf_counter() - asked - 0.002) * 1000)


async def loads(both: tuple[Asked, Asked], seconds: float, rounds: int) -> float:
    """Prints all loads; returns by how much merging makes the paced p95 later at most, milliseconds."""
    print("load      sessions   rows/run   chunks/s  (gain)   CPU ms/chunk (ratio)   p50, p95 ms merged | alone")
    later = -math.inf
    for name, load in (("flat out", flat_out), ("paced", paced)):
        for sessions in SESSIONS:
            merged, alone = await compared(load, both, sessions, seconds, rounds)
            print(_line(name, sessions, merged, alone))
            later = max(later, merged.p95 - alone.p95) if load is paced else later
    return later


async def measure(seconds: float, rounds: int, delay_ms: float, threads: int) -> bool:
    with tempfile.TemporaryDirectory() as folder:
        made = encoder(Path(folder), delay_ms=delay_ms)
        client = OnnxClient(made.store, threads=threads)
        chunks = [made.chunk(number) for number in range(_CHUNKS)]
        both = Asked(client, made.merged, chunks), Asked(client, made.alone, chunks)
        lag = [0.0]
        watching = asyncio.create_task(loop_lag(lag))
        try:
            for asked in both:
                await client.load(asked.definition.id)
                await flat_out(asked, 4, 0.3)
            print(f"{made.what}; {threads} threads, budget {delay_ms:g} ms, {rounds} rounds of {seconds:g} s")
            print(f"outputs merged and alone differ by at most {await differ(client, made):.1e}\n")
            later = await loads(both, seconds, rounds)
            hold = client.batches(made.merged.id).longest_hold * 1000
        finally:
            watching.cancel()
            await client.close()
    limit = delay_ms + lag[0]
    verdict = "PASS" if hold <= limit else "MISS"
    print(f"\nkept back beside a free thread: at most {hold:.2f} ms limit {limit:.2f} ms  {verdict}")
    print(f"  (the event loop woke {lag[0]:.2f} ms late at worst)")
    verdict = "PASS" if later <= delay_ms else "MISS"
    print(f"paced p95 later than alone: at most {later:.2f} ms limit {delay_ms:.2f} ms  {verdict}")
    return hold <= limit and later <= delay_ms


def _line(name: str, sessions: int, merged: Figure, alone: Figure) -> str:
    return (
        f"{name:<10}{sessions:>8}{merged.rows:>11.1f}{merged.rate:>11.0f}  ({merged.rate / alone.rate:.2f})"
        f"{merged.cpu:>14.2f} ({merged.cpu / alone.cpu:.2f})"
        f"{merged.p50:>14.2f} {merged.p95:.2f} | {alone.p50:.2f} {alone.p95:.2f}"
    )


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=3.0, help="of each round (default 3)")
    parser.add_argument("--rounds", type=int, default=5, help="of each load, merged and alone (default 5)")
    parser.add_argument("--delay", type=float, default=2.0, help="the budget, milliseconds (default 2)")
    parser.add_argument("--threads", type=int, default=2, help="runs at once (default 2, as a replica has)")
    options = parser.parse_args(arguments)
    asyncio.run(measure(options.seconds, options.rounds, options.delay, options.threads))


if __name__ == "__main__":
    main()
