"""The multilingual bundle keeps the figures of its card, and a lexicon is worth what is said of it."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from services.nlu.app import BUNDLED
from services.nlu.engines.languages import LanguageEngine
from services.runtime.model_store import ModelStore
from services.runtime.onnx import OnnxClient
from training.nlu_languages import data
from training.nlu_languages.withheld import gain

pytestmark = [
    pytest.mark.data,
    pytest.mark.skipif(not Path(os.environ.get("ANTIPHON_DATA", "-")).is_dir(), reason="needs ANTIPHON_DATA"),
]

FIGURES = json.loads((BUNDLED / "intents-xsid" / "scores.json").read_text(encoding="utf-8"))["varieties"]
ROUNDING = 0.006  # embeddings are served in eight bits


@pytest.mark.parametrize("variety", ["da", "zh", "de-ba"])
async def test_a_variety_is_read_as_well_as_the_card_says(variety: str) -> None:
    client = OnnxClient(ModelStore([BUNDLED]), threads=1)
    engine = await LanguageEngine.load(client)
    sentences = data.xsid(variety, "test")
    right = hits = made = there = 0
    for one in sentences:
        (reading,) = await engine.read([one.tokens], None)
        right += max(reading.labels, key=reading.labels.__getitem__, default="") == f"xsid:{one.intent}"
        guessed = {(slot.name.removeprefix("xsid:"), slot.start, slot.end) for slot in reading.slots}
        hits += len(guessed & set(one.slots or ()))
        made, there = made + len(guessed), there + len(one.slots or ())
    await client.close()
    assert right / len(sentences) == pytest.approx(FIGURES[variety]["accuracy"], abs=ROUNDING)
    assert 2 * hits / (made + there) == pytest.approx(FIGURES[variety]["slot_f1"], abs=ROUNDING)


async def test_sentences_of_other_things_are_out_of_scope() -> None:
    client = OnnxClient(ModelStore([BUNDLED]), threads=1)
    engine = await LanguageEngine.load(client)
    readings = await engine.read([one.tokens for one in data.unknown()[:300]], None)
    await client.close()
    assert sum(reading.outside["xsid"] > 0.5 for reading in readings) > 0.9 * len(readings)


@pytest.mark.parametrize("language", ["da", "it"])
def test_a_lexicon_adds_ten_points_to_english_alone(language: str) -> None:
    english, translated = gain(language)
    assert translated >= english + 0.10
