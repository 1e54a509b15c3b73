"""Lists and notes: adds, removes and reads things, takes notes and reads them.

The skill host finds `LISTS` by its entry point. What is kept lies in the skill's storage (`kept.py`); when the storage
fails, the user hears that nothing was changed, never that it was kept.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, cast

from antiphon.skills import Event, Shelf, Skill, StorageError, StorageProblem, Turn, load_manifest
from antiphon.skills.spoken import capital, spoken_list
from skills.lists import kept
from skills.lists.items import found, things
from skills.lists.kept import Which
from skills.lists.words import Words, words

DEFAULT: Final = "shopping"
MAX_NAME: Final = 60
READ_ITEMS: Final = 20
"""Things that are read out; the rest is counted, and shown where there is a screen."""

READ_NOTES: Final = 10
MAX_READ: Final = 120
"""Characters of one thing that are read out."""

ECHOED: Final = 60
"""Characters of one thing that are said again when it was added or removed."""

_WHOLE: Final = frozenset({"todo", "work"})
"""Lists on which "and" does not split a thing."""


class Lists(Skill):
    """Intents add, remove, read, contains, clear, show_lists, take_note, read_notes, delete_notes."""

    manifest = load_manifest(Path(__file__).with_name("manifest.yaml"))

    async def handle(self, turn: Turn) -> AsyncIterator[Event]:
        """One intent, one method of `_Answer`."""
        said = words(turn.language)
        answer = _Answer(turn, said)
        try:
            events = await getattr(answer, turn.intent)()
        except StorageError as error:
            events = _failed(turn, said, error.problem)
        for event in events:
            yield event


def _failed(turn: Turn, said: Words, problem: StorageProblem) -> Sequence[Event]:
    text = {
        StorageProblem.FULL: said.storage_full,
        StorageProblem.TOO_LARGE: said.storage_full,
        StorageProblem.BUSY: said.storage_busy,
    }.get(problem, said.storage_failed)
    if turn.intent in ("read", "contains", "show_lists", "read_notes"):
        text = said.unreadable
    return [turn.say(text), turn.decline(problem.value)]


@dataclass(frozen=True)
class _Answer:
    """One turn's answer; a method for each intent, of its name."""

    turn: Turn
    said: Words

    async def add(self) -> Sequence[Event]:
        turn, said, language = self.turn, self.said, self.turn.language
        which = self._which() or Which(DEFAULT, known=True)
        asked = self._things(which)
        if not asked:
            return [turn.ask(said.what_to_add, "item")]
        made = cast("dict[str, Any]", await turn.change(lambda shelf: kept.add(shelf, which, asked, language)))
        name, told = self._called(which.key, which.name), []
        if made["added"]:
            told.append(self._echo(said.added, made["added"], name))
        if made["known"]:
            told.append(capital(self._echo(said.known, made["known"], name)))
        if made["full"]:
            told.append(said.full.format(list=name))
        if not made["added"] and made["full"]:
            return [turn.say(" ".join(told)), turn.decline("LIST_FULL")]
        return [turn.say(" ".join(told)), self._changed("ITEMS_ADDED" if made["added"] else "")]

    async def remove(self) -> Sequence[Event]:
        turn, said, language = self.turn, self.said, self.turn.language
        which = self._which()
        asked = self._things(which)
        if not asked:
            return [turn.ask(said.what_to_remove, "item")]
        made = cast("dict[str, Any]", await turn.change(lambda shelf: kept.remove(shelf, which, asked, language)))
        missing = self._spoken(made["missing"][:READ_ITEMS], ECHOED)
        if not made["removed"]:
            name = self._called(which.key, which.name) if which else ""
            text = said.not_there.format(list=name, item=missing) if which else said.nowhere.format(item=missing)
            return [turn.say(capital(text)), turn.decline("NOT_ON_THE_LIST")]
        name = self._called(made["list"], made["name"])
        told = [self._echo(said.removed, made["removed"], name)]
        if missing:
            told.append(said.not_there.format(list=name, item=missing))
        return [turn.say(" ".join(told)), self._changed("ITEMS_REMOVED")]

    async def read(self) -> Sequence[Event]:
        turn, said = self.turn, self.said
        all_lists = await turn.read(kept.lists)
        which = self._which() or _only(all_lists)
        if which is None:
            return self._ask_which(all_lists)
        items = await turn.read(lambda shelf: kept.items_of(shelf, which.key))
        name = self._called(which.key, which.name)
        if not items:
            return [turn.say(said.empty.format(list=name))]
        read = self._spoken(items[:READ_ITEMS])
        text = (said.one if len(items) == 1 else said.many).format(list=name, count=len(items), items=read)
        if len(items) > READ_ITEMS:
            text += " " + said.more.format(count=len(items) - READ_ITEMS)
        return [turn.say(text), turn.show(name, "\n".join(items))]

    async def contains(self) -> Sequence[Event]:
        turn, said = self.turn, self.said
        asked = turn.text("item")
        if not asked:
            return [turn.ask(said.what_to_find, "item")]
        all_lists = await turn.read(kept.lists)
        which = self._which() or _only(all_lists)
        if which is None:
            return self._ask_which(all_lists)
        items = await turn.read(lambda shelf: kept.items_of(shelf, which.key))
        hits = found(asked, items, turn.language)
        name = self._called(which.key, which.name)
        template = said.is_there if hits else said.not_there
        return [turn.say(template.format(list=name, items=self._spoken(hits[:5]), item=_cut(asked)))]

    async def clear(self) -> Sequence[Event]:
        turn, said = self.turn, self.said
        if turn.entity("scope") == "all":
            await turn.change(lambda shelf: kept.clear(shelf, None))
            return [turn.say(said.all_cleared), self._changed("LISTS_CLEARED", undone=False)]
        all_lists = await turn.read(kept.lists)
        which = self._which() or _only(all_lists, alone=True)
        if which is None:
            return self._ask_which(all_lists)
        await turn.change(lambda shelf: kept.clear(shelf, which))
        text = said.cleared.format(list=self._called(which.key, which.name))
        return [turn.say(text), self._changed("LIST_CLEARED", undone=False)]

    async def show_lists(self) -> Sequence[Event]:
        all_lists = [one for one in await self.turn.read(kept.lists) if one[2]]
        if not all_lists:
            return [self.turn.say(self.said.no_lists)]
        names = [f"{self._called(key, name)} ({count})" for key, name, count in all_lists]
        spoken = self._spoken([self._called(key, name) for key, name, _ in all_lists])
        return [self.turn.say(self.said.lists.format(items=spoken)), self.turn.show("", "\n".join(names))]

    async def take_note(self) -> Sequence[Event]:
        turn, said = self.turn, self.said
        text = turn.text("text")
        if not text:
            return [turn.ask(said.what_to_note, "text")]
        if await turn.change(lambda shelf: kept.take_note(shelf, text)) is not True:
            return [turn.say(said.too_many_notes.format(count=kept.MAX_NOTES)), turn.decline("TOO_MANY_NOTES")]
        return [turn.say(said.noted.format(text=text.rstrip("."))), self._changed("NOTE_TAKEN")]

    async def read_notes(self) -> Sequence[Event]:
        turn, said = self.turn, self.said
        notes = await turn.read(kept.notes)
        if not notes:
            return [turn.say(said.no_notes)]
        if asked := turn.text("text"):
            notes = kept.about(notes, asked, turn.language)
        if not notes:
            return [turn.say(said.no_such_note)]
        if turn.entity("scope") == "last" or len(notes) == 1:
            return [turn.say(said.one_note.format(text=notes[0].rstrip(".")))]
        told = ". ".join(capital(_cut(note, 300).rstrip(".")) for note in notes[:READ_NOTES])
        text = said.many_notes.format(count=len(notes), text=told)
        if len(notes) > READ_NOTES:
            text += " " + said.more.format(count=len(notes) - READ_NOTES)
        return [turn.say(text), turn.show("", "\n".join(notes))]

    async def delete_notes(self) -> Sequence[Event]:
        turn, said = self.turn, self.said
        about, last = turn.text("text"), turn.entity("scope") == "last"

        def work(shelf: Shelf) -> int:
            return cast(int, kept.delete_notes(shelf, about, turn.language, last=last))

        count = cast(int, await turn.change(work))
        if not count:
            return [turn.say(said.no_such_note if about else said.no_notes), turn.decline("NO_SUCH_NOTE")]
        text = said.note_deleted if count == 1 else said.notes_deleted.format(count=count)
        return [turn.say(text), self._changed("NOTES_DELETED", undone=False)]

    # --- what was meant --------------------------------------------------------------------------------------------
    def _which(self) -> Which | None:
        """The list that was named; None when none was."""
        if self.turn.slot("list") is None:
            return None
        entity = self.turn.entity("list")
        if entity in self.said.names:
            return Which(entity, known=True)
        text = self.turn.text("list", MAX_NAME)
        name = " ".join(word for word in text.split() if word.casefold() not in self.said.generic)
        key = kept.of_name(name)
        known = next((id_ for id_, title in self.said.names.items() if kept.of_name(title) == kept.of_name(text)), "")
        if known:
            return Which(known, known=True)
        return Which(f"own {key}", name) if key else None

    def _things(self, which: Which | None) -> Sequence[str]:
        """What was said to add or remove; several slots may have been filled."""
        slots = [slot for slot in self.turn.interpretation.slots if slot.name == "item"]
        spoken = ", ".join(slot.value.text or slot.text for slot in slots)[:20_000]
        return things(spoken, self.turn.language, whole=which is not None and which.key in _WHOLE)

    def _ask_which(self, all_lists: Sequence[tuple[str, str, int]]) -> Sequence[Event]:
        """There are several, or none."""
        if not all_lists:
            return [self.turn.say(self.said.no_lists), self.turn.decline("NO_LISTS")]
        names = self._spoken([self._called(key, name) for key, name, _ in all_lists])
        return [self.turn.ask(self.said.which_list.format(items=names), "list")]

    # --- how it is said --------------------------------------------------------------------------------------------
    def _called(self, key: str, name: str) -> str:
        return self.said.names.get(key) or self.said.named.format(list=capital(name or key.removeprefix("own ")))

    def _spoken(self, parts: Sequence[str], longest: int = MAX_READ) -> str:
        return spoken_list([_cut(part, longest) for part in parts], self.turn.locale)

    def _echo(self, template: str, things: Sequence[str], name: str) -> str:
        """What was just said, again: of many things the first ones, and how many more."""
        text = template.format(list=name, items=self._spoken(things[:READ_ITEMS], ECHOED))
        more = len(things) - READ_ITEMS
        return f"{text} {self.said.more.format(count=more)}" if more > 0 else text

    def _changed(self, kind: str, *, undone: bool = True) -> Event:
        effects = [self.turn.effect(kind, lasting=not undone)] if kind else []
        return self.turn.changed(*effects)


def _only(all_lists: Sequence[tuple[str, str, int]], *, alone: bool = False) -> Which | None:
    """The list that is meant when none was named: the only one, else, unless it must be `alone`, the shopping list."""
    if len(all_lists) == 1:
        return Which(all_lists[0][0], all_lists[0][1])
    if not alone and (not all_lists or any(key == DEFAULT for key, _, _ in all_lists)):
        return Which(DEFAULT, known=True)
    return None


def _cut(text: str, longest: int = MAX_READ) -> str:
    return text if len(text) <= longest else text[: longest - 1].rstrip() + "…"


LISTS = Lists()
