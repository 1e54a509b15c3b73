"""The linear part of the model: logistic regression on the same hashed features; its logits are added to a network's.

On few sentences a linear model on bags of features is hard to beat, and it errs otherwise than a network does. Weights
are kept in eight bits, one scale per intent.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import sparse
from sklearn.linear_model import LogisticRegression

from services.nlu.engines.language_features import BUCKETS, encode
from training.nlu_languages.data import Sentence
from training.nlu_languages.network import Array, Names

_STRENGTH = 2.0


@dataclass(frozen=True)
class Linear:
    """`rows` int8 [BUCKETS, intents] times `scales` [intents], summed over features, divided by the root of their
    number, plus `bias`."""

    rows: npt.NDArray[np.int8]
    scales: Array
    bias: Array

    def logits(self, sentences: Sequence[Sentence]) -> Array:
        found = _bags(sentences) @ self.rows.astype(np.float32) * self.scales + self.bias
        result: Array = np.asarray(found, np.float32)
        return result


def fit(sentences: Sequence[Sentence], names: Names) -> Linear:
    matrix = _bags(sentences)
    frequency = np.asarray((matrix > 0).sum(axis=0)).ravel()
    idf = np.log((1 + len(sentences)) / (1 + frequency)) + 1
    model = LogisticRegression(C=_STRENGTH, max_iter=80)
    model.fit(matrix @ sparse.diags(idf), [names.intents.index(one.intent) for one in sentences])
    weights = np.zeros((BUCKETS, len(names.intents)), np.float32)
    weights[:, model.classes_] = (model.coef_ * idf).T
    weights[0] = 0
    scales = np.maximum(np.abs(weights).max(axis=0) / 127, 1e-9).astype(np.float32)
    return Linear(np.round(weights / scales).astype(np.int8), scales, model.intercept_.astype(np.float32))


def _bags(sentences: Sequence[Sentence]) -> sparse.csr_matrix:
    rows, columns, values = [], [], []
    for at, one in enumerate(sentences):
        features = encode(one.tokens)
        features = features[features > 0]
        rows.append(np.full(len(features), at))
        columns.append(features)
        values.append(np.full(len(features), max(1, len(features)) ** -0.5, np.float32))
    parts = (np.concatenate(values), (np.concatenate(rows), np.concatenate(columns)))
    return sparse.csr_matrix(parts, (len(sentences), BUCKETS))
