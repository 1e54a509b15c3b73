"""From tokens of any script to the hashed features that the multilingual model reads; the same code trains and serves.

`engines/languages.py` and `locales/` call `encode` per sentence, `training/nlu_languages` per corpus. A token becomes
at most `SLOTS` bucket numbers: the word, its beginning and end, pairs with its neighbours, and its character n-grams,
all without accents too, so that kindred languages share what they share. Hashing needs no vocabulary: a script that
was never trained on has features that stand for nothing.
"""

from __future__ import annotations

import unicodedata
import zlib
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from services.nlu.text import Token

BUCKETS = 32_768
"""Rows of the embedding table; row 0 is padding and stays zero."""

SLOTS = 32
"""Features per token at most; long words lose inner n-grams beyond it."""

MAX_TOKENS = 64
"""Tokens that the model reads; speech to an assistant is shorter, and what follows is not scored."""

_SEED = 11
_LONGEST_WORD = 24
_REMEMBERED_WORDS = 20_000
_LETTERS = str.maketrans({"ß": "ss", "ø": "o", "æ": "ae", "đ": "d", "ł": "l", "ı": "i"})


def encode(tokens: Sequence[Token]) -> npt.NDArray[np.int64]:
    """Bucket numbers as int64 [tokens, SLOTS], at least one token and at most `MAX_TOKENS`; 0 where there is none."""
    words = [_shape(token.norm) for token in tokens[:MAX_TOKENS]]
    encoded = np.zeros((max(1, len(words)), SLOTS), np.int64)
    for at, word in enumerate(words):
        before = words[at - 1] if at else "<s>"
        after = words[at + 1] if at + 1 < len(words) else "</s>"
        row = (_bucket(f"b:{before} {word}"), _bucket(f"a:{word} {after}"), *_word_features(word))[:SLOTS]
        encoded[at, : len(row)] = row
    return encoded


def _shape(norm: str) -> str:
    """Numbers in digits are all alike up to their length."""
    if norm[0].isdigit():
        return "0" * min(len(norm), 4)
    return norm[:_LONGEST_WORD]


@lru_cache(maxsize=_REMEMBERED_WORDS)
def _word_features(word: str) -> tuple[int, ...]:
    """What tells most first: the rest is what is cut off."""
    plain = _plain(word)
    padded = f"<{plain}>"
    grams = [padded[at : at + size] for size in (3, 4, 2, 5) for at in range(len(padded) - size + 1)]
    named = [f"w:{word}", f"w:{plain}", f"p:{plain[:4]}", f"s:{plain[-4:]}", *(f"g:{gram}" for gram in grams)]
    return tuple(dict.fromkeys(map(_bucket, named)))


def _plain(word: str) -> str:
    """Without accents, unless nothing else is there."""
    bare = "".join(sign for sign in unicodedata.normalize("NFD", word) if not unicodedata.combining(sign))
    return unicodedata.normalize("NFC", bare).translate(_LETTERS) or word


def _bucket(feature: str) -> int:
    return 1 + zlib.crc32(feature.encode(), _SEED) % (BUCKETS - 1)
