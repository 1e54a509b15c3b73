"""Rankers that fail a stage."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass

from services.arbitration.hypotheses import Candidate, Provenance
from services.arbitration.rankers.linear import LinearRanker
from services.runtime.errors import AntiphonError

SLOW = Provenance("tests/slow-ranker@1")
BROKEN = Provenance("tests/broken-ranker@1")


@dataclass
class SlowRanker:
    """Ranks as the linear one does, after `seconds`."""

    seconds: float
    provenance: Provenance = SLOW

    async def rank(self, candidates: Sequence[Candidate], out_of_scope: float) -> tuple[Candidate, ...]:
        await asyncio.sleep(self.seconds)
        return LinearRanker().ranked(candidates, out_of_scope)

    async def explain(self, ranked: Sequence[Candidate], out_of_scope: float) -> tuple[Candidate, ...]:
        await asyncio.sleep(self.seconds)
        return tuple(ranked)


@dataclass
class BusyRanker:
    """Ranks as the linear one does, and keeps the event loop for `seconds` of real time."""

    seconds: float
    provenance: Provenance = SLOW

    async def rank(self, candidates: Sequence[Candidate], out_of_scope: float) -> tuple[Candidate, ...]:
        time.sleep(self.seconds)  # noqa: ASYNC251 - that is what it is for
        return LinearRanker().ranked(candidates, out_of_scope)

    async def explain(self, ranked: Sequence[Candidate], out_of_scope: float) -> tuple[Candidate, ...]:
        return tuple(ranked)


@dataclass
class BrokenRanker:
    """Its model's home is gone."""

    error: AntiphonError
    provenance: Provenance = BROKEN

    async def rank(self, candidates: Sequence[Candidate], out_of_scope: float) -> tuple[Candidate, ...]:
        raise self.error

    async def explain(self, ranked: Sequence[Candidate], out_of_scope: float) -> tuple[Candidate, ...]:
        raise self.error
