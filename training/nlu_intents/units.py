"""What slots are told by: whole words, character trigrams, or both, with more and more sentences to learn from.

    nice -n 10 python -m training.nlu_intents.units [--sizes 500,1000,2000,4000] [--seeds 3]

Needs numpy and scipy. Small networks (`network.py`), trained on sentences of HWU64 alone and measured on SLURP devel;
the card quotes what is written to `units.json` in the bundle. The question is that of "Named entity recognition with
subwords" (arXiv 1808.07364): does the inside of words tell more than the words, and from how much data on?
"""

from __future__ import annotations

import argparse
import json
import random
import time
import zlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

import numpy as np

from training.nlu_intents.data import Sentence, hwu64, load, root
from training.nlu_intents.encoding import TAGS, Batch, Integers, tags_of
from training.nlu_intents.evaluation import f1, spans
from training.nlu_intents.export import BUNDLE
from training.nlu_intents.network import Network

BUCKETS = 16_384
WIDTH = 32
HIDDEN = 96
BATCH = 32
STEPS = 1_000
"""Of every network, so that more sentences do not mean more training."""

RATE = 2e-3
DROPOUT = 0.3
UNITS = ("word", "character", "combined")
_MOST = 16  # units of a word
_UNSEEN = "<unk>"


class Units:
    """Words to numbers of their units. A word that training has not or once is (also) the unseen word."""

    def __init__(self, kind: str, sentences: Sequence[Sentence]) -> None:
        self._kind = kind
        self._counts = Counter(word for one in sentences for word in one.words)

    def encode(self, words: Sequence[str]) -> Integers:
        """[words, units], 0 pads."""
        found = np.zeros((max(1, len(words)), _MOST), np.int64)
        for at, word in enumerate(words):
            units = list(islice(self._units(word), _MOST))
            found[at, : len(units)] = [1 + zlib.crc32(unit.encode(), 3) % (BUCKETS - 1) for unit in units]
        return found

    def _units(self, word: str) -> Iterator[str]:
        if self._kind != "character":
            if self._counts[word]:
                yield f"w:{word}"
            if self._counts[word] <= 1:
                yield f"w:{_UNSEEN}"
        if self._kind != "word":
            padded = f"<{word}>"
            yield from (f"c:{padded[at : at + 3]}" for at in range(len(padded) - 2))


def _batch(units: Units, sentences: Sequence[Sentence]) -> Batch:
    longest = max(len(one.words) for one in sentences)
    ids = np.zeros((len(sentences), longest, _MOST), np.int64)
    tags = np.full((len(sentences), longest), -1, np.int64)
    for at, one in enumerate(sentences):
        ids[at, : len(one.words)] = units.encode(one.words)
        tags[at, : len(one.words)] = tags_of(one)
    return Batch(ids, tags)


def slot_f1(kind: str, train: Sequence[Sentence], measured: Sequence[Sentence], seed: int) -> float:
    """Of a network trained on `train`."""
    units = Units(kind, train)
    rng = np.random.default_rng(seed)
    network = Network(rng, BUCKETS, len(TAGS), WIDTH, HIDDEN)
    for step in range(STEPS):
        rows = rng.choice(len(train), BATCH, replace=False)
        network.step(_batch(units, [train[row] for row in rows]), RATE * (1 - 0.95 * step / STEPS), DROPOUT)
        if step > 0.7 * STEPS and step % 10 == 0:
            network.remember()
    network.settle()
    guessed = []
    for at in range(0, len(measured), 64):
        part = measured[at : at + 64]
        tags = network.forward(_batch(units, part).ids)
        guessed += [spans(found, len(one.words)) for found, one in zip(tags, part, strict=True)]
    return f1(guessed, [set(one.slots or ()) for one in measured])


def curve(sizes: Sequence[int], seeds: int) -> dict[str, Any]:
    corpus = load(1, with_devel=False)
    held = {one.key for one in (*corpus.slurp, *load(1).slurp)}
    known = [one for one in hwu64(root()) if one.slots is not None and one.words and one.key not in held]
    measured = [one for one in corpus.slurp if one.slots is not None and one.words]
    found: dict[str, Mapping[str, float]] = {}
    for size in sizes:
        by_kind: dict[str, float] = {}
        for kind in UNITS:
            made = [
                slot_f1(kind, random.Random(seed).sample(known, min(size, len(known))), measured, seed)
                for seed in range(1, seeds + 1)
            ]
            by_kind[kind] = round(float(np.mean(made)), 4)
        found[str(min(size, len(known)))] = by_kind
        print(size, by_kind, flush=True)
    return {"measured_on": "SLURP devel", "sentences": len(measured), "seeds": seeds, "slot_f1": found}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", default="500,1000,2000,4000")
    parser.add_argument("--seeds", type=int, default=2)
    options = parser.parse_args()
    began = time.monotonic()
    report = curve([int(one) for one in options.sizes.split(",")], options.seeds)
    (BUNDLE / "units.json").write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    print(f"{time.monotonic() - began:.0f} s")


if __name__ == "__main__":
    main()
