"""Catalogues: the things that a slot of type ENTITY can name, and how their names are found in a sentence.

`finder.py` asks an `EntityIndex`, which is built once per catalogue and language. Skills bring catalogues of up to
10,000 entries; names are matched as they are said: with articles, in the plural or another case, with a letter or two
misheard.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from services.nlu.understanding import Value


@dataclass(frozen=True, slots=True)
class CatalogueEntry:
    """One thing.

    Attributes:
        names: what it is called, by locale; the first of a locale is the canonical name.
        weight: how likely it is to be named against the others; 0 counts as 1.
        value: what it stands for, if it is more than a name.
    """

    entity_id: str
    names: Mapping[str, tuple[str, ...]]
    weight: float = 1.0
    value: Value | None = None


@dataclass(frozen=True)
class Catalogue:
    """A list of things; `closed` if nothing outside the entries is valid."""

    name: str
    closed: bool
    entries: tuple[CatalogueEntry, ...] = field(default=())
