"""The bundled model through the embedded client: what a user says, and what nobody should send."""

from __future__ import annotations

import random
import statistics
import time
from collections.abc import AsyncIterator
from datetime import UTC, date, datetime
from pathlib import Path

import numpy as np
import pytest

from services.nlu.acts import Act, dialogue_acts
from services.nlu.app import BUNDLED
from services.nlu.engines.features import BUCKETS, MAX_TOKENS, SLOTS, encode
from services.nlu.engines.thin import ThinEngine
from services.nlu.interpreter import Interpreter
from services.nlu.text import tokenise
from services.nlu.understanding import Alternative, Options, Situation, Understanding
from services.nlu.values.arithmetic import Expression
from services.nlu.values.places import Gazetteer, Place
from services.runtime.errors import FailedPrecondition
from services.runtime.model_store import ModelStore
from services.runtime.onnx import OnnxClient
from tests.fakes.skill_manifests import empty_library
from tests.unit.nlu.test_text import HOSTILE
from tests.unit.runtime.tiny_graphs import graph, write_bundle

pytestmark = pytest.mark.unit

NOW = Situation(datetime(2026, 11, 20, 12, 0, tzinfo=UTC), "Europe/Vienna")


@pytest.fixture
async def interpreter() -> AsyncIterator[Interpreter]:
    client = OnnxClient(ModelStore([BUNDLED]), threads=1)
    yield Interpreter(await ThinEngine.load(client), Gazetteer.bundled(), empty_library())
    await client.close()


async def read(interpreter: Interpreter, text: str, language: str = "en") -> Understanding:
    return await interpreter.interpret([Alternative(text)], language, Options(), NOW)


def short(value: object) -> object:
    """A slot's value in a form that a table can hold."""
    if isinstance(value, Place):
        return value.time_zone
    return value.infix if isinstance(value, Expression) else value


@pytest.mark.parametrize(
    ("text", "language", "intent", "slots"),
    [
        ("what time is it", "en", "clock.time", {}),
        ("What time is it in San Francisco right now?", "en", "clock.time", {"place": "America/Los_Angeles"}),
        ("what's the time in new york city", "en", "clock.time", {"place": "America/New_York"}),
        ("what time is it in the us", "en", "clock.time", {"place": ""}),
        ("what day is it", "en", "clock.date", {}),
        ("what's the date next friday", "en", "clock.date", {"day": date(2026, 11, 27)}),
        ("what day is it tomorrow", "en", "clock.date", {"day": date(2026, 11, 21)}),
        ("what is seven hundred and five divided by five", "en", "calculator.compute", {"expression": "705 / 5"}),
        ("what's fifteen percent of eighty", "en", "calculator.compute", {"expression": "15% * 80"}),
        ("square root of 144", "en", "calculator.compute", {"expression": "sqrt(144)"}),
        ("hello", "en", "dialogue.greeting", {}),
        ("what can you do", "en", "dialogue.help", {}),
        ("thank you", "en", "dialogue.thanks", {}),
        ("goodbye", "en", "dialogue.goodbye", {}),
        ("say that again please", "en", "dialogue.repeat", {}),
        ("stop", "en", "dialogue.stop", {}),
        ("play some jazz", "en", "", {}),
        ("what's the weather in paris", "en", "", {}),
        ("set an alarm for seven", "en", "", {}),
        ("wie spät ist es in münchen", "de-AT", "clock.time", {"place": "Europe/Berlin"}),
        ("was ist siebenhundertfünf geteilt durch fünf", "de", "calculator.compute", {"expression": "705 / 5"}),
        ("welcher tag ist übermorgen", "de", "clock.date", {"day": date(2026, 11, 22)}),
        ("quelle heure est-il à Paris", "fr", "clock.time", {"place": "Europe/Paris"}),
        ("qué hora es en Madrid", "es", "clock.time", {"place": "Europe/Madrid"}),
        ("quanto fa dodici per nove", "it", "calculator.compute", {"expression": "12 * 9"}),
    ],
)
async def test_what_people_say(
    interpreter: Interpreter, text: str, language: str, intent: str, slots: dict[str, object]
) -> None:
    best = (await read(interpreter, text, language)).interpretations[0]
    assert best.intent == intent
    assert {slot.name: short(slot.value) for slot in best.slots} == slots


