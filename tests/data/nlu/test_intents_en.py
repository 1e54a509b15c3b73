"""The trained English model on sentences it never saw, as it is served: no worse than its card says.

The baselines' figures are those that the training run wrote into the bundle (`scores.json`), of the same sentences.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from services.nlu.app import BUNDLED
from services.nlu.engines.labels import LabelEngine, LabelReading
from services.nlu.text import Token
from services.runtime.model_store import ModelStore
from services.runtime.onnx import OnnxClient
from training.nlu_intents.data import OUT_OF_SCOPE, Corpus, Sentence, load

pytestmark = pytest.mark.data

SCORES = json.loads((BUNDLED / "intents-en" / "scores.json").read_text(encoding="utf-8"))
_SLACK = 0.004
LEAST_ACCURACY = 0.869
LEAST_MARGIN = 0.03
LEAST_SLOT_F1 = 0.73
LEAST_OUT_OF_SCOPE_AUC = 0.975
MOST_CALIBRATION_ERROR = 0.045
"""Of SLURP test and CLINC150 val, just within what the card says."""


@pytest.fixture(scope="module")
def corpus(data: Path) -> Corpus:
    return load(SCORES["seed"], data=data)


@pytest.fixture
async def engine() -> AsyncIterator[LabelEngine]:
    client = OnnxClient(ModelStore([BUNDLED]), threads=1)
    yield await LabelEngine.load(client)
    await client.close()


@dataclass(frozen=True)
class Read:
    """A sentence with what the engine says."""

    sentence: Sentence
    reading: LabelReading

    def best(self, taxonomy: str) -> tuple[str, float]:
        return max(
            ((name, share) for name, share in self.reading.labels.items() if name.startswith(f"{taxonomy}:")),
            key=lambda one: one[1],
            default=("", 0.0),
        )


async def read(engine: LabelEngine, sentences: Sequence[Sentence]) -> list[Read]:
    made: list[Read] = []
    for at in range(0, len(sentences), 64):
        some = sentences[at : at + 64]
        readings = await engine.read([[Token(0, 0, word) for word in one.words] for one in some], None)
        made += [Read(one, reading) for one, reading in zip(some, readings, strict=True)]
    return made


def calibration_error(done: Sequence[Read], bins: int = 15) -> float:
    """Expected calibration error of the likeliest of the 60 intents and out of scope."""
    told = [max(one.best("massive"), ("", one.reading.outside["massive"]), key=lambda two: two[1]) for one in done]
    confidence = np.array([share for _, share in told])
    right = np.array([name == f"massive:{one.sentence.massive}" for (name, _), one in zip(told, done, strict=True)])
    places = np.minimum((confidence * bins).astype(int), bins - 1)
    gaps = [(places == at).mean() * abs(confidence[places == at].mean() - right[places == at].mean()) for at in places]
    return float(sum(gap / (places == at).sum() for gap, at in zip(gaps, places, strict=True)))


def doubt(one: Read) -> float:
    """How far a sentence is from every label of CLINC150."""
    return one.reading.outside["clinc150"] + 1 - max(one.best("clinc150")[1], one.reading.outside["clinc150"])


async def test_intents_and_slots_of_slurp_are_read_as_the_card_says(engine: LabelEngine, corpus: Corpus) -> None:
    card: dict[str, Any] = SCORES["slurp"]
    done = await read(engine, corpus.slurp)
    labelled = [one for one in done if one.sentence.massive is not None]
    assert len(labelled) == card["sentences"]
    accuracy = float(np.mean([one.best("massive")[0] == f"massive:{one.sentence.massive}" for one in labelled]))
    assert accuracy == pytest.approx(card["model"]["accuracy"], abs=_SLACK)
    assert accuracy >= LEAST_ACCURACY
    assert accuracy >= card["baseline"]["accuracy"] + LEAST_MARGIN
    assert calibration_error(labelled) <= MOST_CALIBRATION_ERROR
    hits = guessed = wanted = 0
    for one in done:
        truth = {(f"massive:{name}", start, end) for name, start, end in one.sentence.slots or ()}
        spans = {(slot.name, slot.start, slot.end) for slot in one.reading.slots}
        hits, guessed, wanted = hits + len(truth & spans), guessed + len(spans), wanted + len(truth)
    f1 = 2 * hits / (guessed + wanted)
    assert f1 == pytest.approx(card["model"]["slot_f1"], abs=_SLACK)
    assert f1 >= LEAST_SLOT_F1
    assert f1 > card["baseline"]["slot_f1"]


async def test_intents_of_clinc_are_read_and_the_rest_is_told_apart(engine: LabelEngine, corpus: Corpus) -> None:
    card: dict[str, Any] = SCORES["clinc"]
    done = await read(engine, corpus.clinc)
    inside = [one for one in done if one.sentence.clinc != OUT_OF_SCOPE]
    accuracy = float(np.mean([one.best("clinc150")[0] == f"clinc150:{one.sentence.clinc}" for one in inside]))
    assert accuracy >= card["model"]["accuracy"] - _SLACK
    outside = [doubt(one) for one in done if one.sentence.clinc == OUT_OF_SCOPE]
    scores = np.array([doubt(one) for one in inside])
    ranked = float(np.mean([(scores < one).mean() + (scores == one).mean() / 2 for one in outside]))
    assert ranked >= LEAST_OUT_OF_SCOPE_AUC


def test_nothing_held_out_was_trained_on(corpus: Corpus) -> None:
    trained = {one.key for one in corpus.train} | {one.key for one in corpus.calibration}
    assert not trained & {one.key for one in (*corpus.slurp, *corpus.clinc)}
