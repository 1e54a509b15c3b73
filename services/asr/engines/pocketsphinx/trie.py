"""A trigram model as the binary file that pocketsphinx reads ("Trie Language Model").

Used by `language_model_worker.py`, where an ARPA text and pocketsphinx's own conversion took half of each build. The
trie goes from a word to the word before it, and to the one before that. Probabilities are logarithms to the base
1.0001; those of bigrams and trigrams are numbers of a table of 65,536, which here has equal steps.

Recipes write ARPA text instead (`ngrams.write_arpa`): its rounded numbers come out the same on every machine.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from services.asr.engines.pocketsphinx.ngrams import BEGIN_ID, BackoffModel, Floats, Ids

_HEADER = b"Trie Language Model"
_ORDER = 3
_LOG_BASE = 1.0001
_NEVER = -99.0 * np.log(10.0) / np.log(_LOG_BASE)  # ARPA's way to say zero
_SMALLEST = 1e-12
_BITS = 16  # of a number in a table
_SPARE_BYTES = 8  # behind each array, because it is read in words of eight
_UNIGRAM = np.dtype([("p", "<f4"), ("b", "<f4"), ("next", "<u4")])

_Table = tuple[NDArray[np.uint32], bytes]


def write_trie(model: BackoffModel, words: Sequence[str], path: Path) -> None:
    """Writes the model; the bigram of the last two words of each of its trigrams must be in it, too."""
    size = model.size
    first, second = model.keys2 // size, model.keys2 % size
    order2 = np.argsort(second * size + first, kind="stable")
    ends2 = (second * size + first)[order2]  # last word first
    pairs, third = model.keys3 // size, model.keys3 % size
    last3 = third * size + pairs % size
    order3 = np.argsort(last3 * size + pairs // size, kind="stable")

    unigrams = np.zeros(size + 1, _UNIGRAM)
    unigrams["p"][:size], unigrams["b"][:size] = _logs(model.p1), _logs(model.b1)
    unigrams["p"][BEGIN_ID] = _NEVER
    unigrams["next"] = np.searchsorted(ends2, np.arange(size + 1) * size)

    p2, table_p2 = _numbered(_logs(model.p2)[order2])
    b2, table_b2 = _numbered(_logs(model.b2)[order2])
    p3, table_p3 = _numbered(_logs(model.p3)[order3])
    starts = np.append(np.searchsorted(last3[order3], ends2), len(last3))
    word_bits = size.bit_length()
    middle = ((_ended(first[order2]), word_bits), (_ended(b2), _BITS), (_ended(p2), _BITS))
    longest = (((pairs // size)[order3], word_bits), (p3, _BITS))
    names = b"".join(word.encode() + b"\0" for word in words)
    with path.open("wb") as out:
        out.write(_HEADER + bytes([_ORDER]) + _numbers(size, len(ends2), len(last3)))
        out.write(_numbers(1) + table_p2 + table_b2 + table_p3)
        out.write(unigrams.tobytes())
        out.write(_packed((*middle, (starts, len(last3).bit_length())), len(ends2) + 1))
        out.write(_packed(longest, len(last3) + 1))
        out.write(_numbers(len(names)) + names)


def _logs(probabilities: Floats) -> Floats:
    logs: Floats = np.log(np.maximum(probabilities, _SMALLEST)) / np.log(_LOG_BASE)
    return logs


def _numbered(values: Floats) -> _Table:
    """Each value as a number in a table, and the table."""
    low, high = (float(values.min()), float(values.max())) if len(values) else (0.0, 0.0)
    most = 2**_BITS - 1
    step = (high - low) / most or 1.0
    table = (low + step * np.arange(most + 1)).astype("<f4")
    return np.rint((values - low) / step).astype(np.uint32), table.tobytes()


def _ended(values: Ids | NDArray[np.uint32]) -> NDArray[np.int64]:
    """One entry more, which ends the last one's range."""
    return np.append(values, 0).astype(np.int64)


def _packed(fields: Sequence[tuple[NDArray[np.int64] | NDArray[np.uint32], int]], room: int) -> bytes:
    """Entries of fields of some bits each, without gaps, lowest bits first; zeros to `room` entries."""
    columns = [
        np.unpackbits(values.astype("<u4").view(np.uint8).reshape(-1, 4), axis=1, count=bits, bitorder="little")
        for values, bits in fields
    ]
    packed = np.packbits(np.hstack(columns).reshape(-1), bitorder="little").tobytes()
    return packed.ljust((room * sum(bits for _, bits in fields) + 7) // 8 + _SPARE_BYTES, b"\0")


def _numbers(*values: int) -> bytes:
    return np.array(values, "<u4").tobytes()
