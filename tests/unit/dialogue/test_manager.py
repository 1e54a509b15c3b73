"""What the dialogue service says, and what it remembers."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace

import pytest

from services.dialogue.asked import Act, Asked, Purpose, Question, Skill
from services.dialogue.manager import DialogueManager
from services.dialogue.sentences import SENTENCES
from services.dialogue.state import (
    MAX_FOCUS,
    REMEMBERED_REPLIES,
    REMEMBERED_TURNS,
    DialogueState,
    Slot,
    decoded,
    encoded,
)
from services.runtime.errors import Conflict, FailedPrecondition, InvalidInput, NotFound
from services.runtime.store import MemorySessionStore, Versioned

pytestmark = pytest.mark.unit

CLOCK = Skill("clock", "Clock", ("what time is it", "what day is it"))
CALCULATOR = Skill("calculator", "Calculator", ("what is three times four",))


def prompt_bytes(question: Question, asked: Asked) -> bytes:
    return question.prompt_id.encode()


def manager(store: MemorySessionStore | None = None) -> DialogueManager:
    return DialogueManager(store or MemorySessionStore(), prompt_bytes, now=lambda: 1_000.0)


def asked(purpose: Purpose = Purpose.OPEN, number: int = 1, **more: object) -> Asked:
    turn = Asked("session", f"turn-{number}", f"key-{number}", "en", purpose)
    return replace(turn, **more)  # type: ignore[arg-type]


def words(turn: Asked) -> str:
    return asyncio.run(manager().respond("acme", turn)).words.text


def test_relatives_are_served_and_strangers_are_not() -> None:
    assert words(asked(locale="de-AT", intent="dialogue.stop")) == "In Ordnung."
    with pytest.raises(FailedPrecondition) as refused:
        words(asked(locale="ja"))
    assert refused.value.reason == "LOCALE_NOT_SERVED"


def test_a_stranger_who_speaks_another_language_is_told_which_are_spoken() -> None:
    async def scenario() -> None:
        talk = manager()
        turn = asked(locale="ja", languages=("ja", "de-AT"), intent="dialogue.greeting", text="こんにちは")
        answer = await talk.respond("acme", turn)
        assert (answer.words.text, answer.locale) == (SENTENCES["de"].languages, "de")
        kept = asked(Purpose.TRACK, 2, locale="ja", languages=("de",), skill_answer="五時です。")
        assert (await talk.respond("acme", kept)).words.text == ""
        assert (await talk.state("acme", "session")).past[0].answer == "五時です。"
        with pytest.raises(FailedPrecondition):
            await talk.respond("acme", asked(number=3, locale="ja", languages=("ko", "ja")))

    asyncio.run(scenario())


def test_questions_are_prompts() -> None:
    answer = asyncio.run(manager().respond("acme", asked(Purpose.CLARIFY, skills=(CLOCK, CALCULATOR))))
    assert answer.words.question is not None
    assert [choice.choice_id for choice in answer.words.question.choices] == ["clock", "calculator"]
    assert answer.prompt == answer.state.pending != b""
    assert answer.words.acts == (Act.REQUEST,)


def test_two_skills_of_one_name_are_no_choice() -> None:
    namesake = replace(CALCULATOR, name="Clock")
    assert words(asked(Purpose.CLARIFY, skills=(CLOCK, namesake))) == SENTENCES["en"].choose_open


@pytest.mark.parametrize("field", ["session_id", "turn_id", "key"])
def test_what_is_needed(field: str) -> None:
    for value in ("", "x" * 129):
        with pytest.raises(InvalidInput):
            words(replace(asked(), **{field: value}))  # type: ignore[arg-type]


# --- state ---------------------------------------------------------------------------------------------------------
def test_the_state_grows_by_turns() -> None:
    async def scenario() -> None:
        talk = manager()
        slot = Slot("clock", "place", "rome", 0.9, b"wire", b"value")
        await talk.respond("acme", asked(Purpose.TRACK, 1, text="time in rome", skill_answer="Five.", skill_id="clock",
                                         slots=(slot,), reading=b"reading"))  # fmt: skip
        answer = await talk.respond("acme", asked(Purpose.OPEN, 2, intent="dialogue.repeat"))
        assert answer.words.text == "Five."
        state = await talk.state("acme", "session")
        assert state == answer.state
        assert state.version == 2
        assert [past.turn_id for past in state.past] == ["turn-2", "turn-1"]
        assert state.past[1].reading == b"reading"
        assert state.focus == (replace(slot, since=1),)
        assert [(belief.key, belief.value, belief.turn_id) for belief in state.changed_by("turn-1")] == [
            ("clock.place", b"value", "turn-1")
        ]
        assert decoded("session", encoded(state), state.expires_at) == state

    asyncio.run(scenario())


def test_focus_is_what_was_said_lately_and_what_the_skill_keeps() -> None:
    async def scenario() -> None:
        talk = manager()

        async def turn(number: int, *slots: Slot, focus: tuple[Slot, ...] = ()) -> list[tuple[str, str]]:
            track = asked(Purpose.TRACK, number, skill_id="weather", slots=slots, focus=focus)
            return [(slot.name, slot.text) for slot in (await talk.respond("acme", track)).state.focus]

        rome, tomorrow = Slot("weather", "place", "rome", 0.9), Slot("weather", "day", "tomorrow", 0.9)
        assert await turn(1, rome, tomorrow) == [("place", "rome"), ("day", "tomorrow")]
        paris = Slot("weather", "place", "paris", 0.9)
        assert await turn(2, paris) == [("place", "paris"), ("day", "tomorrow")]
        city = Slot("weather", "place", "paris, france", 1.0)
        assert await turn(3, paris, focus=(city,)) == [("place", "paris, france"), ("day", "tomorrow")]
        other = Slot("clock", "place", "oslo", 0.9)
        assert await turn(4, other) == [("place", "oslo"), ("place", "paris, france"), ("day", "tomorrow")]
        assert await turn(5) == [("place", "oslo"), ("place", "paris, france"), ("day", "tomorrow")]
        assert await turn(6) == [("place", "oslo"), ("place", "paris, france")]
        assert await turn(9 + 1) == [("place", "oslo"), ("place", "paris, france")]
        assert await turn(11) == [("place", "oslo")]
        assert await turn(12) == []

    asyncio.run(scenario())


def test_focus_is_bounded() -> None:
    async def scenario() -> None:
        slots = tuple(Slot("skill", f"slot_{number}", "x", 0.5) for number in range(100))
        answer = await manager().respond("acme", asked(Purpose.TRACK, slots=slots))
        assert len(answer.state.focus) == MAX_FOCUS

    asyncio.run(scenario())


def test_a_state_of_an_older_version_is_read() -> None:
    state = DialogueState("session", 7, focus=(Slot("clock", "place", "rome", 0.9, b"wire", b"value", since=3),))
    kept = json.loads(encoded(state))
    kept["focus"] = [row[:6] for row in kept["focus"]]
    assert decoded("session", json.dumps(kept).encode(), 0.0).focus[0].since == 7


def test_a_question_that_is_repeated_stays_open() -> None:
    async def scenario() -> None:
        talk = manager()
        first = await talk.respond("acme", asked(Purpose.ELICIT_SLOT, 1, slot="time", question="When?"))
        again = await talk.respond("acme", asked(Purpose.OPEN, 2, intent="dialogue.repeat"))
        assert (again.words.text, again.prompt) == ("When?", first.prompt)
        assert (await talk.state("acme", "session")).pending == first.prompt

    asyncio.run(scenario())


def test_it_does_not_grow_without_bound() -> None:
    async def scenario() -> None:
        talk = manager()
        for number in range(30):
            await talk.respond("acme", asked(Purpose.OPEN, number, intent="dialogue.stop"))
        state = await talk.state("acme", "session")
        assert (len(state.past), len(state.replies), state.version) == (REMEMBERED_TURNS, REMEMBERED_REPLIES, 30)

    asyncio.run(scenario())


def test_a_repeat_says_the_same_and_changes_nothing() -> None:
    async def scenario() -> None:
        talk = manager()
        first = await talk.respond("acme", asked(Purpose.CONFIRM, text="buy milk"))
        again = await talk.respond("acme", asked(Purpose.CONFIRM, text="buy milk"))
        assert (again.words.text, again.prompt, again.words.acts) == (first.words.text, first.prompt, first.words.acts)
        assert (first.replayed, again.replayed) == (False, True)
        assert (await talk.state("acme", "session")).version == 1

    asyncio.run(scenario())


def test_a_question_is_open_for_one_turn() -> None:
    async def scenario() -> None:
        talk = manager()
        await talk.respond("acme", asked(Purpose.CONFIRM, 1, text="buy milk"))
        assert (await talk.state("acme", "session")).pending
        await talk.respond("acme", asked(Purpose.OPEN, 2, intent="dialogue.stop"))
        assert not (await talk.state("acme", "session")).pending

    asyncio.run(scenario())


def test_progress_leaves_no_trace() -> None:
    async def scenario() -> None:
        talk = manager()
        assert (await talk.respond("acme", asked(Purpose.PROGRESS))).words.text
        with pytest.raises(NotFound):
            await talk.state("acme", "session")

    asyncio.run(scenario())


def test_another_tenants_conversation_does_not_exist() -> None:
    async def scenario() -> None:
        talk = manager()
        await talk.respond("acme", asked())
        with pytest.raises(NotFound):
            await talk.state("globex", "session")

    asyncio.run(scenario())


class Overtaken(MemorySessionStore):
    """A store in which somebody else writes first, `times` times."""

    times = 1

    async def get(self, tenant: str, key: str) -> Versioned | None:
        found = await super().get(tenant, key)
        if self.times > 0:
            self.times -= 1
            await super().put(tenant, key, found.value if found else encoded_empty(), ttl=100.0)
        return found


def encoded_empty() -> bytes:
    return encoded(DialogueState("session"))


def test_a_faster_turn_is_read_and_the_write_repeated() -> None:
    store = Overtaken()
    assert asyncio.run(manager(store).respond("acme", asked())).state.version == 1
    store.times = 100
    with pytest.raises(Conflict):
        asyncio.run(manager(store).respond("acme", asked(number=2)))
