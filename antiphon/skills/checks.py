"""What is wrong with a manifest, everything at once: `antiphon skill test` prints it, authors' own tests may call it.

The registry refuses what is an error here. A warning is what it would take, though it is hardly what was meant: a
phrase of two intents, a required slot that nobody would be asked for.
"""

from __future__ import annotations

import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from antiphon.skill.v1 import manifest_pb2
from antiphon.types.v1 import value_pb2

MAX_BYTES: Final = 4 << 20
MAX_INTENTS: Final = 200
MAX_SLOTS: Final = 32
MAX_PHRASES: Final = 2_000
MAX_PHRASE: Final = 300
MAX_LOCALES: Final = 200
MAX_ENTRIES: Final = 10_000
MAX_DESCRIPTION: Final = 500
MAX_TIMEOUT_S: Final = 8

_NAME: Final = re.compile(r"[a-z][a-z0-9_]{0,63}")
_VERSION: Final = re.compile(r"\d+\.\d+\.\d+([-+][0-9A-Za-z.+-]+)?")
_TAG: Final = re.compile(r"[A-Za-z]{2,8}(?:-[A-Za-z0-9]{1,8})*")
_PLACEHOLDER: Final = re.compile(r"\{([^{}|]*)(?:\|([^{}]*))?\}")
_NAMING: Final = "lower case letters, digits and underscores, beginning with a letter, at most 64"


@dataclass(frozen=True)
class Finding:
    """Something to mend: where (`intents[2].phrases[de][7]`), what, and whether it keeps the skill from registering."""

    where: str
    message: str
    error: bool = True


def findings(manifest: manifest_pb2.SkillManifest) -> list[Finding]:
    """Errors first, each as it stands in the manifest; empty when all is well."""
    if manifest.ByteSize() > MAX_BYTES:
        return [Finding("manifest", f"is {manifest.ByteSize():,} bytes; at most {MAX_BYTES:,}")]
    found = [*_identity(manifest), *_catalogues(manifest), *_overlaps(manifest)]
    seen: set[str] = set()
    for number, intent in enumerate(manifest.intents):
        where = f"intents[{number}] ({intent.name})"
        if intent.name in seen:
            found.append(Finding(f"{where}.name", "is there twice; each intent once"))
        seen.add(intent.name)
        found += [*_intent(where, intent), *_slots(where, intent, manifest), *_phrases(where, intent, manifest)]
    return sorted(found, key=lambda finding: not finding.error)


def _identity(manifest: manifest_pb2.SkillManifest) -> Iterator[Finding]:
    if not _NAME.fullmatch(manifest.skill_id):
        yield Finding("skill_id", f"'{manifest.skill_id[:80]}': {_NAMING}, such as water")
    if not _VERSION.fullmatch(manifest.version):
        yield Finding("version", f"'{manifest.version[:80]}': a semantic version such as 1.0.0")
    if not 1 <= len(manifest.locales) <= MAX_LOCALES:
        yield Finding("locales", f"{len(manifest.locales)}; 1 to {MAX_LOCALES} BCP-47 tags such as en or de-AT")
    if not 1 <= len(manifest.intents) <= MAX_INTENTS:
        yield Finding("intents", f"{len(manifest.intents)}; 1 to {MAX_INTENTS}")
    yield from _languages(manifest)


def _languages(manifest: manifest_pb2.SkillManifest) -> Iterator[Finding]:
    for tag in manifest.locales:
        if not _TAG.fullmatch(tag):
            yield Finding("locales", f"'{tag[:80]}' is no BCP-47 tag such as en or de-AT")
    for text in manifest.descriptions:
        if len(text.text) > MAX_DESCRIPTION:
            message = f"{len(text.text)} characters; at most {MAX_DESCRIPTION}"
            yield Finding(f"descriptions[{text.language_code}]", message)
    spoken = {text.language_code for text in manifest.display_names}
    for tag in manifest.locales:
        if spoken and tag not in spoken:
            yield Finding(f"display_names[{tag}]", "is missing: the assistant calls the skill by it", error=False)


