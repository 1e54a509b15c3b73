"""Greedy and beam search of transducers, against trying every alignment of small tables."""

from __future__ import annotations

import numpy as np
import pytest

from services.asr.engines.neural.hotwords import Hotwords
from services.asr.engines.neural.search import Hypothesis
from services.asr.engines.transducer.beam import Beam
from services.asr.engines.transducer.greedy import Greedy
from services.asr.engines.transducer.networks import Floats
from tests.fakes.transducers import TableTransducer

pytestmark = pytest.mark.unit


def random_table(seed: int, *, frames: int = 5, tokens: int = 3, sharpness: float = 1.5) -> Floats:
    shape = (frames, tokens, tokens)
    return (np.random.default_rng(seed).normal(size=shape) * sharpness).astype(np.float32)


def peaked(*tokens: int, size: int = 4) -> Floats:
    """A table that says these tokens, 0 for a blank, one at each frame."""
    table = np.zeros((len(tokens), size, size), np.float32)
    for frame, token in enumerate(tokens):
        table[frame, :, token] = 16.0
    return table


async def greedy(model: TableTransducer, step: int = 100) -> Hypothesis:
    search = Greedy(model)
    for at in range(0, len(model.frames), step):
        await search.hear(model.frames[at : at + step])
    return search.best(1)[0]


async def beam(model: TableTransducer, width: int, step: int = 100, *hotwords: Hotwords) -> list[Hypothesis]:
    search = Beam(model, width, hotwords)
    for at in range(0, len(model.frames), step):
        await search.hear(model.frames[at : at + step])
    return search.best(width)


async def test_a_clear_text_is_heard_by_both_and_at_its_frames() -> None:
    model = TableTransducer(peaked(0, 1, 0, 0, 3, 2, 0))
    for found in (await greedy(model), (await beam(model, 4))[0]):
        assert (found.tokens, found.frames) == ((1, 3, 2), (1, 4, 5))
        assert found.score == pytest.approx(0.0, abs=0.01)


@pytest.mark.parametrize("step", [1, 2, 3, 7])
@pytest.mark.parametrize("cap", [1, 3])
@pytest.mark.parametrize("seed", range(4))
async def test_pieces_of_any_length_give_the_same(seed: int, cap: int, step: int) -> None:
    model = TableTransducer(random_table(seed, frames=9, tokens=4), cap)
    whole, cut = await greedy(model), await greedy(model, step)
    assert (cut.tokens, cut.frames) == (whole.tokens, whole.frames)
    assert cut.score == pytest.approx(whole.score, abs=1e-4)
    all_at_once, in_pieces = await beam(model, 5), await beam(model, 5, step)
    assert [each.tokens for each in in_pieces] == [each.tokens for each in all_at_once]
    assert [each.score for each in in_pieces] == pytest.approx([each.score for each in all_at_once], abs=1e-4)


@pytest.mark.parametrize("cap", [1, 2])
@pytest.mark.parametrize("seed", range(12))
async def test_a_wide_beam_finds_what_trying_everything_finds(seed: int, cap: int) -> None:
    model = TableTransducer(random_table(seed, frames=4), cap)
    texts = model.every_text()
    assert sum(np.exp(score) for score in texts.values()) == pytest.approx(1.0, abs=1e-4)
    found = await beam(model, 600)
    best = max(texts, key=lambda text: texts[text])
    assert found[0].tokens == best
    for each in found[:10]:
        assert each.score == pytest.approx(texts[each.tokens], abs=0.01)


async def test_the_beam_finds_what_greedy_misses() -> None:
    """The likeliest first step, a blank, leads to texts each less likely than "w2", said at once."""
    table = np.zeros((2, 3, 3), np.float32)
    table[0, 0] = np.log([0.45, 0.15, 0.4])
    table[1, 0] = np.log([0.4, 0.35, 0.25])
    table[1, 1:] = np.log([0.9, 0.05, 0.05])
    model = TableTransducer(table)
    texts = model.every_text()
    best = max(texts, key=lambda text: texts[text])
    assert (await greedy(model)).tokens != best
    assert (await beam(model, 4))[0].tokens == best


