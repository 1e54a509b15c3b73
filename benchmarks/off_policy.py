"""What the log says another ranker is worth, against what the simulator knows; and which rankers the gate lets through.

    python -m benchmarks off_policy [--turns 16000]

Simulated households (`training.arbitration.simulator`) talk to the ranker with weights set by hand, which explores
1.5 % of the turns with close, harmless candidates. Turns that it executes are logged, with a reward that is noisy in
the way of implicit feedback: who was served right says something like it again in 5 % of the turns, who was served
wrong lets it pass in 15 %. Each other ranker is estimated from that log alone, and then compared with the truth.
"""

from __future__ import annotations

import argparse
import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Final

import numpy as np

from services.arbitration.hypotheses import Action, Candidate, Decision, Provenance, Reason
from services.arbitration.learning.exploration import CloseExplorer
from services.arbitration.learning.interactions import Interaction, options_of
from services.arbitration.learning.off_policy import Gate, candidates_of, evaluate, first_of, gathered
from services.arbitration.rankers.choice import RankerKind
from services.arbitration.rankers.linear import LinearRanker
from services.arbitration.rankers.loading import BUNDLED, load_rankers
from services.arbitration.rankers.ranker import Ranker
from services.arbitration.stages.decide import Decider
from services.runtime.model_store import ModelStore
from services.runtime.onnx import OnnxClient
from training.arbitration.simulator.turns import Turn, turns

SEED: Final = 21
WORLDS, HOUSEHOLDS = 6, 40
KNOWN_RIGHT, KNOWN_WRONG = 0.95, 0.15
"""Probability that a turn that was served right, or wrong, counts as one that ended well."""

REPEATS: Final = 10
"""How often each simulated turn happens, explored or not, and rewarded anew: simulating it is what takes long."""

GATE: Final = Gate(turns=Gate().turns * REPEATS, domain_turns=Gate().domain_turns * REPEATS)
"""As in production: a turn that happens again tells nothing new about how many decisions a ranker changes."""

LIMIT: Final = 0.02


@dataclass(frozen=True)
class Contrary:
    """A bad policy: it likes best what the ranker that serves likes second."""

    usual: LinearRanker
    provenance: Provenance = field(default_factory=lambda: Provenance("benchmark/contrary"))

    async def rank(self, candidates: Sequence[Candidate], out_of_scope: float) -> tuple[Candidate, ...]:
        ranked = self.usual.ranked(candidates, out_of_scope)
        return (*ranked[1:2], *ranked[:1], *ranked[2:])

    async def explain(self, ranked: Sequence[Candidate], out_of_scope: float) -> tuple[Candidate, ...]:
        return tuple(ranked)


@dataclass
class World:
    """The log, and for each of its rows what each option is really worth."""

    rows: list[Interaction]
    worth: list[list[float]]


