"""Which skills are worth asking: readings of the words, joined with the skills that could serve them.

First stage of a decision, run for every stable partial and for the final. It aims at recall: what it drops cannot win,
what it keeps costs a CanFulfill. Candidates that are out for a plain reason are kept with it, for `Explain`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Final

from services.arbitration.contexts import TurnContext
from services.arbitration.feedback import FeedbackBook
from services.arbitration.hypotheses import (
    DIALOGUE_SKILL,
    Alternative,
    Candidate,
    Features,
    Hypothesis,
    Interpretation,
    Rejection,
    Understanding,
)
from services.arbitration.manifests import IntentSpec
from services.arbitration.registry_of_skills import RegisteredSkill, SkillRegistry, speaks

MAX_CANDIDATES: Final = 10
"""Longest list that is asked and ranked."""

STOP: Final = f"{DIALOGUE_SKILL}.stop"

EXPLAINED_REJECTIONS: Final = 20
"""Longest list of candidates that are out, kept for the explanation only."""


def shortlist(
    understanding: Understanding,
    alternatives: Sequence[Alternative],
    context: TurnContext,
    registry: SkillRegistry,
    feedback: FeedbackBook,
    *,
    k: int = MAX_CANDIDATES,
    rewrite_at: int | None = None,
) -> tuple[Candidate, ...]:
    """The `k` best candidates with their features, best first, then those that are out with the reason.

    Args:
        alternatives: what was heard; readings point into it.
        k: how many stay eligible, at most 10.
        rewrite_at: index of the alternative that is a learned rewrite of the best one; None without.
    """
    k = min(k, MAX_CANDIDATES)
    understanding = _heard_by_what_rings(understanding, context)
    found = [
        _candidate(hypothesis, skill, context, registry)
        for hypothesis, skill in _hypotheses(understanding.interpretations, context, registry)
    ]
    found.sort(key=lambda candidate: candidate.shortlist_score, reverse=True)
    eligible = [candidate for candidate in found if candidate.eligible]
    out = [candidate for candidate in found if not candidate.eligible]
    beyond = [replace(candidate, rejected=Rejection.NOT_SHORTLISTED) for candidate in eligible[k:]]
    kept = (*eligible[:k], *(beyond + out)[:EXPLAINED_REJECTIONS])
    # Features are worked out for those alone that somebody will look at.
    evidence = _Evidence(understanding, alternatives, context, registry, feedback, rewrite_at)
    return tuple(replace(candidate, features=evidence.features(candidate)) for candidate in kept)


def _heard_by_what_rings(understanding: Understanding, context: TurnContext) -> Understanding:
    """While an alarm rings, "stop" means the alarm: its skill's reading takes over what the conversation's own has."""
    own = [reading for reading in understanding.interpretations if reading.intent == STOP]
    ringing = [reading for reading in understanding.interpretations if reading.skill_id in context.ringing]
    if not own or not ringing:
        return understanding
    meant = max(ringing, key=lambda reading: reading.confidence)
    surer = replace(meant, confidence=min(1.0, meant.confidence + max(reading.confidence for reading in own)))
    others = tuple(r for r in understanding.interpretations if r is not meant and r.intent != STOP)
    return replace(understanding, interpretations=(surer, *others))


def _hypotheses(
    interpretations: Iterable[Interpretation], context: TurnContext, registry: SkillRegistry
) -> Iterator[tuple[Hypothesis, RegisteredSkill]]:
    """Each reading with each skill that has its intent; of readings that do the same, the likeliest."""
    seen: set[object] = set()
    for interpretation in sorted(interpretations, key=lambda reading: reading.confidence, reverse=True):
        ids = (interpretation.skill_id,) if interpretation.skill_id else registry.serving(interpretation.intent)
        for skill_id in ids:
            skill = _version(skill_id, context, registry)
            hypothesis = Hypothesis(skill_id, interpretation, skill.manifest.version if skill else "")
            if skill and skill.manifest.intent(interpretation.intent) and hypothesis.effect not in seen:
                seen.add(hypothesis.effect)
                yield hypothesis, skill


def _version(skill_id: str, context: TurnContext, registry: SkillRegistry) -> RegisteredSkill | None:
    """The version that the user is in a dialogue with, else the one that serves them."""
    begun = context.version_in_dialogue(skill_id)
    found = registry.find(skill_id, begun) if begun else None
    return found or registry.find_for(context.profile.tenant, skill_id, context.profile.user_id)


def _candidate(
    hypothesis: Hypothesis, skill: RegisteredSkill, context: TurnContext, registry: SkillRegistry
) -> Candidate:
    intent = skill.manifest.intent(hypothesis.intent)
    assert intent is not None  # _hypotheses yields no other
    said = {slot.name for slot in hypothesis.slots}
    return Candidate(
        hypothesis,
        risk=intent.risk,
        side_effects=intent.side_effects,
        missing_slots=tuple(slot.name for slot in intent.slots if slot.required and slot.name not in said),
        shortlist_score=_score(hypothesis, context, registry),
        rejected=_rejection(skill, intent, context, registry),
    )


def _score(hypothesis: Hypothesis, context: TurnContext, registry: SkillRegistry) -> float:
    """Cheap order for the cut to `k`: confidence, with what an open question and the tenant's choice speak for."""
    score = hypothesis.interpretation.confidence
    if _answers_prompt(hypothesis, context):
        score += 0.3
    if registry.chosen_by(context.profile.tenant, hypothesis.skill_id, context.profile.user_id):
        score += 0.1
    return score


