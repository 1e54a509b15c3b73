"""Speaks sentences with espeak-ng into wave files; `evaluate.py` and the integration tests of recognition use it.

espeak-ng is GPL-3.0: it is loaded in a process of its own, here `python -m training.asr_commands.speaking`, which reads
one JSON job a line. The speech is synthetic, and labelled so wherever a figure rests on it.
"""

from __future__ import annotations

import ctypes
import json
import subprocess
import sys
import wave
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

_SYNCHRONOUS, _RATE, _PITCH, _UTF8 = 2, 1, 3, 1


@dataclass(frozen=True)
class Job:
    """One sentence. The voices by Klatt's synthesiser are clearer than espeak-ng's own; `speed` is words a minute."""

    text: str
    path: str
    voice: str = "en-us+klatt3"
    speed: int = 160
    pitch: int = 50


def speak(jobs: Iterable[Job]) -> None:
    """Writes 16-bit mono wave files (22,050 Hz)."""
    lines = "\n".join(json.dumps(asdict(job)) for job in jobs)
    subprocess.run([sys.executable, "-m", __name__], input=lines.encode(), check=True)


def main() -> None:
    import espeakng_loader

    library = ctypes.CDLL(espeakng_loader.get_library_path())
    spoken = bytearray()

    def take(samples: int | None, count: int, events: object) -> int:
        if samples and count > 0:
            spoken.extend(ctypes.string_at(samples, 2 * count))
        return 0

    rate = library.espeak_Initialize(_SYNCHRONOUS, 0, str(espeakng_loader.get_data_path()).encode(), 0)
    callback = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_int, ctypes.c_void_p)(take)
    library.espeak_SetSynthCallback(callback)
    for line in sys.stdin:
        job = Job(**json.loads(line))
        library.espeak_SetVoiceByName(job.voice.encode())
        library.espeak_SetParameter(_RATE, job.speed, 0)
        library.espeak_SetParameter(_PITCH, job.pitch, 0)
        spoken.clear()
        text = job.text.encode()
        library.espeak_Synth(text, len(text) + 1, 0, 1, 0, _UTF8, None, None)
        library.espeak_Synchronize()
        with wave.open(str(Path(job.path)), "wb") as out:
            out.setnchannels(1)
            out.setsampwidth(2)
            out.setframerate(rate)
            out.writeframes(bytes(spoken))


if __name__ == "__main__":
    main()
