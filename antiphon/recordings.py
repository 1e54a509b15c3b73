"""WAV files in and out, and their pace. The command line, the demo and the examples read and write recordings with it.

Only the standard library: whoever installs the client alone can use it.
"""

from __future__ import annotations

import asyncio
import sys
import wave
from array import array
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

from antiphon.types.v1 import audio_pb2

LOWEST_RATE_HZ, HIGHEST_RATE_HZ = 8000, 48000
CHUNK_S = 0.1
SAMPLE_BYTES = 2


class RecordingError(ValueError):
    """A file that is no recording of a form that can be sent; the text says what would be right."""


@dataclass(frozen=True)
class Recording:
    """Mono PCM of signed 16 bit little-endian samples.

    Attributes:
        pcm: the samples.
        sample_rate_hertz: samples a second, 8000 to 48000.
    """

    pcm: bytes
    sample_rate_hertz: int

    @property
    def duration_s(self) -> float:
        """Length in seconds."""
        return len(self.pcm) / SAMPLE_BYTES / self.sample_rate_hertz

    @property
    def format(self) -> audio_pb2.AudioFormat:
        """Its form in the contract's words."""
        return linear16(self.sample_rate_hertz)

    def with_silence(self, seconds: float) -> Recording:
        """The recording with `seconds` of digital silence after it."""
        silence = bytes(SAMPLE_BYTES * round(seconds * self.sample_rate_hertz))
        return Recording(self.pcm + silence, self.sample_rate_hertz)

    def chunks(self, seconds: float = CHUNK_S) -> Iterator[bytes]:
        """Pieces of `seconds`, the last one shorter; at most 15 KB each up to 0.15 s at 48 kHz."""
        size = SAMPLE_BYTES * round(seconds * self.sample_rate_hertz)
        for start in range(0, len(self.pcm), size):
            yield self.pcm[start : start + size]


def linear16(sample_rate_hertz: int) -> audio_pb2.AudioFormat:
    """16 bit mono PCM of that rate in the contract's words."""
    return audio_pb2.AudioFormat(
        encoding=audio_pb2.AUDIO_ENCODING_LINEAR16, sample_rate_hertz=sample_rate_hertz, channel_count=1
    )


def read_wav(path: Path | str) -> Recording:
    """Reads a WAV file of 16 bit PCM; several channels are mixed to one.

    Raises:
        RecordingError: it is no such file; says what it is.
        OSError: it cannot be read.
    """
    try:
        with wave.open(str(path), "rb") as file:
            channels, width, rate = file.getnchannels(), file.getsampwidth(), file.getframerate()
            frames = file.readframes(file.getnframes())
    except (wave.Error, EOFError) as error:
        raise RecordingError(f"{path} is no WAV file of 16 bit PCM ({str(error) or 'it is cut short'})") from error
    if width != SAMPLE_BYTES:
        raise RecordingError(f"{path} has {8 * width} bit samples; needed are 16 bit PCM samples")
    if not LOWEST_RATE_HZ <= rate <= HIGHEST_RATE_HZ:
        raise RecordingError(f"{path} has {rate} Hz; rates of {LOWEST_RATE_HZ} to {HIGHEST_RATE_HZ} Hz are served")
    pcm = mix(frames, channels)
    if not pcm:
        raise RecordingError(f"{path} holds no samples")
    return Recording(pcm, rate)


def write_wav(path: Path | str, recording: Recording) -> None:
    """Writes a mono WAV file of 16 bit PCM. Raises OSError if it cannot."""
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(SAMPLE_BYTES)
        file.setframerate(recording.sample_rate_hertz)
        file.writeframes(recording.pcm)


def mix(frames: bytes, channels: int) -> bytes:
    """The mean of interleaved 16 bit channels; samples cut off at the end of a broken file are left out."""
    frames = frames[: len(frames) - len(frames) % (SAMPLE_BYTES * channels)]
    if channels == 1:
        return frames
    samples = array("h", frames)
    if sys.byteorder == "big":
        samples.byteswap()
    mixed = array("h", (sum(samples[i : i + channels]) // channels for i in range(0, len(samples), channels)))
    if sys.byteorder == "big":
        mixed.byteswap()
    return mixed.tobytes()


async def paced(recording: Recording, speed: float = 1.0) -> AsyncIterator[bytes]:
    """The recording's chunks as a microphone would give them: each when its last sample would have been heard.

    Args:
        recording: what to send.
        speed: 2 sends twice as fast as it was spoken; 0 sends as fast as it is taken.
    """
    loop = asyncio.get_running_loop()
    began, sent = loop.time(), 0.0
    for chunk in recording.chunks():
        sent += len(chunk) / SAMPLE_BYTES / recording.sample_rate_hertz
        if speed > 0:
            await asyncio.sleep(max(0.0, began + sent / speed - loop.time()))
        yield chunk
