"""Fifteen hundred registered skills: what a decision takes, and what one more skill costs.

    python -m benchmarks skills [--skills=N] [--turns=N] [--json]

Each skill has three intents with ten phrases each; three skills each share their phrases, so that they overlap. What
the words mean is given (fifty readings a turn), and so is what the skills answer; everything between is the platform's
own: shortlist, features, carry-over, fan-out, ranking by the default ranker, calibration, decision. Times are CPU of
the thread that decides, since wall time is shared with whatever else runs here; the limit, 10 ms at the 99th
percentile, holds for these.
Registering needs no training: the last line registers one more skill among all the others and checks that decisions
about the others stay as they were.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import time
import tracemalloc
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Final

import numpy as np

from services.arbitration.circuits import Circuits
from services.arbitration.contexts import Profile, TurnContext
from services.arbitration.hypotheses import (
    Alternative,
    Decision,
    Fulfilment,
    Hypothesis,
    Interpretation,
    Slot,
    Understanding,
)
from services.arbitration.judging import Judge
from services.arbitration.ledger import LatencyLedger
from services.arbitration.manifests import IntentSpec, Manifest, SlotSpec
from services.arbitration.ports import Order, SkillEvent
from services.arbitration.rankers.choice import RankerKind
from services.arbitration.rankers.loading import BUNDLED, load_rankers
from services.arbitration.registry_of_skills import EVERYONE, SkillRegistry
from services.arbitration.stages.fulfil import Fulfilments
from services.runtime.model_store import ModelStore
from services.runtime.onnx import OnnxClient

READINGS: Final = 50
INTENTS, PHRASES, SHARED = 3, 10, 3
LIMIT_MS: Final = 10.0
SEED: Final = 5


@dataclass
class GivenUnderstanding:
    """What every turn means is drawn before."""

    meanings: dict[str, Understanding]

    async def interpret(
        self, alternatives: tuple[Alternative, ...], context: TurnContext, *, speculative: bool
    ) -> Understanding:
        return self.meanings[alternatives[0].text]


class GivenAnswers:
    """Skills that answer at once; nothing is executed."""

    async def can_fulfil(
        self, hypothesis: Hypothesis, context: TurnContext, *, another: bool = False
    ) -> tuple[Fulfilment, str]:
        return (Fulfilment.YES, Fulfilment.MAYBE, Fulfilment.NO)[len(hypothesis.skill_id) % 3], ""

    def circuit(self, hypothesis: Hypothesis, context: TurnContext) -> str:
        return hypothesis.skill_id

    async def execute(self, order: Order, context: TurnContext) -> AsyncIterator[SkillEvent]:
        raise NotImplementedError
        yield


def manifest(number: int) -> Manifest:
    """A skill; three in a row have the same phrases."""
    group = number // SHARED
    intents = tuple(
        IntentSpec(
            f"skill{number}.act{intent}",
            (SlotSpec("thing", "text", required=True), SlotSpec("day", "DATE", carry_over=True)),
            {"en": tuple(f"do thing {n} of kind {group} and {intent}" for n in range(PHRASES))},
        )
        for intent in range(INTENTS)
    )
    return Manifest(f"skill{number}", "1.0.0", ("en", "de"), intents)


def meaning(rng: random.Random, count: int) -> Understanding:
    """Fifty readings: skills of some groups, the likeliest first."""
    readings = []
    for rank, number in enumerate(rng.sample(range(count), READINGS)):
        slots = (Slot("thing", "it", b"x", 0.9), Slot("day", "tomorrow", b"d", 0.8, carried=rank % 3 == 0))
        intent = f"skill{number}.act{rng.randrange(INTENTS)}"
        readings.append(Interpretation(intent, 0.95 / (rank + 1), slots, skill_id=f"skill{number}"))
    return Understanding(tuple(readings), 0.05)


async def decided(judge: Judge, text: str) -> Decision:
    """One decision, every stage of it."""
    context = TurnContext("session", f"turn {text}", Profile("acme", "en"), now=1_000.0)
    ledger = LatencyLedger(asyncio.get_running_loop().time(), 1_000.0)
    evidence = await judge.gather((Alternative(text, 0.9),), context, ledger)
    return await judge.settle(evidence, context, ledger)


def outcome(decision: Decision) -> tuple[str, str, float]:
    """What matters of it."""
    winner = decision.winner
    return decision.action, winner.hypothesis.intent if winner else "", round(winner.probability, 6) if winner else 0.0


async def measure(skills: int, turns: int) -> dict[str, float | bool]:
    """All figures."""
    rng = random.Random(SEED)
    manifests = [manifest(number) for number in range(skills)]
    registry = SkillRegistry()
    tracemalloc.start()
    took = [_registered(registry, one) for one in manifests]
    held = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    meanings = {str(turn): meaning(rng, skills) for turn in range(turns)}
    rankers = await load_rankers(OnnxClient(ModelStore.with_bundled(BUNDLED), threads=1), RankerKind.LINEAR)
    fulfilments = Fulfilments(GivenAnswers(), registry, Circuits())
    judge = Judge(GivenUnderstanding(meanings), registry, fulfilments, rankers=rankers)
    cpu, wall, before = [], [], {}
    for text in meanings:
        began, cpu_began = time.perf_counter(), time.thread_time()
        before[text] = outcome(await decided(judge, text))
        cpu.append((time.thread_time() - cpu_began) * 1000)
        wall.append((time.perf_counter() - began) * 1000)
    one_more = _registered(registry, manifest(skills))
    same = all([outcome(await decided(judge, text)) == told for text, told in before.items()])
    return {
        "skills": skills,
        "register_all_s": sum(took),
        "register_p99_ms": float(np.percentile(took, 99)) * 1000,
        "one_more_ms": one_more * 1000,
        "bytes_each": held / skills,
        "cpu_p50_ms": float(np.percentile(cpu, 50)),
        "cpu_p99_ms": float(np.percentile(cpu, 99)),
        "wall_p99_ms": float(np.percentile(wall, 99)),
        "others_stay": same,
    }


def _registered(registry: SkillRegistry, one: Manifest) -> float:
    """Seconds of CPU."""
    began = time.thread_time()
    registry.register(one, built_in=True)
    registry.enable(EVERYONE, one.id)
    return time.thread_time() - began


def main(arguments: list[str]) -> None:
    """Prints times, memory and the verdict."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks skills", description=__doc__.splitlines()[0])
    parser.add_argument("--skills", type=int, default=1_500)
    parser.add_argument("--turns", type=int, default=1_000)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(arguments)
    told = asyncio.run(measure(options.skills, options.turns))
    if options.json:
        print(json.dumps(told))
        return
    print(
        f"{options.skills} skills: a decision among {READINGS} readings takes p50 {told['cpu_p50_ms']:.2f} ms, "
        f"p99 {told['cpu_p99_ms']:.2f} ms of CPU (wall p99 {told['wall_p99_ms']:.1f} ms); "
        f"at most {LIMIT_MS:.0f} ms: {_verdict(told['cpu_p99_ms'] <= LIMIT_MS)}"
    )
    print(
        f"registered in {told['register_all_s']:.2f} s, {told['bytes_each'] / 1000:.1f} kB each; one more in "
        f"{told['one_more_ms']:.2f} ms; decisions about the others stay: {_verdict(bool(told['others_stay']))}"
    )


def _verdict(held: bool) -> str:
    return "held" if held else "MISSED"
