"""The bundled model on sentences it never saw: no worse than its card says, and better than the baseline beside it.

The baseline's figures are those that the training run wrote into the bundle (`scores.json`): the same sentences, the
same metrics, TF-IDF with logistic regression.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from services.nlu.app import BUNDLED
from services.nlu.engines.engine import OUT_OF_SCOPE
from services.nlu.engines.thin import ThinEngine
from services.nlu.text import normalise, tokenise
from services.nlu.values.arithmetic import read_expression
from services.runtime.model_store import ModelStore
from services.runtime.onnx import OnnxClient
from training.nlu_thin.data import Corpus, load
from training.nlu_thin.grammar import Example

pytestmark = pytest.mark.data

SCORES = json.loads((BUNDLED / "intents-thin" / "scores.json").read_text(encoding="utf-8"))
SEED = 1
_COMPUTE = "calculator.compute"


@dataclass(frozen=True)
class Measured:
    """Of one set: intents that were meant and guessed, and the confidence of the guess."""

    wanted: list[str]
    guessed: list[str]
    confidence: list[float]

    @property
    def accuracy(self) -> float:
        return float(np.mean([one == other for one, other in zip(self.wanted, self.guessed, strict=True)]))

    @property
    def false_accepts(self) -> float:
        outside = [guess for wanted, guess in zip(self.wanted, self.guessed, strict=True) if wanted == OUT_OF_SCOPE]
        return float(np.mean([guess != OUT_OF_SCOPE for guess in outside]))

    @property
    def calibration_error(self) -> float:
        """ECE over 15 bins."""
        right = np.array([one == other for one, other in zip(self.wanted, self.guessed, strict=True)])
        confidence = np.array(self.confidence)
        bins = np.minimum((confidence * 15).astype(int), 14)
        gaps = [(bins == at).mean() * abs(confidence[bins == at].mean() - right[bins == at].mean()) for at in set(bins)]
        return float(sum(gaps))


@pytest.fixture(scope="module")
def corpus(data: Path) -> Corpus:
    return load(SEED, data)


@pytest.fixture
async def engine() -> AsyncIterator[ThinEngine]:
    client = OnnxClient(ModelStore([BUNDLED]), threads=1)
    yield await ThinEngine.load(client)
    await client.close()


async def measure(engine: ThinEngine, examples: list[Example]) -> Measured:
    measured = Measured([], [], [])
    for at in range(0, len(examples), 64):
        some = examples[at : at + 64]
        readings = await engine.read([tokenise(normalise(one.text, field="text")) for one in some], None)
        for example, reading in zip(some, readings, strict=True):
            guess, confidence = max(reading.intents.items(), key=lambda item: item[1])
            measured.wanted.append(example.intent)
            measured.guessed.append(guess)
            measured.confidence.append(confidence)
    return measured


@pytest.mark.parametrize("name", ["slurp", "clinc", "patterns", "xsid"])
async def test_held_out_figures_are_those_of_the_card(engine: ThinEngine, corpus: Corpus, name: str) -> None:
    measured = await measure(engine, corpus.held_out[name])
    card: dict[str, Any] = SCORES[name]
    assert len(measured.wanted) == card["sentences"]
    assert measured.accuracy == pytest.approx(card["model"]["accuracy"], abs=0.003)
    assert measured.false_accepts == pytest.approx(card["model"]["false_accept"], abs=0.003)
    assert measured.accuracy > card["baseline"]["accuracy"]
    assert measured.false_accepts < card["baseline"]["false_accept"]


@pytest.mark.parametrize(("name", "most"), [("slurp", 0.02), ("clinc", 0.02), ("xsid", 0.03)])
async def test_confidence_is_calibrated(engine: ThinEngine, corpus: Corpus, name: str, most: float) -> None:
    assert (await measure(engine, corpus.held_out[name])).calibration_error < most


def test_nothing_held_out_was_trained_on(corpus: Corpus) -> None:
    trained = {" ".join(example.text.casefold().split()) for example in corpus.train}
    for name in ("slurp", "clinc"):
        assert not trained & {" ".join(example.text.casefold().split()) for example in corpus.held_out[name]}


def test_most_real_calculations_are_read(corpus: Corpus) -> None:
    """Sums that people typed or said, in digits: read, or nothing is answered."""
    asked = [one.text for name in ("slurp", "clinc") for one in corpus.held_out[name] if one.intent == _COMPUTE]
    numeric = [text for text in asked if any(char.isdigit() for char in text)]
    read = [text for text in numeric if read_expression(tokenise(text), "en")]
    assert len(numeric) >= 8
    assert len(read) / len(numeric) >= 0.75
