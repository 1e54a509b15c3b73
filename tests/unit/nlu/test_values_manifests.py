"""What our own skills count on: the examples of their phrases are values, and so is an amount of every unit."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from services.nlu.skills import slots_in
from services.nlu.text import tokenise
from services.nlu.values.kinds import Quantity
from tests.unit.nlu.value_tables import a_finder

pytestmark = pytest.mark.unit

SKILLS = sorted((Path(__file__).parents[3] / "skills").glob("*/manifest.yaml"))
READ_HERE = {
    "integer",
    "quantity",
    "money",
    "date",
    "time",
    "datetime",
    "duration",
    "recurrence",
    "interval",
    "expression",
}
NO_SINGLE_DAY = {"am wochenende", "this weekend", "este fin de semana", "ce week-end", "nel fine settimana"}
NOT_READ_YET = {"due alla decima"}
UNITS_THAT_ARE_NUMBERS_TOO = {"k", "mille", "mille marin", "mille nautique"}


def manifest(path: Path) -> Any:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def examples(path: Path) -> Iterator[tuple[str, str, str]]:
    """(type, locale, words) of each example of a typed slot."""
    for intent in manifest(path)["intents"]:
        types = {slot["name"]: slot["value_type"] for slot in intent.get("slots") or []}
        for locale, phrases in (intent.get("phrases") or {}).items():
            for phrase in phrases:
                yield from ((types[name], locale, words) for name, words in slots_in(phrase) if words)


@pytest.mark.parametrize("path", SKILLS, ids=lambda path: path.parent.name)
def test_every_example_of_a_phrase_is_a_value(path: Path) -> None:
    finders = {locale: a_finder(locale.partition("-")[0]) for locale in manifest(path)["locales"]}
    unread = {
        (kind, locale, words)
        for kind, locale, words in examples(path)
        if kind in READ_HERE
        and words not in NO_SINGLE_DAY | NOT_READ_YET
        and not finders[locale].read(kind.upper(), tokenise(words))
    }
    assert unread == set()


def test_an_amount_of_every_unit_is_a_quantity() -> None:
    path = next(path for path in SKILLS if path.parent.name == "units")
    (catalogue,) = (one for one in manifest(path)["catalogues"] if one["name"] == "units")
    unread = set()
    for entry in catalogue["entries"]:
        for locale, names in entry["names"].items():
            for name in {*names} - UNITS_THAT_ARE_NUMBERS_TOO:
                values = a_finder(locale).read("QUANTITY", tokenise(f"5 {name}"))
                if entry["entity_id"] not in {value.unit for value in values if isinstance(value, Quantity)}:
                    unread.add((entry["entity_id"], locale, name))
    assert unread == set()
