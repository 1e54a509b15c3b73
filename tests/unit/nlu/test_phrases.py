"""The phrase engine: what fits a phrase, what nearly does, what does not, and what it costs to find out."""

from __future__ import annotations

import random
import time

import pytest

from services.nlu.engines.phrase_index import EXACT_CONFIDENCE
from services.nlu.engines.phrase_sentence import PhraseReading
from services.nlu.engines.phrases import PhraseBook
from services.nlu.skills import Skill
from services.nlu.text import normalise, tokenise
from services.nlu.understanding import Situation
from services.nlu.values.entities import Catalogue, CatalogueEntry
from services.nlu.values.finder import Finder
from services.nlu.values.places import Gazetteer
from tests.fakes.skill_manifests import skill
from tests.unit.nlu.test_text import HOSTILE

pytestmark = pytest.mark.unit

ROOMS = Catalogue(
    "rooms",
    False,
    (CatalogueEntry("kitchen", {"en": ("kitchen",)}), CatalogueEntry("living", {"en": ("living room", "lounge")})),
)
CLOCK = skill("clock", {"time": {"en": ["what time is it", "what time is it in {place|rome}"]}}, {"place": "PLACE"})
LIGHTS = skill(
    "lights",
    {
        "on": {"en": ["turn on the lights", "turn on the lights in the {room}"], "de": ["mach das licht an"]},
        "off": {"en": ["turn off the lights", "turn off the lights in the {room}"], "de": ["mach das licht aus"]},
    },
    {"room": "ENTITY@rooms"},
    catalogues=(ROOMS,),
)
LISTS = skill(
    "lists",
    {
        "add": {"en": ["add {item|milk}", "add {item|milk} to my {list|shopping} list"]},
        "read": {"en": ["read my list"]},
    },
    {"item": "TEXT!", "list": "TEXT"},
)
SUMS = skill("sums", {"compute": {"en": ["what is {expression}", "{expression}"]}}, {"expression": "EXPRESSION!"})
ALL = (CLOCK, LIGHTS, LISTS, SUMS)


def read(text: str, *skills: Skill, locale: str = "en", allowed: frozenset[str] = frozenset()) -> list[PhraseReading]:
    catalogues = {f"{one.skill_id}.{held.name}": held for one in skills or ALL for held in one.catalogues}
    finder = Finder(locale, Situation(), Gazetteer.bundled(), catalogues)
    return PhraseBook(skills or ALL, locale).read(tokenise(normalise(text, field="text")), finder, allowed)


def slots(reading: PhraseReading, text: str) -> dict[str, str]:
    tokens = tokenise(text)
    return {one.spec.name: text[tokens[one.start].start : tokens[one.end - 1].end] for one in reading.slots}


@pytest.mark.parametrize(
    ("text", "intent", "filled"),
    [
        ("what time is it", "clock.time", {}),
        ("What's the time?", "", {}),
        ("turn off the lights", "lights.off", {}),
        ("turn on the lights in the kitchen", "lights.on", {"room": "kitchen"}),
        ("add oat milk and eggs to my shopping list", "lists.add", {"item": "oat milk and eggs", "list": "shopping"}),
        ("add batteries", "lists.add", {"item": "batteries"}),
    ],
)
def test_what_is_said_word_by_word(text: str, intent: str, filled: dict[str, str]) -> None:
    readings = read(text)
    if not intent:
        assert not readings or readings[0].confidence < 0.9
        return
    assert readings[0].intent.full_name == intent
    assert readings[0].confidence > 0.88
    assert slots(readings[0], text) == filled


@pytest.mark.parametrize(
    ("text", "intent", "filled"),
    [
        ("please turn off the lights", "lights.off", {}),
        ("could you turn the lights off", "lights.off", {}),
        ("turn off lights", "lights.off", {}),
        ("in the kitchen turn off the lights please", "lights.off", {"room": "kitchen"}),
        ("trun off the ligths in the kitchen", "lights.off", {"room": "kitchen"}),
        ("in tokyo what time is it", "clock.time", {"place": "tokyo"}),
    ],
)
def test_what_is_said_otherwise(text: str, intent: str, filled: dict[str, str]) -> None:
    best = read(text)[0]
    assert best.intent.full_name == intent
    assert 0.5 < best.confidence < EXACT_CONFIDENCE
    assert slots(best, text).keys() == filled.keys()


