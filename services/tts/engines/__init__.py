"""The ways to make speech, each behind `SpeechEngine`.

`synthesizer.py` drives an engine one segment (a sentence, or a part of a long one) at a time; `espeak.py` is the engine
of today. An engine knows nothing of sessions, output formats or the wire.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Voice:
    """A voice of an engine.

    id: what a client names; unique in the engine.
    languages: BCP-47 tags it speaks, its own first, each with its priority: the lower, the sooner this voice is taken.
    gender: "male", "female" or "" where unknown.
    """

    id: str
    name: str
    languages: Mapping[str, int]
    gender: str = ""

    @property
    def language(self) -> str:
        """The voice's own language."""
        return next(iter(self.languages))


@dataclass(frozen=True, slots=True)
class Prosody:
    """How to speak: `rate` as a factor of the voice's own pace, `pitch` in semitones above the voice's own."""

    rate: float = 1.0
    pitch: float = 0.0


@dataclass(frozen=True, slots=True)
class SpokenWord:
    """A word begins: `position` in code points from the start of the chunk's text, `sample` from that of its audio."""

    position: int
    sample: int


@dataclass(frozen=True, slots=True)
class EngineChunk:
    """A stretch of the segment, spoken.

    pcm: little-endian 16 bit mono PCM at the engine's rate.
    start, end: the code points of the segment that it says, whole words.
    words: in order; an engine may count as words what a reader would not ("12", "30").
    cpu_s: CPU seconds that it took, over all processes; 0 where not measured.
    """

    pcm: bytes
    start: int
    end: int
    words: tuple[SpokenWord, ...] = ()
    cpu_s: float = 0.0


class SpeechEngine(Protocol):
    """What the synthesizer needs of an engine."""

    name: str
    sample_rate: int
    licence: str
    pitch_range: tuple[float, float]
    """Semitones that its voices can be lowered (negative) and raised by."""

    @property
    def version(self) -> str:
        """Version of the engine, known once it has started."""
        ...

    @property
    def voices(self) -> Sequence[Voice]:
        """All voices, known once the engine has started."""
        ...

    async def start(self) -> None: ...

    async def close(self) -> None: ...

    def check(self) -> None:
        """Raises Unavailable when it cannot speak now."""
        ...

    def speak(self, text: str, voice: Voice, prosody: Prosody) -> AsyncGenerator[EngineChunk, None]:
        """Speak one segment; closing the generator stops the computation.

        Raises:
            WorkerLost: the engine's process died; the next call works again.
            Overloaded: too many callers wait for a process.
        """
        ...

    async def phonemize(self, texts: Sequence[str], voice: Voice) -> list[str]:
        """The pronunciation of each text in IPA, phones separated by blanks, stress marks before their phone."""
        ...
