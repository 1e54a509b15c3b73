"""What a skill keeps of its users, across restarts: `Turn.change` and `Turn.read` lead here.

`host.SkillHost` opens one `Storage` for each skill: an SQLite file in the folder it was given, which several processes
of a node may share. A user's entries are JSON values by name on a `Shelf`. A change is one transaction, and its result
is kept under the turn's idempotency key: a repeat changes nothing and gives the first result. The disk is used on a
thread of its own, never on the event loop.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import sqlite3
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Final, TypeVar

log = logging.getLogger(__name__)

Json = None | bool | int | float | str | list["Json"] | dict[str, "Json"]
"""What may be kept: what JSON can hold."""

R = TypeVar("R")

FOLDER: Final = "ANTIPHON_SKILL_DATA"
"""Environment variable that names the folder."""

MAX_NAME: Final = 200
MAX_ENTRY: Final = 1 << 20
"""Bytes of one entry as JSON."""

MAX_USER: Final = 8 << 20
"""Bytes of all entries of one user."""

MAX_FILE: Final = 1 << 30
"""Bytes of one skill's file."""

REMEMBERED_S: Final = 7 * 86_400.0
"""How long the results of changes are kept for a repeat of their key."""

PASSING: Final = "~"
"""First character of a user who is known for one session alone: nothing of theirs is kept for long."""

