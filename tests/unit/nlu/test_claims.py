"""Labels of public taxonomies lead to the intents that claim them, with their slots, beside phrases."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from antiphon.skill.v1 import manifest_pb2
from antiphon.types.v1 import value_pb2
from services.nlu.combining import Evidence, beforehand, merged, shares, tempered
from services.nlu.engines.engine import TaggedSlot
from services.nlu.interpreter import Interpreter
from services.nlu.manifests import skill_of
from services.nlu.sources import PHRASES
from services.nlu.understanding import Alternative, Options, Situation, Slot, Understanding
from services.nlu.values.places import Gazetteer
from tests.fakes.intent_engine import ScriptedEngine
from tests.fakes.label_reader import ScriptedLabels
from tests.fakes.skill_manifests import empty_library

pytestmark = pytest.mark.unit

NOON = Situation(datetime(2026, 11, 20, 12, 0, tzinfo=UTC), "Europe/Vienna")
TIMER = "get me going again in ten minutes"


def manifest(skill_id: str, intent: str, *labels: str, phrases: tuple[str, ...] = ()) -> manifest_pb2.SkillManifest:
    made = manifest_pb2.SkillManifest(skill_id=skill_id, version="1.0.0", locales=["en"])
    one = made.intents.add(name=intent, labels=labels)
    one.slots.add(name="duration", value_type=value_pb2.VALUE_TYPE_DURATION, required=True, labels=["massive:time"])
    one.slots.add(name="label", value_type=value_pb2.VALUE_TYPE_TEXT, labels=["massive:event_name"])
    if phrases:
        one.phrases.add(language_code="en", phrases=phrases)
    return made


async def interpret(
    labels: ScriptedLabels, *manifests: manifest_pb2.SkillManifest, said: tuple[str, ...], skills: tuple[str, ...] = ()
) -> Understanding:
    library = empty_library()
    for one in manifests:
        await library.update(skill_of(one), one.SerializeToString(deterministic=True), "key")
    interpreter = Interpreter(ScriptedEngine({}), Gazetteer.bundled(), library, [labels])
    options = Options(skills=frozenset(skills))
    return await interpreter.interpret([Alternative(text) for text in said], "en", options, NOON)


async def test_a_label_leads_to_the_intent_that_claims_it() -> None:
    labels = ScriptedLabels({TIMER: {"clinc150:timer": 0.9}})
    best = (await interpret(labels, manifest("timers", "set", "clinc150:timer"), said=(TIMER,))).interpretations[0]
    assert best.intent == "timers.set"
    assert best.sources == ("test/labels@1",)
    assert [(slot.name, slot.value) for slot in best.slots] == [("duration", timedelta(minutes=10))]


async def test_a_label_that_nobody_claims_is_out_of_scope() -> None:
    labels = ScriptedLabels({TIMER: {"clinc150:timer": 0.9}})
    understanding = await interpret(labels, manifest("lamps", "on", "massive:iot_hue_lighton"), said=(TIMER,))
    assert understanding.interpretations[0].out_of_scope
    assert understanding.out_of_scope_score > 0.9


async def test_two_skills_with_one_label_share_it() -> None:
    labels = ScriptedLabels({TIMER: {"clinc150:timer": 0.9}})
    understanding = await interpret(
        labels, manifest("timers", "set", "clinc150:timer"), manifest("eggs", "boil", "clinc150:timer"), said=(TIMER,)
    )
    first, second = understanding.interpretations[:2]
    assert {first.intent, second.intent} == {"timers.set", "eggs.boil"}
    assert first.intent_confidence == pytest.approx(second.intent_confidence)


async def test_tagged_words_fill_open_text() -> None:
    tags = {TIMER: (TaggedSlot("massive:event_name", 2, 4, 0.8), TaggedSlot("massive:time", 5, 7, 0.9))}
    labels = ScriptedLabels({TIMER: {"massive:alarm_set": 0.8}}, tags)
    understanding = await interpret(labels, manifest("timers", "set", "massive:alarm_set"), said=(TIMER,))
    values = {slot.name: slot.text for slot in understanding.interpretations[0].slots}
    assert values == {"label": "going again", "duration": "ten minutes"}


async def test_a_phrase_and_a_label_for_one_intent_are_one_reading() -> None:
    said = "timer for ten minutes"
    labels = ScriptedLabels({said: {"clinc150:timer": 0.9}})
    timers = manifest("timers", "set", "clinc150:timer", phrases=("timer for {duration|ten minutes}",))
    understanding = await interpret(labels, timers, said=(said,))
    best = understanding.interpretations[0]
    assert [one.intent for one in understanding.interpretations].count("timers.set") == 1
    assert set(best.sources) == {PHRASES, "test/labels@1"}
    assert best.intent_confidence > 0.97


async def test_skills_that_are_not_wanted_are_out_of_scope() -> None:
    labels = ScriptedLabels({TIMER: {"clinc150:timer": 0.9}})
    timers = manifest("timers", "set", "clinc150:timer")
    assert (await interpret(labels, timers, said=(TIMER,), skills=("clock",))).interpretations[0].out_of_scope


async def test_the_alternative_that_speaks_for_the_label_gives_the_slots() -> None:
    labels = ScriptedLabels({TIMER: {"clinc150:timer": 0.95}})
    timers = manifest("timers", "set", "clinc150:timer")
    best = (await interpret(labels, timers, said=("get me going again in ten men its", TIMER))).interpretations
    reading = next(one for one in best if one.intent == "timers.set")
    assert reading.hypothesis == 1


def evidence(intent: str, confidence: float, *slots: Slot, complete: bool = False, source: str = "a") -> Evidence:
    return Evidence(intent, confidence, 0, slots, complete, (source,))


def test_a_full_set_of_values_beats_words() -> None:
    words = Slot("at", "seven", "seven", 0, 5, 0.9)
    value = Slot("at", timedelta(hours=7), "seven", 0, 5, 0.8)
    (one,) = merged([evidence("a.b", 0.9, words), evidence("a.b", 0.6, value, complete=True, source="b")])
    assert one.slots == (value,)
    assert one.confidence > 0.9
    assert one.sources == ("a", "b")


def test_slots_of_another_engine_are_added_where_they_fit() -> None:
    place, day = Slot("place", "x", "x", 0, 1, 0.9), Slot("day", "y", "y", 2, 3, 0.9)
    (one,) = merged([evidence("a.b", 0.9, place), evidence("a.b", 0.5, day)])
    assert [slot.name for slot in one.slots] == ["place", "day"]


@pytest.mark.parametrize(
    ("trained", "phrases", "in_scope"),
    [({}, {}, (0.0,)), ({"a": 0.5, "b": 0.2}, {}, (0.7, 0.0)), ({"a": 0.1}, {"b": 0.97, "c": 0.4}, (0.1, 0.97))],
)
def test_probabilities_sum_to_one(
    trained: dict[str, float], phrases: dict[str, float], in_scope: tuple[float, float]
) -> None:
    probabilities, outside = shares(trained, phrases, in_scope)
    assert sum(probabilities.values()) + outside == pytest.approx(1)


def test_a_phrase_said_whole_beats_a_likely_label() -> None:
    probabilities, _ = shares({"a": 0.8, "b": 0.1}, {"b": 0.97}, (0.9, 0.97))
    assert probabilities["b"] > 0.7


def test_probabilities_of_one_trained_engine_stay_as_they_are() -> None:
    probabilities, outside = shares({"a": 0.6, "b": 0.1}, {}, (0.7, 0.0))
    assert [probabilities["a"], probabilities["b"], outside] == pytest.approx([0.6, 0.1, 0.3])


def reading(intent: str, confidence: float = 0.8, *, complete: bool, values: tuple[Slot, ...] = ()) -> Evidence:
    return Evidence(intent, confidence, 0, values, complete, (PHRASES,))


TEN = Slot("duration", timedelta(minutes=10), "ten minutes", 0, 11, 0.95)


def test_a_value_that_two_engines_read_is_as_sure_as_the_surer_says() -> None:
    tagged = reading("timers.set", 0.9, complete=True, values=(replace(TEN, confidence=0.6, start=4, end=15),))
    (one,) = merged([tagged, reading("timers.set", 0.7, complete=True, values=(TEN,))])
    assert [slot.confidence for slot in one.slots] == [0.95]
    other = replace(TEN, value=timedelta(minutes=2))
    (one,) = merged([tagged, reading("timers.set", 0.7, complete=True, values=(other,))])
    assert [slot.confidence for slot in one.slots] == [0.6]


def test_a_reading_with_all_its_values_is_likelier_than_one_without() -> None:
    whole = reading("timers.set", complete=True, values=(TEN,))
    likely = beforehand(
        [whole, reading("lists.add", complete=False, values=(TEN,)), reading("clock.time", complete=True)], []
    )
    assert likely.keys() == {"timers.set"}
    said = {"timers.set": 0.8}
    with_, without = (shares({"calendar.ask": 0.7}, said, (0.7, 0.8), prior)[0] for prior in (likely, {}))
    assert with_["timers.set"] > without["timers.set"]


def test_a_phrase_said_whole_is_likelier_than_one_with_words_left_over() -> None:
    said = [reading("home.status", 0.97, complete=True, values=(TEN,)), reading("home.off", 0.9, complete=True)]
    likely = beforehand(said, [])
    probabilities, _ = shares({"home.off": 0.5}, {one.intent: one.confidence for one in said}, (0.5, 0.97), likely)
    assert probabilities["home.status"] > 2 * probabilities["home.off"]
    assert beforehand([reading("home.status", 0.97, complete=False)], []) == {}


def test_a_guess_that_lacks_its_values_is_worth_less_where_another_has_them() -> None:
    whole = reading("timers.set", complete=True, values=(TEN,))
    guess = reading("sums.compute", 0.9, complete=False)
    trained = {"sums.compute": 0.9, "clock.time": 0.05}
    evidence = (whole, guess, reading("clock.time", 0.05, complete=True))
    doubted = tempered(trained, evidence, beforehand([whole], []), 0.0)
    assert doubted == {"sums.compute": pytest.approx(0.45), "clock.time": pytest.approx(0.05)}
    assert tempered(trained, evidence, {}, 0.0) == trained


def test_the_conversation_explains_what_a_model_of_sentences_cannot() -> None:
    eggs = reading("lists.add", 0.75, complete=True)
    trained = {"recipes.find": 0.4}
    likely = beforehand([], [eggs])
    alone = shares(trained, {"lists.add": 0.75}, (0.5,))[0]
    doubted = tempered(trained, [eggs, reading("recipes.find", 0.4, complete=True)], likely, 0.75)
    together, outside = shares(doubted, {"lists.add": 0.75}, (0.5, 0.0, 0.75), likely)
    assert alone["lists.add"] / alone["recipes.find"] < 2 < together["lists.add"] / together["recipes.find"]
    assert outside == pytest.approx(0.5 * 0.25)
