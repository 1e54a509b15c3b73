"""When a sound begins: its level rises well above the surroundings. No model, no idea what sound it is.

Called by `detector.py`. The level of the surroundings follows quickly when it falls and slowly when it rises, as in
minimum statistics (Martin 2001, doi:10.1109/89.928915), much simplified.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from services.runtime.audio import Framer, Pcm

_FRAME_MS = 10
_RISE_DB_PER_FRAME = 0.03  # 3 dB a second: steady noise becomes surroundings within some seconds
_FALL_SHARE = 0.2
_BEGIN_FRAMES = 3
_END_FRAMES = 20
_SETTLE_FRAMES = 10  # the first 100 ms only tell what the surroundings are


@dataclass(frozen=True, slots=True)
class Onset:
    """A sound began: seconds of audio, from its first frame to the one that decided; `rise_db` above surroundings, at
    `level_dbfs`."""

    start_s: float
    decided_s: float
    rise_db: float
    level_dbfs: float = -100.0

    @property
    def score(self) -> float:
        """Grows from 0 to 1 with the rise; 0.5 at 15 dB. Not a calibrated probability."""
        return 1 / (1 + math.exp(-(self.rise_db - 15) / 4))


class OnsetDetector:
    """State of one stream.

    Args:
        rate_hz: of the PCM.
        onset_db: rise above the surroundings that counts.
        floor_dbfs: levels below are silence.
    """

    def __init__(self, rate_hz: int, onset_db: float, floor_dbfs: float) -> None:
        self._framer = Framer(rate_hz * _FRAME_MS // 1000)
        self._onset_db = onset_db
        self._floor_dbfs = floor_dbfs
        self._surroundings: float | None = None
        self._frame = 0
        self._loud = 0
        self._quiet = 0
        self._sounding = False

    def feed(self, pcm: Pcm) -> Iterator[Onset]:
        """Onsets in this audio."""
        for frame in self._framer.feed(pcm):
            self._frame += 1
            onset = self._step(level_dbfs(frame))
            if onset is not None:
                yield onset

    def _step(self, level: float) -> Onset | None:
        around = level if self._surroundings is None else self._surroundings
        rise = level - max(around, self._floor_dbfs)
        self._follow(level, around)
        if self._frame <= _SETTLE_FRAMES:
            return None
        if self._sounding:
            self._quiet = self._quiet + 1 if rise < self._onset_db / 2 else 0
            self._sounding = self._quiet < _END_FRAMES
            self._loud = 0
            return None
        self._loud = self._loud + 1 if rise >= self._onset_db else 0
        if self._loud < _BEGIN_FRAMES:
            return None
        self._sounding, self._quiet = True, 0
        seconds = _FRAME_MS / 1000
        return Onset((self._frame - self._loud) * seconds, self._frame * seconds, rise, level)

    def _follow(self, level: float, around: float) -> None:
        if level < around:
            self._surroundings = around + _FALL_SHARE * (level - around)
        else:
            self._surroundings = min(level, around + _RISE_DB_PER_FRAME)


def level_dbfs(pcm: Pcm) -> float:
    """Root mean square in dB relative to full scale, -100 to 0."""
    if not pcm.size:
        return -100.0
    square = float(np.mean(np.square(pcm.astype(np.float64)))) / 32768**2
    return max(-100.0, 10 * math.log10(square)) if square > 0 else -100.0
