"""`DialogueService`: requests to `manager.Asked`, answers to the contract's stream, nothing else."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from datetime import UTC
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from antiphon.dialogue.v1 import dialogue_pb2
from antiphon.types.v1 import answer_pb2, context_pb2, provenance_pb2, understanding_pb2, value_pb2
from services.dialogue.asked import Answer, Asked, Purpose, Question, Skill
from services.dialogue.manager import DialogueManager
from services.dialogue.state import Belief, DialogueState, Slot
from services.runtime.calls import Call
from services.runtime.errors import FailedPrecondition, InvalidInput

MODEL = "antiphon/dialogue-rules@1.1.0"

MAX_TEXT = 4_000
MAX_SLOTS = 32
MAX_PHRASES = 20
MAX_LANGUAGES = 10
MAX_SKILLS = 20

_PURPOSES = {
    dialogue_pb2.RESPONSE_PURPOSE_UNSPECIFIED: Purpose.OPEN,
    dialogue_pb2.RESPONSE_PURPOSE_OPEN: Purpose.OPEN,
    dialogue_pb2.RESPONSE_PURPOSE_CONFIRM: Purpose.CONFIRM,
    dialogue_pb2.RESPONSE_PURPOSE_CLARIFY: Purpose.CLARIFY,
    dialogue_pb2.RESPONSE_PURPOSE_ELICIT_SLOT: Purpose.ELICIT_SLOT,
    dialogue_pb2.RESPONSE_PURPOSE_FALLBACK: Purpose.FALLBACK,
    dialogue_pb2.RESPONSE_PURPOSE_APOLOGIZE: Purpose.APOLOGIZE,
    dialogue_pb2.RESPONSE_PURPOSE_TRACK: Purpose.TRACK,
    dialogue_pb2.RESPONSE_PURPOSE_PROGRESS: Purpose.PROGRESS,
}
_PROMPT_KINDS = {
    Purpose.CONFIRM: answer_pb2.PROMPT_KIND_CONFIRM,
    Purpose.CLARIFY: answer_pb2.PROMPT_KIND_CLARIFY,
    Purpose.ELICIT_SLOT: answer_pb2.PROMPT_KIND_ELICIT_SLOT,
}


class DialogueServicer:
    """`antiphon.dialogue.v1.DialogueService`."""

    def __init__(self, manager: DialogueManager, pool: str) -> None:
        self._manager = manager
        self._pool = pool

    async def Respond(
        self, request: dialogue_pb2.RespondRequest, call: Call
    ) -> AsyncIterator[dialogue_pb2.RespondResponse]:
        started = time.monotonic()
        answer = await self._manager.respond(call.principal.tenant, asked(request))
        for event in _events(answer, request):
            yield event
        done = dialogue_pb2.RespondDone(
            models=[self._provenance(answer)],
            state_version=answer.state.version,
            replayed=answer.replayed,
            expects_follow_up=bool(answer.prompt),
        )
        done.elapsed.FromNanoseconds(round((time.monotonic() - started) * 1e9))
        yield dialogue_pb2.RespondResponse(done=done)

    async def GetDialogueState(
        self, request: dialogue_pb2.GetDialogueStateRequest, call: Call
    ) -> dialogue_pb2.GetDialogueStateResponse:
        state = await self._manager.state(call.principal.tenant, request.session_id)
        return dialogue_pb2.GetDialogueStateResponse(state=_state(state))

    def _provenance(self, answer: Answer) -> provenance_pb2.ModelProvenance:
        return provenance_pb2.ModelProvenance(
            model=MODEL,
            backend="rules",
            pool=self._pool,
            locale=answer.locale,
            mode=provenance_pb2.MODEL_MODE_RULES,
        )


def asked(request: dialogue_pb2.RespondRequest) -> Asked:
    """The request in the manager's words. Raises InvalidInput."""
    if len(request.text) > MAX_TEXT:
        raise InvalidInput(f"at most {MAX_TEXT} code points", reason="TEXT_TOO_LONG", field="text")
    if request.knowledge.collections or request.knowledge.grounded_only:
        raise FailedPrecondition(
            "no knowledge is served here: ask without collections and without grounded_only",
            reason="KNOWLEDGE_NOT_SERVED",
            field="knowledge",
        )
    if request.purpose not in _PURPOSES:
        raise InvalidInput("a purpose of the contract", reason="PURPOSE_UNKNOWN", field="purpose")
    best = request.interpretations[0] if request.interpretations else understanding_pb2.Interpretation()
    acts = sorted(request.user_acts, key=lambda act: act.confidence, reverse=True)
    return Asked(
        session_id=request.context.session_id,
        turn_id=request.context.turn_id,
        key=request.idempotency_key,
        locale=request.language_code,
        purpose=_PURPOSES[request.purpose],
        text=request.text,
        reason=request.reason,
        intent=best.intent,
        skill_id=best.skill_id if request.purpose == dialogue_pb2.RESPONSE_PURPOSE_TRACK else "",
        acts=tuple(answer_pb2.DialogueActType.Name(act.type).removeprefix("DIALOGUE_ACT_TYPE_") for act in acts),
        slots=tuple(_slot(best.skill_id, slot, request.context.turn_id) for slot in best.slots[:MAX_SLOTS]),
        skills=tuple(Skill(skill.skill_id, skill.name, tuple(skill.examples)) for skill in request.skills[:MAX_SKILLS]),
        slot=request.slot,
        question=request.question,
        skill_answer=request.skill_answer,
        focus=tuple(_slot(best.skill_id, slot, request.context.turn_id) for slot in request.focus[:MAX_SLOTS]),
        phrases=tuple(request.intent_phrases[:MAX_PHRASES]),
        languages=tuple(request.context.session.language_codes[:MAX_LANGUAGES]),
        reading=best.SerializeToString() if request.interpretations else b"",
        hour=_hour(request.context),
        max_length=request.max_answer_code_points,
    )


