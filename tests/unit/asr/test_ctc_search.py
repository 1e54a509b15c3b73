"""CTC searches over a frame's log-probabilities, against sums over all alignments."""

from __future__ import annotations

import itertools
import math
import time

import numpy as np
import pytest
from numpy.typing import NDArray

from services.asr.engines.ctc.search import Greedy, PrefixBeam
from services.asr.engines.neural.hotwords import Hotwords

pytestmark = pytest.mark.unit

BLANK = 0


def log_probs(*frames: tuple[float, ...]) -> NDArray[np.float32]:
    return np.log(np.array(frames, np.float32))


def drawn(frames: int, tokens: int, seed: int) -> NDArray[np.float32]:
    logits = 2.0 * np.random.default_rng(seed).standard_normal((frames, tokens))
    normalised: NDArray[np.float32] = (logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))).astype(np.float32)
    return normalised


def collapsed(alignment: tuple[int, ...], blank: int = BLANK) -> tuple[int, ...]:
    runs = [token for token, _ in itertools.groupby(alignment)]
    return tuple(token for token in runs if token != blank)


def all_sums(frames: NDArray[np.float32], blank: int = BLANK) -> dict[tuple[int, ...], float]:
    """Of every token sequence, the logarithm of the sum over all its alignments."""
    sums: dict[tuple[int, ...], float] = {}
    for alignment in itertools.product(range(frames.shape[1]), repeat=len(frames)):
        score = float(sum(frames[at, token] for at, token in enumerate(alignment)))
        key = collapsed(alignment, blank)
        sums[key] = float(np.logaddexp(sums.get(key, -math.inf), score))
    return sums


def test_greedy_collapses_runs_and_tells_where_they_began() -> None:
    greedy = Greedy(BLANK)
    greedy.advance(log_probs((0.1, 0.8, 0.1), (0.1, 0.7, 0.2), (0.9, 0.05, 0.05)))
    greedy.advance(log_probs((0.2, 0.6, 0.2), (0.2, 0.2, 0.6)))

    (found,) = greedy.best(3)

    assert found.tokens == (1, 1, 2)
    assert found.frames == (0, 3, 4)
    assert np.exp(found.log_probs) == pytest.approx([0.8, 0.6, 0.6])
    assert found.score == pytest.approx(math.log(0.8 * 0.7 * 0.9 * 0.6 * 0.6), abs=1e-5)


def test_a_run_that_goes_over_the_edge_of_a_piece_is_one_token() -> None:
    frames = drawn(40, 5, seed=3)
    whole, pieces = Greedy(BLANK), Greedy(BLANK)
    whole.advance(frames)
    for at in range(0, 40, 3):
        pieces.advance(frames[at : at + 3])
    assert pieces.best(1) == whole.best(1)


@pytest.mark.parametrize("blank", [0, 3])
def test_a_wide_beam_finds_the_sums_of_all_alignments(blank: int) -> None:
    frames = drawn(6, 4, seed=11)
    beam = PrefixBeam(blank, width=400)
    beam.advance(frames)

    wanted = sorted(all_sums(frames, blank).items(), key=lambda item: -item[1])[:20]
    found = beam.best(20)

    assert [one.tokens for one in found] == [tokens for tokens, _ in wanted]
    assert [one.score for one in found] == pytest.approx([score for _, score in wanted], abs=1e-4)


def test_the_beam_prefers_many_alignments_to_one_that_is_best() -> None:
    frames = log_probs((0.4, 0.35, 0.25), (0.4, 0.35, 0.25))
    greedy, beam = Greedy(BLANK), PrefixBeam(BLANK, width=8)
    greedy.advance(frames)
    beam.advance(frames)
    assert greedy.best(1)[0].tokens == ()
    assert beam.best(1)[0].tokens == (1,)


def test_guesses_are_distinct_sorted_and_timed_in_order() -> None:
    beam = PrefixBeam(BLANK, width=8)
    for _ in range(3):
        beam.advance(drawn(30, 12, seed=5))
    found = beam.best(8)
    assert len({one.tokens for one in found}) == len(found) == 8
    assert [one.score for one in found] == sorted((one.score for one in found), reverse=True)
    for one in found:
        assert len(one.tokens) == len(one.frames) == len(one.log_probs)
        assert list(one.frames) == sorted(set(one.frames))
        assert one.frames[-1] < 90


def test_a_token_twice_in_a_row_needs_a_blank_between() -> None:
    beam = PrefixBeam(BLANK, width=16)
    beam.advance(log_probs((0.01, 0.99), (0.98, 0.02), (0.01, 0.99)))
    found = beam.best(1)[0]
    assert found.tokens == (1, 1)
    assert found.frames == (0, 2)


