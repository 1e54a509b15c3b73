"""Which values of earlier turns a candidate may keep: a yes or no for each.

Understanding takes values over where the words are short of them ("and tomorrow?"). Whether that suits the skill which
would get them is decided here, candidate by candidate. The answer to a question keeps what belongs to it; otherwise the
odds are weighed, and a value never goes to somebody else's skill which could not have heard it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Final

from services.arbitration.contexts import FOCUS_TURNS, TurnContext
from services.arbitration.hypotheses import Candidate, Slot
from services.arbitration.manifests import IntentSpec, SlotSpec
from services.arbitration.registry_of_skills import RegisteredSkill

CONVERSATION: Final = "CONVERSATION"
"""The permission to know other skills' turns, by the contract's name."""

PRIOR: Final = -1.0
SAME_INTENT: Final = 2.0
SAME_SKILL: Final = 1.0
NEEDED: Final = 1.5
PER_TURN: Final = -0.75
"""Points (log-odds) for keeping a value: that the intent, or the skill, is the one that had it; that the intent cannot
do without it; for each turn in between. Set by hand after the evidence that Naik et al. (2018, arXiv 1806.01773) found
to count, distance first; they are priors."""


@dataclass(frozen=True, slots=True)
class Carried:
    """A candidate with what it keeps; `dropped` names the slots that it does not."""

    candidate: Candidate
    dropped: tuple[str, ...] = ()


def carry_over(candidate: Candidate, skill: RegisteredSkill, context: TurnContext) -> Carried:
    """The candidate without the carried slots that it may not keep."""
    hypothesis = candidate.hypothesis
    intent = skill.manifest.intent(hypothesis.intent)
    if intent is None or not any(slot.carried for slot in hypothesis.slots):
        return Carried(candidate)
    kept = tuple(
        slot for slot in hypothesis.slots if not slot.carried or _keeps(slot, candidate, intent, skill, context)
    )
    dropped = tuple(slot.name for slot in hypothesis.slots if slot not in kept)
    if not dropped:
        return Carried(candidate)
    reading = replace(hypothesis.interpretation, slots=kept)
    said = {slot.name for slot in kept}
    missing = tuple(spec.name for spec in intent.slots if spec.required and spec.name not in said)
    return Carried(
        replace(candidate, hypothesis=replace(hypothesis, interpretation=reading), missing_slots=missing), dropped
    )


def _keeps(slot: Slot, candidate: Candidate, intent: IntentSpec, skill: RegisteredSkill, context: TurnContext) -> bool:
    spec = next((spec for spec in intent.slots if spec.name == slot.name), None)
    source, age = _source(slot, context)
    if spec is None or (source != skill.manifest.id and not _may_know(skill)):
        return False
    if candidate.features.answers_prompt:
        return True
    return spec.carry_over and keep_odds(slot, spec, candidate, context, source, age) > 0.0


def keep_odds(slot: Slot, spec: SlotSpec, candidate: Candidate, context: TurnContext, source: str, age: int) -> float:
    """Log-odds that the value of an earlier turn is meant again.

    Args:
        source: skill that had the value.
        age: turns since it was said, 0 for the newest.
    """
    newest = context.state.past[0].served if context.state.past else None
    odds = PRIOR + PER_TURN * age + math.log(_clear(slot.confidence) / (1.0 - _clear(slot.confidence)))
    odds += SAME_INTENT if newest is not None and newest.intent == candidate.hypothesis.intent else 0.0
    odds += SAME_SKILL if source == candidate.hypothesis.skill_id else 0.0
    return odds + (NEEDED if spec.required else 0.0)


def _source(slot: Slot, context: TurnContext) -> tuple[str, int]:
    """Skill that had the value, and how many turns ago; the newest turn's where the value does not say."""
    for age, turn in enumerate(context.state.past):
        if turn.served is not None and slot.source_turn in ("", turn.turn_id):
            return turn.served.skill_id, age
    pending = context.state.pending
    return (pending.about[0].skill_id, 0) if pending is not None and pending.about else ("", FOCUS_TURNS)


def _may_know(skill: RegisteredSkill) -> bool:
    return skill.built_in or CONVERSATION in skill.manifest.permissions


def _clear(probability: float) -> float:
    return min(0.99, max(0.01, probability))
