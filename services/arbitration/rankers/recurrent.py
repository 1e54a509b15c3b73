"""HypRank: a bidirectional LSTM that reads the whole list, so that a score depends on who else is in it.

`loading` makes one from the bundle `rank-bilstm` (after Kim et al. 2018, arXiv 1804.08064). The list is read in the
shortlister's order with "none of them" at its end.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from services.arbitration.hypotheses import Candidate, Provenance
from services.arbitration.rankers.ablation import ablations, contributions, within
from services.arbitration.rankers.matrix import rows
from services.arbitration.rankers.ranker import listed
from services.arbitration.stages.calibrate import Calibration
from services.runtime.inference import ModelClient


@dataclass(frozen=True)
class RecurrentRanker:
    """One loaded bundle: `lists` (n, rows, columns) -> `scores` (n, rows)."""

    client: ModelClient
    model: str
    calibration: Calibration
    provenance: Provenance

    async def rank(self, candidates: Sequence[Candidate], out_of_scope: float) -> tuple[Candidate, ...]:
        """See `Ranker.rank`. Who is not eligible is no part of the list and keeps a score of 0."""
        read = _in_order(candidates)
        scores = (await self._scores(rows(read, out_of_scope)[None]))[0]
        others = [candidate for candidate in candidates if not candidate.eligible]
        return listed([*read, *others], [*scores[:-1], *(0.0 for _ in others)], scores[-1], self.calibration)

    async def explain(self, ranked: Sequence[Candidate], out_of_scope: float) -> tuple[Candidate, ...]:
        """See `Ranker.explain`; contributions are those of `ablation`, each with the rest of the list as it is."""
        read = _in_order(ranked)
        table = rows(read, out_of_scope)
        wanted = ablations(table, len(read))
        if not wanted:
            return tuple(ranked)
        scored = await self._scores(np.concatenate([table[None], within(table, wanted)]))
        without = [scores[one.row] for one, scores in zip(wanted, scored[1:], strict=True)]
        found = zip(read, contributions(wanted, scored[0], without, len(read)), strict=True)
        told = {id(candidate): parts for candidate, parts in found}
        return tuple(replace(one, contributions=told.get(id(one), ())) for one in ranked)

    async def _scores(self, lists: npt.NDArray[np.float32]) -> list[list[float]]:
        outputs = await self.client.infer(self.model, {"lists": lists})
        return [[float(score) for score in scores] for scores in outputs["scores"]]


def _in_order(candidates: Sequence[Candidate]) -> list[Candidate]:
    """As the shortlister ordered them: rankers before this one must make no difference."""
    eligible = [candidate for candidate in candidates if candidate.eligible]
    return sorted(eligible, key=lambda candidate: candidate.shortlist_score, reverse=True)
