"""Fetches one file whole: resumes what an earlier try left, checks size and digest, and only then gives it its name.

Called by `installing.py`. While it comes it is `NAME.partial`, beside it `NAME.source` with the address and the state
(`http_source.Piece.validator`) that it belongs to; both outlive an interruption.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from services.catalogue.http_source import Cut, HttpSource, Piece
from services.catalogue.progress import Progress, Silent, megabytes
from services.runtime.errors import FailedPrecondition, Unavailable

MAX_BYTES = 8_000_000_000
_CHUNK = 256 * 1024
_TRIES = 5
_FIRST_PAUSE_S = 1.0
_MAX_PAUSE_S = 10.0
_WORTHLESS = frozenset({"SIZE_MISMATCH", "TOO_LARGE"})
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


@dataclass(frozen=True, slots=True)
class Wanted:
    """A file to fetch. `size` and `sha256` are checked if they are known; `name` is what it is called here."""

    url: str
    name: str
    size: int | None = None
    sha256: str = ""


class Downloader:
    """Fetches files into a folder.

    Args:
        max_bytes: no file may be larger, whatever the server says.
        tries: attempts in a row that may bring nothing.
        pause: waits between them; `time.sleep` unless given.
    """

    def __init__(
        self,
        source: HttpSource | None = None,
        *,
        progress: Progress | None = None,
        max_bytes: int = MAX_BYTES,
        tries: int = _TRIES,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        self._source = source or HttpSource()
        self.progress: Progress = progress or Silent()
        self._max_bytes = max_bytes
        self._tries = tries
        self._pause = pause

    def fetch(self, wanted: Wanted, folder: Path) -> Path:
        """Returns the file; one that is there already is checked and not fetched again.

        Raises:
            FailedPrecondition: `DIGEST_MISMATCH` and `SIZE_MISMATCH` (the file is removed), `TOO_LARGE`, `NO_SPACE`,
                `DOWNLOAD_RUNNING`, `ADDRESS_REFUSED`.
            NotFound: `DOWNLOAD_MISSING`.
            Unavailable: `NETWORK_MISSING`; `DOWNLOAD_INTERRUPTED`: the next call goes on from there.
        """
        done, partial = folder / wanted.name, folder / f"{wanted.name}.partial"
        with writing_errors(folder):
            folder.mkdir(parents=True, exist_ok=True)
            with partial.open("ab") as file:
                _lock(file, wanted.name)
                try:
                    if not done.is_file():
                        self._fill(wanted, partial, file)
                        os.fsync(file.fileno())
                        partial.replace(done)
                finally:
                    _tidy(partial)
        _check(done, wanted)
        return done

    def _fill(self, wanted: Wanted, partial: Path, file: IO[bytes]) -> None:
        """Appends until the file is whole."""
        left, cuts = self._tries, ""
        while left:
            before = partial.stat().st_size
            try:
                self._attempt(wanted, partial, file)
                return
            except Cut as cut:
                cuts = cut.message
                if cut.reason == "FILE_CHANGED":
                    file.truncate(0)
            except Unavailable as gone:  # the network went away under a download that ran
                if not before or left == self._tries:
                    raise
                cuts = gone.message
            except FailedPrecondition as error:
                if error.reason in _WORTHLESS:
                    file.truncate(0)
                raise
            finally:
                self.progress.end()
            came = partial.stat().st_size - before
            left = self._tries - 1 if came > 0 else left - 1
            if left:
                self.progress.note(f"{cuts}; trying again")
                self._pause(min(_FIRST_PAUSE_S * 2 ** (self._tries - 1 - left), _MAX_PAUSE_S))
        raise Unavailable(
            f"{cuts}, {self._tries} times in a row; {megabytes(partial.stat().st_size)} of {wanted.name} are kept, "
            "and the same command goes on from there",
            reason="DOWNLOAD_INTERRUPTED",
        )

    def _attempt(self, wanted: Wanted, partial: Path, file: IO[bytes]) -> None:
        first, validator = self._resumable(wanted, partial)
        with self._source.open(wanted.url, first=first, validator=validator) as piece:
            if piece.first == 0:
                file.truncate(0)
            self._check_size(wanted, piece.total, partial.parent, piece.first)
            _remember(partial, wanted.url, piece.validator)
            self.progress.begin(wanted.name, piece.first, piece.total)
            self._copy(piece, file, wanted)

    def _copy(self, piece: Piece, file: IO[bytes], wanted: Wanted) -> None:
        at = piece.first
        limit = piece.total if piece.total is not None else wanted.size or self._max_bytes
        while data := piece.read(_CHUNK):
            at += len(data)
            if at > limit:
                raise _too_large(wanted, limit)
            file.write(data)
            file.flush()
            self.progress.advance(at, piece.total)
        if piece.total is not None and at < piece.total:
            raise Cut("the connection broke off", reason="CONNECTION_CUT")

    def _resumable(self, wanted: Wanted, partial: Path) -> tuple[int, str]:
        """From which byte on, and of which state of the file. Without either name for its state it begins again."""
        size = partial.stat().st_size
        remembered = _remembered(partial)
        if not size or remembered.get("url") != wanted.url:
            return 0, ""
        validator = remembered.get("validator", "")
        return (size, validator) if validator or wanted.sha256 else (0, "")

    def _check_size(self, wanted: Wanted, total: int | None, folder: Path, first: int) -> None:
        if total is None:
            return
        if wanted.size is not None and total != wanted.size:
            raise FailedPrecondition(
                f"{wanted.name} has {total} bytes there, and {wanted.size} are expected: it is another file",
                reason="SIZE_MISMATCH",
            )
        if total > self._max_bytes:
            raise _too_large(wanted, self._max_bytes)
        free = shutil.disk_usage(folder).free
        if free < total - first:
            raise _no_space(folder, f"{megabytes(total - first)} are needed and {megabytes(free)} are free")


@contextmanager
def writing_errors(folder: Path) -> Iterator[None]:
    """A disk that is full, or a folder that cannot be written, as an error that says so."""
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            raise _no_space(folder, "it is full") from None
        where = error.filename or folder
        raise FailedPrecondition(f"{where}: {error.strerror or error}", reason="STORE_NOT_WRITABLE") from None


def _lock(file: IO[bytes], name: str) -> None:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise FailedPrecondition(f"{name} is being downloaded by another process", reason="DOWNLOAD_RUNNING") from None


def _tidy(partial: Path) -> None:
    """Nothing that came is thrown away; what is empty or finished leaves nothing behind."""
    if not partial.exists() or not partial.stat().st_size:
        partial.unlink(missing_ok=True)
        partial.with_suffix(".source").unlink(missing_ok=True)


def _check(done: Path, wanted: Wanted) -> None:
    size = done.stat().st_size
    if wanted.size is not None and size != wanted.size:
        done.unlink()
        raise FailedPrecondition(
            f"{wanted.name} has {size} bytes and {wanted.size} are expected; it was removed", reason="SIZE_MISMATCH"
        )
    if wanted.sha256 and (found := digest_of(done)) != wanted.sha256:
        done.unlink()
        raise FailedPrecondition(
            f"{wanted.name} is not what the catalogue names: its sha256 is {found}, expected {wanted.sha256}; "
            "it was removed",
            reason="DIGEST_MISMATCH",
        )


def digest_of(path: Path) -> str:
    """SHA-256 of a file, hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _remember(partial: Path, url: str, validator: str) -> None:
    partial.with_suffix(".source").write_text(json.dumps({"url": url, "validator": validator}), encoding="utf-8")


def _remembered(partial: Path) -> dict[str, str]:
    try:
        read = json.loads(partial.with_suffix(".source").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return {key: value for key, value in read.items() if isinstance(value, str)} if isinstance(read, dict) else {}


def _too_large(wanted: Wanted, limit: int) -> FailedPrecondition:
    return FailedPrecondition(f"{wanted.name} is larger than {limit} bytes: refused", reason="TOO_LARGE")


def _no_space(folder: Path, what: str) -> FailedPrecondition:
    return FailedPrecondition(f"no space in {folder}: {what}", reason="NO_SPACE")
