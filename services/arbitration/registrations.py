"""Keeps the registry of skills in step with the store, so that all replicas know what one of them was told.

The SkillRegistry service changes skills through `Registrations`: a change is taken into this replica's registry, which
checks it, and written to the store, or undone when that fails. `follow` takes over what other replicas have written.
Built-in skills are no part of it but for who has them: each replica learns them from their host.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from services.arbitration.manifests import Manifest
from services.arbitration.registry_of_skills import Overlap, RegisteredSkill, SkillRegistry, enabled_key
from services.runtime.errors import AntiphonError, Conflict, QuotaExceeded
from services.runtime.store import ABSENT, SessionStore

log = logging.getLogger(__name__)

FOLLOW_S: Final = 1.0
"""How often a replica looks for what others have changed: one read of a small value."""

KEPT_S: Final = 10 * 365 * 86_400.0
ATTEMPTS: Final = 5

MAX_CHOOSERS: Final = 20_000
"""Tenants and users with a word of their own on skills: all of it is one stored value, some 50 bytes each."""

_TENANT: Final = "@platform"  # no principal's tenant has this name: identity refuses the character
_INDEX: Final = "skills"


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
    _digests: dict[str, str] = field(default_factory=dict)

    async def register(self, manifest: Manifest, endpoint: str) -> tuple[Overlap, ...]:
        """Make a skill known to all replicas. Raises as `SkillRegistry.register`, and Unavailable without a store."""
        before = self.registry.find(manifest.id)
        overlaps = self.registry.register(manifest, endpoint=endpoint)
        digest = hashlib.sha256(manifest.wire + endpoint.encode()).hexdigest()
        try:
            await self.store.put(_TENANT, _key(manifest.id), manifest.wire, ttl=KEPT_S)
            await self._change(lambda index: index["skills"].update({manifest.id: [endpoint, digest]}))
        except AntiphonError:
            self._undo(manifest.id, before)
            raise
        self._digests[manifest.id] = digest
        return overlaps

    async def remove(self, skill_id: str) -> None:
        """Forget a skill everywhere. Raises NotFound."""
        self.registry.skill(skill_id)

        def forget(index: dict[str, Any]) -> None:
            index["skills"].pop(skill_id, None)
            for enabled in index["enabled"].values():
                enabled.pop(skill_id, None)

        await self._change(forget)
        await self.store.delete(_TENANT, _key(skill_id))
        self.registry.remove(skill_id)
        self._digests.pop(skill_id, None)

    async def enable(self, tenant: str, skill_id: str, enabled: bool = True, user: str = "") -> None:
        """Let a skill serve a tenant, or one user of it, or no longer.

        Raises:
            NotFound: no such skill.
            QuotaExceeded: TOO_MANY_CHOICES, more users of all tenants have a word of their own than are kept.
        """
        self.registry.skill(skill_id)
        who = enabled_key(tenant, user)

        def choose(index: dict[str, Any]) -> None:
            if who not in index["enabled"] and len(index["enabled"]) >= MAX_CHOOSERS:
                raise QuotaExceeded("too many users have chosen skills of their own", reason="TOO_MANY_CHOICES")
            index["enabled"].setdefault(who, {}).update({skill_id: enabled})

        await self._change(choose)
        self.registry.enable(tenant, skill_id, enabled, user)

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
        found = await self.store.get(_TENANT, _INDEX)
        if found is None or found.version == self._seen:
            return
        index = _decoded(found.value)
        for skill_id, (endpoint, digest) in index["skills"].items():
            if self._digests.get(skill_id) != digest:
                await self._take(skill_id, endpoint, digest)
        for skill_id in self._digests.keys() - index["skills"].keys():
            self.registry.remove(skill_id)
            del self._digests[skill_id]
        self.registry.replace_enabled(index["enabled"])
        self._seen = found.version

    async def _take(self, skill_id: str, endpoint: str, digest: str) -> None:
        stored = await self.store.get(_TENANT, _key(skill_id))
        if stored is None:
            return
        try:
            self.registry.register(self.read(stored.value), endpoint=endpoint)
            self._digests[skill_id] = digest
        except (AntiphonError, ValueError) as error:  # ValueError: written by a release that reads otherwise
            log.error("a stored skill is left out: %s", getattr(error, "reason", type(error).__name__))

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

    def _undo(self, skill_id: str, before: RegisteredSkill | None) -> None:
        self.registry.remove(skill_id)
        if before is not None:
            self.registry.register(before.manifest, endpoint=before.endpoint, built_in=before.built_in)


def _key(skill_id: str) -> str:
    return f"skill/{skill_id}"


def _decoded(value: bytes) -> dict[str, Any]:
    read: dict[str, Any] = json.loads(value) if value else {}
    return {"skills": read.get("skills", {}), "enabled": read.get("enabled", {})}
