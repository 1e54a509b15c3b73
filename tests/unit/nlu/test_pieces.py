"""Word pieces of the English model: how words are cut, and that no text makes more pieces than the model reads."""

from __future__ import annotations

import pytest

from services.nlu.engines.pieces import BEGIN, END, MAX_PIECES, MAX_TOKENS, SPECIAL, UNKNOWN, Vocabulary
from services.nlu.text import tokenise
from tests.unit.nlu.test_text import HOSTILE

pytestmark = pytest.mark.unit

PIECES = (*SPECIAL, "play", "##ing", "##er", "what", "'", "s", "cafe", "a", "##a", "7", "##3", "the")
VOCABULARY = Vocabulary(PIECES)


def cut(text: str) -> list[str]:
    return [PIECES[number] for number in VOCABULARY.encode(tokenise(text)).ids]


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        ("the", ["the"]),
        ("playing the player", ["play", "##ing", "the", "play", "##er"]),
        ("What's", ["what", "'", "s"]),
        ("café", ["cafe"]),
        ("73", ["7", "##3"]),
        ("aaa", ["a", "##a", "##a"]),
        ("plays", ["[UNK]"]),
        ("чай", ["[UNK]"]),
        ("", []),
    ],
)
def test_words_are_cut_greedily_into_the_longest_known_pieces(text: str, pieces: list[str]) -> None:
    assert cut(text) == ["[CLS]", *pieces, "[SEP]"]


def test_every_word_is_found_again_at_its_first_piece() -> None:
    found = VOCABULARY.encode(tokenise("what's playing"))
    assert found.firsts == (1, 4)
    assert PIECES[found.ids[4]] == "play"


def test_a_long_sentence_is_cut_at_whole_words() -> None:
    found = VOCABULARY.encode(tokenise("playing " * 200))
    assert len(found.firsts) <= MAX_TOKENS
    assert len(found.ids) <= MAX_PIECES
    assert found.ids[-3:] == (PIECES.index("play"), PIECES.index("##ing"), END)


def test_one_endless_word_leaves_room_for_its_neighbours() -> None:
    found = VOCABULARY.encode(tokenise("a" * 3_000 + " the"))
    assert PIECES[found.ids[found.firsts[1]]] == "the"


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE.keys())
def test_hostile_texts_make_bounded_pieces(text: str) -> None:
    tokens = tokenise(text)
    found = VOCABULARY.encode(tokens)
    assert found.ids[0] == BEGIN
    assert found.ids[-1] == END
    assert len(found.ids) <= MAX_PIECES
    assert len(found.firsts) <= len(tokens)
    assert all(0 < first < len(found.ids) - 1 for first in found.firsts)
    assert all(UNKNOWN <= number < len(PIECES) for number in found.ids)


def test_a_vocabulary_that_begins_otherwise_is_refused() -> None:
    with pytest.raises(ValueError, match="begins with"):
        Vocabulary(["the", *SPECIAL])
