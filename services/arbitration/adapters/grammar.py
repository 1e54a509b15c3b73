"""What a user is likely to say, from the manifests of the skills that serve them: it shapes the recogniser.

`recognition` sends it with every utterance. It is made once for each set of skills and language, and again when a skill
changes; the recogniser knows it by its digest and builds a language model of it once.
"""

from __future__ import annotations

import logging
import re
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from antiphon.skill.v1 import manifest_pb2
from antiphon.types.v1 import speech_pb2, text_pb2, value_pb2
from services.arbitration.adapters.small_words import SMALL_WORDS
from services.arbitration.contexts import Profile
from services.arbitration.registry_of_skills import RegisteredSkill, SkillRegistry, speaks
from services.runtime.language import best_supported

log = logging.getLogger(__name__)

MAX_PHRASES: Final = 10_000
MAX_CLASSES: Final = 500
MAX_ENTRIES: Final = 10_000
MAX_LENGTH: Final = 200
"""Limits of the contract; what is beyond them is left out, and heard as well as the recogniser can without."""

KEPT: Final = 64
"""Grammars kept: sets of skills times languages that are in use at the same time."""

ONLY_SHARE: Final = 1.0
"""Share of the grammar where the client names the skills that may serve: nothing else is to be heard."""

_CLASS: Final = re.compile(r"\{[a-z0-9_]*\}")
_SLOT: Final = re.compile(r"\{([a-z][a-z0-9_]*)(?:\|([^{}]*))?\}")


@dataclass
class Grammars:
    """Grammars by who speaks. One per replica."""

    registry: SkillRegistry
    _made: OrderedDict[tuple[int, str, bool, tuple[str, ...]], speech_pb2.PhraseGrammar] = field(
        default_factory=OrderedDict
    )

    def of(self, profile: Profile) -> speech_pb2.PhraseGrammar | None:
        """The grammar of the skills that serve this user in their language; None when they bring no phrases."""
        skills = [
            skill for skill in self.registry.enabled(profile.tenant, profile.user_id) if self._serves(skill, profile)
        ]
        ids = tuple(f"{skill.manifest.id} {skill.manifest.version}" for skill in skills)
        key = (self.registry.revision, profile.locale, bool(profile.only_skills), ids)
        if key not in self._made:
            self._made[key] = _grammar(skills, profile.locale)
            if profile.only_skills:
                self._made[key].share = ONLY_SHARE
            while len(self._made) > KEPT:
                self._made.popitem(last=False)
        self._made.move_to_end(key)
        grammar = self._made[key]
        return grammar if grammar.phrases else None

    def _serves(self, skill: RegisteredSkill, profile: Profile) -> bool:
        return (
            (skill.built_in or profile.third_party_skills)
            and (not profile.only_skills or skill.manifest.id in profile.only_skills)
            and speaks(skill.manifest, profile.locale).served
        )


def _grammar(skills: Iterable[RegisteredSkill], locale: str) -> speech_pb2.PhraseGrammar:
    made = _Making(locale)
    for skill in skills:
        if made.full:
            log.warning(
                "the skills of a user have more than %d phrases: some are heard as other words are", MAX_PHRASES
            )
            break
        if skill.manifest.wire:
            made.add(manifest_pb2.SkillManifest.FromString(skill.manifest.wire))
    if made.grammar.phrases:
        made.add_words(SMALL_WORDS.get(locale.partition("-")[0], ()))
    return made.grammar


class _Making:
    """A grammar while it is put together. Classes are by type or catalogue, so that skills share them."""

    def __init__(self, locale: str) -> None:
        self.grammar = speech_pb2.PhraseGrammar()
        self._locale = locale
        self._classes: dict[str, speech_pb2.GrammarClass] = {}
        self._entries: dict[str, set[str]] = {}
        self._said: set[str] = set()

    @property
    def full(self) -> bool:
        return len(self._said) >= MAX_PHRASES

    def add(self, manifest: manifest_pb2.SkillManifest) -> None:
        catalogues = {catalogue.name: catalogue for catalogue in manifest.catalogues}
        for intent in manifest.intents:
            slots = {slot.name: slot for slot in intent.slots}
            served = best_supported((self._locale,), [said.language_code for said in intent.phrases])
            for said in intent.phrases:
                if said.language_code == served:
                    for phrase in said.phrases:
                        self._add_phrase(phrase, f"{manifest.skill_id}.{intent.name}", slots, manifest, catalogues)

    def add_words(self, phrases: Iterable[str]) -> None:
        """Phrases without slots."""
        for phrase in phrases:
            if phrase not in self._said:
                self._said.add(phrase)
                self.grammar.phrases.add(text=phrase)

    def _add_phrase(
        self,
        phrase: str,
        intent: str,
        slots: dict[str, manifest_pb2.SlotDefinition],
        manifest: manifest_pb2.SkillManifest,
        catalogues: dict[str, manifest_pb2.Catalogue],
    ) -> None:
        def named(match: re.Match[str]) -> str:
            name = self._class(slots[match[1]], intent, manifest.skill_id, catalogues)  # the registry saw to it
            if match[2] and name:
                self._add_entry(name, match[2], 1.0)
            return f"{{{name}}}" if name else match[2] or ""

        text = " ".join(_SLOT.sub(named, phrase).split())
        spoken = len(_CLASS.sub("", text))  # names of classes are not counted
        if text and text not in self._said and spoken <= MAX_LENGTH and len(self._said) < MAX_PHRASES:
            self._said.add(text)
            self.grammar.phrases.add(text=text)

    def _class(
        self,
        slot: manifest_pb2.SlotDefinition,
        intent: str,
        skill_id: str,
        catalogues: dict[str, manifest_pb2.Catalogue],
    ) -> str:
        """The name of the slot's class, which is made on first use; empty when there are too many."""
        kind = value_pb2.ValueType.Name(slot.value_type).removeprefix("VALUE_TYPE_").lower()
        if slot.catalogue:
            name = f"{skill_id}_{slot.catalogue}"
        elif slot.value_type in (value_pb2.VALUE_TYPE_TEXT, value_pb2.VALUE_TYPE_UNSPECIFIED):
            name = f"{intent.replace('.', '_')}_{slot.name}"
        else:
            name = kind
        name = name[:64]
        if name not in self._classes:
            if len(self._classes) >= MAX_CLASSES:
                return ""
            made = self.grammar.classes.add(name=name)
            if not slot.catalogue:
                made.value_type = slot.value_type
            self._classes[name] = made
            for entry in catalogues[slot.catalogue].entries if slot.catalogue in catalogues else ():
                for text in _names(entry.names, self._locale):
                    self._add_entry(name, text, entry.weight)
        return name

    def _add_entry(self, name: str, text: str, weight: float) -> None:
        known = self._entries.setdefault(name, set())
        if len(known) < MAX_ENTRIES and 0 < len(text) <= MAX_LENGTH and "{" not in text and text not in known:
            known.add(text)
            self._classes[name].entries.add(text=text, weight=weight)


def _names(names: Iterable[text_pb2.LocalizedText], locale: str) -> list[str]:
    names = list(names)
    served = best_supported((locale,), [name.language_code for name in names])
    return [name.text for name in names if name.language_code == served]
