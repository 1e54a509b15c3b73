"""From tokens to the hashed features that the thin model reads; the same code trains and serves.

`engines/thin.py` calls this per sentence, `training/nlu_thin` per corpus. A token becomes at most `SLOTS` bucket
numbers: the word, its beginnings and ends, its character trigrams, and the pair with the word before. Hashing needs no
vocabulary, so any script and any typo has features. CRC-32 because it is the same on every machine, and fast.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from services.nlu.text import Token

BUCKETS = 16_384
"""Rows of the embedding table; row 0 is padding and stays zero."""

SLOTS = 24
"""Features per token at most; long words lose their inner trigrams beyond it."""

MAX_TOKENS = 64
"""Tokens that the model reads; speech to an assistant is shorter, and what follows is not scored."""

_SEED = 7
_LONGEST_WORD = 24


def encode(tokens: Sequence[Token]) -> npt.NDArray[np.int64]:
    """Bucket numbers as int64 [1, tokens, SLOTS], at least one token and at most `MAX_TOKENS`."""
    words = [_shape(token.norm) for token in tokens[:MAX_TOKENS]]
    encoded = np.zeros((1, max(1, len(words)), SLOTS), np.int64)
    before = "<s>"
    for at, word in enumerate(words):
        row = (*_word_features(word), _bucket(f"2:{before} {word}"))[-SLOTS:]
        encoded[0, at, : len(row)] = row
        before = word
    return encoded


def _shape(norm: str) -> str:
    """Numbers in digits are all alike up to their length; a recogniser writes words, a keyboard writes digits."""
    if norm[0].isdigit():
        return "0" * min(len(norm), 4)
    return norm[:_LONGEST_WORD]


@lru_cache(maxsize=20_000)
def _word_features(word: str) -> tuple[int, ...]:
    """Inner trigrams first: they are what is cut off."""
    padded = f"<{word}>"
    grams = [f"3:{padded[at : at + 3]}" for at in range(len(padded) - 2)][: SLOTS - 6]
    edges = [f"p:{word[:4]}", f"s:{word[-4:]}", f"p2:{word[:2]}", f"s2:{word[-2:]}"]
    return tuple(_bucket(feature) for feature in (*grams, *edges, f"1:{word}"))


def _bucket(feature: str) -> int:
    return 1 + zlib.crc32(feature.encode(), _SEED) % (BUCKETS - 1)
