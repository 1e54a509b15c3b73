"""Settings of the front door, read by `app.py`."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ArbitrationSettings:
    """What a deployment may change.

    Attributes:
        locales: languages in which the dialogue service answers for the conversation itself; BCP-47 tags.
        activation: listen with the activation service beside recognition. Off where no device needs it: it costs a
            stream per utterance.
    """

    locales: tuple[str, ...] = ("en", "de", "es", "fr", "it")
    activation: bool = True
