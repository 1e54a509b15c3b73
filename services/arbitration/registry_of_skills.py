"""The skills there are, in which versions, and which tenant has which.

`stages.shortlist` asks it for every decision, so look-ups are by dictionary; the SkillRegistry service changes it.
Registering is for operators and makes a skill known; enabling makes it serve a tenant. Nothing has to be trained again.
Versions of a skill stand side by side, each at its own address: a tenant or user has the one it has pinned, else the
newest that is for all.
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
    """A version of a skill with its address (`host:port`, opaque here).

    Attributes:
        built_in: it ships with Antiphon.
        trial: it serves those alone who have pinned it.
    """

    manifest: Manifest
    endpoint: str = ""
    built_in: bool = False
    trial: bool = False


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
    _skills: dict[str, tuple[RegisteredSkill, ...]] = field(default_factory=dict)  # never empty, newest first
    _enabled: dict[str, dict[str, bool]] = field(default_factory=lambda: defaultdict(dict))
    _pinned: dict[str, dict[str, str]] = field(default_factory=lambda: defaultdict(dict))
    _by_intent: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    _by_phrase: dict[tuple[str, str], list[tuple[str, str]]] = field(default_factory=lambda: defaultdict(list))

    def register(
        self, manifest: Manifest, *, endpoint: str = "", built_in: bool = False, trial: bool = False
    ) -> tuple[Overlap, ...]:
        """Make a skill known, or another version of it. It takes the place of this version and of who had its address.

        Returns:
            The phrases it shares with other skills: a warning, not an error.

        Raises:
            As `check`.
        """
        self.check(manifest, built_in=built_in)
        skill = RegisteredSkill(manifest, endpoint, built_in, trial)
        others = [old for old in self.versions(manifest.id) if _apart(old, skill)]
        others.append(skill)
        self._keep(manifest.id, others)
        return self.overlaps(manifest)

    def check(self, manifest: Manifest, *, built_in: bool = False) -> None:
        """Whether the skill may be registered.

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
        if any(old.manifest.publisher != manifest.publisher for old in self.versions(manifest.id)):
            raise Conflict("the id belongs to another publisher", reason="SKILL_TAKEN", field="manifest.skill_id")
        if manifest.id not in self._skills and len(self._skills) >= self.max_skills:
            raise QuotaExceeded(f"at most {self.max_skills} skills are registered", reason="TOO_MANY_SKILLS")

    def remove(self, skill_id: str, version: str = "") -> None:
        """Forget a skill, or one version of it, for everyone. Raises NotFound."""
        self.skill(skill_id, version)
        others = [old for old in self.versions(skill_id) if version not in ("", old.manifest.version)]
        self._keep(skill_id, others)
        if not others:
            for enabled in self._enabled.values():
                enabled.pop(skill_id, None)
            for pinned in self._pinned.values():
                pinned.pop(skill_id, None)

    def enable(self, tenant: str, skill_id: str, enabled: bool = True, user: str = "", version: str = "") -> None:
        """Let the skill serve a tenant, or one user, pinned to a version or not, or no longer. Raises NotFound."""
        self.skill(skill_id, version)
        self.revision += 1
        who = enabled_key(tenant, user)
        self._enabled[who][skill_id] = enabled
        self._pinned[who].pop(skill_id, None)
        if version:
            self._pinned[who][skill_id] = version

    def replace_choices(
        self, enabled: Mapping[str, Mapping[str, bool]], pinned: Mapping[str, Mapping[str, str]]
    ) -> None:
        """What all tenants and users (`enabled_key`) have chosen, at once; it may name skills not known (yet)."""
        self.revision += 1
        for tenant in [tenant for tenant in self._enabled if tenant != EVERYONE]:
            del self._enabled[tenant]
        for tenant, chosen in enabled.items():
            self._enabled[tenant].update(chosen)
        self._pinned.clear()
        for tenant, versions in pinned.items():
            self._pinned[tenant].update(versions)

    def skill(self, skill_id: str, version: str = "") -> RegisteredSkill:
        """As `find`. Raises NotFound."""
        if (found := self.find(skill_id, version)) is not None:
            return found
        if skill_id in self._skills:
            raise NotFound("no such version is registered", reason="SKILL_VERSION_NOT_FOUND", field="version")
        raise NotFound("no skill of this id is registered", reason="SKILL_NOT_FOUND", field="skill_id")

    def find(self, skill_id: str, version: str = "") -> RegisteredSkill | None:
        """This very version of the skill, or without one the version that serves who has pinned none; or None."""
        versions = self.versions(skill_id)
        if version:
            return next((skill for skill in versions if skill.manifest.version == version), None)
        return next((skill for skill in versions if not skill.trial), versions[0] if versions else None)

    def find_for(self, tenant: str, skill_id: str, user: str = "") -> RegisteredSkill | None:
        """The version that serves the user: their own pin's, else the tenant's, else as `find`. Lost pins count not."""
        for who in _who(tenant, user) if self._pinned else ():
            version = self._pinned.get(who, {}).get(skill_id)
            if version and (found := self.find(skill_id, version)) is not None:
                return found
        return self.find(skill_id)

    def pins(self, tenant: str, skill_id: str, version: str, user: str = "") -> bool:
        """Whether the user, or the tenant, has pinned this version."""
        return any(self._pinned.get(who, {}).get(skill_id) == version for who in _who(tenant, user))

    def versions(self, skill_id: str) -> tuple[RegisteredSkill, ...]:
        """All versions of the skill, newest first."""
        return self._skills.get(skill_id, ())

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
        """Skills that serve the tenant, or a user of it, in the versions that do, in order of their ids."""
        return self._for(tenant, user, (id for id in sorted(self._skills) if self.is_enabled(tenant, id, user)))

    def all(self, tenant: str = "", user: str = "") -> tuple[RegisteredSkill, ...]:
        """Every registered skill, in the version that serves this user, or who has pinned none; in order of ids."""
        return self._for(tenant, user, sorted(self._skills))

    def _for(self, tenant: str, user: str, ids: Iterable[str]) -> tuple[RegisteredSkill, ...]:
        found = (  # asked for every turn: a skill in one version, as most are, takes no look at pins
            versions[0] if len(versions := self._skills[skill_id]) == 1 else self.find_for(tenant, skill_id, user)
            for skill_id in ids
        )
        return tuple(skill for skill in found if skill is not None)

    def serving(self, intent: str) -> tuple[str, ...]:
        """Ids of the skills with that intent, in any version."""
        return tuple(self._by_intent.get(intent, ()))

    def phrased(self, locale: str, text: str) -> tuple[tuple[str, str], ...]:
        """Skill id and intent of all who have just these words among their phrases; case and spacing apart."""
        return tuple(self._by_phrase.get((locale, " ".join(text.casefold().split())), ()))

    def overlaps(self, manifest: Manifest) -> tuple[Overlap, ...]:
        """The phrases that the skill shares with others."""
        return tuple(
            Overlap(phrase, locale, intent.name, other_skill, other_intent)
            for intent in manifest.intents
            for locale, phrase in _phrases(intent)
            for other_skill, other_intent in self._by_phrase.get((locale, phrase), ())
            if other_skill != manifest.id
        )

    def _keep(self, skill_id: str, versions: Iterable[RegisteredSkill]) -> None:
        """These versions of the skill and no others; what any of them has is found."""
        self.revision += 1
        intents, phrases = _found_by(self._skills.pop(skill_id, ()))
        for intent in intents:
            self._by_intent[intent].remove(skill_id)
        for locale, phrase, intent in phrases:
            self._by_phrase[locale, phrase].remove((skill_id, intent))
        kept = tuple(sorted(versions, key=lambda skill: newness(skill.manifest.version), reverse=True))
        if kept:
            self._skills[skill_id] = kept
        intents, phrases = _found_by(kept)
        for intent in intents:
            self._by_intent[intent].append(skill_id)
        for locale, phrase, intent in phrases:
            self._by_phrase[locale, phrase].append((skill_id, intent))


