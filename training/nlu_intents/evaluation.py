"""Measures the model beside its baselines on what it never saw: SLURP test and CLINC150 val.

Intents: TF-IDF of words and characters with logistic regression, trained on the same sentences. Slots: the longest
values seen in training, each with its commonest slot.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import make_pipeline, make_union

from training.nlu_intents.data import OUT_OF_SCOPE, Corpus, Sentence
from training.nlu_intents.encoding import MASSIVE_LABELS, TAGS

_BINS = 15
_LONGEST = 6

Floats = npt.NDArray[np.floating[Any]]
Spans = set[tuple[str, int, int]]


def evaluate(
    corpus: Corpus, outputs: Mapping[str, tuple[Floats, Floats, Sequence[Floats]]], baseline: Mapping[str, float]
) -> dict[str, Any]:
    """The report.

    Args:
        baseline: as `baselines` tells.
        outputs: of "slurp" and "clinc", the probabilities of either head and the probabilities of tags per sentence.
    """
    labelled = [at for at, one in enumerate(corpus.slurp) if one.massive is not None]
    wanted = np.array([MASSIVE_LABELS.index(corpus.slurp[at].massive or "") for at in labelled])
    massive, _, tags = outputs["slurp"]
    inside = massive[labelled][:, :-1]
    guessed = [spans(tag, len(one.words)) for tag, one in zip(tags, corpus.slurp, strict=True)]
    truth = [set(one.slots or ()) for one in corpus.slurp]
    _, clinc, _ = outputs["clinc"]
    outside = np.array([one.clinc == OUT_OF_SCOPE for one in corpus.clinc])
    labels = corpus.clinc_labels
    right = np.array([labels.index(one.clinc or "") for one in corpus.clinc])
    return {
        "slurp": {
            "sentences": len(labelled),
            "model": {
                "accuracy": _round((inside.argmax(axis=1) == wanted).mean()),
                "accuracy_with_out_of_scope": _round((massive[labelled].argmax(axis=1) == wanted).mean()),
                "ece": calibration_error(massive[labelled], wanted),
                "slot_f1": f1(guessed, truth),
            },
            "baseline": baseline,
        },
        "clinc": {
            "sentences": len(corpus.clinc),
            "model": {
                "accuracy": _round((clinc[:, :].argmax(axis=1) == right)[~outside].mean()),
                "ece": calibration_error(clinc[~outside], right[~outside]),
                "out_of_scope_auc": _round(
                    roc_auc_score(outside, clinc[:, labels.index(OUT_OF_SCOPE)] + 1 - np.max(clinc, axis=1))
                ),
            },
        },
    }


def baselines(corpus: Corpus) -> dict[str, float]:
    """Accuracy and slot F1 on the sentences of SLURP, of models trained on the same sentences; takes minutes."""
    labelled = [at for at, one in enumerate(corpus.slurp) if one.massive is not None]
    wanted = np.array([MASSIVE_LABELS.index(corpus.slurp[at].massive or "") for at in labelled])
    return {
        "accuracy": _round((_baseline(corpus)[labelled].argmax(axis=1) == wanted).mean()),
        "slot_f1": f1(_dictionary(corpus), [set(one.slots or ()) for one in corpus.slurp]),
    }


def judged(
    sentences: Sequence[Sentence], massive: Any, clinc: Any, found: Mapping[str, Sequence[Floats]]
) -> dict[str, float]:
    """Accuracy of either head among its labels without out of scope, and slot F1, of logits or probabilities.

    Args:
        massive, clinc: int64 [sentences], the labels' numbers, -1 for none.
        found: "massive" and "clinc" [sentences][labels], "tags" [sentences][tokens, tags].
    """
    inside = np.array(found["massive"])[:, :-1].argmax(axis=1)
    named = (massive >= 0) & (massive < len(MASSIVE_LABELS) - 1)
    tagged = [at for at, one in enumerate(sentences) if one.slots is not None]
    guessed = [spans(found["tags"][at], len(sentences[at].words)) for at in tagged]
    return {
        "massive": _round((inside == massive)[named].mean()),
        "clinc": _round((np.array(found["clinc"]).argmax(axis=1) == clinc)[clinc >= 0].mean()),
        "slot_f1": f1(guessed, [set(sentences[at].slots or ()) for at in tagged]),
    }


def temperature(scores: Floats, wanted: npt.NDArray[np.int64]) -> float:
    """The divisor of the logits with the lowest negative log likelihood, on a grid; rows without a label are left."""
    rows = wanted >= 0
    best, least = 1.0, np.inf
    for divisor in np.linspace(0.5, 3.0, 51):
        scaled = scores[rows] / divisor
        top = scaled.max(axis=1)
        total = top + np.log(np.exp(scaled - top[:, None]).sum(axis=1))
        loss = float((total - scaled[np.arange(len(scaled)), wanted[rows]]).mean())
        if loss < least:
            best, least = float(divisor), loss
    return best


def spans(tags: Floats, count: int) -> Spans:
    """BIO to spans; an I without a B of its name begins one."""
    names = [TAGS[number] for number in tags[:count].argmax(axis=1)]
    found: Spans = set()
    start = 0
    while start < len(names):
        prefix, _, slot = names[start].partition("-")
        end = start + 1
        if prefix != "O":
            while end < len(names) and names[end] == f"I-{slot}":
                end += 1
            found.add((slot, start, end))
        start = end
    return found


def f1(guessed: Sequence[Spans], wanted: Sequence[Spans]) -> float:
    """Micro-averaged over spans: name, beginning and end must be right."""
    hits = sum(len(one & other) for one, other in zip(guessed, wanted, strict=True))
    made, there = sum(map(len, guessed)), sum(map(len, wanted))
    return _round(2 * hits / max(made + there, 1))


def calibration_error(probabilities: Floats, wanted: npt.NDArray[np.int64]) -> float:
    confidence, right = probabilities.max(axis=1), probabilities.argmax(axis=1) == wanted
    bins = np.minimum((confidence * _BINS).astype(int), _BINS - 1)
    gaps = [(bins == at).mean() * abs(confidence[bins == at].mean() - right[bins == at].mean()) for at in set(bins)]
    return _round(sum(gaps))


def _baseline(corpus: Corpus) -> Floats:
    """Probabilities of the 60 on the sentences of SLURP; trained on the labelled ones, each once."""
    rows = {
        one.key: MASSIVE_LABELS.index(one.massive) for one in corpus.train if one.massive not in (None, OUT_OF_SCOPE)
    }
    model = make_pipeline(
        make_union(
            TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, token_pattern=r"\S+"),  # noqa: S106 - words
            TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 5), sublinear_tf=True),
        ),
        LogisticRegression(C=10, max_iter=300),
    )
    model.fit(list(rows), list(rows.values()))
    found = np.zeros((len(corpus.slurp), len(MASSIVE_LABELS) - 1))
    found[:, model.classes_] = model.predict_proba([one.key for one in corpus.slurp])
    return found


def _dictionary(corpus: Corpus) -> list[Spans]:
    seen: dict[tuple[str, ...], Counter[str]] = defaultdict(Counter)
    for one in corpus.train:
        for name, start, end in one.slots or ():
            seen[one.words[start:end]][name] += 1
    return [_looked_up(one, seen) for one in corpus.slurp]


def _looked_up(one: Sentence, seen: dict[tuple[str, ...], Counter[str]]) -> Spans:
    found: Spans = set()
    at = 0
    while at < len(one.words):
        for end in range(min(at + _LONGEST, len(one.words)), at, -1):
            names = seen.get(one.words[at:end])
            if names:
                found.add((names.most_common(1)[0][0], at, end))
                at = end - 1
                break
        at += 1
    return found


def _round(value: Any) -> float:
    return round(float(value), 4)
