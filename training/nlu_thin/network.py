"""The thin model in numpy: forward, backward and Adam, with a fixed seed; `train.py` drives it, `export.py` writes it.

Per token the embeddings of its hashed features are summed; two convolutions over three tokens follow, the second with a
residual. Tags are read per token; the intent from the maximum over tokens beside the mean of the embeddings, so that it
also has the linear bag-of-features path that does well on little data.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import sparse

Array = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Batch:
    """`ids` [sentences, tokens, features], `intents` [sentences], `tags` [sentences, tokens] with -1 for no label."""

    ids: npt.NDArray[np.int64]
    intents: npt.NDArray[np.int64]
    tags: npt.NDArray[np.int64]


class Network:
    """Weights by name, and one training step."""

    def __init__(self, rng: np.random.Generator, buckets: int, intents: int, tags: int, width: int = 32) -> None:
        def normal(*shape: int, fan: int) -> Array:
            return rng.normal(0, (2 / fan) ** 0.5, shape).astype(np.float32)

        hidden = 2 * width
        self.weights: dict[str, Array] = {
            "embedding": rng.normal(0, 0.1, (buckets, width)).astype(np.float32),
            "conv1": normal(3 * width, hidden, fan=3 * width),
            "bias1": np.zeros(hidden, np.float32),
            "conv2": normal(3 * hidden, hidden, fan=3 * hidden) * 0.5,
            "bias2": np.zeros(hidden, np.float32),
            "tag": normal(hidden, tags, fan=hidden) * 0.5,
            "tag_bias": np.zeros(tags, np.float32),
            "intent": normal(hidden + width, intents, fan=hidden + width) * 0.5,
            "intent_bias": np.zeros(intents, np.float32),
        }
        self.weights["embedding"][0] = 0
        self._moments = {name: (np.zeros_like(value), np.zeros_like(value)) for name, value in self.weights.items()}
        self._steps = 0
        self._rng = rng

    def forward(self, ids: npt.NDArray[np.int64]) -> tuple[Array, Array]:
        """Intent logits [sentences, intents] and tag logits [sentences, tokens, tags]."""
        state = self._forward(ids, dropout=0.0)
        return state["intents"], state["tags"]

    def step(self, batch: Batch, class_weights: Array, rate: float, dropout: float) -> float:
        """One Adam step; the loss before it."""
        state = self._forward(batch.ids, dropout)
        gradients, loss = self._backward(state, batch, class_weights)
        self._adam(gradients, rate)
        return loss

    def _forward(self, ids: npt.NDArray[np.int64], dropout: float) -> dict[str, Array]:
        w = self.weights
        mask = (ids.max(axis=2) > 0).astype(np.float32)[..., None]
        drop = np.ones_like(mask)
        if dropout:  # whole words go missing, as they do in speech
            drop = (self._rng.random(mask.shape) >= dropout / 2).astype(np.float32)
        x = w["embedding"][ids].sum(axis=2) * drop
        h1 = np.maximum(_window(x) @ w["conv1"] + w["bias1"], 0) * mask
        a2 = np.maximum(_window(h1) @ w["conv2"] + w["bias2"], 0) * mask
        h2 = h1 + a2
        length = np.maximum(mask.sum(axis=1), 1)
        pooled = np.concatenate([h2.max(axis=1), x.sum(axis=1) / length], axis=1)
        keep = np.ones_like(pooled)
        if dropout:
            keep = (self._rng.random(pooled.shape) >= dropout).astype(np.float32) / (1 - dropout)
        intents = (pooled * keep) @ w["intent"] + w["intent_bias"]
        tags = h2 @ w["tag"] + w["tag_bias"]
        return {"mask": mask, "drop": drop, "x": x, "h1": h1, "a2": a2, "h2": h2, "length": length, "pooled": pooled,
                "keep": keep, "intents": intents, "tags": tags}  # fmt: skip

    def _backward(self, s: dict[str, Array], batch: Batch, class_weights: Array) -> tuple[dict[str, Array], float]:
        w = self.weights
        d_intents, intent_loss = _cross_entropy(s["intents"], batch.intents, class_weights[batch.intents])
        labelled = (batch.tags >= 0).astype(np.float32)
        flat_tags = s["tags"].reshape(-1, s["tags"].shape[-1])
        d_tags, tag_loss = _cross_entropy(flat_tags, np.maximum(batch.tags, 0).reshape(-1), labelled.reshape(-1))
        d_tags = d_tags.reshape(s["tags"].shape)

        hidden = s["h2"].shape[-1]
        d_pooled = (d_intents @ w["intent"].T) * s["keep"]
        d_h2 = d_tags @ w["tag"].T
        np.put_along_axis(
            d_h2,
            s["h2"].argmax(axis=1)[:, None, :],
            np.take_along_axis(d_h2, s["h2"].argmax(axis=1)[:, None, :], 1) + d_pooled[:, None, :hidden],
            axis=1,
        )
        d_a2: Array = np.asarray(d_h2 * (s["a2"] > 0), np.float32)
        d_h1: Array = np.asarray((d_h2 + _unwindow(d_a2 @ w["conv2"].T)) * (s["h1"] > 0), np.float32)
        d_x = _unwindow(d_h1 @ w["conv1"].T) + (d_pooled[:, hidden:] / s["length"])[:, None, :]
        d_x = d_x * s["mask"] * s["drop"]
        gradients = {
            "embedding": _scatter(batch.ids, d_x, w["embedding"].shape[0]),
            "conv1": _outer(_window(s["x"]), d_h1),
            "bias1": d_h1.sum(axis=(0, 1)),
            "conv2": _outer(_window(s["h1"]), d_a2),
            "bias2": d_a2.sum(axis=(0, 1)),
            "tag": _outer(s["h2"], d_tags),
            "tag_bias": d_tags.sum(axis=(0, 1)),
            "intent": (s["pooled"] * s["keep"]).T @ d_intents,
            "intent_bias": d_intents.sum(axis=0),
        }
        return gradients, intent_loss + tag_loss

    def _adam(self, gradients: dict[str, Array], rate: float) -> None:
        self._steps += 1
        corrected = rate * (1 - 0.999**self._steps) ** 0.5 / (1 - 0.9**self._steps)
        for name, gradient in gradients.items():
            first, second = self._moments[name]
            first += 0.1 * (gradient - first)
            second += 0.001 * (gradient * gradient - second)
            self.weights[name] -= (corrected * first / (np.sqrt(second) + 1e-8)).astype(np.float32)
            if name == "embedding":
                self.weights[name] *= 1 - 1e-5  # rare features fade instead of memorising one sentence
                self.weights[name][0] = 0


def softmax(logits: Array) -> Array:
    exponents = np.exp(logits - logits.max(axis=-1, keepdims=True))
    result: Array = exponents / exponents.sum(axis=-1, keepdims=True)
    return result


def _cross_entropy(logits: Array, wanted: npt.NDArray[np.int64], weights: Array) -> tuple[Array, float]:
    """Gradient and mean loss over the weighted rows."""
    probabilities = softmax(logits)
    rows = np.arange(len(wanted))
    total = max(float(weights.sum()), 1.0)
    loss = -float((np.log(probabilities[rows, wanted] + 1e-9) * weights).sum()) / total
    probabilities[rows, wanted] -= 1
    return probabilities * (weights / total)[:, None].astype(np.float32), loss


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