@pytest.mark.parametrize("text", [*HOSTILE.values(), "(" * 4000, "😀" * 4000, "one plus " * 440, "²", "१", ".", "\x00"])
async def test_hostile_text_is_read_or_out_of_scope_in_bounded_time(interpreter: Interpreter, text: str) -> None:
    started = time.process_time()
    understanding = await interpreter.interpret([Alternative(text)] * 30, "en", Options(), NOW)
    assert time.process_time() - started < 0.5
    assert sum(one.intent_confidence for one in understanding.interpretations) == pytest.approx(1, abs=0.1)


async def test_no_code_points_break_it(interpreter: Interpreter) -> None:
    rng = random.Random(7)
    pieces = "what time is it in two plus next friday the 5th of ² ½ ٣ १ — - % ( ) √ x .".split()
    for _ in range(400):
        words = [rng.choice(pieces) if rng.random() < 0.6 else chr(_code_point(rng)) for _ in range(rng.randint(1, 12))]
        text = rng.choice(["", " "]).join(words)
        if text.isspace():
            continue
        understanding = await read(interpreter, text, rng.choice(["en", "de", "fr", "es", "it"]))
        for reading in understanding.interpretations:
            for slot in reading.slots:
                assert understanding.texts[0][slot.start : slot.end] == slot.text != ""


def _code_point(rng: random.Random) -> int:
    """Any but the surrogates."""
    return rng.choice([rng.randrange(1, 0xD800), rng.randrange(0xE000, 0x1FFFF)])


async def test_padding_changes_nothing(interpreter: Interpreter) -> None:
    alone = await read(interpreter, "what time is it in tokyo")
    padded = await interpreter.interpret(
        [Alternative("what time is it in tokyo", 1.0), Alternative("a " * 60, 0.0)], "en", Options(), NOW
    )
    assert padded.interpretations[0].score == pytest.approx(alone.interpretations[0].score, abs=1e-5)


async def test_three_milliseconds_a_sentence(interpreter: Interpreter) -> None:
    seconds = []
    for _ in range(100):
        started = time.perf_counter()
        await read(interpreter, "what time is it in san francisco right now")
        seconds.append(time.perf_counter() - started)
    assert statistics.median(seconds) < 0.003


async def test_a_bundle_of_another_kind_is_refused(tmp_path: Path) -> None:
    write_bundle(tmp_path / "product", graph([("MatMul", ["a", "b"], ["c"])], ["a", "b"], ["c"]), ["a", "b"], ["c"])
    client = OnnxClient(ModelStore([tmp_path]))
    with pytest.raises(FailedPrecondition) as caught:
        await ThinEngine.load(client, "test/product")
    assert caught.value.reason == "MODEL_DEFINITION_INVALID"
    await client.close()


def test_features_have_their_bounds() -> None:
    encoded = encode(tokenise("supercalifragilisticexpialidocious " * 100))
    assert encoded.shape == (1, MAX_TOKENS, SLOTS)
    assert 0 <= encoded.min() <= encoded.max() < BUCKETS
    assert not np.any(encode(()))


@pytest.mark.parametrize(
    ("text", "language", "act"),
    [
        ("yes", "en", Act.AFFIRM),
        ("yeah sure go ahead", "en", Act.AFFIRM),
        ("no thanks", "en", Act.DENY),
        ("yes no", "en", Act.DENY),
        ("nein danke", "de", Act.DENY),
        ("oui merci", "fr", Act.AFFIRM),
        ("thanks", "en", Act.THANK),
        ("what time is it", "en", Act.REQUEST),
    ],
)
async def test_dialogue_acts(interpreter: Interpreter, text: str, language: str, act: Act) -> None:
    acts = dialogue_acts(await read(interpreter, text, language))
    assert acts[0].act is act


@pytest.mark.parametrize("text", ["is it right to say no to yes men", "play yes", "what time is it"])
async def test_a_yes_inside_a_sentence_is_no_answer(interpreter: Interpreter, text: str) -> None:
    acts = dialogue_acts(await read(interpreter, text))
    assert not {Act.AFFIRM, Act.DENY} & {one.act for one in acts}
