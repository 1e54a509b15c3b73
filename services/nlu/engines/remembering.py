"""Trained engines that need not read a sentence twice: partials repeat, and a final is mostly the last one.

`app.py` puts one around each engine. What an engine says depends on the words of a sentence alone, so it is kept by
their digest, the words themselves are not; the oldest readings go first.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from hashlib import blake2b
from typing import Generic, Protocol, TypeVar

from services.nlu.engines.engine import EngineInfo
from services.nlu.text import Token

REMEMBERED = 2_000
"""Sentences of one engine: some kilobytes each."""

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


class Reads(Protocol[T_co]):
    """`IntentEngine` and `LabelReader`."""

    @property
    def info(self) -> EngineInfo: ...

    async def read(self, sentences: Sequence[Sequence[Token]], deadline: float | None) -> Sequence[T_co]: ...


class Remembering(Generic[T]):
    """One engine with what it read last.

    Args:
        engine: asked for what is not remembered, for all sentences of a call at once.
        size: sentences that are kept.
    """

    def __init__(self, engine: Reads[T], size: int = REMEMBERED) -> None:
        self._engine = engine
        self._size = size
        self._known: OrderedDict[bytes, T] = OrderedDict()

    @property
    def info(self) -> EngineInfo:
        return self._engine.info

    async def read(self, sentences: Sequence[Sequence[Token]], deadline: float | None) -> Sequence[T]:
        """One reading per sentence, in order; each different sentence is read once."""
        keys = [_digest(tokens) for tokens in sentences]
        found = {key: self._known[key] for key in keys if key in self._known}
        new = {key: tokens for key, tokens in zip(keys, sentences, strict=True) if key not in found}
        if new:
            readings = await self._engine.read(list(new.values()), deadline)
            found.update(zip(new, readings, strict=True))
        for key in keys:
            self._known[key] = found[key]
            self._known.move_to_end(key)
        while len(self._known) > self._size:
            self._known.popitem(last=False)
        return [found[key] for key in keys]


def _digest(tokens: Sequence[Token]) -> bytes:
    return blake2b("\0".join(token.norm for token in tokens).encode(), digest_size=16).digest()
