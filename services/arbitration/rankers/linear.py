"""Scores a list of candidates against each other and against "none of them".

The last model of a decision: a linear list-wise softmax. It is small enough to be read: a score is a sum of
contributions, each a feature times its weight, and the explanation of a decision is that sum. "None of them" is in
every list, with a score of its own that grows with the probability of being out of scope, so that a lone poor
candidate is not certain to be right merely by being alone.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Final

from services.arbitration.hypotheses import Candidate, Contribution, Provenance
from services.arbitration.rankers.matrix import FEATURES, safe, scope
from services.arbitration.rankers.ranker import listed
from services.arbitration.stages.calibrate import Calibration

WEIGHTS: Final[Mapping[str, float]] = MappingProxyType(
    {
        # What was heard: a reading of the second alternative has to be much better to win.
        "asr_rank": -1.5,
        "asr_confidence": 0.5,
        # What was understood carries most: five points from 0 to 1.
        "intent_confidence": 5.0,
        "relative_confidence": 0.0,
        "margin": 1.0,
        "incomplete": -2.0,
        "weakest_slot": 0.8,
        "resolution": 0.5,
        "catalogue_hit": 0.8,
        "carried_slots": -0.3,
        # Context: an open question is strong evidence, the last skill a weak one.
        "same_skill": 0.4,
        "answers_prompt": 1.5,
        "locale_exact": 0.2,
        "enabled_by_user": 0.8,
        "used_recently": 0.5,
        "used_often": 0.5,
        # Centred on 0.5 by NONE_OF_THEM, which holds half of it.
        "feedback": 1.5,
        "popularity": 0.2,
        "rewritten": 1.0,
        # A skill's NO nearly rules it out; silence says nothing, so its weight is 0.
        "fulfil_yes": 1.0,
        "fulfil_maybe": 0.3,
        "fulfil_no": -6.0,
        "fulfil_missing": 0.0,
    }
)
"""Points (log-odds) per feature. Set by hand, from the order of evidence in HypRank (Kim et al. 2018, arXiv
1804.08064): they are priors, to be replaced by weights that are learnt from feedback."""

GROUPS: Final[Mapping[str, str]] = MappingProxyType(
    {
        **dict.fromkeys(("asr_rank", "asr_confidence"), "asr"),
        **dict.fromkeys(("intent_confidence", "relative_confidence", "margin"), "nlu"),
        **dict.fromkeys(("incomplete", "weakest_slot"), "slots"),
        **dict.fromkeys(("resolution", "catalogue_hit"), "entities"),
        **dict.fromkeys(("carried_slots", "same_skill", "answers_prompt"), "context"),
        **dict.fromkeys(("locale_exact", "enabled_by_user"), "user"),
        **dict.fromkeys(("used_recently", "used_often"), "habits"),
        **dict.fromkeys(("fulfil_yes", "fulfil_maybe", "fulfil_no", "fulfil_missing"), "fulfilment"),
        **dict.fromkeys(("feedback", "popularity", "rewritten"), "feedback"),
    }
)
"""Group of each feature: the contract names a feature `group.feature`."""

NONE_OF_THEM: Final = 3.0
"""Score of "none of them" when nothing speaks for it: what a reading with a confidence of about 0.3 gets."""

NONE_PER_OUT_OF_SCOPE: Final = 4.0
"""Points that certainty of being out of scope adds to it."""


HAND_SET: Final = Provenance("antiphon/linear-ranker@1", backend="rules", engine="python")


@dataclass(frozen=True, slots=True)
class LinearRanker:
    """The ranker described above.

    Attributes:
        weights: points per feature, for all of them.
        none: score of "none of them" when nothing speaks for it.
        none_per_out_of_scope: points that certainty of being out of scope adds to it.
        provenance: whose weights these are.
    """

    weights: Mapping[str, float] = field(default_factory=lambda: WEIGHTS)
    calibration: Calibration = field(default_factory=Calibration)
    none: float = NONE_OF_THEM
    none_per_out_of_scope: float = NONE_PER_OUT_OF_SCOPE
    provenance: Provenance = HAND_SET

    def __post_init__(self) -> None:
        if unknown := set(self.weights) ^ set(FEATURES):
            raise ValueError(f"weights and features differ: {', '.join(sorted(unknown))}")
        if not all(map(math.isfinite, (*self.weights.values(), self.none, self.none_per_out_of_scope))):
            raise ValueError("weights are finite numbers")

    async def rank(self, candidates: Sequence[Candidate], out_of_scope: float) -> tuple[Candidate, ...]:
        """See `Ranker.rank`."""
        return self.ranked(candidates, out_of_scope)

    async def explain(self, ranked: Sequence[Candidate], out_of_scope: float) -> tuple[Candidate, ...]:
        """See `Ranker.explain`."""
        return tuple(ranked)

    def ranked(self, candidates: Sequence[Candidate], out_of_scope: float) -> tuple[Candidate, ...]:
        """Candidates that are not eligible are scored too, for the explanation, but take no probability."""
        weighed = [self._weighed(candidate) for candidate in candidates]
        scores = [sum(contribution.points for contribution in candidate.contributions) for candidate in weighed]
        none = self.none + self.none_per_out_of_scope * scope(out_of_scope)
        return listed(weighed, scores, none, self.calibration)

    def _weighed(self, candidate: Candidate) -> Candidate:
        weights = self.weights
        contributions = [
            Contribution(name, value, value * weights[name])
            for name, value in zip(FEATURES, safe(candidate.features), strict=True)
            if value
        ]
        contributions.sort(key=lambda contribution: abs(contribution.points), reverse=True)
        return replace(candidate, contributions=tuple(contributions))
