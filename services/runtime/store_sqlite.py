"""The session store of one node: a file that several processes share.

The default on Ray, where replicas are processes of one machine. One connection, used by one thread of its own, so that
neither SQLite's locks nor the disk ever hold the event loop. Write-ahead logging lets readers go on while another
process writes, and a busy timeout bounds the wait for the writer's turn. A crash of a process loses nothing; a crash of
the machine may lose the last writes (`synchronous=NORMAL`), after which a resume token is simply not found.
"""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final, TypeVar

from services.runtime.errors import AntiphonError, FailedPrecondition, Internal, Unavailable
from services.runtime.store import ABSENT, StoreLimits, Versioned, remember, store_full, version_conflict

Result = TypeVar("Result")

_SCHEMA_VERSION: Final = 1
_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS entries (
    tenant TEXT NOT NULL, key TEXT NOT NULL, value BLOB NOT NULL, version INTEGER NOT NULL,
    expires_at REAL NOT NULL, turns TEXT NOT NULL DEFAULT '',
    PRIMARY KEY (tenant, key)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS entries_by_expiry ON entries (expires_at);
"""
_TURN_SEPARATOR: Final = "\n"


class SqliteSessionStore:
    """A `SessionStore` in an SQLite file. Open it with `await SqliteSessionStore.open(path)`.

    Args:
        path: the file; its folder must exist and be writable.
        busy_timeout: seconds a write waits for other processes before it raises Unavailable (STORE_BUSY).
        max_file_bytes: bound of the file's size; a write beyond it raises QuotaExceeded (STORE_FULL).
    """

    def __init__(
        self,
        path: Path,
        *,
        limits: StoreLimits | None = None,
        now: Callable[[], float] = time.time,
        busy_timeout: float = 2.0,
        max_file_bytes: int = 1 << 30,
    ) -> None:
        self._path = path
        self._limits = limits or StoreLimits()
        self._now = now
        self._busy_timeout = busy_timeout
        self._max_file_bytes = max_file_bytes
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="session-store")
        self._connection: sqlite3.Connection | None = None

    @classmethod
    async def open(
        cls,
        path: Path,
        *,
        limits: StoreLimits | None = None,
        now: Callable[[], float] = time.time,
        busy_timeout: float = 2.0,
        max_file_bytes: int = 1 << 30,
    ) -> SqliteSessionStore:
        """Open or create the file.

        Raises:
            FailedPrecondition: STORE_UNWRITABLE (no such folder, no permission, read-only), STORE_CORRUPT (the file is
                no session store, or is damaged), STORE_SCHEMA (written by another version of Antiphon).
        """
        store = cls(path, limits=limits, now=now, busy_timeout=busy_timeout, max_file_bytes=max_file_bytes)
        try:
            await asyncio.get_running_loop().run_in_executor(store._thread, store._connect)
        except BaseException:
            store._thread.shutdown(wait=False)
            raise
        return store

    async def get(self, tenant: str, key: str) -> Versioned | None:
        row = await self._run(lambda db: self._row(db, tenant, key), self._read)
        return row[0] if row else None

    async def put(
        self, tenant: str, key: str, value: bytes, *, ttl: float, expected: int | None = None, turn: str = ""
    ) -> Versioned:
        self._limits.check(tenant, key, value, ttl)
        return await self._write(lambda db: self._put(db, tenant, key, value, ttl, expected, turn))

    async def delete(self, tenant: str, key: str, *, expected: int | None = None) -> bool:
        return await self._write(lambda db: self._delete(db, tenant, key, expected))

    async def sweep(self) -> int:
        return await self._write(lambda db: self._sweep(db))

    async def close(self) -> None:
        if self._connection is not None:
            await asyncio.get_running_loop().run_in_executor(self._thread, self._disconnect)
        self._thread.shutdown(wait=False)

    async def _write(self, work: Callable[[sqlite3.Connection], Result]) -> Result:
        return await self._run(work, self._transact)

    async def _run(
        self,
        work: Callable[[sqlite3.Connection], Result],
        how: Callable[[sqlite3.Connection, Callable[[sqlite3.Connection], Result]], Result],
    ) -> Result:
        """`work` on the store's thread. It runs to its end even if the caller is cancelled."""

        def on_thread() -> Result:
            if self._connection is None:
                raise Unavailable("the session store is closed", reason="STORE_CLOSED")
            try:
                return how(self._connection, work)
            except sqlite3.Error as error:
                raise self._translated(error) from error

        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, on_thread)
        except RuntimeError as error:  # the executor was shut down
            raise Unavailable("the session store is closed", reason="STORE_CLOSED") from error

    @staticmethod
    def _read(db: sqlite3.Connection, work: Callable[[sqlite3.Connection], Result]) -> Result:
        return work(db)  # one SELECT: sees one snapshot and waits for no writer

    @staticmethod
    def _transact(db: sqlite3.Connection, work: Callable[[sqlite3.Connection], Result]) -> Result:
        # IMMEDIATE takes the writer's turn at once: a transaction that read first could not wait for it.
        db.execute("BEGIN IMMEDIATE")
        try:
            result = work(db)
            db.execute("COMMIT")
            return result
        except BaseException:
            if db.in_transaction:
                db.execute("ROLLBACK")
            raise

    def _connect(self) -> None:
        try:
            db = sqlite3.connect(self._path, timeout=self._busy_timeout, isolation_level=None)
        except sqlite3.Error as error:
            raise self._translated(error) from error
        try:
            self._prepare(db)
        except sqlite3.Error as error:
            db.close()
            raise self._translated(error) from error
        except BaseException:
            db.close()
            raise
        self._connection = db

    def _prepare(self, db: sqlite3.Connection) -> None:
        found = int(db.execute("PRAGMA user_version").fetchone()[0])
        if found not in (0, _SCHEMA_VERSION):
            raise FailedPrecondition(
                f"{self._path} has schema {found}, this version writes {_SCHEMA_VERSION}; move the file away",
                reason="STORE_SCHEMA",
            )
        db.execute("PRAGMA journal_mode=WAL")
        db.execute("PRAGMA synchronous=NORMAL")
        page_size = int(db.execute("PRAGMA page_size").fetchone()[0])
        db.execute(f"PRAGMA max_page_count={max(16, self._max_file_bytes // page_size)}")
        db.execute("BEGIN IMMEDIATE")
        for statement in _SCHEMA.split(";"):
            db.execute(statement)
        db.execute(f"PRAGMA user_version={_SCHEMA_VERSION}")
        db.execute("COMMIT")
        if (verdict := db.execute("PRAGMA quick_check(1)").fetchone()[0]) != "ok":
            raise sqlite3.DatabaseError(verdict)

    def _disconnect(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _row(self, db: sqlite3.Connection, tenant: str, key: str) -> tuple[Versioned, tuple[str, ...]] | None:
        row = db.execute(
            "SELECT value, version, expires_at, turns FROM entries WHERE tenant=? AND key=? AND expires_at>?",
            (tenant, key, self._now()),
        ).fetchone()
        if row is None:
            return None
        value, version, expires_at, turns = row
        wrote = tuple(filter(None, turns.split(_TURN_SEPARATOR)))
        return Versioned(bytes(value), int(version), float(expires_at)), wrote

    def _put(
        self, db: sqlite3.Connection, tenant: str, key: str, value: bytes, ttl: float, expected: int | None, turn: str
    ) -> Versioned:
        row = self._row(db, tenant, key)
        if row and turn and turn in row[1]:
            return row[0]
        found = row[0].version if row else ABSENT
        if expected is not None and expected != found:
            raise version_conflict(key, expected, found)
        if row is None:
            self._make_room(db, tenant)
        stored = Versioned(value, found + 1, self._now() + ttl)
        turns = _TURN_SEPARATOR.join(remember(row[1] if row else (), turn))
        db.execute(
            "INSERT OR REPLACE INTO entries (tenant, key, value, version, expires_at, turns) VALUES (?,?,?,?,?,?)",
            (tenant, key, value, stored.version, stored.expires_at, turns),
        )
        return stored

    def _delete(self, db: sqlite3.Connection, tenant: str, key: str, expected: int | None) -> bool:
        row = self._row(db, tenant, key)
        found = row[0].version if row else ABSENT
        if expected is not None and expected != found:
            raise version_conflict(key, expected, found)
        db.execute("DELETE FROM entries WHERE tenant=? AND key=?", (tenant, key))
        return row is not None

    def _sweep(self, db: sqlite3.Connection) -> int:
        return db.execute("DELETE FROM entries WHERE expires_at<=?", (self._now(),)).rowcount

    def _make_room(self, db: sqlite3.Connection, tenant: str) -> None:
        if self._fits(db, tenant) is None:
            return
        self._sweep(db)
        if (error := self._fits(db, tenant)) is not None:
            raise error

    def _fits(self, db: sqlite3.Connection, tenant: str) -> AntiphonError | None:
        everyone = db.execute("SELECT COUNT(*) FROM entries").fetchone()[0]
        if everyone < min(self._limits.max_entries, self._limits.max_entries_per_tenant):
            return None  # the common case: no second count
        if everyone >= self._limits.max_entries:
            return store_full(self._limits.max_entries, "entries")
        mine = db.execute("SELECT COUNT(*) FROM entries WHERE tenant=?", (tenant,)).fetchone()[0]
        if mine >= self._limits.max_entries_per_tenant:
            return store_full(self._limits.max_entries_per_tenant, "entries for this tenant")
        return None

    def _translated(self, error: sqlite3.Error) -> AntiphonError:
        """SQLite's error as one of ours. Texts name the file, for whoever starts the service, and no user content."""
        code = (getattr(error, "sqlite_errorcode", 0) or 0) & 0xFF
        if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
            return Unavailable("the session store is busy", reason="STORE_BUSY", retry_after=0.5)
        if code == sqlite3.SQLITE_FULL:
            return store_full(self._max_file_bytes, "bytes")
        if code in (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM):
            return FailedPrecondition(
                f"the session store {self._path} cannot be written: check that its folder exists and its owner",
                reason="STORE_UNWRITABLE",
            )
        if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB) or type(error) is sqlite3.DatabaseError:
            return FailedPrecondition(
                f"the session store {self._path} is damaged or no session store: move the file away and start again",
                reason="STORE_CORRUPT",
            )
        if code == sqlite3.SQLITE_IOERR:
            return Unavailable("the session store's disk fails", reason="STORE_IO")
        return Internal("the session store failed", reason="STORE_FAILED")
