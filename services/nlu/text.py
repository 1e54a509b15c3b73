"""Text from clients: limits, NFC, and tokens with their places. The servicer's domain calls it first, and training too.

Spans of the contract count in code points of the NFC text, so tokens carry such spans and every later step works in
token numbers. Engines read a token's `norm`, which folds what only looks different: case, full-width and mathematical
letters, digits of any script, letters borrowed from another script, floods of marks. Nothing here knows a language.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import islice
from typing import NamedTuple

from services.nlu.homoglyphs import of_one_script
from services.runtime.errors import InvalidInput

MAX_CODE_POINTS = 4_000
"""Longest text of one hypothesis; the contract promises it, a minute of fast speech has 1,000."""

MAX_TOKENS = 200
"""Tokens that are looked at; speech to an assistant is shorter, and what a hostile text costs stays bounded."""

# A text is matched by the shapes of its signs: a letter, c one that is a word, 0 digit, m mark or invisible sign,
# ' apostrophe, . and , as they are, ! any other visible sign, space what parts words. Numbers keep their separators
# ("1,000", "3.5"); letters and digits part ("5x4" is three tokens); a word keeps its apostrophes, and whatever
# stands on a letter.
_TOKEN = re.compile(r"0[0m]*(?:[.,]0[0m]*)*|a[am]*(?:'a[am]*)*|[c.,'!]m*")
# Chinese and Japanese write no spaces: each character is a token, as far as words go a better unit than a sentence.
_UNSPACED = re.compile(
    "[\u3005-\u3007\u3041-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]"
)

_HYPHENS = frozenset({"-", "‐", "‑"})
_APOSTROPHES = frozenset("'’ʼ＇")
_ZERO_WIDTH_SPACE = "\u200b"  # parts words where spaces do not, as in Thai
_LOOKS = ("<font>", "<wide>", "<narrow>")
"""Compatibility forms that are the same sign in another drawing (Unicode Standard Annex 44, Decomposition_Type)."""

_OVERLAY = 1  # canonical combining class of strokes through a letter
_MOST_MARKS = 4  # upon one letter; Burmese and Hebrew need as many


class Token(NamedTuple):
    """A piece of the text: `text[start:end]`, and its folded form, in lower case with a plain apostrophe."""

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

    None where the text holds only spaces, control characters and what cannot be seen.
    """
    return tuple(islice(_tokens(text), MAX_TOKENS + 1))


def _tokens(text: str) -> Iterator[Token]:
    plain = text.isascii()
    for match in _TOKEN.finditer("".join(map(_shape, text))):
        start, end = match.span()
        yield Token(start, end, (text[start:end] if plain else _folded(text[start:end])).casefold())


def _folded(piece: str) -> str:
    """Its signs as one would type them."""
    signs: list[str] = []
    marks = 0
    for sign in piece:
        if _shape(sign) != "m":
            marks = 0
            signs.append(_plain(sign))
        elif _belongs(sign):
            marks += 1
            signs.append(sign)
            if marks > _MOST_MARKS:
                return _folded("".join(sign for sign in piece if _shape(sign) != "m"))
    return of_one_script("".join(signs))


@lru_cache(maxsize=8192)
def _belongs(mark: str) -> bool:
    """Whether a sign of the shape m is part of the word: a vowel sign or an accent, and nothing that is not seen, is
    laid through or around a letter, or chooses a drawing."""
    if unicodedata.category(mark) in {"Cf", "Me"} or unicodedata.combining(mark) == _OVERLAY:
        return False
    return not unicodedata.name(mark, "").startswith("VARIATION SELECTOR")


@lru_cache(maxsize=8192)
def _shape(sign: str) -> str:
    """Of `_TOKEN`."""
    if sign in _APOSTROPHES:
        return "'"
    if (plain := _plain(sign)) in ".,":
        return plain
    category = unicodedata.category(sign)
    if category == "Nd":
        return "0"
    if category[0] == "M" or (category == "Cf" and sign != _ZERO_WIDTH_SPACE):
        return "m"
    if sign.isalnum():
        return "c" if _UNSPACED.match(plain) else "a"
    return " " if sign.isspace() or category == "Cc" or sign in ("_", _ZERO_WIDTH_SPACE) else "!"


@lru_cache(maxsize=8192)
def _plain(sign: str) -> str:
    """One sign for one."""
    if sign in _APOSTROPHES:
        return "'"
    if (digit := unicodedata.decimal(sign, None)) is not None:
        return str(digit)
    if unicodedata.decomposition(sign).startswith(_LOOKS):
        same = unicodedata.normalize("NFKC", sign)
        return same if len(same) == 1 else sign
    return sign


def without_hyphens(tokens: Sequence[Token]) -> tuple[Token, ...]:
    """Without the hyphens inside words ("twenty-five"); a minus between digits or spaces stays."""
    return tuple(token for at, token in enumerate(tokens) if not _inside_word(tokens, at))


def _inside_word(tokens: Sequence[Token], at: int) -> bool:
    if tokens[at].norm not in _HYPHENS or not 0 < at < len(tokens) - 1:
        return False
    before, after = tokens[at - 1], tokens[at + 1]
    touching = before.end == tokens[at].start and tokens[at].end == after.start
    return touching and before.norm[0].isalpha() and after.norm[0].isalpha()
