"""Skills as understanding knows them: intents with their phrases, slots and catalogues, free of any wire format.

`manifests.py` makes them from the contract's messages, `library.py` keeps them, the phrase engine reads by them and the
interpreter asks them who claims a label. `checked` refuses what cannot be read by; it runs before anything is kept.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from services.nlu.values.entities import Catalogue
from services.runtime.errors import InvalidInput

MAX_INTENTS = 200
MAX_PHRASES = 2_000
"""Phrases of one intent in one locale, as the contract has it."""

MAX_ALL_PHRASES = 20_000
"""Phrases of one skill in all locales: what a replica builds its index from in about a second."""

MAX_PHRASE = 300
"""Code points of one phrase; people do not say longer ones."""

MAX_PHRASE_SLOTS = 8
MAX_SLOTS = 50
MAX_LABELS = 50
MAX_ENTRIES = 20_000
"""Entries of all catalogues of one skill."""

MAX_NAME = 200
"""Code points of one name in a catalogue."""

TEXT = "TEXT"
ENTITY = "ENTITY"
"""Types of slots go by the names of the contract's ValueType without its prefix; these two are read apart."""

_NAME = re.compile(r"[a-z0-9_]{1,64}")
_VERSION = re.compile(r"[0-9]+\.[0-9]+\.[0-9]+(?:[-+][0-9A-Za-z.+-]{1,64})?")
_SLOT = re.compile(r"\{([a-z0-9_]{1,64})(?:\|([^{}|]{1,200}))?\}")
_LABEL = re.compile(r"[a-z0-9_]{1,32}:[a-z0-9_]{1,64}")


@dataclass(frozen=True, slots=True)
class SlotSpec:
    """A slot of an intent. `value_type` as in the contract; `catalogue` is a name of the same skill or of the user.

    Attributes:
        labels: of public taxonomies that fill it, as "massive:date".
    """

    name: str
    value_type: str = TEXT
    catalogue: str = ""
    required: bool = False
    repeated: bool = False
    carry_over: bool = False
    labels: tuple[str, ...] = ()


@dataclass(frozen=True)
class Intent:
    """One thing a skill can be asked; phrases by locale, slots in them as "{name}" or "{name|example}"."""

    skill: str
    name: str
    slots: tuple[SlotSpec, ...] = ()
    phrases: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    negatives: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    labels: tuple[str, ...] = ()

    @cached_property
    def full_name(self) -> str:
        return f"{self.skill}.{self.name}"

    @cached_property
    def taxonomies(self) -> Mapping[str, tuple[str, ...]]:
        """Its labels by the taxonomy that they are of ("massive")."""
        names = dict.fromkeys(label.partition(":")[0] for label in self.labels)
        return {name: tuple(one for one in self.labels if one.startswith(f"{name}:")) for name in names}

    def slot(self, name: str) -> SlotSpec | None:
        return next((one for one in self.slots if one.name == name), None)


@dataclass(frozen=True)
class Skill:
    """What is known of one skill. `digest` tells two manifests of the same version apart."""

    skill_id: str
    version: str
    locales: tuple[str, ...]
    intents: tuple[Intent, ...]
    catalogues: tuple[Catalogue, ...] = ()
    digest: str = ""

    @cached_property
    def phrase_count(self) -> int:
        return sum(len(said) for intent in self.intents for said in intent.phrases.values())


def slots_in(phrase: str) -> Iterator[tuple[str, str]]:
    """Name and example of each slot in a phrase; the example is empty where none is given."""
    for match in _SLOT.finditer(phrase):
        yield match.group(1), match.group(2) or ""


def parts_of(phrase: str) -> Iterator[tuple[str, bool]]:
    """The pieces of a phrase in order: (words, False) or (name of a slot, True)."""
    at = 0
    for match in _SLOT.finditer(phrase):
        if phrase[at : match.start()].strip():
            yield phrase[at : match.start()], False
        yield match.group(1), True
        at = match.end()
    if phrase[at:].strip():
        yield phrase[at:], False