@pytest.mark.parametrize(
    "text",
    [
        "play some jazz",
        "what is the capital of france",
        "what is the matter with you today",
        "the lights of the city are beautiful at night and everybody looks at them",
        "i read the news in the kitchen",
        "what",
        "is it",
        "the",
    ],
)
def test_what_no_phrase_says_is_not_read(text: str) -> None:
    assert all(one.confidence < 0.5 for one in read(text))


def test_opposites_are_told_apart() -> None:
    for word, other in (("on", "off"), ("off", "on")):
        readings = {one.intent.name: one.confidence for one in read(f"turn {word} the lights")}
        assert readings[word] > EXACT_CONFIDENCE - 0.01
        assert readings.get(other, 0.0) < 0.5


def test_expressions_swallow_nothing_but_expressions() -> None:
    (best, *_) = read("what is three times four")
    assert best.intent.full_name == "sums.compute"
    assert best.confidence > 0.9
    assert not [one for one in read("what is love") if one.intent.skill == "sums" and one.confidence > 0.3]


def test_a_name_that_an_open_catalogue_lacks_is_words_with_little_confidence() -> None:
    best = read("turn on the lights in the winter garden")[0]
    (slot,) = best.slots
    assert (slot.spec.name, slot.found, slot.confidence) == ("room", None, 0.5)


def test_a_name_of_small_words_is_found() -> None:
    songs = Catalogue(
        "songs",
        True,
        (CatalogueEntry("u2", {"en": ("with or without you",)}), CatalogueEntry("all", {"en": ("all of me",)})),
    )
    player = skill("player", {"play": {"en": ["play {song}"]}}, {"song": "ENTITY@songs!"}, catalogues=(songs,))
    (best, *_) = read("play all of me", player)
    assert (best.complete, slots(best, "play all of me")) == (True, {"song": "all of me"})


def test_a_closed_catalogue_takes_no_other_name() -> None:
    closed = skill(
        "lights",
        {"on": {"en": ["turn on the {room}"]}},
        {"room": "ENTITY@rooms!"},
        catalogues=(Catalogue("rooms", True, ROOMS.entries),),
    )
    assert read("turn on the kitchen", closed)[0].complete
    assert not any(one.slots for one in read("turn on the winter garden", closed))


def test_phrases_without_a_telling_word_count_only_where_their_slots_have_values() -> None:
    said = {"ask": {"en": ["can i have a {day|tomorrow}", "may i have a {day|tomorrow}", "i have a {day|tomorrow}"]}}
    others = [skill(f"days{at}", said, {"day": "DATE!"}) for at in range(9)]
    drinks = Catalogue("drinks", True, (CatalogueEntry("latte", {"en": ("latte",)}),))
    orders = {"order": {"en": ["give me a {drink|latte}", "can i have a {drink|latte}"]}}
    bar = skill("zebra_bar", orders, {"drink": "ENTITY@drinks!"}, catalogues=(drinks,))
    (best, *_) = read("can i have a latte", *others, bar)
    assert (best.intent.full_name, best.complete) == ("zebra_bar.order", True)
    assert slots(best, "can i have a latte") == {"drink": "latte"}


def test_the_right_one_of_many_phrases_of_an_intent_is_found() -> None:
    lead = ["", "please ", "could you ", "would you ", "can you ", "i want you to ", "i would like you to ", "let us "]
    verbs = [
        "{before}turn {way} {device|fan}",
        "{before}turn {device|fan} {way}",
        "{before}turn {way} the {device|fan}",
    ]
    verbs += ["{before}turn {way} the {room} {device|fan}", "{before}turn the {room} {device|fan} {way}"]
    said = {
        way: {
            "en": [
                *(verb.replace("{before}", one).replace("{way}", way) for one in lead for verb in verbs),
                f"turn {way} the {{device|fan}} in the {{room}}",
            ]
        }
        for way in ("on", "off")
    }
    fan = Catalogue("devices", False, (CatalogueEntry("fan", {"en": ("fan",)}),))
    slots_ = {"device": "ENTITY@devices!", "room": "ENTITY@rooms"}
    text = "turn off the fan in the living room"
    (best, *_) = read(text, skill("home", said, slots_, catalogues=(fan, ROOMS)))
    assert (best.intent.name, best.complete) == ("off", True)
    assert best.confidence > 0.95
    assert slots(best, text) == {"device": "fan", "room": "living room"}


