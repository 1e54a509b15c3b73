"""How skills are named and asked for in the words of the assistant.

`answering` hands these to the dialogue service, which knows no manifests: names, questions for slots, and things to
say to a skill, each in the user's language as far as the manifest has it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Final, TypeVar

from services.arbitration.contexts import Profile
from services.arbitration.hypotheses import DIALOGUE_SKILL, Hypothesis
from services.arbitration.manifests import Manifest
from services.arbitration.ports import SkillInWords
from services.arbitration.registry_of_skills import SkillRegistry, speaks
from services.runtime.language import best_supported

MAX_SKILLS: Final = 20
"""Skills that dialogue may choose from for "what can you do"."""

MAX_PHRASES: Final = 20
"""Phrases of an intent that dialogue may read back."""

_EXAMPLES: Final = 3
_EXAMPLE: Final = re.compile(r"\|[^{}]*\}")
_SLOT: Final = re.compile(r"\{[^{}|]*(?:\|([^{}]*))?\}")

Entry = TypeVar("Entry")


def skills_in_words(registry: SkillRegistry, profile: Profile, about: Sequence[Hypothesis]) -> tuple[SkillInWords, ...]:
    """The skills of the readings; without readings, some that serve the user."""
    if about:
        ids = dict.fromkeys((hypothesis.skill_id, hypothesis.version) for hypothesis in about)
        found = [skill.manifest for each in ids if (skill := registry.find(*each)) is not None]
    else:
        found = [
            skill.manifest
            for skill in registry.enabled(profile.tenant, profile.user_id)
            if speaks(skill.manifest, profile.locale).served
            and (not profile.only_skills or skill.manifest.id in profile.only_skills)
        ]
    named = [manifest for manifest in found if manifest.id != DIALOGUE_SKILL]
    return tuple(_in_words(manifest, profile.locale) for manifest in named[:MAX_SKILLS])


def question_for(registry: SkillRegistry, hypothesis: Hypothesis, slot: str, locale: str) -> str:
    """The skill's own question for a slot; empty if it has none in a language that serves."""
    skill = registry.find(hypothesis.skill_id, hypothesis.version)
    intent = skill.manifest.intent(hypothesis.intent) if skill else None
    for spec in intent.slots if intent else ():
        if spec.name == slot:
            return _for_locale(spec.questions, locale, "")
    return ""


def phrases_of(registry: SkillRegistry, hypothesis: Hypothesis, locale: str) -> tuple[str, ...]:
    """What people say for the hypothesis' intent, with its slots as `{name}`."""
    skill = registry.find(hypothesis.skill_id, hypothesis.version)
    intent = skill.manifest.intent(hypothesis.intent) if skill else None
    nothing: tuple[str, ...] = ()
    phrases = _for_locale(intent.phrases, locale, nothing) if intent else nothing
    return tuple(_EXAMPLE.sub("}", phrase) for phrase in phrases[:MAX_PHRASES])


def _in_words(manifest: Manifest, locale: str) -> SkillInWords:
    """The skill with one example of each of its first intents."""
    examples = []
    for intent in manifest.intents:
        nothing: tuple[str, ...] = ()
        spoken = (_spoken(phrase) for phrase in _for_locale(intent.phrases, locale, nothing))
        examples += [phrase for phrase in spoken if phrase][:1]
    return SkillInWords(manifest.id, _for_locale(manifest.names, locale, manifest.id), tuple(examples[:_EXAMPLES]))


def _spoken(phrase: str) -> str:
    """The phrase with its examples in the place of slots; empty where a slot has none."""
    if any(match[1] is None for match in _SLOT.finditer(phrase)):
        return ""
    return _SLOT.sub(lambda match: match[1], phrase)


def _for_locale(texts: Mapping[str, Entry], locale: str, otherwise: Entry) -> Entry:
    tag = best_supported((locale,), texts)
    return texts[tag] if tag is not None else otherwise
