"""The parts of the commands model's recipe: numbers in words, sentences, n-grams."""

from __future__ import annotations

import pytest

from training.asr_commands.grammar import number, sample
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
