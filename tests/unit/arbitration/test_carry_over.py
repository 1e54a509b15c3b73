"""Which values of earlier turns a candidate keeps."""

from __future__ import annotations

from dataclasses import replace

import pytest

from antiphon.types.v1 import understanding_pb2
from services.arbitration.adapters.values import from_interpretation, to_interpretation
from services.arbitration.contexts import (
    ConversationState,
    PastTurn,
    PendingPrompt,
    Profile,
    PromptKind,
    TurnContext,
)
from services.arbitration.feedback import FeedbackBook
from services.arbitration.hypotheses import Candidate, Hypothesis, Interpretation, Slot, Understanding
from services.arbitration.manifests import IntentSpec, Manifest, SlotSpec
from services.arbitration.registry_of_skills import EVERYONE, SkillRegistry
from services.arbitration.stages.resolve import resolve
from services.arbitration.stages.shortlist import shortlist

pytestmark = pytest.mark.unit

ROME = Slot("place", "rome", b"Rome", 0.9, carried=True, source_turn="t1")
DAY = Slot("day", "tomorrow", b"2026-01-02", 0.9)


def registry(*, carry_over: bool = True, required: bool = False, permissions: tuple[str, ...] = ()) -> SkillRegistry:
    """weather (built in) and storms (a third party's) take a place and a day."""
    slots = (SlotSpec("place", "PLACE", required, carry_over=carry_over), SlotSpec("day", "DATE"))
    skills = SkillRegistry()
    for skill_id in ("weather", "storms"):
        intents = tuple(IntentSpec(f"{skill_id}.{name}", slots) for name in ("forecast", "warning"))
        manifest = Manifest(skill_id, "1.0.0", ("en",), intents, permissions=permissions)
        skills.register(manifest, built_in=skill_id == "weather")
        skills.enable(EVERYONE, skill_id)
    return skills


def past(skill_id: str, turn_id: str = "t1", intent: str = "forecast") -> PastTurn:
    return PastTurn(turn_id, "", "", Hypothesis(skill_id, Interpretation(f"{skill_id}.{intent}", 0.9)), 0.0)


def context(*turns: PastTurn, pending: PendingPrompt | None = None) -> TurnContext:
    profile = Profile("acme", "en", third_party_skills=True)
    return TurnContext("s", "now", profile, 0.0, state=ConversationState(turns, pending))


def resolved(
    around: TurnContext, *readings: Interpretation, skills: SkillRegistry | None = None
) -> tuple[Candidate, ...]:
    known = skills or registry()
    listed = shortlist(Understanding(readings), (), around, known, FeedbackBook())
    return resolve(listed, around, known)


def reading(skill_id: str = "weather", intent: str = "forecast", *slots: Slot) -> Interpretation:
    return Interpretation(f"{skill_id}.{intent}", 0.9, slots or (DAY, ROME), skill_id=skill_id)


def kept(candidates: tuple[Candidate, ...]) -> set[str]:
    return {slot.name for slot in candidates[0].hypothesis.slots}


def test_a_follow_up_keeps_what_the_turn_before_was_about() -> None:
    found = resolved(context(past("weather")), reading())
    assert kept(found) == {"day", "place"}
    assert found[0].features.carried_slots == 0.5


def test_what_the_skill_does_not_want_carried_is_dropped_unless_it_asked() -> None:
    around = context(past("weather"))
    assert kept(resolved(around, reading(), skills=registry(carry_over=False))) == {"day"}
    asked = PendingPrompt("p", PromptKind.ELICIT_SLOT, (Hypothesis("weather", reading()),))
    asking = context(past("weather"), pending=asked)
    assert kept(resolved(asking, reading(), skills=registry(carry_over=False))) == {"day", "place"}


def test_the_further_back_the_less_it_is_meant() -> None:
    other = past("weather", "t2", "warning")
    assert kept(resolved(context(past("weather")), reading())) == {"day", "place"}
    assert kept(resolved(context(other, past("weather")), reading("weather", "warning"))) == {"day", "place"}
    far = context(past("storms", "t5"), past("storms", "t4"), past("storms", "t3"), other, past("weather"))
    assert kept(resolved(far, reading())) == {"day"}


def test_a_value_that_is_dropped_is_missing_where_it_is_needed() -> None:
    skills = registry(required=True, carry_over=False)
    (found,) = resolved(context(past("weather")), reading(), skills=skills)
    assert (found.missing_slots, found.features.incomplete) == (("place",), 1.0)
    assert found.features.carried_slots == 0.0


def test_a_third_party_hears_of_no_values_that_others_were_told() -> None:
    around = context(past("weather"))
    assert kept(resolved(around, reading("storms"))) == {"day"}
    trusted = registry(permissions=("CONVERSATION",))
    assert kept(resolved(context(past("storms")), reading("storms"))) == {"day", "place"}
    sure = reading("storms", "forecast", DAY, replace(ROME, confidence=0.98))
    assert kept(resolved(around, sure, skills=trusted)) == {"day", "place"}


def test_readings_that_come_to_the_same_without_a_carried_value_are_one() -> None:
    bare = reading("storms", "forecast", DAY)
    assert len(resolved(context(past("weather")), reading("storms"), replace(bare, confidence=0.5))) == 1


def test_a_dropped_value_does_not_reach_the_skill() -> None:
    carried = understanding_pb2.SLOT_ORIGIN_CARRIED_OVER
    message = understanding_pb2.Interpretation(intent="storms.forecast", skill_id="storms", text="and tomorrow")
    message.slots.add(name="day", text="tomorrow", confidence=0.9)
    message.slots.add(name="place", text="rome", confidence=0.9, origin=carried, source_turn_id="t1")
    read = from_interpretation(message)
    assert read.slots[1].source_turn == "t1"
    (found,) = resolved(context(past("weather")), read)
    sent = to_interpretation(found.hypothesis.interpretation)
    assert [slot.name for slot in sent.slots] == ["day"]
    assert sent.text == "and tomorrow"
    assert [slot.name for slot in to_interpretation(read).slots] == ["day", "place"]
