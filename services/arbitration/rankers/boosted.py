"""LambdaMART: boosted trees that look at one candidate at a time, trained to put the right one of a list first.

`loading` makes one from the bundle `rank-lambdamart` (Burges 2010, MSR-TR-2010-82; trained by lightgbm, served as an
ONNX TreeEnsemble).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from services.arbitration.hypotheses import Candidate, Provenance
from services.arbitration.rankers.ablation import ablations, alone, contributions
from services.arbitration.rankers.matrix import rows
from services.arbitration.rankers.ranker import listed
from services.arbitration.stages.calibrate import Calibration
from services.runtime.inference import ModelClient


@dataclass(frozen=True)
class BoostedRanker:
    """One loaded bundle: `rows` (n, columns) -> `scores` (n, 1)."""

    client: ModelClient
    model: str
    calibration: Calibration
    provenance: Provenance

    async def rank(self, candidates: Sequence[Candidate], out_of_scope: float) -> tuple[Candidate, ...]:
        """See `Ranker.rank`. Candidates that are not eligible are scored too, for the explanation."""
        scores = await self._scores(rows(candidates, out_of_scope))
        return listed(candidates, scores[:-1], scores[-1], self.calibration)

    async def explain(self, ranked: Sequence[Candidate], out_of_scope: float) -> tuple[Candidate, ...]:
        """See `Ranker.explain`; contributions are those of `ablation`."""
        table = rows(ranked, out_of_scope)
        wanted = ablations(table, len(ranked))
        if not wanted:
            return tuple(ranked)
        scores = await self._scores(np.concatenate([table, alone(table, wanted)]))
        found = contributions(wanted, scores, scores[len(table) :], len(ranked))
        return tuple(replace(one, contributions=told) for one, told in zip(ranked, found, strict=True))

    async def _scores(self, table: npt.NDArray[np.float32]) -> list[float]:
        outputs = await self.client.infer(self.model, {"rows": table})
        return [float(score) for score in outputs["scores"][:, 0]]