def _rejection(skill: RegisteredSkill, intent: IntentSpec, context: TurnContext, registry: SkillRegistry) -> Rejection:
    profile, skill_id = context.profile, skill.manifest.id
    if not registry.is_enabled(profile.tenant, skill_id, profile.user_id) or (
        profile.only_skills and skill_id not in profile.only_skills
    ):
        return Rejection.NOT_ENABLED
    if not speaks(skill.manifest, profile.locale).served:
        return Rejection.LOCALE
    if intent.needs_screen and not profile.has_screen:
        return Rejection.DEVICE
    if not skill.built_in and not profile.third_party_skills:
        return Rejection.CONSENT
    return Rejection.NONE


class _Evidence:
    """Everything that features are made of, for one list."""

    def __init__(
        self,
        understanding: Understanding,
        alternatives: Sequence[Alternative],
        context: TurnContext,
        registry: SkillRegistry,
        feedback: FeedbackBook,
        rewrite_at: int | None,
    ) -> None:
        self._rewrite_at = rewrite_at
        self._alternatives = alternatives
        self._context = context
        self._registry = registry
        self._feedback = feedback
        best: dict[str, float] = {}
        for reading in understanding.interpretations:
            best[reading.intent] = max(reading.confidence, best.get(reading.intent, 0.0))
        self._best_intents = sorted(best.items(), key=lambda item: item[1], reverse=True)[:2]
        self._best = self._best_intents[0][1] if self._best_intents else 0.0

    def features(self, candidate: Candidate) -> Features:
        """What the ranker will see of a candidate."""
        hypothesis = candidate.hypothesis
        reading, slots, skill_id = hypothesis.interpretation, hypothesis.slots, hypothesis.skill_id
        context, profile, registry = self._context, self._context.profile, self._registry
        recent = self._feedback.used_recently(profile.tenant, profile.user_id, skill_id, context.now)
        rewritten = reading.alternative == self._rewrite_at
        return Features(
            asr_rank=0.0 if rewritten else 1.0 - 1.0 / (1.0 + reading.alternative),
            asr_confidence=self._heard(reading).confidence,
            intent_confidence=reading.confidence,
            relative_confidence=reading.confidence / self._best if self._best > 0 else 0.0,
            margin=max(0.0, reading.confidence - self._rival(reading)),
            incomplete=1.0 if candidate.missing_slots else 0.0,
            weakest_slot=min((slot.confidence for slot in slots), default=1.0),
            resolution=reading.resolution,
            catalogue_hit=1.0 if any(slot.catalogue_hit for slot in slots) else 0.0,
            carried_slots=sum(slot.carried for slot in slots) / len(slots) if slots else 0.0,
            same_skill=1.0 if skill_id == context.last_skill else 0.0,
            answers_prompt=1.0 if _answers_prompt(hypothesis, context) else 0.0,
            locale_exact=1.0 if self._exact(hypothesis) else 0.0,
            enabled_by_user=1.0 if registry.chosen_by(profile.tenant, skill_id, profile.user_id) else 0.0,
            used_recently=1.0 if recent else 0.0,
            used_often=self._feedback.used_often(profile.tenant, profile.user_id, skill_id, context.now),
            feedback=self._feedback.success(profile.tenant, skill_id, hypothesis.intent),
            popularity=self._feedback.popularity(profile.tenant, skill_id, hypothesis.intent),
            rewritten=1.0 if rewritten else 0.0,
        )

    def _exact(self, hypothesis: Hypothesis) -> bool:
        skill = self._registry.find(hypothesis.skill_id, hypothesis.version)
        return skill is not None and speaks(skill.manifest, self._context.profile.locale).exact

    def _heard(self, reading: Interpretation) -> Alternative:
        known = reading.alternative < len(self._alternatives)
        return self._alternatives[reading.alternative] if known else Alternative("")

    def _rival(self, reading: Interpretation) -> float:
        """Confidence of the best reading with another intent."""
        return next((confidence for intent, confidence in self._best_intents if intent != reading.intent), 0.0)


def _answers_prompt(hypothesis: Hypothesis, context: TurnContext) -> bool:
    pending = context.state.pending
    return pending is not None and any(
        (asked.skill_id, asked.intent) == (hypothesis.skill_id, hypothesis.intent) for asked in pending.about
    )
