"""Brings a model into a store: fetched by its catalogue entry, or from a folder or archive that somebody has.

Called by `commands.py`. Everything is made in `<store>/.incoming` and renamed into its place when it is whole, so that
a service that reads the store sees all of a bundle or nothing.
"""

from __future__ import annotations

import errno
import re
import shutil
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from services.catalogue.downloading import Downloader, Wanted, digest_of, writing_errors
from services.catalogue.entries import Entry
from services.catalogue.stores import ORIGIN, Origin
from services.catalogue.unpacking import Limits, is_archive, unpack
from services.catalogue.verifying import check_file
from services.runtime.errors import AlreadyExists, FailedPrecondition, InvalidInput, NotFound
from services.runtime.model_store import DEFINITION, definitions_below, read_definition

INCOMING = ".incoming"
_WORK = "work-"
_ABANDONED_S = 24 * 3600.0
_TAKEN = frozenset({errno.ENOTEMPTY, errno.EEXIST})
_UNUSABLE = re.compile(r"[^A-Za-z0-9._-]+")


@dataclass(frozen=True, slots=True)
class Naming:
    """What a public recogniser is called here; a bundle of ours has all of this in its definition."""

    publisher: str
    name: str
    version: str
    licence: str
    locales: Sequence[str]

    @classmethod
    def of(cls, entry: Entry) -> Naming:
        return cls(entry.publisher, entry.name, entry.version, entry.licence or "unknown", entry.locales)

    @property
    def folder(self) -> Path:
        """Below a store."""
        return Path(self.publisher, self.name, self.version)


def pull(entry: Entry, store: Path, downloader: Downloader, *, again: bool = False, keep: bool = False) -> Path:
    """Fetches, checks, unpacks and imports a model of the catalogue; returns the bundle's folder.

    Args:
        again: replace what is there.
        keep: leave the archive in `<store>/.incoming`.

    Raises what `Downloader.fetch`, `unpack` and `bring` raise, and FailedPrecondition `ENGINE_MISSING`.
    """
    if not entry.engine:
        raise FailedPrecondition(
            f"no engine here runs {entry.name} ({entry.family or 'unknown kind'}) yet; "
            "--download-only FOLDER fetches the file as it is",
            reason="ENGINE_MISSING",
        )
    naming = Naming.of(entry)
    if not again and (store / naming.folder).exists():
        raise _exists(store / naming.folder)
    archive = fetch(entry, store / INCOMING, downloader)
    downloader.progress.note(f"unpacking {archive.name}")
    try:
        bundles = bring(archive, store, entry=entry, again=again)
    except FailedPrecondition as error:
        if not entry.sha256 and error.reason != "NO_SPACE":  # nothing says that it came as it was meant
            archive.unlink()
        raise
    if not keep:
        archive.unlink(missing_ok=True)
    return bundles[0]


def fetch(entry: Entry, folder: Path, downloader: Downloader) -> Path:
    """Fetches the file of an entry as it is, and checks it."""
    return downloader.fetch(Wanted(entry.url, entry.file, entry.size, entry.sha256), folder)


def bring(
    source: Path,
    store: Path,
    *,
    entry: Entry | None = None,
    naming: Naming | None = None,
    again: bool = False,
    limits: Limits | None = None,
) -> list[Path]:
    """Imports bundles of ours, or one public recogniser, from a folder or an archive; returns the bundles' folders.

    Args:
        entry: of the catalogue; its digest is checked if it has one.
        naming: what a public recogniser is called; that of `entry` unless given.

    Raises:
        NotFound: `SOURCE_MISSING`.
        FailedPrecondition: `DIGEST_MISMATCH`, `ARCHIVE_…`, `MODEL_…`: what is wrong with it; `NO_SPACE`.
        InvalidInput: `NAME_MISSING`: nothing says what it is called.
        AlreadyExists: `MODEL_EXISTS`, unless `again`.
    """
    if not source.exists():
        raise NotFound(f"there is no {source}", reason="SOURCE_MISSING")
    naming = naming or (Naming.of(entry) if entry else None)
    with _workspace(store) as work:
        origin = _origin(source, entry)
        folder = source if source.is_dir() else _unpacked(source, work / "unpacked", limits or Limits())
        own = _tops(folder)
        if own:
            made = [_copied(top, work / f"bundle-{number}", limits or Limits()) for number, top in enumerate(own)]
        else:
            made = [_imported(folder, naming, work)]
        return [_placed(bundle, store, origin, work, again) for bundle in made]


def _origin(source: Path, entry: Entry | None) -> Origin:
    if entry is None or source.is_dir():
        return Origin(capability=entry.capability if entry else "", catalogue=entry.name if entry else "")
    digest = digest_of(source)
    if entry.sha256 and digest != entry.sha256:
        raise FailedPrecondition(
            f"{source.name} is not what the catalogue names: its sha256 is {digest}, expected {entry.sha256}; "
            "to import it all the same, give it a --name of its own",
            reason="DIGEST_MISMATCH",
        )
    return Origin(entry.name, entry.capability, entry.url, digest, pinned=bool(entry.sha256))


