"""Log-probabilities of tokens, frame by frame -> guesses at what was said, by connectionist temporal classification.

Used by `model.py`, per utterance. CTC: Graves et al., "Connectionist temporal classification", ICML 2006. The beam goes
over prefixes, each with the sum of all alignments that give it: Hannun et al., "First-pass large vocabulary continuous
speech recognition using bi-directional recurrent DNNs", 2014 (arXiv 1408.2873).
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from operator import itemgetter
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from services.asr.engines.neural.hotwords import Hotwords, HotwordSets, States
from services.asr.engines.neural.search import Hypothesis

LogProbs = NDArray[np.float32]
"""(frames, tokens), natural logarithms."""

_IMPOSSIBLE = -math.inf
_TOKENS_PER_FRAME = 12  # that a prefix is tried to go on with
_HOPELESS = -14.0  # a token below a millionth of the frame's best is not tried


class Greedy:
    """The best token of every frame; runs of one become one, blanks none."""

    def __init__(self, blank: int) -> None:
        self._blank = blank
        self._last = blank
        self._count = 0
        self._score = 0.0
        self._found: list[tuple[int, int, float]] = []

    def advance(self, log_probs: LogProbs) -> None:
        best = log_probs.argmax(axis=1)
        scores = log_probs[np.arange(len(best)), best]
        for token, score in zip(best.tolist(), scores.tolist(), strict=True):
            if token not in (self._blank, self._last):
                self._found.append((token, self._count, score))
            self._last = token
            self._count += 1
            self._score += score

    def best(self, count: int) -> list[Hypothesis]:
        """One guess, however many are asked for."""
        tokens, frames, scores = zip(*self._found, strict=True) if self._found else ((), (), ())
        return [Hypothesis(tokens, frames, scores, self._score)]


@dataclass(frozen=True, slots=True)
class _Alignment:
    """The likeliest way to one prefix: where each token came, how sure it was, and what hotwords earned in all."""

    score: float = _IMPOSSIBLE  # with the bonus
    bonus: float = 0.0
    frames: tuple[int, ...] = ()
    log_probs: tuple[float, ...] = ()

    def stayed(self, log_prob: float) -> _Alignment:
        return _Alignment(self.score + log_prob, self.bonus, self.frames, self.log_probs)

    def extended(self, frame: int, log_prob: float, bonus: float) -> _Alignment:
        score = self.score + log_prob + bonus
        return _Alignment(score, self.bonus + bonus, (*self.frames, frame), (*self.log_probs, log_prob))


@dataclass(slots=True)
class _Prefix:
    """Sums of the alignments of one prefix that end in a blank, and in its last token; the likeliest of each."""

    states: States = ()  # of the hotwords
    blank: float = _IMPOSSIBLE
    token: float = _IMPOSSIBLE
    by_blank: _Alignment = field(default_factory=_Alignment)
    by_token: _Alignment = field(default_factory=_Alignment)

    @property
    def total(self) -> float:
        return _sum(self.blank, self.token)

    @property
    def likeliest(self) -> _Alignment:
        return max(self.by_blank, self.by_token, key=lambda one: one.score)

    def end_in_blank(self, score: float, alignment: _Alignment) -> None:
        self.blank = _sum(self.blank, score)
        if alignment.score > self.by_blank.score:
            self.by_blank = alignment

    def end_in_token(self, score: float, alignment: _Alignment) -> None:
        self.token = _sum(self.token, score)
        if alignment.score > self.by_token.score:
            self.by_token = alignment


class _Longer(NamedTuple):
    """A prefix with one token more, before it is known whether it lives on."""

    after: tuple[int, ...]
    token: int
    score: float
    log_prob: float  # of the token
    bonus: float  # for the token
    way: _Alignment
    states: States

    def alignment(self, frame: int) -> _Alignment:
        return self.way.extended(frame, self.log_prob, self.bonus)

    def prefix(self, frame: int) -> _Prefix:
        return _Prefix(self.states, token=self.score, by_token=self.alignment(frame))


_Beam = dict[tuple[int, ...], _Prefix]


class PrefixBeam:
    """The likeliest token sequences, whatever their alignment.

    Args:
        blank: the token that stands for none.
        width: prefixes kept after each frame.
        hotwords: sets of phrases, each giving its bonus.
    """

    def __init__(self, blank: int, width: int, hotwords: tuple[Hotwords, ...] = ()) -> None:
        self._blank = blank
        self._width = width
        self._hotwords = HotwordSets(hotwords, blank)
        self._count = 0
        self._beam: _Beam = {(): _Prefix(self._hotwords.start, blank=0.0, by_blank=_Alignment(0.0))}

    def advance(self, log_probs: LogProbs) -> None:
        for frame in log_probs:
            self._step(frame)
            self._count += 1

    def best(self, count: int) -> list[Hypothesis]:
        """Distinct, best first."""
        found = [self._hypothesis(tokens, prefix) for tokens, prefix in self._beam.items()]
        return heapq.nlargest(count, found, key=lambda one: one.score)

    def _step(self, frame: LogProbs) -> None:
        """What a prefix becomes that is in the beam already is summed up; of all others only the best are made."""
        stayed = {tokens: self._stayed(tokens, prefix, frame) for tokens, prefix in self._beam.items()}
        within: dict[tuple[int, ...], set[int]] = {}
        for tokens in filter(None, self._beam):
            within.setdefault(tokens[:-1], set()).add(tokens[-1])
        tried, longer = self._tried(frame), list[_Longer]()
        for tokens, prefix in self._beam.items():
            known = within.get(tokens, ())
            for one in self._longer(tokens, prefix, tried, frame):
                if one.token in known:
                    stayed[(*tokens, one.token)].end_in_token(one.score, one.alignment(self._count))
                else:
                    longer.append(one)
        ranked: list[tuple[float, tuple[int, ...], _Prefix | _Longer]] = [
            *((prefix.total, tokens, prefix) for tokens, prefix in stayed.items()),
            *((one.score, one.after, one) for one in longer),
        ]
        self._beam = dict(
            (tokens, one) if isinstance(one, _Prefix) else ((*tokens, one.token), one.prefix(self._count))
            for _, tokens, one in heapq.nlargest(self._width, ranked, key=itemgetter(0))
        )

    def _stayed(self, tokens: tuple[int, ...], prefix: _Prefix, frame: LogProbs) -> _Prefix:
        """The prefix after a frame that adds no token: a blank, or more of the last one."""
        blank = float(frame[self._blank])
        same = _Prefix(prefix.states)
        same.end_in_blank(prefix.total + blank, prefix.likeliest.stayed(blank))
        if tokens:
            again = float(frame[tokens[-1]])
            same.end_in_token(prefix.token + again, prefix.by_token.stayed(again))
        return same

    def _longer(
        self, tokens: tuple[int, ...], prefix: _Prefix, tried: Sequence[tuple[int, float]], frame: LogProbs
    ) -> Iterator[_Longer]:
        total, likeliest = prefix.total, prefix.likeliest
        # What goes on with a phrase is tried however unlikely it sounds: its bonus may make up for it.
        expected = self._hotwords.following(prefix.states, frame) - {token for token, _ in tried}
        tokens_tried = [*tried, *((token, float(frame[token])) for token in sorted(expected))]
        earned = self._hotwords.earned(prefix.states, [token for token, _ in tokens_tried], frame)
        for (token, log_prob), (bonus, states) in zip(tokens_tried, earned, strict=True):
            # The same token twice is two only with a blank between.
            repeated = tokens[-1:] == (token,)
            score, way = (prefix.blank, prefix.by_blank) if repeated else (total, likeliest)
            if score > _IMPOSSIBLE:
                yield _Longer(tokens, token, score + log_prob + bonus, log_prob, bonus, way, states)

    def _tried(self, frame: LogProbs) -> list[tuple[int, float]]:
        count = min(_TOKENS_PER_FRAME, len(frame))
        best = np.argpartition(frame, -count)[-count:]
        least = float(frame.max()) + _HOPELESS
        return [(int(at), float(frame[at])) for at in best if at != self._blank and frame[at] > least]

    def _hypothesis(self, tokens: tuple[int, ...], prefix: _Prefix) -> Hypothesis:
        way = prefix.likeliest
        return Hypothesis(tokens, way.frames, way.log_probs, prefix.total, way.bonus)


def _sum(one: float, other: float) -> float:
    """Of two probabilities, by their logarithms."""
    high, low = (one, other) if one >= other else (other, one)
    return high if low == _IMPOSSIBLE else high + math.log1p(math.exp(low - high))
