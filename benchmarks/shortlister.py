"""Which of 150 intents a sentence is for, and whether for any: top 1, recall at 3 and out of scope on CLINC150.

    ANTIPHON_DATA=... python -m benchmarks shortlister

Trained on `train`; the sentences of `val` and `oos_val` are halved by their words: on one half the out-of-scope score
is calibrated, on the other all figures are taken. Three readers: binary models, one for each intent, as `UpdateSkill`
trains them; the CLINC150 head of the bundled English model, which was trained without `val`; and the mean of both. The
baseline is TF-IDF of words with logistic regression: it needs scikit-learn (`pip install -r requirements/train.txt`, an
environment of its own) and is left out where that is missing.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib.util
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.clinc import Clinc, Labelled, as_skill
from services.nlu.engines.labels import LabelEngine
from services.nlu.one_vs_all.book import OneVsAll, probabilities
from services.nlu.one_vs_all.teaching import Surroundings, teach
from services.nlu.text import tokenise
from services.runtime.model_store import ModelStore
from services.runtime.onnx import OnnxClient

LIMITS = {"top 1": 0.90, "recall at 3": 0.97, "out of scope, AUC": 0.95}
"""What the best reader must reach."""

BUNDLED = Path(__file__).parents[1] / "services" / "nlu" / "models"

Floats = npt.NDArray[np.float64]
Reader = Callable[[Sequence[str]], Floats]
"""Sentences to probabilities [sentences, intents + 1], the last that of none."""


def binary_models(train: dict[str, list[str]]) -> Reader:
    skills = [as_skill(name, sentences) for name, sentences in train.items()]
    began = time.perf_counter()
    around = Surroundings(skills)
    book = OneVsAll.of([teach(one, around) for one in skills], "en")
    seconds = time.perf_counter() - began
    print(
        f"one model for each intent: trained in {seconds:.0f} s, {seconds / len(skills) * 1000:.0f} ms each; ", end=""
    )
    print(f"index {book.bytes / 1e6:.1f} MB")

    def read(texts: Sequence[str]) -> Floats:
        made = [probabilities(book.scores(tokenise(text))) for text in texts]
        return np.array([[*likely, outside] for likely, outside in made], np.float64)

    return read


async def english_model(train: dict[str, list[str]], texts: Sequence[str]) -> Floats:
    client = OnnxClient(ModelStore.with_bundled(BUNDLED), threads=1)
    engine = await LabelEngine.load(client)
    rows = []
    for text in texts:
        (reading,) = await engine.read([tokenise(text)], None)
        rows.append([*(reading.labels.get(f"clinc150:{name}", 0.0) for name in train), reading.outside["clinc150"]])
    await client.close()
    return np.array(rows, np.float64)


def baseline(train: dict[str, list[str]]) -> Reader:
    """TF-IDF of words and their pairs; logistic regression over all intents."""
    sklearn: Any = importlib.import_module("sklearn.feature_extraction.text")
    linear: Any = importlib.import_module("sklearn.linear_model")
    pipeline: Any = importlib.import_module("sklearn.pipeline")
    words = sklearn.TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True)
    model = pipeline.make_pipeline(words, linear.LogisticRegression(C=10, max_iter=300))
    model.fit(
        [text for texts in train.values() for text in texts],
        [at for at, texts in enumerate(train.values()) for _ in texts],
    )

    def read(texts: Sequence[str]) -> Floats:
        likely = model.predict_proba(list(texts))
        return np.hstack([likely, 1 - likely.max(axis=1, keepdims=True)])

    return read


def auc(outside: Floats, inside: Floats) -> float:
    """Probability that a sentence out of scope scores higher than one in scope."""
    above = (outside[:, None] > inside[None, :]).mean() + 0.5 * (outside[:, None] == inside[None, :]).mean()
    return float(above)


def calibrated(scores: Floats, outside: npt.NDArray[np.bool_]) -> Callable[[Floats], Floats]:
    """Platt's scaling of a probability's log odds; both kinds of sentence weigh the same. Steps are bounded."""
    odds = _odds(scores)
    weights = np.where(outside, 0.5 / outside.mean(), 0.5 / (~outside).mean())
    held = np.array([0.5, 0.0])
    for _ in range(100):
        made = 1 / (1 + np.exp(-(held[0] * odds + held[1])))
        error, curve = weights * (made - outside), weights * made * (1 - made)
        gradient = np.array([error @ odds, error.sum()])
        bend = np.array([[curve @ odds**2, curve @ odds], [curve @ odds, curve.sum()]]) + np.eye(2)
        held = held - np.linalg.solve(bend, gradient).clip(-0.5, 0.5)
    slope, bias = float(held[0]), float(held[1])

    def fitted(others: Floats) -> Floats:
        return 1 / (1 + np.asarray(np.exp(-(slope * _odds(others) + bias)), np.float64))

    return fitted


def _odds(probabilities: Floats) -> Floats:
    bounded = probabilities.clip(1e-6, 1 - 1e-6)
    return np.asarray(np.log(bounded / (1 - bounded)), np.float64)


def calibration_error(confidence: Floats, right: npt.NDArray[np.bool_], weights: Floats) -> float:
    """Expected calibration error over ten equal bins."""
    bins = np.minimum((confidence * 10).astype(int), 9)
    total = 0.0
    for at in range(10):
        held = bins == at
        if held.any():
            share = weights[held] / weights[held].sum()
            total += weights[held].sum() / weights.sum() * abs(share @ confidence[held] - share @ right[held])
    return float(total)


def told(name: str, likely: Floats, said: Sequence[Labelled], intents: Sequence[str]) -> dict[str, float]:
    """Prints one reader's figures, taken on the second half; its out-of-scope score is fitted on the first."""
    outside = np.array([not one.intent for one in said])
    first = np.array([one.first_half for one in said])
    right = np.array([intents.index(one.intent) if one.intent else -1 for one in said])
    fitted = calibrated(likely[first, -1], outside[first])
    test = ~first
    inside = test & ~outside
    order = np.argsort(-likely[:, :-1], axis=1)
    score = fitted(likely[test, -1])
    both = np.where(outside[test], 0.5 / outside[test].mean(), 0.5 / (~outside[test]).mean())
    shares = likely[inside, :-1].max(axis=1)
    figures = {
        "top 1": float((order[inside, 0] == right[inside]).mean()),
        "recall at 3": float((order[inside, :3] == right[inside, None]).any(axis=1).mean()),
        "out of scope, AUC": auc(likely[test & outside, -1], likely[inside, -1]),
        "its ECE": calibration_error(score, outside[test], both),
        "ECE of intents": calibration_error(shares, order[inside, 0] == right[inside], np.ones(inside.sum())),
    }
    print(f"  {name:<44}" + "".join(f"{figures[key]:>9.3f}" for key in figures))
    return figures


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.parse_args(arguments)
    clinc = Clinc()
    intents, texts = list(clinc.train), [one.text for one in clinc.validation]
    models = binary_models(clinc.train)(texts)
    english = asyncio.run(english_model(clinc.train, texts))
    halves = [sum(one.first_half == first and bool(one.intent) is inside for one in clinc.validation)
              for first in (True, False) for inside in (True, False)]  # fmt: skip
    print(
        f"calibrated on {halves[0]} + {halves[1]} sentences, measured on {halves[2]} + {halves[3]} (in + out of scope)"
    )
    print(f"  {'':<44}{'top 1':>9}{'rec. 3':>9}{'OOS AUC':>9}{'OOS ECE':>9}{'ECE':>9}")
    figures = [
        told("binary models, one for each intent", models, clinc.validation, intents),
        told("the English model's CLINC150 head", english, clinc.validation, intents),
        told("mean of both", (models + english) / 2, clinc.validation, intents),
    ]
    if importlib.util.find_spec("sklearn") is not None:
        told("baseline: TF-IDF, logistic regression", baseline(clinc.train)(texts), clinc.validation, intents)
    else:
        print("  no scikit-learn here: the baseline is left out")
    best = max(figures, key=lambda one: one["top 1"])
    for name, limit in LIMITS.items():
        print(f"{name}: {best[name]:.3f} limit {limit:.2f}  {'PASS' if best[name] >= limit else 'MISS'}")


if __name__ == "__main__":
    main()
