"""No ranker at all: the order of the shortlister, for comparisons and for whoever asks for it by name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from services.arbitration.hypotheses import Candidate, Provenance
from services.arbitration.stages.rank import SHORTLISTER, in_shortlister_order


@dataclass(frozen=True, slots=True)
class ShortlistRanker:
    """See `in_shortlister_order`."""

    provenance: Provenance = SHORTLISTER

    async def rank(self, candidates: Sequence[Candidate], out_of_scope: float) -> tuple[Candidate, ...]:
        """See `Ranker.rank`."""
        return in_shortlister_order(candidates, out_of_scope)

    async def explain(self, ranked: Sequence[Candidate], out_of_scope: float) -> tuple[Candidate, ...]:
        """See `Ranker.explain`: it looks at no features."""
        return tuple(ranked)
