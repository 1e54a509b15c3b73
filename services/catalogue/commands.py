"""The verbs `antiphon models list | pull | import | verify`.

`services/model_commands.py` makes the parser and calls `add_verbs`. Exit codes: 0 done, 1 it failed or a file is bad,
2 wrong arguments, 130 interrupted. What was asked for goes to standard output, all else to standard error.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

from services.catalogue import listing
from services.catalogue.downloading import Downloader
from services.catalogue.entries import CAPABILITIES, PUBLIC, Entry, find, read_catalogue
from services.catalogue.http_source import HttpSource
from services.catalogue.installing import Naming, bring, fetch, pull, usable_name
from services.catalogue.progress import ConsoleProgress
from services.catalogue.stores import Bundle, everything, installed, store_to_fill
from services.catalogue.verifying import Report, verify
from services.runtime.errors import AlreadyExists, AntiphonError, FailedPrecondition, InvalidInput, NotFound
from services.runtime.model_store import model_folders

OK, FAILED, USAGE, INTERRUPTED = 0, 1, 2, 130
_TIMEOUT_S = 30.0


def add_verbs(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds the four, each with `run` set to what does it: `run(options) -> exit code`."""
    for name, summary, add in (
        ("list", "models that ship with the platform, are installed, or can be pulled", _add_list),
        ("pull", "fetch a public model, check it, and make a bundle of it", _add_pull),
        ("import", "make a bundle of a folder or archive that is here already", _add_import),
        ("verify", "compare the files of bundles with their digests", _add_verify),
    ):
        add(verbs.add_parser(name, help=summary, description=f"{summary[0].upper()}{summary[1:]}."))


# --- list -------------------------------------------------------------------------------------------------------------


