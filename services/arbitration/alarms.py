"""Timers and alarms of users: kept in the store, rung once.

`stages.execute` keeps what skills set, `ringing` asks what is due for a device. The book of an owner is one value in
the store and changes by compare-and-set, so that of all the streams that see an alarm due, one rings it.
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Final

from services.arbitration.recurrence import next_occurrence
from services.runtime.errors import Conflict, QuotaExceeded
from services.runtime.store import ABSENT, SessionStore

log = logging.getLogger(__name__)

MAX_ALARMS: Final = 100
"""Of one owner."""

RINGS_S: Final = 600.0
"""How long an alarm rings unless it is stopped; then it is over."""

KEPT_S: Final = 7 * 86_400.0
"""How long after it was due an alarm waits for a stream of its device to ring on."""

ATTEMPTS: Final = 5


@dataclass(frozen=True, slots=True)
class Alarm:
    """Something that rings later.

    Attributes:
        due: when it rings next, seconds since 1970.
        kind: ALARM, TIMER or REMINDER.
        rule: RFC 5545 recurrence rule; empty rings once.
        start: first occurrence, ISO 8601 without offset, in `zone`; for `rule` alone.
        zone: IANA time zone; empty means UTC.
        device_id: device that rings; empty for any of the owner.
        rung: since when it rings, seconds since 1970; None while it waits.
    """

    id: str
    due: float
    kind: str = "ALARM"
    label: str = ""
    rule: str = ""
    start: str = ""
    zone: str = ""
    device_id: str = ""
    skill_id: str = ""
    rung: float | None = None

    def ringing(self, now: float) -> bool:
        """Whether it rings."""
        return self.rung is not None and now - self.rung < RINGS_S

    def waits_for(self, device_id: str) -> bool:
        """Whether it will ring (again) on the device."""
        return self.device_id in ("", device_id) and (self.rung is None or bool(self.rule))

    def over(self, now: float) -> bool:
        """Whether it has rung and will not again, or nobody came for it."""
        if self.rung is not None and not self.rule:
            return not self.ringing(now)
        return now - self.due > KEPT_S


@dataclass(frozen=True, slots=True)
class AlarmChange:
    """An alarm to set, or the id of one to delete."""

    alarm: Alarm | None = None
    deleted_id: str = ""


def next_due(alarms: Iterable[Alarm], device_id: str) -> float | None:
    """When the device rings next, seconds since 1970."""
    return min((alarm.due for alarm in alarms if alarm.waits_for(device_id)), default=None)


def owner_of(user_id: str, device_id: str, session_id: str) -> str:
    """Whose alarms they are: the user's, else the device's, else this session's."""
    return f"user:{user_id}" if user_id else f"device:{device_id}" if device_id else f"session:{session_id}"


@dataclass
class AlarmBook:
    """The alarms of all owners. One per replica."""

    store: SessionStore
    now: Callable[[], float] = time.time
    _watchers: dict[tuple[str, str], set[asyncio.Event]] = field(default_factory=lambda: defaultdict(set))

    async def alarms(self, tenant: str, owner: str) -> tuple[Alarm, ...]:
        """Those that wait or ring, by due time."""
        found = await self.store.get(tenant, _key(owner))
        return _decoded(found.value, self.now()) if found else ()

    async def change(
        self, tenant: str, owner: str, changes: Iterable[AlarmChange], *, skill_id: str, device_id: str
    ) -> None:
        """Set and delete. Repeating it changes nothing more; a skill deletes what it has set itself.

        Raises:
            QuotaExceeded: TOO_MANY_ALARMS.
            Unavailable, Conflict: the store could not take it.
        """
        changes = tuple(changes)

        def apply(alarms: tuple[Alarm, ...]) -> tuple[Alarm, ...]:
            by_id = {alarm.id: alarm for alarm in alarms}
            for change in changes:
                if change.alarm is not None:
                    alarm = replace(
                        change.alarm, skill_id=skill_id, device_id=change.alarm.device_id or device_id, rung=None
                    )
                    by_id[alarm.id] = alarm
                elif (known := by_id.get(change.deleted_id)) is not None and known.skill_id == skill_id:
                    del by_id[change.deleted_id]
            if len(by_id) > MAX_ALARMS:
                raise QuotaExceeded(f"at most {MAX_ALARMS} alarms are kept", reason="TOO_MANY_ALARMS")
            return tuple(by_id.values())

        await self._update(tenant, owner, apply)
        for watcher in self._watchers.get((tenant, owner), ()):
            watcher.set()

    async def ring_due(self, tenant: str, owner: str, device_id: str) -> tuple[Alarm, ...]:
        """Take the alarms that are due for the device: whoever gets one rings it, nobody else does."""
        now = self.now()

        def mine(alarm: Alarm) -> bool:
            return alarm.due <= now and alarm.waits_for(device_id)

        if not any(map(mine, await self.alarms(tenant, owner))):
            return ()
        taken: list[Alarm] = []

        def ring(alarms: tuple[Alarm, ...]) -> tuple[Alarm, ...]:
            taken[:] = [alarm for alarm in alarms if mine(alarm)]
            return tuple(_rung(alarm, now) if mine(alarm) else alarm for alarm in alarms)

        await self._update(tenant, owner, ring)
        return tuple(taken)

    def watch(self, tenant: str, owner: str) -> asyncio.Event:
        """Set whenever this replica changes the owner's alarms. Give it back to `unwatch`."""
        event = asyncio.Event()
        self._watchers[tenant, owner].add(event)
        return event

    def unwatch(self, tenant: str, owner: str, event: asyncio.Event) -> None:
        """No longer interested."""
        watchers = self._watchers.get((tenant, owner), set())
        watchers.discard(event)
        if not watchers:
            self._watchers.pop((tenant, owner), None)

    async def _update(self, tenant: str, owner: str, change: Callable[[tuple[Alarm, ...]], tuple[Alarm, ...]]) -> None:
        for _ in range(ATTEMPTS):
            found = await self.store.get(tenant, _key(owner))
            now = self.now()
            alarms = change(_decoded(found.value, now) if found else ())
            lives = max([KEPT_S, *(alarm.due - now + KEPT_S for alarm in alarms)])
            try:
                await self.store.put(
                    tenant, _key(owner), _encoded(alarms), ttl=lives, expected=found.version if found else ABSENT
                )
                return
            except Conflict:
                continue
        raise Conflict("the alarms change too fast; repeat", reason="ALARMS_CONTENDED")


def _rung(alarm: Alarm, now: float) -> Alarm:
    """A repeating alarm rings now and is due again; without a next time it has rung for the last time."""
    due = next_occurrence(alarm.rule, alarm.start, alarm.zone, after=now) if alarm.rule else None
    if due is None:
        return replace(alarm, rung=now, rule="")
    return replace(alarm, rung=now, due=due)


def _key(owner: str) -> str:
    return f"alarms/{owner}"


def _encoded(alarms: Sequence[Alarm]) -> bytes:
    return json.dumps([asdict(alarm) for alarm in sorted(alarms, key=lambda alarm: (alarm.due, alarm.id))]).encode()


def _decoded(value: bytes, now: float) -> tuple[Alarm, ...]:
    alarms = (Alarm(**fields) for fields in json.loads(value))
    return tuple(alarm for alarm in alarms if not alarm.over(now))
