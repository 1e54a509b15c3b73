"""Text from clients: limits before any work, NFC, tokens whose spans count code points."""

from __future__ import annotations

import time
import unicodedata

import pytest

from services.nlu.text import MAX_CODE_POINTS, MAX_TOKENS, normalise, tokenise, without_hyphens
from services.runtime.errors import InvalidInput

pytestmark = pytest.mark.unit

HOSTILE = {
    "emoji": "👩‍👩‍👧 what time 🕐 is it",
    "right-to-left": "كم الساعة في القاهرة",
    "override": "\u202ewhat time is it\u202c",
    "controls": "what\x00time\x07is\x1b[31mit",
    "combining": "e\u0301" * 500,
    "stacked marks": "a" + "\u0335" * 1000,
    "astral": "𝕨𝕙𝕒𝕥 𝕥𝕚𝕞𝕖",
    "no spaces": "五加三等于多少",
    "homoglyphs": "wh\u0430t time is it",
    "zero width": "what\u200btime",
}


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE.keys())
def test_tokens_are_parts_of_the_text_in_order(text: str) -> None:
    normal = normalise(text, field="text")
    assert unicodedata.is_normalized("NFC", normal)
    end = 0
    for token in tokenise(normal):
        assert end <= token.start < token.end <= len(normal)
        assert not normal[token.start : token.end].isspace()
        end = token.end


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "TEXT_EMPTY"),
        (" \t\n", "TEXT_EMPTY"),
        ("a" * (MAX_CODE_POINTS + 1), "TEXT_TOO_LONG"),
        ("what \ud800 time", "TEXT_NOT_UNICODE"),
    ],
)
def test_texts_that_are_none_are_refused(text: str, reason: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        normalise(text, field="alternatives[2].spoken_text")
    assert (caught.value.reason, caught.value.field) == (reason, "alternatives[2].spoken_text")


def test_a_megabyte_is_refused_before_any_work() -> None:
    text = "e\u0301" * 500_000
    started = time.perf_counter()
    with pytest.raises(InvalidInput):
        normalise(text, field="text")
    assert time.perf_counter() - started < 0.005


def test_no_more_tokens_than_are_looked_at() -> None:
    assert len(tokenise("a " * 2000)) == MAX_TOKENS + 1


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("What's 1,000.5x4?", ["what's", "1,000.5", "x", "4", "?"]),
        ("don’t", ["don't"]),
        ("Straße", ["strasse"]),
        ("20% of 3/4", ["20", "%", "of", "3", "/", "4"]),
    ],
)
def test_token_forms(text: str, tokens: list[str]) -> None:
    assert [token.norm for token in tokenise(text)] == tokens


def test_hyphens_inside_words_go_and_minus_stays() -> None:
    words = [token.norm for token in without_hyphens(tokenise("twenty-five - 3-2 -4"))]
    assert words == ["twenty", "five", "-", "3", "-", "2", "-", "4"]


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("今天7点叫醒我", ["今", "天", "7", "点", "叫", "醒", "我"]),
        ("アラームを消して", list("アラームを消して")),
        ("नमस्ते दुनिया", ["नमस्ते", "दुनिया"]),
        ("مَرْحَبًا بك", ["مَرْحَبًا", "بك"]),
    ],
)
def test_scripts_without_spaces_part_by_characters_and_marks_stay_with_their_letters(
    text: str, tokens: list[str]
) -> None:
    assert [token.norm for token in tokenise(text)] == tokens
    assert all(text[token.start : token.end] == token.norm for token in tokenise(text))