def _intent(where: str, intent: manifest_pb2.IntentDefinition) -> Iterator[Finding]:
    if not _NAME.fullmatch(intent.name):
        yield Finding(f"{where}.name", _NAMING)
    if not intent.risk:
        yield Finding(f"{where}.risk", "say low, medium or high; unsaid it counts as high")
    if not intent.side_effect:
        yield Finding(f"{where}.side_effect", "say none, reversible or irreversible; unsaid it counts as irreversible")
    if intent.risk == manifest_pb2.RISK_HIGH and intent.side_effect == manifest_pb2.SIDE_EFFECT_NONE:
        yield Finding(f"{where}.risk", "an intent that changes nothing cannot be of high risk")
    if intent.side_effect == manifest_pb2.SIDE_EFFECT_IRREVERSIBLE and intent.risk == manifest_pb2.RISK_LOW:
        message = "low, though it cannot be undone: nobody is asked before it happens"
        yield Finding(f"{where}.risk", message, error=False)
    seconds = intent.timeout.seconds + intent.timeout.nanos * 1e-9
    if not 0 <= seconds <= MAX_TIMEOUT_S:
        yield Finding(f"{where}.timeout", f"{seconds:g} s; at most {MAX_TIMEOUT_S} s")
    if not any(table.phrases for table in intent.phrases):
        yield Finding(f"{where}.phrases", "has none: nobody can say it", error=False)


def _slots(
    where: str, intent: manifest_pb2.IntentDefinition, manifest: manifest_pb2.SkillManifest
) -> Iterator[Finding]:
    if len(intent.slots) > MAX_SLOTS:
        yield Finding(f"{where}.slots", f"{len(intent.slots)}; at most {MAX_SLOTS}")
    catalogues = {catalogue.name for catalogue in manifest.catalogues}
    used = {name for table in intent.phrases for phrase in table.phrases for name, _ in _PLACEHOLDER.findall(phrase)}
    seen: set[str] = set()
    for number, slot in enumerate(intent.slots):
        at = f"{where}.slots[{number}] ({slot.name})"
        if not _NAME.fullmatch(slot.name) or slot.name in seen:
            yield Finding(f"{at}.name", f"{_NAMING}; each slot once")
        seen.add(slot.name)
        if not slot.value_type:
            yield Finding(f"{at}.value_type", "a type such as text, duration or entity")
        if slot.value_type == value_pb2.VALUE_TYPE_ENTITY and slot.catalogue not in catalogues:
            there = ", ".join(sorted(catalogues)) or "none"
            yield Finding(f"{at}.catalogue", f"'{slot.catalogue}' is no catalogue of this skill (there: {there})")
        if slot.name not in used:
            yield Finding(at, "stands in no phrase: nobody can fill it", error=slot.required)
        prompted = {prompt.language_code for prompt in slot.prompts}
        for tag in manifest.locales if slot.required else ():
            if tag not in prompted:
                yield Finding(
                    f"{at}.prompts[{tag}]", "is missing: the slot is required, and asked for by it", error=False
                )


def _phrases(
    where: str, intent: manifest_pb2.IntentDefinition, manifest: manifest_pb2.SkillManifest
) -> Iterator[Finding]:
    slots = {slot.name: slot.value_type for slot in intent.slots}
    spoken = {table.language_code for table in intent.phrases if table.phrases}
    for tag in manifest.locales:
        if spoken and tag not in spoken and tag.partition("-")[0] not in spoken:
            yield Finding(f"{where}.phrases[{tag}]", "is missing, though the skill answers in it", error=False)
    for table in intent.phrases:
        tag = table.language_code
        if tag not in manifest.locales and all(locale.partition("-")[0] != tag for locale in manifest.locales):
            yield Finding(f"{where}.phrases[{tag}]", f"'{tag}' is not among the skill's locales")
        if len(table.phrases) > MAX_PHRASES:
            yield Finding(f"{where}.phrases[{tag}]", f"{len(table.phrases)}; at most {MAX_PHRASES}")
        for number, phrase in enumerate(table.phrases[:MAX_PHRASES]):
            yield from _phrase(f"{where}.phrases[{tag}][{number}]", phrase, slots)