def test_nothing_heard_is_one_guess_without_tokens() -> None:
    assert [one.tokens for one in PrefixBeam(BLANK, width=4).best(5)] == [()]
    assert [one.tokens for one in Greedy(BLANK).best(5)] == [()]


def test_a_phrase_to_expect_decides_between_two_that_are_close() -> None:
    frames = log_probs((0.1, 0.5, 0.4, 1e-6), (0.8, 0.1, 0.1, 1e-6), (0.1, 1e-6, 1e-6, 0.9))
    plain, expecting = PrefixBeam(BLANK, width=8), PrefixBeam(BLANK, width=8, hotwords=(Hotwords([(((2, 3),), 2.0)]),))
    plain.advance(frames)
    expecting.advance(frames)
    assert plain.best(1)[0].tokens == (1, 3)
    assert expecting.best(1)[0].tokens == (2, 3)
    bonus = {one.tokens: one.bonus for one in expecting.best(8)}
    assert bonus[(2, 3)] - bonus[(1, 3)] == pytest.approx(1.0, abs=0.01)  # at 3 there was nothing to choose


def test_what_goes_on_with_a_phrase_is_tried_among_a_thousand_likelier_tokens() -> None:
    likely = np.full(1_000, 1e-3, np.float32)
    likely[2] = 0.5
    unlikely = np.full(1_000, 1e-3, np.float32)
    unlikely[3] = 1e-4
    unlikely[BLANK] = 0.3
    frames = np.log(np.stack((likely, unlikely)))
    beam = PrefixBeam(BLANK, width=8, hotwords=(Hotwords([(((2, 3),), 12.0)]),))
    beam.advance(frames)
    assert beam.best(1)[0].tokens == (2, 3)


def test_phrases_are_not_heard_in_a_pause() -> None:
    pause = log_probs(*[(0.99, *[0.001] * 10)] * 80)
    phrases = Hotwords([(((token,),), 4.0) for token in range(1, 6)])
    plain, expecting = PrefixBeam(BLANK, width=8), PrefixBeam(BLANK, width=8, hotwords=(phrases,))
    plain.advance(pause)
    expecting.advance(pause)
    assert plain.best(1)[0].tokens == expecting.best(1)[0].tokens == ()


def test_a_phrase_that_breaks_off_earns_nothing() -> None:
    frames = log_probs((0.1, 0.2, 0.7, 1e-6), (0.9, 0.05, 0.05, 1e-6), (0.1, 0.8, 0.1, 1e-6))
    beam = PrefixBeam(BLANK, width=8, hotwords=(Hotwords([(((2, 3),), 4.0)]),))
    beam.advance(frames)
    found = {one.tokens: one.bonus for one in beam.best(8)}
    assert abs(found[(2, 1)]) < 0.5
    assert beam.best(1)[0].tokens == (2, 1)


def test_a_minute_of_noise_over_a_large_vocabulary_is_searched_in_time() -> None:
    """25 frames a second; the bound is three hundredths of real time."""
    frames = drawn(25 * 60, 1_000, seed=7)
    beam = PrefixBeam(BLANK, width=8)
    began = time.process_time()
    beam.advance(frames)
    assert time.process_time() - began < 2.0
    assert len(beam.best(100)) == 8


def test_boosts_of_any_size_are_borne() -> None:
    """The longer phrase breaks off where the one within it is due, which is worth 980."""
    within = [[2]] * 49
    phrases = Hotwords([([[1], *within, [3]], 0.1), (within, 20.0)])
    said = log_probs(*(step for token in (1, *[2] * 49, 1) for step in ((0.9, 0.03, 0.03, 0.04), heard(token))))
    beam = PrefixBeam(BLANK, width=8, hotwords=(phrases,))
    beam.advance(said)
    assert all(math.isfinite(each.score) for each in beam.best(8))


def heard(token: int) -> tuple[float, ...]:
    return tuple(0.94 if at == token else 0.02 for at in range(4))


def test_a_word_that_begins_thousands_of_phrases_does_not_hold_up_the_search() -> None:
    vocabulary, frames = 5_000, 25
    phrases = Hotwords([([[1], [token]], 2.0) for token in range(2, vocabulary)])
    begun, silence = np.full(vocabulary, -12.0, np.float32), np.full(vocabulary, -12.0, np.float32)
    begun[1] = silence[BLANK] = 0.0
    beam = PrefixBeam(BLANK, width=8, hotwords=(phrases,))
    beam.advance(np.stack((begun, silence)))
    began = time.process_time()
    beam.advance(np.stack([silence] * frames))
    assert (time.process_time() - began) / frames < 0.01
