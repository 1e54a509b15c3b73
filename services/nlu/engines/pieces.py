"""From tokens to word pieces, which the English model reads; the same code trains and serves.

`engines/labels.py` calls `encode` per sentence, `training/nlu_intents` per corpus. A word is cut greedily into the
longest pieces that the vocabulary of the bundle knows (WordPiece: Schuster and Nakajima 2012, Devlin et al. 2018);
single characters are pieces too, so that a name nobody has seen is still read.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from services.nlu.text import Token

PADDING, UNKNOWN, BEGIN, END = 0, 1, 2, 3
"""Numbers of the special pieces, in any vocabulary."""

SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]")

MAX_PIECES = 96
"""Pieces of a sentence with begin and end; a sentence has at most 64 tokens, most of them one piece."""

MAX_TOKENS = 64
"""Tokens that are read; what follows is not scored."""

_LONGEST_WORD = 40
_MOST_PIECES = 8  # of one token: a hostile word does not push out its neighbours
_PART = re.compile(r"[^\W_]+|\S")
_MARKS = re.compile(r"[\u0300-\u036f]")


@dataclass(frozen=True, slots=True)
class Pieces:
    """One sentence.

    Attributes:
        ids: numbers of its pieces, begin and end among them; at most `MAX_PIECES`.
        firsts: per token that is read, where its first piece stands in `ids`.
    """

    ids: tuple[int, ...]
    firsts: tuple[int, ...]


class Vocabulary:
    """The pieces of a bundle in order; those inside a word begin with "##"."""

    def __init__(self, pieces: Iterable[str]) -> None:
        """Raises ValueError if it does not begin with `SPECIAL`."""
        self._numbers: Mapping[str, int] = {piece: at for at, piece in enumerate(pieces)}
        if tuple(self._numbers)[: len(SPECIAL)] != SPECIAL:
            raise ValueError(f"A vocabulary begins with {', '.join(SPECIAL)}.")
        self._cut = lru_cache(maxsize=20_000)(self._cut_word)

    def __len__(self) -> int:
        return len(self._numbers)

    def encode(self, tokens: Sequence[Token]) -> Pieces:
        """The pieces of a sentence; tokens beyond `MAX_TOKENS` or `MAX_PIECES` are not read."""
        ids, firsts = [BEGIN], []
        for token in tokens[:MAX_TOKENS]:
            cut = self._cut(token.norm)
            if len(ids) + len(cut) >= MAX_PIECES:
                break
            firsts.append(len(ids))
            ids += cut
        return Pieces((*ids, END), tuple(firsts))

    def _cut_word(self, norm: str) -> tuple[int, ...]:
        plain = _MARKS.sub("", unicodedata.normalize("NFD", norm[:_LONGEST_WORD]))
        found = [piece for part in _PART.findall(plain) for piece in self._longest(part)]
        return tuple(found[:_MOST_PIECES]) or (UNKNOWN,)

    def _longest(self, part: str) -> list[int]:
        """Greedily from the left; a character that the vocabulary lacks makes the whole part unknown."""
        found, start = [], 0
        while start < len(part):
            for end in range(len(part), start, -1):
                number = self._numbers.get(part[start:end] if not start else f"##{part[start:end]}")
                if number is not None:
                    found.append(number)
                    start = end
                    break
            else:
                return [UNKNOWN]
        return found
