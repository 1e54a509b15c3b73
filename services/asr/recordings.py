"""WAV and FLAC files of unary requests -> 16-bit mono PCM; the only import of soundfile (libsndfile) here.

Called by `servicer.py` in a thread: libsndfile lets go of the GIL while it reads. Files come from strangers: a header
may promise hours, a body may end anywhere. So what is read is bounded by `max_seconds`, whatever the header says; a
file that is cut short is refused, for nobody would notice what was not heard; and the first bytes must be those of the
format named: libsndfile knows many more, none of which is asked for.
"""

from __future__ import annotations

import io
from enum import StrEnum

import numpy as np
import soundfile
from numpy.typing import NDArray

from services.runtime.audio import MAX_RATE_HZ, MIN_RATE_HZ, AudioFormat, Encoding
from services.runtime.errors import InvalidInput

MAX_CHANNELS = 2
_BLOCK_SECONDS = 10
_SUBTYPES = frozenset({"PCM_S8", "PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE", "ULAW", "ALAW"})
_STREAMED = 0x7FFF0000  # sizes from here on, and 0, are those of a writer that did not know the end
_FORMATS = frozenset({"WAV", "WAVEX", "RF64", "FLAC"})


class Container(StrEnum):
    """Files that a recording may be, by the names of the contract."""

    WAV = "WAV"
    FLAC = "FLAC"


_BEGINNINGS = {Container.WAV: b"RIFF", Container.FLAC: b"fLaC"}


def read_recording(content: bytes, container: Container, max_seconds: float) -> tuple[AudioFormat, bytes]:
    """The whole recording; two channels become one by their mean.

    Args:
        content: of the file.
        container: what the client says that it is.
        max_seconds: longest recording taken.

    Raises:
        InvalidInput: not such a file, damaged, empty, too long, or of a rate or channel count that is not served.
    """
    if not content.startswith(_BEGINNINGS[container]):
        raise _unreadable(container)
    if container is Container.WAV and _is_cut(content):
        raise _truncated()
    try:
        with soundfile.SoundFile(io.BytesIO(content)) as file:
            _check(file, container)
            samples = _read(file, max_seconds)
            rate_hz, promised = int(file.samplerate), int(file.frames)
    except (soundfile.SoundFileError, RuntimeError, TypeError, ValueError, OverflowError, MemoryError):
        raise _unreadable(container) from None
    if not samples.size:
        raise InvalidInput("the recording has no samples", reason="NO_AUDIO", field="audio")
    if container is Container.FLAC and len(samples) < promised < _STREAMED:
        raise _truncated()
    return AudioFormat(Encoding.LINEAR16, rate_hz), samples.tobytes()


def _is_cut(content: bytes) -> bool:
    """Whether a RIFF header promises more than there is. libsndfile takes such a file for a shorter one."""
    promised = int.from_bytes(content[4:8], "little")
    return 8 + promised > len(content) and promised < _STREAMED


def _truncated() -> InvalidInput:
    return InvalidInput(
        "the file ends before the end that its header promises", reason="AUDIO_TRUNCATED", field="audio"
    )


def _check(file: soundfile.SoundFile, container: Container) -> None:
    if file.format not in _FORMATS or file.subtype not in _SUBTYPES:
        raise InvalidInput(
            f"{container} with samples of type {file.subtype} is not supported; supported are PCM, float and G.711",
            reason="UNSUPPORTED_ENCODING",
            field="audio",
        )
    if not MIN_RATE_HZ <= file.samplerate <= MAX_RATE_HZ:
        raise InvalidInput(
            f"a sample rate of {file.samplerate} Hz is not supported; supported are {MIN_RATE_HZ} to {MAX_RATE_HZ} Hz",
            reason="UNSUPPORTED_SAMPLE_RATE",
            field="audio",
        )
    if file.channels > MAX_CHANNELS:
        raise InvalidInput(
            f"{file.channels} channels are not supported; supported are 1 and {MAX_CHANNELS}",
            reason="UNSUPPORTED_CHANNELS",
            field="audio",
        )


def _read(file: soundfile.SoundFile, max_seconds: float) -> NDArray[np.int16]:
    most = int(max_seconds * file.samplerate)
    parts: list[NDArray[np.int16]] = []
    count = 0
    while len(block := file.read(_BLOCK_SECONDS * file.samplerate, dtype="float32", always_2d=True)):
        count += len(block)
        if count > most:
            raise InvalidInput(
                f"a recording may be {max_seconds:g} s long; stream what is longer",
                reason="AUDIO_TOO_LONG",
                field="audio",
            )
        mono = np.nan_to_num(block.mean(axis=1), posinf=1.0, neginf=-1.0)  # a float file may hold anything
        parts.append(np.clip(np.rint(mono * 32_768.0), -32_768, 32_767).astype("<i2"))
    return np.concatenate(parts) if parts else np.zeros(0, np.int16)


def _unreadable(container: Container) -> InvalidInput:
    return InvalidInput(f"the audio is no {container} file, or a damaged one", reason="AUDIO_UNREADABLE", field="audio")
