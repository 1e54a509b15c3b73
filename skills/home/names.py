"""Devices, rooms and doors by what they are called in any of the languages, from the manifest's catalogues.

`handler.py` asks it where the understanding service gave words instead of an entry, and for the room that a client says
its device stands in: that is a name of the client's own ("Küche", "Living Room").
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from antiphon.skill.v1 import manifest_pb2

LONGEST: Final = 60
"""Characters of a name worth looking up."""


class Names:
    """What the catalogues of the manifest call things."""

    def __init__(self, catalogues: Iterable[manifest_pb2.Catalogue]) -> None:
        self._by_catalogue = {catalogue.name: _names(catalogue) for catalogue in catalogues}

    def device(self, name: str) -> str:
        """The device of that name or identifier; empty when there is none."""
        return self._found("devices", name)

    def room(self, name: str) -> str:
        """The room; empty when there is none."""
        return self._found("rooms", name)

    def door(self, name: str) -> str:
        """The door; empty when there is none."""
        return self._found("doors", name)

    def _found(self, catalogue: str, name: str) -> str:
        if len(name) > LONGEST:
            return ""
        return self._by_catalogue[catalogue].get(" ".join(name.casefold().replace("_", " ").split()), "")


def _names(catalogue: manifest_pb2.Catalogue) -> dict[str, str]:
    names = {name.text.casefold(): entry.entity_id for entry in catalogue.entries for name in entry.names}
    return names | {entry.entity_id.replace("_", " "): entry.entity_id for entry in catalogue.entries}
