"""Words for what no skill answers, over `DialogueService.Respond`."""

from __future__ import annotations

from collections.abc import AsyncIterator

from antiphon.dialogue.v1 import dialogue_pb2, dialogue_pb2_grpc
from antiphon.types.v1 import answer_pb2, understanding_pb2
from services.arbitration.adapters.channels import Channels, read, rpc_errors
from services.arbitration.adapters.values import prompt_kind, skill_interpretation, to_turn_context
from services.arbitration.contexts import TurnContext
from services.arbitration.ports import (
    DialogueAsk,
    DialogueEvent,
    DialogueExtra,
    DialoguePrompt,
    DialogueText,
    Say,
)

CALL_TIMEOUT_S = 5.0

LAST_RESORT = "en"
"""What is spoken to somebody none of whose languages the conversation's own sentences are written in."""

_MOST_LANGUAGES = 10  # that the service looks at

_PURPOSES = {
    Say.OPEN: dialogue_pb2.RESPONSE_PURPOSE_OPEN,
    Say.CONFIRM: dialogue_pb2.RESPONSE_PURPOSE_CONFIRM,
    Say.CLARIFY: dialogue_pb2.RESPONSE_PURPOSE_CLARIFY,
    Say.ELICIT_SLOT: dialogue_pb2.RESPONSE_PURPOSE_ELICIT_SLOT,
    Say.FALLBACK: dialogue_pb2.RESPONSE_PURPOSE_FALLBACK,
    Say.APOLOGIZE: dialogue_pb2.RESPONSE_PURPOSE_APOLOGIZE,
    Say.PROGRESS: dialogue_pb2.RESPONSE_PURPOSE_PROGRESS,
    Say.TRACK: dialogue_pb2.RESPONSE_PURPOSE_TRACK,
}


class GrpcDialogue:
    """`DialoguePort`; one per replica of arbitration."""

    def __init__(self, channels: Channels) -> None:
        self._channels = channels

    async def respond(self, ask: DialogueAsk, context: TurnContext) -> AsyncIterator[DialogueEvent]:
        """The words, piece by piece; a prompt's words come as text too."""
        request = dialogue_pb2.RespondRequest(
            context=to_turn_context(context),
            language_code=context.profile.locale,
            text=ask.text,
            purpose=_PURPOSES[ask.say],
            skill_answer=ask.skill_answer,
            idempotency_key=ask.idempotency_key,
            reason=ask.reason or ask.say.upper(),
            slot=ask.slot,
            question=ask.question,
        )
        del request.context.session.language_codes[_MOST_LANGUAGES - 1 :]
        request.context.session.language_codes.append(LAST_RESORT)
        request.interpretations.extend(skill_interpretation(hypothesis) for hypothesis in ask.about)
        request.user_acts.extend(answer_pb2.DialogueAct.FromString(act) for act in ask.understanding.wire)
        request.intent_phrases.extend(ask.phrases)
        request.focus.extend(understanding_pb2.Slot.FromString(slot) for slot in ask.focus)
        for skill in ask.skills:
            request.skills.add(skill_id=skill.skill_id, name=skill.name, examples=skill.examples)
        stub = self._channels.stub(dialogue_pb2_grpc.DialogueServiceStub, "dialogue", context)
        with rpc_errors():
            call = stub.Respond(request, metadata=self._channels.metadata(context), timeout=CALL_TIMEOUT_S)
        async for response in read(call):
            event = _event(response)
            if event is not None:
                yield event


def _event(response: dialogue_pb2.RespondResponse) -> DialogueEvent | None:
    match response.WhichOneof("event"):
        case "text":
            return DialogueText(response.text.text, response.text.SerializeToString())
        case "prompt":
            prompt = response.prompt
            wire = prompt.SerializeToString()
            return DialoguePrompt(prompt_kind(prompt), prompt.prompt_id, prompt.text.text, prompt.slot, wire)
        case "display" | "citation" as kind:
            return DialogueExtra(kind, getattr(response, kind).SerializeToString())
    return None
