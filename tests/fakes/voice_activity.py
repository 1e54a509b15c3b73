"""`LoudIsSpeech`: voice activity whose answer can be foretold, for the tests of the activation domain."""

from __future__ import annotations

import numpy as np

from services.activation.engines import HOP
from services.runtime.audio import Pcm


class LoudIsSpeech:
    """Calls a hop speech, with probability 0.95, when its loudest sample passes half scale; else 0.02.

    Attributes:
        open_streams: sessions not closed yet.
    """

    model = "fake/loud@1"

    def __init__(self) -> None:
        self.open_streams = 0

    def open(self) -> LoudStream:
        self.open_streams += 1
        return LoudStream(self)


class LoudStream:
    def __init__(self, engine: LoudIsSpeech) -> None:
        self._engine = engine

    async def probabilities(self, pcm: Pcm) -> list[float]:
        return [0.95 if np.abs(hop.astype(int)).max() > 16_384 else 0.02 for hop in pcm.reshape(-1, HOP)]

    async def close(self) -> None:
        self._engine.open_streams -= 1