def newness(version: str) -> tuple[object, ...]:
    """Orders semantic versions (https://semver.org, 11): greater is newer. What stands after `+` does not count."""
    core, _, before = version.partition("+")[0].partition("-")
    return tuple(map(_number, core.split("."))), not before, tuple(map(_identifier, before.split(".")))


def _number(digits: str) -> tuple[int, str]:
    digits = digits.lstrip("0")
    return len(digits), digits


def _identifier(word: str) -> tuple[bool, tuple[int, str]]:
    return (False, _number(word)) if word.isdigit() else (True, (0, word))


def _apart(old: RegisteredSkill, new: RegisteredSkill) -> bool:
    """Whether both can stand side by side: two versions at two addresses."""
    return old.manifest.version != new.manifest.version and old.endpoint != new.endpoint


def _found_by(versions: Iterable[RegisteredSkill]) -> tuple[dict[str, None], dict[tuple[str, str, str], None]]:
    """The intents, and the locales, phrases and intents, of some versions of a skill; each once, in their order."""
    intents = [intent for skill in versions for intent in skill.manifest.intents]
    phrases = ((locale, phrase, intent.name) for intent in intents for locale, phrase in _phrases(intent))
    return dict.fromkeys(intent.name for intent in intents), dict.fromkeys(phrases)


def speaks(manifest: Manifest, locale: str) -> LocaleMatch:
    """Whether the skill answers in `locale`."""
    return _match(manifest.locales, locale)


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
