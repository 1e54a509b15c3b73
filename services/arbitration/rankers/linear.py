"""Scores a list of candidates against each other and against "none of them".

The last model of a decision: a linear list-wise softmax. It is small enough to be read: a score is a sum of
contributions, each a feature times its weight, and the explanation of a decision is that sum. "None of them" is in
every list, with a score of its own that grows with the probability of being out of scope, so that a lone poor
candidate is not certain to be right merely by being alone.

Another ranker (trees, a sequence model) takes this one's place behind `Ranker`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from types import MappingProxyType
from typing import Final, Protocol

from services.arbitration.hypotheses import Candidate, Contribution, Features

WEIGHTS: Final[Mapping[str, float]] = MappingProxyType(
    {
        # What was heard: a reading of the second alternative has to be much better to win.
        "asr_rank": -1.5,
        "asr_confidence": 0.5,
        # What was understood carries most: five points from 0 to 1.
        "intent_confidence": 5.0,
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
        # Centred on 0.5 by NONE_OF_THEM, which holds half of it.
        "feedback": 1.5,
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
        **dict.fromkeys(("intent_confidence", "margin", "incomplete", "weakest_slot"), "nlu"),
        **dict.fromkeys(("resolution", "catalogue_hit"), "entities"),
        **dict.fromkeys(("carried_slots", "same_skill", "answers_prompt"), "context"),
        **dict.fromkeys(("locale_exact", "enabled_by_user", "used_recently"), "user"),
        **dict.fromkeys(("fulfil_yes", "fulfil_maybe", "fulfil_no", "fulfil_missing"), "fulfilment"),
        "feedback": "feedback",
    }
)
"""Group of each feature: the contract names a feature `group.feature`."""

NONE_OF_THEM: Final = 3.0
"""Score of "none of them" when nothing speaks for it: what a reading with a confidence of about 0.3 gets."""

NONE_PER_OUT_OF_SCOPE: Final = 4.0
"""Points that certainty of being out of scope adds to it."""


@dataclass(frozen=True, slots=True)
class Calibration:
    """Makes probabilities of scores: softmax of score / temperature.

    Attributes:
        temperature: above 1 when scores are overconfident. 1 until it is fitted on labelled turns.
        shift: points added per domain (the part of the intent before the dot).
    """

    temperature: float = 1.0
    shift: Mapping[str, float] = field(default_factory=dict)


class Ranker(Protocol):
    """Anything that scores a list."""

    def rank(self, candidates: Sequence[Candidate], out_of_scope: float) -> tuple[Candidate, ...]:
        """The candidates with score, probability and contributions, best first."""


@dataclass(frozen=True, slots=True)
class LinearRanker:
    """The ranker described above."""

    weights: Mapping[str, float] = field(default_factory=lambda: WEIGHTS)
    calibration: Calibration = field(default_factory=Calibration)

    def __post_init__(self) -> None:
        if unknown := set(self.weights) ^ {feature.name for feature in fields(Features)}:
            raise ValueError(f"weights and features differ: {', '.join(sorted(unknown))}")

    def rank(self, candidates: Sequence[Candidate], out_of_scope: float) -> tuple[Candidate, ...]:
        """Candidates that are not eligible are scored too, for the explanation, but take no probability."""
        scored = [self._scored(candidate) for candidate in candidates]
        none = NONE_OF_THEM + NONE_PER_OUT_OF_SCOPE * out_of_scope
        listed = [candidate for candidate in scored if candidate.eligible]
        probabilities = self._softmax([candidate.score for candidate in listed], none)
        ranked = [replace(c, probability=p) for c, p in zip(listed, probabilities, strict=True)]
        ranked.sort(key=lambda candidate: candidate.probability, reverse=True)
        return (*ranked, *(candidate for candidate in scored if not candidate.eligible))

    def _scored(self, candidate: Candidate) -> Candidate:
        contributions = []
        for name, weight in self.weights.items():
            if value := getattr(candidate.features, name):
                contributions.append(Contribution(name, value, value * weight))
        contributions.sort(key=lambda contribution: abs(contribution.points), reverse=True)
        domain = candidate.hypothesis.intent.partition(".")[0]
        score = sum(contribution.points for contribution in contributions) + self.calibration.shift.get(domain, 0.0)
        return replace(candidate, score=score, contributions=tuple(contributions))

    def _softmax(self, scores: Sequence[float], none: float) -> list[float]:
        top = max([none, *scores])
        raised = [math.exp((score - top) / self.calibration.temperature) for score in scores]
        total = sum(raised) + math.exp((none - top) / self.calibration.temperature)
        return [value / total for value in raised]
