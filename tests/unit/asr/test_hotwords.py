"""What phrases earn along any tokens, against looking for each of them by hand."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
import pytest

from services.asr.engines.neural.hotwords import ROOT, Hotwords, HotwordSets

pytestmark = pytest.mark.unit


def earned(hotwords: Hotwords, tokens: Sequence[int]) -> tuple[list[float], float]:
    """What is earned after each token, and at the end."""
    state, total, steps = ROOT, 0.0, []
    for token in tokens:
        state, step = hotwords.step(state, token)
        total += step
        steps.append(total)
    return steps, total + hotwords.end(state)


@pytest.mark.parametrize(
    ("tokens", "steps", "end"),
    [
        ([1, 2], [2.0, 4.0], 4.0),
        ([1, 5], [2.0, 0.0], 0.0),
        ([1], [2.0], 0.0),
        ([5, 1, 2, 5], [0.0, 2.0, 4.0, 4.0], 4.0),
        ([1, 1, 2], [2.0, 2.0, 4.0], 4.0),
        ([], [], 0.0),
    ],
)
def test_one_phrase(tokens: list[int], steps: list[float], end: float) -> None:
    assert earned(Hotwords([([[1], [2]], 2.0)]), tokens) == (steps, end)


def test_a_word_of_several_tokens_shares_its_bonus() -> None:
    steps, end = earned(Hotwords([([[1, 2, 3, 4], [5]], 4.0)]), [1, 2, 3, 4, 5])
    assert (steps, end) == ([1.0, 2.0, 3.0, 4.0, 8.0], 8.0)


def test_a_longer_phrase_goes_on_where_a_shorter_is_complete() -> None:
    hotwords = Hotwords([([[1], [2]], 2.0), ([[1], [2], [3]], 2.0)])
    assert earned(hotwords, [1, 2, 3]) == ([2.0, 4.0, 6.0], 6.0)
    assert earned(hotwords, [1, 2, 4])[1] == 4.0


def test_a_phrase_within_one_that_breaks_off_counts() -> None:
    hotwords = Hotwords([([[1], [2], [3], [4]], 1.0), ([[2]], 5.0), ([[3], [5]], 1.0)])
    assert earned(hotwords, [1, 2, 9])[1] == 5.0
    assert earned(hotwords, [1, 2, 3, 5])[1] == 7.0
    assert earned(hotwords, [1, 2])[1] == 5.0
    assert earned(hotwords, [1, 2, 3, 4])[1] == 4.0


def test_single_tokens_earn_what_counting_gives() -> None:
    hotwords = Hotwords([([[1]], 1.0), ([[2], [3]], 1.0)])
    for tokens in itertools.product(range(1, 5), repeat=5):
        pairs = sum(pair == (2, 3) for pair in itertools.pairwise(tokens))
        assert earned(hotwords, tokens)[1] == pytest.approx(tokens.count(1) + 2 * pairs), tokens


def test_nothing_is_left_over_whatever_comes() -> None:
    """Phrases that overlap in every way: the sum is never less than 0 at the end, and 0 without a whole phrase."""
    phrases: list[tuple[int, ...]] = [(1, 2, 1), (2, 1, 3), (1, 2, 2, 3), (3, 3)]
    hotwords = Hotwords([([[token] for token in phrase], 1.0) for phrase in phrases])
    for tokens in itertools.product(range(1, 4), repeat=6):
        whole = any(tokens[at : at + len(p)] == p for p in phrases for at in range(6))
        total = earned(hotwords, tokens)[1]
        assert total >= -1e-9
        assert (total > 1e-9) == whole, tokens


def test_many_phrases_are_built_at_once_and_without_phrases_nothing_is_earned() -> None:
    hotwords = Hotwords(([[at % 97, at % 89, at]], 1.0) for at in range(20_000))
    assert hotwords.states < 60_001
    assert earned(Hotwords([]), [1, 2, 3]) == ([0.0, 0.0, 0.0], 0.0)
    assert earned(Hotwords([([], 1.0)]), [1]) == ([0.0], 0.0)


def test_of_very_many_ways_to_go_on_the_likeliest_are_told() -> None:
    phrases = Hotwords([([[1], [token]], 2.0) for token in range(2, 1_000)])
    row = np.arange(1_000, dtype=np.float32)
    assert set(phrases.following(ROOT, row)) == set()
    assert set(phrases.following(phrases.step(ROOT, 1)[0], row)) == set(range(936, 1_000))


def test_a_blank_goes_on_with_nothing() -> None:
    sets = HotwordSets([Hotwords([([[1], [0]], 2.0)])], blank=0)
    states = (1,)
    assert sets.following(states, np.zeros(3, np.float32)) == set()
