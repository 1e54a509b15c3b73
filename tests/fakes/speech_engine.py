"""`ToneEngine`: a speech engine whose every sample can be foretold, for the tests of the synthesis domain."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, Sequence

import numpy as np

from services.runtime.errors import WorkerLost
from services.tts.engines import EngineChunk, Prosody, SpokenWord, Voice


class ToneEngine:
    """Speaks each character as 10 ms of square wave, after `lead` silent samples per segment.

    Attributes:
        spoken: the segments it was asked for, in order.
        prosodies: with which prosody.
        fail_at: index of the segment at which its process "dies"; None for never.
    """

    name = "tone"
    version = "1"
    licence = "Apache-2.0"
    pitch_range = (-12.0, 12.0)
    sample_rate = 8000
    voices: Sequence[Voice] = (
        Voice("tone/en", "Tone", {"en-US": 2, "en": 3}),
        Voice("tone/gb", "Tone, British", {"en-GB": 2, "en": 2}, "female"),
        Voice("tone/de", "Ton", {"de": 5}),
    )
    SAMPLES = 80
    AMPLITUDE = 1000

    def __init__(self, lead: int = 0, fail_at: int | None = None) -> None:
        self.spoken: list[str] = []
        self.prosodies: list[Prosody] = []
        self.lead = lead
        self.fail_at = fail_at

    async def start(self) -> None:
        """Nothing to start."""

    async def close(self) -> None:
        """Nothing to close."""

    def check(self) -> None:
        """Always well."""

    async def speak(self, text: str, voice: Voice, prosody: Prosody) -> AsyncGenerator[EngineChunk, None]:
        if len(self.spoken) == self.fail_at:
            raise WorkerLost("the engine's process died")
        self.spoken.append(text)
        self.prosodies.append(prosody)
        pcm = np.zeros(self.lead + self.SAMPLES * len(text), "<i2")
        pcm[self.lead :] = self.AMPLITUDE
        words = tuple(
            SpokenWord(word.start(), self.lead + self.SAMPLES * word.start()) for word in re.finditer(r"\S+", text)
        )
        yield EngineChunk(pcm.tobytes(), 0, len(text), words, cpu_s=0.001)

    async def phonemize(self, texts: Sequence[str], voice: Voice) -> list[str]:
        return [f"{voice.id}:{text}" for text in texts]
