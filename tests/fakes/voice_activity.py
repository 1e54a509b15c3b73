"""Voice activity and wake words whose answers can be foretold, for the tests of the activation domain."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from services.activation.engines import HOP, RATE_HZ, Spotted
from services.runtime.audio import Pcm
from services.runtime.errors import FailedPrecondition


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


class ScriptedSpotter:
    """Spots what it was told to: each item of `script` when the audio has passed its end.

    Attributes:
        opened: the phrases of each stream, in order; replaced ones as well.
        open_streams: sessions not closed yet.
    """

    model = "fake/script@1"

    def __init__(self, script: Sequence[Spotted] = ()) -> None:
        self.script = list(script)
        self.opened: list[list[str]] = []
        self.open_streams = 0

    async def open(self, phrases: Sequence[str]) -> ScriptedStream:
        stream = ScriptedStream(self)
        await stream.replace(phrases)
        self.open_streams += 1
        return stream


class ScriptedStream:
    def __init__(self, spotter: ScriptedSpotter) -> None:
        self._spotter = spotter
        self._heard_s = 0.0
        self._left = list(spotter.script)

    async def replace(self, phrases: Sequence[str]) -> None:
        if any("qqq" in phrase for phrase in phrases):
            raise FailedPrecondition("no such word", reason="WAKE_WORD_MODEL_MISSING")
        self._spotter.opened.append(list(phrases))

    async def hear(self, pcm: Pcm) -> list[Spotted]:
        self._heard_s += pcm.size / RATE_HZ
        due = [found for found in self._left if found.end_s <= self._heard_s]
        self._left = [found for found in self._left if found.end_s > self._heard_s]
        return due

    async def finish(self) -> list[Spotted]:
        due, self._left = self._left, []
        return due

    async def close(self) -> None:
        self._spotter.open_streams -= 1
