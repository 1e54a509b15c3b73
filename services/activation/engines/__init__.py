"""The ways to tell speech from all else, behind `VoiceActivity`, and to spot a phrase in it, behind `PhraseSpotter`.

`detector.py` opens one stream per session of what the session asks for.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from services.runtime.audio import Pcm

RATE_HZ = 16_000
"""Rate of all audio in this capability."""

HOP = 512
"""Samples for which an engine gives one probability: 32 ms."""


class VoiceActivityStream(Protocol):
    """One session's state."""

    async def probabilities(self, pcm: Pcm) -> list[float]:
        """The probability of speech, 0 to 1, for each hop of `pcm` (whole hops only).

        Raises WorkerLost when the engine's process died.
        """
        ...

    async def close(self) -> None: ...


class VoiceActivity(Protocol):
    """An engine, started."""

    model: str
    """publisher/name@version."""

    def open(self) -> VoiceActivityStream:
        """State for one session. Raises Unavailable when the engine is down."""
        ...


@dataclass(frozen=True, slots=True)
class Spotted:
    """A phrase may have been said.

    Attributes:
        phrase: index of it.
        decades: how much likelier the phrase is than any other sounds, as a power of ten; the engine's own measure.
        phones: of the pronunciation heard.
        start_s, end_s: seconds of the stream's audio.
    """

    phrase: int
    decades: float
    phones: int
    start_s: float
    end_s: float


class SpotterStream(Protocol):
    """One session's state."""

    async def replace(self, phrases: Sequence[str]) -> None:
        """Listen for these from now on; raises what `PhraseSpotter.open` raises."""
        ...

    async def hear(self, pcm: Pcm) -> list[Spotted]:
        """What was spotted up to here; the same place again when its evidence has grown. Raises WorkerLost."""
        ...

    async def finish(self) -> list[Spotted]:
        """What was still undecided when the audio ended."""
        ...

    async def close(self) -> None: ...


class PhraseSpotter(Protocol):
    """An engine, started."""

    model: str
    """publisher/name@version."""

    async def open(self, phrases: Sequence[str]) -> SpotterStream:
        """State for one session.

        Raises:
            InvalidInput: a phrase that is too long, or too short to be told from other speech.
            FailedPrecondition: a word whose pronunciation is not known.
            Unavailable: the engine is down.
        """
        ...
