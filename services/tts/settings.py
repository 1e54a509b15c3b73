"""Settings of the synthesis service; `app.py` reads them once with `runtime.settings.load`."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class TtsSettings:
    """What an operator may change.

    Attributes:
        workers: processes that hold espeak-ng; 0 means one per core that this process may use. One makes about 400
            seconds of audio per second, so a second one only shortens the wait of the others.
        max_waiting: segments that may wait for a process before a new one is refused. 64 wait 0.3 s at most.
        max_piece: code points in one request, or one piece of a stream; the contract says 4,000.
        max_text: code points in one stream; 40,000 speak for about 40 minutes.
        max_segment: code points spoken in one go; bounds the memory per session (160 are about 10 s, 450 KB).
        chunk_ms: audio in one message; at most 150, so that 48 kHz PCM stays under 15 KB.
        first_chunk_ms: audio in the first message: the first sound needs no more.
        max_response: bytes of audio in the answer of the unary Synthesize; default clients take messages of 4 MiB.
    """

    workers: int = 0
    max_waiting: int = 64
    max_piece: int = 4_000
    max_text: int = 40_000
    max_segment: int = 160
    chunk_ms: int = 100
    first_chunk_ms: int = 40
    max_response: int = 4_000_000

    def __post_init__(self) -> None:
        for name, low, high in (
            ("workers", 0, 256),
            ("max_waiting", 1, 10_000),
            ("max_piece", 1, 4_000),
            ("max_text", 1, 1_000_000),
            ("max_segment", 20, 1_000),
            ("max_response", 10_000, 100_000_000),
            ("chunk_ms", 10, 150),
            ("first_chunk_ms", 5, 150),
        ):
            if not low <= getattr(self, name) <= high:
                raise ValueError(f"{name} must be from {low} to {high}, not {getattr(self, name)}")
