"""How text is cut, whatever the pieces it arrives in."""

from __future__ import annotations

import random

import pytest

from services.tts.segmenter import Segmenter, speakable

pytestmark = pytest.mark.unit


def cut(text: str, max_length: int = 160) -> list[str]:
    segmenter = Segmenter(max_length)
    return [segment.text for segment in segmenter.push(text) + segmenter.finish()]


@pytest.mark.parametrize(
    ("text", "segments"),
    [
        ("One. Two! Three?", ["One.", "Two!", "Three?"]),
        ("Pi is 3.14 or so. Yes.", ["Pi is 3.14 or so.", "Yes."]),
        ("Dr. Smith met J. Doe at 5 p.m. today. He left.", ["Dr. Smith met J. Doe at 5 p.m. today.", "He left."]),
        ("Am 3. Mai z.B. geht es. Gut.", ["Am 3. Mai z.B. geht es.", "Gut."]),
        ("今天很好。明天呢？", ["今天很好。", "明天呢？"]),
        ("क्या हाल है। ठीक है।", ["क्या हाल है।", "ठीक है।"]),
        ('He said "stop." Then he left.', ['He said "stop."', "Then he left."]),
        ("A heading\n\nA paragraph", ["A heading", "A paragraph"]),
        ("a line\nthat goes on", ["a line\nthat goes on"]),
        ("... !!! ---", []),
        ("", []),
        (" \n\t ", []),
        ("100 %", ["100 %"]),
        ("😂", ["😂"]),
    ],
)
def test_sentences(text: str, segments: list[str]) -> None:
    assert cut(text) == segments


def test_a_sentence_leaves_before_the_text_ends() -> None:
    segmenter = Segmenter(160)
    assert segmenter.push("It is ten") == []
    assert segmenter.push(" past nine.") == []  # more digits or a closing quote may follow
    assert [segment.text for segment in segmenter.push(" The")] == ["It is ten past nine."]


def test_pieces_do_not_matter() -> None:
    text = "One two, e.g. three. 今天很好。And 3.5 more! " * 8
    whole = cut(text, 60)
    random.seed(7)
    for _ in range(20):
        segmenter, found, rest = Segmenter(60), [], text
        while rest:
            size = random.randint(1, 12)
            found += segmenter.push(rest[:size])
            rest = rest[size:]
        found += segmenter.finish()
        assert " ".join(segment.text for segment in found).split() == " ".join(whole).split()
        assert all(text[segment.start :].startswith(segment.text) for segment in found)
        assert all(len(segment.text) <= 60 for segment in found)


def test_long_text_is_cut_at_clauses_then_words_then_anywhere() -> None:
    assert cut("aaaa bbbb cccc, dddd eeee ffff gggg", 20) == ["aaaa bbbb cccc,", "dddd eeee ffff gggg"]
    assert cut("aaaa bbbb cccc dddd eeee", 12) == ["aaaa bbbb", "cccc dddd", "eeee"]
    assert cut("a" * 45, 20) == ["a" * 20, "a" * 20, "a" * 5]
    assert cut("1,234,567,890", 8)[0] == "1,234,56"  # no clause within a number


def test_a_letter_keeps_its_accents() -> None:
    text = "e\u0301" * 20
    assert all(not segment.startswith("\u0301") for segment in cut(text, 7))


def test_hostile_characters_become_blanks_and_positions_stay() -> None:
    text = "a\x00b\x1b[31mc\u202ed\ue000e\u200df"
    assert speakable(text) == "a b [31mc d e\u200df"
    assert len(speakable(text)) == len(text)


def test_a_megabyte_of_letters_is_cut_into_bounded_segments() -> None:
    segmenter = Segmenter(160)
    longest = 0
    for _ in range(1000):
        longest = max([longest, *(len(segment.text) for segment in segmenter.push("x" * 1000))])
    assert longest == 160
    assert segmenter.received == 1_000_000


def test_a_date_without_its_year_ends_no_sentence() -> None:
    assert cut("Am 20.11. um 7 Uhr. Gut.", 160) == ["Am 20.11. um 7 Uhr.", "Gut."]
