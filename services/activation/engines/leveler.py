"""Brings a stream to the loudness that the acoustic model was trained at, as a microphone's automatic gain does.

Called by `keyphrase_worker.py` for each piece of audio. The loudest 32 ms so far, forgotten at 3 dB a second, are
brought to one level; and a faint noise is added, because the model has never heard digital silence.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

_BLOCK = 512
_TARGET_DB = 66.0  # re one least significant bit
_FIRST_DB, _FLOOR_DB = 55.0, 40.0  # what is assumed before anything was heard; what counts as loud at least
_FALL_DB = 3.0 * _BLOCK / 16_000
_NOISE = 45.0  # standard deviation, 33 dB below the speech
_SEED = 7  # the same audio gives the same words


class Leveler:
    """State of one stream at 16 kHz."""

    def __init__(self) -> None:
        self._peak_db = _FIRST_DB
        self._gain = self._wanted()
        self._noise = np.random.default_rng(_SEED)

    def feed(self, pcm: NDArray[np.int16]) -> NDArray[np.int16]:
        """As many samples as came in."""
        pieces = [self._block(pcm[start : start + _BLOCK]) for start in range(0, pcm.size, _BLOCK)]
        return np.concatenate(pieces) if pieces else pcm

    def _block(self, pcm: NDArray[np.int16]) -> NDArray[np.int16]:
        samples = pcm.astype(np.float32)
        level = 10.0 * math.log10(float(np.mean(np.square(samples))) + 1.0)
        self._peak_db = max(_FLOOR_DB, level, self._peak_db - _FALL_DB * pcm.size / _BLOCK)
        before, self._gain = self._gain, self._wanted()
        ramp = np.linspace(before, self._gain, pcm.size, dtype=np.float32)
        noise = self._noise.standard_normal(pcm.size, np.float32) * np.float32(_NOISE)
        return np.clip(samples * ramp + noise, -32_768, 32_767).astype(np.int16)

    def _wanted(self) -> float:
        return float(10.0 ** ((_TARGET_DB - self._peak_db) / 20.0))
