"""What is stored between turns comes back as it was."""

from __future__ import annotations

import asyncio

import pytest

from services.arbitration.contexts import ConversationState, PastTurn, PendingPrompt, PromptKind
from services.arbitration.hypotheses import Hypothesis
from services.arbitration.memory import SessionKeeper, SessionMemory
from services.arbitration.speculation import normalised
from services.runtime.store import MemorySessionStore
from tests.fakes.arbitration_house import TIME_IN_ROME

pytestmark = pytest.mark.unit

ROME = Hypothesis("clock", TIME_IN_ROME)


def test_a_session_comes_back_as_it_was() -> None:
    async def scenario() -> None:
        keeper = SessionKeeper(MemorySessionStore())
        begun, token = await keeper.begin("acme")
        past = PastTurn("t1", "wie spät ist es", "Fünf.", ROME, 12.5, (b"\x00slot",))
        pending = PendingPrompt("p1", PromptKind.CLARIFY, (ROME,), "Which?", "place", b"\x00wire")
        state = ConversationState().after(past, pending)
        saved = await keeper.save("acme", SessionMemory(begun.session_id, state, b"\xffstate", 7, begun.version))
        back, next_token = await keeper.resume("acme", token)
        assert (back.state, back.skill_state, back.sequence) == (state, b"\xffstate", 7)
        assert back.version == saved.version + 1
        assert next_token != token

    asyncio.run(scenario())


def test_tokens_are_not_stored() -> None:
    async def scenario() -> None:
        store = MemorySessionStore()
        _, token = await SessionKeeper(store).begin("acme")
        assert token not in repr(store)

    asyncio.run(scenario())


def test_a_conversation_remembers_ten_turns() -> None:
    state = ConversationState()
    for n in range(15):
        state = state.after(PastTurn(f"t{n}", "", "", None, 0.0), None)
    assert [turn.turn_id for turn in state.past] == [f"t{n}" for n in range(14, 4, -1)]
    assert state.turns == 15


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("What time is it?", "what time is it"),
        ("  what   time ", "what time"),
        ("¿Qué hora es?", "qué hora es"),
        ("Wie spät ist es, bitte?", "wie spät ist es bitte"),
    ],
)
def test_words_are_compared_without_case_and_punctuation(one: str, other: str) -> None:
    assert normalised(one) == normalised(other)


@pytest.mark.parametrize(("one", "other"), [("3.5", "35"), ("7-5", "7 5"), ("it's", "its"), ("10:30", "1030")])
def test_what_means_something_stays(one: str, other: str) -> None:
    assert normalised(one) != normalised(other)
