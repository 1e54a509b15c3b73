"""How well understanding reads many languages: one model for all, a lexicon in the place of sentences, examples.

    python -m benchmarks languages [--sentences=N]

In process, and needs `$ANTIPHON_DATA`. The multilingual bundle reads xSID `test`, up to N sentences of each variety,
one at a time as the service does; accuracy among its intents beside that of its baselines, which the bundle tells
(models of one variety each: TF-IDF with logistic regression; a dictionary of slots). Then what `AddLocale` is worth:
Dutch, Italian and Danish by the small model that it trains, on English sentences alone and with their word-by-word
translation (limit: 10 points). Last, examples of a request: 10 intents of CLINC150 `val` that the model does not know,
5 examples of each, others to be told apart.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import statistics
import time
from pathlib import Path

from services.nlu.app import BUNDLED
from services.nlu.engines.languages import LanguageEngine
from services.nlu.in_context import ExampleReader
from services.nlu.library import Shelf
from services.nlu.sources import Heard
from services.nlu.text import tokenise
from services.nlu.understanding import Example, Options, Situation
from services.nlu.values.finder import Finder
from services.nlu.values.places import Gazetteer
from services.runtime.model_store import ModelStore
from services.runtime.onnx import OnnxClient
from training.nlu_languages import data
from training.nlu_languages.withheld import WITHHELD, covered, gain

GAIN = 10.0
"""Points of accuracy that a lexicon should add to English sentences alone."""

LIMIT_MS = 3.0
"""CPU milliseconds per sentence, median."""

_EPISODES, _INTENTS, _SHOTS, _ASKED = 10, 10, 5, 6


async def varieties(engine: LanguageEngine, most: int) -> bool:
    told = json.loads((BUNDLED / "intents-xsid" / "scores.json").read_text(encoding="utf-8"))["varieties"]
    costs, rights = [], []
    print("variety   sentences  intents  (own model)  slot F1  (dictionary)")
    for variety in data.varieties("test"):
        sentences = data.xsid(variety, "test")[:most]
        right = hits = made = there = 0
        for one in sentences:
            started = time.process_time()
            (reading,) = await engine.read([one.tokens], None)
            costs.append(1e3 * (time.process_time() - started))
            right += max(reading.labels, key=reading.labels.__getitem__, default="") == f"xsid:{one.intent}"
            guessed = {(slot.name.removeprefix("xsid:"), slot.start, slot.end) for slot in reading.slots}
            hits += len(guessed & set(one.slots or ()))
            made, there = made + len(guessed), there + len(one.slots or ())
        own = told[variety]
        rights.append(right / len(sentences))
        print(
            f"{variety:8} {len(sentences):10} {rights[-1]:8.1%} {own['baseline_accuracy']:12.1%} "
            f"{2 * hits / (made + there):8.3f} {own['baseline_slot_f1']:12.3f}"
        )
    cost = statistics.median(costs)
    size = engine.info.size_bytes / 1e6
    print(f"mean {statistics.mean(rights):.1%}; p50 {cost:.2f} ms (limit {LIMIT_MS}); {size:.1f} MB for all of them")
    return cost <= LIMIT_MS


def lexicons() -> bool:
    held = True
    for language in WITHHELD:
        english, translated = gain(language)
        points = 100 * (translated - english)
        held &= points >= GAIN
        print(
            f"AddLocale {language}: English alone {english:.1%}, with a lexicon that covers {covered(language):.0%} "
            f"{translated:.1%}: {points:+.1f} points (limit {GAIN:+.0f})"
        )
    return held


async def examples(engine: LanguageEngine) -> None:
    path = Path(os.environ["ANTIPHON_DATA"]) / "text" / "clinc150" / "data_full.json"
    by_intent: dict[str, list[str]] = {}
    for text, intent in json.loads(path.read_text(encoding="utf-8"))["val"]:
        by_intent.setdefault(f"x.{intent}", []).append(text)
    reader = ExampleReader(engine)
    finder = Finder("en", Situation(), Gazetteer.bundled(), {})
    rng = random.Random(0)
    rights = []
    for _ in range(_EPISODES):
        chosen = {
            intent: rng.sample(by_intent[intent], _SHOTS + _ASKED) for intent in rng.sample(sorted(by_intent), _INTENTS)
        }
        shown = [Example(text, intent) for intent, texts in chosen.items() for text in texts[:_SHOTS]]
        for intent, texts in chosen.items():
            for text in texts[_SHOTS:]:
                heard = Heard((text,), [tokenise(text)], [1.0])
                made, _ = await reader.read(heard, Options(examples=tuple(shown)), Shelf(), finder, "en", None)
                rights.append(max(made, key=lambda one: one.confidence).intent == intent)
    right = statistics.mean(rights)
    print(f"examples: {_INTENTS} intents, {_SHOTS} of each: {right:.1%} of {len(rights)} right (chance 10 %)")


async def measure(most: int) -> bool:
    client = OnnxClient(ModelStore([BUNDLED]), threads=1)
    engine = await LanguageEngine.load(client)
    held = await varieties(engine, most)
    held &= lexicons()
    await examples(engine)
    await client.close()
    return held


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks languages", description=__doc__)
    parser.add_argument("--sentences", type=int, default=500, help="of each variety at most")
    if not asyncio.run(measure(parser.parse_args(arguments).sentences)):
        raise SystemExit("a limit does not hold")
