"""Phrases to expect, as a machine that a search walks along with its tokens (Aho and Corasick, CACM 1975).

Built by `engine.py` from a request's biasing phrases and from a session's grammar, read by the searches. Each token of
a phrase earns its share of the phrase's bonus at once, for a search that had to wait for the whole phrase would have
dropped it by then; when the phrase breaks off, what was earned in advance is taken back.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence

ROOT = 0


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

    def following(self, state: int) -> Iterable[int]:
        """The tokens that go on with a phrase."""
        return self._next[state]

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
