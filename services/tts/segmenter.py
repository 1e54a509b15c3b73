"""Cuts text into the stretches that are spoken one after the other, while the text still arrives.

Called by `synthesizer.py` for every piece of text. A sentence leaves as soon as it is complete, so that the first is
spoken before the text ends; a long one is cut at a clause or a word, so that neither memory nor the time for which an
engine process is held depends on what the client sends.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass

# Enders that are followed by a space in running text, and enders of scripts that write without spaces.
_SPACED_ENDERS = ".!?…؟۔।॥։።፧᙮"
_CLOSED_ENDERS = "。！？｡"
_CLOSERS = "\"'”’»)]}」』】"
_BOUNDARY = re.compile(
    rf"[{_CLOSED_ENDERS}]+[{re.escape(_CLOSERS)}]*|[{re.escape(_SPACED_ENDERS)}]+[{re.escape(_CLOSERS)}]*(?=\s)|\n\s*\n"
)
_CLAUSE = re.compile(r"[、，；：]|[,;:—–،؛](?=\s)")
# Titles and the like after which a name or a number follows.
_ABBREVIATIONS = frozenset("mr mrs ms dr prof st sr jr vs etc no fig vol approx bzw usw ca nr sra dra mme mlle".split())
# Also no ends: an initial, "p.m.", a short number ("am 3. Mai", "1. Milk"), a date without its year ("am 20.11. um 7").
_ABBREVIATED = re.compile(r"(?:[^\W\d_]{1,2}\.)+[^\W\d_]{1,2}|(?!i$)[a-z]|\d{1,2}|\d\d\.[01]\d")
# Punctuation that is spoken; all other says nothing on its own.
_SPOKEN_PUNCTUATION = frozenset("%&@#*")


@dataclass(frozen=True, slots=True)
class Segment:
    """Text to speak in one go; `start` counts code points from the start of all text of the utterance."""

    text: str
    start: int


def speakable(text: str) -> str:
    """Replace each control, unassigned, private or surrogate code point by a space: every position stays."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(_harmless(character) for character in text)


def _harmless(character: str) -> str:
    if character in "\n\t\u200c\u200d":  # the joiners carry meaning in Persian and the Indic scripts
        return character
    return " " if unicodedata.category(character).startswith("C") else character


def _silent(character: str) -> bool:
    if character in _SPOKEN_PUNCTUATION:
        return False
    return character.isspace() or unicodedata.category(character)[0] in "PCM"


class Segmenter:
    """Holds the text that is not yet a whole sentence.

    Args:
        max_length: most code points in one segment.
    """

    def __init__(self, max_length: int) -> None:
        self._max_length = max_length
        self._rest = ""
        self._start = 0

    @property
    def received(self) -> int:
        """Code points received so far."""
        return self._start + len(self._rest)

    def push(self, piece: str) -> list[Segment]:
        """Take more text; return the segments that it completes."""
        self._rest += speakable(piece)
        segments: list[Segment] = []
        while (end := self._sentence_end() or self._overlong_end()) is not None:
            segments += self._take(end)
        return segments

    def discard(self) -> None:
        """Forget what was not returned yet; positions go on."""
        self._start += len(self._rest)
        self._rest = ""

    def finish(self) -> list[Segment]:
        """The text has ended, or must be spoken now: return what is left."""
        segments: list[Segment] = []
        while (end := self._overlong_end()) is not None:
            segments += self._take(end)
        return segments + self._take(len(self._rest))

    def _take(self, end: int) -> list[Segment]:
        text, start = self._rest[:end], self._start
        self._rest, self._start = self._rest[end:], start + end
        lead = len(text) - len(text.lstrip())
        stripped = text.strip()
        return [] if all(map(_silent, stripped)) else [Segment(stripped, start + lead)]

    def _sentence_end(self) -> int | None:
        limit = self._max_length
        for match in _BOUNDARY.finditer(self._rest, 0, limit + 1):
            if match.end() <= limit and not self._abbreviated(match):
                return match.end()
        return None

    def _abbreviated(self, match: re.Match[str]) -> bool:
        if match.group() != ".":
            return False
        words = self._rest[: match.start()].split()
        if not words:
            return False
        word = words[-1].lower().lstrip("([\"'")
        return word in _ABBREVIATIONS or _ABBREVIATED.fullmatch(word) is not None

    def _overlong_end(self) -> int | None:
        """Where to cut when no sentence ends within the limit: after a clause, else a word, else a whole character."""
        limit = self._max_length
        if limit >= len(self._rest):
            return None
        clauses = [match.end() for match in _CLAUSE.finditer(self._rest, limit // 2, limit + 1)]
        if clauses and clauses[-1] <= limit:
            return clauses[-1]
        for index in range(limit - 1, 0, -1):
            if self._rest[index].isspace():
                return index + 1
        while limit > 1 and (unicodedata.combining(self._rest[limit]) or self._rest[limit] in "\u200c\u200d"):
            limit -= 1
        return max(limit, 1)
