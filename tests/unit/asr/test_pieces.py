"""Tables of tokens: read, put together to words, and texts spelled with them."""

from __future__ import annotations

from pathlib import Path

import pytest

from services.asr.engines.neural.pieces import Spelled, Tokens
from services.runtime.errors import FailedPrecondition

pytestmark = pytest.mark.unit

WORDS = Tokens(["<blk>", "zero", "one", "two"])
PIECES = Tokens(["<blk>", "<unk>", "▁", "▁PL", "AY", "▁SOME", "T", "HING", "▁SO", "ME", "你", "好", "▁A", "S"])
CHARACTERS = Tokens(["<blank>", "<space>", "a", "b", "c", "'"])
BYTES = Tokens(["<blk>", "▁caf", "<0xC3>", "<0xA9>", "▁x"])


def test_words() -> None:
    assert WORDS.words([1, 3, 3]) == [("zero", [0]), ("two", [1]), ("two", [2])]
    assert PIECES.words([3, 4, 5, 6, 7]) == [("PLAY", [0, 1]), ("SOMETHING", [2, 3, 4])]
    assert CHARACTERS.words([2, 3, 1, 4, 5, 2]) == [("ab", [0, 1]), ("c'a", [3, 4, 5])]
    assert WORDS.words([]) == PIECES.words([]) == []


def test_ideographs_are_words_and_special_symbols_none() -> None:
    assert PIECES.words([10, 11, 12, 1, 13]) == [("你", [0]), ("好", [1]), ("AS", [2, 4])]
    assert PIECES.text([1]) == ""


def test_a_lone_mark_begins_a_word() -> None:
    assert PIECES.words([2, 4, 2]) == [("AY", [0, 1])]


def test_bytes_make_characters_and_broken_ones_no_crash() -> None:
    assert BYTES.text([1, 2, 3, 4]) == "café x"
    assert BYTES.text([1, 2, 4]) == "caf\ufffd x"


def test_lower_case_where_it_is_asked_for() -> None:
    assert Tokens(["<blk>", "▁PL", "AY"], lowercase=True).text([1, 2]) == "play"


@pytest.mark.parametrize(
    ("tokens", "text", "spelled"),
    [
        (WORDS, "one two", Spelled(((2,), (3,)))),
        (WORDS, "One, TWO!", Spelled(((2,), (3,)))),
        (WORDS, "one three", Spelled(((2,),), ("three",))),
        (WORDS, "onetwo", Spelled((), ("onetwo",))),
        (WORDS, "<blk>", Spelled((), ("<blk>",))),
        (WORDS, " ?! ", Spelled(())),
        (PIECES, "play something", Spelled(((3, 4), (5, 6, 7)))),
        (PIECES, "你好", Spelled(((10, 11),))),
        (PIECES, "plug", Spelled((), ("plug",))),
        (CHARACTERS, "ab c", Spelled(((2, 3, 1), (4,)))),
        (CHARACTERS, "ad", Spelled((), ("ad",))),
    ],
)
def test_spelling(tokens: Tokens, text: str, spelled: Spelled) -> None:
    assert tokens.spell(text) == spelled


@pytest.mark.parametrize("text", ["<blk>", "<unk>", "<0x41>"])
def test_special_symbols_are_not_spelled(text: str) -> None:
    tokens = Tokens(["<blk>", "▁", "<unk>", "<0x41>", "▁two"])
    assert tokens.spell(text) == Spelled((), (text,))


def test_what_is_spelled_reads_as_it_was() -> None:
    for text in ("PLAY SOMETHING AS", "SOME PLAY"):
        ids = [token for word in PIECES.spell(text).words for token in word]
        assert PIECES.text(ids) == text


def test_a_table_is_read(tmp_path: Path) -> None:
    file = tmp_path / "tokens.txt"
    file.write_text("<blk> 0\n▁two 2\none\t1\n", encoding="utf-8")
    assert Tokens.read(file).symbols == ("<blk>", "one", "▁two")


def test_rare_symbols_do_not_cut_a_line(tmp_path: Path) -> None:
    file = tmp_path / "tokens.txt"
    file.write_text("<blk> 0\n\u2028 1\n\x85 2\n\n", encoding="utf-8")
    assert Tokens.read(file).symbols == ("<blk>", "\u2028", "\x85")


@pytest.mark.parametrize(
    "content",
    [b"", b"<blk> 0\none 2\n", b"<blk> 0\none 0\n", b"<blk> 0\none\n", b"<blk> x\n", b"<blk> -1\n", b"\xff\xfe 0\n",
     b"<blk> 99999999999999\n", b"<blk> " + b"9" * 5_000],
)  # fmt: skip
def test_bad_tables_name_the_file(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "tokens.txt"
    file.write_bytes(content)
    with pytest.raises(FailedPrecondition, match=r"tokens\.txt") as refused:
        Tokens.read(file)
    assert refused.value.reason == "MODEL_DEFINITION_INVALID"


def test_a_table_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(FailedPrecondition) as refused:
        Tokens.read(tmp_path / "tokens.txt")
    assert refused.value.reason == "MODEL_MISSING"
