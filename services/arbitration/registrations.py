"""Keeps the registry of skills in step with the store, so that all replicas know what one of them was told.

The SkillRegistry service changes skills through `Registrations`: a change is checked, written to the store, and taken
over from there, by this replica at once and by the others when they look (`follow`). Built-in skills are no part of it
but for who has them: each replica learns them from their host.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from services.arbitration.manifests import Manifest
from services.arbitration.registry_of_skills import Overlap, RegisteredSkill, SkillRegistry, enabled_key, newness
from services.runtime.errors import AntiphonError, Conflict, QuotaExceeded
from services.runtime.store import ABSENT, SessionStore

log = logging.getLogger(__name__)

FOLLOW_S: Final = 1.0
"""How often a replica looks for what others have changed: one read of a small value."""

KEPT_S: Final = 10 * 365 * 86_400.0
ATTEMPTS: Final = 5

MAX_CHOOSERS: Final = 20_000
"""Tenants and users with a word of their own on skills: all of it is one stored value, some 50 bytes each."""

MAX_VERSIONS: Final = 4
"""Versions of a skill that stand side by side: one that serves, one that is tried, and two to go back to."""

_TENANT: Final = "@platform"  # no principal's tenant has this name: identity refuses the character
_INDEX: Final = "skills"


class _Entry(NamedTuple):
    """What the index says of a version, under `skill_id/version`. Entries of older releases go by the id alone."""

    endpoint: str
    digest: str
    trial: bool = False


@dataclass
class Registrations:
    """Changes to the registry that outlive the replica.

    Args:
        read: makes a manifest of what `Manifest.wire` holds.
    """

    registry: SkillRegistry
    store: SessionStore
    read: Callable[[bytes], Manifest]
    _seen: int = ABSENT
    _taken: dict[str, tuple[_Entry, RegisteredSkill]] = field(default_factory=dict)
    _taking: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def register(self, manifest: Manifest, endpoint: str, *, trial: bool = False) -> tuple[Overlap, ...]:
        """Make a version of a skill known to all replicas, beside those at other addresses.

        Args:
            trial: it serves those alone who pin it, unless it is the first or takes the place of one that serves all.

        Raises:
            QuotaExceeded: TOO_MANY_VERSIONS, all others that the skill has are in use.
            AntiphonError: as `SkillRegistry.check`, and Unavailable without a store.
        """
        await self.catch_up()
        self.registry.check(manifest)
        overlaps = self.registry.overlaps(manifest)
        name = f"{manifest.id}/{manifest.version}"
        entry = _Entry(endpoint, hashlib.sha256(manifest.wire + endpoint.encode()).hexdigest(), trial)
        gone: list[str] = []

        def add(index: dict[str, Any]) -> None:
            gone[:] = _place(index, name, entry)

        found = await self.store.get(_TENANT, _INDEX)
        add(_decoded(found.value if found else b""))  # what is refused leaves nothing behind
        await self.store.put(_TENANT, _key(name), manifest.wire, ttl=KEPT_S)
        await self._change(add)
        for other in gone:
            await self.store.delete(_TENANT, _key(other))
        await self.catch_up()
        return overlaps

    async def remove(self, skill_id: str, version: str = "") -> None:
        """Forget a skill, or one version of it, everywhere. Raises NotFound."""
        self.registry.skill(skill_id, version)
        gone: list[str] = []

        def forget(index: dict[str, Any]) -> None:
            ours = _of(index, skill_id)
            gone[:] = [name for name in ours if not version or name in (skill_id, f"{skill_id}/{version}")]
            for name in gone:
                del index["skills"][name]
            for chosen in index["enabled"].values() if len(gone) == len(ours) else ():
                chosen.pop(skill_id, None)
            for chosen in index["pinned"].values():
                if version in ("", chosen.get(skill_id)):
                    chosen.pop(skill_id, None)

        await self._change(forget)
        for name in gone:
            await self.store.delete(_TENANT, _key(name))
        await self.catch_up()

    async def enable(self, tenant: str, skill_id: str, enabled: bool = True, user: str = "", version: str = "") -> None:
        """Let a skill serve a tenant, or one user of it, or no longer; pinned to a version, or to none.

        Raises:
            NotFound: no such skill, or no such version.
            QuotaExceeded: TOO_MANY_CHOICES, more users of all tenants have a word of their own than are kept.
        """
        self.registry.skill(skill_id, version)
        who = enabled_key(tenant, user)

        def choose(index: dict[str, Any]) -> None:
            if who not in index["enabled"] and len(index["enabled"]) >= MAX_CHOOSERS:
                raise QuotaExceeded("too many users have chosen skills of their own", reason="TOO_MANY_CHOICES")
            index["enabled"].setdefault(who, {}).update({skill_id: enabled})
            pinned = index["pinned"].pop(who, {})
            pinned.pop(skill_id, None)
            if pinned := {**pinned, skill_id: version} if version else pinned:
                index["pinned"][who] = pinned

        await self._change(choose)
        await self.catch_up()

    async def follow(self) -> None:
        """Take over what other replicas change, for ever."""
        while True:
            try:
                await self.catch_up()
            except AntiphonError as error:
                log.warning("the registry of skills cannot be read: %s", error.reason)
            await asyncio.sleep(FOLLOW_S)

    async def catch_up(self) -> None:
        """Take over what is stored, where it is new."""
        async with self._taking:
            found = await self.store.get(_TENANT, _INDEX)
            if found is None or found.version == self._seen:
                return
            index = _decoded(found.value)
            for name, entry in index["skills"].items():
                if name not in self._taken or self._taken[name][0] != _Entry(*entry):
                    await self._take(name, _Entry(*entry))
            for name in self._taken.keys() - index["skills"].keys():
                self._drop(self._taken.pop(name)[1])
            self.registry.replace_choices(index["enabled"], index["pinned"])
            self._seen = found.version

    async def _take(self, name: str, entry: _Entry) -> None:
        stored = await self.store.get(_TENANT, _key(name))
        if stored is None:
            return
        try:
            manifest = self.read(stored.value)
            self.registry.register(manifest, endpoint=entry.endpoint, trial=entry.trial)
            self._taken[name] = entry, self.registry.skill(manifest.id, manifest.version)
        except (AntiphonError, ValueError) as error:  # ValueError: written by a release that reads otherwise
            log.error("a stored skill is left out: %s", getattr(error, "reason", type(error).__name__))

    def _drop(self, skill: RegisteredSkill) -> None:
        """Forget it, unless another one has taken its place already."""
        skill_id, version = skill.manifest.id, skill.manifest.version
        if self.registry.find(skill_id, version) is skill:
            self.registry.remove(skill_id, version)

    async def _change(self, change: Callable[[dict[str, Any]], None]) -> None:
        for _ in range(ATTEMPTS):
            found = await self.store.get(_TENANT, _INDEX)
            index = _decoded(found.value if found else b"")
            change(index)
            value = json.dumps(index).encode()
            try:
                await self.store.put(_TENANT, _INDEX, value, ttl=KEPT_S, expected=found.version if found else ABSENT)
                return
            except Conflict:
                continue
        raise Conflict("others change the registry at the same time; repeat", reason="REGISTRY_CONTENDED")


def _place(index: dict[str, Any], name: str, entry: _Entry) -> list[str]:
    """Put a version among the others of its skill; the names of those that have to go.

    These are who had its address, whose pins become its own, and the oldest that nobody has pinned when there are too
    many.
    """
    skill_id, _, version = name.partition("/")
    others = _of(index, skill_id)
    replaced = [other for other, old in others.items() if other in (name, skill_id) or old.endpoint == entry.endpoint]
    for_all = any(not others[other].trial for other in replaced)
    gone = [other for other in replaced if other != name]
    kept = {other: old for other, old in others.items() if other not in replaced}
    kept[name] = entry._replace(trial=entry.trial and not for_all and bool(kept))
    for versions in index["pinned"].values():
        if f"{skill_id}/{versions.get(skill_id)}" in gone:
            versions[skill_id] = version
    pinned = {versions.get(skill_id) for versions in index["pinned"].values()}
    serving = max((each for each, old in kept.items() if not old.trial), key=_newness, default=name)
    loose = sorted((n for n in kept if n not in (name, serving) and n.partition("/")[2] not in pinned), key=_newness)
    beyond = len(kept) - MAX_VERSIONS
    if beyond > len(loose):
        raise QuotaExceeded(f"all {MAX_VERSIONS} versions of the skill are in use", reason="TOO_MANY_VERSIONS")
    gone += loose[: max(0, beyond)]
    for other in gone:
        del index["skills"][other]
    index["skills"][name] = kept[name]
    return gone


def _of(index: Mapping[str, Any], skill_id: str) -> dict[str, _Entry]:
    return {name: _Entry(*entry) for name, entry in index["skills"].items() if name.partition("/")[0] == skill_id}


def _newness(name: str) -> tuple[object, ...]:
    return newness(name.partition("/")[2])


def _key(name: str) -> str:
    return f"skill/{name}"


def _decoded(value: bytes) -> dict[str, Any]:
    read: dict[str, Any] = json.loads(value) if value else {}
    return {part: read.get(part, {}) for part in ("skills", "enabled", "pinned")}
