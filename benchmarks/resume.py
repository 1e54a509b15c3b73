"""What becomes of turns whose replica is killed while they run: what happens twice, and how soon they go on.

    python -m benchmarks resume [--kills=N]

Replicas of the front door are processes that share a Redis server (append-only file, written at every command). A user
asks for something with an effect; the replica gets a SIGKILL 0 to 600 ms after the turn began, while the skill takes
400 ms; the client goes on with its token and the same key at the other replica. The skill keeps to the contract (a
repeat of an idempotency key changes nothing more) and counts what it does: twice if one turn came with two keys.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from tests.fixtures.interrupted_turns import Interrupted, house, interrupt

KILLS = 20
SEED = 7


async def kills(count: int) -> list[Interrupted]:
    """One turn per kill; the next replica starts while a turn runs."""
    found: list[Interrupted] = []
    with tempfile.TemporaryDirectory() as folder:
        async with house(Path(folder)) as made:
            survivor, victim = made.replicas[0], await made.replica()
            for number in range(count):
                found.append(await interrupt(made, victim, survivor, number, SEED))
                if number + 1 < count:
                    victim = await made.replica()
    return found


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=KILLS, help=f"replicas that are killed (default {KILLS})")
    found = asyncio.run(kills(parser.parse_args(arguments).kills))
    endings, rings = Counter(one.ended for one in found), Counter(one.rings for one in found)
    seconds = sorted(one.seconds for one in found)
    twice = sum(one.rings > 1 for one in found)
    print(f"{len(found)} replicas killed during a turn; at the other replica:")
    for ending, count in endings.most_common():
        print(f"  {ending:<24}{count}")
    print(f"  effects: none {rings[0]}, one {rings[1]}, duplicates {twice} (limit 0)  {'MISS' if twice else 'PASS'}")
    print(f"  from going on to the turn's end: p50 {statistics.median(seconds):.2f} s, longest {seconds[-1]:.2f} s")


if __name__ == "__main__":
    main()
