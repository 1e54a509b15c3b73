"""Figures and baselines: intent accuracy, slot F1, and what models do that were trained on one variety alone."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline, make_union

from training.nlu_languages.data import Sentence
from training.nlu_languages.network import Array, Names

_LONGEST = 6
_BINS = 15

Spans = set[tuple[str, int, int]]


def accuracy(logits: Array, sentences: Sequence[Sentence], names: Names) -> float:
    """Among the intents: out of scope is no answer here."""
    found = logits[:, :-1].argmax(axis=1)
    return rounded(np.mean([names.intents[at] == one.intent for at, one in zip(found, sentences, strict=True)]))


def spans(tags: npt.NDArray[Any], names: Names) -> Spans:
    """BIO to spans; an I without a B of its name begins one."""
    told = [names.tags[number] for number in tags.argmax(axis=1)]
    found: Spans = set()
    start = 0
    while start < len(told):
        name = told[start][2:]
        end = start + 1
        if name:
            while end < len(told) and told[end] == f"I-{name}":
                end += 1
            found.add((name, start, end))
        start = end
    return found


def f1(guessed: Sequence[Spans], sentences: Sequence[Sentence]) -> float:
    """Micro-averaged over spans: name, beginning and end must be right."""
    wanted = [set(one.slots or ()) for one in sentences]
    hits = sum(len(one & other) for one, other in zip(guessed, wanted, strict=True))
    return rounded(2 * hits / max(1, sum(map(len, guessed)) + sum(map(len, wanted))))


def calibration_error(logits: Array, divisor: float, sentences: Sequence[Sentence], names: Names) -> float:
    probabilities = np.exp(logits / divisor - (logits / divisor).max(axis=1, keepdims=True))
    probabilities /= probabilities.sum(axis=1, keepdims=True)
    wanted = np.array([names.intents.index(one.intent) if one.intent in names.intents else -1 for one in sentences])
    sure, right = probabilities.max(axis=1), probabilities.argmax(axis=1) == wanted
    bins = np.minimum((sure * _BINS).astype(int), _BINS - 1)
    return rounded(
        sum((bins == at).mean() * abs(sure[bins == at].mean() - right[bins == at].mean()) for at in set(bins))
    )


def from_scratch(train: Sequence[Sentence], test: Sequence[Sentence]) -> float:
    """Accuracy of TF-IDF of words and characters with logistic regression."""
    model = make_pipeline(
        make_union(
            TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, token_pattern=r"\S+"),  # noqa: S106 - words
            TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 5), sublinear_tf=True),
        ),
        LogisticRegression(C=10, max_iter=300),
    )
    model.fit([one.text for one in train], [one.intent for one in train])
    return rounded(np.mean(model.predict([one.text for one in test]) == np.array([one.intent for one in test])))


def dictionary(train: Sequence[Sentence], test: Sequence[Sentence]) -> float:
    """Slot F1 of the longest values seen in training, each with its commonest slot."""
    seen: dict[tuple[str, ...], Counter[str]] = defaultdict(Counter)
    for one in train:
        for name, start, end in one.slots or ():
            seen[one.words[start:end]][name] += 1
    return f1([_looked_up(one.words, seen) for one in test], test)


def _looked_up(words: tuple[str, ...], seen: dict[tuple[str, ...], Counter[str]]) -> Spans:
    found: Spans = set()
    at = 0
    while at < len(words):
        for end in range(min(at + _LONGEST, len(words)), at, -1):
            if names := seen.get(words[at:end]):
                found.add((names.most_common(1)[0][0], at, end))
                at = end - 1
                break
        at += 1
    return found


def rounded(value: Any) -> float:
    return round(float(value), 4)
