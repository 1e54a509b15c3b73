"""One member of the model in numpy: forward, backward and Adam; `train.py` drives it, `export.py` writes it.

Per token the embeddings of its hashed features are summed; two convolutions over three tokens follow, the second with a
residual. Tags are read per token; each head reads the maximum over tokens beside the sum of the embeddings over the
root of their number, which keeps the linear bag-of-features path that does well on little data.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
from scipy import sparse

from training.nlu_intents.encoding import Batch

Array = npt.NDArray[np.float32]

_SMOOTHING = 0.05
_FADING = 2e-5


class Network:
    """Weights by name, and one training step.

    Args:
        heads: name -> number of labels.
    """

    def __init__(
        self, rng: np.random.Generator, buckets: int, heads: Mapping[str, int], tags: int, width: int, hidden: int
    ) -> None:
        def normal(*shape: int, fan: int) -> Array:
            return rng.normal(0, (2 / fan) ** 0.5, shape).astype(np.float32)

        self.heads = tuple(heads)
        self.weights: dict[str, Array] = {
            "embedding": rng.normal(0, 0.1, (buckets, width)).astype(np.float32),
            "conv1": normal(3 * width, hidden, fan=3 * width),
            "bias1": np.zeros(hidden, np.float32),
            "conv2": normal(3 * hidden, hidden, fan=3 * hidden) * np.float32(0.5),
            "bias2": np.zeros(hidden, np.float32),
            "tag": normal(hidden, tags, fan=hidden) * np.float32(0.5),
            "tag_bias": np.zeros(tags, np.float32),
        }
        for name, labels in heads.items():
            self.weights[name] = normal(hidden + width, labels, fan=hidden + width) * np.float32(0.5)
            self.weights[f"{name}_bias"] = np.zeros(labels, np.float32)
        self.weights["embedding"][0] = 0
        self._moments = {name: (np.zeros_like(value), np.zeros_like(value)) for name, value in self.weights.items()}
        self._steps = 0
        self._rng = rng
        self._sums: dict[str, npt.NDArray[np.float64]] = {}
        self._summed = 0

    def forward(self, ids: npt.NDArray[np.int64]) -> dict[str, Array]:
        """Logits: of each head [sentences, labels], of "tags" [sentences, tokens, tags]."""
        return self._forward(ids, dropout=0.0)

    def step(self, batch: Batch, rate: float, dropout: float) -> float:
        """One Adam step; the loss before it."""
        state = self._forward(batch.ids, dropout)
        gradients, loss = self._backward(state, batch)
        self._adam(gradients, rate)
        return loss

    def remember(self) -> None:
        """Add the weights of now to their average, which `settle` takes."""
        for name, value in self.weights.items():
            self._sums[name] = self._sums.get(name, np.zeros(value.shape)) + value
        self._summed += 1

    def settle(self) -> None:
        """Take the average, with embeddings that fit into eight bits each."""
        self.weights = {name: (value / self._summed).astype(np.float32) for name, value in self._sums.items()}
        rows, scales = eight_bits(self.weights["embedding"])
        self.weights["embedding"] = rows.astype(np.float32) * scales

    def _forward(self, ids: npt.NDArray[np.int64], dropout: float) -> dict[str, Array]:
        w = self.weights
        mask = (ids.max(axis=2) > 0).astype(np.float32)[..., None]
        drop = np.ones_like(mask)
        if dropout:  # whole words go missing, as they do in speech
            drop = (self._rng.random(mask.shape) >= dropout / 3).astype(np.float32)
        x = w["embedding"][ids].sum(axis=2) * drop
        h1 = np.maximum(_window(x) @ w["conv1"] + w["bias1"], 0) * mask
        a2 = np.maximum(_window(h1) @ w["conv2"] + w["bias2"], 0) * mask
        h2 = h1 + a2
        root = np.sqrt(np.maximum(mask.sum(axis=1), 1))
        pooled = np.concatenate([h2.max(axis=1), x.sum(axis=1) / root], axis=1)
        keep = np.ones_like(pooled)
        keep_h2 = np.ones_like(h2)
        if dropout:
            keep = (self._rng.random(pooled.shape) >= dropout).astype(np.float32) / np.float32(1 - dropout)
            keep_h2 = (self._rng.random(h2.shape) >= dropout / 2).astype(np.float32) / np.float32(1 - dropout / 2)
        state = {"mask": mask, "drop": drop, "x": x, "h1": h1, "a2": a2, "h2": h2, "root": root, "pooled": pooled,
                 "keep": keep, "keep_h2": keep_h2}  # fmt: skip
        for name in self.heads:
            state[name] = (pooled * keep) @ w[name] + w[f"{name}_bias"]
        state["tags"] = (h2 * keep_h2) @ w["tag"] + w["tag_bias"]
        return state

    def _backward(self, s: dict[str, Array], batch: Batch) -> tuple[dict[str, Array], float]:
        w = self.weights
        gradients: dict[str, Array] = {}
        d_tags, loss = _cross_entropy(s["tags"].reshape(-1, s["tags"].shape[-1]), batch.tags.reshape(-1), 0.0)
        d_tags = d_tags.reshape(s["tags"].shape)
        d_pooled = np.zeros_like(s["pooled"])
        for name in self.heads:
            d_head, part = _cross_entropy(s[name], getattr(batch, name), _SMOOTHING)
            loss += part
            d_pooled += (d_head @ w[name].T) * s["keep"]
            gradients[name] = np.asarray((s["pooled"] * s["keep"]).T @ d_head, np.float32)
            gradients[f"{name}_bias"] = np.asarray(d_head.sum(axis=0), np.float32)

        hidden = s["h2"].shape[-1]
        d_h2 = (d_tags @ w["tag"].T) * s["keep_h2"]
        peaks = s["h2"].argmax(axis=1)[:, None, :]
        np.put_along_axis(d_h2, peaks, np.take_along_axis(d_h2, peaks, 1) + d_pooled[:, None, :hidden], axis=1)
        d_a2: Array = np.asarray(d_h2 * (s["a2"] > 0), np.float32)
        d_h1: Array = np.asarray((d_h2 + _unwindow(d_a2 @ w["conv2"].T)) * (s["h1"] > 0), np.float32)
        d_x = _unwindow(d_h1 @ w["conv1"].T) + (d_pooled[:, hidden:] / s["root"])[:, None, :]
        gradients |= {
            "embedding": _scatter(batch.ids, d_x * s["mask"] * s["drop"], w["embedding"].shape[0]),
            "conv1": _outer(_window(s["x"]), d_h1),
            "bias1": d_h1.sum(axis=(0, 1)),
            "conv2": _outer(_window(s["h1"]), d_a2),
            "bias2": d_a2.sum(axis=(0, 1)),
            "tag": _outer(s["h2"] * s["keep_h2"], d_tags),
            "tag_bias": d_tags.sum(axis=(0, 1)),
        }
        return gradients, loss

    def _adam(self, gradients: Mapping[str, Array], rate: float) -> None:
        self._steps += 1
        corrected = np.float32(rate * (1 - 0.999**self._steps) ** 0.5 / (1 - 0.9**self._steps))
        for name, gradient in gradients.items():
            first, second = self._moments[name]
            first += np.float32(0.1) * (gradient - first)
            second += np.float32(0.001) * (gradient * gradient - second)
            self.weights[name] -= corrected * first / (np.sqrt(second) + np.float32(1e-8))
        self.weights["embedding"] *= np.float32(1 - _FADING)  # rare features fade: none learns one sentence by heart
        self.weights["embedding"][0] = 0


def eight_bits(weights: Array) -> tuple[npt.NDArray[np.int8], Array]:
    """Whole numbers and a scale per column whose product is nearly the weights."""
    scales = np.maximum(np.abs(weights).max(axis=0) / 127, 1e-9).astype(np.float32)
    return np.round(weights / scales).astype(np.int8), scales


def softmax(logits: Array) -> Array:
    exponents = np.exp(logits - logits.max(axis=-1, keepdims=True))
    result: Array = exponents / exponents.sum(axis=-1, keepdims=True)
    return result


def _cross_entropy(logits: Array, wanted: npt.NDArray[np.int64], smoothing: float) -> tuple[Array, float]:
    """Gradient and mean loss over the rows that have a label."""
    there = wanted >= 0
    total = max(int(there.sum()), 1)
    probabilities = softmax(logits)
    rows, labels = np.arange(len(wanted)), np.maximum(wanted, 0)
    loss = -float((np.log(probabilities[rows, labels] + 1e-9) * there).sum()) / total
    probabilities[rows, labels] -= 1 - smoothing
    probabilities -= np.float32(smoothing / logits.shape[1])
    return probabilities * (there / total).astype(np.float32)[:, None], loss


def _window(x: Array) -> Array:
    """Each token beside its neighbours: [sentences, tokens, 3 * width]; before, itself, after."""
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


def _scatter(ids: npt.NDArray[np.int64], gradient: Array, buckets: int) -> Array:
    tokens = ids.reshape(-1, ids.shape[-1])
    starts = np.arange(0, tokens.size + 1, tokens.shape[1])
    rows = sparse.csr_matrix((np.ones(tokens.size, np.float32), tokens.reshape(-1), starts), (len(tokens), buckets))
    result: Array = np.asarray(rows.T @ gradient.reshape(len(tokens), -1), np.float32)
    return result
