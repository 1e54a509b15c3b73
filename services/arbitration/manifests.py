"""What a skill says of itself, as arbitration reads it.

`registry_of_skills` keeps these, `stages.shortlist` and `stages.decide` read them. A manifest comes from a third party:
`problems` finds everything wrong with it at once, because whoever wrote it wants to mend it in one go.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from services.arbitration.hypotheses import Risk

SKILL_ID: Final = re.compile(r"[a-z][a-z0-9_]{0,63}")
INTENT_NAME: Final = re.compile(r"[a-z][a-z0-9_]{0,63}\.[a-z][a-z0-9_]{0,63}")
"""`skill_id.name`, such as `clock.time`."""

SLOT_NAME: Final = re.compile(r"[a-z][a-z0-9_]{0,63}")
VERSION: Final = re.compile(r"\d+\.\d+\.\d+([-+][0-9A-Za-z.+-]+)?")

MAX_VERSION: Final = 64
MAX_INTENTS: Final = 200
MAX_SLOTS: Final = 32
MAX_PHRASES: Final = 2_000
MAX_PHRASE: Final = 300
MAX_LOCALES: Final = 200
MAX_CATALOGUE: Final = 10_000
MAX_BYTES: Final = 4_000_000
"""Of the whole manifest, as the contract serialises it: what a message of the platform holds."""


@dataclass(frozen=True, slots=True)
class SlotSpec:
    """A value an intent takes.

    Attributes:
        type: one of the contract's value types.
        questions: ask for it, by locale.
        carry_over: a value of an earlier turn may be taken over.
        catalogue: name of the skill's own list of its values; empty if it has none.
    """

    name: str
    type: str
    required: bool = False
    questions: Mapping[str, str] = field(default_factory=dict)
    carry_over: bool = False
    catalogue: str = ""


@dataclass(frozen=True, slots=True)
class IntentSpec:
    """Something the skill can be asked.

    Attributes:
        name: the full one, `skill_id.name`.
        phrases: what people say, by locale, with slots as `{name}` or `{name|example}`.
        side_effects: an execution changes something in the world.
        ask_first: the skill wants to be asked by CanFulfill before it is chosen.
        needs_screen: the answer has to be shown.
        timeout: seconds an execution may take; None takes the platform's budget, which also bounds it.
    """

    name: str
    slots: tuple[SlotSpec, ...] = ()
    phrases: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    risk: Risk = Risk.LOW
    side_effects: bool = False
    ask_first: bool = True
    needs_screen: bool = False
    timeout: float | None = None


@dataclass(frozen=True, slots=True)
class Manifest:
    """A skill.

    Attributes:
        locales: BCP-47 tags it answers in.
        publisher: who answers for it.
        names: what it is called, by locale.
        catalogues: how many entries each of its catalogues has.
        permissions: what it asks for, by the contract's names.
        wire: the manifest as the contract serialises it; opaque here, given back by the registry service.
    """

    id: str
    version: str
    locales: tuple[str, ...]
    intents: tuple[IntentSpec, ...]
    publisher: str = ""
    names: Mapping[str, str] = field(default_factory=dict)
    catalogues: Mapping[str, int] = field(default_factory=dict)
    permissions: tuple[str, ...] = ()
    wire: bytes = b""

    def intent(self, name: str) -> IntentSpec | None:
        """The intent of that name."""
        return next((intent for intent in self.intents if intent.name == name), None)


@dataclass(frozen=True, slots=True)
class Problem:
    """Something wrong with a manifest: where (a path such as `intents[2].name`) and what would be right."""

    field: str
    message: str


def problems(manifest: Manifest) -> tuple[Problem, ...]:
    """Everything that keeps the manifest from being registered; empty when it is sound."""
    return (*_identity(manifest), *_intents(manifest), *_catalogues(manifest))


def _identity(manifest: Manifest) -> Iterator[Problem]:
    if not SKILL_ID.fullmatch(manifest.id):
        yield Problem("skill_id", "lower case letters, digits and underscores, 1 to 64 characters, such as clock")
    if not VERSION.fullmatch(manifest.version) or len(manifest.version) > MAX_VERSION:
        yield Problem("version", f"a semantic version such as 1.2.0, at most {MAX_VERSION} characters")
    if not 1 <= len(manifest.locales) <= MAX_LOCALES:
        yield Problem("locales", f"1 to {MAX_LOCALES} BCP-47 tags")
    if not 1 <= len(manifest.intents) <= MAX_INTENTS:
        yield Problem("intents", f"1 to {MAX_INTENTS} intents")


def _intents(manifest: Manifest) -> Iterator[Problem]:
    seen: set[str] = set()
    for number, intent in enumerate(manifest.intents):
        path = f"intents[{number}]"
        if not INTENT_NAME.fullmatch(intent.name) or intent.name.partition(".")[0] != manifest.id:
            yield Problem(f"{path}.name", "lower case letters, digits and underscores, 1 to 64 characters")
        if intent.name in seen:
            yield Problem(f"{path}.name", "each intent once")
        seen.add(intent.name)
        if intent.risk is Risk.HIGH and not intent.side_effects:
            yield Problem(f"{path}.risk", "an intent without side effects cannot be of high risk")
        yield from _slots(path, intent)
        yield from _phrases(path, intent)


def _slots(path: str, intent: IntentSpec) -> Iterator[Problem]:
    if len(intent.slots) > MAX_SLOTS:
        yield Problem(f"{path}.slots", f"at most {MAX_SLOTS} slots")
    seen: set[str] = set()
    for number, slot in enumerate(intent.slots):
        if not SLOT_NAME.fullmatch(slot.name) or slot.name in seen:
            yield Problem(f"{path}.slots[{number}].name", "a lower-case name, each once, such as place")
        if not slot.type:
            yield Problem(f"{path}.slots[{number}].value_type", "a type")
        seen.add(slot.name)


_PLACEHOLDER: Final = re.compile(r"\{([^{}|]*)(?:\|[^{}]*)?\}")


def _phrases(path: str, intent: IntentSpec) -> Iterator[Problem]:
    slots = {slot.name for slot in intent.slots}
    for locale, phrases in intent.phrases.items():
        where = f"{path}.phrases[{locale}]"
        if len(phrases) > MAX_PHRASES or any(not 0 < len(phrase) <= MAX_PHRASE for phrase in phrases):
            yield Problem(where, f"at most {MAX_PHRASES} phrases of 1 to {MAX_PHRASE} characters")
        unknown = {name for phrase in phrases for name in _PLACEHOLDER.findall(phrase)} - slots
        if unknown:
            yield Problem(where, f"placeholders name slots of the intent; unknown: {', '.join(sorted(unknown))}")


def _catalogues(manifest: Manifest) -> Iterator[Problem]:
    if len(manifest.wire) > MAX_BYTES:
        yield Problem("manifest", f"at most {MAX_BYTES} bytes")
    for name, entries in manifest.catalogues.items():
        if not SLOT_NAME.fullmatch(name) or entries > MAX_CATALOGUE:
            yield Problem(f"catalogues[{name}]", f"a lower-case name with at most {MAX_CATALOGUE} entries")
