"""The dialogue service over a real channel: what arbitration asks of it, and its errors."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import grpc
import pytest

from antiphon.dialogue.v1 import dialogue_pb2, dialogue_pb2_grpc
from antiphon.types.v1 import answer_pb2, understanding_pb2, value_pb2
from services.dialogue.app import SPEC
from services.runtime.platform import PlatformSettings, PoolSettings
from services.runtime.server import GrpcPlatform

pytestmark = pytest.mark.integration

Stub = dialogue_pb2_grpc.DialogueServiceStub


@pytest.fixture
async def stub(tmp_path: Path) -> AsyncIterator[Stub]:
    pool = PoolSettings(name="dialogue", capability="dialogue")
    settings = PlatformSettings(port=0, pool_port=0, pools=(pool,), state_dir=str(tmp_path))
    async with (
        GrpcPlatform(settings, {"dialogue": SPEC}) as platform,
        grpc.aio.insecure_channel(platform.target) as channel,
    ):
        yield Stub(channel)


def request(key: str = "key-1", turn: str = "turn-1") -> dialogue_pb2.RespondRequest:
    asked = dialogue_pb2.RespondRequest(language_code="en", idempotency_key=key, text="Buy milk.")
    asked.context.session_id, asked.context.turn_id = "session", turn
    return asked


async def respond(stub: Stub, asked: dialogue_pb2.RespondRequest) -> dict[str, dialogue_pb2.RespondResponse]:
    return {response.WhichOneof("event") or "": response async for response in stub.Respond(asked)}


async def test_a_confirmation_is_words_a_question_and_a_state(stub: Stub) -> None:
    asked = request()
    asked.purpose = dialogue_pb2.RESPONSE_PURPOSE_CONFIRM
    slot = understanding_pb2.Slot(name="item", text="milk", value=value_pb2.Value(text="milk"), confidence=0.9)
    asked.interpretations.add(intent="shop.buy", skill_id="shop", slots=[slot])
    events = await respond(stub, asked)
    assert list(events) == ["system_acts", "text", "prompt", "state_delta", "done"]
    assert events["text"].text.text == "I heard: Buy milk. Shall I do that?"
    assert events["system_acts"].system_acts.acts[0].type == answer_pb2.DIALOGUE_ACT_TYPE_CONFIRM
    prompt = events["prompt"].prompt
    assert [choice.choice_id for choice in prompt.choices] == ["yes", "no"]
    assert prompt.interpretation.intent == "shop.buy"
    (belief,) = events["state_delta"].state_delta.changed
    assert (belief.domain, belief.slot, belief.values[0].value.text) == ("shop", "item", "milk")
    assert events["done"].done.expects_follow_up

    found = await stub.GetDialogueState(dialogue_pb2.GetDialogueStateRequest(session_id="session"))
    assert found.state.version == events["done"].done.state_version == 1
    assert found.state.pending_prompt == prompt
    assert found.state.past_turns[0].interpretation.slots[0].value.text == "milk"


async def test_a_confirmation_reads_the_intent_back(stub: Stub) -> None:
    asked = request()
    asked.purpose = dialogue_pb2.RESPONSE_PURPOSE_CONFIRM
    asked.intent_phrases.extend(["purchase {item}", "buy {item|milk} for {price}"])
    slot = understanding_pb2.Slot(name="item", text="oat milk", value=value_pb2.Value(text="oat milk"))
    asked.interpretations.add(intent="shop.buy", skill_id="shop", slots=[slot])
    assert (await respond(stub, asked))["text"].text.text == "Purchase oat milk, shall I?"


async def test_focus_is_kept_with_its_turn(stub: Stub) -> None:
    asked = request()
    asked.purpose = dialogue_pb2.RESPONSE_PURPOSE_TRACK
    asked.skill_answer = "It is noon in Rome."
    said = understanding_pb2.Slot(name="place", text="rome")
    asked.interpretations.add(intent="clock.time", skill_id="clock", slots=[said])
    asked.focus.add(name="place", text="Rome, Italy", value=value_pb2.Value(text="Rome"))
    await respond(stub, asked)
    found = await stub.GetDialogueState(dialogue_pb2.GetDialogueStateRequest(session_id="session"))
    (slot,) = found.state.focus
    assert (slot.name, slot.text, slot.source_turn_id) == ("place", "Rome, Italy", "turn-1")


async def test_a_stranger_is_told_which_languages_are_spoken(stub: Stub) -> None:
    asked = request()
    asked.language_code = "ja"
    asked.context.session.language_codes.extend(["ja", "it"])
    text = (await respond(stub, asked))["text"].text
    assert (text.text, text.language_code) == ("Parlo italiano, inglese, tedesco, spagnolo e francese.", "it")


async def test_a_repeat_is_told_as_such(stub: Stub) -> None:
    first, again = await respond(stub, request()), await respond(stub, request())
    assert again["text"] == first["text"]
    assert again["done"].done.replayed
    assert "state_delta" not in again


async def refused(stub: Stub, asked: dialogue_pb2.RespondRequest) -> grpc.StatusCode:
    with pytest.raises(grpc.aio.AioRpcError) as error:
        await respond(stub, asked)
    return error.value.code()


async def test_what_is_refused(stub: Stub) -> None:
    foreign, keyless, endless, learned = request(), request(key=""), request(), request()
    foreign.language_code = "ja"
    endless.text = "x" * 4001
    learned.knowledge.collections.append("encyclopedia")
    assert await refused(stub, foreign) is grpc.StatusCode.FAILED_PRECONDITION
    assert await refused(stub, keyless) is grpc.StatusCode.INVALID_ARGUMENT
    assert await refused(stub, endless) is grpc.StatusCode.INVALID_ARGUMENT
    assert await refused(stub, learned) is grpc.StatusCode.FAILED_PRECONDITION
    with pytest.raises(grpc.aio.AioRpcError) as unknown:
        await stub.GetDialogueState(dialogue_pb2.GetDialogueStateRequest(session_id="nobody's"))
    assert unknown.value.code() is grpc.StatusCode.NOT_FOUND
