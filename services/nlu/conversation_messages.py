"""From the context of a turn, as a request brings it, to the conversation that `following.py` reads by.

The servicer calls `conversation` once per request. Earlier turns come back from the caller, so they may hold anything:
what is no value is left out, and sizes are bounded.
"""

from __future__ import annotations

from collections.abc import Iterable

from antiphon.types.v1 import answer_pb2, context_pb2, understanding_pb2, value_pb2
from services.nlu.following import Conversation, Past, Question
from services.nlu.understanding import Slot, SlotOrigin
from services.nlu.value_messages import from_message

MAX_TURNS = 10
MAX_SLOTS = 50
MAX_CHOICES = 20
_LONGEST_TEXT = 1_000


def conversation(context: context_pb2.TurnContext) -> Conversation:
    """What was said before this turn; empty where the context tells nothing."""
    past = tuple(_past(turn.turn_id, turn.interpretation) for turn in context.past_turns[:MAX_TURNS])
    newest = past[0].turn_id if past else ""
    question = _question(context.pending_prompt, newest) if context.HasField("pending_prompt") else None
    return Conversation(question, past, _slots(context.focus, newest))


def _question(prompt: answer_pb2.Prompt, turn_id: str) -> Question | None:
    if prompt.kind != answer_pb2.PROMPT_KIND_ELICIT_SLOT or not prompt.slot:
        return None
    known = value_pb2.ValueType.DESCRIPTOR.values_by_number.get(prompt.value_type)
    kind = known.name.removeprefix("VALUE_TYPE_") if known and prompt.value_type else ""
    choices = tuple(
        (choice.text[:_LONGEST_TEXT], from_message(choice.value) if choice.HasField("value") else None)
        for choice in prompt.choices[:MAX_CHOICES]
    )
    return Question(prompt.slot, kind, _past(turn_id, prompt.interpretation), choices)


def _past(turn_id: str, reading: understanding_pb2.Interpretation) -> Past:
    return Past(turn_id, reading.intent, _slots(reading.slots, turn_id))


def _slots(slots: Iterable[understanding_pb2.Slot], turn_id: str) -> tuple[Slot, ...]:
    made = (_slot(slot, turn_id) for slot, _ in zip(slots, range(MAX_SLOTS), strict=False))
    return tuple(slot for slot in made if slot is not None)


def _slot(slot: understanding_pb2.Slot, turn_id: str) -> Slot | None:
    value = from_message(slot.value)
    if value is None or not slot.name:
        return None
    return Slot(
        name=slot.name,
        value=value,
        text=slot.text[:_LONGEST_TEXT],
        start=0,
        end=0,
        confidence=min(1.0, max(0.0, slot.confidence)) if slot.confidence == slot.confidence else 0.0,
        catalogue_hit=slot.catalogue_hit,
        origin=SlotOrigin.CARRIED_OVER,
        source_turn=slot.source_turn_id or turn_id,
    )
