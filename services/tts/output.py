"""From an engine's PCM to messages of audio: leading silence off, volume, format, size; and the clock of the output.

Called by `synthesizer.py`, one `AudioOutput` per utterance.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np

from services.runtime.audio import AudioFormat, Pcm, PcmEncoder

AUDIBLE: Final = 64
"""Amplitude from which on a sample counts as audible: -54 dBFS."""

_LEAD_MS = 2  # kept before the first audible sample, so that the onset is not cut
_FEED_MS = 40  # encoded at a time: the event loop gets its turn between


@dataclass(frozen=True, slots=True)
class Audio:
    """Audio in the requested format.

    start, duration: seconds of the utterance's audio.
    span: code points of the text that it says.
    """

    data: bytes
    start: float
    duration: float
    span: tuple[int, int]


class AudioOutput:
    """Turns chunks of PCM into `Audio`.

    Args:
        target: the client's format.
        rate_hz: of the engine.
        gain_db: volume.
        chunk_ms: length of a message; the first has `first_chunk_ms`.
    """

    def __init__(
        self, target: AudioFormat, rate_hz: int, gain_db: float, *, chunk_ms: int, first_chunk_ms: int
    ) -> None:
        self._target = target
        self._rate = rate_hz
        self._gain = 10 ** (gain_db / 20)
        self._encoder = PcmEncoder(target, rate_hz)
        self._chunk_bytes = _size(target, chunk_ms)
        self._next_bytes = _size(target, first_chunk_ms)
        self._buffer = bytearray()
        self._given = 0
        self._taken = 0
        self._audible = False
        self.span = (0, 0)  # of the audio taken in from now on; set it when nothing waits
        self.leading_silence_s = 0.0

    @property
    def given_s(self) -> float:
        """Seconds of audio given out so far."""
        return self._target.seconds(self._given)

    @property
    def taken_s(self) -> float:
        """Seconds of the engine's audio taken in so far, without the silence at the start."""
        return self._taken / self._rate

    def trim(self, pcm: Pcm) -> Pcm:
        """The chunk without silence, while nothing audible has been taken in; call it before `feed`."""
        if self._audible:
            return pcm
        audible = np.flatnonzero(np.abs(pcm.astype(np.int32)) >= AUDIBLE)
        if not audible.size:
            return pcm[:0]
        self._audible = True
        lead = min(int(audible[0]), self._rate * _LEAD_MS // 1000)
        self.leading_silence_s = lead / self._rate
        return pcm[int(audible[0]) - lead :]

    def feed(self, pcm: Pcm) -> Iterator[Audio]:
        """Messages as they fill; what is left over waits for more."""
        step = self._rate * _FEED_MS // 1000
        for start in range(0, pcm.size, step):
            part = pcm[start : start + step]
            self._taken += part.size
            self._buffer += self._encoder.feed(self._louder(part))
            while len(self._buffer) >= self._next_bytes:
                yield self._cut(self._next_bytes)

    def flush(self) -> Iterator[Audio]:
        """What waits, because no more may come for a while."""
        if self._buffer:
            yield self._cut(len(self._buffer))

    def drop(self) -> None:
        """Forget what waits: it is not to be heard. Clock and marks go on from what was given out."""
        self._buffer.clear()
        self._taken = round(self.given_s * self._rate)

    def finish(self) -> Iterator[Audio]:
        """What waits here and in the resampler."""
        self._buffer += self._encoder.finish()
        yield from self.flush()

    def _louder(self, pcm: Pcm) -> Pcm:
        if self._gain == 1:
            return pcm
        louder: Pcm = np.clip(np.rint(pcm * self._gain), -32768, 32767).astype(np.int16)
        return louder

    def _cut(self, size: int) -> Audio:
        data = bytes(self._buffer[:size])
        del self._buffer[:size]
        self._next_bytes = self._chunk_bytes
        start = self.given_s
        self._given += size
        return Audio(data, start, self._target.seconds(size), self.span)


def speech_length(pcm: Pcm) -> int:
    """Samples up to the last audible one."""
    audible = np.flatnonzero(np.abs(pcm.astype(np.int32)) >= AUDIBLE)
    return int(audible[-1]) + 1 if audible.size else 0


def _size(target: AudioFormat, duration_ms: int) -> int:
    return max(1, target.rate_hz * duration_ms // 1000) * target.sample_bytes