def _add_list(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--capability", choices=CAPABILITIES, help="only models of this one")
    parser.add_argument("--locale", default="", metavar="TAG", help="only models for this language")
    parser.add_argument("--json", action="store_true", help="all that is known, as JSON")
    _add_store(parser)
    _add_catalogue(parser)
    parser.set_defaults(run=list_models)


def list_models(options: argparse.Namespace) -> int:
    """`antiphon models list`."""

    def show() -> int:
        found = listing.rows(
            everything(_stores(options)),
            read_catalogue(options.catalogue),
            capability=options.capability or "",
            locale=options.locale,
        )
        if options.json:
            _say(listing.as_json(found))
            return OK
        if not found:
            _say("no such model")
            return FAILED
        _say(*listing.table(found))
        return OK

    return _told("list", show)


# --- pull -------------------------------------------------------------------------------------------------------------


def _add_pull(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME", help="as `antiphon models list` has it")
    parser.add_argument("--again", action="store_true", help="replace the bundle that is there")
    parser.add_argument("--keep", action="store_true", help="leave the archive in the store's folder .incoming")
    parser.add_argument("--download-only", type=Path, metavar="FOLDER", help="fetch and check the file, no more")
    _add_store(parser)
    _add_catalogue(parser)
    parser.set_defaults(run=pull_model)


def pull_model(options: argparse.Namespace) -> int:
    """`antiphon models pull`: what an interruption leaves is taken up by the next call."""

    def bring_it() -> int:
        entry = find(read_catalogue(options.catalogue), options.name)
        downloader = Downloader(HttpSource(timeout_s=_TIMEOUT_S), progress=ConsoleProgress())
        _warn_of_licence(entry)
        try:
            if options.download_only:
                _say(str(fetch(entry, options.download_only, downloader)))
            else:
                folder = pull(entry, _store(options), downloader, again=options.again, keep=options.keep)
                _say(f"{entry.id} is in {folder}")
        except AntiphonError as error:
            if error.reason == "NETWORK_MISSING":
                raise _offline(entry, error) from None
            raise
        if not entry.sha256:
            _note(f"{entry.name} is not pinned: the catalogue has no digest to compare the download with")
        return OK

    try:
        return _told("pull", bring_it)
    except KeyboardInterrupt:
        _note("antiphon models pull: interrupted; what came is kept, and the same command goes on from there")
        return INTERRUPTED


def _warn_of_licence(entry: Entry) -> None:
    where = f" ({entry.licence_source})" if entry.licence_source else ""
    _note(f"licence of {entry.name}: {entry.licence or 'unknown: ask its publisher before you use it'}{where}")


def _offline(entry: Entry, error: AntiphonError) -> FailedPrecondition:
    return FailedPrecondition(
        f"{error.message}. On a machine that reaches it, download {entry.url} and bring the file here; then:\n"
        f"    antiphon models import {entry.file}",
        reason=error.reason,
    )


# --- import -----------------------------------------------------------------------------------------------------------


def _add_import(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("source", type=Path, metavar="FOLDER|ARCHIVE", help="bundles, or a public recogniser")
    parser.add_argument("--as", dest="entry", default="", metavar="NAME", help="it is this model of the catalogue")
    parser.add_argument("--name", default="", help="call it so (default: the name of the folder)")
    parser.add_argument("--publisher", default="local", help="default: local")
    parser.add_argument("--model-version", default="1", metavar="VERSION", help="default: 1")
    parser.add_argument("--licence", default="unknown", help="of the weights (default: unknown)")
    parser.add_argument("--locale", action="append", default=[], metavar="TAG", help="a language it hears; repeatable")
    parser.add_argument("--again", action="store_true", help="replace the bundle that is there")
    _add_store(parser)
    _add_catalogue(parser)
    parser.set_defaults(run=import_model)


def import_model(options: argparse.Namespace) -> int:
    """`antiphon models import`."""

    def bring_it() -> int:
        entry = _entry_of(options)
        folders = bring(
            options.source,
            _store(options),
            entry=entry,
            naming=None if entry else _naming(options),
            again=options.again,
        )
        for bundle in (one for one in installed(_store(options)) if one.folder in folders):
            _say(f"{bundle.id} is in {bundle.folder}")
        return OK

    return _told("import", bring_it)


def _entry_of(options: argparse.Namespace) -> Entry | None:
    """The catalogue's entry: the one that is named, else the one whose download is called like the file."""
    entries = read_catalogue(options.catalogue)
    if options.entry:
        return find(entries, options.entry)
    if options.name or options.locale:
        return None
    called = options.source.resolve().name
    return next((one for one in entries if called in (one.file, usable_name(one.file), one.name)), None)


def _naming(options: argparse.Namespace) -> Naming:
    name = options.name or usable_name(options.source.resolve().name)
    return Naming(options.publisher, name, options.model_version, options.licence, tuple(options.locale))


# --- verify -----------------------------------------------------------------------------------------------------------


def _add_verify(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", nargs="?", default="", metavar="NAME", help="only this model (default: all)")
    _add_store(parser)
    parser.set_defaults(run=verify_models)


def verify_models(options: argparse.Namespace) -> int:
    """`antiphon models verify`: a line for each bundle; 1 if one of them is bad."""

    def check() -> int:
        chosen = [bundle for bundle in everything(_stores(options)) if _is_meant(bundle, options.name)]
        if not chosen:
            raise NotFound(f"there is no model '{options.name}' here", reason="MODEL_UNKNOWN")
        reports = [verify(bundle) for bundle in chosen]
        _say(*(line for report in reports for line in _lines(report)))
        return FAILED if any(report.problems for report in reports) else OK

    return _told("verify", check)


def _is_meant(bundle: Bundle, name: str) -> bool:
    if not name or bundle.definition is None:
        return not name or bundle.folder.name == name
    whole = bundle.definition.name.rpartition(".")[0] if bundle.part else bundle.definition.name
    return name in (bundle.id, bundle.definition.name, whole, f"{bundle.definition.publisher}/{whole}")


def _lines(report: Report) -> list[str]:
    if report.problems:
        return [listing.printable(f"BAD  {report.bundle.id}: {problem}") for problem in report.problems]
    files = "1 file" if report.files == 1 else f"{report.files} files"
    pinned = {None: "", True: ", download pinned", False: ", download not pinned"}[report.pinned]
    return [f"ok   {report.bundle.id}: {files}{pinned}"]


# --- all of them ------------------------------------------------------------------------------------------------------


def _add_store(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--store",
        type=Path,
        metavar="DIR",
        help="the folder of bundles (default: the first of $ANTIPHON_MODELS, else ~/.local/share/antiphon/models)",
    )


def _add_catalogue(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--catalogue", type=Path, default=PUBLIC, metavar="FILE", help="another list of models")


def _store(options: argparse.Namespace) -> Path:
    return Path(options.store) if options.store else store_to_fill()


def _stores(options: argparse.Namespace) -> list[Path]:
    return [Path(options.store)] if options.store else model_folders()


def _told(verb: str, action: Callable[[], int]) -> int:
    """Runs `action`; what it could not do is said in one line."""
    try:
        return action()
    except AntiphonError as error:
        _note(f"antiphon models {verb}: {error.message}")
        wrong = isinstance(error, InvalidInput | NotFound) and error.reason != "DOWNLOAD_MISSING"
        return USAGE if wrong or isinstance(error, AlreadyExists) else FAILED
    except OSError as error:
        _note(f"antiphon models {verb}: {error.filename or ''}: {error.strerror or error}")
        return FAILED


def _say(*lines: str) -> None:
    sys.stdout.write("".join(f"{line}\n" for line in lines))
    sys.stdout.flush()


def _note(line: str) -> None:
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()
