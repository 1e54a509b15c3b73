"""What people say to assistants and to each other, without labels: the student learns what the teacher makes of it.

`train.py` calls `load`. SNIPS 2017 (CC0), user turns of SGD (CC BY-SA 4.0) and Topical-Chat (CDLA-Sharing 1.0).
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterable, Iterator
from pathlib import Path

from services.nlu.text import normalise, tokenise
from training.nlu_intents.data import Sentence

_LONGEST = 20  # words; longer ones are stories


def load(root: Path, rng: random.Random, each: int, held: Iterable[str]) -> list[Sentence]:
    """Up to `each` sentences of every source, none of them among the `held` keys."""
    kept: dict[str, Sentence] = {}
    without = set(held)
    for source in (_snips, _sgd, topical_chat):
        found = sorted({sentence for text in source(root) if (sentence := words_of(text)) is not None})
        rng.shuffle(found)
        kept |= {" ".join(words): Sentence(words, None, None, None) for words in found[:each]}
    return [one for key, one in kept.items() if key not in without]


def words_of(text: str) -> tuple[str, ...] | None:
    """Without punctuation, as speech comes; None of what is too long or holds no word."""
    if not text.strip():
        return None
    words = [token.norm for token in tokenise(normalise(text.strip().lower()[:400], field="text"))]
    words = [word for word in words if word[0].isalnum()]
    return tuple(words) if 1 <= len(words) <= _LONGEST else None


def _snips(root: Path) -> Iterator[str]:
    for path in sorted((root / "snips").glob("*/*/train_*.json")):
        for name, rows in json.loads(path.read_bytes().decode("utf-8", "replace")).items():
            if name in path.stem:
                yield from ("".join(piece["text"] for piece in row["data"]) for row in rows)


def _sgd(root: Path) -> Iterator[str]:
    for path in sorted((root / "sgd" / "dev").glob("dialogues_*.json")):
        for dialogue in json.loads(path.read_text(encoding="utf-8")):
            yield from (turn["utterance"] for turn in dialogue["turns"] if turn["speaker"] == "USER")


def topical_chat(root: Path) -> Iterator[str]:
    """What people write to each other about the news."""
    for path in sorted((root / "topicalchat" / "conversations").glob("*.json")):
        for one in json.loads(path.read_text(encoding="utf-8")).values():
            yield from (turn["message"] for turn in one["content"])
