"""The adapter to pocketsphinx, and the only import of it; runs in worker processes.

Four things here are not in its manual but decide its accuracy:

- Loudness. The model was trained on speech of one level, and 20 dB less took the word error rate from 16 % to 58 %. So
  an utterance is brought to that level by what its first half second shows.
- The cepstral mean. Live normalisation starts from a fixed mean and moves only after 8 s of one utterance; commands are
  shorter. So the mean starts from that of real speech, moves every 200 ms, and what an utterance taught goes on to the
  session's next one. On synthetic speech this comes close to knowing the utterance's own mean beforehand.
- A noise floor. The model has never heard digital silence, and synthetic speech between which it lies came to a word
  error rate of 38 %; with noise 33 dB below the speech added before decoding, to 6 %. More of it costs real speech.
- Decoders are reused, and keep the mean and the noise estimate of whoever spoke last: both are set anew for each
  utterance, so that the same audio gives the same words whoever spoke before (0.06 ms).
"""

from __future__ import annotations

import math

import numpy as np
import pocketsphinx
from numpy.typing import NDArray

from services.asr.engines.pocketsphinx.bundles import PocketsphinxBundle
from services.asr.events import Alternative, UnmatchedPhrase, Word
from services.asr.requests import MAX_PHRASE_LENGTH, Phrase
from services.runtime.audio import Pcm

_Vector = NDArray[np.float64]

_FRAME_SECONDS = 0.01
_FRAME_SAMPLES, _FRAME_SHIFT = 410, 160
_LEVEL_SAMPLES = 8_000  # 0.5 s, most of it from before and during the first syllable
_LEVEL_WINDOW = 512
_OWN_PRIOR_FRAMES = 500  # frames that pocketsphinx counts the mean it was given as (CMN_WIN)
_PRIOR_FRAMES = 30  # frames that we count it as
_ADAPT_FRAMES = 20  # frames between two steps of the mean
_ADAPT_SAMPLES = _ADAPT_FRAMES * _FRAME_SHIFT
_LEVEL_DB = 66.0  # loudest 32 ms of speech as the decoder hears it, dB re one least significant bit
_MAX_GAIN_DB = 40.0
_FLOOR = 45.0  # standard deviation of the noise floor, in sample values: 33 dB below the speech
_FLOOR_SEED = 7  # the same audio gives the same words
_NBEST = 30
_DEFAULT_BOOST = 3.0
_SMALLEST = 1e-300  # likelihoods come as numbers, not as logarithms; a long silence underflows
_FILLERS = ("<", "[", "+")


