"""What every ranker is, and how its scores become a ranked list. `judging` ranks through `Ranker`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol

from services.arbitration.hypotheses import Candidate, Provenance
from services.arbitration.stages.calibrate import Calibration


class Ranker(Protocol):
    """Anything that scores a list of candidates against each other and against "none of them"."""

    @property
    def provenance(self) -> Provenance:
        """Which model ranks, for `Decision.ranker`."""
        ...

    async def rank(self, candidates: Sequence[Candidate], out_of_scope: float) -> tuple[Candidate, ...]:
        """The candidates with score and probability, best first, those that are not eligible last.

        Raises:
            AntiphonError: the model's home is gone or late; the caller then keeps the shortlister's order.
        """
        ...

    async def explain(self, ranked: Sequence[Candidate], out_of_scope: float) -> tuple[Candidate, ...]:
        """What `rank` returned, each with contributions, for whoever shows or keeps the decision.

        Rankers that read contributions off their weights have told them while ranking and return their argument.
        """
        ...


def listed(
    candidates: Sequence[Candidate], scores: Sequence[float], none: float, calibration: Calibration
) -> tuple[Candidate, ...]:
    """The ranked list: eligible ones by probability, then the others, which take none of it.

    Args:
        scores: one per candidate, in order; finite.
        none: score of "none of them".
    """
    scored = [replace(candidate, score=score) for candidate, score in zip(candidates, scores, strict=True)]
    open_ = [candidate for candidate in scored if candidate.eligible]
    intents = [candidate.hypothesis.intent for candidate in open_]
    probabilities = calibration.probabilities([candidate.score for candidate in open_], intents, none)
    ranked = [replace(one, probability=p) for one, p in zip(open_, probabilities, strict=True)]
    ranked.sort(key=lambda candidate: candidate.probability, reverse=True)
    return (*ranked, *(candidate for candidate in scored if not candidate.eligible))
