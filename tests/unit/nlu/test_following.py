"""Answers to questions, follow-ups without their verb, and words that point back."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import chain

import pytest

from antiphon.types.v1 import answer_pb2, context_pb2, value_pb2
from services.nlu.combining import Evidence
from services.nlu.conversation_messages import MAX_SLOTS, conversation
from services.nlu.following import Conversation, Past, Question, followed, referred
from services.nlu.text import tokenise
from services.nlu.understanding import Situation, Slot, SlotOrigin, Value
from services.nlu.value_messages import to_message
from services.nlu.values.entities import Catalogue, CatalogueEntry
from services.nlu.values.finder import Finder
from services.nlu.values.kinds import Entity, Quantity
from services.nlu.values.places import Gazetteer, Place

pytestmark = pytest.mark.unit

NOW = datetime(2026, 11, 20, 14, 0, tzinfo=UTC)
ROOMS = Catalogue(
    "rooms",
    closed=True,
    entries=tuple(
        CatalogueEntry(
            names[0], {tag: (name,) for tag, name in zip(("en", "de", "es", "fr", "it"), names, strict=True)}
        )
        for names in (
            ("kitchen", "Küche", "cocina", "cuisine", "cucina"),
            ("bedroom", "Schlafzimmer", "dormitorio", "chambre", "camera"),
        )
    ),
)


@dataclass(frozen=True)
class Spec:
    name: str
    value_type: str
    catalogue: str = ""
    required: bool = False
    carry_over: bool = True


@dataclass(frozen=True)
class Definition:
    skill: str
    slots: tuple[Spec, ...]


INTENTS = {
    "clock.time": Definition("clock", (Spec("place", "PLACE"),)),
    "notyet.weather": Definition("notyet", (Spec("place", "PLACE"), Spec("day", "DATE"))),
    "timers.set_timer": Definition(
        "timers", (Spec("duration", "DURATION", required=True, carry_over=False), Spec("label", "TEXT"))
    ),
    "timers.cancel_timer": Definition("timers", (Spec("label", "TEXT"),)),
    "units.convert": Definition("units", (Spec("quantity", "QUANTITY", required=True),)),
    "home.turn_on": Definition("home", (Spec("device", "TEXT"), Spec("room", "ENTITY", "rooms"))),
    "home.turn_off": Definition("home", (Spec("device", "TEXT"), Spec("room", "ENTITY", "rooms"))),
    "timers.set_alarm": Definition("timers", (Spec("at", "DATETIME", required=True),)),
    "lists.add": Definition("lists", (Spec("item", "TEXT", required=True, carry_over=False), Spec("list", "TEXT"))),
}
PARIS = Place("Paris", "FR", "Europe/Paris")


def a_finder(language: str = "en") -> Finder:
    return Finder(language, Situation(NOW, "Europe/Berlin"), Gazetteer.bundled(), {"home.rooms": ROOMS})


def slot(name: str, value: Value, text: str = "") -> Slot:
    return Slot(name, value, text or str(value), 0, 0, 0.9, catalogue_hit=True, origin=SlotOrigin.CARRIED_OVER)


def asked(
    name: str, value_type: str, intent: str, *slots: Slot, choices: tuple[tuple[str, Value], ...] = ()
) -> Conversation:
    return Conversation(Question(name, value_type, Past("t1", intent, slots), choices))


def after(intent: str, *slots: Slot) -> Conversation:
    return Conversation(past=(Past("t1", intent, slots),))


def read(text: str, language: str, said_before: Conversation) -> tuple[Evidence, ...]:
    return followed([text], [tokenise(text)], a_finder(language), INTENTS, said_before)


HOW_LONG = asked("duration", "DURATION", "timers.set_timer", slot("label", "pasta"))


@pytest.mark.parametrize(
    ("text", "language", "seconds"),
    [
        ("for ten minutes", "en", 600),
        ("ten minutes please", "en", 600),
        ("ten", "en", 600),
        ("10", "en", 600),
        ("make it an hour and a half", "en", 5400),
        ("um let's say twenty minutes", "en", 1200),
        ("zehn Minuten", "de", 600),
        ("für eine Viertelstunde bitte", "de", 900),
        ("anderthalb Stunden", "de", 5400),
        ("zehn", "de", 600),
        ("diez minutos", "es", 600),
        ("de media hora por favor", "es", 1800),
        ("dix minutes s'il te plaît", "fr", 600),
        ("une demi-heure", "fr", 1800),
        ("dieci minuti", "it", 600),
        ("di mezz'ora grazie", "it", 1800),
    ],
)
def test_a_length_of_time_that_was_asked_for(text: str, language: str, seconds: int) -> None:
    (one,) = read(text, language, HOW_LONG)
    assert one.intent == "timers.set_timer"
    assert one.complete
    assert one.confidence > 0.9
    spoken = one.slots[0]
    assert (spoken.name, spoken.value, spoken.origin) == ("duration", timedelta(seconds=seconds), SlotOrigin.SPOKEN)
    assert text[spoken.start : spoken.end] == spoken.text
    assert (one.slots[1].name, one.slots[1].origin) == ("label", SlotOrigin.CARRIED_OVER)
    assert one.slots[1].source_turn == "t1"


@pytest.mark.parametrize(
    ("text", "language", "room"),
    [
        ("the kitchen one", "en", "kitchen"),
        ("the one in the bedroom", "en", "bedroom"),
        ("kitchen", "en", "kitchen"),
        ("das in der Küche", "de", "kitchen"),
        ("im Schlafzimmer bitte", "de", "bedroom"),
        ("la de la cocina", "es", "kitchen"),
        ("celle de la cuisine", "fr", "kitchen"),
        ("quella della cucina", "it", "kitchen"),
        ("in camera", "it", "bedroom"),
    ],
)
def test_a_thing_of_a_catalogue_that_was_asked_for(text: str, language: str, room: str) -> None:
    (one,) = read(text, language, asked("room", "ENTITY", "home.turn_on"))
    value = one.slots[0].value
    assert isinstance(value, Entity)
    assert value.entity_id == room
    assert one.slots[0].catalogue_hit


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("what time is it in paris", "en"),
        ("add ten eggs to my shopping list", "en"),
        ("never mind", "en"),
        ("cancel that", "en"),
        ("turn off the lights in ten minutes", "en"),
        ("wie spät ist es", "de"),
        ("vergiss es", "de"),
        ("quelle heure est-il", "fr"),
        ("olvídalo", "es"),
        ("lascia stare", "it"),
        ("", "en"),
        ("?", "en"),
        ("ten minutes " * 40, "en"),
    ],
)
def test_a_new_command_is_no_answer(text: str, language: str) -> None:
    assert read(text, language, HOW_LONG) == ()


@pytest.mark.parametrize(
    ("text", "language", "hour"),
    [
        ("at seven", "en", 7),
        ("7 pm", "en", 19),
        ("half past three", "en", 15),
        ("um sieben", "de", 7),
        ("a las siete", "es", 7),
        ("à sept heures", "fr", 7),
        ("alle sette", "it", 7),
    ],
)
def test_a_time_that_was_asked_for_keeps_the_day_that_was_said(text: str, language: str, hour: int) -> None:
    monday = datetime(2026, 11, 23, tzinfo=UTC).date()
    (one,) = read(text, language, asked("at", "DATETIME", "timers.set_alarm", slot("at", monday)))
    (at,) = one.slots
    assert isinstance(at.value, datetime)
    assert (at.value.date(), at.value.hour) == (monday, hour)


def test_another_day_in_the_answer_replaces_the_one_before() -> None:
    monday = datetime(2026, 11, 23, tzinfo=UTC).date()
    (one,) = read("on friday at seven", "en", asked("at", "DATETIME", "timers.set_alarm", slot("at", monday)))
    value = one.slots[0].value
    assert isinstance(value, datetime)
    assert value.day == 27


def test_open_text_that_was_asked_for_gives_way_to_a_surer_reading() -> None:
    (one,) = read("oat milk and eggs", "en", asked("item", "TEXT", "lists.add"))
    assert one.slots[0].value == "oat milk and eggs"
    assert one.confidence < 0.8


def test_an_answer_that_the_question_offers() -> None:
    choices = (("The kitchen", "kitchen-lamp"), ("The hall", "hall-lamp"))
    (one,) = read("the hall please", "en", asked("device", "TEXT", "home.turn_on", choices=choices))
    assert (one.slots[0].value, one.confidence) == ("hall-lamp", 0.98)


@pytest.mark.parametrize(
    ("text", "language", "name", "region"),
    [
        ("and in Tokyo?", "en", "Tokyo", "JP"),
        ("what about London", "en", "London", "GB"),
        ("how about in new york", "en", "New York", "US"),
        ("und in Tokio?", "de", "Tokio", "JP"),
        ("und was ist mit Wien?", "de", "Wien", "AT"),
        ("¿y en Roma?", "es", "Roma", "IT"),
        ("¿y en Londres?", "es", "Londres", "GB"),
        ("et à Rome ?", "fr", "Rome", "IT"),
        ("et à Tokyo", "fr", "Tokyo", "JP"),
        ("e a Milano?", "it", "Milano", "IT"),
        ("e a Londra?", "it", "Londra", "GB"),
    ],
)
def test_the_last_question_for_another_place(text: str, language: str, name: str, region: str) -> None:
    (one,) = read(text, language, after("clock.time", slot("place", PARIS)))
    assert one.intent == "clock.time"
    assert len(one.slots) == 1
    value = one.slots[0].value
    assert isinstance(value, Place)
    assert value.region[:2] == region
    assert name.casefold() in text.casefold()
    assert one.confidence > 0.7


@pytest.mark.parametrize(
    ("text", "language", "day"),
    [
        ("what about tomorrow?", "en", 21),
        ("and on monday", "en", 23),
        ("und morgen?", "de", 21),
        ("und am Montag", "de", 23),
        ("¿y mañana?", "es", 21),
        ("¿y el lunes?", "es", 23),
        ("et demain ?", "fr", 21),
        ("e domani?", "it", 21),
    ],
)
def test_the_last_question_for_another_day_keeps_the_place(text: str, language: str, day: int) -> None:
    (one,) = read(text, language, after("notyet.weather", slot("place", PARIS)))
    spoken, carried = one.slots
    assert (spoken.name, spoken.value) == ("day", datetime(2026, 11, day, tzinfo=UTC).date())
    assert (carried.name, carried.value, carried.origin, carried.source_turn) == (
        "place",
        PARIS,
        SlotOrigin.CARRIED_OVER,
        "t1",
    )


def test_two_values_at_once() -> None:
    (one,) = read("and in london tomorrow", "en", after("notyet.weather", slot("place", PARIS)))
    assert [given.name for given in one.slots] == ["place", "day"]


def test_more_of_open_text() -> None:
    before = after("lists.add", slot("item", "milk"), slot("list", "shopping"))
    (one,) = read("and eggs please", "en", before)
    assert [(given.name, given.value) for given in one.slots] == [("item", "eggs"), ("list", "shopping")]


def test_small_talk_in_between_is_looked_over() -> None:
    before = Conversation(past=(Past("t2", "dialogue.thanks"), Past("t1", "clock.time", (slot("place", PARIS),))))
    (one,) = read("and in tokyo", "en", before)
    assert one.intent == "clock.time"


@pytest.mark.parametrize(
    "text",
    [
        "what time is it in tokyo",
        "tell me a joke about paris",
        "and what is the meaning of life",
        "and then he said hello",
        "thanks",
        "and",
        "paris hilton called yesterday evening",
    ],
)
def test_what_is_no_follow_up(text: str) -> None:
    assert read(text, "en", after("clock.time", slot("place", PARIS))) == ()


def test_a_value_alone_is_a_weaker_follow_up() -> None:
    (one,) = read("tokyo", "en", after("clock.time", slot("place", PARIS)))
    (other,) = read("and tokyo", "en", after("clock.time", slot("place", PARIS)))
    assert one.confidence < other.confidence


def test_nothing_follows_nothing() -> None:
    assert read("and in tokyo", "en", Conversation()) == ()
    assert read("and in tokyo", "en", after("gone.intent", slot("place", PARIS))) == ()


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("turn it off again", "en"),
        ("switch that off", "en"),
        ("mach es wieder aus", "de"),
        ("schalte sie aus", "de"),
        ("apágala", "es"),
        ("éteins-la", "fr"),
        ("spegnila", "it"),
    ],
)
def test_a_pronoun_gets_what_is_in_focus(text: str, language: str) -> None:
    before = after("home.turn_on", slot("device", "lamp"), slot("room", Entity("rooms", "kitchen", "kitchen", 0.9)))
    given = Evidence("home.turn_off", 0.8, 0, (), complete=True, sources=("engine",))
    (one,) = referred([given], [tokenise(text)], a_finder(language), INTENTS, before)
    assert {made.name: made.origin for made in one.slots} == dict.fromkeys(("device", "room"), SlotOrigin.CARRIED_OVER)
    assert all(made.source_turn == "t1" for made in one.slots)


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("turn off the lamp", "en"),
        ("mach das licht aus", "de"),
        ("apaga la luz", "es"),
        ("éteins la lumière", "fr"),
        ("spegni la luce", "it"),
    ],
)
def test_without_a_pronoun_nothing_is_added(text: str, language: str) -> None:
    before = after("home.turn_on", slot("room", Entity("rooms", "kitchen", "kitchen", 0.9)))
    given = Evidence("home.turn_off", 0.8, 0, (), complete=True, sources=("engine",))
    assert referred([given], [tokenise(text)], a_finder(language), INTENTS, before) == (given,)


def test_the_pronoun_itself_is_no_value() -> None:
    it = Slot("label", "it", "it", 7, 9, 0.5)
    given = Evidence("timers.cancel_timer", 0.8, 0, (it,), complete=True, sources=("engine",))
    (one,) = referred(
        [given], [tokenise("cancel it")], a_finder(), INTENTS, after("timers.set_timer", slot("label", "pasta"))
    )
    assert [(made.name, made.value) for made in one.slots] == [("label", "pasta")]


def test_a_pronoun_is_found_as_the_thing_that_was_talked_about() -> None:
    kitchen = Entity("rooms", "kitchen", "kitchen", 0.9)
    before = after("home.turn_on", slot("device", "lamp"), slot("room", kitchen))
    finder = Finder("en", Situation(NOW), Gazetteer.bundled(), {"home.rooms": ROOMS}, before.pointed)
    tokens = tokenise("turn it off")
    (place,) = finder.find("ENTITY", tokens, "home.rooms")
    assert (place.start, place.end, place.values) == (1, 2, (kitchen,))
    spoken = Slot("room", kitchen, "it", 5, 7, 0.7, catalogue_hit=True)
    given = Evidence("home.turn_off", 0.8, 0, (spoken,), complete=True, sources=("engine",))
    (one,) = referred([given], [tokens], finder, INTENTS, before)
    assert {made.name: made.origin for made in one.slots} == dict.fromkeys(("device", "room"), SlotOrigin.CARRIED_OVER)


def test_a_pronoun_stands_for_nothing_where_nothing_was_said() -> None:
    assert Conversation().pointed == ()
    assert a_finder().find("ENTITY", tokenise("turn it off"), "home.rooms") == ()


def test_a_pronoun_of_another_skill_gets_nothing() -> None:
    given = Evidence("timers.cancel_timer", 0.8, 0, (), complete=True, sources=("engine",))
    before = after("home.turn_on", slot("label", "x"))
    assert referred([given], [tokenise("cancel it")], a_finder(), INTENTS, before) == (given,)


def test_the_conversation_of_a_request() -> None:
    context = context_pb2.TurnContext()
    turn = context.past_turns.add(turn_id="t9")
    turn.interpretation.intent = "units.convert"
    turn.interpretation.slots.add(
        name="quantity", text="two litres", value=to_message(Quantity(Decimal(2), "L")), confidence=7
    )
    turn.interpretation.slots.add(name="nothing", text="?")
    prompt = context.pending_prompt
    prompt.kind, prompt.slot = answer_pb2.PROMPT_KIND_ELICIT_SLOT, "duration"
    prompt.value_type = value_pb2.VALUE_TYPE_DURATION
    prompt.interpretation.intent = "timers.set_timer"
    read_back = conversation(context)
    assert read_back.question is not None
    assert (read_back.question.slot, read_back.question.value_type) == ("duration", "DURATION")
    (given,) = read_back.past[0].slots
    assert (given.value, given.confidence, given.source_turn) == (Quantity(Decimal(2), "L"), 1.0, "t9")


def test_a_context_full_of_rubbish_is_bounded() -> None:
    context = context_pb2.TurnContext()
    for number in range(50):
        turn = context.past_turns.add(turn_id=str(number))
        for _ in range(200):
            made = turn.interpretation.slots.add(name="x", confidence=float("nan"))
            made.value.date.month = 13
            turn.interpretation.slots.add(name="y").value.decimal.value = "9" * 5000
            turn.interpretation.slots.add(name="z").value.text = "z"
    context.pending_prompt.ParseFromString(
        answer_pb2.Prompt(kind=answer_pb2.PROMPT_KIND_ELICIT_SLOT, slot="x").SerializeToString() + b"\x20\x63"
    )
    assert context.pending_prompt.value_type == 99
    read_back = conversation(context)
    assert len(read_back.past) == 10
    slots = list(chain.from_iterable(turn.slots for turn in read_back.past))
    assert all(one.name == "z" for one in slots)
    assert len(read_back.past[0].slots) <= MAX_SLOTS
