"""Words for what no skill answers, over `DialogueService.Respond`."""

from __future__ import annotations

from collections.abc import AsyncIterator

from antiphon.dialogue.v1 import dialogue_pb2, dialogue_pb2_grpc
from services.arbitration.adapters.channels import Channels, read, rpc_errors
from services.arbitration.adapters.values import skill_interpretation, to_turn_context
from services.arbitration.contexts import TurnContext
from services.arbitration.ports import DialogueAsk, DialogueReply, Say

CALL_TIMEOUT_S = 5.0

_PURPOSES = {
    Say.GREETING: dialogue_pb2.RESPONSE_PURPOSE_OPEN,
    Say.CHITCHAT: dialogue_pb2.RESPONSE_PURPOSE_OPEN,
    Say.PROGRESS: dialogue_pb2.RESPONSE_PURPOSE_OPEN,
    Say.FALLBACK: dialogue_pb2.RESPONSE_PURPOSE_FALLBACK,
    Say.DECLINED: dialogue_pb2.RESPONSE_PURPOSE_FALLBACK,
    Say.CLARIFY: dialogue_pb2.RESPONSE_PURPOSE_CLARIFY,
    Say.CONFIRM: dialogue_pb2.RESPONSE_PURPOSE_CONFIRM,
    Say.APOLOGY: dialogue_pb2.RESPONSE_PURPOSE_APOLOGIZE,
    Say.UNKNOWN_EFFECT: dialogue_pb2.RESPONSE_PURPOSE_APOLOGIZE,
}


class GrpcDialogue:
    """`DialoguePort`; one per replica of arbitration."""

    def __init__(self, channels: Channels) -> None:
        self._channels = channels

    async def respond(self, ask: DialogueAsk, context: TurnContext) -> AsyncIterator[DialogueReply]:
        """The words, piece by piece; a prompt's words come as a question."""
        request = dialogue_pb2.RespondRequest(
            context=to_turn_context(context),
            language_code=context.profile.locale,
            purpose=_PURPOSES[ask.say],
            idempotency_key=f"{context.turn_id}/{ask.say}",
            reason=ask.reason,
        )
        request.interpretations.extend(skill_interpretation(hypothesis) for hypothesis in ask.about)
        stub = self._channels.stub(dialogue_pb2_grpc.DialogueServiceStub, "dialogue", context)
        with rpc_errors():
            call = stub.Respond(request, metadata=self._channels.metadata(context), timeout=CALL_TIMEOUT_S)
        async for response in read(call):
            kind = response.WhichOneof("event")
            if kind == "text":
                yield DialogueReply(response.text.text, wire=response.text.SerializeToString())
            elif kind == "prompt":
                prompt = response.prompt
                yield DialogueReply(prompt.text.text, True, prompt.prompt_id, prompt.SerializeToString())
