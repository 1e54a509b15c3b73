"""Ranking, n-best, slots and limits of the interpreter, over a scripted engine."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Any

import pytest

from services.nlu.engines.engine import TaggedSlot
from services.nlu.interpreter import Interpreter
from services.nlu.understanding import Alternative, Options, Situation, Understanding
from services.nlu.values.arithmetic import Expression
from services.nlu.values.places import Gazetteer, Place
from services.runtime.errors import FailedPrecondition, InvalidInput
from tests.fakes.intent_engine import ScriptedEngine
from tests.fakes.skill_manifests import empty_library

pytestmark = pytest.mark.unit

LATE_FRIDAY_IN_LONDON = Situation(datetime(2026, 11, 20, 23, 30, tzinfo=UTC), "Europe/London")
TIME = {"clock.time": 0.9}


async def interpret(
    engine: ScriptedEngine,
    *texts: str | Alternative,
    language: str = "en",
    options: Options | None = None,
    situation: Situation = LATE_FRIDAY_IN_LONDON,
) -> Understanding:
    alternatives = [Alternative(text) if isinstance(text, str) else text for text in texts]
    interpreter = Interpreter(engine, Gazetteer.bundled(), empty_library())
    return await interpreter.interpret(alternatives, language, options or Options(), situation, 1.5)


async def test_readings_are_ranked_and_out_of_scope_is_among_them() -> None:
    engine = ScriptedEngine({"stop it": {"dialogue.stop": 0.6, "clock.time": 0.1}})
    understanding = await interpret(engine, "stop it")
    assert [one.intent for one in understanding.interpretations] == ["dialogue.stop", "", "clock.time"]
    assert understanding.out_of_scope_score == pytest.approx(0.3)
    assert engine.deadlines == [1.5]


@pytest.mark.parametrize(
    ("probability", "threshold", "first"),
    [(0.6, 0.5, "clock.time"), (0.4, 0.5, ""), (0.4, 0.7, "clock.time"), (0.9, 0.05, ""), (0.0, 0.5, "")],
)
async def test_out_of_scope_leads_from_its_threshold_on(probability: float, threshold: float, first: str) -> None:
    engine = ScriptedEngine({"x": {"clock.time": probability}})
    understanding = await interpret(engine, "x", options=Options(out_of_scope_threshold=threshold))
    assert understanding.interpretations[0].intent == first


async def test_a_guess_among_many_unlikely_ones_is_none() -> None:
    engine = ScriptedEngine({"x": dict.fromkeys(("clock.time", "clock.date", "dialogue.stop"), 0.3)})
    assert (await interpret(engine, "x")).interpretations[0].out_of_scope


async def test_confidence_of_the_recogniser_weighs_the_alternatives() -> None:
    engine = ScriptedEngine({"stop": {"dialogue.stop": 1.0}, "time": {"clock.time": 1.0}})
    understanding = await interpret(engine, Alternative("stop", 0.2), Alternative("time", 0.6))
    assert understanding.interpretations[0].intent == "clock.time"
    assert understanding.interpretations[0].hypothesis == 1
    assert understanding.interpretations[0].intent_confidence == pytest.approx(0.75)
    assert (await interpret(engine, "stop", "time")).interpretations[0].intent == "dialogue.stop"


async def test_a_known_place_beats_a_misheard_one() -> None:
    place = (TaggedSlot("place", 2, 3, 0.95),)
    engine = ScriptedEngine({"time in rum": TIME, "time in rome": TIME}, {"time in rum": place, "time in rome": place})
    best = (await interpret(engine, "time in rum", "time in rome")).interpretations[0]
    assert best.hypothesis == 1
    assert best.slots[0].value == Place("Rome", "IT", "Europe/Rome")
    assert best.score == pytest.approx(0.9 * 0.95)


async def test_spans_count_code_points_of_the_echoed_text() -> None:
    words = "🕐 time in são paulo"
    engine = ScriptedEngine({words: TIME}, {words: (TaggedSlot("place", 3, 5, 0.9),)})
    understanding = await interpret(engine, "🕐 time in Sa\u0303o Paulo")
    slot = understanding.interpretations[0].slots[0]
    assert understanding.texts == ("🕐 time in São Paulo",)
    assert understanding.texts[0][slot.start : slot.end] == slot.text == "São Paulo"


async def test_a_place_that_was_not_tagged_is_found_with_less_confidence() -> None:
    engine = ScriptedEngine({"new york time": TIME})
    slot = (await interpret(engine, "new york time")).interpretations[0].slots[0]
    assert (slot.text, slot.catalogue_hit, slot.confidence) == ("new york", True, 0.6)


async def test_a_place_that_nobody_knows_is_still_said() -> None:
    engine = ScriptedEngine({"time in atlantis": TIME}, {"time in atlantis": (TaggedSlot("place", 2, 3, 0.9),)})
    slot = (await interpret(engine, "time in Atlantis")).interpretations[0].slots[0]
    assert (slot.value, slot.catalogue_hit) == (Place("Atlantis", "", ""), False)


@pytest.mark.parametrize(
    ("zone", "expected"),
    [("Europe/London", date(2026, 11, 21)), ("Asia/Tokyo", date(2026, 11, 22)), ("", date(2026, 11, 21))],
)
async def test_days_are_seen_from_where_the_user_is(zone: str, expected: date) -> None:
    words = "date tomorrow"
    engine = ScriptedEngine({words: {"clock.date": 0.9}}, {words: (TaggedSlot("day", 1, 2, 0.9),)})
    situation = replace(LATE_FRIDAY_IN_LONDON, time_zone=zone)
    assert (await interpret(engine, words, situation=situation)).interpretations[0].slots[0].value == expected


async def test_next_belongs_to_the_day_even_if_the_tagger_left_it_out() -> None:
    words = "what is the date next saturday"
    engine = ScriptedEngine({words: {"clock.date": 0.9}}, {words: (TaggedSlot("day", 5, 6, 0.9),)})
    slot = (await interpret(engine, words)).interpretations[0].slots[0]
    assert (slot.text, slot.value) == ("next saturday", date(2026, 11, 28))


async def test_a_day_that_cannot_be_told_stays_text() -> None:
    words = "what day is my birthday"
    engine = ScriptedEngine({words: {"clock.date": 0.9}}, {words: (TaggedSlot("day", 3, 5, 0.9),)})
    slot = (await interpret(engine, words)).interpretations[0].slots[0]
    assert slot.value == "my birthday"
    assert not slot.understood


async def test_expression_is_read_from_the_whole_sentence() -> None:
    words = "what is two plus two"
    engine = ScriptedEngine({words: {"calculator.compute": 0.9}}, {words: (TaggedSlot("expression", 3, 5, 0.8),)})
    slot = (await interpret(engine, words)).interpretations[0].slots[0]
    assert isinstance(slot.value, Expression)
    assert (slot.value.infix, slot.text, slot.confidence) == ("2 + 2", "two plus two", 0.8)


async def test_slots_of_other_intents_are_dropped_and_values_may_stay_text() -> None:
    words = "time in rome"
    tags = {words: (TaggedSlot("day", 0, 1, 0.9), TaggedSlot("place", 2, 3, 0.9))}
    engine = ScriptedEngine({words: TIME}, tags)
    slots = (await interpret(engine, words, options=Options(resolve_values=False))).interpretations[0].slots
    assert [(slot.name, slot.value) for slot in slots] == [("place", "rome")]


async def test_only_the_wanted_skills_are_in_scope() -> None:
    engine = ScriptedEngine({"x": {"clock.time": 0.8, "dialogue.stop": 0.2}})
    understanding = await interpret(engine, "x", options=Options(skills=frozenset({"dialogue"})))
    assert [one.intent for one in understanding.interpretations] == ["", "dialogue.stop"]
    assert understanding.out_of_scope_score == pytest.approx(0.8)


@pytest.mark.parametrize("count", [1, 2, 3])
async def test_no_more_readings_than_asked_for(count: int) -> None:
    engine = ScriptedEngine({"x": {"clock.time": 0.6, "clock.date": 0.2, "dialogue.stop": 0.1}})
    understanding = await interpret(engine, "x", options=Options(max_interpretations=count))
    assert len(understanding.interpretations) == count
    assert understanding.interpretations[0].intent == "clock.time"


@pytest.mark.parametrize(("asked", "served"), [("de-AT", "de"), ("en_us", "en"), ("gsw", "de")])
async def test_locale_falls_back(asked: str, served: str) -> None:
    assert (await interpret(ScriptedEngine({}), "x", language=asked)).language == served


async def test_a_locale_without_model_is_named() -> None:
    with pytest.raises(FailedPrecondition) as caught:
        await interpret(ScriptedEngine({}), "x", language="ja")
    assert (caught.value.reason, caught.value.metadata) == ("LOCALE_NOT_SERVED", {"locale": "ja"})


@pytest.mark.parametrize(
    ("arguments", "field"),
    [
        ({"texts": ()}, "alternatives"),
        ({"texts": ("x",) * 31}, "alternatives"),
        ({"texts": ("x", " ")}, "alternatives[1].spoken_text"),
        ({"texts": (Alternative("x", 1.5),)}, "alternatives[0].confidence"),
        ({"texts": (Alternative("x", float("nan")),)}, "alternatives[0].confidence"),
        ({"language": "not a tag"}, "language_code"),
        ({"options": Options(max_interpretations=0)}, "options.max_interpretations"),
        ({"options": Options(out_of_scope_threshold=2)}, "options.out_of_scope_threshold"),
        ({"situation": Situation(time_zone="Mars/Olympus")}, "context.session.time_zone"),
    ],
)
async def test_bad_input_names_its_field(arguments: dict[str, Any], field: str) -> None:
    texts = arguments.pop("texts", ("x",))
    with pytest.raises(InvalidInput) as caught:
        await interpret(ScriptedEngine({}), *texts, **arguments)
    assert caught.value.field == field