def checked(skill: Skill) -> tuple[str, ...]:
    """Warnings about a skill that can be read by.

    Raises:
        InvalidInput: `MANIFEST_INVALID` or `MANIFEST_TOO_LARGE`, with the field that is wrong.
    """
    if not _NAME.fullmatch(skill.skill_id):
        raise _invalid("skill_id has 1 to 64 lower case letters, digits and underscores.", "manifest.skill_id")
    if not _VERSION.fullmatch(skill.version):
        raise _invalid("version is a SemVer such as 1.0.0.", "manifest.version")
    if not skill.locales:
        raise _invalid("A skill names at least one locale.", "manifest.locales")
    if not 0 < len(skill.intents) <= MAX_INTENTS:
        raise _invalid(f"A skill has 1 to {MAX_INTENTS} intents, not {len(skill.intents)}.", "manifest.intents")
    if skill.phrase_count > MAX_ALL_PHRASES:
        raise _too_large(
            f"A skill has at most {MAX_ALL_PHRASES} phrases, not {skill.phrase_count}.", "manifest.intents"
        )
    _unique([intent.name for intent in skill.intents], "intents", "manifest.intents")
    _unique([one.name for one in skill.catalogues], "catalogues", "manifest.catalogues")
    _check_catalogues(skill.catalogues)
    warnings = [warning for at, intent in enumerate(skill.intents) for warning in _check_intent(skill, intent, at)]
    return tuple(warnings)


def shared_phrases(skill: Skill, others: Sequence[Skill]) -> tuple[str, ...]:
    """A warning for each pair of intents, of this skill and another, that claim the same phrase."""
    own: dict[tuple[str, str], Intent] = {}
    for intent in skill.intents:
        for locale, said in intent.phrases.items():
            own.update({(locale, _plain(intent, phrase)): intent for phrase in said})
    found: dict[tuple[str, str], list[str]] = {}
    for other in others:
        if other.skill_id == skill.skill_id:
            continue
        for intent in other.intents:
            for locale, said in intent.phrases.items():
                for phrase in said:
                    mine = own.get((locale, _plain(intent, phrase)))
                    if mine is not None:
                        found.setdefault((mine.full_name, intent.full_name), []).append(f"{phrase!r} ({locale})")
    return tuple(
        f"{mine} and {other} share {len(said)} phrase{'s' * (len(said) > 1)}, such as {said[0]}"
        for (mine, other), said in found.items()
    )


def _plain(intent: Intent, phrase: str) -> str:
    """The phrase with the types of its slots: two that differ in these alone are told apart by the values."""
    types = {slot.name: f"{slot.value_type} {slot.catalogue}" for slot in intent.slots}
    return _SLOT.sub(lambda match: f"{{{types[match.group(1)]}}}", " ".join(phrase.casefold().split()))


def _check_intent(skill: Skill, intent: Intent, at: int) -> Iterator[str]:
    place = f"manifest.intents[{at}]"
    if not _NAME.fullmatch(intent.name):
        raise _invalid("An intent's name has 1 to 64 lower case letters, digits and underscores.", f"{place}.name")
    if len(intent.slots) > MAX_SLOTS:
        raise _too_large(f"An intent has at most {MAX_SLOTS} slots, not {len(intent.slots)}.", f"{place}.slots")
    _unique([slot.name for slot in intent.slots], "slots", f"{place}.slots")
    known = {one.name for one in skill.catalogues}
    for number, slot in enumerate(intent.slots):
        _check_slot(slot, f"{place}.slots[{number}]")
        if slot.catalogue and slot.catalogue not in known:
            yield f"{intent.full_name}: slot {slot.name} takes catalogue {slot.catalogue}, which this manifest lacks"
    _check_labels(intent.labels, f"{place}.labels")
    yield from _check_phrases(skill, intent, intent.phrases, f"{place}.phrases")
    yield from _check_phrases(skill, intent, intent.negatives, f"{place}.negative_phrases")
    if not any(intent.phrases.values()) and not intent.labels:
        yield f"{intent.full_name} has neither phrases nor labels: nothing leads to it"


