"""Where the state of sessions lives: one protocol and its in-memory form.

Arbitration and dialogue call it: belief, last turns, resume tokens, results of turns, timers. A capability holds a
`SessionStore` and never knows which one. Several replicas may write at once, so every write is a compare-and-set; a
turn may be repeated after a lost replica, so a write that names its turn happens once; and sessions end without saying
so, so every entry expires. `store_sqlite.py` is the form for one node and the default on Ray, `store_redis.py` that of
a cluster; `stores.py` picks one.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, Protocol

from services.runtime.errors import AntiphonError, Conflict, InvalidInput, QuotaExceeded

log = logging.getLogger(__name__)

ABSENT: Final = 0
"""The version of a key that is not there: `put(..., expected=ABSENT)` creates and never overwrites."""

REMEMBERED_TURNS: Final = 16
"""How many turn keys an entry remembers: a repeat follows a lost replica within seconds, not sixteen turns later."""

_MAX_NAME: Final = 512


@dataclass(frozen=True, slots=True)
class Versioned:
    """A stored value. `version` starts at 1 and grows by one with each write; `expires_at` is in seconds since 1970."""

    value: bytes
    version: int
    expires_at: float


@dataclass(frozen=True, slots=True)
class StoreLimits:
    """What a store may grow to.

    Attributes:
        max_entries: live entries of all tenants; default holds 10,000 sessions with about ten entries each.
        max_entries_per_tenant: live entries of one tenant, so that one cannot fill the store for all.
        max_value_bytes: size of one value; a session's state is some kilobytes.
    """

    max_entries: int = 100_000
    max_entries_per_tenant: int = 50_000
    max_value_bytes: int = 256 * 1024

    def check(self, tenant: str, key: str, value: bytes, ttl: float) -> None:
        """Raise InvalidInput for what no store accepts."""
        if not key or len(key) > _MAX_NAME or len(tenant) > _MAX_NAME:
            raise InvalidInput(f"store keys have 1 to {_MAX_NAME} characters", reason="STORE_KEY", field="key")
        if len(value) > self.max_value_bytes:
            raise InvalidInput(
                f"value of {len(value)} bytes; at most {self.max_value_bytes}",
                reason="STORE_VALUE_TOO_LARGE",
                field="value",
            )
        if not ttl > 0:
            raise InvalidInput("ttl is a positive number of seconds", reason="STORE_TTL", field="ttl")


class SessionStore(Protocol):
    """Versioned, expiring values, keyed by tenant. A tenant never sees another's keys."""

    async def get(self, tenant: str, key: str) -> Versioned | None:
        """The live value, or None when there is none or it has expired."""

    async def put(
        self, tenant: str, key: str, value: bytes, *, ttl: float, expected: int | None = None, turn: str = ""
    ) -> Versioned:
        """Write `value` to live `ttl` seconds and return it with its new version.

        Args:
            expected: the version this write replaces (`ABSENT` for none); None writes whatever is there.
            turn: key of the turn that writes. A second write by the same turn changes nothing and returns what is
                stored, even where `expected` no longer fits.

        Raises:
            Conflict: the stored version is not `expected`.
            QuotaExceeded: the store, or this tenant's share of it, is full.
            InvalidInput: the key, value or ttl is out of bounds.
            Unavailable: the store cannot be reached.
        """

    async def delete(self, tenant: str, key: str, *, expected: int | None = None) -> bool:
        """Remove the value; False when there was none. Raises Conflict as `put` does."""

    async def sweep(self) -> int:
        """Drop what has expired and return how many entries went. Call it about once a minute."""

    async def close(self) -> None:
        """Release what the store holds; calls after it raise Unavailable or are no-ops."""


async def sweep_regularly(store: SessionStore, every: float = 60.0) -> None:
    """Drop what has expired every `every` seconds, for ever; a store that is away is tried again."""
    while True:
        await asyncio.sleep(every)
        try:
            await store.sweep()
        except AntiphonError as error:
            log.warning("expired state was not dropped: %s", error.reason)


