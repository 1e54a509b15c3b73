"""The tokens.txt of a published recogniser; `importing.py` makes ours of it.

Ours lists what the network knows and no more: exports often carry disambiguation symbols (#0, #1) of a decoding graph
behind it.
"""

from __future__ import annotations

import re
from pathlib import Path

from services.runtime.errors import FailedPrecondition

_MOST_BYTES = 16 << 20
_DISAMBIGUATION = re.compile(r"#[0-9]+")
_SPECIAL = re.compile(r"<.*>")
_BLANKS = ("<blk>", "<eps>", "<blank>")  # the first that is there, as sherpa-onnx chooses


def read(path: Path, vocabulary: int, blank: int) -> tuple[str, ...]:
    """The symbols, by id.

    Raises FailedPrecondition `MODEL_TOKENS_INVALID` when they are not those of a network that knows `vocabulary`
    tokens, of which `blank` is none.
    """
    symbols = _symbols(path)
    known = {place: symbol for place, symbol in symbols.items() if place < vocabulary}
    missing = next((place for place in range(vocabulary) if place not in known), None)
    if missing is not None:
        raise _invalid(path, f"has no token {missing}; its network knows {vocabulary}")
    for place in sorted(symbols.keys() - known.keys()):
        if not _DISAMBIGUATION.fullmatch(symbols[place]):
            raise _invalid(path, f"has token {place}; its network knows only {vocabulary}")
    named = next((place for name in _BLANKS for place, symbol in known.items() if symbol == name), None)
    if named != blank:
        raise _invalid(path, f"has no blank ({', '.join(_BLANKS)}) as token {blank}")
    return tuple(known[place] for place in range(vocabulary))


def are_capitals(symbols: tuple[str, ...]) -> bool:
    """Whether words come in capitals only, as from many older corpora: then they say nothing about how to write."""
    letters = "".join(symbol for symbol in symbols if not _SPECIAL.fullmatch(symbol))
    return letters != letters.lower() and letters == letters.upper()


def written(symbols: tuple[str, ...]) -> str:
    return "".join(f"{symbol} {place}\n" for place, symbol in enumerate(symbols))


def _symbols(path: Path) -> dict[int, str]:
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise _invalid(path, f"is larger than {_MOST_BYTES >> 20} MB")
        lines = path.read_text(encoding="utf-8").split("\n")  # splitlines would cut at rarer symbols too
    except OSError:
        raise FailedPrecondition(f"There is no {path.name}.", reason="MODEL_MISSING") from None
    except UnicodeDecodeError:
        raise _invalid(path, "is no UTF-8 text") from None
    symbols: dict[int, str] = {}
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        symbol, _, place = line.rstrip().replace("\t", " ").rpartition(" ")
        if not re.fullmatch(r"[0-9]{1,9}", place) or int(place) in symbols:
            raise _invalid(path, f"line {number}: a symbol, a space and an id of its own are wanted")
        symbols[int(place)] = symbol or " "
    return symbols


def _invalid(path: Path, what: str) -> FailedPrecondition:
    return FailedPrecondition(f"{path.name} {what}.", reason="MODEL_TOKENS_INVALID", metadata={"file": path.name})
