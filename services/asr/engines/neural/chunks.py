"""Audio of one utterance -> the windows of features that a neural model takes, one after the other.

Used by `engine.py`. The same audio gives the same windows however it was cut.
"""

from __future__ import annotations

import numpy as np

from services.asr.engines.features import FRAMES_PER_SECOND, Features, FeatureSettings, Frames
from services.runtime.audio import Pcm


class FeatureChunks:
    """One utterance.

    Args:
        settings: of the features.
        window: frames of each piece.
        shift: frames from one piece's begin to the next's.
        tail: frames of silence after the last sound.
    """

    def __init__(self, settings: FeatureSettings, window: int, shift: int, tail: int = 0) -> None:
        self._features = Features(settings)
        self._samples_per_frame = settings.rate_hz // FRAMES_PER_SECOND
        self._window, self._shift, self._tail = window, shift, tail
        self._frames = np.empty((0, settings.mel_bins), np.float32)
        self._samples = 0
        self._begun = 0  # frames before the first of `_frames`

    def feed(self, pcm: Pcm) -> list[Frames]:
        """Windows that became complete, each (window, mel bins)."""
        self._samples += pcm.size
        return self._cut(self._features.feed(pcm))

    def finish(self) -> list[Frames]:
        """The last windows, at least one: silence, which is digital zeros, fills what audio and tail leave."""
        frames = -(-self._samples // self._samples_per_frame) + self._tail - self._begun
        steps = max(1, -(-frames // self._shift))
        missing = (steps - 1) * self._shift + self._window - len(self._frames)
        silence = np.zeros((missing + 4) * self._samples_per_frame, np.int16)  # the bank holds back up to 3 frames
        return self._cut(self._features.feed(silence))[:steps]

    def _cut(self, frames: Frames) -> list[Frames]:
        joined = np.concatenate((self._frames, frames)) if len(frames) else self._frames
        count = max(0, (len(joined) - self._window) // self._shift + 1)
        windows = [joined[at * self._shift : at * self._shift + self._window] for at in range(count)]
        self._frames = joined[count * self._shift :]
        self._begun += count * self._shift
        return windows