def _check_slot(slot: SlotSpec, place: str) -> None:
    if not _NAME.fullmatch(slot.name):
        raise _invalid("A slot's name has 1 to 64 lower case letters, digits and underscores.", f"{place}.name")
    if slot.value_type == ENTITY and not slot.catalogue:
        raise _invalid("A slot of type ENTITY names its catalogue.", f"{place}.catalogue")
    _check_labels(slot.labels, f"{place}.labels")


def _check_phrases(skill: Skill, intent: Intent, said: Mapping[str, tuple[str, ...]], place: str) -> Iterator[str]:
    for locale, phrases in said.items():
        if len(phrases) > MAX_PHRASES:
            raise _too_large(f"An intent has at most {MAX_PHRASES} phrases in a locale, not {len(phrases)}.", place)
        if locale not in skill.locales:
            yield f"{intent.full_name} has phrases for {locale}, which the manifest does not name"
        for number, phrase in enumerate(phrases):
            _check_phrase(intent, phrase, f"{place}[{locale}][{number}]")


def _check_phrase(intent: Intent, phrase: str, place: str) -> None:
    if not phrase.strip():
        raise _invalid("A phrase is empty.", place)
    if len(phrase) > MAX_PHRASE:
        raise _too_large(f"A phrase has at most {MAX_PHRASE} code points, not {len(phrase)}.", place)
    if any(ord(char) < ord(" ") for char in phrase):
        raise _invalid("A phrase holds control characters.", place)
    names = [name for name, _ in slots_in(phrase)]
    if "{" in _SLOT.sub("", phrase) or "}" in _SLOT.sub("", phrase):
        raise _invalid('A slot in a phrase is written "{name}" or "{name|example}".', place)
    if len(names) > MAX_PHRASE_SLOTS or len(set(names)) < len(names):
        raise _invalid(f"A phrase has at most {MAX_PHRASE_SLOTS} slots, each once.", place)
    for name in names:
        if intent.slot(name) is None:
            raise _invalid(f"The intent has no slot of the name that the phrase takes ({name}).", place)


def _check_labels(labels: Sequence[str], place: str) -> None:
    if len(labels) > MAX_LABELS:
        raise _too_large(f"At most {MAX_LABELS} labels, not {len(labels)}.", place)
    for at, label in enumerate(labels):
        if not _LABEL.fullmatch(label):
            raise _invalid('A label is written "taxonomy:label", as "massive:alarm_set".', f"{place}[{at}]")


def _check_catalogues(catalogues: Sequence[Catalogue]) -> None:
    count = sum(len(one.entries) for one in catalogues)
    if count > MAX_ENTRIES:
        raise _too_large(
            f"A skill's catalogues have at most {MAX_ENTRIES} entries, not {count}.", "manifest.catalogues"
        )
    for at, catalogue in enumerate(catalogues):
        place = f"manifest.catalogues[{at}]"
        if not _NAME.fullmatch(catalogue.name):
            raise _invalid("A catalogue's name has 1 to 64 lower case letters, digits and underscores.", place)
        _unique([entry.entity_id for entry in catalogue.entries], "entries", place)
        for number, entry in enumerate(catalogue.entries):
            if not entry.entity_id or len(entry.entity_id) > MAX_NAME:
                raise _invalid(f"An entity_id has 1 to {MAX_NAME} characters.", f"{place}.entries[{number}]")
            names = [name for said in entry.names.values() for name in said]
            if any(not name.strip() or len(name) > MAX_NAME for name in names):
                raise _invalid(f"A name has 1 to {MAX_NAME} code points.", f"{place}.entries[{number}].names")


def _unique(names: Sequence[str], what: str, place: str) -> None:
    if len(set(names)) < len(names):
        raise _invalid(f"Two {what} have the same name.", place)


def _invalid(message: str, place: str) -> InvalidInput:
    return InvalidInput(message, reason="MANIFEST_INVALID", field=place)


def _too_large(message: str, place: str) -> InvalidInput:
    return InvalidInput(message, reason="MANIFEST_TOO_LARGE", field=place)
