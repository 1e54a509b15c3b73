"""Greedy search of a transducer: at each frame the likeliest token, until that is blank.

Used by `model.py` where one guess is asked for. What is joined is every frame left of a piece with the prediction
as it stands, in one call: the answers up to the first token hold, and the rest is asked again after it. Speech has two
to five tokens a second, so that is one call for most pieces.
"""

from __future__ import annotations

import numpy as np

from services.asr.engines.neural.search import Hypothesis
from services.asr.engines.transducer.networks import BLANK, Floats, Prediction, TransducerModel


class Greedy:
    """One utterance."""

    def __init__(self, model: TransducerModel) -> None:
        self._model = model
        self._prediction: Prediction | None = None
        self._frame = 0  # frames heard
        self._tokens: list[int] = []
        self._frames: list[int] = []
        self._log_probs: list[float] = []
        self._score = 0.0

    async def hear(self, encoded: Floats) -> None:
        """Further frames of the encoder's output, shape (n, D)."""
        prediction = self._prediction or await self._model.first()
        at = here = 0  # the frame, and how many tokens came at it
        while at < len(encoded):
            predicted = np.broadcast_to(prediction.output, (len(encoded) - at, prediction.output.size))
            scores = log_softmax(await self._model.join(encoded[at:], np.ascontiguousarray(predicted)))
            best = scores.argmax(axis=1)
            spoken = np.flatnonzero(best != BLANK)
            blanks = int(spoken[0]) if spoken.size else len(best)
            self._score += float(scores[:blanks, BLANK].sum())
            at, here = at + blanks, 0 if blanks else here
            if at < len(encoded):
                token = int(best[blanks])
                self._take(token, self._frame + at, float(scores[blanks, token]))
                here += 1
                if here >= self._model.symbols_per_frame:
                    at, here = at + 1, 0
                (prediction,) = await self._model.advance([prediction], [token])
        self._prediction = prediction
        self._frame += len(encoded)

    def best(self, count: int) -> list[Hypothesis]:
        return [Hypothesis(tuple(self._tokens), tuple(self._frames), tuple(self._log_probs), self._score)]

    def _take(self, token: int, frame: int, log_prob: float) -> None:
        self._tokens.append(token)
        self._frames.append(frame)
        self._log_probs.append(log_prob)
        self._score += log_prob


def log_softmax(logits: Floats) -> Floats:
    """Natural logarithms of the probabilities along the last axis."""
    shifted = logits - logits.max(axis=-1, keepdims=True)
    scores: Floats = shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
    return scores
