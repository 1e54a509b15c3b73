"""`antiphon models list`: what ships with the platform, what is installed and what the catalogue has, as a table.

Called by `commands.py`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass

from services.catalogue.entries import Entry
from services.catalogue.progress import megabytes
from services.catalogue.stores import INSTALLED, Bundle

AVAILABLE = "available"
NO_ENGINE = "none here yet"
UNKNOWN = "unknown"
_STATES = ("bundled", INSTALLED, AVAILABLE, "broken")
_MAX_LOCALES = 8
_HEAD = ("", "capability", "model", "engine", "locales", "size", "licence")


@dataclass(frozen=True, slots=True)
class Row:
    """One model, however it is known."""

    state: str
    capability: str
    model: str
    name: str
    engine: str
    locales: tuple[str, ...]
    size: int | None
    licence: str
    summary: str = ""
    family: str = ""
    url: str = ""
    sha256: str = ""
    licence_source: str = ""
    memory_mb: int | None = None
    folder: str = ""


def rows(bundles: Iterable[Bundle], entries: Sequence[Entry], *, capability: str = "", locale: str = "") -> list[Row]:
    """What there is, filtered; a model that is installed is not listed as available."""
    have = [_of_bundle(bundle) for bundle in bundles if not bundle.part]
    ids = {row.model for row in have}
    found = [*have, *(_of_entry(entry) for entry in entries if entry.id not in ids)]
    chosen = [
        row
        for row in found
        if (not capability or row.capability == capability) and (not locale or _speaks(row, locale))
    ]
    return sorted(chosen, key=lambda row: (_STATES.index(row.state), row.capability, row.name))


def table(found: Sequence[Row]) -> list[str]:
    """Lines for people."""
    cells = [_HEAD, *(_cells(row) for row in found)]
    widths = [max(len(line[column]) for line in cells) for column in range(len(_HEAD))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) for line in cells]
    return [printable(line).rstrip() for line in lines]


def printable(text: str) -> str:
    """What somebody else wrote, so that it cannot speak to the terminal."""
    return "".join(letter if letter.isprintable() else "?" for letter in text)


def as_json(found: Sequence[Row]) -> str:
    """One list of objects; what is unknown is null or empty."""
    return json.dumps([asdict(row) for row in found], indent=1, ensure_ascii=False)


def _cells(row: Row) -> tuple[str, ...]:
    locales = ", ".join(row.locales[:_MAX_LOCALES]) + (", …" if len(row.locales) > _MAX_LOCALES else "")
    return (
        row.state,
        row.capability,
        row.name if row.state == AVAILABLE else row.model,
        row.engine or NO_ENGINE,
        locales or "any",
        megabytes(row.size) if row.size is not None else UNKNOWN,
        row.licence or UNKNOWN,
    )


def _speaks(row: Row, locale: str) -> bool:
    asked = Entry("", "", "", "", "", "", locales=row.locales)
    return asked.speaks(locale)


def _of_bundle(bundle: Bundle) -> Row:
    size = sum(path.stat().st_size for path in bundle.folder.rglob("*") if path.is_file())
    if bundle.definition is None:
        return Row("broken", bundle.capability, bundle.id, "", "", (), size, "", bundle.error, folder=bundle.id)
    return Row(
        state=bundle.state,
        capability=bundle.capability,
        model=bundle.id,
        name=bundle.definition.name,
        engine=bundle.engine,
        locales=bundle.definition.locales,
        size=size,
        licence=bundle.definition.licence,
        sha256=bundle.definition.sha256,
        folder=str(bundle.folder),
    )


def _of_entry(entry: Entry) -> Row:
    return Row(
        state=AVAILABLE,
        capability=entry.capability,
        model=entry.id,
        name=entry.name,
        engine=entry.engine,
        locales=entry.locales,
        size=entry.size,
        licence=entry.licence,
        summary=entry.summary,
        family=entry.family,
        url=entry.url,
        sha256=entry.sha256,
        licence_source=entry.licence_source,
        memory_mb=entry.memory_mb,
    )
