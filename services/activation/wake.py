"""Wake words: from what a spotter finds to one activation per time that a phrase was said.

Called by `detector.py`. The score is a logistic of the spotter's evidence and of how long the phrase took: what is
taken for it by mistake is mostly over too soon. The weights were fitted on one half of the recordings that
`benchmarks/wake.py` names, and the figures in this capability's notes come from the other half.
"""

from __future__ import annotations

import math
import uuid
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from services.activation.engines import RATE_HZ, PhraseSpotter, Spotted, SpotterStream
from services.activation.onsets import level_dbfs
from services.runtime.audio import Framer, Pcm
from services.runtime.errors import InvalidInput, NotFound

MAX_PHRASES = 8
DEFAULT_THRESHOLD = 0.7

_FRAME_S = 0.01
_KEPT_FRAMES = 600
_AMBIENT_FRAMES = 150
_PAD = RATE_HZ // 5
_PIECE = RATE_HZ // 2
_REST_S = 1.0  # after a phrase was heard, the same one is not heard again for so long


@dataclass(frozen=True, slots=True)
class WakeWord:
    """What to listen for; `threshold` is the score from which on it counts, 0 to 1."""

    phrase: str
    threshold: float = DEFAULT_THRESHOLD


@dataclass(frozen=True, slots=True)
class Wake:
    """A phrase was said, from `start_s` to `end_s` of the audio; levels of it and of what was before, in dBFS."""

    activation_id: str
    phrase: str
    score: float
    start_s: float
    end_s: float
    voice_dbfs: float
    ambient_dbfs: float


def score_of(spotted: Spotted) -> float:
    """0 to 1; evidence for phrases of other lengths is scaled to six phones."""
    decades = spotted.decades * 6 / spotted.phones
    pace = math.log(max(0.05, spotted.end_s - spotted.start_s) / (0.06 * spotted.phones))
    logit = 2.56 + 0.169 * decades + 7.21 * pace
    return 1 / (1 + math.exp(-max(-30.0, min(30.0, logit))))


def check_wake_words(words: Sequence[WakeWord], field: str = "wake_words") -> None:
    """Raises InvalidInput for too many, one twice, or a threshold out of range."""
    phrases = {" ".join(word.phrase.lower().split()) for word in words}
    if len(words) > MAX_PHRASES or len(phrases) < len(words):
        raise InvalidInput(f"at most {MAX_PHRASES} wake words, each once", reason="WAKE_WORD_COUNT", field=field)
    for word in words:
        if not 0 <= word.threshold <= 1:
            raise InvalidInput("a threshold is from 0 to 1", reason="OUT_OF_RANGE", field=f"{field}.threshold")


class Levels:
    """The loudness of the last six seconds, by 10 ms."""

    def __init__(self, rate_hz: int) -> None:
        self._framer = Framer(round(rate_hz * _FRAME_S))
        self._levels: deque[float] = deque(maxlen=_KEPT_FRAMES)
        self._count = 0

    def feed(self, pcm: Pcm) -> None:
        for frame in self._framer.feed(pcm):
            self._levels.append(level_dbfs(frame))
            self._count += 1

    def between(self, start_s: float, end_s: float) -> float:
        """Mean power in dBFS, -100 where nothing is known."""
        first = self._count - len(self._levels)
        low, high = round(start_s / _FRAME_S) - first, round(end_s / _FRAME_S) - first
        part = list(self._levels)[max(0, low) : max(0, high)]
        if not part:
            return -100.0
        return max(-100.0, 10 * math.log10(sum(10 ** (level / 10) for level in part) / len(part)))

    def around(self, start_s: float) -> float:
        """What was before `start_s`: the mean over up to 1.5 s."""
        return self.between(start_s - _AMBIENT_FRAMES * _FRAME_S, start_s)


class WakeListener:
    """One stream's wake words. Close it.

    Args:
        stream: of the spotter, opened with the same words in the same order.
        words: what to listen for.
        rate_hz: of the audio.
        begin_s: seconds of the session's audio that went before.
    """

    def __init__(self, stream: SpotterStream, words: Sequence[WakeWord], rate_hz: int, begin_s: float = 0.0) -> None:
        self._stream = stream
        self._begin_s = begin_s
        self._words = tuple(words)
        self._levels = Levels(rate_hz)
        self._rests_until: dict[str, float] = {}
        self._activations: deque[str] = deque(maxlen=100)

    async def replace(self, words: Sequence[WakeWord]) -> None:
        """Listen for others from the next audio on. Raises what the spotter raises; then the old ones stay."""
        await self._stream.replace([word.phrase for word in words])
        self._words = tuple(words)

    async def hear(self, pcm: Pcm) -> list[Wake]:
        self._levels.feed(pcm)
        return self._wakes(await self._stream.hear(pcm))

    async def finish(self) -> list[Wake]:
        return self._wakes(await self._stream.finish())

    def revoke(self, activation_id: str) -> None:
        """The activation does not count: the phrase may be heard again at once. Raises NotFound."""
        if activation_id not in self._activations:
            raise unknown_activation()
        self._activations.remove(activation_id)
        self._rests_until.clear()

    async def close(self) -> None:
        await self._stream.close()

    def _wakes(self, spotted: Sequence[Spotted]) -> list[Wake]:
        wakes = []
        for found in spotted:
            word = self._words[found.phrase]
            score = score_of(found)
            if score < word.threshold or found.start_s < self._rests_until.get(word.phrase, 0.0):
                continue
            self._rests_until[word.phrase] = found.end_s + _REST_S
            activation = uuid.uuid4().hex
            self._activations.append(activation)
            voice = self._levels.between(found.start_s, found.end_s)
            ambient = self._levels.around(found.start_s)
            start_s, end_s = self._begin_s + found.start_s, self._begin_s + found.end_s
            wakes.append(Wake(activation, word.phrase, score, start_s, end_s, voice, ambient))
        return wakes


@dataclass(frozen=True, slots=True)
class Opinion:
    """Whether a clip holds a phrase; `wake` is the likeliest place, None where there is none at all."""

    accepted: bool
    score: float
    threshold: float
    wake: Wake | None


async def second_opinion(spotter: PhraseSpotter, word: WakeWord, pcm: Pcm) -> Opinion:
    """Judge a whole clip at 16 kHz. Raises what `PhraseSpotter.open` raises."""
    check_wake_words([word], "phrase")
    stream = await spotter.open([word.phrase])
    try:
        still = np.zeros(_PAD, np.int16)  # the search needs to see how the word ends
        padded = np.concatenate((still, pcm, still))
        found = [
            spotted
            for start in range(0, padded.size, _PIECE)  # so that other sessions of the process have their turn
            for spotted in await stream.hear(padded[start : start + _PIECE])
        ]
        found += await stream.finish()
    finally:
        await stream.close()
    best = max(found, key=score_of, default=None)
    if best is None:
        return Opinion(False, 0.0, word.threshold, None)
    levels, length_s, score = Levels(RATE_HZ), pcm.size / RATE_HZ, score_of(best)
    levels.feed(pcm)
    start_s, end_s = (min(length_s, max(0.0, at - _PAD / RATE_HZ)) for at in (best.start_s, best.end_s))
    voice, ambient = levels.between(start_s, end_s), levels.around(start_s)
    wake = Wake("", word.phrase, score, start_s, end_s, voice, ambient)
    return Opinion(score >= word.threshold, score, word.threshold, wake)


def unknown_activation() -> NotFound:
    """The error of an activation that never was, or was revoked."""
    return NotFound("there is no such activation", reason="ACTIVATION_UNKNOWN", field="control.revoke")
