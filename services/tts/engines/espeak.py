"""espeak-ng as a `SpeechEngine`: over a hundred languages, in worker processes because it is GPL and blocks.

Built by `app.py`. Library and data come with the wheel `espeakng-loader`; `espeak_worker.py` alone loads the library.
"""

from __future__ import annotations

import json
from bisect import bisect_left
from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import espeakng_loader

from services.runtime.errors import InvalidInput, Overloaded, Unavailable
from services.runtime.language import canonical
from services.runtime.workers import WorkerPool
from services.tts.engines import EngineChunk, Prosody, SpokenWord, Voice

_WORKER = "services.tts.engines.espeak_worker"
_PACE_WPM = 175  # espeakRATE_NORMAL
_MIN_WPM, _MAX_WPM = 80, 450
# Semitones that espeak's pitch parameter 0, 10 .. 100 gives, measured on its English and German voices.
_SEMITONES = (-7.0, -5.4, -4.5, -3.1, -1.6, 0.0, 1.6, 3.4, 5.4, 7.1, 8.9)
_MAX_SECONDS = 30.0  # of audio per answer: 1.3 MB, and at most 70 ms of work that nobody can stop
_TEXTS_PER_REQUEST = 20  # so that a long list lets others have their turn
_RETRY_AFTER_SECONDS = 0.5
# espeak's own tags that are no BCP-47, or name a country that is not meant.
_TAGS = {
    "ca-ba": "ca-x-balear",
    "ca-nw": "ca-x-nordocc",
    "ca-va": "ca-valencia",
    "chr-US-Qaaa-x-west": "chr-Qaaa-US-x-west",
    "en-us-nyc": "en-US-x-nyc",
    "hbs": "sh",
    "piqd": "tlh-Piqd",
    "ru-cl": "ru-x-classic",
}
# Not languages: a test voice, and one under a code that means nothing.
_LEFT_OUT = frozenset({"art/xex", "art/py"})


class EspeakEngine:
    """Speech by rule (formant synthesis): quick, clear, no natural voice.

    Args:
        workers: processes; None for one per core.
        max_waiting: calls in flight beyond which another is refused.
    """

    name = "espeak-ng"
    licence = "GPL-3.0-or-later"
    pitch_range = (_SEMITONES[0], _SEMITONES[-1])

    def __init__(self, workers: int | None = None, max_waiting: int = 64) -> None:
        paths = (espeakng_loader.get_library_path(), espeakng_loader.get_data_path())
        self.pool = WorkerPool(_WORKER, paths, workers)
        self.sample_rate = 0
        self._max_waiting = max_waiting
        self._waiting = 0
        self._version = ""
        self._voices: tuple[Voice, ...] = ()

    @property
    def version(self) -> str:
        return self._version

    @property
    def voices(self) -> Sequence[Voice]:
        return self._voices

    async def start(self) -> None:
        await self.pool.start()
        facts, _ = await self._ask({"do": "facts"})
        self._version = str(facts["version"])
        self.sample_rate = int(facts["sample_rate"])
        listed = (_voice(raw) for raw in facts["voices"] if raw["id"] not in _LEFT_OUT)
        self._voices = tuple(sorted(listed, key=lambda voice: voice.id))

    async def close(self) -> None:
        await self.pool.close()

    def check(self) -> None:
        if not self.pool.stats():
            raise Unavailable("no espeak-ng process is up", reason="NO_WORKER", retry_after=_RETRY_AFTER_SECONDS)

    async def speak(self, text: str, voice: Voice, prosody: Prosody) -> AsyncGenerator[EngineChunk, None]:
        """Speaks in one chunk, or in several where the text expands ("1234567" says more than it shows)."""
        settings = {"voice": voice.id, "wpm": _wpm(prosody.rate), "pitch": _pitch(prosody.pitch)}
        stretches = [(0, text)]
        while stretches:
            start, stretch = stretches.pop()
            try:
                facts, pcm = await self._ask({"do": "speak", "text": stretch, "max_seconds": _MAX_SECONDS, **settings})
            except InvalidInput as error:
                if error.reason != "TEXT_SPEAKS_TOO_LONG" or len(stretch) < 2:
                    raise
                middle = _middle(stretch)
                stretches += [(start + middle, stretch[middle:]), (start, stretch[:middle])]
                continue
            words = tuple(SpokenWord(position, sample) for position, sample in facts["words"])
            yield EngineChunk(pcm, start, start + len(stretch), words, facts["cpu_s"])

    async def phonemize(self, texts: Sequence[str], voice: Voice) -> list[str]:
        found: list[str] = []
        for start in range(0, len(texts), _TEXTS_PER_REQUEST):
            batch = texts[start : start + _TEXTS_PER_REQUEST]
            facts, _ = await self._ask({"do": "phonemize", "texts": batch, "voice": voice.id})
            found += facts["ipa"]
        return found

    async def _ask(self, wanted: Mapping[str, object]) -> tuple[dict[str, Any], bytes]:
        with self._turn():
            session = self.pool.session()
            try:
                facts, _, pcm = (await session.request(json.dumps(wanted).encode())).partition(b"\0")
            finally:
                await session.close()
        return json.loads(facts), pcm

    @contextmanager
    def _turn(self) -> Iterator[None]:
        if self._waiting >= self._max_waiting:
            raise Overloaded("too much speech is being made", reason="ENGINE_BUSY", retry_after=_RETRY_AFTER_SECONDS)
        self._waiting += 1
        try:
            yield
        finally:
            self._waiting -= 1


def _wpm(rate: float) -> int:
    return max(_MIN_WPM, min(_MAX_WPM, round(_PACE_WPM * rate)))


def _pitch(semitones: float) -> int:
    above = bisect_left(_SEMITONES, semitones, 1, len(_SEMITONES) - 1)
    low, high = _SEMITONES[above - 1], _SEMITONES[above]
    return max(0, min(100, round(10 * (above - 1 + (semitones - low) / (high - low)))))


def _middle(text: str) -> int:
    """After the blank nearest to the middle, else the middle itself."""
    blanks = [index + 1 for index, character in enumerate(text) if character.isspace() and 0 < index < len(text) - 1]
    return min(blanks, key=lambda index: abs(2 * index - len(text)), default=len(text) // 2)


def _voice(raw: Mapping[str, Any]) -> Voice:
    languages: dict[str, int] = {}
    for tag, priority in raw["languages"]:
        languages.setdefault(canonical(_TAGS.get(tag, tag)), priority)
    return Voice(id=raw["id"], name=raw["name"], languages=languages, gender=raw["gender"])
