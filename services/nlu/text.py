"""Text as every engine and value reader of this capability sees it: NFC, bounded, cut into tokens with spans.

The interpreter calls `normalise` once per hypothesis and echoes the result; all spans of an answer count Unicode code
points in that echo. A client may send anything, so size and code points are checked before any work.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence
from itertools import islice
from typing import NamedTuple

from services.runtime.errors import InvalidInput

MAX_CODE_POINTS = 4_000
"""Longest text of one hypothesis; the contract promises it, a minute of fast speech has 1,000."""

MAX_TOKENS = 200
"""Tokens that are looked at; speech to an assistant is shorter, and what a hostile text costs stays bounded."""


def _ranges(points: Iterable[int]) -> str:
    """Rising code points as the inside of a class of characters."""
    found: list[list[int]] = []
    for point in points:
        if found and found[-1][1] == point - 1:
            found[-1][1] = point
        else:
            found.append([point, point])
    return "".join(f"{re.escape(chr(first))}-{re.escape(chr(last))}" for first, last in found)


# Vowels and accents that stand on a letter belong to its word: scripts of India, vocalised Arabic and Hebrew.
_MARKS = _ranges(point for point in range(0x300, 0x1E900) if unicodedata.category(chr(point)) in {"Mn", "Mc"})
# Chinese and Japanese write no spaces: each character is a token, as far as words go a better unit than a sentence.
_UNSPACED = "\u3005-\u3007\u3041-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
_WORD = rf"(?:(?![{_UNSPACED}])[^\W\d_][{_MARKS}]*)+"

# Numbers with their separators stay whole ("1,000", "3.5"); letters and digits part ("5x4" is three tokens); a word
# keeps its apostrophes; any other visible sign is a token of its own. Control characters part tokens like spaces.
_TOKEN = re.compile(rf"\d+(?:[.,]\d+)*|[{_UNSPACED}][{_MARKS}]*|{_WORD}(?:['’]{_WORD})*|[^\w\s\x00-\x1f\x7f-\x9f]")

_HYPHENS = frozenset({"-", "‐", "‑"})


class Token(NamedTuple):
    """A piece of the text: `text[start:end]`, and its case-folded form with a plain apostrophe."""

    start: int
    end: int
    norm: str


def normalise(text: str, *, field: str) -> str:
    """The text in NFC.

    Raises:
        InvalidInput: `TEXT_EMPTY`, `TEXT_TOO_LONG` (before any work) or `TEXT_NOT_UNICODE` (lone surrogates).
    """
    if len(text) > MAX_CODE_POINTS:
        raise InvalidInput(
            f"A text has at most {MAX_CODE_POINTS} code points, not {len(text)}.", reason="TEXT_TOO_LONG", field=field
        )
    try:
        text.encode()
    except UnicodeEncodeError:
        raise InvalidInput(
            "The text holds surrogates: it is no Unicode text.", reason="TEXT_NOT_UNICODE", field=field
        ) from None
    if not text or text.isspace():
        raise InvalidInput("The text is empty.", reason="TEXT_EMPTY", field=field)
    return unicodedata.normalize("NFC", text)


def tokenise(text: str) -> tuple[Token, ...]:
    """The first tokens of an NFC text in order, at most `MAX_TOKENS` + 1, so that a longer text is known as one.

    None where the text holds only spaces and control characters.
    """
    return tuple(
        Token(match.start(), match.end(), match.group().casefold().replace("’", "'"))
        for match in islice(_TOKEN.finditer(text), MAX_TOKENS + 1)
    )


def without_hyphens(tokens: Sequence[Token]) -> tuple[Token, ...]:
    """Without the hyphens inside words ("twenty-five"); a minus between digits or spaces stays."""
    return tuple(token for at, token in enumerate(tokens) if not _inside_word(tokens, at))


def _inside_word(tokens: Sequence[Token], at: int) -> bool:
    if tokens[at].norm not in _HYPHENS or not 0 < at < len(tokens) - 1:
        return False
    before, after = tokens[at - 1], tokens[at + 1]
    touching = before.end == tokens[at].start and tokens[at].end == after.start
    return touching and before.norm[0].isalpha() and after.norm[0].isalpha()
