"""The capabilities that exist, one line each, and the pools that run where no configuration names others.

Read by `commands.py`, `demo.py` and the system tests. A new capability is a folder in `services/` and a line here.
"""

from __future__ import annotations

from services.runtime.platform import PoolSettings

CAPABILITIES: dict[str, str] = {
    "activation": "services.activation.app:SPEC",
    "asr": "services.asr.app:SPEC",
    "nlu": "services.nlu.app:SPEC",
    "dialogue": "services.dialogue.app:SPEC",
    "tts": "services.tts.app:SPEC",
    "speaker": "services.speaker.app:SPEC",
    "arbitration": "services.arbitration.app:SPEC",
    "skills": "services.skillhost.app:SPEC",
}

LANGUAGES = ("en", "de", "es", "fr", "it")
LOCALES: dict[str, tuple[str, ...]] = {"asr": LANGUAGES}
"""What the bundled models hear; a pool without locales serves every one, as understanding does: many by a multilingual
model, and those that are added while it runs."""

DEFAULT_POOLS: tuple[PoolSettings, ...] = tuple(
    PoolSettings(name=name, capability=name, locales=LOCALES.get(name, ())) for name in CAPABILITIES
)
