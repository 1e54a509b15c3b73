"""Labels of the two taxonomies and BIO tags as numbers, -1 where a set is silent."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from training.nlu_intents.data import MASSIVE, OUT_OF_SCOPE, Sentence
from training.nlu_intents.data import SLOTS as SLOT_NAMES

MASSIVE_LABELS = (*MASSIVE, OUT_OF_SCOPE)
TAGS = ("O", *(f"{prefix}-{name}" for name in SLOT_NAMES for prefix in "BI"))

_NUMBERS = {name: at for at, name in enumerate(TAGS)}

Integers = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Batch:
    """`ids` [sentences, tokens, units], `tags` [sentences, tokens]; -1 is no label."""

    ids: Integers
    tags: Integers


def tags_of(one: Sentence) -> Integers:
    """One tag per word; -1 if the sentence has no slots told."""
    if one.slots is None:
        return np.full(len(one.words), -1, np.int64)
    found = np.zeros(len(one.words), np.int64)
    for name, start, end in one.slots:
        found[start] = _NUMBERS[f"B-{name}"]
        found[start + 1 : end] = _NUMBERS[f"I-{name}"]
    return found
