"""Settings of the activation service; `app.py` reads them once with `runtime.settings.load`."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ActivationSettings:
    """What an operator may change.

    Attributes:
        workers: processes that run voice activity detection; 0 means one per core. A stream of 16 kHz audio takes about
            5 % of one.
        wake_workers: processes that spot wake words; 0 means one per core. A stream takes about 3 % of one.
        wake_threshold: score from which on a wake word counts where the client names no threshold: the lowest that took
            nothing for a wake word in 43 minutes of other audio, not those that the figures are reported on.
        min_speech_ms: speech shorter than this is taken for a click.
        min_silence_ms: silence after which speech has ended; shorter gaps belong to it.
        onset_db: how far a sound must rise above its surroundings to begin.
        floor_dbfs: sounds below this level are not heard.
    """

    workers: int = 0
    wake_workers: int = 0
    wake_threshold: float = 0.7
    min_speech_ms: int = 64
    min_silence_ms: int = 320
    onset_db: float = 15.0
    floor_dbfs: float = -55.0

    def __post_init__(self) -> None:
        for name, low, high in (
            ("workers", 0, 256),
            ("wake_workers", 0, 256),
            ("wake_threshold", 0.0, 1.0),
            ("min_speech_ms", 32, 1000),
            ("min_silence_ms", 32, 5000),
            ("onset_db", 3.0, 60.0),
            ("floor_dbfs", -90.0, -10.0),
        ):
            if not low <= getattr(self, name) <= high:
                raise ValueError(f"{name} must be from {low} to {high}, not {getattr(self, name)}")
