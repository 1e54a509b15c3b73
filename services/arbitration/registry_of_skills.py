"""The skills there are, and which tenant has which.

`stages.shortlist` asks it for every decision, so look-ups are by dictionary; the SkillRegistry service changes it.
Registering is for operators and makes a skill known; enabling makes it serve a tenant. Nothing has to be trained again.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final

from services.arbitration.hypotheses import DIALOGUE_SKILL, Risk
from services.arbitration.manifests import IntentSpec, Manifest, problems
from services.runtime.errors import Conflict, InvalidInput, NotFound, QuotaExceeded
from services.runtime.language import best_supported

EVERYONE: Final = "*"
"""Enabling for this tenant enables for all: how built-in skills come."""


@dataclass(frozen=True, slots=True)
class Overlap:
    """Two skills that are asked with the same words; a decision between them rests on other features."""

    phrase: str
    locale: str
    intent: str
    other_skill: str
    other_intent: str


@dataclass(frozen=True, slots=True)
class RegisteredSkill:
    """A skill with its address (`host:port`, opaque here) and whether it ships with Antiphon."""

    manifest: Manifest
    endpoint: str = ""
    built_in: bool = False


@dataclass(frozen=True, slots=True)
class LocaleMatch:
    """Whether a skill speaks a locale, and whether it is the very one or a relative."""

    served: bool
    exact: bool


@dataclass
class SkillRegistry:
    """All registered skills. Used on one event loop; nothing awaits, so each call is atomic.

    Attributes:
        revision: grows with every change, for what is derived from it.
    """

    max_skills: int = 5_000
    revision: int = 0
    _skills: dict[str, RegisteredSkill] = field(default_factory=dict)
    _enabled: dict[str, dict[str, bool]] = field(default_factory=lambda: defaultdict(dict))
    _by_intent: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    _by_phrase: dict[tuple[str, str], list[tuple[str, str]]] = field(default_factory=lambda: defaultdict(list))

    def register(self, manifest: Manifest, *, endpoint: str = "", built_in: bool = False) -> tuple[Overlap, ...]:
        """Make a skill known, or replace it by another version of itself.

        Returns:
            The phrases it shares with other skills: a warning, not an error.

        Raises:
            InvalidInput: MANIFEST_INVALID; the message lists everything that is wrong.
            Conflict: SKILL_TAKEN, the id belongs to another publisher.
            QuotaExceeded: TOO_MANY_SKILLS.
        """
        if found := problems(manifest):
            text = "; ".join(f"{problem.field}: {problem.message}" for problem in found)
            raise InvalidInput(text, reason="MANIFEST_INVALID", field=f"manifest.{found[0].field}")
        if manifest.id == DIALOGUE_SKILL and not built_in:
            raise InvalidInput(
                f"the id {DIALOGUE_SKILL} is reserved", reason="MANIFEST_INVALID", field="manifest.skill_id"
            )
        if (old := self._skills.get(manifest.id)) and old.manifest.publisher != manifest.publisher:
            raise Conflict("the id belongs to another publisher", reason="SKILL_TAKEN", field="manifest.skill_id")
        if manifest.id not in self._skills and len(self._skills) >= self.max_skills:
            raise QuotaExceeded(f"at most {self.max_skills} skills are registered", reason="TOO_MANY_SKILLS")
        self.revision += 1
        self._forget(manifest.id)
        overlaps = tuple(self._overlaps(manifest))
        self._skills[manifest.id] = RegisteredSkill(manifest, endpoint, built_in)
        for intent in manifest.intents:
            self._by_intent[intent.name].append(manifest.id)
            for locale, phrase in _phrases(intent):
                self._by_phrase[locale, phrase].append((manifest.id, intent.name))
        return overlaps

    def remove(self, skill_id: str) -> None:
        """Forget a skill for everyone. Raises NotFound."""
        self.skill(skill_id)
        self.revision += 1
        self._forget(skill_id)
        for enabled in self._enabled.values():
            enabled.pop(skill_id, None)

    def enable(self, tenant: str, skill_id: str, enabled: bool = True, user: str = "") -> None:
        """Let the skill serve a tenant, or one user of it, or no longer. Raises NotFound."""
        self.skill(skill_id)
        self.revision += 1
        self._enabled[enabled_key(tenant, user)][skill_id] = enabled

    def replace_enabled(self, enabled: Mapping[str, Mapping[str, bool]]) -> None:
        """What all tenants and users (`enabled_key`) have chosen, at once; it may name skills not known (yet)."""
        self.revision += 1
        for tenant in [tenant for tenant in self._enabled if tenant != EVERYONE]:
            del self._enabled[tenant]
        for tenant, chosen in enabled.items():
            self._enabled[tenant].update(chosen)

    def skill(self, skill_id: str) -> RegisteredSkill:
        """The skill. Raises NotFound."""
        if (found := self._skills.get(skill_id)) is None:
            raise NotFound("no skill of this id is registered", reason="SKILL_NOT_FOUND", field="skill_id")
        return found

    def find(self, skill_id: str) -> RegisteredSkill | None:
        """The skill, or None."""
        return self._skills.get(skill_id)

    def is_enabled(self, tenant: str, skill_id: str, user: str = "") -> bool:
        """The user's own word, else the tenant's, else everyone's."""
        for who in _who(tenant, user):
            if (word := self._enabled.get(who, {}).get(skill_id)) is not None:
                return word
        return False

    def chosen_by(self, tenant: str, skill_id: str, user: str = "") -> bool:
        """Whether the user, or the tenant, enabled it itself; the user's word counts before the tenant's."""
        for who in _who(tenant, user)[:-1]:
            if (word := self._enabled.get(who, {}).get(skill_id)) is not None:
                return word
        return False

    def enabled(self, tenant: str, user: str = "") -> tuple[RegisteredSkill, ...]:
        """Skills that serve the tenant, or a user of it, in order of their ids."""
        found = sorted(self._skills.items())
        return tuple(skill for skill_id, skill in found if self.is_enabled(tenant, skill_id, user))

    def all(self) -> tuple[RegisteredSkill, ...]:
        """Every registered skill, in order of their ids."""
        return tuple(skill for _, skill in sorted(self._skills.items()))

    def serving(self, intent: str) -> tuple[str, ...]:
        """Ids of the skills with that intent."""
        return tuple(self._by_intent.get(intent, ()))

    def phrased(self, locale: str, text: str) -> tuple[tuple[str, str], ...]:
        """Skill id and intent of every skill that has just these words among its phrases; case and spacing apart."""
        return tuple(self._by_phrase.get((locale, " ".join(text.casefold().split())), ()))

    def speaks(self, skill_id: str, locale: str) -> LocaleMatch:
        """Whether the skill answers in `locale`."""
        return _match(self._skills[skill_id].manifest.locales, locale)

    def _forget(self, skill_id: str) -> None:
        if (old := self._skills.pop(skill_id, None)) is None:
            return
        for intent in old.manifest.intents:
            self._by_intent[intent.name].remove(skill_id)
            for locale, phrase in _phrases(intent):
                self._by_phrase[locale, phrase].remove((skill_id, intent.name))

    def _overlaps(self, manifest: Manifest) -> Iterable[Overlap]:
        for intent in manifest.intents:
            for locale, phrase in _phrases(intent):
                for other_skill, other_intent in self._by_phrase.get((locale, phrase), ()):
                    yield Overlap(phrase, locale, intent.name, other_skill, other_intent)


