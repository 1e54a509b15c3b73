"""Lists and notes, kept across restarts, in five languages, and honest when the disk is full."""

from __future__ import annotations

import asyncio
import resource
from pathlib import Path

import pytest

from antiphon.skill.v1 import skill_pb2
from antiphon.skills import SkillError, SkillHost
from antiphon.types.v1 import understanding_pb2, value_pb2
from skills.lists.handler import LISTS
from skills.lists.items import found, things
from skills.lists.kept import MAX_ITEMS, MAX_NOTES
from skills.lists.words import WORDS
from tests.fakes.skill_turns import request

pytestmark = pytest.mark.unit
Slot = understanding_pb2.Slot


class Ada:
    """Somebody with lists, who may restart the platform."""

    def __init__(self, folder: Path | None, locale: str = "en", user: str = "ada") -> None:
        self.folder, self.locale, self.user = folder, locale, user
        self.asked = self.reason = ""
        self.shown: list[str] = []
        self._turns = 0
        self._host = SkillHost([LISTS], folder)

    def say(self, intent: str, *slots: Slot, key: str = "", confirmed: bool = False) -> str:
        self._turns += 1
        made = request(f"lists.{intent}", *slots, locale=self.locale, key=key or f"{id(self)}-{self._turns}")
        made.context.session.user_id, made.confirmed = self.user, confirmed
        return asyncio.run(self._say(made))

    def restarts(self) -> Ada:
        asyncio.run(self._host.close())
        return Ada(self.folder, self.locale, self.user)

    async def _say(self, made: skill_pb2.ExecuteRequest) -> str:
        events = [event async for event in self._host.execute(made)]
        self.asked = next((event.prompt.text.text for event in events if event.HasField("prompt")), "")
        self.shown = [event.display.content.decode() for event in events if event.HasField("display")]
        self.reason = events[-1].done.reason
        return "".join(event.answer.text for event in events)


def item(text: str) -> Slot:
    return Slot(name="item", text=text, value=value_pb2.Value(text=text))


def on(text: str, entity: str = "") -> Slot:
    slot = Slot(name="list", text=text, value=value_pb2.Value(text=text))
    if entity:
        slot.value.entity.entity_id, slot.value.entity.name = entity, text
    return slot


def note(text: str) -> Slot:
    return Slot(name="text", text=text, value=value_pb2.Value(text=text))


def scope(entity: str) -> Slot:
    return Slot(name="scope", value=value_pb2.Value(entity=value_pb2.EntityRef(entity_id=entity)))


@pytest.fixture
def ada(tmp_path: Path) -> Ada:
    return Ada(tmp_path)


@pytest.mark.parametrize(
    ("locale", "said", "added", "read", "removed"),
    [
        ("en", "milk, eggs and bread", "Shopping list: added milk, eggs, and bread.",
         "Shopping list, 3 things: milk, eggs, and bread.", "Shopping list: took off milk."),
        ("de", "Milch, Eier und Brot", "Einkaufsliste: Milch, Eier und Brot eingetragen.",
         "Einkaufsliste, 3 Einträge: Milch, Eier und Brot.", "Einkaufsliste: Milch gestrichen."),
        ("es", "leche, huevos y pan", "Lista de la compra: he añadido leche, huevos y pan.",
         "Lista de la compra, 3 cosas: leche, huevos y pan.", "Lista de la compra: he quitado leche."),
        ("fr", "du lait, des œufs et du pain", "Liste de courses : j'ai ajouté du lait, des œufs et du pain.",
         "Liste de courses, 3 choses : du lait, des œufs et du pain.", "Liste de courses : j'ai enlevé du lait."),
        ("it", "latte, uova e pane", "Lista della spesa: ho aggiunto latte, uova e pane.",
         "Lista della spesa, 3 cose: latte, uova e pane.", "Lista della spesa: ho tolto latte."),
    ],
)  # fmt: skip
def test_a_list_from_end_to_end(tmp_path: Path, locale: str, said: str, added: str, read: str, removed: str) -> None:
    ada = Ada(tmp_path, locale)
    assert ada.say("add", item(said)) == added
    ada = ada.restarts()
    assert ada.say("read") == read
    milk = {"en": "the milk", "de": "die Milch", "es": "la leche", "fr": "le lait", "it": "il latte"}[locale]
    assert ada.say("remove", item(milk)) == removed
    assert len(ada.shown) == 0
    ada.say("read")
    assert len(ada.shown[0].splitlines()) == 2


def test_a_list_is_one_in_every_language(ada: Ada) -> None:
    ada.say("add", item("milk"), on("shopping list", "shopping"))
    ada.locale = "de"
    assert ada.say("read", on("einkaufszettel", "shopping")) == "Einkaufsliste: milk."


def test_lists_of_ones_own(ada: Ada) -> None:
    assert ada.say("add", item("tent pegs"), on("camping")) == "List Camping: added tent pegs."
    assert ada.say("read", on("my Camping list")) == "List Camping: tent pegs."
    assert ada.say("read") == "List Camping: tent pegs."  # the only one
    ada.say("add", item("milk"))
    assert ada.say("read") == "Shopping list: milk."
    assert ada.say("show_lists") == "Your lists: List Camping and Shopping list."
    assert ada.say("remove", item("tent pegs")) == "List Camping: took off tent pegs."


