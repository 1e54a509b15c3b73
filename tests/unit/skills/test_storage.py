"""What skills keep: across restarts, processes and repeats, and through disks that fail."""

from __future__ import annotations

import asyncio
import resource
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Coroutine
from contextlib import closing
from pathlib import Path
from typing import Any, TypeVar

import pytest

from antiphon.skills import Json, Shelf, StorageError, StorageProblem
from antiphon.skills.storage import FOLDER, MAX_ENTRY, PASSING, PASSING_S, Storage, UserStorage, data_folder

pytestmark = pytest.mark.unit
R = TypeVar("R")


def with_storage(path: Path | None, work: Callable[[Storage], Coroutine[Any, Any, R]], **how: Any) -> R:
    async def run() -> R:
        storage = Storage(path, **how)
        try:
            return await work(storage)
        finally:
            await storage.close()

    return asyncio.run(run())


def count(shelf: Shelf) -> Json:
    """One more."""
    before = shelf.get("count")
    now = (before if isinstance(before, int) else 0) + 1
    shelf.put("count", now)
    return now


def test_it_is_there_after_a_restart(tmp_path: Path) -> None:
    path = tmp_path / "new" / "skill.sqlite3"
    assert with_storage(path, lambda storage: storage.change("ada", "1", count)) == 1
    assert with_storage(path, lambda storage: storage.change("ada", "2", count)) == 2
    assert with_storage(path, lambda storage: storage.read("ada", lambda shelf: shelf.get("count"))) == 2
    assert path.parent.stat().st_mode & 0o077 == 0, "what users say is nobody else's"


def test_a_repeat_changes_nothing_and_gives_the_first_result(tmp_path: Path) -> None:
    path = tmp_path / "skill.sqlite3"
    for _ in range(3):
        assert with_storage(path, lambda storage: storage.change("ada", "same", count)) == 1
    assert with_storage(path, lambda storage: storage.change("bob", "same", count)) == 1


def test_users_do_not_see_each_other() -> None:
    async def work(storage: Storage) -> Json:
        await storage.change("ada", "1", count)
        assert await storage.read("bob", lambda shelf: shelf.names()) == ()
        return await storage.read("ada", lambda shelf: list[Json](shelf.names("co")))

    assert with_storage(None, work) == ["count"]


def test_what_fails_in_the_middle_leaves_no_trace() -> None:
    def half(shelf: Shelf) -> Json:
        shelf.put("count", 99)
        raise ZeroDivisionError

    async def work(storage: Storage) -> Json:
        with pytest.raises(ZeroDivisionError):
            await storage.change("ada", "1", half)
        return await storage.change("ada", "1", count)

    assert with_storage(None, work) == 1


def test_reading_keeps_nothing() -> None:
    async def work(storage: Storage) -> Json:
        await storage.read("ada", count)
        return await storage.change("ada", "1", count)

    assert with_storage(None, work) == 1


def test_many_at_once_count_each(tmp_path: Path) -> None:
    async def work(storage: Storage) -> list[Json]:
        other = Storage(tmp_path / "skill.sqlite3", busy_timeout=20.0)
        try:
            turns = (one.change("ada", f"{one is other}-{n}", count) for n in range(20) for one in (storage, other))
            return await asyncio.gather(*turns)
        finally:
            await other.close()

    results = with_storage(tmp_path / "skill.sqlite3", work, busy_timeout=20.0)
    assert sorted(one for one in results if isinstance(one, int)) == list(range(1, 41))


def test_another_process_sees_it_too(tmp_path: Path) -> None:
    path = tmp_path / "skill.sqlite3"
    script = (
        "import asyncio, sys; from pathlib import Path; from antiphon.skills.storage import Storage\n"
        "async def run():\n"
        "    storage = Storage(Path(sys.argv[1]))\n"
        "    print(await storage.read('ada', lambda shelf: shelf.get('count')))\n"
        "    await storage.close()\n"
        "asyncio.run(run())"
    )

    async def work(storage: Storage) -> str:
        await storage.change("ada", "1", count)
        done = await asyncio.to_thread(
            subprocess.run, [sys.executable, "-c", script, str(path)], capture_output=True, text=True, check=True
        )
        return done.stdout.strip()

    assert with_storage(path, work) == "1"


@pytest.mark.parametrize(
    ("name", "value", "problem"),
    [
        ("big", "x" * MAX_ENTRY, StorageProblem.TOO_LARGE),
        ("n" * 201, 1, StorageProblem.TOO_LARGE),
        ("", 1, StorageProblem.TOO_LARGE),
    ],
)
def test_entries_have_bounds(name: str, value: Json, problem: StorageProblem) -> None:
    with pytest.raises(StorageError) as refused:
        with_storage(None, lambda storage: storage.change("ada", "1", lambda shelf: shelf.put(name, value)))
    assert refused.value.problem is problem


def test_a_user_has_so_much_room_and_others_still_theirs() -> None:
    def fill(shelf: Shelf) -> Json:
        for number in range(9):
            shelf.put(f"big {number}", "x" * (MAX_ENTRY - 2))
        return None

    async def work(storage: Storage) -> Json:
        with pytest.raises(StorageError) as refused:
            await storage.change("ada", "1", fill)
        assert refused.value.problem is StorageProblem.FULL
        assert await storage.read("ada", lambda shelf: shelf.names()) == ()
        return await storage.change("bob", "1", count)

    assert with_storage(None, work) == 1


