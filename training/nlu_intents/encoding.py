"""Sentences to arrays: features as the service makes them, labels and BIO tags as numbers, -1 where a set is silent."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from services.nlu.engines.features import MAX_TOKENS, SLOTS, encode
from services.nlu.text import Token
from training.nlu_intents.data import MASSIVE, OUT_OF_SCOPE, Sentence
from training.nlu_intents.data import SLOTS as SLOT_NAMES

MASSIVE_LABELS = (*MASSIVE, OUT_OF_SCOPE)
TAGS = ("O", *(f"{prefix}-{name}" for name in SLOT_NAMES for prefix in "BI"))

Integers = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Batch:
    """`ids` [sentences, tokens, features], labels [sentences], `tags` [sentences, tokens]; -1 is no label."""

    ids: Integers
    massive: Integers
    clinc: Integers
    tags: Integers


class Encoded:
    """All sentences, encoded once."""

    def __init__(self, sentences: Sequence[Sentence], clinc_labels: Sequence[str]) -> None:
        massive = {name: at for at, name in enumerate(MASSIVE_LABELS)}
        clinc = {name: at for at, name in enumerate(clinc_labels)}
        self.sentences = sentences
        self.ids = [encode([Token(0, 0, word) for word in one.words])[0] for one in sentences]
        self.massive = np.array([-1 if one.massive is None else massive[one.massive] for one in sentences], np.int64)
        self.clinc = np.array([-1 if one.clinc is None else clinc[one.clinc] for one in sentences], np.int64)
        self.tags = [_tags(one) for one in sentences]

    def batch(self, rows: Integers) -> Batch:
        longest = max(len(self.ids[row]) for row in rows)
        ids = np.zeros((len(rows), longest, SLOTS), np.int64)
        tags = np.full((len(rows), longest), -1, np.int64)
        for at, row in enumerate(rows):
            ids[at, : len(self.ids[row])] = self.ids[row]
            tags[at, : len(self.tags[row])] = self.tags[row]
        return Batch(ids, self.massive[rows], self.clinc[rows], tags)

    def batches(self, size: int, rng: np.random.Generator | None = None) -> Iterator[Batch]:
        """In order, or shuffled with `rng`: sorted by length within chunks of 16 batches, so that padding is small."""
        count = len(self.sentences)
        if rng is None:
            yield from (self.batch(np.arange(at, min(at + size, count))) for at in range(0, count, size))
            return
        order = rng.permutation(count)
        for chunk_at in range(0, count, size * 16):
            chunk = sorted(order[chunk_at : chunk_at + size * 16], key=lambda row: len(self.ids[row]))
            for at in rng.permutation(np.arange(0, len(chunk), size)):
                yield self.batch(np.array(chunk[at : at + size]))


def _tags(one: Sentence) -> Integers:
    count = max(1, min(len(one.words), MAX_TOKENS))
    if one.slots is None:
        return np.full(count, -1, np.int64)
    tags = np.zeros(count, np.int64)
    for name, start, end in one.slots:
        first = TAGS.index(f"B-{name}")
        for at in range(start, min(end, count)):
            tags[at] = first + (at > start)
    return tags
