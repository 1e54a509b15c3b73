"""What a model costs on a Triton server beside the same model in the replica: latency, calls per second, CPU.

    python -m benchmarks homes [--seconds=N] [--rounds=N]

Both homes run the same bundles in one run, in turn, several rounds; medians of the rounds count. One model is stateless
(`antiphon/intents-en`, one sentence a call), one keeps state (a streaming encoder, one chunk a call). The server is the
CPU one of `make triton-setup`, whose models run in Python processes of their own, on the same cores as the caller: what
a GPU gains is not in here, only what the way to another process costs. CPU is that of caller and server, per call.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import astuple, dataclass
from pathlib import Path

import numpy as np

from benchmarks.encoders import encoder
from benchmarks.processes import cpu_seconds, descendants
from services.nlu.app import BUNDLED
from services.nlu.engines.labels import vocabulary
from services.nlu.text import tokenise
from services.runtime.errors import FailedPrecondition
from services.runtime.inference import ModelClient, ModelDefinition, SequenceStep, Tensor
from services.runtime.model_store import ModelStore
from services.runtime.onnx import OnnxClient
from services.runtime.triton.client import TritonClient
from services.runtime.triton.repository import write_repository
from services.runtime.triton.server import TritonEnvironment, TritonServer

CONCURRENCY = (1, 8)
HOMES = ("embedded", "triton")
INTENTS = "antiphon/intents-en"
SENTENCES = (
    "set an alarm for seven tomorrow",
    "what is the weather in rome",
    "turn on the kitchen light",
    "play some jazz in the living room please",
    "how do i say good morning in french",
)
_WARM_S = 0.5


@dataclass(frozen=True)
class Asked:
    """One model and what it is asked in turn."""

    what: str
    definition: ModelDefinition
    inputs: Sequence[Mapping[str, Tensor]]

    async def call(self, client: ModelClient, session: int, at: int, *, last: bool = False) -> Mapping[str, Tensor]:
        inputs = self.inputs[at % len(self.inputs)]
        sequence = SequenceStep(session, at == 0, last) if self.definition.states else None
        return await client.infer(self.definition.id, inputs, sequence=sequence, deadline=30)


@dataclass(frozen=True)
class Figure:
    """One round: milliseconds, calls per second, CPU milliseconds per call."""

    p50: float
    p95: float
    rate: float
    cpu: float


async def one_round(
    client: ModelClient, asked: Asked, concurrency: int, seconds: float, used: Callable[[], float]
) -> Figure:
    took: list[float] = []
    began, cpu = time.perf_counter(), used()

    async def session(number: int) -> None:
        at = 0
        while (start := time.perf_counter()) < began + seconds:
            await asked.call(client, number, at)
            took.append(time.perf_counter() - start)
            at += 1
        await asked.call(client, number, at, last=True)

    await asyncio.gather(*(session(number) for number in range(1, concurrency + 1)))
    wall, cpu = time.perf_counter() - began, used() - cpu
    p95 = float(np.quantile(took, 0.95)) * 1000
    return Figure(statistics.median(took) * 1000, p95, len(took) / wall, cpu / len(took) * 1000)


def middle(rounds: Iterable[Figure]) -> Figure:
    return Figure(*(statistics.median(values) for values in zip(*map(astuple, rounds), strict=True)))


async def differ(clients: Mapping[str, ModelClient], asked: Asked) -> float:
    """How much the outputs of the two homes differ at most."""
    worst = 0.0
    for at in range(len(asked.inputs)):
        last = at == len(asked.inputs) - 1
        one, other = [await asked.call(clients[home], 1, at, last=last) for home in HOMES]
        worst = max(worst, *(float(np.abs(one[name] - other[name]).max()) for name in one))
    return worst


async def compare(
    clients: Mapping[str, ModelClient], asked: Asked, seconds: float, rounds: int, used: Callable[[], float]
) -> None:
    """Prints both homes and their ratios."""
    difference = await differ(clients, asked)
    print(f"\n{asked.what}: homes differ by at most {difference:.1e}, tolerance {asked.definition.tolerance:.0e}")
    print("at once   home         p50 ms    p95 ms   calls/s   CPU ms/call")
    for concurrency in CONCURRENCY:
        found: dict[str, list[Figure]] = {home: [] for home in HOMES}
        for home in HOMES:
            await one_round(clients[home], asked, concurrency, _WARM_S, used)
        for _ in range(rounds):
            for home in HOMES:
                found[home].append(await one_round(clients[home], asked, concurrency, seconds, used))
        embedded, triton = (middle(found[home]) for home in HOMES)
        for home, one in zip(HOMES, (embedded, triton), strict=True):
            print(f"{concurrency:>7}   {home:<10}{one.p50:>9.2f}{one.p95:>10.2f}{one.rate:>10.0f}{one.cpu:>14.2f}")
        ratios = [theirs / ours for ours, theirs in zip(astuple(embedded), astuple(triton), strict=True)]
        print(f"          {'ratio':<10}{ratios[0]:>9.2f}{ratios[1]:>10.2f}{ratios[2]:>10.2f}{ratios[3]:>14.2f}")


async def measure(folder: Path, seconds: float, rounds: int) -> None:
    made = encoder(folder / "bundles", max_size=16, delay_ms=0.0)
    store = ModelStore([folder / "bundles", BUNDLED])
    words = vocabulary(store.get(INTENTS))
    sentences = [{"pieces": np.array([words.encode(tokenise(text)).ids], np.int64)} for text in SENTENCES]
    chunks = [made.chunk(number) for number in range(32)]
    questions = [
        Asked(f"{INTENTS}, one sentence a call", store.get(INTENTS), sentences),
        Asked(f"{made.what}, one chunk a call", made.merged, chunks),
    ]
    write_repository([asked.definition for asked in questions], folder / "repository", platform="cpu")
    with TritonServer(folder / "repository") as server:
        if unready := server.unready():
            raise SystemExit(f"the server does not run {unready}")
        processes = [os.getpid(), server.pid, *descendants(server.pid)]
        clients: dict[str, ModelClient] = {
            "embedded": OnnxClient(store),
            "triton": TritonClient(store, server.address),
        }
        try:
            for asked in questions:
                for client in clients.values():
                    await client.load(asked.definition.id)
            for asked in questions:
                await compare(clients, asked, seconds, rounds, lambda: cpu_seconds(processes))
        finally:
            for client in clients.values():
                await client.close()


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=3.0, help="of each round (default 3)")
    parser.add_argument("--rounds", type=int, default=5, help="of each home and concurrency (default 5)")
    options = parser.parse_args(arguments)
    try:
        TritonEnvironment.find()
    except FailedPrecondition as missing:
        print(f"not measured: {missing.message}")
        return
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(measure(Path(folder), options.seconds, options.rounds))


if __name__ == "__main__":
    main()
