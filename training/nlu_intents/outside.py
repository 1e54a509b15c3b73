"""Sentences that no assistant serves: statements from conversations between people, and words of random letters.

`train.py` calls `load` in the last round. CLINC150 has a hundred sentences out of scope, all of them questions and
orders; what is said to somebody else, or typed by a cat, is unlike any of these.
"""

from __future__ import annotations

import random
import string
from collections.abc import Iterable
from pathlib import Path

from training.nlu_intents.data import OUT_OF_SCOPE, Sentence
from training.nlu_intents.unlabelled import topical_chat, words_of

_SHORTEST = 4
# With these a statement may be small talk to the assistant, or ask for something.
_TO_YOU = frozenset(
    "you your yours me what who where when why how which do does did can could would hi hello hey".split()
)


def load(texts: Path, rng: random.Random, each: int, held: Iterable[str]) -> list[Sentence]:
    """Up to `each` statements, and a quarter as many of letters, without the `held` keys."""
    said = sorted({words for text in topical_chat(texts) if "?" not in text and (words := words_of(text)) is not None})
    statements = [words for words in said if len(words) >= _SHORTEST and not _TO_YOU & set(words)]
    made = [*rng.sample(statements, min(each, len(statements))), *(_letters(rng) for _ in range(each // 4))]
    without = set(held)
    return [Sentence(words, OUT_OF_SCOPE, OUT_OF_SCOPE, None) for words in made if " ".join(words) not in without]


def _letters(rng: random.Random) -> tuple[str, ...]:
    return tuple("".join(rng.choices(string.ascii_lowercase, k=rng.randint(2, 9))) for _ in range(rng.randint(1, 4)))
