"""Settings of the recognition service; `app.py` reads them once with `runtime.settings.load`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


def _bundled() -> Mapping[str, str]:
    return {language: f"antiphon/{language}-commands" for language in ("en", "de", "es", "fr", "it")}


@dataclass(frozen=True)
class AsrSettings:
    """What an operator may change.

    Attributes:
        models: language tag -> model, as `publisher/name` or `publisher/name@version`. A pool for dictation has
            `{en: cmusphinx/en-dictation}`; bundles of one's own lie in `$ANTIPHON_MODELS`. Their definitions name the
            engine, and one engine serves all models of a pool.
        workers: processes that decode; 0 means one per core that this process may use. One decodes about 20 people
            who speak at once with the commands model, about 8 with the dictation model.
        beam: guesses that a neural search keeps; 1 takes the likeliest token each time. On strings of digits by an
            unseen voice 4 made a fifth fewer errors than 1, for twice the CPU; 8 no fewer than 4. Where a request asks
            for alternatives or brings phrases, at least 4 are kept.
        model_timeout: longest wait for one call of a neural model, seconds; then the stream ends.
        request_ms: audio sent to a worker at once; smaller messages are collected. Less costs CPU, more costs latency.
        slice_ms: most audio in one request: a long message must not hold up the worker's other sessions.
        start_timeout: default wait for speech, seconds.
        end_silence: default silence that ends an utterance, seconds.
        max_length: default longest utterance, seconds; bounds memory and CPU on endless noise.
        max_recording: longest audio of the unary Recognize, seconds.
        grammar_wait: longest wait for the language model of a session's phrases, seconds, while its audio is held;
            then it starts with the model's own and takes the other from the next utterance on. A session that shall
            hear nothing but its phrases waits on.
        grammar_cache: folder that keeps such models beyond this process; a temporary one when empty.
    """

    models: Mapping[str, str] = field(default_factory=_bundled)
    workers: int = 0
    beam: int = 4
    model_timeout: float = 5.0
    request_ms: int = 60
    slice_ms: int = 240
    start_timeout: float = 10.0
    end_silence: float = 0.5
    max_length: float = 30.0
    max_recording: float = 60.0
    grammar_wait: float = 0.3
    grammar_cache: str = ""

    def __post_init__(self) -> None:
        if not self.models:
            raise ValueError("models must name at least one language and its model")
        for name, low, high in (
            ("workers", 0, 256),
            ("beam", 1, 32),
            ("model_timeout", 0.1, 60.0),
            ("request_ms", 10, 1_000),
            ("slice_ms", 20, 1_000),
            ("start_timeout", 0.5, 60.0),
            ("end_silence", 0.1, 5.0),
            ("max_length", 1.0, 300.0),
            ("max_recording", 1.0, 600.0),
            ("grammar_wait", 0.0, 60.0),
        ):
            if not low <= getattr(self, name) <= high:
                raise ValueError(f"{name} must be from {low} to {high}, not {getattr(self, name)}")