def version_conflict(key: str, expected: int, found: int) -> Conflict:
    """The error of a lost compare-and-set. Names versions only: keys may be derived from secrets."""
    del key
    return Conflict(
        f"version {expected} was expected, version {found} is stored; read again, then repeat",
        reason="VERSION_CONFLICT",
        metadata={"expected": str(expected), "found": str(found)},
    )


def store_full(limit: int, of: str) -> QuotaExceeded:
    """The error of a full store; `of` says whose limit it was."""
    return QuotaExceeded(f"the session store holds its limit of {limit} {of}", reason="STORE_FULL", retry_after=30.0)


def remember(turns: tuple[str, ...], turn: str) -> tuple[str, ...]:
    """`turns` with `turn` added, the oldest forgotten."""
    return (*turns, turn)[-REMEMBERED_TURNS:] if turn else turns


@dataclass(slots=True)
class _Entry:
    stored: Versioned
    turns: tuple[str, ...] = ()


@dataclass(slots=True)
class MemorySessionStore:
    """A store in this process alone: for a single process without replicas, and for tests. Lost when the process ends.

    No call awaits anything, so each is atomic on the event loop.
    """

    limits: StoreLimits = field(default_factory=StoreLimits)
    now: Callable[[], float] = time.time
    _entries: dict[str, dict[str, _Entry]] = field(default_factory=dict)

    async def get(self, tenant: str, key: str) -> Versioned | None:
        entry = self._live(tenant, key)
        return entry.stored if entry else None

    async def put(
        self, tenant: str, key: str, value: bytes, *, ttl: float, expected: int | None = None, turn: str = ""
    ) -> Versioned:
        self.limits.check(tenant, key, value, ttl)
        entry = self._live(tenant, key)
        if entry and turn and turn in entry.turns:
            return entry.stored
        found = entry.stored.version if entry else ABSENT
        if expected is not None and expected != found:
            raise version_conflict(key, expected, found)
        if entry is None:
            await self._make_room(tenant)
        stored = Versioned(value, found + 1, self.now() + ttl)
        turns = remember(entry.turns if entry else (), turn)
        self._entries.setdefault(tenant, {})[key] = _Entry(stored, turns)
        return stored

    async def delete(self, tenant: str, key: str, *, expected: int | None = None) -> bool:
        entry = self._live(tenant, key)
        found = entry.stored.version if entry else ABSENT
        if expected is not None and expected != found:
            raise version_conflict(key, expected, found)
        if entry is None:
            return False
        self._drop(tenant, key)
        return True

    async def sweep(self) -> int:
        now = self.now()
        dead = [(t, k) for t, held in self._entries.items() for k, e in held.items() if e.stored.expires_at <= now]
        for tenant, key in dead:
            self._drop(tenant, key)
        return len(dead)

    async def close(self) -> None:
        self._entries.clear()

    def _live(self, tenant: str, key: str) -> _Entry | None:
        entry = self._entries.get(tenant, {}).get(key)
        if entry is not None and entry.stored.expires_at <= self.now():
            self._drop(tenant, key)
            return None
        return entry

    def _drop(self, tenant: str, key: str) -> None:
        held = self._entries[tenant]
        del held[key]
        if not held:
            del self._entries[tenant]

    async def _make_room(self, tenant: str) -> None:
        if self._fits(tenant) is None:
            return
        await self.sweep()
        if (error := self._fits(tenant)) is not None:
            raise error

    def _fits(self, tenant: str) -> QuotaExceeded | None:
        if sum(map(len, self._entries.values())) >= self.limits.max_entries:
            return store_full(self.limits.max_entries, "entries")
        if len(self._entries.get(tenant, {})) >= self.limits.max_entries_per_tenant:
            return store_full(self.limits.max_entries_per_tenant, "entries for this tenant")
        return None