@pytest.mark.parametrize("seed", range(6))
async def test_the_guesses_are_sorted_and_distinct(seed: int) -> None:
    found = await beam(TableTransducer(random_table(seed, frames=8, tokens=5), 2), 8)
    scores = [each.score for each in found]
    assert scores == sorted(scores, reverse=True)
    assert len({each.tokens for each in found}) == len(found) > 1
    for each in found:
        assert len(each.tokens) == len(each.frames) == len(each.log_probs)
        assert list(each.frames) == sorted(each.frames)
        assert max(each.log_probs, default=0.0) <= 1e-6


async def test_guesses_of_one_text_are_one() -> None:
    """Two tokens that read alike."""
    model = TableTransducer(np.where(peaked(0, 1, 0) > 0, 2.0, 1.0).astype(np.float32), words=["yes", "yes", "no"])
    texts = [model.tokens.text(each.tokens) for each in await beam(model, 12)]
    assert len(set(texts)) == len(texts)


async def test_a_frame_gives_no_more_tokens_than_the_cap_and_noise_ends() -> None:
    table = np.zeros((50, 3, 3), np.float32)
    table[:, :, 1:] = 9.0  # a token at any time, for ever
    for cap in (1, 3):
        model = TableTransducer(table, cap)
        assert len((await greedy(model)).tokens) == 50 * cap
        found = await beam(model, 4)
        assert len(found[0].tokens) <= 50 * cap
        assert len(found) <= 4
        assert model.rows["join"] < 50 * 50 * cap * 8


async def test_silence_costs_one_call_a_piece() -> None:
    model = TableTransducer(peaked(*[0] * 40))
    await greedy(model, 4)
    assert model.calls == {"join": 10, "advance": 0}
    await beam(model, 4, 4)
    assert model.calls == {"join": 20, "advance": 0}


async def test_hotwords_flip_a_choice_and_their_bonus_is_told() -> None:
    table = np.full((4, 4, 4), -9.0, np.float32)
    table[:, :, 0] = 0.0
    table[1, :, 1], table[1, :, 2] = 5.0, 4.0
    table[2, :, 3] = 5.0
    model = TableTransducer(table)
    assert (await beam(model, 4))[0].tokens == (1, 3)
    expected = Hotwords([([[2], [3]], 2.0)])
    found = await beam(model, 4, 2, expected)
    assert found[0].tokens == (2, 3)
    assert found[0].bonus > 0.0
    assert found[1].tokens == (1, 3)
    assert found[1].bonus < 0.0


async def test_hotwords_make_nothing_more_likely_to_be_said_at_all() -> None:
    """Faint sounds, frame after frame: a bonus that would do it has no more of them heard."""
    table = np.zeros((30, 4, 4), np.float32)
    table[:, :, 0], table[:, :, 3] = 9.0, 2.0
    table[7, :, 1] = 18.0
    model = TableTransducer(table)
    plain = await beam(model, 6)
    expecting = await beam(model, 6, 4, Hotwords([([[2]], 8.0), ([[3], [2]], 8.0)]))
    assert plain[0].tokens == expecting[0].tokens == (1,)


@pytest.mark.parametrize("size", [1e4, 1e30])
async def test_certainty_of_any_degree_and_endless_phrases_are_borne(size: float) -> None:
    table = random_table(4, frames=12, tokens=5) * np.float32(size)
    phrases = Hotwords([([[1], [2], [3]] * 60, 20.0), ([[4]], 20.0), ([[1]] * 100, 20.0), ([[1]], 20.0)])
    for hotwords in ((), (phrases,)):
        found = await beam(TableTransducer(table, 2), 6, 4, *hotwords)
        assert all(np.isfinite(each.score) for each in found)


async def test_a_bonus_makes_nothing_of_silence() -> None:
    model = TableTransducer(peaked(*[0] * 20))
    assert (await beam(model, 4, 4, Hotwords([([[1]], 3.0), ([[2], [3]], 3.0)])))[0].tokens == ()
