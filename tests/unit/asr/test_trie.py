"""The binary file of a language model says what the model says: pocketsphinx reads the same from it as from a text."""

from __future__ import annotations

import itertools
import random
from pathlib import Path

import numpy as np
import pocketsphinx
import pytest

from services.asr.engines.pocketsphinx.ngrams import BEGIN, END, BackoffModel, Vocabulary, counted, mixed, write_arpa
from services.asr.engines.pocketsphinx.trie import write_trie

pytestmark = pytest.mark.unit

Read = tuple[pocketsphinx.LogMath, pocketsphinx.NGramModel]


def read(path: Path) -> Read:
    config = pocketsphinx.Config()
    log = pocketsphinx.LogMath(config["logbase"])  # the model does not hold it
    return log, pocketsphinx.NGramModel(config, log, str(path))


def both(model: BackoffModel, words: list[str], folder: Path) -> tuple[Read, Read]:
    write_arpa(model, words, folder / "model.arpa")
    write_trie(model, words, folder / "model.lm.bin")
    return read(folder / "model.arpa"), read(folder / "model.lm.bin")


def drawn_model(words: int, sentences: int) -> tuple[BackoffModel, Vocabulary]:
    rng = random.Random(4)
    vocabulary = Vocabulary(f"wörd{at}" for at in range(words))
    texts = [
        [[min(words + 1, 2 + int(rng.expovariate(0.05))) for _ in range(rng.randint(1, 6))] for _ in range(sentences)]
        for _ in range(2)
    ]
    weights = [rng.uniform(0.1, 5.0) for _ in range(sentences)]
    models = [counted(text, weights, len(vocabulary), 0.3) for text in texts]
    return mixed([(0.8, models[0]), (0.2, models[1])]), vocabulary


def test_every_probability_is_that_of_the_text(tmp_path: Path) -> None:
    model, vocabulary = drawn_model(60, 300)
    (_, text), (_, binary) = both(model, vocabulary.words, tmp_path)
    words = [BEGIN, *vocabulary.words[2:20]]
    wrong = [
        (third, second, first)
        for third, second, first in itertools.product([END, *words[1:]], words, words)
        if abs(text.prob([third, second, first]) - binary.prob([third, second, first])) > 10  # of 1.0001: 0.1 %
    ]
    assert wrong == []


def test_what_can_follow_sums_up_to_one(tmp_path: Path) -> None:
    model, vocabulary = drawn_model(60, 300)
    write_trie(model, vocabulary.words, tmp_path / "model.lm.bin")
    log, binary = read(tmp_path / "model.lm.bin")
    for history in ([BEGIN], ["wörd3", BEGIN], ["wörd5", "wörd2"], ["wörd9"]):
        total = sum(log.exp(binary.prob([word, *history])) for word in vocabulary.words[1:])
        assert total == pytest.approx(1.0, abs=0.02), history


def test_words_of_any_number_are_found(tmp_path: Path) -> None:
    """Fields of 17 bits and more do not fall on bytes."""
    rng = np.random.default_rng(1)
    vocabulary = Vocabulary(f"w{at}" for at in range(70_000))
    text = [[int(word) for word in rng.integers(2, 70_002, 3)] for _ in range(2_000)]
    model = counted(text, [1.0] * len(text), len(vocabulary), 0.3)
    (_, arpa), (_, binary) = both(model, vocabulary.words, tmp_path)
    for words in text[::50]:
        names = [vocabulary.words[word] for word in reversed(words)]
        assert abs(arpa.prob(names) - binary.prob(names)) <= 10


def test_one_sentence_makes_a_file(tmp_path: Path) -> None:
    vocabulary = Vocabulary(["yes"])
    model = counted([[2]], [1.0], 3, 0.3)
    (_, arpa), (_, binary) = both(model, vocabulary.words, tmp_path)
    assert abs(arpa.prob(["yes", BEGIN]) - binary.prob(["yes", BEGIN])) <= 10
