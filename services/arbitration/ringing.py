"""Rings a device's alarms on the stream it has open.

`conversation` runs one for as long as its stream lives. It sleeps until the next alarm is due, but looks again when
this replica changes the owner's alarms, and from time to time anyway: other replicas change them too, and the wall
clock may be set.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from services.arbitration.alarms import Alarm, AlarmBook, next_due, owner_of
from services.arbitration.contexts import Profile
from services.runtime.errors import AntiphonError

log = logging.getLogger(__name__)

LOOK_S: Final = 30.0
"""Longest sleep: how late an alarm may ring that another replica has set, or that a new clock has made due."""


@dataclass
class Ringer:
    """The alarms of one stream.

    Args:
        ring: what to do with an alarm that is due.
    """

    book: AlarmBook
    profile: Profile
    session_id: str
    ring: Callable[[Alarm], Awaitable[None]]
    _ringing: tuple[Alarm, ...] = ()

    @property
    def ringing(self) -> frozenset[str]:
        """Ids of the skills whose alarms ring now, on any of the owner's devices."""
        now = self.book.now()
        return frozenset(alarm.skill_id for alarm in self._ringing if alarm.ringing(now))

    async def begin(self) -> None:
        """Ring what came due before the stream was open. Call it before the first turn."""
        profile = self.profile
        await self._look(profile.tenant, owner_of(profile.user_id, profile.device_id, self.session_id))

    async def run(self) -> None:
        """For ever."""
        tenant = self.profile.tenant
        owner = owner_of(self.profile.user_id, self.profile.device_id, self.session_id)
        changed = self.book.watch(tenant, owner)
        try:
            while True:
                changed.clear()
                pause = await self._look(tenant, owner)
                try:
                    async with asyncio.timeout(pause):
                        await changed.wait()
                except TimeoutError:
                    continue
        finally:
            self.book.unwatch(tenant, owner, changed)

    async def _look(self, tenant: str, owner: str) -> float:
        """Ring what is due; how long there is nothing to do, seconds."""
        device = self.profile.device_id
        try:
            due_now = await self.book.ring_due(tenant, owner, device)
            # Known before it is heard: who hears it says "stop" at once.
            alarms = await self.book.alarms(tenant, owner)
            self._ringing = tuple(alarm for alarm in alarms if alarm.rung is not None)
            for alarm in due_now:
                await self.ring(alarm)
            due = next_due(alarms, device)
        except AntiphonError as error:
            log.warning("alarms cannot be read: %s", error.reason)
            return LOOK_S
        return LOOK_S if due is None else min(LOOK_S, max(0.0, due - self.book.now()))
