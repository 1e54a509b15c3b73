"""The ways to tell speech from everything else, behind `VoiceActivity`.

`detector.py` opens one `VoiceActivityStream` per session that asks for speech.
"""

from __future__ import annotations

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
