"""Phrases to expect, as a machine that a search walks along with its tokens (Aho and Corasick, CACM 1975).

Built by `engine.py` from a request's biasing phrases and from a session's grammar, read by the searches. Each token of
a phrase earns its share of the phrase's bonus at once, for a search that had to wait for the whole phrase would have
dropped it by then; when the phrase breaks off, what was earned in advance is taken back.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

ROOT = 0
_MOST_FOLLOWING = 64  # tokens that may go on with a phrase; "the" begins thousands of titles
_MOST_EARNED = 60.0  # by one token: a long phrase of the largest boosts would leave the range of numbers
_SMALLEST = 1e-300  # likelihoods here are numbers, not logarithms

States = tuple[int, ...]
Row = NDArray[np.floating[Any]]


class Hotwords:
    """Many phrases at once; a state is a number, `ROOT` at the start of an utterance.

    Args:
        phrases: each the tokens of its words, and the bonus of a word in natural log units.
    """

    def __init__(self, phrases: Iterable[tuple[Sequence[Sequence[int]], float]]) -> None:
        self._next: list[dict[int, int]] = [{}]
        self._ends: set[int] = set()
        steps = [0.0]
        for words, boost in phrases:
            state = ROOT
            for word in words:
                for token in word:
                    state = self._child(state, token, steps)
                    steps[state] = max(steps[state], boost / len(word))
            if state != ROOT:
                self._ends.add(state)
        self.states = len(self._next)
        self._wide = {
            state: np.array(list(after), np.int64)
            for state, after in enumerate(self._next)
            if len(after) > _MOST_FOLLOWING and state != ROOT
        }
        self._fallback = [ROOT] * self.states
        self._ahead = [0.0] * self.states  # earned in advance, to be taken back if the phrase breaks off
        self._kept = [0.0] * self.states  # earned for good on arrival: a phrase is complete
        self._inside = [0.0] * self.states  # of phrases complete within this one, due if it breaks off
        self._link(steps)

    def step(self, state: int, token: int) -> tuple[int, float]:
        """The next state, and what is earned (or taken back) by it."""
        earned = -self._ahead[state]
        while token not in self._next[state] and state != ROOT:
            fallback = self._fallback[state]
            earned += max(0.0, self._inside[state] - self._inside[fallback])
            state = fallback
        state = self._next[state].get(token, ROOT)
        return state, earned + self._kept[state] + self._ahead[state]

    def end(self, state: int) -> float:
        """What is earned or taken back when the utterance ends here."""
        return self._inside[state] - self._ahead[state]

    def following(self, state: int, row: Row) -> Iterable[int]:
        """The tokens that go on with a phrase; of very many those that score best in the row. None at the root."""
        if state == ROOT:
            return ()
        wide = self._wide.get(state)
        if wide is None:
            return self._next[state]
        found: list[int] = wide[np.argpartition(-row[wide], _MOST_FOLLOWING)[:_MOST_FOLLOWING]].tolist()
        return found

    def _child(self, state: int, token: int, steps: list[float]) -> int:
        if token not in self._next[state]:
            self._next[state][token] = len(self._next)
            self._next.append({})
            steps.append(0.0)
        return self._next[state][token]

    def _link(self, steps: Sequence[float]) -> None:
        """Shorter states first: each falls back to the longest other state that ends it."""
        whole = [0.0] * self.states  # what all tokens of a state earn
        waiting = deque([ROOT])
        while waiting:
            state = waiting.popleft()
            for token, child in self._next[state].items():
                fallback = self._fallback[state]
                while token not in self._next[fallback] and fallback != ROOT:
                    fallback = self._fallback[fallback]
                found = self._next[fallback].get(token, ROOT)
                self._fallback[child] = found if found != child else ROOT
                whole[child] = whole[state] + steps[child]
                earned = self._ahead[state] + steps[child]
                if child in self._ends:
                    self._kept[child] = earned
                else:
                    self._ahead[child] = earned
                    self._inside[child] = self._inside[state] + self._complete(self._fallback[child], whole)
                waiting.append(child)

    def _complete(self, state: int, whole: Sequence[float]) -> float:
        """What the longest phrase is worth that ends with this state."""
        while state not in self._ends and state != ROOT:
            state = self._fallback[state]
        return whole[state]


class HotwordSets:
    """Several sets of phrases, each walked by itself: what a search asks at a frame.

    What they earn makes tokens likelier among tokens, not against the blank: that something was said stays as probable
    as it was. Added to the score as it is, a bonus of 2 a word had the words of sixty phrases heard in every pause.
    """

    def __init__(self, sets: Sequence[Hotwords], blank: int) -> None:
        self._sets = tuple(sets)
        self._blank = blank
        self.start: States = (ROOT,) * len(self._sets)

    def __bool__(self) -> bool:
        return bool(self._sets)

    def following(self, states: States, row: Row) -> set[int]:
        """The tokens that go on with phrases which have begun."""
        walked = zip(self._sets, states, strict=True)
        return {token for each, state in walked for token in each.following(state, row)} - {self._blank}

    def earned(self, states: States, tokens: Sequence[int], row: Row) -> list[tuple[float, States]]:
        """What each token earns, and the states after it; `row` are the logarithms of all tokens' probabilities."""
        if not self._sets:
            return [(0.0, states)] * len(tokens)
        walked = list(zip(self._sets, states, strict=True))
        steps = [[each.step(state, token) for each, state in walked] for token in tokens]
        earned = [_bounded(sum(bonus for _, bonus in found)) for found in steps]
        missed = _bounded(sum(each.end(state) for each, state in walked))  # by all tokens that are not named
        if tokens and (missed or any(earned)):
            scale = self._scale(row, tokens, earned, missed)
            earned = [each - scale for each in earned]
        return list(zip(earned, (tuple(state for state, _ in found) for found in steps), strict=True))

    def _scale(self, row: Row, tokens: Sequence[int], earned: Sequence[float], missed: float) -> float:
        """By how much all tokens together would be likelier, as a logarithm."""
        scores = row.astype(np.float64)
        scores[self._blank] = -np.inf
        likely = np.exp(scores - scores.max())
        named = likely[np.array(tokens, np.int64)]
        total = float(likely.sum())
        others = max(0.0, total - float(named.sum()))
        lifted = float((named * np.exp(earned)).sum()) + others * math.exp(missed)
        return math.log(max(lifted, _SMALLEST) / total)


def _bounded(earned: float) -> float:
    return max(-_MOST_EARNED, min(earned, _MOST_EARNED))
