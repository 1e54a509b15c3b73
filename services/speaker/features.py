"""What the model hears of a voice: mel-frequency cepstra and their statistics, in numpy alone.

Called by `verifier.py` for every message of audio, and by training/speaker_statistics, so that both hear the same.

Source: Davis & Mermelstein 1980 (doi:10.1109/TASSP.1980.1163420), with the usual 25 ms windows every 10 ms.
"""

from __future__ import annotations

from functools import cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from services.runtime.audio import Pcm

RATE_HZ: Final = 16_000
FRAME_S: Final = 0.01
DIMENSIONS: Final = 72

_WINDOW, _STEP, _FFT = 400, 160, 512
_BANDS, _CEPSTRA = 30, 24
_LOW_HZ, _HIGH_HZ = 80.0, 7600.0
_PRE_EMPHASIS = 0.97
_SPEECH_RANGE_DB = 30.0  # frames further below the loud ones are taken for pauses

Floats = NDArray[np.float32]


class VoiceFrames:
    """The frames of one utterance, as its audio arrives. 10 KB per second of audio."""

    def __init__(self) -> None:
        self._rest = np.empty(0, np.float64)
        self._cepstra: list[Floats] = []
        self._levels: list[Floats] = []

    def feed(self, pcm: Pcm) -> None:
        """Take audio at 16 kHz."""
        samples = np.concatenate((self._rest, pcm.astype(np.float64)))
        count = max(0, (samples.size - _WINDOW - 1) // _STEP + 1)
        if count:
            cepstra, levels = _analyse(samples, count)
            self._cepstra.append(cepstra)
            self._levels.append(levels)
        self._rest = samples[count * _STEP :]

    @property
    def speech_s(self) -> float:
        """Seconds that count as speech: loud enough beside the loudest. Noise as loud as speech counts too."""
        return float(self._speech().sum()) * FRAME_S

    def cepstra(self) -> Floats:
        """Cepstra of the speech frames, shape (frames, 24), and their slopes beside them: (frames, 48)."""
        if not self._cepstra:
            return np.empty((0, 2 * _CEPSTRA), np.float32)
        cepstra = np.concatenate(self._cepstra)
        slopes = np.gradient(cepstra, axis=0) if len(cepstra) > 1 else np.zeros_like(cepstra)
        both: Floats = np.hstack((cepstra, slopes))[self._speech()].astype(np.float32)
        return both

    def _speech(self) -> NDArray[np.bool_]:
        if not self._levels:
            return np.zeros(0, np.bool_)
        levels = np.concatenate(self._levels)
        return levels > max(-60.0, float(np.percentile(levels, 95)) - _SPEECH_RANGE_DB)


def statistics(cepstra: Floats) -> Floats:
    """The 72 statistics of a stretch of speech: means and log deviations of the cepstra, log deviations of the slopes.

    Args:
        cepstra: shape (frames, 48), as `VoiceFrames.cepstra` gives them; at least one frame.
    """
    still, moving = cepstra[:, :_CEPSTRA], cepstra[:, _CEPSTRA:]
    spread = np.log(still.std(axis=0) + 1e-3)
    liveliness = np.log(moving.std(axis=0) + 1e-3)
    joined: Floats = np.concatenate((still.mean(axis=0), spread, liveliness)).astype(np.float32)
    return joined


def _analyse(samples: NDArray[np.float64], count: int) -> tuple[Floats, Floats]:
    """Cepstra, shape (count, 24), and levels in dB relative to full scale, shape (count,)."""
    emphasised = samples[1:] - _PRE_EMPHASIS * samples[:-1]
    frames = np.lib.stride_tricks.sliding_window_view(emphasised, _WINDOW)[::_STEP][:count]
    power = np.abs(np.fft.rfft(frames * np.hamming(_WINDOW), _FFT)) ** 2
    cepstra = np.log(power @ _mel_bands() + 1.0) @ _cosines()
    levels = 10 * np.log10(np.mean(np.square(frames), axis=1) / 32768**2 + 1e-10)
    return cepstra.astype(np.float32), levels.astype(np.float32)


@cache
def _mel_bands() -> NDArray[np.float64]:
    """Triangles, shape (257, 30)."""
    low, high = (2595 * np.log10(1 + hertz / 700) for hertz in (_LOW_HZ, _HIGH_HZ))
    edges = 700 * (10 ** (np.linspace(low, high, _BANDS + 2) / 2595) - 1)
    bins = np.fft.rfftfreq(_FFT, 1 / RATE_HZ)[:, None]
    rising = (bins - edges[:-2]) / (edges[1:-1] - edges[:-2])
    falling = (edges[2:] - bins) / (edges[2:] - edges[1:-1])
    triangles: NDArray[np.float64] = np.maximum(0, np.minimum(rising, falling))
    return triangles


@cache
def _cosines() -> NDArray[np.float64]:
    """Discrete cosine transform without its constant, shape (30, 24): loudness is left out."""
    band, order = np.arange(_BANDS)[:, None] + 0.5, np.arange(1, _CEPSTRA + 1)
    waves: NDArray[np.float64] = np.cos(np.pi * band * order / _BANDS) * np.sqrt(2 / _BANDS)
    return waves
