"""Conversations of several turns on the real platform: questions are answered, orders confirmed, follow-ups read."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

import pytest

from antiphon.arbitration.v1 import assistant_pb2, assistant_pb2_grpc
from antiphon.types.v1 import context_pb2
from services.runtime.deployment import RayPlatform
from tests.fixtures.front_door import END, Request, channel, config
from tests.fixtures.toy_client import with_key
from tests.fixtures.toy_pools import ACME

pytestmark = pytest.mark.system


async def talk(
    platform: RayPlatform, *texts: str, language: str = "en", device: str = ""
) -> list[assistant_pb2.TurnCompleted]:
    """What each of the texts, said one after another on one stream, comes to; on a device of its own unless named."""
    named = context_pb2.Device(device_id=device or f"device-{time.time_ns()}")
    context = context_pb2.SessionContext(device=named, time_zone="Europe/Vienna")
    first = config(context=context, continuous=True, language_codes=[language])
    completed: list[assistant_pb2.TurnCompleted] = []
    answered = asyncio.Event()

    async def requests() -> AsyncIterator[Request]:
        yield first
        for text in texts:
            answered.clear()
            yield Request(text=assistant_pb2.TextInput(text=text))
            await asyncio.wait_for(answered.wait(), 20.0)
        yield END

    async with channel(platform.target) as opened:
        call = assistant_pb2_grpc.AssistantServiceStub(opened).Converse(requests(), metadata=with_key(ACME), timeout=90)
        async for event in call:
            if event.HasField("turn_completed"):
                completed.append(event.turn_completed)
                answered.set()
    return completed


@pytest.mark.parametrize(
    ("language", "texts", "answer"),
    [
        ("en", ("set a timer", "ten minutes"), "10 minutes"),
        ("de", ("stell einen timer", "zehn minuten"), "10 Minuten"),
        ("es", ("pon un temporizador", "diez minutos"), "10 minutos"),
        ("fr", ("mets un minuteur", "dix minutes"), "10 minutes"),
        ("it", ("imposta un timer", "dieci minuti"), "10 minuti"),
    ],
)
async def test_a_question_is_answered_by_the_next_turn(
    platform: RayPlatform, language: str, texts: tuple[str, str], answer: str
) -> None:
    asked, done = await talk(platform, *texts, language=language)
    assert asked.status == assistant_pb2.TURN_STATUS_PROMPTED
    assert asked.expects_follow_up
    assert done.status == assistant_pb2.TURN_STATUS_ANSWERED
    assert answer in done.answer
    assert len(done.receipt.effects) == 1


@pytest.mark.parametrize(
    ("language", "order", "yes", "no"),
    [
        ("en", "unlock the front door", "yes", "no"),
        ("de", "schließ die haustür auf", "ja", "nein"),
        ("es", "abre la puerta de entrada", "sí", "no"),
        ("fr", "déverrouille la porte d'entrée", "oui", "non"),
        ("it", "sblocca la porta d'ingresso", "sì", "no"),
    ],
)
async def test_what_is_risky_is_done_after_a_yes_and_not_after_a_no(
    platform: RayPlatform, language: str, order: str, yes: str, no: str
) -> None:
    asked, denied, again, done = await talk(platform, order, no, order, yes, language=language)
    for question in (asked, again):
        assert question.status == assistant_pb2.TURN_STATUS_PROMPTED
        assert not question.receipt.effects
    assert not denied.receipt.effects
    assert denied.answer
    assert len(done.receipt.effects) == 1, done
    assert done.skill_id == "home"


async def test_a_follow_up_keeps_what_it_does_not_change(platform: RayPlatform) -> None:
    first, second, third = await talk(
        platform, "what time is it in tokyo", "and in rome", "how many kilometers are five miles"
    )
    assert "Tokyo" in first.answer
    assert "Rome" in second.answer
    assert "8" in third.answer


async def test_lists_are_there_in_the_next_conversation_and_on_no_other_device(platform: RayPlatform) -> None:
    device = f"fridge-{time.time_ns()}"
    await talk(platform, "add oat milk to the shopping list", device=device)
    (mine,) = await talk(platform, "what is on my shopping list", device=device)
    (theirs,) = await talk(platform, "what is on my shopping list")
    assert "oat milk" in mine.answer.lower(), mine.answer
    assert "oat milk" not in theirs.answer.lower()
