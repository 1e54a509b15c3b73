"""The linear part of the model: logistic regression on the same hashed features, which the network then corrects.

On few sentences a linear model on bags of features is hard to beat, and it errs otherwise than a network does; the mean
of their logits is better than either. Weights are kept in eight bits, one scale per label.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import sparse
from sklearn.linear_model import LogisticRegression

from services.nlu.engines.features import BUCKETS
from training.nlu_intents.encoding import Integers
from training.nlu_intents.network import Array, eight_bits

STRENGTH = 1.0
_IDF_SCALE = 3.0
_NEVER = -12.0  # logit of a label that no sentence has


@dataclass(frozen=True)
class Linear:
    """`rows` int8 [buckets, labels] times `scales` [labels], summed over features and divided by the root of the number
    of tokens, plus `bias`."""

    rows: npt.NDArray[np.int8]
    scales: Array
    bias: Array

    def logits(self, ids: Integers) -> Array:
        """Of sentences [sentences, tokens, features]."""
        total = self.rows[ids].astype(np.float32).sum(axis=(1, 2)) * self.scales
        root = np.sqrt(np.maximum((ids.max(axis=2) > 0).sum(axis=1), 1))
        result: Array = (total / root[:, None] + self.bias).astype(np.float32)
        return result


def fit(ids: Sequence[Integers], wanted: Integers, labels: int) -> Linear:
    """Trained on the sentences that have a label (others are -1)."""
    rows = [at for at in range(len(ids)) if wanted[at] >= 0]
    matrix = _bags([ids[row] for row in rows])
    frequency = np.asarray((matrix > 0).sum(axis=0)).ravel()
    idf = (np.log((1 + len(rows)) / (1 + frequency)) + 1) / _IDF_SCALE
    model = LogisticRegression(C=STRENGTH, max_iter=150)
    model.fit(matrix @ sparse.diags(idf), wanted[rows])
    weights = np.zeros((BUCKETS, labels), np.float32)
    bias = np.full(labels, _NEVER, np.float32)
    weights[:, model.classes_] = (model.coef_ * idf).T
    bias[model.classes_] = model.intercept_
    weights[0] = 0
    return Linear(*eight_bits(weights), bias)


def _bags(ids: Sequence[Integers]) -> sparse.csr_matrix:
    rows, columns, values = [], [], []
    for at, one in enumerate(ids):
        features = one.reshape(-1)
        features = features[features > 0]
        tokens = max(1, int((one.max(axis=1) > 0).sum()))
        rows.append(np.full(len(features), at))
        columns.append(features)
        values.append(np.full(len(features), tokens**-0.5))
    parts = (np.concatenate(values), (np.concatenate(rows), np.concatenate(columns)))
    return sparse.csr_matrix(parts, (len(ids), BUCKETS))