def encode_prompt(question: Question, turn: Asked) -> bytes:
    """A question as it is stored and sent."""
    prompt = answer_pb2.Prompt(
        prompt_id=question.prompt_id,
        kind=_PROMPT_KINDS[question.kind],
        slot=question.slot,
        text=answer_pb2.TextChunk(text=question.text, language_code=turn.locale),
        choices=[answer_pb2.PromptChoice(choice_id=choice.choice_id, text=choice.text) for choice in question.choices],
    )
    if turn.reading:
        prompt.interpretation.ParseFromString(turn.reading)
    return prompt.SerializeToString()


def _events(answer: Answer, request: dialogue_pb2.RespondRequest) -> list[dialogue_pb2.RespondResponse]:
    words, events = answer.words, []
    if words.acts:
        types = [answer_pb2.DialogueActType.Value(f"DIALOGUE_ACT_TYPE_{act}") for act in words.acts]
        acts = [answer_pb2.DialogueAct(type=kind, confidence=1.0) for kind in types]
        events.append(dialogue_pb2.RespondResponse(system_acts=dialogue_pb2.SystemActs(acts=acts)))
    if words.text:
        chunk = answer_pb2.TextChunk(text=words.text, language_code=answer.locale)
        chunk.span.end = len(words.text)
        events.append(dialogue_pb2.RespondResponse(text=chunk))
    if answer.prompt:
        prompt = answer_pb2.Prompt.FromString(answer.prompt)
        events.append(dialogue_pb2.RespondResponse(prompt=prompt))
    if not answer.replayed and answer.state.version:
        changed = answer.state.changed_by(request.context.turn_id)
        delta = dialogue_pb2.StateDelta(changed=map(_belief, changed), state_version=answer.state.version)
        events.append(dialogue_pb2.RespondResponse(state_delta=delta))
    return events


def _hour(context: context_pb2.TurnContext) -> int | None:
    """Hour of the user's day, where both the time and the zone are known."""
    if not context.session.time_zone or not context.HasField("now"):
        return None
    try:
        zone = ZoneInfo(context.session.time_zone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return None
    return context.now.ToDatetime(tzinfo=UTC).astimezone(zone).hour


def _slot(skill_id: str, slot: understanding_pb2.Slot, turn_id: str) -> Slot:
    """The slot as it is kept: with the turn it is of, which a later turn may carry it over from."""
    kept = understanding_pb2.Slot()
    kept.CopyFrom(slot)
    kept.source_turn_id = kept.source_turn_id or turn_id
    return Slot(
        skill_id, slot.name, slot.text, slot.confidence, kept.SerializeToString(), slot.value.SerializeToString()
    )


def _belief(belief: Belief) -> dialogue_pb2.Belief:
    value = dialogue_pb2.BeliefValue(value=value_pb2.Value.FromString(belief.value), probability=belief.probability)
    return dialogue_pb2.Belief(
        domain=belief.domain,
        slot=belief.slot,
        values=[value],
        source=dialogue_pb2.BELIEF_SOURCE_CONVERSATION,
        turn_id=belief.turn_id,
    )


def _state(state: DialogueState) -> dialogue_pb2.DialogueState:
    message = dialogue_pb2.DialogueState(
        session_id=state.session_id,
        version=state.version,
        beliefs=map(_belief, state.beliefs.values()),
        focus=[understanding_pb2.Slot.FromString(slot.wire) for slot in state.focus],
    )
    if state.pending:
        message.pending_prompt.ParseFromString(state.pending)
    for turn in state.past:
        past = message.past_turns.add(turn_id=turn.turn_id, text=turn.text, answer=turn.answer, skill_id=turn.skill_id)
        if turn.reading:
            past.interpretation.ParseFromString(turn.reading)
        past.completed_time.FromNanoseconds(round(turn.at * 1e9))
    message.expire_time.FromNanoseconds(round(state.expires_at * 1e9))
    return message
