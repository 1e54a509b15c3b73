"""The parts of the commands model's recipe: numbers in words, sentences, n-grams."""

from __future__ import annotations

from pathlib import Path

import pytest

from training.asr_commands.grammar import number, sample
from training.asr_commands.ngram import BEGIN, END, DiscountedText, Mixture
from training.asr_commands.text import normalised

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("value", "words", "british"),
    [
        (0, "zero", "zero"),
        (21, "twenty one", "twenty one"),
        (705, "seven hundred five", "seven hundred and five"),
        (1_005, "one thousand five", "one thousand and five"),
        (2_340, "two thousand three hundred forty", "two thousand three hundred and forty"),
        (1_000_000, "one million", "one million"),
    ],
)
def test_numbers(value: int, words: str, british: str) -> None:
    assert (number(value), number(value, with_and=True)) == (words, british)


def test_the_same_seed_gives_the_same_sentences() -> None:
    assert sample(1, 50, ["tokyo"]) == sample(1, 50, ["tokyo"]) != sample(2, 50, ["tokyo"])


def test_text_is_as_spoken() -> None:
    assert normalised("What's 12% of 80?") == "what's twelve percent of eighty".split()


def test_a_mixture_is_a_distribution_and_knows_where_each_text_has_a_say(tmp_path: Path) -> None:
    vocabulary = {"a", "b", "c", "d", END}
    first = DiscountedText([["a", "b"], ["a", "c"]], vocabulary, 0.3)
    second = DiscountedText([["d", "b"], ["d", "d"]], vocabulary, 0.75)
    mixture = Mixture([(0.7, first), (0.3, second)], vocabulary)
    for history in ((), (BEGIN,), ("a",), (BEGIN, "d"), (BEGIN, "a")):
        assert sum(mixture.probability(word, history) for word in vocabulary) == pytest.approx(1.0)
    assert mixture.probability("a", (BEGIN,)) > 2 * mixture.probability("d", (BEGIN,))
    assert mixture.probability("d", (BEGIN, "a")) < 0.05
    sizes = mixture.write_arpa(tmp_path / "model.arpa")
    text = (tmp_path / "model.arpa").read_text()
    assert sizes[1] == len(vocabulary) + 1
    assert text.startswith("\\data\\")
    assert text.endswith("\\end\\\n")
