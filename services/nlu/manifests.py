"""From the contract's manifests and catalogues to skills of the domain; nothing else.

The servicer calls it for `UpdateSkill` and for the user's own catalogues, the library for what it reads from the
store. Sizes are checked on the message, before anything is made of it.
"""

from __future__ import annotations

import hashlib
import unicodedata
from collections import OrderedDict, defaultdict
from collections.abc import Iterable, Mapping

from antiphon.skill.v1 import manifest_pb2
from antiphon.types.v1 import text_pb2, value_pb2
from services.nlu.skills import MAX_ALL_PHRASES, MAX_ENTRIES, TEXT, Intent, Skill, SlotSpec
from services.nlu.values.entities import Catalogue, CatalogueEntry
from services.runtime.errors import InvalidInput
from services.runtime.language import canonical

MAX_BYTES = 4_000_000
"""Of one manifest as it travels."""

_MOST_KEPT = 256
MOST_ENTRIES = 20_000
"""Entries of users' own catalogues that are kept; with its index one takes some kilobytes."""


def skill_of(manifest: manifest_pb2.SkillManifest) -> Skill:
    """The skill; not yet checked beyond size and language tags.

    Raises:
        InvalidInput: `MANIFEST_TOO_LARGE`, `MANIFEST_INVALID` or `LANGUAGE_TAG_MALFORMED`.
    """
    _check_size(manifest)
    return Skill(
        skill_id=manifest.skill_id,
        version=manifest.version,
        locales=tuple(canonical(tag, field=f"manifest.locales[{at}]") for at, tag in enumerate(manifest.locales)),
        intents=tuple(_intent(manifest.skill_id, one, at) for at, one in enumerate(manifest.intents)),
        catalogues=catalogues_of(manifest.catalogues),
        digest=hashlib.sha256(manifest.SerializeToString(deterministic=True)).hexdigest(),
    )


def catalogues_of(catalogues: Iterable[manifest_pb2.Catalogue]) -> tuple[Catalogue, ...]:
    return tuple(
        Catalogue(
            one.name,
            one.closed,
            tuple(
                CatalogueEntry(entry.entity_id, _by_locale(entry.names), entry.weight or 1.0) for entry in one.entries
            ),
        )
        for one in catalogues
    )


class OwnCatalogues:
    """Catalogues that requests bring along, the same for every partial of an utterance: made and indexed once.

    A user's names stay in memory until others take their place. They are found by a digest of all that was sent, so
    that nobody is understood by the names of somebody else.

    Args:
        most: entries that are kept together; the catalogue of the request itself always is.
    """

    def __init__(self, most: int = MOST_ENTRIES) -> None:
        self._most = most
        self._kept: OrderedDict[bytes, Catalogue] = OrderedDict()

    def of(self, sent: Iterable[manifest_pb2.Catalogue]) -> tuple[Catalogue, ...]:
        """The catalogues of one request; the same objects for the same content."""
        return tuple(self._one(catalogue) for catalogue in sent)

    def _one(self, sent: manifest_pb2.Catalogue) -> Catalogue:
        key = hashlib.blake2b(sent.SerializeToString(deterministic=True), digest_size=16).digest()
        made = self._kept.get(key)
        if made is None:
            (made,) = catalogues_of([sent])
        self._kept[key] = made
        self._kept.move_to_end(key)
        while len(self._kept) > 1 and self._are_too_many():
            self._kept.popitem(last=False)
        return made

    def _are_too_many(self) -> bool:
        return len(self._kept) > _MOST_KEPT or sum(len(one.entries) for one in self._kept.values()) > self._most


def _check_size(manifest: manifest_pb2.SkillManifest) -> None:
    phrases = sum(len(said.phrases) for intent in manifest.intents for said in intent.phrases)
    entries = sum(len(one.entries) for one in manifest.catalogues)
    if manifest.ByteSize() > MAX_BYTES or phrases > MAX_ALL_PHRASES or entries > MAX_ENTRIES:
        raise InvalidInput(
            f"A manifest has at most {MAX_BYTES} bytes, {MAX_ALL_PHRASES} phrases and {MAX_ENTRIES} entries, "
            f"not {manifest.ByteSize()}, {phrases} and {entries}.",
            reason="MANIFEST_TOO_LARGE",
            field="manifest",
        )


def _intent(skill_id: str, intent: manifest_pb2.IntentDefinition, at: int) -> Intent:
    place = f"manifest.intents[{at}]"
    phrases: dict[str, list[str]] = defaultdict(list)
    negatives: dict[str, list[str]] = defaultdict(list)
    for number, said in enumerate(intent.phrases):
        locale = canonical(said.language_code, field=f"{place}.phrases[{number}].language_code")
        phrases[locale] += [unicodedata.normalize("NFC", phrase) for phrase in said.phrases]
        negatives[locale] += [unicodedata.normalize("NFC", phrase) for phrase in said.negative_phrases]
    return Intent(
        skill=skill_id,
        name=intent.name,
        slots=tuple(_slot(slot) for slot in intent.slots),
        phrases={locale: tuple(dict.fromkeys(said)) for locale, said in phrases.items()},
        negatives={locale: tuple(dict.fromkeys(said)) for locale, said in negatives.items() if said},
        labels=tuple(intent.labels),
    )


def _slot(slot: manifest_pb2.SlotDefinition) -> SlotSpec:
    known = value_pb2.ValueType.DESCRIPTOR.values_by_number.get(slot.value_type)
    if known is None:
        raise InvalidInput("A slot's type is unknown.", reason="MANIFEST_INVALID", field="manifest.intents.slots")
    kind = known.name.removeprefix("VALUE_TYPE_")
    return SlotSpec(
        name=slot.name,
        value_type=TEXT if kind == "UNSPECIFIED" else kind,
        catalogue=slot.catalogue,
        required=slot.required,
        repeated=slot.repeated_values,
        carry_over=slot.carry_over,
        labels=tuple(slot.labels),
    )


def _by_locale(names: Iterable[text_pb2.LocalizedText]) -> Mapping[str, tuple[str, ...]]:
    made: dict[str, list[str]] = defaultdict(list)
    for one in names:
        made[canonical(one.language_code, field="catalogues.entries.names") if one.language_code else "und"].append(
            unicodedata.normalize("NFC", one.text)
        )
    return {locale: tuple(said) for locale, said in made.items()}
