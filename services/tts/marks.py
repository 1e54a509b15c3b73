"""From the words that an engine reports to marks on the text that the client sent.

Called by `synthesizer.py`, once per chunk of an engine. An engine may report "12:30" as two words and "of the" as one;
a client wants one mark per word of its text.
"""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from services.tts.engines import SpokenWord

_TOKEN = re.compile(r"\S+")
# Scripts written without spaces: Thai, Lao, Burmese, Khmer, kana, Han. There the engine's own words are the marks.
_UNSPACED = re.compile("[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\U00020000-\U0003ffff]")


@dataclass(frozen=True, slots=True)
class WordMark:
    """A word of the text: code points `start` to `end`, samples `first` to `last` (one past), both from its start."""

    start: int
    end: int
    first: int
    last: int


def mark_words(text: str, spoken: Sequence[SpokenWord], length: int) -> list[WordMark]:
    """One mark per word, in order.

    Args:
        text: what was spoken.
        spoken: where the engine's words begin.
        length: samples of speech; the last word ends there.

    A word that the engine joined to the one before it begins in proportion to its place in the text.
    """
    events = sorted(spoken, key=lambda word: (word.position, word.sample))
    spans = _spans(text, [event.position for event in events])
    starts = [_own_start(span, events) for span in spans]
    firsts = _filled(spans, starts, length)
    lasts = [*firsts[1:], length]
    return [
        WordMark(start, end, min(first, length), max(first, last))
        for (start, end), first, last in zip(spans, firsts, lasts, strict=True)
    ]


def _spans(text: str, positions: Sequence[int]) -> list[tuple[int, int]]:
    spans: list[tuple[int, int]] = []
    for token in _TOKEN.finditer(text):
        start, end = token.span()
        if not any(unicodedata.category(character)[0] in "LNS" for character in token.group()):
            continue
        if _UNSPACED.search(token.group()):
            inner = [position for position in dict.fromkeys(positions) if start < position < end]
            cuts = [start, *inner, end]
            spans += pairwise(cuts)
        else:
            spans.append((start, end))
    return spans


def _own_start(span: tuple[int, int], events: Sequence[SpokenWord]) -> int | None:
    at = bisect_left(events, span[0], key=lambda event: event.position)
    return events[at].sample if at < len(events) and events[at].position < span[1] else None


def _filled(spans: Sequence[tuple[int, int]], starts: Sequence[int | None], length: int) -> list[int]:
    """Starts without a gap, never going back."""
    filled: list[int] = []
    known = [(span[0], start) for span, start in zip(spans, starts, strict=True) if start is not None]
    end_of_text = spans[-1][1] if spans else 0
    for span, start in zip(spans, starts, strict=True):
        if start is None:
            before = next(((p, s) for p, s in reversed(known) if p < span[0]), (0, 0))
            after = next(((p, s) for p, s in known if p > span[0]), (end_of_text, length))
            start = before[1] + (after[1] - before[1]) * (span[0] - before[0]) // max(1, after[0] - before[0])
        filled.append(max(start, filled[-1] if filled else 0))
    return filled
