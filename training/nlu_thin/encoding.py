"""Examples to arrays: features as the service makes them, intents and BIO tags as numbers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from services.nlu.engines.features import MAX_TOKENS, SLOTS, encode
from services.nlu.text import normalise, tokenise
from training.nlu_thin.grammar import Example
from training.nlu_thin.network import Batch
from training.nlu_thin.templates import TEMPLATES

INTENTS = tuple(TEMPLATES["en"])
TAGS = ("O", "B-place", "I-place", "B-day", "I-day", "B-expression", "I-expression")


class Encoded:
    """All examples, encoded once, shortest first within a shuffled batch so that padding stays small."""

    def __init__(self, examples: Sequence[Example]) -> None:
        tokens = [tokenise(normalise(example.text, field="text")) for example in examples]
        self.examples = examples
        self.ids = [encode(one)[0] for one in tokens]
        self.intents = np.array([INTENTS.index(example.intent) for example in examples], np.int64)
        self.tags = [
            np.array([tag(example, token.start, token.end) for token in one[:MAX_TOKENS]] or [-1], np.int64)
            for example, one in zip(examples, tokens, strict=True)
        ]

    def batch(self, rows: npt.NDArray[np.int64]) -> Batch:
        longest = max(len(self.ids[row]) for row in rows)
        ids = np.zeros((len(rows), longest, SLOTS), np.int64)
        tags = np.full((len(rows), longest), -1, np.int64)
        for at, row in enumerate(rows):
            ids[at, : len(self.ids[row])] = self.ids[row]
            tags[at, : len(self.tags[row])] = self.tags[row]
        return Batch(ids, self.intents[rows], tags)

    def batches(self, size: int, rng: np.random.Generator | None = None) -> Iterator[Batch]:
        """Shuffled with `rng`: sorted by length inside chunks of 16 batches, the batches of a chunk in random order."""
        order = np.arange(len(self.examples)) if rng is None else rng.permutation(len(self.examples))
        if rng is None:
            yield from (self.batch(order[at : at + size]) for at in range(0, len(order), size))
            return
        for chunk_at in range(0, len(order), size * 16):
            chunk = sorted(order[chunk_at : chunk_at + size * 16], key=lambda row: len(self.ids[row]))
            starts = rng.permutation(np.arange(0, len(chunk), size))
            yield from (self.batch(np.array(chunk[at : at + size])) for at in starts)


def tag(example: Example, start: int, end: int) -> int:
    """The tag of the token at these code points; -1 where nobody marked slots."""
    if example.spans is None:
        return -1
    for slot, first, last in example.spans:
        if first <= start and end <= last:
            return TAGS.index(f"{'B' if start == first else 'I'}-{slot}")
    return 0
