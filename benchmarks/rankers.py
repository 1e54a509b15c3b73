"""What each group of features is worth to the rankers, on simulated households; calibration; time to rank ten.

    python -m benchmarks rankers [--share=F] [--no-ablations]

Households and skills are those of `training/arbitration/simulator`, the test worlds, which no bundle was trained or
chosen on; figures of simulated people say nothing of real ones. Measured in this run: understanding alone, the weights
set by hand and the three bundles as they are served; and the linear ranker fitted anew for every group of features that
is added (the same for the others takes their training frameworks: it is in `scores.json` beside their cards). Intervals
are 95 %, by bootstrap over turns.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import time
from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np

from services.arbitration.rankers.choice import RankerKind, Rankers
from services.arbitration.rankers.linear import LinearRanker
from services.arbitration.rankers.loading import BUNDLED, load_rankers
from services.arbitration.rankers.matrix import COLUMNS
from services.arbitration.rankers.ranker import Ranker
from services.runtime.model_store import ModelStore
from services.runtime.onnx import OnnxClient
from training.arbitration import linear
from training.arbitration.lists import (
    ROWS,
    STEPS,
    Floats,
    Lists,
    arrays,
    calibration_error,
    drawn,
    hits,
    interval,
    simulated,
)
from training.arbitration.simulator.turns import Turn

ENABLED_POINTS: Final = 40.0
"""Least gain of knowing what the household has enabled, in points of top-1."""

LIMIT_MS: Final[Mapping[RankerKind, float]] = {
    RankerKind.LINEAR: 1.0,
    RankerKind.LAMBDA_MART: 10.0,
    RankerKind.BI_LSTM: 10.0,
}
"""CPU milliseconds for ten candidates, 99th percentile."""

TIMED: Final = 1_000


async def served(ranker: Ranker, listed: Sequence[Turn]) -> Floats:
    """Probabilities of each list's rows, "none of them" behind the last, as the platform's ranker gives them."""
    made = np.zeros((len(listed), ROWS), np.float32)
    for at, turn in enumerate(listed):
        ranked = await ranker.rank(turn.candidates, turn.out_of_scope)
        by_effect = {candidate.hypothesis: candidate.probability for candidate in ranked}
        for number, candidate in enumerate(turn.candidates):
            made[at, number] = by_effect[candidate.hypothesis]
        made[at, len(turn.candidates)] = 1.0 - made[at].sum()
    return made


def told(name: str, lists: Lists, probabilities: Floats) -> None:
    """One line of figures."""
    found = hits(lists, probabilities)
    decided = (np.where(lists.there, probabilities, -1.0).argmax(axis=1) == lists.right).mean()
    low, high = interval(found)
    print(
        f"  {name:<24} top-1 {found.mean():6.1%} [{low:.1%}, {high:.1%}]   with none of them {decided:6.1%}   "
        f"ECE {calibration_error(lists, probabilities):.3f}"
    )


def ablated(train: Lists, test: Lists) -> bool:
    """The linear ranker with more and more groups; whether each that is asked for gains."""
    before = hits(test, test.rows[..., COLUMNS.index("intent_confidence")])
    print(f"  {'understanding alone':<24} top-1 {before.mean():6.1%}")
    known: list[str] = []
    gains: dict[str, tuple[float, float]] = {}
    for step, own in STEPS.items():
        known += own
        seen = test.only(known)
        found = hits(seen, linear.fit(train.only(known)).scores(seen))
        gain = found.astype(np.float64) - before
        low, high = interval(gain)
        around = f"[{100 * low:+.1f}, {100 * high:+.1f}]"
        print(f"  {step:<24} top-1 {found.mean():6.1%}   gain {100 * gain.mean():+5.1f} {around}")
        gains[step], before = (100 * float(gain.mean()), 100 * low), found
    enabled = gains["+ enabled"][0]
    enough = enabled >= ENABLED_POINTS
    print(f"gain of knowing what is enabled: {enabled:+.1f} points, limit +{ENABLED_POINTS:.0f}  {_verdict(enough)}")
    later = [step for step in list(STEPS)[2:] if gains[step][1] <= 0]
    print(f"later groups whose interval is not above 0: {', '.join(later) or 'none'}  {_verdict(not later)}")
    return enough and not later


async def timed(rankers: Rankers, listed: Sequence[Turn]) -> bool:
    """Time to rank, list by list, one after the other."""
    tens = [turn for turn in listed if len(turn.candidates) == ROWS - 1][:TIMED]
    kept = True
    for kind, limit in LIMIT_MS.items():
        ranker = rankers.get(kind)
        cpu, wall, explained = [], [], []
        for turn in tens:
            began, used = time.perf_counter(), time.process_time()
            ranked = await ranker.rank(turn.candidates, turn.out_of_scope)
            cpu.append((time.process_time() - used) * 1000)
            wall.append((time.perf_counter() - began) * 1000)
            if len(explained) < TIMED // 10:
                began = time.perf_counter()
                await ranker.explain(ranked, turn.out_of_scope)
                explained.append((time.perf_counter() - began) * 1000)
        p99 = statistics.quantiles(cpu, n=100)[98]
        print(
            f"{kind.lower():<12} ten candidates: CPU p50 {statistics.median(cpu):.2f} p99 {p99:.2f} ms, "
            f"wall p50 {statistics.median(wall):.2f} p99 {statistics.quantiles(wall, n=100)[98]:.2f} ms, "
            f"explained in {statistics.median(explained):.1f} ms; limit p99 {limit:.0f} ms  {_verdict(p99 <= limit)}"
        )
        kept &= p99 <= limit
    return kept


def _verdict(good: bool) -> str:
    return "PASS" if good else "MISS"


async def measure(share: float, *, ablations: bool) -> bool:
    listed = simulated("test", share=share)
    test = arrays(listed)
    print(f"{len(test)} turns of simulated households; what was meant is in the list: ", end="")
    print(f"{test.meant_here[test.in_scope].mean():.1%} of the turns that mean a skill")
    client = OnnxClient(ModelStore([BUNDLED]), threads=1)
    rankers = await load_rankers(client, RankerKind.LINEAR)
    told("weights set by hand", test, await served(LinearRanker(), listed))
    for kind in LIMIT_MS:
        told(f"{kind.lower()}, its bundle", test, await served(rankers.get(kind), listed))
    good = await timed(rankers, listed)
    await client.close()
    if ablations:
        print("the linear ranker, fitted anew with more and more features:")
        good &= ablated(drawn("train", share=share), test)
    return good


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--share", type=float, default=0.5, help="of the households (default 0.5)")
    parser.add_argument("--no-ablations", action="store_true")
    options = parser.parse_args(arguments)
    asyncio.run(measure(options.share, ablations=not options.no_ablations))
