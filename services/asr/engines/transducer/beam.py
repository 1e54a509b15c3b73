"""Beam search of a transducer with n-best and hotwords, frame by frame.

Used by `model.py` where alternatives or phrases are asked for. Guesses with the same tokens are one, their
probabilities summed (Graves 2012); at a frame a guess takes at most `symbols_per_frame` tokens, then all move on, as in
the "modified" beam search of icefall where that number is 1. What is joined is a new guess with every frame left of the
piece, all new guesses in one call, so a guess that lives on without a new token costs nothing more.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from services.asr.engines.neural.hotwords import Hotwords, HotwordSets, States
from services.asr.engines.neural.search import Hypothesis
from services.asr.engines.transducer.greedy import log_softmax
from services.asr.engines.transducer.networks import BLANK, Floats, Prediction, TransducerModel

_SPREAD = 8.0  # natural log units below the best, beyond which a guess is dropped: 12 finds no more, 5 less
_LIFT = 10.0  # by which hotwords lift a token that would have been dropped
_EXTRA_TOKENS = 4  # looked at beyond the width, for a hotword's bonus may lift them

_Key = tuple[int, ...]


class _Scores(NamedTuple):
    """Of the piece's frames from `since` on: of all tokens, of the blank, and of the likeliest other token."""

    since: int
    rows: Floats
    blanks: Sequence[float]
    peaks: Sequence[float]


class _Guess(NamedTuple):
    """One guess (a named tuple, for they are made by the hundred). `prediction` is None until it is needed."""

    tokens: _Key = ()
    frames: tuple[int, ...] = ()
    log_probs: tuple[float, ...] = ()
    score: float = 0.0  # without bonus
    bonus: float = 0.0
    states: States = ()  # of the hotwords
    prediction: Prediction | None = None
    scores: _Scores | None = None

    @property
    def total(self) -> float:
        return self.score + self.bonus

    def blank(self, frame: int) -> float:
        assert self.scores is not None
        return self.scores.blanks[frame - self.scores.since]

    def peak(self, frame: int) -> float:
        assert self.scores is not None
        return self.scores.peaks[frame - self.scores.since]

    def row(self, frame: int) -> Floats:
        assert self.scores is not None
        row: Floats = self.scores.rows[frame - self.scores.since]
        return row


