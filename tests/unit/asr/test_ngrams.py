"""N-gram models in arrays: distributions, and where each text of a mixture has a say."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from services.asr.engines.pocketsphinx.ngrams import (
    BEGIN_ID,
    BackoffModel,
    Vocabulary,
    counted,
    mixed,
    read_arpa,
    write_arpa,
)

pytestmark = pytest.mark.unit

WORDS = Vocabulary("a b c d".split())


def text(*sentences: str, weight: float = 1.0, discount: float = 0.3) -> BackoffModel:
    numbers = [[WORDS.ids[word] for word in sentence.split()] for sentence in sentences]
    return counted(numbers, [weight] * len(numbers), len(WORDS), discount)


FIRST = text("a b", "a c", weight=3.0)
SECOND = text("d b", "d d", weight=2.0, discount=0.75)
MIXED = mixed([(0.7, FIRST), (0.3, SECOND)])


def total(model: BackoffModel, *history: str) -> float:
    """Probability of all that can follow."""
    following = np.arange(1, len(WORDS))
    if not history:
        return float(model.p1[following].sum())
    ids = [np.full(len(following), WORDS.ids[word]) for word in history]
    if len(ids) == 1:
        return float(model.bigram(ids[0], following).sum())
    return float(model.trigram(ids[0], ids[1], following).sum())


def probability(model: BackoffModel, *words: str) -> float:
    ids = [np.array([WORDS.ids[word]]) for word in words]
    return float((model.bigram(*ids) if len(ids) == 2 else model.trigram(*ids))[0])


@pytest.mark.parametrize("model", [FIRST, SECOND, MIXED, text("a b c d", "b", weight=0.2)], ids=list("1234"))
@pytest.mark.parametrize("history", ["", "<s>", "a", "d", "<s> a", "<s> d", "a b", "c d"])
def test_every_history_has_a_distribution(model: BackoffModel, history: str) -> None:
    assert total(model, *history.split()) == pytest.approx(1.0, abs=1e-4)
    assert model.p1[BEGIN_ID] == 0


def test_a_text_counts_where_it_was_seen() -> None:
    assert probability(MIXED, "<s>", "a") > 2 * probability(MIXED, "<s>", "d")
    assert probability(MIXED, "<s>", "a", "b") == pytest.approx(probability(FIRST, "<s>", "a", "b"), rel=0.02)
    assert probability(MIXED, "<s>", "a", "d") < 0.05


def test_the_more_often_a_text_was_seen_the_less_is_left_for_the_rest() -> None:
    rare, often = (text("a b", "a c", weight=weight) for weight in (0.5, 50.0))
    assert probability(often, "a", "d") < probability(rare, "a", "d") < probability(rare, "a", "b")


def test_written_and_read_again(tmp_path: Path) -> None:
    path = tmp_path / "model.arpa"
    assert write_arpa(MIXED, WORDS.words, path) == (len(WORDS), len(MIXED.keys2), len(MIXED.keys3))
    vocabulary, read = read_arpa(path)
    assert vocabulary.words == WORDS.words
    for history in ("<s> a", "a b", "d", "b"):
        for word in ("a", "b", "c", "d", "</s>"):
            words = (*history.split(), word)
            assert probability(read, *words) == pytest.approx(probability(MIXED, *words), rel=1e-3)
    assert read.length == pytest.approx(MIXED.length, rel=0.5)


def test_more_words_change_nothing_for_the_old_ones() -> None:
    grown = FIRST.grown(len(WORDS) + 3)
    for words in (("<s>", "a"), ("<s>", "a", "b"), ("a", "d"), ("d", "d", "a")):
        assert probability(grown, *words) == pytest.approx(probability(FIRST, *words))
    assert grown.bigram(np.array([2]), np.array([len(WORDS)]))[0] == 0
