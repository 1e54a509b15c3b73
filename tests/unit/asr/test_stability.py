"""What a partial promises about its words."""

from __future__ import annotations

import pytest

from services.asr.stability import StableText

pytestmark = pytest.mark.unit


def prefixes(*texts: str) -> list[str]:
    stable = StableText()
    return [text[: stable.look(text)[1]] for text in texts]


def test_nothing_is_stable_before_four_looks() -> None:
    assert prefixes("what", "what time", "what time is") == ["", "", ""]


def test_words_that_stayed_are_stable_but_never_the_last_one() -> None:
    text = "what is six"
    assert prefixes(text, text, text, text)[-1] == "what is"
    assert prefixes("one", "one", "one", "one")[-1] == ""


def test_a_word_that_changed_within_the_looks_is_not_stable() -> None:
    assert prefixes("a b c", "a x c", "a b c d", "a b c d e")[-1] == "a"


def test_the_promise_never_shrinks() -> None:
    texts = ["a b c d"] * 4 + ["a x y z w"] * 4
    assert [prefix.count(" ") for prefix in prefixes(*texts)[3:]] == [2, 2, 2, 2, 3]


def test_stability_grows_while_the_text_stays() -> None:
    stable = StableText()
    grown = [stable.look("a b")[0] for _ in range(5)]
    assert grown == sorted(grown)
    assert grown[0] < grown[-1] <= 1.0
    assert stable.look("a b c")[0] == grown[0]
