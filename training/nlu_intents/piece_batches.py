"""Sentences to batches of word pieces for torch; `train.py` and `measure.py` read them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from services.nlu.engines.pieces import Vocabulary
from services.nlu.text import Token
from training.nlu_intents.data import Sentence
from training.nlu_intents.encoding import MASSIVE_LABELS, Integers, tags_of


@dataclass(frozen=True)
class PieceBatch:
    """Sentences side by side.

    Attributes:
        keys: of the sentences.
        ids: [sentences, pieces], 0 pads.
        massive, clinc: [sentences], -1 where a set is silent.
        tags: [sentences, pieces], -1 but at first pieces of words of sentences with slots.
        firsts: bool [sentences, pieces], true at first pieces of words.
    """

    keys: tuple[str, ...]
    ids: Integers
    massive: Integers
    clinc: Integers
    tags: Integers
    firsts: npt.NDArray[np.bool_]


class PieceData:
    """All sentences, encoded once."""

    def __init__(self, sentences: Sequence[Sentence], clinc_labels: Sequence[str], vocabulary: Vocabulary) -> None:
        massive = {name: at for at, name in enumerate(MASSIVE_LABELS)}
        clinc = {name: at for at, name in enumerate(clinc_labels)}
        self.sentences = sentences
        self._clinc_labels, self._vocabulary = clinc_labels, vocabulary
        self.pieces = [vocabulary.encode([Token(0, 0, word) for word in one.words]) for one in sentences]
        self.massive = np.array([-1 if one.massive is None else massive[one.massive] for one in sentences], np.int64)
        self.clinc = np.array([-1 if one.clinc is None else clinc[one.clinc] for one in sentences], np.int64)
        self.tags = [tags_of(one) for one in sentences]

    def of(self, sentences: Sequence[Sentence]) -> PieceData:
        """Others, encoded alike."""
        return PieceData(sentences, self._clinc_labels, self._vocabulary)

    def batch(self, rows: Integers) -> PieceBatch:
        longest = max(len(self.pieces[row].ids) for row in rows)
        ids = np.zeros((len(rows), longest), np.int64)
        tags = np.full((len(rows), longest), -1, np.int64)
        firsts = np.zeros((len(rows), longest), np.bool_)
        for at, row in enumerate(rows):
            one = self.pieces[row]
            ids[at, : len(one.ids)] = one.ids
            firsts[at, list(one.firsts)] = True
            tags[at, list(one.firsts)] = self.tags[row][: len(one.firsts)]
        keys = tuple(self.sentences[row].key for row in rows)
        return PieceBatch(keys, ids, self.massive[rows], self.clinc[rows], tags, firsts)

    def in_order(self, size: int) -> Iterator[PieceBatch]:
        count = len(self.sentences)
        return (self.batch(np.arange(at, min(at + size, count))) for at in range(0, count, size))

    def shuffled(self, size: int, rng: np.random.Generator) -> Iterator[PieceBatch]:
        """Without end; each time round every sentence once, those of like length together, so that little is padded."""
        while True:
            order = rng.permutation(len(self.sentences))
            for chunk_at in range(0, len(order), size * 16):
                chunk = sorted(order[chunk_at : chunk_at + size * 16], key=lambda row: len(self.pieces[row].ids))
                for at in rng.permutation(np.arange(0, len(chunk), size)):
                    yield self.batch(np.array(chunk[at : at + size]))
