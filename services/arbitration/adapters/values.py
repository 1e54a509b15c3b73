"""Small conversions between the contract's values and the domain's; shared by the adapters and the servicers."""

from __future__ import annotations

from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

from antiphon.types.v1 import answer_pb2, context_pb2, provenance_pb2, understanding_pb2
from services.arbitration.contexts import PastTurn, PromptKind, TurnContext, TurnType
from services.arbitration.hypotheses import Hypothesis, Interpretation, Provenance, Slot

_TURN_TYPES = {
    TurnType.INITIAL: context_pb2.TURN_TYPE_INITIAL,
    TurnType.FOLLOWUP: context_pb2.TURN_TYPE_FOLLOWUP,
    TurnType.BARGE_IN: context_pb2.TURN_TYPE_BARGE_IN,
}
_PROMPT_KINDS = {
    answer_pb2.PROMPT_KIND_ELICIT_SLOT: PromptKind.ELICIT_SLOT,
    answer_pb2.PROMPT_KIND_CONFIRM: PromptKind.CONFIRM,
    answer_pb2.PROMPT_KIND_CLARIFY: PromptKind.CLARIFY,
}


def seconds(duration: Duration) -> float:
    """Seconds of a protobuf Duration."""
    return duration.seconds + duration.nanos * 1e-9


def set_seconds(duration: Duration, value: float) -> None:
    """Sets a protobuf Duration, to the nanosecond."""
    duration.FromNanoseconds(round(value * 1e9))


def timestamp(value: float) -> Timestamp:
    """A protobuf Timestamp of seconds since 1970."""
    stamp = Timestamp()
    stamp.FromNanoseconds(round(value * 1e9))
    return stamp


def audio_offset(event: Message, field: str, base: float) -> float | None:
    """An offset field in seconds of the conversation's audio; None when unset."""
    return base + seconds(getattr(event, field)) if event.HasField(field) else None


def without_prefix(name: str, prefix: str) -> str:
    """An enum value's name without its prefix; empty for UNSPECIFIED."""
    short = name.removeprefix(prefix)
    return "" if short == "UNSPECIFIED" else short


def from_provenance(message: provenance_pb2.ModelProvenance) -> Provenance:
    """Which model did a step."""
    return Provenance(
        model=message.model,
        backend=message.backend,
        engine=message.engine,
        digest=message.digest,
        pool=message.pool,
        locale=message.locale,
        arm=message.arm,
        mode=without_prefix(provenance_pb2.ModelMode.Name(message.mode), "MODEL_MODE_"),
    )


def to_provenance(value: Provenance) -> provenance_pb2.ModelProvenance:
    """The reverse of `from_provenance`."""
    return provenance_pb2.ModelProvenance(
        model=value.model,
        backend=value.backend,
        engine=value.engine,
        digest=value.digest,
        pool=value.pool,
        locale=value.locale,
        arm=value.arm,
        mode=provenance_pb2.ModelMode.Value(f"MODEL_MODE_{value.mode or 'UNSPECIFIED'}"),
    )


def from_interpretation(message: understanding_pb2.Interpretation) -> Interpretation:
    """A reading of the words."""
    return Interpretation(
        intent=message.intent,
        confidence=probability(message.intent_confidence or message.score),
        slots=tuple(_from_slot(slot) for slot in message.slots),
        alternative=message.hypothesis_index,
        skill_id=message.skill_id,
        text=message.text,
        wire=message.SerializeToString(),
    )


def probability(value: float) -> float:
    """The nearest number in [0, 1]; 0 for what is none, so that a broken model's reading never comes first."""
    return min(1.0, max(0.0, value))  # max(0.0, NaN) is 0.0


def to_interpretation(value: Interpretation) -> understanding_pb2.Interpretation:
    """The reverse; what the contract knows beyond the domain comes from `wire`, without slots that were dropped."""
    message = understanding_pb2.Interpretation.FromString(value.wire)
    message.intent = value.intent
    message.intent_confidence = value.confidence
    message.hypothesis_index = value.alternative
    message.text = value.text
    if not value.wire:
        message.slots.extend(map(_to_slot, value.slots))
    elif len(message.slots) > len(value.slots):
        _drop(message, {slot.name for slot in value.slots if slot.carried})
    return message


def _drop(message: understanding_pb2.Interpretation, carried: set[str]) -> None:
    """Takes out slots that were carried over and are no more."""
    said = [
        slot
        for slot in message.slots
        if slot.origin != understanding_pb2.SLOT_ORIGIN_CARRIED_OVER or slot.name in carried
    ]
    del message.slots[:]
    message.slots.extend(said)


def _from_slot(message: understanding_pb2.Slot) -> Slot:
    return Slot(
        name=message.name,
        text=message.text,
        typed=message.value.SerializeToString(deterministic=True),
        confidence=probability(message.confidence),
        catalogue_hit=message.catalogue_hit,
        carried=message.origin == understanding_pb2.SLOT_ORIGIN_CARRIED_OVER,
        source_turn=message.source_turn_id,
    )


def _to_slot(value: Slot) -> understanding_pb2.Slot:
    message = understanding_pb2.Slot(
        name=value.name, text=value.text, confidence=value.confidence, catalogue_hit=value.catalogue_hit
    )
    if value.typed:
        message.value.ParseFromString(value.typed)
    if value.carried:
        message.origin = understanding_pb2.SLOT_ORIGIN_CARRIED_OVER
        message.source_turn_id = value.source_turn
    return message


def prompt_kind(prompt: answer_pb2.Prompt) -> PromptKind:
    """What kind of answer a question wants."""
    return _PROMPT_KINDS.get(prompt.kind, PromptKind.OPEN)


def to_turn_context(context: TurnContext) -> context_pb2.TurnContext:
    """What a capability or a skill may know of the turn."""
    message = context_pb2.TurnContext(
        session_id=context.session_id,
        turn_id=context.turn_id,
        turn_type=_TURN_TYPES[context.turn_type],
        session=context_pb2.SessionContext.FromString(context.profile.wire),
        now=timestamp(context.now),
    )
    for turn in context.state.past:
        message.past_turns.append(_past_turn(turn))
    message.focus.extend(understanding_pb2.Slot.FromString(slot) for slot in context.focus)
    if context.state.pending is not None and context.state.pending.wire:
        message.pending_prompt.ParseFromString(context.state.pending.wire)
    return message


def _past_turn(turn: PastTurn) -> context_pb2.PastTurn:
    message = context_pb2.PastTurn(
        turn_id=turn.turn_id, text=turn.text, answer=turn.answer, completed_time=timestamp(turn.ended_at)
    )
    if turn.served is not None:
        message.skill_id = turn.served.skill_id
        message.interpretation.CopyFrom(skill_interpretation(turn.served))
    return message


def skill_interpretation(hypothesis: Hypothesis) -> understanding_pb2.Interpretation:
    """A hypothesis' reading, addressed to its skill."""
    message = to_interpretation(hypothesis.interpretation)
    message.skill_id = hypothesis.skill_id
    return message