def test_what_is_missing_is_asked(ada: Ada) -> None:
    for intent, question in (
        ("add", "What should I add?"),
        ("remove", "What should I take off?"),
        ("contains", "What should I look for?"),
        ("take_note", "What should I write down?"),
    ):
        assert ada.say(intent) == ""
        assert ada.asked == question


def test_nothing_is_there_twice(ada: Ada) -> None:
    ada.say("add", item("milk"))
    assert ada.say("add", item("Milk")) == "Milk: already there."
    assert ada.say("add", item("some milk and tea")) == "Shopping list: added tea. Some milk: already there."


def test_a_repeat_adds_once_after_a_restart_too(ada: Ada) -> None:
    first = ada.say("add", item("milk"), key="same")
    ada = ada.restarts()
    assert ada.say("add", item("milk"), key="same") == first
    ada.say("remove", item("milk"))
    assert ada.say("add", item("milk"), key="same") == first
    assert ada.say("read") == "Shopping list: nothing on it."


def test_users_have_their_own(ada: Ada, tmp_path: Path) -> None:
    ada.say("add", item("milk"))
    assert Ada(tmp_path, user="bob").say("read") == "Shopping list: nothing on it."


def test_what_is_not_there_is_admitted(ada: Ada) -> None:
    assert ada.say("remove", item("milk")) == "I cannot find milk on any of your lists."
    assert ada.reason == "NOT_ON_THE_LIST"
    ada.say("add", item("oat milk and soy milk"))
    ada.say("remove", item("milk"))
    assert ada.reason == "NOT_ON_THE_LIST", "which of the two was meant?"
    assert ada.say("remove", item("oat")) == "Shopping list: took off oat milk."
    assert ada.say("contains", item("milk")) == "Shopping list: yes, soy milk."
    assert ada.say("contains", item("bread")) == "Shopping list: I cannot find bread there."


def test_clearing_is_confirmed_first(ada: Ada) -> None:
    ada.say("add", item("milk"))
    with pytest.raises(SkillError, match="confirmed"):
        ada.say("clear")
    assert ada.say("read") == "Shopping list: milk."
    assert ada.say("clear", confirmed=True) == "Shopping list: empty now."
    assert ada.say("show_lists") == "You have no lists yet."


def test_of_several_lists_the_one_to_clear_is_asked_for(ada: Ada) -> None:
    ada.say("add", item("milk"))
    ada.say("add", item("tent"), on("camping"))
    ada.say("clear", confirmed=True)
    assert ada.asked == "Which list? List Camping and Shopping list."
    assert ada.say("clear", on("camping"), confirmed=True) == "List Camping: empty now."
    assert ada.say("clear", scope("all"), confirmed=True) == "All your lists are empty now."


def test_notes(ada: Ada) -> None:
    assert ada.say("read_notes") == "You have no notes."
    assert ada.say("take_note", note("the key is under the mat.")) == "Noted: the key is under the mat."
    ada.say("take_note", note("gate twelve at six"))
    ada = ada.restarts()
    assert ada.say("read_notes") == ("2 notes, the newest first: Gate twelve at six. The key is under the mat.")
    assert ada.say("read_notes", scope("last")) == "Your note: gate twelve at six."
    assert ada.say("read_notes", note("key")) == "Your note: the key is under the mat."
    assert ada.say("read_notes", note("dentist")) == "I found no such note."
    with pytest.raises(SkillError, match="confirmed"):
        ada.say("delete_notes")
    assert ada.say("delete_notes", note("gate"), confirmed=True) == "Note deleted."
    ada.say("take_note", note("one more"))
    assert ada.say("delete_notes", scope("last"), confirmed=True) == "Note deleted."
    assert ada.say("read_notes") == "Your note: the key is under the mat."
    ada.say("take_note", note("and another"))
    assert ada.say("delete_notes", confirmed=True) == "2 notes deleted."
    assert (ada.say("delete_notes", confirmed=True), ada.reason) == ("You have no notes.", "NO_SUCH_NOTE")


@pytest.mark.parametrize(
    ("language", "said", "expected"),
    [
        ("en", "milk, eggs and bread", ("milk", "eggs", "bread")),
        ("en", "salt and pepper, and also rice", ("salt", "pepper", "rice")),
        ("en", "wash the car and clean the garage", ("wash the car", "clean the garage")),
        ("en", "a card for aunt mary and uncle bob", ("a card for aunt mary and uncle bob",)),
        ("de", "Mehl und auch Zucker", ("Mehl", "Zucker")),
        ("es", "pan e higos", ("pan", "higos")),
        ("fr", "du sel et puis du poivre", ("du sel", "du poivre")),
        ("it", "pane ed olio", ("pane", "olio")),
        ("en", "1,5 litres of milk", ("1,5 litres of milk",)),
        ("en", "milk, Milk, MILK", ("milk",)),
        ("xx", "milk and eggs", ("milk", "eggs")),
        ("en", ", ,and", ()),
        ("en", "\0\x1b[31m\n", ("[31m",)),
    ],
)
def test_what_was_said_is_split(language: str, said: str, expected: tuple[str, ...]) -> None:
    assert things(said, language) == expected


