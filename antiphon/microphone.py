"""Microphone and loudspeaker for `antiphon converse --mic`, by the optional package sounddevice (PortAudio)."""

from __future__ import annotations

import asyncio
import importlib
import math
import sys
from array import array
from collections.abc import AsyncIterator
from types import TracebackType
from typing import Any, Self

from antiphon.recordings import CHUNK_S, SAMPLE_BYTES

CAPTURE_RATE_HZ = 16000
_TONE_S = 0.2


class MicrophoneMissing(RuntimeError):
    """There is no microphone to use; the text says what to install."""


class Microphone:
    """Gives what is heard in pieces of 100 ms, and plays answers; a context manager inside a running event loop.

    Attributes:
        muted: while True nothing is given: the loudspeaker's sound must not come back as the user's words.
    """

    def __init__(self, play_rate_hz: int) -> None:
        self.muted = False
        self._sounddevice = _sounddevice()
        self._play_rate_hz = play_rate_hz
        self._heard: asyncio.Queue[bytes] = asyncio.Queue(maxsize=100)
        self._streams: list[Any] = []

    def __enter__(self) -> Self:
        loop = asyncio.get_running_loop()

        def take(data: Any, _frames: int, _time: Any, _status: Any) -> None:
            loop.call_soon_threadsafe(self._keep, bytes(data))

        try:
            capture = self._sounddevice.RawInputStream(
                samplerate=CAPTURE_RATE_HZ,
                blocksize=round(CAPTURE_RATE_HZ * CHUNK_S),
                channels=1,
                dtype="int16",
                callback=take,
            )
            capture.start()
            self._streams.append(capture)
            speaker = self._sounddevice.RawOutputStream(samplerate=self._play_rate_hz, channels=1, dtype="int16")
            speaker.start()
            self._streams.append(speaker)
        except self._sounddevice.PortAudioError as error:
            self.close()
            raise MicrophoneMissing(f"the microphone or the loudspeaker cannot be opened: {error}") from error
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Lets microphone and loudspeaker go."""
        for stream in self._streams:
            stream.close()
        self._streams.clear()

    async def chunks(self) -> AsyncIterator[bytes]:
        """What is heard, 16 kHz mono 16 bit PCM, until the iterator is closed."""
        while True:
            chunk = await self._heard.get()
            if not self.muted:
                yield chunk

    async def play(self, pcm: bytes) -> None:
        """Plays mono 16 bit PCM; returns when the loudspeaker has taken it."""
        await asyncio.to_thread(self._streams[1].write, pcm[: len(pcm) - len(pcm) % SAMPLE_BYTES])

    def _keep(self, chunk: bytes) -> None:
        if not self._heard.full():
            self._heard.put_nowait(chunk)


def ring_tone(rate_hz: int) -> bytes:
    """Three short tones of 880 Hz at a quarter of full scale, mono 16 bit PCM."""
    samples = array("h")
    for number in range(round(3 * _TONE_S * 2 * rate_hz)):
        sounds = number % round(_TONE_S * 2 * rate_hz) < _TONE_S * rate_hz
        samples.append(round(8_000 * math.sin(2 * math.pi * 880 * number / rate_hz)) if sounds else 0)
    if sys.byteorder == "big":
        samples.byteswap()
    return samples.tobytes()


def check() -> None:
    """Raises MicrophoneMissing if there is nothing to reach a microphone with."""
    _sounddevice()


def _sounddevice() -> Any:
    try:
        return importlib.import_module("sounddevice")
    except ModuleNotFoundError:
        raise MicrophoneMissing("a microphone needs sounddevice: pip install 'antiphon[microphone]'") from None
    except OSError as error:
        raise MicrophoneMissing(
            f"a microphone needs the PortAudio library ({error}); "
            "on Debian and Ubuntu: apt install libportaudio2. A recording goes without it"
        ) from None
