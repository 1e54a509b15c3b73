"""Tokens as the grammars of values see them: one word each, without accents, elided articles cut off.

`patterns.py` matches on these and `finder.py` turns its spans back into tokens. "d'heure" and "un'ora" are two words of
one token; a hyphen inside a word is none. People and recognisers leave accents out, so a word counts without them.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from services.nlu.text import MAX_TOKENS, Token, without_hyphens

_ELIDED = {
    "fr": re.compile(r"^(l|d|qu|j|n|s|c|jusqu)'(.+)$"),
    "it": re.compile(r"^(l|un|d|dell|all|dall|nell|sull|quell|quest|mezz|c)'(.+)$"),
    "de": re.compile(
        r"^(montag|dienstag|mittwoch|donnerstag|freitag|samstag|sonntag)"
        r"(morgen|früh|vormittag|mittag|nachmittag|abend|nacht)$"
    ),
    "en": re.compile(r"^(.+)'(s)$"),
}


_STROKES = str.maketrans({"ø": "o", "đ": "d", "ł": "l", "ı": "i", "æ": "ae", "œ": "oe", "ð": "d", "þ": "th"})
"""Letters that are no letter with a mark to Unicode, and to a keyboard that lacks them."""


@lru_cache(maxsize=8192)
def folded(word: str) -> str:
    """Without accents; what is no letter stays."""
    if word.isascii():
        return word
    parts = unicodedata.normalize("NFD", word.translate(_STROKES))
    return unicodedata.normalize("NFC", "".join(part for part in parts if not unicodedata.combining(part)))


@dataclass(frozen=True)
class Spoken:
    """Words of one utterance.

    Attributes:
        tokens: one per word, with the accents (number words are looked up by them).
        words: the same, folded.
        starts: word -> token that begins there, -1 inside a token.
        ends: position after a word -> position after its token, -1 inside a token.
    """

    tokens: tuple[Token, ...]
    words: tuple[str, ...]
    starts: tuple[int, ...]
    ends: tuple[int, ...]


def spoken(tokens: Sequence[Token], language: str) -> Spoken:
    """The words of at most `MAX_TOKENS` tokens; what follows is not looked at."""
    tokens = tokens[:MAX_TOKENS]
    kept = {id(token) for token in without_hyphens(tokens)}
    words: list[Token] = []
    starts: list[int] = []
    ends = [0]
    for at, token in enumerate(tokens):
        if id(token) not in kept:
            ends[-1] = at + 1 if ends[-1] == at else ends[-1]
            continue
        parts = _parts(token, language)
        words += parts
        starts += [at, *[-1] * (len(parts) - 1)]
        ends += [*[-1] * (len(parts) - 1), at + 1]
    return Spoken(tuple(words), tuple(folded(word.norm) for word in words), tuple(starts), tuple(ends))


def _parts(token: Token, language: str) -> list[Token]:
    pattern = _ELIDED.get(language)
    match = pattern.match(token.norm) if pattern else None
    if match is None:
        return [token]
    return [Token(token.start, token.end, part) for part in match.groups()]
