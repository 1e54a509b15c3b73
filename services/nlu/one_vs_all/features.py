"""From a sentence to the hashed features that the binary models of intents weigh.

`teaching.py` calls `rows_of` for phrases and `book.py` calls `sparse` for what users say. Words, pairs of neighbours
and the pieces of two to five characters of each word are hashed to buckets, so that no vocabulary is kept and any
script has features. Each counts by how rare it is in what people say to assistants (`frequencies.npz`), and a sentence
has length 1.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from services.nlu.text import Token, tokenise

BUCKETS: Final = 1 << 18
"""Of all features together; a model keeps only those that it weighs."""

MAX_TOKENS: Final = 64
"""Tokens that are looked at; nobody says more to an assistant, and what a hostile text costs stays bounded."""

FREQUENCIES: Final = Path(__file__).with_name("frequencies.npz")

_LONGEST_WORD = 24
_PIECES = (2, 3, 4, 5)
_SEED = 11


@dataclass(frozen=True, slots=True)
class Rows:
    """Sentences as a sparse matrix: row by row, `features[starts[at]:starts[at + 1]]` with their values.

    Attributes:
        starts: int64 [rows + 1].
        features: int32 [entries], buckets, ascending in each row.
        values: float32 [entries]; the squares of a row sum to 1.
    """

    starts: npt.NDArray[np.int64]
    features: npt.NDArray[np.int32]
    values: npt.NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.starts) - 1

    @property
    def numbers(self) -> npt.NDArray[np.int64]:
        """The row of each entry."""
        return np.repeat(np.arange(len(self)), np.diff(self.starts))


@dataclass(frozen=True, slots=True)
class ByFeature:
    """A sparse matrix feature by feature, to find what a few features do without looking at the others.

    Attributes:
        features: int32 [features], buckets, ascending.
        starts: int64 [features + 1].
        numbers: int32 [entries], the rows.
        values: float32 [entries].
    """

    features: npt.NDArray[np.int32]
    starts: npt.NDArray[np.int64]
    numbers: npt.NDArray[np.int32]
    values: npt.NDArray[np.float32]

    @classmethod
    def of(
        cls, numbers: npt.NDArray[np.integer], features: npt.NDArray[np.int32], values: npt.NDArray[np.float32]
    ) -> ByFeature:
        """Of entries in any order."""
        order = np.argsort(features, kind="stable")
        found, starts = np.unique(features[order], return_index=True)
        starts = np.append(starts, len(order)).astype(np.int64)
        return cls(found, starts, numbers[order].astype(np.int32), values[order])

    @property
    def bytes(self) -> int:
        return sum(one.nbytes for one in (self.features, self.starts, self.numbers, self.values))

    def entries(
        self, wanted: npt.NDArray[np.int32]
    ) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int64], npt.NDArray[np.float32]]:
        """Row, place in `wanted` and value of each entry of these features."""
        if not len(self.features):
            return np.zeros(0, np.int32), np.zeros(0, np.int64), np.zeros(0, np.float32)
        found = np.searchsorted(self.features, wanted).clip(max=len(self.features) - 1)
        known = np.flatnonzero(self.features[found] == wanted)
        found = found[known]
        counts = self.starts[found + 1] - self.starts[found]
        at = np.arange(int(counts.sum())) + np.repeat(self.starts[found] - np.cumsum(counts) + counts, counts)
        return self.numbers[at], np.repeat(known, counts), self.values[at]


def sparse(tokens: Sequence[Token]) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.float32]]:
    """Buckets, ascending, and values of one sentence; empty where it has no word."""
    words = [_shape(token.norm) for token in tokens[:MAX_TOKENS] if token.norm[0].isalnum()]
    found = [bucket for word in words for bucket in _of_word(word)]
    found += [
        _bucket(f"2:{one} {other}") for one, other in zip(("<s>", *words), (*words, "</s>"), strict=True) if words
    ]
    buckets, counts = np.unique(np.array(found, np.int32), return_counts=True)
    values = (1 + np.log(counts)).astype(np.float32) * rarity()[buckets]
    return buckets, values / max(1e-6, float(np.linalg.norm(values)))


def rows_of(sentences: Iterable[str]) -> Rows:
    """All of them, each cut into tokens."""
    made = [_of_sentence(one) for one in sentences]
    starts = np.cumsum([0, *(len(buckets) for buckets, _ in made)], dtype=np.int64)
    empty: list[npt.NDArray[np.int32]] = [np.zeros(0, np.int32)]
    return Rows(
        starts,
        np.concatenate([*empty, *(buckets for buckets, _ in made)]).astype(np.int32),
        np.concatenate([np.zeros(0, np.float32), *(values for _, values in made)]).astype(np.float32),
    )


@lru_cache(maxsize=16_000)  # about a kilobyte each
def _of_sentence(sentence: str) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.float32]]:
    return sparse(tokenise(sentence))


@lru_cache(maxsize=1)
def rarity() -> npt.NDArray[np.float32]:
    """By bucket: 1 + log of how many sentences there are for each that has it, as float32 [`BUCKETS`]."""
    if not FREQUENCIES.exists():
        return np.ones(BUCKETS, np.float32)
    with np.load(FREQUENCIES) as held:
        counts = np.zeros(BUCKETS, np.float32)
        counts[held["buckets"]] = held["counts"]
        sentences = int(held["sentences"])
    return (1 + np.log((1 + sentences) / (1 + counts))).astype(np.float32)


def _shape(norm: str) -> str:
    """Numbers in digits are all alike up to their length."""
    return "0" * min(len(norm), 4) if norm[0].isdigit() else norm[:_LONGEST_WORD]


@lru_cache(maxsize=50_000)
def _of_word(word: str) -> tuple[int, ...]:
    padded = f"<{word}>"
    pieces = [padded[at : at + size] for size in _PIECES for at in range(len(padded) - size + 1)]
    return (_bucket(f"1:{word}"), *(_bucket(f"c:{piece}") for piece in pieces))


def _bucket(feature: str) -> int:
    return zlib.crc32(feature.encode(), _SEED) % BUCKETS
