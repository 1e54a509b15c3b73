"""What audio is on its way through Antiphon: formats, G.711, streaming resampling, framing.

Called by every capability that hears or speaks: input becomes 16-bit mono PCM at the engine's rate (`PcmDecoder`),
and an engine's PCM becomes what the client asked for (`PcmEncoder`). Both keep what they need between messages, so
that a message may end anywhere, within a sample too.

Resampling is soxr's (LGPL-2.1, used as an unmodified shared library from its own wheel). G.711 follows ITU-T G.711
(11/1988) in the 16-bit form of its common implementations; `audioop` left the standard library in Python 3.13.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from functools import cache

import numpy as np
import soxr
from numpy.typing import NDArray

from services.runtime.errors import InvalidInput

Pcm = NDArray[np.int16]
"""Mono samples, full scale is ±32768."""

MIN_RATE_HZ = 8_000
MAX_RATE_HZ = 48_000

_MULAW_BIAS = 33
_MULAW_CLIP = 8_158


class Encoding(StrEnum):
    """Audio encodings by the names of the contract."""

    LINEAR16 = "LINEAR16"
    MULAW = "MULAW"
    ALAW = "ALAW"


SUPPORTED = (
    f"LINEAR16 (little endian), MULAW and ALAW, mono, {MIN_RATE_HZ} to {MAX_RATE_HZ} Hz"  # for messages to clients
)


@dataclass(frozen=True)
class AudioFormat:
    """One stream's format; only formats that Antiphon can read exist."""

    encoding: Encoding
    rate_hz: int

    @classmethod
    def parse(cls, encoding: str, rate_hz: int, channels: int = 1, *, field: str = "audio_format") -> AudioFormat:
        """Checks what a client said.

        Args:
            encoding: name as in the contract; one that has its place there and no codec here is refused.
            rate_hz: samples per second.
            channels: 0 counts as 1, the contract's default.
            field: path of the format in the request, for the error.

        Raises:
            InvalidInput: with what is supported.
        """
        if encoding not in Encoding.__members__:
            raise InvalidInput(
                f"encoding {encoding or 'unset'} is not supported; supported are {SUPPORTED}",
                reason="UNSUPPORTED_ENCODING",
                field=f"{field}.encoding",
            )
        if not MIN_RATE_HZ <= rate_hz <= MAX_RATE_HZ:
            raise InvalidInput(
                f"a sample rate of {rate_hz} Hz is not supported; supported are {SUPPORTED}",
                reason="UNSUPPORTED_SAMPLE_RATE",
                field=f"{field}.sample_rate_hertz",
            )
        if channels not in (0, 1):
            raise InvalidInput(
                f"{channels} channels are not supported; supported are {SUPPORTED}",
                reason="UNSUPPORTED_CHANNELS",
                field=f"{field}.channel_count",
            )
        return cls(Encoding[encoding], rate_hz)

    @property
    def sample_bytes(self) -> int:
        return 2 if self.encoding is Encoding.LINEAR16 else 1

    @property
    def bytes_per_second(self) -> int:
        return self.sample_bytes * self.rate_hz

    def seconds(self, size: int) -> float:
        """Duration of `size` bytes of this format."""
        return size / self.bytes_per_second


