"""Unpacks archives of models that anybody may have made: tar (plain, gzip, bzip2, xz) and zip.

Called by `installing.py`. Only files and folders come out, below the folder that was named, readable and not
executable; how many and how much is bounded before anything is believed. One bad member and nothing is kept.
"""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import shutil
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, cast

from services.runtime.errors import FailedPrecondition

_CHUNK = 256 * 1024
_MAX_PATH = 400
_MAX_PART = 200
_MAX_DEPTH = 20
_MAX_HEADER_BYTES = 16 * 1024 * 1024
_ENCRYPTED = 0x1
_Stream = io.BufferedIOBase
_OPENERS: tuple[tuple[bytes, Callable[[Path], _Stream]], ...] = (
    (b"BZh", bz2.BZ2File),
    (b"\x1f\x8b", gzip.GzipFile),
    (b"\xfd7zXZ\x00", lzma.LZMAFile),
)
_DAMAGED = (
    tarfile.TarError,
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    struct.error,
    EOFError,
    NotImplementedError,
    OverflowError,
    ValueError,
)


@dataclass(frozen=True, slots=True)
class Limits:
    """What an archive may come to."""

    files: int = 20_000
    total_bytes: int = 16_000_000_000


def is_archive(path: Path) -> bool:
    """Whether it begins as one of the kinds that can be unpacked."""
    with path.open("rb") as file:
        beginning = file.read(512)
    tar = beginning[257:262] == b"ustar"
    return tar or beginning.startswith((b"PK\x03\x04", *(magic for magic, _ in _OPENERS)))


def unpack(archive: Path, out: Path, limits: Limits | None = None) -> None:
    """Unpacks into `out`, which must not exist; after an error it does not either.

    Raises:
        FailedPrecondition: `ARCHIVE_UNSAFE` names the member: a path that leads out, a link, a device, a doubled name;
            `ARCHIVE_TOO_LARGE`; `ARCHIVE_DAMAGED`; `ARCHIVE_UNKNOWN`: no archive at all.
        OSError: it cannot be written: the disk is full.
    """
    if not is_archive(archive):
        raise FailedPrecondition(f"{archive.name} is neither tar nor zip", reason="ARCHIVE_UNKNOWN")
    out.mkdir(parents=True)
    try:
        with _damage(archive):
            _unpack(archive, _Target(out, limits or Limits(), archive.name))
    except BaseException:
        shutil.rmtree(out, ignore_errors=True)
        raise


def _unpack(archive: Path, target: _Target) -> None:
    with archive.open("rb") as file:
        beginning = file.read(8)
    if beginning.startswith(b"PK\x03\x04"):
        _unpack_zip(archive, target)
        return
    opener = next((open_ for magic, open_ in _OPENERS if beginning.startswith(magic)), None)
    with opener(archive) if opener else archive.open("rb") as stream:
        _unpack_tar(stream, target)


def _unpack_tar(stream: _Stream, target: _Target) -> None:
    bounded = _BoundedStream(stream, target.most_read)
    with tarfile.open(fileobj=cast(IO[bytes], bounded), mode="r:") as tar:
        while member := tar.next():
            tar.members = []  # type: ignore[attr-defined] # it would keep every header
            if member.isdir():
                target.folder(member.name)
            elif member.isreg() and not member.issparse():
                content = tar.extractfile(member)
                assert content is not None  # for a file there is one
                target.file(member.name, member.size, content)
            else:
                raise target.unsafe(member.name, "it is a link, a device or a sparse file")
    while bounded.read(_CHUNK):  # the checksum of gzip comes after the end of the tar in it
        pass


def _unpack_zip(archive: Path, target: _Target) -> None:
    with zipfile.ZipFile(archive) as packed:
        for member in packed.infolist():
            kind = stat.S_IFMT(member.external_attr >> 16)
            if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
                raise target.unsafe(member.filename, "it is a link or a device")
            if member.flag_bits & _ENCRYPTED:
                raise target.unsafe(member.filename, "it is encrypted")
            if member.is_dir():
                target.folder(member.filename)
            else:
                with packed.open(member) as content:
                    target.file(member.filename, member.file_size, content)


