"""The process that spots wake phrases: started by the `WorkerPool` of `keyphrase.py`, and the only import of
pocketsphinx in this capability.

A request is a letter and its matter: "P" a JSON list of phrases to listen for from now on, "A" PCM16 little-endian at
16 kHz, "F" nothing: the audio has ended. The answer is a JSON list of what was heard: index of the phrase, decades of
likelihood against any phones at all, phones, and start and end in seconds of the session's audio.
"""

from __future__ import annotations

import json
import math
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pocketsphinx
from numpy.typing import NDArray

from services.activation.engines.leveler import Leveler
from services.activation.engines.pronunciations import Pronunciations
from services.runtime.worker_process import serve

_MODEL = Path(pocketsphinx.get_model_path()) / "en-us"
# Mean cepstra of speech at the leveler's level, from which the decoder's own running mean starts.
_MEAN = "45.0,1.1,-3.0,7.1,-6.1,1.9,-4.1,-4.4,-1.0,-1.9,0.6,-1.9,0.6"
_LOOSEST = 1e-40  # what is less likely than this against other phones is not even reported
# pocketsphinx gives exp of (evidence - 1500) in units of its logarithm's base 1.0001, shifted by 10 bits.
_UNIT, _OFFSET, _SHIFT = math.log(1.0001), 1500, 1024
_FRAME_S = 0.01
_PIECE = 1600  # samples between two looks at what was found
_MOST_FOUND = 64  # detections after which the search starts anew, so that looking stays quick


@dataclass
class _Best:
    """The best evidence so far of one place in the audio, and whether it may still grow."""

    phrase: int
    decades: float
    phones: int
    start_s: float
    end_s: float


class KeyphraseHandler:
    """One decoder per session."""

    def __init__(self, args: Sequence[str]) -> None:
        self._pronunciations = Pronunciations(_MODEL / "cmudict-en-us.dict")
        self._sessions: dict[int, _Spotter | None] = {}

    def open(self, session: int) -> None:
        self._sessions[session] = None

    def close(self, session: int) -> None:
        del self._sessions[session]

    def request(self, session: int, payload: bytes) -> bytes:
        kind, matter = payload[:1], payload[1:]
        spotter = self._sessions[session]
        if kind == b"P":
            phrases = [self._pronunciations.of(phrase) for phrase in json.loads(matter)]
            self._sessions[session] = _Spotter(phrases, spotter.heard_s if spotter else 0.0)
            return b"[]"
        if spotter is None:
            return b"[]"
        found = spotter.finish() if kind == b"F" else spotter.hear(np.frombuffer(matter, "<i2"))
        return json.dumps(
            [[best.phrase, best.decades, best.phones, best.start_s, best.end_s] for best in found]
        ).encode()


class _Spotter:
    """Listens for some phrases. Args: the pronunciations of each, and seconds of audio that went before."""

    def __init__(self, phrases: Sequence[Sequence[str]], begin_s: float) -> None:
        self._words = {
            f"{index}-{number}": (index, phones)
            for index, variants in enumerate(phrases)
            for number, phones in enumerate(variants)
        }
        self._decoder = _decoder({word: phones for word, (_, phones) in self._words.items()})
        self._level = Leveler()
        self._begin_s = self.heard_s = begin_s
        self._told: set[tuple[str, int]] = set()
        self._start()

    def hear(self, pcm: NDArray[np.int16]) -> list[_Best]:
        found: list[_Best] = []
        for start in range(0, pcm.size, _PIECE):
            piece = pcm[start : start + _PIECE]
            self._decoder.process_raw(self._level.feed(piece).astype("<i2").tobytes())
            self.heard_s += piece.size / 16_000
            found += self._look()
        return found

    def finish(self) -> list[_Best]:
        self._decoder.end_utt()
        found = self._look()
        self._start()
        return found

    def _start(self) -> None:
        self._begin_s = self.heard_s
        self._told.clear()
        self._decoder.start_utt()

    def _look(self) -> list[_Best]:
        if self._decoder.hyp() is None:
            return []
        segments = list(self._decoder.seg())
        found = []
        for segment in segments:
            key = (segment.word.strip(), segment.end_frame)
            if key not in self._told:
                self._told.add(key)
                found.append(self._best(segment))
        if len(segments) > _MOST_FOUND:
            self._decoder.end_utt()
            self._start()
        return found

    def _best(self, segment: pocketsphinx.Segment) -> _Best:
        index, phones = self._words[segment.word.strip()]
        decades = (math.log(max(segment.prob, 1e-300)) / _UNIT + _OFFSET) * _SHIFT * _UNIT / math.log(10)
        start_s = self._begin_s + segment.start_frame * _FRAME_S
        end_s = self._begin_s + (segment.end_frame + 1) * _FRAME_S
        return _Best(index, round(decades, 2), len(phones.split()), round(start_s, 3), round(end_s, 3))


def _decoder(words: dict[str, str]) -> pocketsphinx.Decoder:
    with tempfile.TemporaryDirectory() as folder:
        dictionary, phrases = Path(folder) / "words.dict", Path(folder) / "phrases"
        dictionary.write_text("".join(f"{word} {phones}\n" for word, phones in words.items()))
        phrases.write_text("".join(f"{word} /{_LOOSEST:g}/\n" for word in words))
        decoder = pocketsphinx.Decoder(
            hmm=str(_MODEL / "en-us"),
            dict=str(dictionary),
            kws=str(phrases),
            samprate=16_000,
            loglevel="FATAL",
        )
    decoder.set_cmn(_MEAN)
    return decoder


if __name__ == "__main__":
    serve(KeyphraseHandler)
