"""`TableTransducer`: a transducer without networks whose every probability is in a table, for tests of searches."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from services.asr.engines.features import FeatureSettings, Frames
from services.asr.engines.neural.pieces import Tokens
from services.asr.engines.neural.search import StreamShape
from services.asr.engines.transducer.greedy import log_softmax
from services.asr.engines.transducer.networks import BLANK, Encoded, Floats, Prediction
from services.runtime.inference import ModelDefinition, SequenceStep


class TableTransducer:
    """What comes next depends on the frame and on the last token alone.

    Args:
        table: logits, (frames, last token, next token).
        symbols_per_frame: most tokens at one frame.

    Attributes:
        calls: of joiner and predictor.
    """

    parts: tuple[str, ...] = ("fake/table.encoder@1",)
    shape = StreamShape(FeatureSettings(mel_bins=1), window=4, shift=4, frame_seconds=0.04)

    def __init__(self, table: Floats, symbols_per_frame: int = 1, words: Sequence[str] = ()) -> None:
        self._table = log_softmax(table)
        self.symbols_per_frame = symbols_per_frame
        names = words or [f"w{token}" for token in range(1, table.shape[2])]
        self.tokens = Tokens(["<blk>", *names])
        digest = hashlib.sha256(b"").hexdigest()
        self.definition = ModelDefinition("fake", "table", "1", Path(), digest, "Apache-2.0", ("en",), (), ())
        self.calls = {"join": 0, "advance": 0}
        self.rows = {"join": 0, "advance": 0}

    @property
    def frames(self) -> Floats:
        """All frames as the encoder gives them: their number."""
        return np.arange(len(self._table), dtype=np.float32)[:, None]

    async def load(self) -> None: ...

    async def encode(self, window: Frames, step: SequenceStep, budget: float | None) -> Encoded:
        raise AssertionError("searches are given what was encoded")

    async def first(self) -> Prediction:
        return Prediction(np.array([BLANK], np.float32))

    async def advance(self, before: Sequence[Prediction], tokens: Sequence[int]) -> list[Prediction]:
        self.calls["advance"] += 1
        self.rows["advance"] += len(tokens)
        return [Prediction(np.array([token], np.float32)) for token in tokens]

    async def join(self, encoded: Floats, predicted: Floats) -> Floats:
        assert len(encoded) == len(predicted)
        self.calls["join"] += 1
        self.rows["join"] += len(encoded)
        found: NDArray[np.float32] = self._table[encoded[:, 0].astype(int), predicted[:, 0].astype(int)]
        return found

    def every_text(self) -> dict[tuple[int, ...], float]:
        """Each text with the logarithm of its probability over all of its alignments, by trying them all.

        After `symbols_per_frame` tokens at a frame an alignment moves on without a blank.
        """
        found: dict[tuple[int, ...], float] = {}
        open_paths: list[tuple[int, int, tuple[int, ...], float]] = [(0, 0, (), 0.0)]
        while open_paths:
            frame, here, tokens, score = open_paths.pop()
            if frame == len(self._table):
                found[tokens] = float(np.logaddexp(found.get(tokens, -math.inf), score))
                continue
            row = self._table[frame, tokens[-1] if tokens else BLANK]
            open_paths.append((frame + 1, 0, tokens, score + float(row[BLANK])))
            for token in range(1, len(row)):
                moves = here + 1 == self.symbols_per_frame
                step = (frame + 1, 0) if moves else (frame, here + 1)
                open_paths.append((*step, (*tokens, token), score + float(row[token])))
        return found