class _Target:
    """The folder that is filled: knows what is in it, and what may still come."""

    def __init__(self, root: Path, limits: Limits, archive: str) -> None:
        self._root = root
        self._limits = limits
        self._archive = archive
        self._files: set[str] = set()
        self._members = 0
        self._bytes = 0

    @property
    def most_read(self) -> int:
        """Bytes of the unpacked stream, headers and padding included, that can be needed within the limits."""
        return self._limits.total_bytes + self._limits.files * 4096 + _MAX_HEADER_BYTES

    def folder(self, name: str) -> None:
        self._count()
        path = self._path(name)
        if str(path) in self._files:
            raise self.unsafe(name, "there is a file of this name")
        if path is not None:
            path.mkdir(parents=True, exist_ok=True)

    def file(self, name: str, size: int, content: IO[bytes]) -> None:
        self._count()
        path = self._path(name)
        if path is None or str(path) in self._files or path.exists():
            raise self.unsafe(name, "there are two of this name")
        self._reserve(size)
        self._files.add(str(path))
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("xb") as out:
            written = 0
            while data := content.read(_CHUNK):
                written += len(data)
                if written > size:
                    break
                out.write(data)
        if written != size:
            raise FailedPrecondition(f"{self._archive} is damaged at '{_shown(name)}'", reason="ARCHIVE_DAMAGED")

    def _count(self) -> None:
        self._members += 1
        if self._members > self._limits.files:
            raise FailedPrecondition(
                f"{self._archive} holds more than {self._limits.files} files: refused", reason="ARCHIVE_TOO_LARGE"
            )

    def _reserve(self, size: int) -> None:
        self._bytes += max(size, 0)
        if self._bytes > self._limits.total_bytes:
            raise FailedPrecondition(
                f"{self._archive} holds more than {self._limits.total_bytes} bytes: refused",
                reason="ARCHIVE_TOO_LARGE",
            )

    def _path(self, name: str) -> Path | None:
        """Where a member goes; None is the root itself. Raises for every name that is not plainly below it."""
        if not name.isprintable() or "\\" in name or name.startswith("/") or len(name.encode()) > _MAX_PATH:
            raise self.unsafe(name, "its name is no plain relative path")
        parts = [part for part in name.split("/") if part not in ("", ".")]
        if len(parts) > _MAX_DEPTH or any(part == ".." or len(part.encode()) > _MAX_PART for part in parts):
            raise self.unsafe(name, "its path leads out of the archive or is too long")
        path = self._root.joinpath(*parts)
        if any(str(parent) in self._files for parent in path.parents):
            raise self.unsafe(name, "it lies below a file")
        return path if parts else None

    def unsafe(self, name: str, why: str) -> FailedPrecondition:
        return FailedPrecondition(
            f"{self._archive}: '{_shown(name)}' is refused, {why}; nothing of it was kept", reason="ARCHIVE_UNSAFE"
        )


class _BoundedStream:
    """What `tarfile` reads: no header may be huge, all together no more than the limits can need, and only forwards.

    A header that leads backwards (a negative size) would have the library read the same members for ever.
    """

    def __init__(self, stream: _Stream, most: int) -> None:
        self._stream = stream
        self._most = most
        self._position = 0

    def read(self, size: int = -1) -> bytes:
        if not 0 <= size <= _MAX_HEADER_BYTES:
            raise FailedPrecondition("the archive has a header of absurd size: refused", reason="ARCHIVE_TOO_LARGE")
        data = self._stream.read(size)
        self._position += len(data)
        if self._position > self._most:
            raise FailedPrecondition("the archive holds more than is allowed: refused", reason="ARCHIVE_TOO_LARGE")
        return data

    def seek(self, position: int) -> int:
        if position < self._position:
            raise tarfile.ReadError("a header leads backwards")
        while self._position < position and self.read(min(_CHUNK, position - self._position)):
            pass
        return self._position

    def tell(self) -> int:
        return self._position


@contextmanager
def _damage(archive: Path) -> Iterator[None]:
    try:
        yield
    except _DAMAGED:
        raise FailedPrecondition(f"{archive.name} is damaged or cut off", reason="ARCHIVE_DAMAGED") from None
    except OSError as error:
        if error.errno is None:  # what gzip and bz2 raise for bad data; the system's own errors have a number
            raise FailedPrecondition(f"{archive.name} is damaged or cut off", reason="ARCHIVE_DAMAGED") from None
        raise


def _shown(name: str) -> str:
    return ascii(name[:80])[1:-1]
