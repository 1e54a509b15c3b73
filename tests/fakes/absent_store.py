"""Session stores that go away, before a write or after one whose answer is lost, and that let one write wait."""

from __future__ import annotations

import asyncio

from services.runtime.errors import Unavailable
from services.runtime.store import MemorySessionStore, Versioned


class AbsentStore(MemorySessionStore):
    """In memory, until `away` is set.

    Attributes:
        away: "" is there, "before" refuses all, "after" writes and then fails to say so.
    """

    away: str = ""

    async def get(self, tenant: str, key: str) -> Versioned | None:
        if self.away == "before":
            raise _gone()
        return await super().get(tenant, key)

    async def put(
        self, tenant: str, key: str, value: bytes, *, ttl: float, expected: int | None = None, turn: str = ""
    ) -> Versioned:
        if self.away == "before":
            raise _gone()
        written = await super().put(tenant, key, value, ttl=ttl, expected=expected, turn=turn)
        if self.away == "after":
            raise _gone()
        return written


class SlowStore(MemorySessionStore):
    """In memory; the next write after `held` was cleared waits until it is set again, the others go on.

    Attributes:
        waiting: set when a write waits.
    """

    def __init__(self) -> None:
        super().__init__()
        self.held = asyncio.Event()
        self.held.set()
        self.waiting = asyncio.Event()

    async def put(
        self, tenant: str, key: str, value: bytes, *, ttl: float, expected: int | None = None, turn: str = ""
    ) -> Versioned:
        if not self.held.is_set() and not self.waiting.is_set():
            self.waiting.set()
            await self.held.wait()
        return await super().put(tenant, key, value, ttl=ttl, expected=expected, turn=turn)


def _gone() -> Unavailable:
    return Unavailable("the session store is away", reason="STORE_AWAY", retry_after=0.1)
