"""Published rewrites, looked up while a turn is decided.

`judging` asks the table through `stages.rewrite.Rewriter`. A look-up is one of a dictionary; what it does not know yet
it asks for in the background, so that the first words of a tenant wait for nobody. A tenth of the sessions gets no
rewrites: what happens to them tells what a rewrite is worth (`publication`).
"""

from __future__ import annotations

import hashlib
import logging
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Protocol

from services.arbitration.learning.rewards import plain
from services.arbitration.stages.rewrite import Rewrite
from services.runtime.errors import AntiphonError

log = logging.getLogger(__name__)

HELD_OUT: Final = 0.1
"""Share of sessions without rewriting."""

MAX_TABLES: Final = 1_000
"""Tables in memory, one per tenant and language; the least recently asked are forgotten and read again."""


class Source(Protocol):
    """Where rewrites are published."""

    async def serving(self, tenant: str, locale: str) -> Mapping[str, Rewrite]:
        """Those that serve, by the plain words they replace. Raises Unavailable."""


@dataclass
class RewriteTable:
    """What this replica knows of the published rewrites. Implements `Rewriter`.

    Args:
        source: read by `refresh`.
    """

    source: Source
    held_out: float = HELD_OUT
    _tables: OrderedDict[tuple[str, str], Mapping[str, Rewrite]] = field(default_factory=OrderedDict)
    _asked: set[tuple[str, str]] = field(default_factory=set)

    def look_up(self, tenant: str, locale: str, text: str, session_id: str) -> Rewrite | None:
        """The rewrite of the words; None for those that have none, and in sessions that are held out."""
        return None if self.holds_out(session_id) else self.known(tenant, locale, text)

    def known(self, tenant: str, locale: str, text: str) -> Rewrite | None:
        """The rewrite of the words, whether the session gets it or not."""
        key = (tenant, locale)
        self._asked.add(key)
        table = self._tables.get(key)
        if table is None:
            self._tables[key] = {}
            if len(self._tables) > MAX_TABLES:
                self._asked.discard(self._tables.popitem(last=False)[0])
            return None
        self._tables.move_to_end(key)
        return table.get(plain(text)) if table else None

    def holds_out(self, session_id: str) -> bool:
        """Whether the session is one of those without rewriting: the same on every replica."""
        digest = hashlib.blake2b(session_id.encode(), digest_size=8, person=b"rewrites").digest()
        return int.from_bytes(digest, "big") / 2.0**64 < self.held_out

    async def refresh(self) -> None:
        """Read again what was asked for since the last time; a source that is away leaves what is known."""
        asked, self._asked = self._asked, set()
        for key in asked:
            try:
                read = await self.source.serving(*key)
            except AntiphonError as error:
                log.warning("rewrites were not read: %s", error.reason)
                self._asked |= asked & self._tables.keys()
                return
            if key in self._tables:
                self._tables[key] = read