class PocketsphinxDecoder:
    """One decoder; implements `transcriber.Decoder`."""

    def __init__(self, bundle: PocketsphinxBundle) -> None:
        self._decoder = pocketsphinx.Decoder(
            hmm=str(bundle.acoustic_model),
            lm=str(bundle.language_model),
            dict=str(bundle.dictionary),
            samprate=16_000,
            loglevel="FATAL",
            **bundle.decoder,
        )
        self._start_mean = np.array(bundle.feature_mean)
        self._mean = _RunningMean(self._start_mean)
        self._waiting: list[Pcm] = []  # until there is enough to know the level
        self._running = False
        self._floor = np.random.default_rng(_FLOOR_SEED)
        self._gain = np.float32(1.0)
        self._given = ""
        self._samples = 0  # of the utterance, given to the decoder
        self.phrases: tuple[Phrase, ...] = ()
        self.adaptation = ""

    def start(self, adaptation: str) -> None:
        self._given = self.adaptation = adaptation
        self._waiting.clear()
        self._running = False
        self._floor = np.random.default_rng(_FLOOR_SEED)

    def feed(self, pcm: Pcm) -> None:
        if self._running:
            self._decode(pcm)
            return
        self._waiting.append(pcm)
        if sum(part.size for part in self._waiting) >= _LEVEL_SAMPLES:
            self._run()

    def partial(self) -> str:
        if not self._running:
            return ""
        hypothesis = self._decoder.hyp()
        return str(hypothesis.hypstr) if hypothesis else ""

    def finish(self, max_alternatives: int, words: bool) -> list[Alternative]:
        if not self._running:
            if not self._waiting:
                return []
            self._run()
        self._running = False
        self._adapt()
        self.adaptation = _text(self._mean.value)
        self._decoder.end_utt()
        best = self._decoder.hyp()
        if best is None or not best.hypstr:
            return []
        found = [self._best(str(best.hypstr))]
        if max_alternatives > 1 or self.phrases:
            found = self._biased(found[0])
        kept = found[:max_alternatives]
        return kept if words else [_without_words(alternative) for alternative in kept]

    def unmatched(self, phrase: Phrase) -> UnmatchedPhrase | None:
        """Why a phrase can have no effect; None when it can."""
        if len(phrase.text) > MAX_PHRASE_LENGTH:
            return UnmatchedPhrase(phrase.text[:MAX_PHRASE_LENGTH], "TOO_LONG")
        unknown = tuple(word for word in phrase.text.lower().split() if self._decoder.lookup_word(word) is None)
        return (
            UnmatchedPhrase(phrase.text, "OUT_OF_VOCABULARY", unknown) if unknown or not phrase.text.strip() else None
        )

    def _run(self) -> None:
        audio = np.concatenate(self._waiting)
        self._waiting.clear()
        if self._given:
            start = np.array([float(value) for value in self._given.split(",")])
        else:
            start = self._start_mean
        gain_db = min(_LEVEL_DB - level_db(audio), _MAX_GAIN_DB)
        self._gain = np.float32(10.0 ** (gain_db / 20.0))
        self._mean = _RunningMean(start)
        self._decoder.reinit_feat()
        self._decoder.set_cmn(_text(start))
        self._decoder.start_utt()
        self._running = True
        self._samples = 0
        self._decode(audio)

    def _decode(self, pcm: Pcm) -> None:
        floor = self._floor.standard_normal(pcm.size, np.float32) * np.float32(_FLOOR)
        leveled = np.clip(pcm * self._gain + floor, -32_768, 32_767).astype(np.int16)
        for at in range(0, pcm.size, _ADAPT_SAMPLES):
            piece = leveled[at : at + _ADAPT_SAMPLES]
            self._decoder.process_raw(piece.tobytes())
            self._samples += piece.size
            if self._frames - self._mean.frames >= _ADAPT_FRAMES:
                self._adapt()

    def _adapt(self) -> None:
        frames = self._frames
        if frames > self._mean.frames:
            self._mean.update(np.array([float(value) for value in self._decoder.get_cmn(True).split(",")]), frames)
            self._decoder.set_cmn(_text(self._mean.value))

    @property
    def _frames(self) -> int:
        """Frames that the running mean has seen; `n_frames` counts those that were searched, a few less."""
        return max(0, (self._samples - _FRAME_SAMPLES) // _FRAME_SHIFT + 1)

    def _best(self, text: str) -> Alternative:
        words, acoustic, language = [], 0.0, 0.0
        for segment in self._decoder.seg():
            acoustic += _log(segment.ascore)
            language += _log(segment.lscore)
            if not segment.word.startswith(_FILLERS):
                words.append(
                    Word(
                        segment.word.partition("(")[0],
                        segment.start_frame * _FRAME_SECONDS,
                        (segment.end_frame + 1) * _FRAME_SECONDS,
                        round(min(1.0, segment.prob), 4),
                    )
                )
        mean = math.exp(sum(_log(word.confidence) for word in words) / len(words)) if words else 0.0
        return Alternative(text, round(mean, 4), tuple(words), round(acoustic, 2), round(language, 2))

    def _biased(self, best: Alternative) -> list[Alternative]:
        """The n-best, best first, after each phrase in it counted its boost a word."""
        scores: dict[str, float] = {}
        for _, hypothesis in zip(range(_NBEST), self._decoder.nbest(), strict=False):
            if hypothesis.hypstr:
                scores.setdefault(str(hypothesis.hypstr), _log(hypothesis.score))
        scores[best.text] = max(scores.values(), default=0.0) + 1e-6  # the lattice's best path is not always among them
        ranked = sorted(scores, key=lambda text: scores[text] + self._boost(text), reverse=True)
        return [best if text == best.text else _like(best, text) for text in ranked]

    def _boost(self, text: str) -> float:
        padded = f" {text} "
        return sum(
            (phrase.boost or _DEFAULT_BOOST) * len(phrase.text.split())
            for phrase in self.phrases
            if f" {phrase.text.lower()} " in padded
        )


class _RunningMean:
    """The mean of an utterance's cepstra so far, a prior counted in."""

    def __init__(self, start: _Vector) -> None:
        self.frames = 0
        self.value = start
        self._sum = _PRIOR_FRAMES * start

    def update(self, live: _Vector, frames: int) -> None:
        """Takes pocketsphinx's own running mean, in which what `value` was counts as much as 500 frames."""
        new = frames - self.frames
        self._sum = self._sum + live * (_OWN_PRIOR_FRAMES + new) - _OWN_PRIOR_FRAMES * self.value
        self.frames = frames
        self.value = self._sum / (_PRIOR_FRAMES + frames)


def level_db(pcm: Pcm) -> float:
    """Loudest 32 ms, dB re one least significant bit."""
    whole = pcm[: pcm.size // _LEVEL_WINDOW * _LEVEL_WINDOW].astype(np.float32).reshape(-1, _LEVEL_WINDOW)
    power = float(np.mean(np.square(whole), axis=1).max()) if len(whole) else 0.0
    return 10.0 * math.log10(power + 1.0)


def _like(best: Alternative, text: str) -> Alternative:
    """Another guess. pocketsphinx times the best one only: its times are taken over where the words are as many."""
    words = text.split()
    if len(words) != len(best.words):
        return Alternative(text)
    return Alternative(
        text,
        words=tuple(
            Word(word, timed.start, timed.end, timed.confidence if word == timed.text else 0.0)
            for word, timed in zip(words, best.words, strict=True)
        ),
    )


def _without_words(alternative: Alternative) -> Alternative:
    return Alternative(
        alternative.text, alternative.confidence, (), alternative.acoustic_score, alternative.language_score
    )


def _log(likelihood: float) -> float:
    return math.log(max(likelihood, _SMALLEST))


def _text(mean: _Vector) -> str:
    return ",".join(f"{value:.4f}" for value in mean)
