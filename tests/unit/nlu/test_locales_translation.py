"""Word-by-word translation and the small model that locales are learnt by."""

from __future__ import annotations

import numpy as np
import pytest

from services.nlu.locales.learning import learn
from services.nlu.locales.translation import MAX_TARGETS, MAX_WORDS, Labelled, Lexicon, coverage, translated
from services.nlu.text import tokenise

pytestmark = pytest.mark.unit

LEXICON = Lexicon(
    [
        ("set", ["sæt", "stil"]),
        ("alarm", ["alarm"]),
        ("wake up", ["vågne"]),
        ("seven", ["syv"]),
        ("Timer", ["ur"]),
        ("an", ["en", "et"]),
    ]
)


def said(text: str, *slots: tuple[str, int, int]) -> Labelled:
    return Labelled(tuple(text.split()), slots)


def test_words_are_translated_and_slots_go_with_them() -> None:
    made = translated(said("set an alarm for seven", ("time", 4, 5)), LEXICON)
    assert made == said("sæt en alarm for syv", ("time", 4, 5))


def test_a_phrase_becomes_one_word_and_later_spans_move() -> None:
    made = translated(said("wake up at seven o'clock", ("time", 3, 5)), LEXICON)
    assert made == said("vågne at syv o'clock", ("time", 2, 4))


def test_no_entry_reaches_over_the_border_of_a_slot() -> None:
    made = translated(said("wake up", ("label", 1, 2)), LEXICON)
    assert made == said("wake up", ("label", 1, 2))


@pytest.mark.parametrize(("variant", "words"), [(0, "sæt en alarm"), (1, "stil et alarm"), (2, "sæt en alarm")])
def test_variants_take_the_next_translation_where_there_is_one(variant: int, words: str) -> None:
    assert " ".join(translated(said("set an alarm"), LEXICON, variant).words) == words


@pytest.mark.parametrize("word", ["alarms", "timers", "sets", "setting"])
def test_english_endings_are_looked_through(word: str) -> None:
    assert LEXICON.of((word,))
    assert not Lexicon([("set", ["x"]), ("alarm", ["y"]), ("timer", ["z"])], english=False).of((word,))


def test_coverage_counts_running_words_and_no_numbers() -> None:
    assert coverage([said("set alarm 7 : 30"), said("flamingo please")], LEXICON) == 0.5
    assert coverage([], LEXICON) == 0


def test_definitions_and_floods_are_cut() -> None:
    long = " ".join("abcdefghij"[: MAX_WORDS + 1])
    lexicon = Lexicon([(long, ["x"]), ("a", [long, *map(str, range(100))]), ("", ["x"]), ("b", ["", "  "])])
    assert len(lexicon) == 1
    assert len(lexicon.of(("a",))) == MAX_TARGETS


def test_a_model_learns_what_its_sentences_mean_and_does_so_twice() -> None:
    sentences = [(tokenise(text), text.split()[0]) for text in ("lamp on please", "lamp now", "door open", "door wide")]
    model, again = learn(sentences), learn(sentences)
    assert np.array_equal(model.rows, again.rows)
    told = model.probabilities(tokenise("the lamp"))
    assert sum(told.values()) == pytest.approx(1)
    assert max(told, key=told.__getitem__) == "lamp"
    assert model.probabilities(())  # no words at all
    with pytest.raises(ValueError, match="nothing"):
        learn([])
