"""Tells every understanding pool of every skill, so that what a manifest says is understood.

`replica` runs it beside the registry. A pool keeps what it was told, also over a restart; telling it again what it
knows changes nothing, so each replica of the front door tells everything once. Of a skill in several versions a pool
learns all that any of them understands, as one manifest: one pool serves users of each, and `stages.shortlist` leaves
out what a user's own version has not.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from services.arbitration.registry_of_skills import SkillRegistry
from services.runtime.errors import AntiphonError, Conflict

log = logging.getLogger(__name__)

PAUSE_S: Final = 0.5

Teach = Callable[[str, bytes, str], Awaitable[None]]
"""Tells the pool of a name about a manifest (as the contract serialises it) under an idempotency key."""

Merge = Callable[[Sequence[bytes]], bytes]
"""Makes one manifest of those of several versions, first the one that serves who has pinned none."""


@dataclass
class Teaching:
    """What the pools have been told.

    Args:
        pools: names of the understanding pools.
        merge: not asked about a skill in one version.
    """

    registry: SkillRegistry
    pools: Sequence[str]
    teach: Teach
    merge: Merge
    _told_revision: int = -1
    _told: set[tuple[str, str]] = field(default_factory=set)

    @property
    def done(self) -> bool:
        """Whether the pools know the registry as it is now."""
        return self._told_revision == self.registry.revision

    async def follow(self) -> None:
        """Tell of each new skill, for ever."""
        while True:
            revision = self.registry.revision
            if not self.done and await self.tell():
                self._told_revision = revision
            await asyncio.sleep(PAUSE_S)

    async def tell(self) -> bool:
        """Tell what is new; whether all pools know all skills, but for what they refused for good."""
        complete = True
        for skill in self.registry.all():
            others = [other for other in self.registry.versions(skill.manifest.id) if other is not skill]
            wires = [version.manifest.wire for version in (skill, *others)]
            wire = self.merge(wires) if others else wires[0]
            digest = hashlib.sha256(wire).hexdigest()
            for pool in self.pools if wire else ():
                if (pool, digest) not in self._told:
                    complete = await self._tell(pool, wire, digest) and complete
        return complete

    async def _tell(self, pool: str, wire: bytes, digest: str) -> bool:
        try:
            await self.teach(pool, wire, digest)
        except AntiphonError as error:
            log.warning("understanding pool %s did not take a skill: %s", pool, error.reason)
            # A conflict: somebody else tells of the skill at this moment, and the pool may not have taken it in yet.
            if error.retryable or isinstance(error, Conflict):
                return False
        self._told.add((pool, digest))
        return True
