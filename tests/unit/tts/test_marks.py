"""Marks fit the words of the text, however the engine counts."""

from __future__ import annotations

import pytest

from services.tts.engines import SpokenWord
from services.tts.marks import mark_words

pytestmark = pytest.mark.unit


def words(*pairs: tuple[int, int]) -> list[SpokenWord]:
    return [SpokenWord(position, sample) for position, sample in pairs]


def test_one_mark_per_word_and_each_ends_where_the_next_begins() -> None:
    marks = mark_words("one two", words((0, 0), (4, 100)), 250)
    assert [(m.start, m.end, m.first, m.last) for m in marks] == [(0, 3, 0, 100), (4, 7, 100, 250)]


def test_what_the_engine_splits_is_one_word() -> None:
    marks = mark_words("at 12:30 now", words((0, 0), (3, 10), (6, 20), (9, 30)), 40)
    assert [(m.start, m.first) for m in marks] == [(0, 0), (3, 10), (9, 30)]


def test_what_the_engine_joins_is_shared_out() -> None:
    marks = mark_words("of the sea", words((0, 0), (7, 70)), 100)
    assert [(m.start, m.first) for m in marks] == [(0, 0), (3, 30), (7, 70)]


def test_punctuation_has_no_mark() -> None:
    assert [m.start for m in mark_words("a — b", words((0, 0), (4, 10)), 20)] == [0, 4]


def test_scripts_without_spaces_follow_the_engine() -> None:
    assert [(m.start, m.end) for m in mark_words("你好世界", words((0, 0), (2, 50)), 90)] == [(0, 2), (2, 4)]


def test_marks_never_go_back_or_past_the_end() -> None:
    marks = mark_words("a b c", words((0, 50), (2, 20), (4, 500)), 100)
    assert [m.first for m in marks] == [50, 50, 100]
    assert all(m.first <= m.last <= 500 for m in marks)


def test_without_events_words_are_spread_over_the_audio() -> None:
    assert [m.first for m in mark_words("ab cd", [], 100)] == [0, 60]
