"""A small model of intents learnt in seconds, in the service: what a locale that is added is read by.

`lessons.py` trains one in a process of its own; `training/nlu_languages` measures the same code. Multinomial logistic
regression on the hashed features of `engines/language_features.py`, weighted by how telling a feature is (inverse
document frequency), by AdaGrad over batches; weights stay as whole numbers of eight bits with a scale per intent.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from services.nlu.engines.language_features import BUCKETS, encode
from services.nlu.text import Token

_EPOCHS = 12
_BATCH = 32
_RATE = 0.5
_FADING = 1e-5

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class LinearModel:
    """`rows` int8 [BUCKETS, names] times `scales` [names], and `bias` [names]; probabilities by softmax."""

    names: tuple[str, ...]
    rows: npt.NDArray[np.int8]
    scales: Floats
    bias: Floats

    def probabilities(self, tokens: Sequence[Token]) -> dict[str, float]:
        """Of one sentence, by name; they sum to 1."""
        buckets, weights = _bag(tokens)
        logits = (weights @ self.rows[buckets].astype(np.float32)) * self.scales + self.bias
        exponents = np.exp(logits - logits.max())
        return dict(zip(self.names, (exponents / exponents.sum()).tolist(), strict=True))


def learn(sentences: Sequence[tuple[Sequence[Token], str]], seed: int = 1) -> LinearModel:
    """Trained on sentences with their names. Raises ValueError without a sentence."""
    if not sentences:
        raise ValueError("nothing to learn from")
    names = tuple(sorted({name for _, name in sentences}))
    wanted = np.array([names.index(name) for _, name in sentences])
    bags = [_bag(tokens) for tokens, _ in sentences]
    idf = _telling(bags)
    weights = np.zeros((BUCKETS, len(names)), np.float32)
    bias = np.zeros(len(names), np.float32)
    squares, bias_squares = np.full_like(weights, 1e-3), np.full_like(bias, 1e-3)
    rng = np.random.default_rng(seed)
    for _ in range(_EPOCHS):
        order = rng.permutation(len(bags))
        for at in range(0, len(order), _BATCH):
            rows = order[at : at + _BATCH]
            touched, matrix = _together([bags[row] for row in rows], idf)
            known, seen = weights[touched], squares[touched]
            error = _softmax(matrix @ known + bias)
            error[np.arange(len(rows)), wanted[rows]] -= 1
            gradient = matrix.T @ (error / len(rows))
            seen += gradient**2
            squares[touched] = seen
            weights[touched] = known * (1 - _FADING) - _RATE * gradient / np.sqrt(seen)
            mean = error.mean(axis=0)
            bias_squares += mean**2
            bias -= 0.1 * _RATE * mean / np.sqrt(bias_squares)
    weights *= idf[:, None]
    scales = np.maximum(np.abs(weights).max(axis=0) / 127, 1e-9).astype(np.float32)
    return LinearModel(names, np.round(weights / scales).astype(np.int8), scales, bias)


def _bag(tokens: Sequence[Token]) -> tuple[npt.NDArray[np.int64], Floats]:
    """Buckets of a sentence and the weight of each: the same for all, less in a longer sentence."""
    encoded = encode(tokens)
    buckets = np.unique(encoded[encoded > 0])
    return buckets, np.full(len(buckets), max(1, len(buckets)) ** -0.5, np.float32)


def _together(
    bags: Sequence[tuple[npt.NDArray[np.int64], Floats]], idf: Floats
) -> tuple[npt.NDArray[np.int64], Floats]:
    """The buckets of some sentences, and a row of weights over them for each."""
    buckets = np.concatenate([one for one, _ in bags])
    values = np.concatenate([own for _, own in bags]) * idf[buckets]
    touched = np.flatnonzero(np.bincount(buckets, minlength=BUCKETS))
    places = np.empty(BUCKETS, np.int64)
    places[touched] = np.arange(len(touched))
    matrix = np.zeros((len(bags), len(touched)), np.float32)
    matrix[np.repeat(np.arange(len(bags)), [len(one) for one, _ in bags]), places[buckets]] = values
    return touched, matrix


def _telling(bags: Sequence[tuple[npt.NDArray[np.int64], Floats]]) -> Floats:
    counts = np.bincount(np.concatenate([buckets for buckets, _ in bags]), minlength=BUCKETS)
    result: Floats = ((np.log((1 + len(bags)) / (1 + counts)) + 1) / 3).astype(np.float32)
    return result


def _softmax(logits: Floats) -> Floats:
    exponents = np.exp(logits - logits.max(axis=1, keepdims=True))
    result: Floats = exponents / exponents.sum(axis=1, keepdims=True)
    return result