def _unpacked(archive: Path, out: Path, limits: Limits) -> Path:
    if not is_archive(archive):
        raise FailedPrecondition(
            f"{archive.name} is neither a folder nor an archive of a model: no engine here runs a single file",
            reason="ARCHIVE_UNKNOWN",
        )
    unpack(archive, out, limits)
    inside = list(out.iterdir())
    return inside[0] if len(inside) == 1 and inside[0].is_dir() else out


def _tops(folder: Path) -> list[Path]:
    """The folders of bundles of ours, without those that are parts of another."""
    found = [path.parent for path in definitions_below(folder)]
    return [one for one in found if not any(other in one.parents for other in found)]


def _copied(top: Path, out: Path, limits: Limits) -> Path:
    """A copy of a bundle of ours whose files are what its definitions say."""
    _check_tree(top, limits)
    shutil.copytree(top, out, copy_function=shutil.copyfile)
    (out / ORIGIN).unlink(missing_ok=True)
    for path in definitions_below(out):
        definition = read_definition(path)
        if problem := check_file(definition):
            raise FailedPrecondition(f"{definition.id}: {problem}", reason="MODEL_DIGEST_MISMATCH")
    return out


def _check_tree(top: Path, limits: Limits) -> None:
    count = size = 0
    for path in top.rglob("*"):
        if path.is_symlink() or not (path.is_file() or path.is_dir()):
            raise FailedPrecondition(f"{path} is a link or a device: refused", reason="ARCHIVE_UNSAFE")
        count, size = count + 1, size + (path.stat().st_size if path.is_file() else 0)
        if count > limits.files or size > limits.total_bytes:
            raise FailedPrecondition(f"{top} is larger than a model may be: refused", reason="ARCHIVE_TOO_LARGE")


def _imported(folder: Path, naming: Naming | None, work: Path) -> Path:
    if naming is None or not naming.locales:
        raise InvalidInput(
            f"{folder.name} is no bundle with a {DEFINITION}. If it is a public recogniser, say what it is: "
            "--as NAME of the catalogue, or --locale and whatever else is known of it",
            reason="NAME_MISSING",
        )
    try:
        # The engines of recognition are an extra of their own, and not needed to list or to verify.
        from services.asr.engines.published.importing import import_public
    except ModuleNotFoundError as error:
        raise FailedPrecondition(
            f"importing a recogniser needs its engine (no {error.name}): pip install 'antiphon[asr]'",
            reason="ENGINE_MISSING",
        ) from None
    return import_public(
        folder,
        publisher=naming.publisher,
        name=naming.name,
        version=naming.version,
        licence=naming.licence,
        locales=naming.locales,
        out=work / "imported",
    )


def _placed(bundle: Path, store: Path, origin: Origin, work: Path, again: bool) -> Path:
    definition = read_definition(bundle / DEFINITION)
    target = store / definition.publisher / definition.name / definition.version
    files = {str(path.relative_to(bundle)): digest_of(path) for path in sorted(bundle.rglob("*")) if path.is_file()}
    replace(origin, files=files).write(bundle)
    if target.exists() and not again:
        raise _exists(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    aside = work / f"before-{bundle.name}"
    if target.exists():
        target.rename(aside)
    try:
        bundle.rename(target)
    except OSError as error:
        if error.errno in _TAKEN:  # somebody else was faster
            raise _exists(target) from None
        if aside.exists():
            aside.rename(target)
        raise
    return target


@contextmanager
def _workspace(store: Path) -> Iterator[Path]:
    """A folder of its own on the store's file system; whatever is left in it goes, also what a killed process left."""
    with writing_errors(store):
        (store / INCOMING).mkdir(parents=True, exist_ok=True)
        for left in (store / INCOMING).glob(f"{_WORK}*"):
            if time.time() - left.stat().st_mtime > _ABANDONED_S:
                shutil.rmtree(left, ignore_errors=True)
    with writing_errors(store), tempfile.TemporaryDirectory(dir=store / INCOMING, prefix=_WORK) as made:
        yield Path(made)


def _exists(target: Path) -> AlreadyExists:
    return AlreadyExists(f"{target} is there already; --again replaces it", reason="MODEL_EXISTS")


def usable_name(text: str) -> str:
    """A name for a bundle, made of that of a folder or archive."""
    for ending in (".tar.bz2", ".tar.gz", ".tgz", ".tar.xz", ".tar", ".zip"):
        text = text.removesuffix(ending)
    return _UNUSABLE.sub("-", text).strip("-._")[:100] or "imported"
