"""The audio messages of one stream, checked as the contract says and turned into PCM.

Called by servicers that hear. What is refused here is refused with the same words by every capability.
"""

from __future__ import annotations

from services.runtime.audio import AudioFormat, Pcm, PcmDecoder
from services.runtime.errors import InvalidInput

MAX_CHUNK_BYTES = 15 * 1024
"""Largest audio message of a stream, bytes."""


class AudioIntake:
    """Takes a stream's audio messages.

    Args:
        source: the client's format.
        rate_hz: of the PCM wanted.
    """

    def __init__(self, source: AudioFormat, rate_hz: int) -> None:
        self._source = source
        self._decoder = PcmDecoder(source, rate_hz)
        self._bytes = 0

    @property
    def received_s(self) -> float:
        """Seconds of audio taken so far."""
        return self._source.seconds(self._bytes)

    def feed(self, data: bytes) -> Pcm:
        """PCM of one message, as much as the resampler gives.

        Raises InvalidInput for a message over 15 KB or with half a sample.
        """
        if len(data) > MAX_CHUNK_BYTES:
            raise InvalidInput(
                f"an audio message has at most {MAX_CHUNK_BYTES} bytes, not {len(data)}",
                reason="AUDIO_CHUNK_TOO_LARGE",
                field="audio",
            )
        if len(data) % self._source.sample_bytes:
            raise InvalidInput(
                "an audio message holds whole 16-bit samples, an even number of bytes",
                reason="ODD_AUDIO_BYTES",
                field="audio",
            )
        self._bytes += len(data)
        return self._decoder.feed(data)

    def finish(self) -> Pcm:
        """What the resampler still holds."""
        return self._decoder.finish()
