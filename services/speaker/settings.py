"""Settings of the speaker service; `app.py` reads them once with `runtime.settings.load`."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class SpeakerSettings:
    """What an operator may change.

    Attributes:
        min_enrol_s: seconds of speech that a profile needs; below, the model is little better than a guess.
        min_verify_s: seconds of speech below which nothing is compared.
        max_audio_s: seconds of audio taken in one stream.
        profile_days: days after which an unused profile is deleted.
    """

    min_enrol_s: float = 5.0
    min_verify_s: float = 1.0
    max_audio_s: float = 120.0
    profile_days: float = 365.0

    def __post_init__(self) -> None:
        for name, low, high in (
            ("min_enrol_s", 1.0, 60.0),
            ("min_verify_s", 0.5, 10.0),
            ("max_audio_s", 10.0, 600.0),
            ("profile_days", 0.01, 3650.0),
        ):
            if not low <= getattr(self, name) <= high:
                raise ValueError(f"{name} must be from {low} to {high}, not {getattr(self, name)}")
