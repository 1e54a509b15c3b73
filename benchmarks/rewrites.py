"""Rewrites mined from simulated sessions: how many requests fail at first, before and after.

    python -m benchmarks rewrites [--sessions 20000]

Rewrites are mined from one set of sessions and tried on another of the same world (`benchmarks.rephrasing` says how
people behave there, in two ways). The baseline publishes what people most often say next. A defect is a wish that the
first words did not fulfil; harmed are wishes that the words themselves would have fulfilled. Here a rewrite takes the
place of the words; the front door reads it beside them, and takes back one that does worse, so that it harms less.
"""

from __future__ import annotations

import argparse
import asyncio
import time
from collections.abc import Mapping, Sequence

from benchmarks.rephrasing import MISLED, WELL_ADVISED, Habits, Outcome, World, sessions
from services.arbitration.learning.interactions import Interaction, Pseudonyms
from services.arbitration.learning.mining import Chain, Rules, mine_log, most_frequent_next, walks
from services.arbitration.learning.publication import RewriteBook
from services.arbitration.learning.rewrites import RewriteTable
from services.arbitration.stages.rewrite import Rewrite
from services.runtime.store import MemorySessionStore

WORLD, TRAINING, TRIAL = 11, 12, 13
"""Seeds."""

LOOK_UP_LIMIT_MS = 5.0
LEAST_FEWER = 0.3
"""What the paper reports of its users: over 30 % fewer defects."""


def main(arguments: Sequence[str]) -> None:
    """Prints defect and success rates without rewriting, with the baseline's and with the chain's rewrites."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks rewrites")
    parser.add_argument("--sessions", type=int, default=20_000)
    count = parser.parse_args(arguments).sessions
    _world("what most people say next seldom works", MISLED, count)
    _world("what most people say next mostly works", WELL_ADVISED, count)
    _look_up()


def _world(name: str, habits: Habits, count: int) -> None:
    world = World.build(habits, WORLD)
    logged = sessions(world, count, TRAINING)
    began = time.perf_counter()
    ours = _mined(logged.rows, Rules())
    spent = time.perf_counter() - began
    print(f"\n{name}: {count} sessions, {len(logged.rows)} turns, mined in {spent:.1f} s")
    print(f"{'':36}{'defects':>9}{'fulfilled':>11}{'rewrites':>10}{'harmed':>8}")
    plain = _line("no rewriting", sessions(world, count, TRIAL), {})
    for label, rewrites in (
        ("what people say next (baseline)", _baseline(logged.rows)),
        ("absorbing chain, the paper's rule", _mined(logged.rows, Rules(imputed=False))),
    ):
        _line(label, sessions(world, count, TRIAL, rewrites), rewrites)
    outcome = _line("absorbing chain, ours", sessions(world, count, TRIAL, ours), ours)
    fewer = 1 - outcome.defect_rate / plain.defect_rate
    verdict = "ok" if fewer >= LEAST_FEWER else "MISSED"
    print(f"defects {plain.defect_rate:.1%} -> {outcome.defect_rate:.1%}: ", end="")
    print(f"{fewer:.0%} fewer (limit {LEAST_FEWER:.0%}): {verdict}")


def _mined(rows: Sequence[Interaction], rules: Rules) -> dict[str, str]:
    return {rewrite.source: rewrite.target for rewrite in mine_log(rows, rules)}


def _baseline(rows: Sequence[Interaction]) -> dict[str, str]:
    chain = Chain()
    for walk in walks(rows):
        chain.add(walk)
    return most_frequent_next(chain)


def _line(name: str, outcome: Outcome, rewrites: Mapping[str, str]) -> Outcome:
    harmed = outcome.harmed / outcome.wishes
    print(f"{name:36}{outcome.defect_rate:>8.1%}{outcome.success_rate:>11.1%}{len(rewrites):>10}{harmed:>8.1%}")
    return outcome


class _Full(RewriteBook):
    """As many rewrites as one language may have."""

    async def serving(self, tenant: str, locale: str) -> Mapping[str, Rewrite]:
        del tenant, locale
        return {f"turn on lamp {n}": Rewrite(f"rw-{n}", f"lamp {n} on") for n in range(1_000)}


def _look_up() -> None:
    table = RewriteTable(_Full(MemorySessionStore(), Pseudonyms(b"benchmark")), held_out=0.0)
    table.look_up("tenant", "en", "", "session")
    asyncio.run(table.refresh())
    spent = []
    for number in range(20_000):
        began = time.perf_counter()
        found = table.look_up("tenant", "en", f"Turn on lamp {number % 1_000}!", "session")
        spent.append((time.perf_counter() - began) * 1e3)
        assert found is not None
    spent.sort()
    p99 = spent[int(len(spent) * 0.99)]
    print(f"\nlook-up among 1,000 rewrites: p50 {spent[len(spent) // 2]:.3f} ms, p99 {p99:.3f} ms ", end="")
    print(f"(limit {LOOK_UP_LIMIT_MS:g} ms): {'ok' if p99 <= LOOK_UP_LIMIT_MS else 'TOO SLOW'}")
