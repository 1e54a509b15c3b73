"""How well a candidate's values suit the skill that would get them.

Understanding finds values and looks them up in catalogues; here they are held against the definitions of the very
skill, and become features: readings that any skill may serve fit some better than others.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Final

from services.arbitration.contexts import TurnContext
from services.arbitration.hypotheses import Candidate, Slot
from services.arbitration.manifests import IntentSpec, SlotSpec
from services.arbitration.registry_of_skills import SkillRegistry
from services.arbitration.stages.carry_over import carry_over

_ANY_WORDS: Final = frozenset({"", "text", "unspecified"})

UNKNOWN_ENTITY: Final = 0.5
"""Resolution of a value that the catalogue of the slot does not hold: catalogues are never complete."""


def resolve(candidates: Iterable[Candidate], context: TurnContext, registry: SkillRegistry) -> tuple[Candidate, ...]:
    """The candidates in their order, each with the values that it keeps and the features of these.

    Two that come to the same when carried values fall away are one: the first.
    """
    seen: set[object] = set()
    kept = []
    for candidate in candidates:
        resolved = _resolved(candidate, context, registry)
        effect = resolved.hypothesis.effect
        if effect not in seen:
            seen.add(effect)
            kept.append(resolved)
    return tuple(kept)


def _resolved(candidate: Candidate, context: TurnContext, registry: SkillRegistry) -> Candidate:
    skill = registry.find(candidate.hypothesis.skill_id, candidate.hypothesis.version)
    intent = skill.manifest.intent(candidate.hypothesis.intent) if skill else None
    if skill is None or intent is None or not candidate.hypothesis.slots:
        return candidate
    candidate = carry_over(candidate, skill, context).candidate
    slots = candidate.hypothesis.slots
    features = replace(
        candidate.features,
        incomplete=1.0 if candidate.missing_slots else 0.0,
        weakest_slot=min((slot.confidence for slot in slots), default=1.0),
        resolution=candidate.hypothesis.interpretation.resolution * resolution(slots, intent),
        catalogue_hit=1.0 if any(slot.catalogue_hit for slot in slots) else 0.0,
        carried_slots=sum(slot.carried for slot in slots) / len(slots) if slots else 0.0,
    )
    return replace(candidate, features=features)


def resolution(slots: Iterable[Slot], intent: IntentSpec) -> float:
    """Mean over the slots, in [0, 1], of how well each suits its definition; 1 without slots."""
    specs = {spec.name: spec for spec in intent.slots}
    suits = [_suits(slot, specs.get(slot.name)) for slot in slots]
    return sum(suits) / len(suits) if suits else 1.0


def _suits(slot: Slot, spec: SlotSpec | None) -> float:
    if spec is None:
        return 0.0
    if spec.type.lower() in _ANY_WORDS or (spec.catalogue and slot.catalogue_hit):
        return 1.0
    if spec.catalogue:
        return UNKNOWN_ENTITY
    return 1.0 if slot.typed else 0.0
