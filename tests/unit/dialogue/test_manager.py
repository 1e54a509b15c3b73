"""What the dialogue service says, and what it remembers."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from services.dialogue.manager import Act, Asked, DialogueManager, Purpose, Question, Skill
from services.dialogue.sentences import SENTENCES
from services.dialogue.state import REMEMBERED_REPLIES, REMEMBERED_TURNS, DialogueState, Slot, decoded, encoded
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


@pytest.mark.parametrize(
    ("turn", "text"),
    [
        (asked(intent="dialogue.greeting"), "Hello."),
        (asked(intent="dialogue.greeting", hour=8), "Good morning."),
        (asked(intent="dialogue.greeting", hour=20), "Good evening."),
        (asked(acts=("GREET",)), "Hello."),
        (asked(intent="dialogue.stop"), "All right."),
        (asked(intent="dialogue.repeat"), "I have not said anything yet."),
        (
            asked(intent="dialogue.help", skills=(CALCULATOR, CLOCK)),
            "You can say, for example: what is three times four or what time is it.",
        ),
        (asked(intent="dialogue.help"), "I can listen and answer, but no skill is switched on for you yet."),
        (
            asked(Purpose.FALLBACK, reason="OUT_OF_SCOPE", skills=(CLOCK,)),
            "I cannot help with that. You can say, for example: what time is it.",
        ),
        (asked(Purpose.FALLBACK, reason="OUT_OF_SCOPE"), "I cannot help with that."),
        (asked(Purpose.FALLBACK, reason="DENIED_BY_USER"), "All right, I will leave it."),
        (asked(Purpose.CONFIRM, text="Buy milk."), "I heard: Buy milk. Shall I do that?"),
        (asked(Purpose.CLARIFY, skills=(CLOCK, CALCULATOR)), "Do you mean Clock or Calculator?"),
        (asked(Purpose.ELICIT_SLOT, slot="time", question="When?"), "When?"),
        (asked(Purpose.ELICIT_SLOT, slot="time"), "I need to know a little more. What exactly?"),
        (
            asked(Purpose.APOLOGIZE, reason="UNKNOWN_EFFECT"),
            "I am not sure whether that was done. Please check before you ask again.",
        ),
        (
            asked(Purpose.APOLOGIZE, reason="SKILL_TIMEOUT"),
            "That takes too long at the moment. Please try again later.",
        ),
        (asked(Purpose.APOLOGIZE, reason="SKILL_BROKE_OFF"), "Sorry, that did not work."),
        (asked(Purpose.TRACK, skill_answer="It is five."), ""),
    ],
)
def test_what_is_said(turn: Asked, text: str) -> None:
    assert words(turn) == text


@pytest.mark.parametrize("locale", sorted(SENTENCES))
def test_every_language_can_say_everything(locale: str) -> None:
    for purpose in Purpose:
        for intent in (
            "",
            "dialogue.greeting",
            "dialogue.help",
            "dialogue.thanks",
            "dialogue.goodbye",
            "dialogue.stop",
        ):
            said = words(asked(purpose, locale=locale, intent=intent, text="x", skills=(CLOCK, CALCULATOR)))
            assert "{" not in said
            assert bool(said) is (purpose is not Purpose.TRACK)


def test_languages_differ() -> None:
    for name in SENTENCES["en"].__dataclass_fields__:
        if name not in ("no", "or_word"):  # "no" is Spanish and Italian too
            assert len({str(getattr(say, name)) for say in SENTENCES.values()}) >= 3, name


def test_relatives_are_served_and_strangers_are_not() -> None:
    assert words(asked(locale="de-AT", intent="dialogue.stop")) == "In Ordnung."
    with pytest.raises(FailedPrecondition) as refused:
        words(asked(locale="ja"))
    assert refused.value.reason == "LOCALE_NOT_SERVED"


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


def test_answers_are_cut_between_sentences() -> None:
    long = asked(Purpose.FALLBACK, reason="OUT_OF_SCOPE", skills=(CLOCK,), max_length=40)
    assert words(long) == "I cannot help with that."
    assert words(replace(long, max_length=10)) == "I cannot help with that."


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
        assert state.focus == (slot,)
        assert [(belief.key, belief.value, belief.turn_id) for belief in state.changed_by("turn-1")] == [
            ("clock.place", b"value", "turn-1")
        ]
        assert decoded("session", encoded(state), state.expires_at) == state

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
