"""Settings of the dialogue service; `app.py` reads them once with `runtime.settings.load`."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class DialogueSettings:
    """What an operator may change.

    Attributes:
        kept: seconds that a conversation's state lives after its last turn; a pause of a quarter of an hour is a new
            conversation.
    """

    kept: float = 900.0

    def __post_init__(self) -> None:
        if not 10 <= self.kept <= 86_400:
            raise ValueError(f"kept must be from 10 to 86400 seconds, not {self.kept}")