def enabled_key(tenant: str, user: str = "") -> str:
    """Under which name a choice is kept: tenants' names hold no line breaks, so no user looks like a tenant."""
    return f"{tenant}\n{user}" if user else tenant


def _who(tenant: str, user: str) -> tuple[str, ...]:
    return (enabled_key(tenant, user), tenant, EVERYONE) if user else (tenant, EVERYONE)


def dialogue_manifest(locales: tuple[str, ...]) -> Manifest:
    """The conversation's own intents as a skill, so that they are shortlisted and ranked like any other's."""
    names = ("greeting", "help", "thanks", "goodbye", "repeat", "stop")
    intents = tuple(IntentSpec(f"{DIALOGUE_SKILL}.{name}", risk=Risk.LOW, ask_first=False) for name in names)
    return Manifest(DIALOGUE_SKILL, "1.0.0", locales, intents)


def _phrases(intent: IntentSpec) -> Iterable[tuple[str, str]]:
    """Each phrase once, as it is compared: case and spacing apart."""
    seen: set[tuple[str, str]] = set()
    for locale, phrases in intent.phrases.items():
        for phrase in phrases:
            compared = (locale, " ".join(phrase.casefold().split()))
            if compared not in seen:
                seen.add(compared)
                yield compared


@lru_cache(maxsize=4096)
def _match(locales: tuple[str, ...], locale: str) -> LocaleMatch:
    return LocaleMatch(served=best_supported((locale,), locales) is not None, exact=locale in locales)
