"""A small tagger in numpy: forward, backward and Adam; `units.py` compares units of words with it.

Per word the embeddings of its units are summed; two convolutions over three words follow, the second with a residual;
tags are read per word.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
from scipy import sparse

from training.nlu_intents.encoding import Batch, Integers

Array = npt.NDArray[np.float32]

_FADING = 2e-5


class Network:
    """Weights by name, and one training step."""

    def __init__(self, rng: np.random.Generator, buckets: int, tags: int, width: int, hidden: int) -> None:
        def normal(*shape: int, gain: float = 1.0) -> Array:
            return rng.normal(0, gain * (2 / shape[0]) ** 0.5, shape).astype(np.float32)

        self.weights: dict[str, Array] = {
            "embedding": rng.normal(0, 0.1, (buckets, width)).astype(np.float32),
            "conv1": normal(3 * width, hidden),
            "bias1": np.zeros(hidden, np.float32),
            "conv2": normal(3 * hidden, hidden, gain=0.5),
            "bias2": np.zeros(hidden, np.float32),
            "tag": normal(hidden, tags, gain=0.5),
            "tag_bias": np.zeros(tags, np.float32),
        }
        self.weights["embedding"][0] = 0
        self._moments = {name: (np.zeros_like(value), np.zeros_like(value)) for name, value in self.weights.items()}
        self._steps = 0
        self._rng = rng
        self._sums: dict[str, npt.NDArray[np.float64]] = {}
        self._summed = 0

    def forward(self, ids: Integers) -> Array:
        """Logits of tags [sentences, words, tags]."""
        return self._forward(ids, dropout=0.0)["tags"]

    def step(self, batch: Batch, rate: float, dropout: float) -> None:
        """One Adam step."""
        self._adam(self._backward(self._forward(batch.ids, dropout), batch), rate)

    def remember(self) -> None:
        """Add the weights of now to their average, which `settle` takes."""
        for name, value in self.weights.items():
            self._sums[name] = self._sums.get(name, np.zeros(value.shape)) + value
        self._summed += 1

    def settle(self) -> None:
        self.weights = {name: (value / self._summed).astype(np.float32) for name, value in self._sums.items()}

    def _forward(self, ids: Integers, dropout: float) -> dict[str, Array]:
        w = self.weights
        mask = (ids.max(axis=2) > 0).astype(np.float32)[..., None]
        drop = (self._rng.random(mask.shape) >= dropout / 3).astype(np.float32)  # whole words go missing
        x = w["embedding"][ids].sum(axis=2) * drop
        h1 = np.maximum(_window(x) @ w["conv1"] + w["bias1"], 0) * mask
        a2 = np.maximum(_window(h1) @ w["conv2"] + w["bias2"], 0) * mask
        h2 = h1 + a2
        keep = (self._rng.random(h2.shape) >= dropout / 2).astype(np.float32) / np.float32(1 - dropout / 2)
        return {"mask": mask, "drop": drop, "x": x, "h1": h1, "a2": a2, "h2": h2, "keep": keep,
                "tags": (h2 * keep) @ w["tag"] + w["tag_bias"]}  # fmt: skip

    def _backward(self, s: Mapping[str, Array], batch: Batch) -> dict[str, Array]:
        w = self.weights
        d_tags = _cross_entropy(s["tags"].reshape(-1, s["tags"].shape[-1]), batch.tags.reshape(-1))
        d_tags = d_tags.reshape(s["tags"].shape)
        d_h2 = (d_tags @ w["tag"].T) * s["keep"]
        d_a2: Array = np.asarray(d_h2 * (s["a2"] > 0), np.float32)
        d_h1: Array = np.asarray((d_h2 + _unwindow(d_a2 @ w["conv2"].T)) * (s["h1"] > 0), np.float32)
        d_x = _unwindow(d_h1 @ w["conv1"].T)
        return {
            "embedding": _scatter(batch.ids, d_x * s["mask"] * s["drop"], w["embedding"].shape[0]),
            "conv1": _outer(_window(s["x"]), d_h1),
            "bias1": d_h1.sum(axis=(0, 1)),
            "conv2": _outer(_window(s["h1"]), d_a2),
            "bias2": d_a2.sum(axis=(0, 1)),
            "tag": _outer(s["h2"] * s["keep"], d_tags),
            "tag_bias": d_tags.sum(axis=(0, 1)),
        }

    def _adam(self, gradients: Mapping[str, Array], rate: float) -> None:
        self._steps += 1
        corrected = np.float32(rate * (1 - 0.999**self._steps) ** 0.5 / (1 - 0.9**self._steps))
        for name, gradient in gradients.items():
            first, second = self._moments[name]
            first += np.float32(0.1) * (gradient - first)
            second += np.float32(0.001) * (gradient * gradient - second)
            self.weights[name] -= corrected * first / (np.sqrt(second) + np.float32(1e-8))
        self.weights["embedding"] *= np.float32(1 - _FADING)  # rare units fade: none learns one sentence by heart
        self.weights["embedding"][0] = 0


def _cross_entropy(logits: Array, wanted: Integers) -> Array:
    """Gradient of the mean over the rows that have a label."""
    there = wanted >= 0
    exponents = np.exp(logits - logits.max(axis=-1, keepdims=True))
    probabilities: Array = exponents / exponents.sum(axis=-1, keepdims=True)
    probabilities[np.arange(len(wanted)), np.maximum(wanted, 0)] -= 1
    return probabilities * (there / max(int(there.sum()), 1)).astype(np.float32)[:, None]


def _window(x: Array) -> Array:
    """Each word beside its neighbours: [sentences, words, 3 * width]; before, itself, after."""
    before = np.concatenate([np.zeros_like(x[:, :1]), x[:, :-1]], axis=1)
    after = np.concatenate([x[:, 1:], np.zeros_like(x[:, :1])], axis=1)
    return np.concatenate([before, x, after], axis=2)


def _unwindow(gradient: Array) -> Array:
    width = gradient.shape[2] // 3
    total = gradient[:, :, width : 2 * width].copy()
    total[:, :-1] += gradient[:, 1:, :width]
    total[:, 1:] += gradient[:, :-1, 2 * width :]
    return total


def _outer(left: Array, right: Array) -> Array:
    return left.reshape(-1, left.shape[-1]).T @ right.reshape(-1, right.shape[-1])


def _scatter(ids: Integers, gradient: Array, buckets: int) -> Array:
    tokens = ids.reshape(-1, ids.shape[-1])
    starts = np.arange(0, tokens.size + 1, tokens.shape[1])
    rows = sparse.csr_matrix((np.ones(tokens.size, np.float32), tokens.reshape(-1), starts), (len(tokens), buckets))
    result: Array = np.asarray(rows.T @ gradient.reshape(len(tokens), -1), np.float32)
    return result
