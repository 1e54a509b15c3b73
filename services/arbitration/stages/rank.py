"""Scores the candidates against each other within the budget; without a ranker in time, the shortlister's order stands.

Asked by `judging` when everything that can be known is known. Under load a sequence ranker gives way to the linear one.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from services.arbitration.hypotheses import Candidate, Provenance
from services.arbitration.rankers.choice import RankerKind, Rankers
from services.arbitration.stages.shedding import Shed, Shedding
from services.arbitration.stages.timing import Running
from services.runtime.errors import AntiphonError

log = logging.getLogger(__name__)

LATE: Final = "LATE"
"""Used although late."""

SHORTLISTER: Final = Provenance("antiphon/shortlister-order@1", backend="rules", engine="python")
"""What provenance calls the order of the shortlist."""


@dataclass(frozen=True, slots=True)
class Ranked:
    """The list, best first, and who ordered it."""

    candidates: tuple[Candidate, ...]
    by: Provenance


async def rank(
    candidates: Sequence[Candidate],
    out_of_scope: float,
    rankers: Rankers,
    kind: RankerKind | None,
    shedding: Shedding,
    running: Running,
    *,
    limit: float,
) -> Ranked:
    """The ranked list.

    Args:
        kind: the ranker wanted; None is the default.
        limit: seconds that ranking may take.

    Raises:
        FailedPrecondition: RANKER_NOT_LOADED, there is none of that kind.
    """
    kind = kind or rankers.default
    ranker = rankers.get(kind)
    if kind is RankerKind.BI_LSTM and shedding.sheds(Shed.SEQUENCE_RANKER):
        running.shed, running.fallback = True, str(RankerKind.LINEAR)
        ranker = rankers.by_kind.get(RankerKind.LINEAR, ranker)
    clock = asyncio.get_running_loop().time
    began = clock()
    try:
        async with asyncio.timeout(limit):
            ranked = Ranked(await ranker.rank(candidates, out_of_scope), ranker.provenance)
        running.missed = clock() - began > limit  # one that waits for nobody cannot be interrupted
        if running.missed:
            running.fallback = running.fallback or LATE
        return ranked
    except (TimeoutError, AntiphonError) as error:
        reason = error.reason if isinstance(error, AntiphonError) else "TIMEOUT"
        log.warning("ranker %s failed: %s; the shortlister's order stands", ranker.provenance.model, reason)
        running.missed, running.fallback = True, ""
        return Ranked(in_shortlister_order(candidates, out_of_scope), SHORTLISTER)


def in_shortlister_order(candidates: Sequence[Candidate], out_of_scope: float) -> tuple[Candidate, ...]:
    """The order of the cut to the shortlist, with its scores for probabilities.

    They share what is left of 1 beside being out of scope, and are no larger than they were: a lone poor candidate
    stays poor.
    """
    eligible = sorted((c for c in candidates if c.eligible), key=lambda c: c.shortlist_score, reverse=True)
    scores = [min(1.0, max(0.0, candidate.shortlist_score)) for candidate in eligible]
    share = (1.0 - min(1.0, max(0.0, out_of_scope))) / max(1.0, sum(scores))
    ranked = (
        replace(candidate, score=candidate.shortlist_score, probability=score * share)
        for candidate, score in zip(eligible, scores, strict=True)
    )
    return (*ranked, *(candidate for candidate in candidates if not candidate.eligible))