PASSING_S: Final = 86_400.0
BUSY_S: Final = 1.0
"""How long a change waits for other processes."""

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS entries (
    user TEXT NOT NULL, name TEXT NOT NULL, value TEXT NOT NULL, made REAL NOT NULL, PRIMARY KEY (user, name)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS results (
    user TEXT NOT NULL, key TEXT NOT NULL, value BLOB NOT NULL, made REAL NOT NULL, PRIMARY KEY (user, key)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS results_by_age ON results (made);
PRAGMA user_version=1;
"""


class StorageProblem(Enum):
    """Why something could not be kept or read; the values are reasons for `Turn.decline`."""

    FULL = "STORAGE_FULL"
    """The disk, or the room that the skill or this user has."""
    TOO_LARGE = "STORAGE_TOO_LARGE"
    """One entry alone is beyond its bounds."""
    READ_ONLY = "STORAGE_READ_ONLY"
    BUSY = "STORAGE_BUSY"
    """Another process holds it; later it may work."""
    DAMAGED = "STORAGE_DAMAGED"
    FAILED = "STORAGE_FAILED"


class StorageError(Exception):
    """Nothing was changed. Tell the user that it could not be kept (or read), never that it was."""

    def __init__(self, problem: StorageProblem) -> None:
        super().__init__(problem.value)
        self.problem = problem


def data_folder() -> Path:
    """The folder in $ANTIPHON_SKILL_DATA, else where this user's programs keep their data."""
    if named := os.environ.get(FOLDER):
        return Path(named)
    return Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share") / "antiphon" / "skills"


class Shelf:
    """One user's entries within one transaction."""

    def __init__(self, db: sqlite3.Connection, user: str) -> None:
        self._db = db
        self._user = user

    def get(self, name: str) -> Json:
        """The value of that name; None when there is none."""
        found = self._db.execute("SELECT value FROM entries WHERE user=? AND name=?", (self._user, name)).fetchone()
        value: Json = json.loads(found[0]) if found else None
        return value

    def put(self, name: str, value: Json) -> None:
        """Keep a value. Raises StorageError (TOO_LARGE, FULL)."""
        text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
        if not 1 <= len(name) <= MAX_NAME or len(text.encode("utf-8", "surrogatepass")) > MAX_ENTRY:
            raise StorageError(StorageProblem.TOO_LARGE)
        self._db.execute("INSERT OR REPLACE INTO entries VALUES (?,?,?,?)", (self._user, name, text, time.time()))
        query = "SELECT SUM(LENGTH(CAST(value AS BLOB))) FROM entries WHERE user=?"
        if self._db.execute(query, (self._user,)).fetchone()[0] > MAX_USER:
            raise StorageError(StorageProblem.FULL)

    def delete(self, name: str) -> None:
        """Forget it; one that is gone is no error."""
        self._db.execute("DELETE FROM entries WHERE user=? AND name=?", (self._user, name))

    def names(self, beginning: str = "") -> tuple[str, ...]:
        """Names of the entries that begin so, sorted."""
        found = self._db.execute("SELECT name FROM entries WHERE user=? ORDER BY name", (self._user,)).fetchall()
        return tuple(name for (name,) in found if name.startswith(beginning))


class Storage:
    """One skill's file, opened when it is first needed.

    Args:
        path: the file, in a folder that is made if need be; None keeps everything in memory, for tests.
        busy_timeout: seconds a change waits for other processes.
        max_file: bytes the file may grow to.
    """

    def __init__(self, path: Path | None, *, busy_timeout: float = BUSY_S, max_file: int = MAX_FILE) -> None:
        self._path = path
        self._busy_timeout = busy_timeout
        self._max_file = max_file
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="skill-storage")
        self._db: sqlite3.Connection | None = None

    def __del__(self) -> None:
        """What nobody closed, as in a short test, is freed all the same."""
        if self._db is not None:
            self._db.close()

    async def change(self, user: str, key: str, work: Callable[[Shelf], Json]) -> Json:
        """Run `work` in one transaction and give its result; a repeat of the key gives the first one's.

        `work` runs on another thread, to its end even if the turn is cancelled. What it raises undoes everything.
        """

        def on_thread(db: sqlite3.Connection) -> Json:
            if (known := _result(db, user, key)) is not None:
                first: Json = json.loads(known)
                return first
            result = work(Shelf(db, user))
            _sweep(db)
            _remember(db, user, key, json.dumps(result).encode())
            return result

        return await self._run(lambda db: _transact(db, on_thread))

    async def read(self, user: str, work: Callable[[Shelf], R]) -> R:
        """What `work` makes of the user's entries; what it puts there is undone."""

        def on_thread(db: sqlite3.Connection) -> R:
            db.execute("BEGIN")
            try:
                return work(Shelf(db, user))
            finally:
                db.execute("ROLLBACK")

        return await self._run(on_thread)

    async def recall(self, user: str, key: str) -> bytes | None:
        """What was remembered under the key."""
        return await self._run(lambda db: _result(db, user, key))

    async def remember(self, user: str, key: str, value: bytes) -> None:
        """Remember it for a repeat of the key. A power cut may lose it: changes have their own results."""

        def on_thread(db: sqlite3.Connection) -> None:
            db.execute("PRAGMA synchronous=NORMAL")
            try:
                _transact(db, lambda db: _remember(db, user, key, value))
            finally:
                db.execute("PRAGMA synchronous=FULL")

        await self._run(on_thread)

    async def close(self) -> None:
        """Free the file. What still runs is finished first."""

        def on_thread() -> None:
            if self._db is not None:
                self._db.close()
                self._db = None

        await asyncio.get_running_loop().run_in_executor(self._thread, on_thread)
        self._thread.shutdown(wait=False)

    async def _run(self, work: Callable[[sqlite3.Connection], R]) -> R:
        def on_thread() -> R:
            try:
                if self._db is None:
                    self._db = self._opened()
                return work(self._db)
            except sqlite3.Error as error:
                problem = _problem(error)
                log.warning("storage of a skill: %s (%s)", problem.value, getattr(error, "sqlite_errorname", "?"))
                self._forget(problem)
                raise StorageError(problem) from error
            except OSError as error:  # the folder cannot be made
                log.warning("storage of a skill: %s", error.strerror)
                raise StorageError(StorageProblem.READ_ONLY) from error

        return await asyncio.get_running_loop().run_in_executor(self._thread, on_thread)

    def _opened(self) -> sqlite3.Connection:
        if self._path is not None:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        db = sqlite3.connect(  # used on one thread, but freed on any
            self._path or ":memory:", timeout=self._busy_timeout, isolation_level=None, check_same_thread=False
        )
        try:
            if self._path is not None:
                db.execute("PRAGMA journal_mode=WAL")
                db.execute("PRAGMA synchronous=FULL")  # a note that was confirmed outlives a power cut
            page_size = int(db.execute("PRAGMA page_size").fetchone()[0])
            db.execute(f"PRAGMA max_page_count={max(16, self._max_file // page_size)}")
            if int(db.execute("PRAGMA user_version").fetchone()[0]) == 0:
                db.executescript(f"BEGIN IMMEDIATE;{_SCHEMA}COMMIT;")
        except BaseException:
            db.close()
            raise
        return db

    def _forget(self, problem: StorageProblem) -> None:
        """A connection whose disk failed is opened anew: what it believes of the file may be wrong."""
        if self._db is not None and self._path is not None and problem is not StorageProblem.BUSY:
            self._db.close()
            self._db = None


@dataclass
class UserStorage:
    """One skill's storage as one turn sees it: its user's entries, written under its key.

    Attributes:
        changed: this turn has changed something.
    """

    storage: Storage
    user: str
    key: str
    changed: bool = False

    async def change(self, work: Callable[[Shelf], Json], step: str = "") -> Json:
        """`Storage.change` under the turn's key; `step` tells several changes of one turn apart."""
        result = await self.storage.change(self.user, f"{self.key}/{step}", work)
        self.changed = True
        return result

    async def read(self, work: Callable[[Shelf], R]) -> R:
        """`Storage.read` for the turn's user."""
        return await self.storage.read(self.user, work)


def _transact(db: sqlite3.Connection, work: Callable[[sqlite3.Connection], R]) -> R:
    db.execute("BEGIN IMMEDIATE")  # at once: a transaction that has read first could not wait for its turn
    try:
        result = work(db)
        db.execute("COMMIT")
        return result
    except BaseException:
        if db.in_transaction:
            db.execute("ROLLBACK")
        raise


def _result(db: sqlite3.Connection, user: str, key: str) -> bytes | None:
    found = db.execute("SELECT value FROM results WHERE user=? AND key=?", (user, key)).fetchone()
    return bytes(found[0]) if found else None


def _remember(db: sqlite3.Connection, user: str, key: str, value: bytes) -> None:
    if len(value) > MAX_ENTRY:
        raise StorageError(StorageProblem.TOO_LARGE)
    db.execute("INSERT OR REPLACE INTO results VALUES (?,?,?,?)", (user, key, value, time.time()))


def _sweep(db: sqlite3.Connection) -> None:
    """Forget what nobody will ask for again."""
    now = time.time()
    db.execute("DELETE FROM results WHERE made<?", (now - REMEMBERED_S,))
    beyond = chr(ord(PASSING) + 1)
    db.execute("DELETE FROM entries WHERE user>=? AND user<? AND made<?", (PASSING, beyond, now - PASSING_S))


_PROBLEMS: Final = {
    sqlite3.SQLITE_FULL: StorageProblem.FULL,
    sqlite3.SQLITE_IOERR: StorageProblem.FULL,  # a write that a quota or a file-size limit cut short
    sqlite3.SQLITE_TOOBIG: StorageProblem.TOO_LARGE,
    sqlite3.SQLITE_BUSY: StorageProblem.BUSY,
    sqlite3.SQLITE_LOCKED: StorageProblem.BUSY,
    sqlite3.SQLITE_READONLY: StorageProblem.READ_ONLY,
    sqlite3.SQLITE_CANTOPEN: StorageProblem.READ_ONLY,
    sqlite3.SQLITE_PERM: StorageProblem.READ_ONLY,
    sqlite3.SQLITE_CORRUPT: StorageProblem.DAMAGED,
    sqlite3.SQLITE_NOTADB: StorageProblem.DAMAGED,
}


def _problem(error: sqlite3.Error) -> StorageProblem:
    code = getattr(error, "sqlite_errorcode", 0) or 0
    return _PROBLEMS.get(code & 0xFF, StorageProblem.FAILED)
