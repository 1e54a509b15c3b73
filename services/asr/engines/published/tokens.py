"""The tokens.txt of a published recogniser; `importing.py` makes ours of it.

Ours lists what the network knows and no more: exports often carry disambiguation symbols (#0, #1) of a decoding graph
behind it.
"""

from __future__ import annotations

import re
from pathlib import Path

from services.asr.engines.neural.pieces import read_symbols
from services.runtime.errors import FailedPrecondition

_INVALID = "MODEL_TOKENS_INVALID"
_DISAMBIGUATION = re.compile(r"#[0-9]+")
_SPECIAL = re.compile(r"<.*>")
_BLANKS = ("<blk>", "<eps>", "<blank>")  # the first that is there, as sherpa-onnx chooses


def read(path: Path, vocabulary: int, blank: int) -> tuple[str, ...]:
    """The symbols, by id.

    Raises FailedPrecondition `MODEL_TOKENS_INVALID` when they are not those of a network that knows `vocabulary`
    tokens, of which `blank` is none.
    """
    symbols = read_symbols(path, _INVALID)
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


def _invalid(path: Path, what: str) -> FailedPrecondition:
    return FailedPrecondition(f"{path.name} {what}.", reason=_INVALID, metadata={"file": path.name})