def test_control_characters_are_kept_as_they_are(tmp_path: Path) -> None:
    odd: Json = {"a\0b": ["\x1b[31m", "\u2028", "'; DROP TABLE entries; --", "😀"]}

    async def work(storage: Storage) -> Json:
        await storage.change("a\0da", "1", lambda shelf: shelf.put("o\0dd", odd))
        return await storage.read("a\0da", lambda shelf: shelf.get("o\0dd"))

    assert with_storage(tmp_path / "skill.sqlite3", work) == odd


def grow(shelf: Shelf) -> Json:
    """Half a megabyte more."""
    shelf.put(f"more {len(shelf.names())}", "x" * 500_000)
    return len(shelf.names())


def test_a_file_that_may_not_grow_is_full(tmp_path: Path) -> None:
    async def work(storage: Storage) -> tuple[str, ...]:
        await storage.change("ada", "1", grow)
        with pytest.raises(StorageError) as refused:
            await storage.change("ada", "2", grow)
        assert refused.value.problem is StorageProblem.FULL
        await storage.change("ada", "3", lambda shelf: shelf.put("small", 1))
        return await storage.read("ada", lambda shelf: shelf.names())

    assert with_storage(tmp_path / "skill.sqlite3", work, max_file=800_000) == ("more 0", "small")


def test_a_disk_that_takes_no_more_loses_nothing(tmp_path: Path) -> None:
    """A real limit of the operating system on what this process may write to a file."""
    path = tmp_path / "skill.sqlite3"
    before = resource.getrlimit(resource.RLIMIT_FSIZE)

    async def work(storage: Storage) -> tuple[str, ...]:
        await storage.change("ada", "1", grow)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, before[1]))
        try:
            with pytest.raises(StorageError) as refused:
                await storage.change("ada", "2", lambda shelf: [grow(shelf) for _ in range(5)])
            assert refused.value.problem is StorageProblem.FULL
            kept = await storage.read("ada", lambda shelf: shelf.names())
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
        await storage.change("ada", "later", grow)
        assert len(await storage.read("ada", lambda shelf: shelf.names())) == len(kept) + 1
        return kept

    assert "more 0" in with_storage(path, work)
    db = sqlite3.connect(path)
    assert db.execute("PRAGMA integrity_check").fetchone()[0] == "ok"
    db.close()


def test_another_process_that_holds_it_is_not_waited_for_long(tmp_path: Path) -> None:
    path = tmp_path / "skill.sqlite3"

    async def work(storage: Storage) -> Json:
        await storage.change("ada", "1", count)
        holder = sqlite3.connect(path, isolation_level=None)
        holder.execute("BEGIN IMMEDIATE")
        try:
            with pytest.raises(StorageError) as refused:
                await storage.change("ada", "2", count)
            assert refused.value.problem is StorageProblem.BUSY
            assert await storage.read("ada", lambda shelf: shelf.get("count")) == 1
        finally:
            holder.execute("ROLLBACK")
            holder.close()
        return await storage.change("ada", "2", count)

    assert with_storage(path, work, busy_timeout=0.1) == 2


def test_a_damaged_file_is_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "skill.sqlite3"
    path.write_bytes(b"this is no database" * 100)
    with pytest.raises(StorageError) as refused:
        with_storage(path, lambda storage: storage.change("ada", "1", count))
    assert refused.value.problem is StorageProblem.DAMAGED
    assert path.read_bytes().startswith(b"this is no database")


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("a file")
    with pytest.raises(StorageError) as refused:
        with_storage(tmp_path / "taken" / "skill.sqlite3", lambda storage: storage.change("ada", "1", count))
    assert refused.value.problem is StorageProblem.READ_ONLY


def test_the_disk_is_never_used_on_the_event_loop(tmp_path: Path) -> None:
    def slow(shelf: Shelf) -> Json:
        work_hard = (
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i<3000000) SELECT COUNT(*) FROM n"
        )
        with closing(sqlite3.connect(":memory:")) as db:
            db.execute(work_hard).fetchone()
        return True

    async def work(storage: Storage) -> int:
        task = asyncio.create_task(storage.change("ada", "1", slow))
        ticks = 0
        while not task.done():
            await asyncio.sleep(0.005)
            ticks += 1
        return ticks

    assert with_storage(tmp_path / "skill.sqlite3", work) > 3


def test_a_cancelled_turn_still_finishes_its_change(tmp_path: Path) -> None:
    async def work(storage: Storage) -> Json:
        task = asyncio.create_task(UserStorage(storage, "ada", "key").change(count))
        await asyncio.sleep(0)
        task.cancel()
        return await storage.change("ada", "key/", count)

    assert with_storage(tmp_path / "skill.sqlite3", work) == 1


def test_what_passing_users_said_goes_after_a_day(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def work(storage: Storage) -> tuple[Json, Json]:
        await storage.change(PASSING + "session", "1", count)
        await storage.change("ada", "1", count)
        later = time.time() + PASSING_S + 1
        monkeypatch.setattr("antiphon.skills.storage.time.time", lambda: later)
        await storage.change("ada", "2", count)
        return (
            await storage.read(PASSING + "session", lambda shelf: shelf.get("count")),
            await storage.read("ada", lambda shelf: shelf.get("count")),
        )

    assert with_storage(tmp_path / "skill.sqlite3", work) == (None, 2)


def test_where_it_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(FOLDER, str(tmp_path))
    assert data_folder() == tmp_path
    monkeypatch.delenv(FOLDER)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    assert data_folder() == tmp_path / "antiphon" / "skills"
