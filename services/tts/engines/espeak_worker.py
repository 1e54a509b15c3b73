"""The process that holds espeak-ng: run by the `WorkerPool` of `espeak.py`, as many as may speak at a time.

Each request is a JSON object with "do": "speak" (text, voice, wpm, pitch, max_seconds), "phonemize" (texts, voice) or
"facts". The answer is a JSON object, a zero byte, and for speech the PCM. No state is left between requests, so any
number of utterances share one process; a segment is short and espeak needs about 2 ms per second of audio, so whoever
cancels costs that much at most.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Sequence
from typing import Any

from services.runtime.errors import FailedPrecondition, Internal, InvalidInput
from services.runtime.worker_process import serve
from services.tts.engines.espeak_library import Espeak, SpeaksTooLong, UnknownVoice


class EspeakHandler:
    """Answers requests with the library. Args: path of the library, path of its data."""

    def __init__(self, args: Sequence[str]) -> None:
        _silence_library()
        self._espeak = Espeak(library=args[0], data=args[1])

    def open(self, session: int) -> None:
        """Sessions have no state here."""

    def close(self, session: int) -> None:
        """Sessions have no state here."""

    def request(self, session: int, payload: bytes) -> bytes:
        wanted: dict[str, Any] = json.loads(payload)
        task = wanted.pop("do")
        try:
            if task == "speak":
                begun = time.process_time()
                spoken = self._espeak.speak(**wanted)
                return _answer({"words": spoken.words, "cpu_s": time.process_time() - begun}, bytes(spoken.pcm))
            if task == "phonemize":
                return _answer({"ipa": [self._espeak.phonemize(text, wanted["voice"]) for text in wanted["texts"]]})
            return _answer(self._facts())
        except UnknownVoice:
            raise FailedPrecondition("espeak-ng does not know this voice", reason="VOICE_NOT_FOUND") from None
        except SpeaksTooLong:
            raise InvalidInput(
                f"a stretch of the text speaks for more than {wanted['max_seconds']:g} s", reason="TEXT_SPEAKS_TOO_LONG"
            ) from None
        except OSError:
            raise Internal("espeak-ng failed", reason="ENGINE_FAILED") from None

    def _facts(self) -> dict[str, object]:
        espeak = self._espeak
        return {"version": espeak.version, "sample_rate": espeak.sample_rate, "voices": espeak.voices()}


def _answer(facts: dict[str, Any], pcm: bytes = b"") -> bytes:
    return b"%b\0%b" % (json.dumps(facts).encode(), pcm)


def _silence_library() -> None:
    """espeak-ng prints a line for odd characters: a client could flood the log. Only Python keeps the real stderr."""
    sys.stderr = os.fdopen(os.dup(2), "w", buffering=1)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    os.close(nowhere)


if __name__ == "__main__":
    serve(EspeakHandler)
