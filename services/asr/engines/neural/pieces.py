"""The tokens of a neural model: read from tokens.txt, put together to words, and texts spelled with them.

Used by `engine.py` and by the models. Tokens are whole words ("seven"), pieces that begin words with "▁" as
sentencepiece writes them, characters with "<space>" between words, or ideographs, each a word of its own. Symbols in
angle brackets are never heard, but for bytes as "<0xE4>", of which rare characters are made.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from services.runtime.errors import FailedPrecondition

_MARK = "▁"
_SPACE = "<space>"
_IDEOGRAPHS = "\u3400"  # from here on scripts without spaces between words
_SPECIAL = re.compile(r"<.*>")
_BYTE = re.compile(r"<0x([0-9A-Fa-f]{2})>")
_EDGES = '.,;:!?¿¡"“”()…'
_ID = re.compile(r"[0-9]{1,9}")
_INVALID = "MODEL_DEFINITION_INVALID"
_MAX_BYTES = 16 << 20


@dataclass(frozen=True, slots=True)
class Spelled:
    """A text as ids of tokens, word by word; `unknown` are the words that no tokens make."""

    words: tuple[tuple[int, ...], ...]
    unknown: tuple[str, ...] = ()


class Tokens:
    """The table of one model; the id of a symbol is its place.

    Args:
        symbols: by id.
        lowercase: tells text in lower case, for models whose tokens are upper case.
    """

    def __init__(self, symbols: Sequence[str], *, lowercase: bool = False) -> None:
        self.symbols = tuple(symbols)
        heard = [(symbol, at) for at, symbol in enumerate(self.symbols) if not _SPECIAL.fullmatch(symbol)]
        self._ids = dict(reversed(heard))
        self._space = self.symbols.index(_SPACE) if _SPACE in self.symbols else None
        self._lowercase = lowercase
        self._pieces = any(_MARK in symbol for symbol in self.symbols)
        self._characters = not self._pieces and self._space is not None
        self._longest = max(map(len, self.symbols), default=1)

    @classmethod
    def read(cls, path: Path, *, lowercase: bool = False) -> Tokens:
        """A file with `symbol id` in each line.

        Raises FailedPrecondition `MODEL_MISSING` or `MODEL_DEFINITION_INVALID`, naming file and line.
        """
        symbols = read_symbols(path, _INVALID)
        if not symbols or max(symbols) != len(symbols) - 1:
            raise _wrong(path, _INVALID, "ids must be 0, 1, 2 … without a gap")
        return cls([symbols[at] for at in range(len(symbols))], lowercase=lowercase)

    def __len__(self) -> int:
        return len(self.symbols)

    def text(self, ids: Sequence[int]) -> str:
        return " ".join(word for word, _ in self.words(ids))

    def words(self, ids: Sequence[int]) -> list[tuple[str, list[int]]]:
        """Words, each with the places in `ids` that it was made of."""
        found: list[tuple[bytearray, list[int]]] = []
        begins = True
        for place, token in enumerate(ids):
            symbol = self.symbols[token]
            byte = _BYTE.fullmatch(symbol)
            if symbol == _SPACE:
                begins = True
            elif byte or not _SPECIAL.fullmatch(symbol):
                own = not (self._pieces or self._characters) or symbol[:1] >= _IDEOGRAPHS
                if begins or own or symbol.startswith(_MARK):
                    found.append((bytearray(), []))
                found[-1][0].extend(bytes.fromhex(byte[1]) if byte else symbol.replace(_MARK, "").encode())
                found[-1][1].append(place)
                begins = own
        texts = [(made.decode(errors="replace"), places) for made, places in found]
        return [(text.lower() if self._lowercase else text, places) for text, places in texts if text]

    def spell(self, text: str) -> Spelled:
        words: list[tuple[int, ...]] = []
        unknown: list[str] = []
        for word in text.replace("’", "'").split():
            bare = word.strip(_EDGES)
            if not bare:
                continue
            ids = next(filter(None, map(self._spell, dict.fromkeys((bare, bare.lower(), bare.upper())))), ())
            if ids:
                words.append(ids)
            else:
                unknown.append(word)
        if self._characters and self._space is not None:
            words = [(*ids, self._space) for ids in words[:-1]] + words[-1:]
        return Spelled(tuple(words), tuple(unknown))

    def _spell(self, word: str) -> tuple[int, ...]:
        """The ids of one word; none if it cannot be spelled."""
        if self._pieces:
            bare = self._cut(word) if word[0] >= _IDEOGRAPHS else ()
            return bare or self._cut(_MARK + word)
        if word in self._ids:
            return (self._ids[word],)
        return self._cut(word) if self._characters or word[0] >= _IDEOGRAPHS else ()

    def _cut(self, text: str) -> tuple[int, ...]:
        """The fewest tokens that make a text; of equally many those with the longest last."""
        best: list[tuple[int, ...] | None] = [()]
        for end in range(1, len(text) + 1):
            found: tuple[int, ...] | None = None
            for begin in range(max(0, end - self._longest), end):
                before, token = best[begin], self._ids.get(text[begin:end])
                if before is not None and token is not None and (found is None or len(before) + 1 < len(found)):
                    found = (*before, token)
            best.append(found)
        return best[-1] or ()


def read_symbols(path: Path, reason: str) -> dict[int, str]:
    """The lines `symbol id` of a file, by id. Raises FailedPrecondition `MODEL_MISSING`, or with the reason given."""
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise _wrong(path, reason, f"is larger than {_MAX_BYTES >> 20} MB")
        lines = path.read_text(encoding="utf-8").split("\n")  # splitlines would cut at rarer symbols too
    except OSError:
        raise FailedPrecondition(f"{path} is missing", reason="MODEL_MISSING") from None
    except UnicodeDecodeError:
        raise _wrong(path, reason, "is no UTF-8 text") from None
    symbols: dict[int, str] = {}
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        symbol, _, place = line.rstrip().replace("\t", " ").rpartition(" ")
        if not _ID.fullmatch(place) or int(place) in symbols:
            raise _wrong(path, reason, f"line {number}: a symbol, a space and an id of its own are wanted")
        symbols[int(place)] = symbol or " "
    return symbols


def _wrong(path: Path, reason: str, what: str) -> FailedPrecondition:
    return FailedPrecondition(f"{path} {what}", reason=reason, metadata={"file": path.name})