def test_what_is_close_but_not_meant_takes_a_phrase_back() -> None:
    rings = {"stop": {"en": ["stop the music"]}}
    said = skill("player", rings)
    denied = skill("player", rings, negatives={"stop": {"en": ["do not stop the music"]}})
    assert read("do not stop the music", said)[0].confidence > 0.3
    assert all(one.confidence < 0.2 for one in read("do not stop the music", denied))
    assert read("stop the music", denied)[0].confidence > 0.9


def test_two_skills_with_one_phrase_are_both_told() -> None:
    other = skill("lamps", {"off": {"en": ["turn off the lights"]}})
    readings = read("turn off the lights", LIGHTS, other)
    assert {one.intent.full_name for one in readings[:2]} == {"lights.off", "lamps.off"}
    assert readings[0].confidence == readings[1].confidence == EXACT_CONFIDENCE


def test_only_allowed_skills_are_read() -> None:
    assert {one.intent.skill for one in read("turn off the lights", allowed=frozenset({"clock"}))} <= {"clock"}


@pytest.mark.parametrize(("locale", "text"), [("de-AT", "mach das licht aus"), ("de", "Mach das Licht aus!")])
def test_phrases_of_a_language_serve_its_regions(locale: str, text: str) -> None:
    assert read(text, locale=locale)[0].intent.full_name == "lights.off"


def test_a_skill_without_phrases_for_the_locale_is_passed_over() -> None:
    assert read("add milk", locale="de") == []


@pytest.mark.parametrize(
    "text", [*HOSTILE.values(), "turn " * 800, "add " + "x y " * 990, "{item}", "a" * 4000, "²", "…"]
)
def test_hostile_text_is_read_in_bounded_time(text: str) -> None:
    book = PhraseBook(ALL, "en")
    finder = Finder("en", Situation(), Gazetteer.bundled(), {})
    tokens = tokenise(text)
    started = time.process_time()
    readings = book.read(tokens, finder)
    assert time.process_time() - started < 1.0
    for one in readings:
        assert 0 <= one.confidence <= 1
        assert all(0 <= slot.start < slot.end <= len(tokens) for slot in one.slots)


def test_spans_stay_within_the_sentence_whatever_is_said() -> None:
    rng = random.Random(3)
    words = (
        "turn off on the lights in kitchen add to my shopping list what time is it three times four o'clock -".split()
    )
    for _ in range(300):
        text = " ".join(rng.choices(words, k=rng.randint(1, 14)))
        tokens = tokenise(text)
        for reading in read(text):
            taken = [at for one in reading.slots for at in range(one.start, one.end)]
            assert len(set(taken)) == len(taken)
            assert all(0 <= at < len(tokens) for at in taken)


def test_fifteen_hundred_phrases_take_milliseconds() -> None:
    verbs = "open close start pause find show play read send book order rent paint clean".split()
    things = "door window radio song page letter table car wall floor ticket film lamp shelf".split()
    many = [
        skill(f"skill{number}", {verb: {"en": [f"{verb} the {thing} number {number}" for thing in things]}})
        for number in range(8)
        for verb in verbs
    ]
    book = PhraseBook([*many, *ALL], "en")
    assert len(book.patterns) > 1500
    finder = Finder("en", Situation(), Gazetteer.bundled(), {})
    said = [tokenise(text) for text in ("open the door number 3", "turn off the lights", "book me a ticket to rome")]
    for tokens in said:
        book.read(tokens, finder)
    spent = []
    for _ in range(20):
        for tokens in said:
            started = time.process_time()
            book.read(tokens, finder)
            spent.append(time.process_time() - started)
    assert sorted(spent)[len(spent) // 2] < 0.006