def main(arguments: Sequence[str]) -> None:
    """Prints estimate, truth and verdict of each ranker."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks off_policy")
    parser.add_argument("--turns", type=int, default=16_000)
    asyncio.run(_measure(parser.parse_args(arguments).turns))


async def _measure(count: int) -> None:
    serving = LinearRanker()
    began = time.perf_counter()
    world = _logged(serving, count)
    explored = sum(row.explored for row in world.rows)
    spent = time.perf_counter() - began
    print(f"{count} turns, each {REPEATS} times: {len(world.rows)} executed, {explored} explored; {spent:.0f} s")
    rankers = await load_rankers(OnnxClient(ModelStore.with_bundled(BUNDLED), threads=1), RankerKind.LINEAR)
    tried: dict[str, Ranker] = {str(kind): ranker for kind, ranker in sorted(rankers.by_kind.items())}
    tried |= {"the serving one": serving, "blind to users": _blind(), "contrary": Contrary(serving)}
    print(
        f"{'ranker':16}{'truth':>7}{'robust':>8}{'off by':>8}{'SNIPS':>8}{'off by':>8}{'differ':>8}{'untried':>9}  gate"
    )
    supported = [off for name, ranker in tried.items() if (off := await _estimate(name, ranker, world)) is not None]
    verdict = "ok" if max(supported) <= LIMIT else "MISSED"
    print(
        f"A better ranker is blocked as well when it changes more than {GATE.changed:.0%} of a domain's decisions: "
        "what is learned is let in by small steps"
    )
    print(f"where the log can tell, the estimate is off by {max(supported):.1%} at most (limit {LIMIT:.0%}): {verdict}")


def _blind() -> LinearRanker:
    """A bad policy that looks fine: what it forgets is who the user is."""
    forgotten = ("enabled_by_user", "used_recently", "used_often", "same_skill", "popularity", "feedback")
    return LinearRanker({name: 0.0 if name in forgotten else points for name, points in LinearRanker().weights.items()})


async def _estimate(name: str, ranker: Ranker, world: World) -> float | None:
    """Prints a line; how far the doubly robust estimate is from the truth, None where the log cannot tell."""
    chosen: list[int] = []

    async def choose(row: Interaction) -> int:
        if row.turn_id.endswith("/0"):  # the others are the same turn again
            options = candidates_of(row)
            chosen.extend([first_of(options, await ranker.rank(options, row.out_of_scope))] * REPEATS)
        return chosen[-1]

    report = evaluate(await gathered(world.rows, choose), GATE)
    truth = float(np.mean([worth[index] for worth, index in zip(world.worth, chosen, strict=True)]))
    off = abs(report.robust.value - truth)
    reasons = f"blocked: {report.blocked[0]}" if report.blocked else "passed"
    reasons = f"better, and {reasons}" if report.blocked and report.better else reasons
    more = f" (and {len(report.blocked) - 1} more)" if len(report.blocked) > 1 else ""
    print(
        f"{name:16}{truth:>7.1%}{report.robust.value:>8.1%}{off:>8.1%}{report.snips.value:>8.1%}"
        f"{abs(report.snips.value - truth):>8.1%}{report.overall:>8.1%}{report.unsupported:>9.1%}\n    {reasons}{more}"
    )
    return off if report.unsupported <= GATE.unsupported else None


def _logged(serving: LinearRanker, count: int) -> World:
    rng = np.random.default_rng(SEED)
    world = World([], [])
    each = max(1, count // (WORLDS * HOUSEHOLDS))
    for number, turn in enumerate(turns("dev", worlds=WORLDS, households=HOUSEHOLDS, each=each, seed=SEED)):
        decision = _executed(serving.ranked(turn.candidates, turn.out_of_scope))
        if decision is None:
            continue
        worth = _worth(turn, decision)
        for again in range(REPEATS):
            row = _row(f"{number}/{again}", f"household-{number // each}", decision, turn.out_of_scope)
            world.rows.append(replace(row, reward=float(rng.random() < worth[row.chosen])))
            world.worth.append(worth)
    return world


def _row(turn_id: str, user: str, decision: Decision, out_of_scope: float) -> Interaction:
    found = CloseExplorer().choose(decision.candidates, turn_id)
    options, chosen = options_of(replace(decision, candidates=found.ranked))
    return Interaction(
        turn_id,
        f"session-{turn_id}",
        "tenant",
        user,
        0.0,
        "en",
        action="execute",
        outcome="answered",
        options=options,
        chosen=chosen,
        out_of_scope=out_of_scope,
        propensity=found.propensity,
        explored=found.explored,
    )


def _executed(ranked: Sequence[Candidate]) -> Decision | None:
    """The decision, if it is to execute."""
    eligible = [candidate for candidate in ranked if candidate.eligible]
    if not eligible or eligible[0].missing_slots:
        return None
    costs = Decider().expected_costs(eligible, 1.0)
    if min(costs, key=lambda action: costs[action]) is not Action.EXECUTE:
        return None
    return Decision(Action.EXECUTE, Reason.CONFIDENT, tuple(ranked))


def _worth(turn: Turn, decision: Decision) -> list[float]:
    """Of each option, in the order of the row."""
    right = turn.candidates[turn.right].hypothesis if turn.right is not None else None
    listed = sorted(decision.eligible, key=lambda candidate: -candidate.probability)
    return [KNOWN_RIGHT if candidate.hypothesis is right else KNOWN_WRONG for candidate in listed]
