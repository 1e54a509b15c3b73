"""What a decision loses when one CanFulfill in five hangs, and whether the stage keeps its time.

    python -m benchmarks fulfilment [--turns=N] [--json]

Lists of candidates come from the simulator of `training/arbitration` (test worlds, a fixed seed): people and skills are
invented, so the loss tells what the evidence is worth there, not what users would notice. Each skill's answer is drawn
there too; here a server on loopback gives it over gRPC, to the platform's own stage, and in the second run hangs
instead in 20 % of the calls. Both runs see the same turns. The time is measured on some of them, what is lost on many
more, without the wire. Limits: top-1 at most 1 point lower, 99th percentile of the stage at most 10 ms over its budget.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import random
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Final

import numpy as np

from antiphon.skill.v1 import skill_pb2
from benchmarks.skill_servers import skill_servers
from services.arbitration.budgets import BUDGETS, Stage
from services.arbitration.circuits import Circuits
from services.arbitration.contexts import Profile, TurnContext
from services.arbitration.hypotheses import Candidate, Fulfilment
from services.arbitration.manifests import IntentSpec, Manifest
from services.arbitration.rankers.choice import RankerKind
from services.arbitration.rankers.linear import LinearRanker
from services.arbitration.rankers.loading import BUNDLED, load_rankers
from services.arbitration.rankers.ranker import Ranker
from services.arbitration.registry_of_skills import SkillRegistry
from services.arbitration.stages.fulfil import Fulfilments, answered
from services.runtime.model_store import ModelStore
from services.runtime.onnx import OnnxClient
from training.arbitration.simulator.turns import Turn, turns

HANGING: Final = 0.2
SERVERS: Final = 4
OVER_MS: Final = 10.0
MOST_LOST: Final = 0.01
SEED: Final = 7
ANSWERS: Final = {
    "fulfil_yes": Fulfilment.YES,
    "fulfil_maybe": Fulfilment.MAYBE,
    "fulfil_no": Fulfilment.NO,
    "fulfil_missing": Fulfilment.MISSING,
}


@dataclass(frozen=True)
class Asked:
    """A turn before its skills are asked; what each will say, None where it does not want to be asked."""

    turn: Turn
    candidates: tuple[Candidate, ...]
    answers: tuple[Fulfilment | None, ...]


@dataclass(frozen=True)
class Timed:
    """Times of the stage in ms, over gRPC.

    `timer_p99` is what a bare timer of the budget took meanwhile in the same event loop: how late this machine was.
    """

    hanging: float
    turns: int
    p50: float
    p99: float
    missing: float
    timer_p99: float


@dataclass(frozen=True)
class Lost:
    """Share of turns whose best candidate is the one that was meant, with the 95 % interval of the difference."""

    turns: int
    without: float
    hanging: float
    lower: float
    upper: float


def asked_of(turn: Turn) -> Asked:
    """The turn with its answers taken out."""
    answers, bare = [], []
    for candidate in turn.candidates:
        said = next((name for name in ANSWERS if getattr(candidate.features, name)), "")
        answers.append(ANSWERS[said] if said else None)
        features = replace(candidate.features, **dict.fromkeys(ANSWERS, 0.0))
        bare.append(replace(candidate, features=features))
    return Asked(turn, tuple(bare), tuple(answers))


async def timed(lists: Sequence[Asked], hanging: float) -> Timed:
    """Asks over gRPC, two turns at a time."""
    rng = random.Random(SEED)
    registry = SkillRegistry()
    said: dict[tuple[str, str, str], Fulfilment] = {}

    def answer(request: skill_pb2.CanFulfillRequest, server: int) -> tuple[Fulfilment, float | None]:
        told = said[request.context.turn_id, request.skill_id, request.interpretations[0].intent]
        hangs = rng.random() < hanging or told is Fulfilment.MISSING
        return told, None if hangs else 0.004 * rng.lognormvariate(0.0, 0.5)

    async with skill_servers(answer, SERVERS, registry) as servers:
        _register(lists, registry, itertools.cycle(servers.addresses))
        stage = Fulfilments(servers.skills, registry, Circuits())
        took: list[float] = []
        timers: list[float] = []
        missing: list[bool] = []

        async def wait() -> None:
            began = time.perf_counter()
            await asyncio.sleep(BUDGETS[Stage.FULFILMENT].seconds)
            timers.append((time.perf_counter() - began) * 1000)

        async def ask(number: int, asked: Asked) -> None:
            context = TurnContext("session", f"turn{number}", Profile("acme", "en"), now=time.time())
            wanted = []
            for candidate, told in zip(asked.candidates, asked.answers, strict=True):
                if told is not None:
                    said[context.turn_id, candidate.hypothesis.skill_id, candidate.hypothesis.intent] = told
                    wanted.append(candidate)
            began = time.perf_counter()
            found = await stage.ask(wanted, context)
            took.append((time.perf_counter() - began) * 1000)
            missing.extend(one.fulfilment is Fulfilment.MISSING for one in found)

        await ask(-1, lists[0])  # connections are made before
        took.clear()
        for pair in range(0, len(lists), 2):
            await asyncio.gather(wait(), *(ask(pair + at, one) for at, one in enumerate(lists[pair : pair + 2])))
    p50, p99 = np.percentile(took, (50, 99))
    late = float(np.percentile(timers, 99))
    return Timed(hanging, len(took), float(p50), float(p99), float(np.mean(missing)), late)


def _register(lists: Sequence[Asked], registry: SkillRegistry, addresses: itertools.cycle[str]) -> None:
    intents: dict[str, set[str]] = {}
    for asked in lists:
        for candidate in asked.candidates:
            intents.setdefault(candidate.hypothesis.skill_id, set()).add(candidate.hypothesis.intent)
    for skill_id, names in intents.items():
        specs = tuple(IntentSpec(name) for name in sorted(names))
        registry.register(Manifest(skill_id, "1.0.0", ("en",), specs), endpoint=next(addresses))


async def right(asked: Asked, ranker: Ranker, hanging: float, rng: random.Random) -> bool:
    """Whether what was meant comes first when each answer is missing by chance."""
    found = []
    for candidate, told in zip(asked.candidates, asked.answers, strict=True):
        silent = rng.random() < hanging
        given = Fulfilment.MISSING if silent and told is not None else told
        found.append(candidate if given is None else answered(candidate, given))
    ranked = await ranker.rank(found, asked.turn.out_of_scope)
    meant = asked.candidates[asked.turn.right].hypothesis if asked.turn.right is not None else None
    return bool(ranked) and ranked[0].eligible and ranked[0].hypothesis is meant


async def lost(lists: Sequence[Asked], ranker: Ranker) -> Lost:
    """Top-1 of both, paired; the interval from 1,000 resamplings."""
    rng = random.Random(SEED)
    whole = np.array([await right(one, ranker, 0.0, rng) for one in lists], float)
    holed = np.array([await right(one, ranker, HANGING, rng) for one in lists], float)
    draws = np.random.default_rng(SEED).integers(len(lists), size=(1_000, len(lists)))
    lower, upper = np.percentile((whole - holed)[draws].mean(axis=1), (2.5, 97.5))
    return Lost(len(lists), float(whole.mean()), float(holed.mean()), float(lower), float(upper))


def main(arguments: list[str]) -> None:
    """Prints times, losses and the verdict."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks fulfilment", description=__doc__.splitlines()[0])
    parser.add_argument("--turns", type=int, default=400, help="asked over gRPC")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(arguments)
    drawn = turns("test", worlds=4, households=40, each=25, seed=SEED)
    lists = [asked_of(turn) for turn in drawn if turn.right is not None]
    times = [asyncio.run(timed(lists[: options.turns], share)) for share in (0.0, HANGING)]
    losses = asyncio.run(losses_of(lists))
    if options.json:
        told = {"times": [asdict(one) for one in times], "top1": {name: asdict(one) for name, one in losses.items()}}
        print(json.dumps(told))
        return
    limit = BUDGETS[Stage.FULFILMENT].ms + OVER_MS
    for one in times:
        print(
            f"{one.hanging:4.0%} hang: stage p50 {one.p50:5.1f} ms, p99 {one.p99:5.1f} ms over {one.turns} turns, "
            f"{one.missing:.1%} of the answers missing; at most {limit:.0f} ms: {_verdict(one.p99 <= limit)} "
            f"(a bare timer of the budget: p99 {one.timer_p99:.1f} ms)"
        )
    for name, loss in losses.items():
        points = (loss.without - loss.hanging) * 100
        print(
            f"{name}: top-1 {loss.without:.1%} -> {loss.hanging:.1%} over {loss.turns} turns, {points:.2f} points lost "
            f"({loss.lower * 100:.2f} to {loss.upper * 100:.2f}); at most 1: {_verdict(points <= MOST_LOST * 100)}"
        )


async def losses_of(lists: Sequence[Asked]) -> dict[str, Lost]:
    """By the model: the weights set by hand, and every ranker whose bundle is there."""
    client = OnnxClient(ModelStore.with_bundled(BUNDLED), threads=1)
    loaded = await load_rankers(client, RankerKind.SHORTLIST)
    learned = (ranker for kind, ranker in loaded.by_kind.items() if kind is not RankerKind.SHORTLIST)
    return {ranker.provenance.model: await lost(lists, ranker) for ranker in (LinearRanker(), *learned)}


def _verdict(held: bool) -> str:
    return "held" if held else "MISSED"