def test_a_thing_to_do_is_not_split(ada: Ada) -> None:
    assert ada.say("add", item("call mum and dad"), on("to do list", "todo")) == "To-do list: added call mum and dad."


@pytest.mark.parametrize(
    ("language", "asked", "kept"),
    [
        ("en", "egg", "eggs"), ("de", "die Birne", "Birnen"), ("es", "el tomate", "tomates"),
        ("fr", "les pommes", "une pomme"), ("it", "la mela", "mele"), ("en", "cafe", "café"),
        ("fr", "l'huile", "de l'huile"),
    ],
)  # fmt: skip
def test_things_are_found_in_their_other_forms(language: str, asked: str, kept: str) -> None:
    assert found(asked, [kept], language) == [kept]


def test_a_list_has_an_end(ada: Ada) -> None:
    for start in range(0, MAX_ITEMS, 50):
        ada.say("add", item(", ".join(f"thing {number}" for number in range(start, start + 50))))
    assert ada.say("add", item("one more")) == "Shopping list: full. I could not add everything."
    assert ada.reason == "LIST_FULL"
    said = ada.say("read")
    assert said.startswith("Shopping list, 1000 things: thing 0, ")
    assert said.endswith("And 980 more.")
    assert len(said) < 4_000


def test_long_and_hostile_things(ada: Ada) -> None:
    assert len(ada.say("add", item("x" * 1_000_000))) < 1_000
    ada.say("add", item("tab\tand \x1b]0;bell\x07"))
    assert "\x1b" not in ada.say("read")
    for number in range(30):
        ada.say("add", item(f"{number}" + "\U0001f600" * 299))
    assert len(ada.say("read")) < 4_000
    assert ada.say("add", item("milk"), on("\0" * 500)) != ""
    assert ada.say("add", item("bread"), on("x" * 100_000)) != ""


def test_too_many_notes_are_refused() -> None:
    ada = Ada(None)  # in memory: five hundred times the disk would take its time
    for number in range(MAX_NOTES):
        ada.say("take_note", note(f"note {number}"))
    assert ada.say("take_note", note("one more")).startswith("You have 500 notes")
    assert ada.reason == "TOO_MANY_NOTES"
    assert ada.say("read_notes").endswith("And 490 more.")


@pytest.mark.parametrize("locale", sorted(WORDS))
def test_a_full_disk_is_admitted_and_loses_nothing(tmp_path: Path, locale: str) -> None:
    """A real limit of the operating system on what this process may write to a file."""
    ada = Ada(tmp_path, locale)
    ada.say("add", item("milk"))
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    size = max(path.stat().st_size for path in tmp_path.iterdir())
    said = ""
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        for number in range(20):
            said = ada.say("add", item(f"thing {number} " + "y" * 280))
            if ada.reason:
                break
        assert (said, ada.reason) == (WORDS[locale].storage_full, "STORAGE_FULL")
        assert "milk" in ada.say("read")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    ada = ada.restarts()
    assert "milk" in ada.say("read")
    assert ada.say("add", item("bread"))
    assert ada.reason == ""


def test_of_many_long_things_the_first_are_said_again() -> None:
    ada = Ada(None)
    many = item(", ".join(f"thing {number} {'x' * 200}" for number in range(50)))
    for intent in ("add", "add", "remove", "remove"):
        said = ada.say(intent, many)
        assert "thing 19" in said
        assert "thing 20" not in said
        assert len(said) < 2_000
    assert "And 30 more." in ada.say("add", many)


def test_a_damaged_file_is_admitted(tmp_path: Path) -> None:
    (tmp_path / "lists.sqlite3").write_bytes(b"rubbish" * 1000)
    ada = Ada(tmp_path)
    assert ada.say("read") == WORDS["en"].unreadable
    assert ada.say("add", item("milk")) == WORDS["en"].storage_failed
    assert ada.reason == "STORAGE_DAMAGED"


@pytest.mark.parametrize("locale", [*sorted(WORDS), "fr-CA", "xx"])
def test_everything_is_said_in_every_language(locale: str) -> None:
    ada = Ada(None, locale)
    for intent in ("read", "show_lists", "read_notes"):
        assert ada.say(intent)
    for number in range(25):
        ada.say("add", item(f"thing {number}"))
    ada.say("add", item("tent"), on("camping"))
    ada.say("take_note", note("one"))
    ada.say("take_note", note("two"))
    for intent, slots in (("read", ()), ("show_lists", ()), ("read_notes", ()), ("remove", (item("thing 3"),)),
                          ("contains", (item("tent"), on("camping"))), ("clear", (scope("all"),)),
                          ("delete_notes", ())):  # fmt: skip
        said = ada.say(intent, *slots, confirmed=True)
        assert said
        assert "{" not in said