def _phrase(at: str, phrase: str, slots: Mapping[str, int]) -> Iterator[Finding]:
    shown = phrase[:60] if phrase.isprintable() else repr(phrase[:60])
    if not phrase.strip() or len(phrase) > MAX_PHRASE:
        yield Finding(at, f"'{shown}' has {len(phrase)} characters; 1 to {MAX_PHRASE}")
        return
    if any(unicodedata.category(char) in ("Cc", "Cs") for char in phrase):
        yield Finding(at, f"'{shown}' holds control characters")
    names = [name for name, _ in _PLACEHOLDER.findall(phrase)]
    for name in names:
        if name not in slots:
            yield Finding(at, f"'{shown}': {{{name[:60]}}} is no slot of this intent")
    rest = _PLACEHOLDER.sub(" ", phrase)
    if "{" in rest or "}" in rest:
        yield Finding(at, f"'{shown}': a brace without its other half")
    # Nobody says a calculation but to have it computed.
    if not rest.strip() and len(names) == 1 and slots.get(names[0]) != value_pb2.VALUE_TYPE_EXPRESSION:
        yield Finding(at, f"'{shown}' is nothing but a slot: it would read everything as this intent", error=False)
    if any(char.isdigit() for char in rest):
        yield Finding(at, f"'{shown}': write numbers as words, as a recogniser hears them", error=False)


def _catalogues(manifest: manifest_pb2.SkillManifest) -> Iterator[Finding]:
    for number, catalogue in enumerate(manifest.catalogues):
        where = f"catalogues[{number}] ({catalogue.name})"
        if not _NAME.fullmatch(catalogue.name):
            yield Finding(f"{where}.name", _NAMING)
        if len(catalogue.entries) > MAX_ENTRIES:
            yield Finding(f"{where}.entries", f"{len(catalogue.entries)}; at most {MAX_ENTRIES}")
        ids = [entry.entity_id for entry in catalogue.entries]
        for twice in sorted({one for one in ids if ids.count(one) > 1}) if len(ids) <= MAX_ENTRIES else ():
            yield Finding(f"{where}.entries", f"'{twice[:80]}' is there twice; each entity_id once")
        for entry in catalogue.entries:
            if not entry.entity_id or not entry.names:
                yield Finding(f"{where}.entries", f"'{entry.entity_id[:80]}' needs an entity_id and a name")
                break


def _shape(phrase: str, kinds: Mapping[str, str]) -> str:
    """The phrase with the kinds of its slots in place of their names."""
    shape = _PLACEHOLDER.sub(lambda slot: kinds.get(slot[1], "{}"), phrase[:MAX_PHRASE].casefold())
    return " ".join(shape.split())


def _overlaps(manifest: manifest_pb2.SkillManifest) -> Iterator[Finding]:
    """Phrases that are the same but for what their slots are called: nobody can tell which intent is meant.

    "Open the {device}" and "open the {door}" are told apart by what stands in their catalogues.
    """
    seen: dict[tuple[str, str], list[tuple[str, str]]] = defaultdict(list)
    for intent in manifest.intents:
        kinds = {slot.name: f"{{{slot.value_type} {slot.catalogue}}}" for slot in intent.slots}
        for table in intent.phrases:
            for phrase in table.phrases[:MAX_PHRASES]:
                seen[table.language_code, _shape(phrase, kinds)].append((intent.name, phrase))
    for (tag, _), meant in seen.items():
        names = sorted({name for name, _ in meant})
        if len(names) > 1:
            message = f"'{meant[0][1][:60]}' means {' and '.join(names)}: ranking would have to guess"
            yield Finding(f"phrases[{tag}]", message, error=False)
        elif len(meant) > 1 and len({phrase for _, phrase in meant}) < len(meant):
            yield Finding(f"phrases[{tag}]", f"'{meant[0][1][:60]}' of {names[0]} is there twice", error=False)
