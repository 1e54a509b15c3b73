"""The three networks of a transducer as a search sees them.

`model.py` runs `greedy.py` and `beam.py` over them; each family implements them in a file of its own (`lstm.py`,
`zipformer2.py`). Transducers: Graves, "Sequence transduction with recurrent neural networks", 2012 (arXiv 1211.3711).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from services.asr.engines.features import Frames
from services.asr.engines.neural.pieces import Tokens
from services.asr.engines.neural.search import StreamShape
from services.runtime.inference import ModelDefinition, SequenceStep, Tensor

Floats = NDArray[np.float32]

BLANK = 0


@dataclass(frozen=True, slots=True)
class Prediction:
    """What the predictor made of the tokens so far: its output (P,), and its state, which only the model reads."""

    output: Floats
    state: tuple[Tensor, ...] = ()


@dataclass(frozen=True, slots=True)
class Encoded:
    """Frames of the encoder's output (n, D), and the share of its full cost that they took; None without a dial."""

    frames: Floats
    spent: float | None = None


class TransducerModel(Protocol):
    """A transducer's networks. All raise what `ModelClient.infer` does, and Internal `MODEL_FAILED`."""

    definition: ModelDefinition
    parts: tuple[str, ...]
    shape: StreamShape
    tokens: Tokens
    symbols_per_frame: int
    """Most tokens at one frame; after them a search moves on."""

    async def load(self) -> None:
        """Makes all parts ready."""
        ...

    async def encode(self, window: Frames, step: SequenceStep, budget: float | None) -> Encoded:
        """One window of features (window, mel bins) of a sequence; a budget is read by models with a dial only."""
        ...

    async def first(self) -> Prediction:
        """Before any token."""
        ...

    async def advance(self, before: Sequence[Prediction], tokens: Sequence[int]) -> list[Prediction]:
        """Each prediction after one more token, in as few calls as the model allows."""
        ...

    async def join(self, encoded: Floats, predicted: Floats) -> Floats:
        """Scores of all tokens, not normalised: (n, D) and (n, P) -> (n, tokens); blank is token 0."""
        ...