class PcmDecoder:
    """A client's bytes -> 16-bit mono PCM at `rate_hz`. One per stream."""

    def __init__(self, source: AudioFormat, rate_hz: int) -> None:
        self._source = source
        self._odd = b""  # the first byte of a sample whose second is in the next message
        self._resampler = None if source.rate_hz == rate_hz else Resampler(source.rate_hz, rate_hz)

    def feed(self, data: bytes) -> Pcm:
        samples = self._samples(data)
        return samples if self._resampler is None else self._resampler.feed(samples)

    def finish(self) -> Pcm:
        """The resampler's rest. Raises InvalidInput when the stream ended within a sample."""
        if self._odd:
            raise InvalidInput("the audio ended within a 16-bit sample (odd number of bytes)", reason="ODD_AUDIO_BYTES")
        return np.empty(0, np.int16) if self._resampler is None else self._resampler.finish()

    def _samples(self, data: bytes) -> Pcm:
        if self._source.encoding is Encoding.MULAW:
            return decode_mulaw(data)
        if self._source.encoding is Encoding.ALAW:
            return decode_alaw(data)
        data = self._odd + data
        even = len(data) & ~1
        self._odd = data[even:]
        return np.frombuffer(data, "<i2", even // 2)


class PcmEncoder:
    """An engine's PCM at `rate_hz` -> bytes in the client's format. One per stream."""

    def __init__(self, target: AudioFormat, rate_hz: int) -> None:
        self._target = target
        self._resampler = None if target.rate_hz == rate_hz else Resampler(rate_hz, target.rate_hz)

    def feed(self, samples: Pcm) -> bytes:
        return self._bytes(samples if self._resampler is None else self._resampler.feed(samples))

    def finish(self) -> bytes:
        return b"" if self._resampler is None else self._bytes(self._resampler.finish())

    def _bytes(self, samples: Pcm) -> bytes:
        if self._target.encoding is Encoding.MULAW:
            return encode_mulaw(samples)
        if self._target.encoding is Encoding.ALAW:
            return encode_alaw(samples)
        return samples.astype("<i2", copy=False).tobytes()


class Resampler:
    """Streaming resampler, mono, 16 bit.

    Quality "MQ" of soxr: 16-bit precision is beyond what a microphone or an engine resolves, and it holds back
    15 ms (from 48 kHz) to 30 ms (from 22.05 kHz) of audio.
    """

    def __init__(self, from_hz: int, to_hz: int) -> None:
        self._stream = soxr.ResampleStream(from_hz, to_hz, 1, dtype="float32", quality="MQ")

    def feed(self, samples: Pcm) -> Pcm:
        return self._chunk(samples, last=False)

    def finish(self) -> Pcm:
        return self._chunk(np.empty(0, np.int16), last=True)

    def _chunk(self, samples: Pcm, *, last: bool) -> Pcm:
        # Not in soxr's own 16-bit mode: that dithers, and the same audio would not give the same samples twice.
        resampled: NDArray[np.float32] = self._stream.resample_chunk(samples.astype(np.float32), last=last)
        pcm: Pcm = np.clip(np.rint(resampled), -32_768, 32_767).astype(np.int16)
        return pcm


class Framer:
    """Cuts PCM into frames of exactly `size` samples, for engines that want those; keeps the rest."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._rest = np.empty(0, np.int16)

    def feed(self, samples: Pcm) -> NDArray[np.int16]:
        """All whole frames, shape (n, size)."""
        joined = np.concatenate((self._rest, samples)) if self._rest.size else samples
        whole = joined.size // self._size * self._size
        self._rest = joined[whole:].copy()
        return joined[:whole].reshape(-1, self._size)

    def rest(self) -> Pcm:
        """What is left over, fewer than `size` samples; the framer is empty afterwards."""
        rest, self._rest = self._rest, np.empty(0, np.int16)
        return rest


def decode_mulaw(data: bytes) -> Pcm:
    return _mulaw_to_linear()[np.frombuffer(data, np.uint8)]


def decode_alaw(data: bytes) -> Pcm:
    return _alaw_to_linear()[np.frombuffer(data, np.uint8)]


def encode_mulaw(samples: Pcm) -> bytes:
    return _linear_to_mulaw()[samples.view(np.uint16)].tobytes()


def encode_alaw(samples: Pcm) -> bytes:
    return _linear_to_alaw()[samples.view(np.uint16)].tobytes()


@cache
def _mulaw_to_linear() -> Pcm:
    code = ~np.arange(256, dtype=np.uint8)
    exponent = (code >> 4) & 7
    magnitude = 4 * ((((code & 15).astype(np.int32) << 1) + _MULAW_BIAS << exponent) - _MULAW_BIAS)
    return np.where(code & 0x80, -magnitude, magnitude).astype(np.int16)


@cache
def _alaw_to_linear() -> Pcm:
    code = np.arange(256, dtype=np.uint8) ^ 0x55
    exponent = ((code >> 4) & 7).astype(np.int32)
    mantissa = ((code & 15).astype(np.int32) << 4) + 8
    magnitude = np.where(exponent == 0, mantissa, mantissa + 0x100 << np.maximum(exponent - 1, 0))
    return np.where(code & 0x80, magnitude, -magnitude).astype(np.int16)


@cache
def _linear_to_mulaw() -> NDArray[np.uint8]:
    linear = np.arange(65_536).astype(np.uint16).view(np.int16).astype(np.int32)
    biased = np.minimum(np.abs(linear >> 2), _MULAW_CLIP) + _MULAW_BIAS  # 14 bits and sign
    exponent = np.floor(np.log2(biased)).astype(np.int32) - 5
    mantissa = (biased >> (exponent + 1)) & 15
    sign = np.where(linear < 0, 0x80, 0)
    codes: NDArray[np.uint8] = ~(sign | exponent << 4 | mantissa).astype(np.uint8)
    return codes


@cache
def _linear_to_alaw() -> NDArray[np.uint8]:
    linear = np.arange(65_536).astype(np.uint16).view(np.int16).astype(np.int32)
    magnitude = np.where(linear >= 0, linear, ~linear) >> 4  # 12 bits and sign; -1 and 0 share the first step
    exponent = np.maximum(np.floor(np.log2(np.maximum(magnitude, 1))).astype(np.int32) - 3, 0)
    mantissa = np.where(exponent < 2, magnitude & 15, (magnitude >> np.maximum(exponent - 1, 0)) & 15)
    sign = np.where(linear >= 0, 0x80, 0)
    codes: NDArray[np.uint8] = (sign | exponent << 4 | mantissa).astype(np.uint8) ^ 0x55
    return codes