class Beam:
    """One utterance.

    Args:
        model: its networks.
        width: guesses that live on.
        hotwords: sets of phrases, each giving its bonus.
    """

    def __init__(self, model: TransducerModel, width: int, hotwords: tuple[Hotwords, ...] = ()) -> None:
        self._model = model
        self._width = width
        self._hotwords = HotwordSets(hotwords, BLANK)
        self._frame = 0  # frames heard before the piece
        self._guesses = [_Guess(states=self._hotwords.start)]

    async def hear(self, encoded: Floats) -> None:
        """Further frames of the encoder's output, shape (n, D)."""
        if self._guesses[0].prediction is None:
            self._guesses = [self._guesses[0]._replace(prediction=await self._model.first())]
        guesses = await self._joined(self._guesses, encoded, 0)
        for at in range(len(encoded)):
            guesses = await self._step(guesses, encoded, at)
        self._guesses = [guess._replace(scores=None) for guess in guesses]
        self._frame += len(encoded)

    def best(self, count: int) -> list[Hypothesis]:
        found: dict[str, _Guess] = {}
        for guess in sorted(self._guesses, key=lambda guess: -guess.total):
            text = self._model.tokens.text(guess.tokens)
            found[text] = _merged(found[text], guess) if text in found else guess
        ordered = sorted(found.values(), key=lambda guess: -guess.total)[:count]
        return [Hypothesis(each.tokens, each.frames, each.log_probs, each.total, each.bonus) for each in ordered]

    async def _step(self, guesses: list[_Guess], encoded: Floats, at: int) -> list[_Guess]:
        """One frame; guesses come and go with what they need to be joined with the next."""
        moved: dict[_Key, _Guess] = {}
        turns = self._model.symbols_per_frame
        for turn in range(1, turns + 1):
            for guess in guesses:
                _keep(moved, guess._replace(score=guess.score + guess.blank(at)))
            extended = self._extended(guesses, moved, at)
            if turn == turns or not extended:
                for guess in extended:
                    _keep(moved, guess)
                break
            guesses = await self._joined(await self._predicted(extended), encoded, at)
        kept = self._pruned(moved.values())
        new = [guess for guess in kept if guess.scores is None]
        if not new:
            return kept
        ready = await self._joined(await self._predicted(new), encoded, at + 1)
        return [guess for guess in kept if guess.scores is not None] + ready

    def _extended(self, guesses: Sequence[_Guess], moved: dict[_Key, _Guess], at: int) -> list[_Guess]:
        """The guesses with one token more that are good enough to live on."""
        found: dict[_Key, _Guess] = {}
        best = max(guess.total for guess in moved.values())
        for guess in guesses:
            least = best - _SPREAD - guess.total - (_LIFT if self._hotwords else 0.0)
            if guess.peak(at) < least and not any(guess.states):
                continue
            row = guess.row(at)
            tokens = self._candidates(guess, row, least)
            for token, (earned, states) in zip(tokens, self._hotwords.earned(guess.states, tokens, row), strict=True):
                score = guess.score + float(row[token])
                if score + guess.bonus + earned >= best - _SPREAD:
                    extended = _Guess(
                        (*guess.tokens, token),
                        (*guess.frames, self._frame + at),
                        (*guess.log_probs, float(row[token])),
                        score,
                        guess.bonus + earned,
                        states,
                        guess.prediction,
                    )
                    _keep(found, extended)
        return self._pruned(found.values())

    def _candidates(self, guess: _Guess, row: Floats, least: float) -> list[int]:
        """Tokens that may be good enough."""
        likely = np.flatnonzero(row[1:] >= least) + 1
        count = self._width + _EXTRA_TOKENS
        if likely.size > count:
            likely = likely[np.argpartition(-row[likely], count)[:count]]
        within = self._hotwords.following(guess.states, row)
        return [*likely.tolist(), *sorted(within - set(likely.tolist()))]

    def _pruned(self, guesses: Iterable[_Guess]) -> list[_Guess]:
        ordered = sorted(guesses, key=lambda guess: -guess.total)[: self._width]
        return [guess for guess in ordered if guess.total >= ordered[0].total - _SPREAD]

    async def _predicted(self, guesses: Sequence[_Guess]) -> list[_Guess]:
        """With the prediction after their last token; it was that before it."""
        before = [guess.prediction for guess in guesses]
        known = [each for each in before if each is not None]
        after = await self._model.advance(known, [guess.tokens[-1] for guess in guesses])
        return [guess._replace(prediction=each) for guess, each in zip(guesses, after, strict=True)]

    async def _joined(self, guesses: Sequence[_Guess], encoded: Floats, since: int) -> list[_Guess]:
        """With the scores of the frames from `since` on."""
        frames = encoded[since:]
        if not len(frames):
            return list(guesses)
        outputs = np.stack([guess.prediction.output for guess in guesses if guess.prediction is not None])
        logits = await self._model.join(np.tile(frames, (len(guesses), 1)), np.repeat(outputs, len(frames), axis=0))
        rows = log_softmax(logits).reshape(len(guesses), len(frames), -1)
        blanks, peaks = rows[..., BLANK].tolist(), rows[..., 1:].max(axis=-1, initial=-np.inf).tolist()
        return [
            guess._replace(scores=_Scores(since, *scores))
            for guess, *scores in zip(guesses, rows, blanks, peaks, strict=True)
        ]


def _keep(guesses: dict[_Key, _Guess], guess: _Guess) -> None:
    known = guesses.get(guess.tokens)
    guesses[guess.tokens] = guess if known is None else _merged(known, guess)


def _merged(one: _Guess, other: _Guess) -> _Guess:
    """Two ways to the same words: the probabilities add up, the times are those of the likelier."""
    likelier = one if one.total >= other.total else other
    ready = one if one.scores is not None else other
    both = max(one.score, other.score) + math.log1p(math.exp(-abs(one.score - other.score)))
    return likelier._replace(score=both, prediction=ready.prediction, scores=ready.scores)
