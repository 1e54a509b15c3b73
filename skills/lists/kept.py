"""What is kept of a user's lists and notes, and the changes to it. `handler.py` runs these in its storage.

Each function is one transaction's work on a shelf and gives what the answer needs, as JSON: the storage keeps it for a
repeat of the turn.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from antiphon.skills import Json, Shelf
from antiphon.skills.values import folded
from skills.lists.items import found, key

MAX_ITEMS: Final = 1_000
"""Things on one list."""

MAX_LISTS: Final = 50
MAX_NOTES: Final = 500

_LIST: Final = "list/"
_NOTES: Final = "notes"


@dataclass(frozen=True)
class Which:
    """A list by its key and what it is called; `known` ones have names of their own in every language."""

    key: str
    name: str = ""
    known: bool = False


def of_name(name: str) -> str:
    """The key of a list that a user has named."""
    return " ".join("".join(char if char.isalnum() else " " for char in folded(name)).split())[:100]


def lists(shelf: Shelf) -> list[tuple[str, str, int]]:
    """Key, name and number of things of each list."""
    kept = ((name.removeprefix(_LIST), _read(shelf, name.removeprefix(_LIST))) for name in shelf.names(_LIST))
    return [(name, shown, len(items)) for name, (shown, items) in kept]


def items_of(shelf: Shelf, which: str) -> list[str]:
    """The things on a list, oldest first."""
    return _read(shelf, which)[1]


def add(shelf: Shelf, which: Which, asked: Sequence[str], language: str) -> Json:
    """Put things on a list, each once. Gives `added`, `known` and, when there is no more room, `full`."""
    name, items = _read(shelf, which.key)
    if not items and shelf.get(_LIST + which.key) is None and len(shelf.names(_LIST)) >= MAX_LISTS:
        return {"added": [], "known": [], "full": True}
    have = {key(item, language) for item in items}
    known = [item for item in asked if key(item, language) in have]
    new = [item for item in asked if key(item, language) not in have]
    fits = new[: max(0, MAX_ITEMS - len(items))]
    if fits:
        _write(shelf, which, name, [*items, *fits])
    return {"added": list[Json](fits), "known": list[Json](known), "full": len(fits) < len(new)}


def remove(shelf: Shelf, which: Which | None, asked: Sequence[str], language: str) -> Json:
    """Take things off a list, or off the first list that has them. Gives `removed`, `missing` and the `list`'s key."""
    candidates = [which.key] if which else sorted((name for name, _, _ in lists(shelf)), key=lambda n: n != "shopping")
    for candidate in candidates:
        name, items = _read(shelf, candidate)
        hits = {item: found(item, items, language, sure=True) for item in asked}
        gone = {thing for things in hits.values() for thing in things}
        if gone:
            missing = [item for item, things in hits.items() if not things]
            left = [item for item in items if item not in gone]
            _write(shelf, which or Which(candidate, name), name, left)
            removed: list[Json] = [item for item in items if item in gone]
            return {"removed": removed, "missing": list[Json](missing), "list": candidate, "name": name}
    return {"removed": [], "missing": list[Json](asked), "list": which.key if which else "", "name": ""}


def clear(shelf: Shelf, which: Which | None) -> Json:
    """Delete a list, or all. Gives how many things went."""
    gone = [name for name, _, _ in lists(shelf) if which is None or name == which.key]
    count = sum(len(items_of(shelf, name)) for name in gone)
    for name in gone:
        shelf.delete(_LIST + name)
    return count


def notes(shelf: Shelf) -> list[str]:
    """The notes, newest first."""
    kept = shelf.get(_NOTES)
    return [text for text in kept if isinstance(text, str)] if isinstance(kept, list) else []


def take_note(shelf: Shelf, text: str) -> Json:
    """Keep a note; False when there are too many."""
    kept = notes(shelf)
    if len(kept) >= MAX_NOTES:
        return False
    shelf.put(_NOTES, [text, *kept])
    return True


def about(kept: Sequence[str], words: str, language: str) -> list[str]:
    """The notes that hold the words."""
    wanted = set(key(words, language).split())
    return [text for text in kept if wanted and wanted <= set(key(text, language).split())]


def delete_notes(shelf: Shelf, words: str, language: str, *, last: bool) -> Json:
    """Delete the notes with those words, the newest, or all. Gives how many went."""
    kept = notes(shelf)
    gone = about(kept, words, language) if words else kept
    gone = gone[:1] if last else gone
    left = [text for text in kept if text not in gone] if words or last else []
    if gone:
        shelf.put(_NOTES, list[Json](left))
    return len(kept) - len(left)


def _read(shelf: Shelf, which: str) -> tuple[str, list[str]]:
    """A list's name and things; a file from another version may hold anything."""
    kept = shelf.get(_LIST + which)
    if not isinstance(kept, dict):
        return "", []
    name, items = kept.get("name"), kept.get("items")
    return (
        name if isinstance(name, str) else "",
        [item for item in items if isinstance(item, str)] if isinstance(items, list) else [],
    )


def _write(shelf: Shelf, which: Which, name: str, items: Sequence[str]) -> None:
    shelf.put(_LIST + which.key, {"name": "" if which.known else which.name or name, "items": list[Json](items)})
