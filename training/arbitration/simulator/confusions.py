"""Readings that a real classifier gave of sentences it had not seen; `worlds` draws from them.

`measure_confusions` made the file. Sentences are dealt out to the parts (train, dev, test) by their number, so that
no sentence's reading is in two of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

FILE: Final = Path(__file__).with_name("confusions.npz")
KEPT: Final = 6
"""Labels kept per sentence, the likeliest."""

PARTS: Final = {"train": (0, 1, 2), "dev": (3,), "test": (4,)}
"""Part -> remainders of a sentence's number by 5."""


@dataclass(frozen=True, slots=True)
class Read:
    """One sentence's reading.

    Attributes:
        probabilities: label -> probability, the likeliest first.
        outside: probability of being out of scope.
    """

    probabilities: tuple[tuple[str, float], ...]
    outside: float


@dataclass(frozen=True)
class Confusions:
    """Readings by true label ("out_of_scope" among them), of one part."""

    by_label: dict[str, list[Read]]

    @classmethod
    def of(cls, part: str) -> Confusions:
        """Those of "train", "dev" or "test"."""
        with np.load(FILE) as held:
            truth, labels, outside = held["truth"], held["labels"], held["outside"].astype(float)
            probabilities: npt.NDArray[np.float64] = held["probabilities"].astype(float)
            names = [str(name) for name in held["names"]]
        by_label: dict[str, list[Read]] = {name: [] for name in names}
        for number in range(len(truth)):
            if number % 5 in PARTS[part]:
                likely = zip(labels[number].tolist(), probabilities[number].tolist(), strict=True)
                read = Read(tuple((names[label], p) for label, p in likely), float(outside[number]))
                by_label[names[int(truth[number])]].append(read)
        return cls(by_label)
