"""Measures the thin model beside TF-IDF with logistic regression, both trained and calibrated on the same sentences."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from training.nlu_thin.data import Corpus
from training.nlu_thin.encoding import INTENTS, TAGS, Encoded
from training.nlu_thin.grammar import Example
from training.nlu_thin.network import Array, Network, softmax
from training.nlu_thin.templates import OUT_OF_SCOPE

_BINS = 15


def evaluate(corpus: Corpus, network: Network, divisor: float, seed: int) -> dict[str, Any]:
    """Per held-out set: accuracy, in-scope recall, false accepts, macro F1, calibration error, slot F1."""
    baseline = make_pipeline(
        TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, token_pattern=r"\w+"),  # noqa: S106 - words, no secret
        LogisticRegression(C=20, max_iter=300, random_state=seed, class_weight="balanced"),
    )
    baseline.fit([example.text for example in corpus.train], [INTENTS.index(one.intent) for one in corpus.train])
    report: dict[str, Any] = {"temperature": round(divisor, 4), "train_sentences": len(corpus.train)}
    for name, examples in corpus.held_out.items():
        data = Encoded(examples)
        probabilities, slots = _run(network, data, divisor)
        report[name] = {
            "sentences": len(examples),
            "model": scores(probabilities, data.intents) | slots,
            "baseline": scores(baseline.predict_proba([example.text for example in examples]), data.intents),
        }
    return report


def scores(probabilities: npt.NDArray[np.floating[Any]], wanted: npt.NDArray[np.int64]) -> dict[str, float]:
    guesses = probabilities.argmax(axis=1)
    outside = INTENTS.index(OUT_OF_SCOPE)
    inside = wanted != outside
    result = {
        "accuracy": float((guesses == wanted).mean()),
        "false_accept": float((guesses[~inside] != outside).mean()) if (~inside).any() else 0.0,
        "ece": _calibration_error(probabilities, wanted),
    }
    if inside.any():
        result["in_scope_accuracy"] = float((guesses[inside] == wanted[inside]).mean())
        result["macro_f1"] = float(np.mean([_f1(guesses, wanted, label) for label in sorted(set(wanted[inside]))]))
    return {name: round(value, 4) for name, value in result.items()}


def _f1(guesses: npt.NDArray[np.int64], wanted: npt.NDArray[np.int64], label: int) -> float:
    hits = int(((guesses == label) & (wanted == label)).sum())
    return 2 * hits / max(int((guesses == label).sum() + (wanted == label).sum()), 1)


def _calibration_error(probabilities: npt.NDArray[np.floating[Any]], wanted: npt.NDArray[np.int64]) -> float:
    """Expected calibration error of the first guess, 15 equal bins (Guo et al. 2017)."""
    confidence, right = probabilities.max(axis=1), probabilities.argmax(axis=1) == wanted
    bins = np.minimum((confidence * _BINS).astype(int), _BINS - 1)
    gaps = [(bins == at).mean() * abs(confidence[bins == at].mean() - right[bins == at].mean())
            for at in range(_BINS) if (bins == at).any()]  # fmt: skip
    return float(np.sum(gaps))


def _run(network: Network, data: Encoded, divisor: float) -> tuple[Array, dict[str, float]]:
    logits, spans = [], []
    for batch in data.batches(128):
        intents, tags = network.forward(batch.ids)
        logits.append(intents)
        best = tags.argmax(axis=2)
        spans += [_spans(row[: int((ids.max(axis=1) > 0).sum())]) for row, ids in zip(best, batch.ids, strict=True)]
    return softmax(np.concatenate(logits) / divisor), _slot_f1(data, spans)


def _slot_f1(data: Encoded, guessed: list[set[tuple[str, int, int]]]) -> dict[str, float]:
    """Micro F1 of exact spans on in-scope sentences whose slots somebody marked."""
    hits = found = there = 0
    for example, tags, guess in zip(data.examples, data.tags, guessed, strict=True):
        if _measurable(example):
            wanted = _spans(tags)
            hits, found, there = hits + len(guess & wanted), found + len(guess), there + len(wanted)
    return {"slot_f1": round(2 * hits / (found + there), 4)} if there else {}


def _measurable(example: Example) -> bool:
    return example.spans is not None and example.intent != OUT_OF_SCOPE


def _spans(tags: npt.NDArray[np.int64]) -> set[tuple[str, int, int]]:
    """Half-open token spans; an I without a B begins one, as in the service."""
    found: set[tuple[str, int, int]] = set()
    start, slot = 0, ""
    for at, number in enumerate([*tags, 0]):
        prefix, _, name = TAGS[max(int(number), 0)].partition("-")
        if slot and (prefix != "I" or name != slot):
            found.add((slot, start, at))
            slot = ""
        if prefix != "O" and not slot:
            start, slot = at, name
    return found
