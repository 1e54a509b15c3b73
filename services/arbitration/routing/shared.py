"""Keeps traffic alike on all replicas: splits, and what was counted of their arms, lie in the store.

The TrafficService sets and reads through it; `follow` takes over what other replicas were told and hands in what this
one has counted. Tallies are merged into one value per minute (kept three hours) and one per hour (kept eight days), so
reports are sums over replicas, also over those that are gone. A tally handed in twice counts once, and one that cannot
be handed in waits.
"""

from __future__ import annotations

import asyncio
import json
import logging
import secrets
import time
from collections import defaultdict, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from services.arbitration.routing.tallies import Metric, Observation, Tally
from services.arbitration.routing.traffic import Arm, ArmMode, Split, Traffic
from services.runtime.errors import AntiphonError, Conflict, InvalidInput
from services.runtime.store import ABSENT, SessionStore

log = logging.getLogger(__name__)

FOLLOW_S: Final = 1.0
"""How often a replica reads the splits, one small value, and hands in what it has counted, if anything."""

BY_MINUTE_S: Final = 2 * 3600.0
"""Longest time looked back that is told to the minute; longer ones are told to the hour."""

MAX_BATCHES: Final = 500
"""Tallies that wait for a store that is away; beyond it the oldest are lost."""

ATTEMPTS: Final = 8

UNREADABLE: Final = (ValueError, TypeError, LookupError, AttributeError)
"""What reading a value raises that another release has written otherwise."""

_KEPT_S: Final = 10 * 365 * 86_400.0
_REPORTED_S: Final = 86_400.0
_SPANS: Final = (("m", 60, 3 * 3600.0), ("h", 3600, 8 * 86_400.0))
_TENANT: Final = "@platform"  # no principal's tenant has this name: identity refuses the character
_SPLITS: Final = "traffic"

ArmKey = tuple[str, str, str]


@dataclass(frozen=True, slots=True)
class ArmReport:
    """What was measured of an arm on all replicas. `latencies` by percentile, in seconds."""

    capability: str
    locale: str
    arm: str
    pool: str
    sessions: int
    turns: int
    errors: int
    refused: int
    latencies: Mapping[float, float]
    metrics: Mapping[str, Metric]
    start: float
    end: float


@dataclass(frozen=True, slots=True)
class _Batch:
    """Tallies for one stored value. `name` makes a second try of the same batch harmless."""

    key: str
    ttl: float
    tallies: Mapping[ArmKey, Tally]
    name: str


@dataclass
class SharedTraffic:
    """The traffic of one replica, in step with the others'."""

    traffic: Traffic
    store: SessionStore
    now: Callable[[], float] = time.time
    _seen: int = ABSENT
    _batches: deque[_Batch] = field(default_factory=lambda: deque(maxlen=MAX_BATCHES))
    _handing_in: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def set(self, split: Split, *, expected: int | None = None, validate_only: bool = False) -> Split:
        """As `Traffic.set`, for all replicas. Raises as it does, and Unavailable without a store."""
        for _ in range(ATTEMPTS):
            version = await self.catch_up()
            trial = Traffic()
            trial.adopt(self.traffic.splits())
            stored = trial.set(replace(split, changed=self.now()), expected=expected, validate_only=validate_only)
            if validate_only:
                return stored
            value = json.dumps([_split_out(each) for each in trial.splits()]).encode()
            try:
                written = await self.store.put(_TENANT, _SPLITS, value, ttl=_KEPT_S, expected=version)
            except Conflict:
                continue
            self.traffic.adopt(trial.splits())
            self._seen = written.version
            return stored
        raise Conflict("others change the traffic at the same time; repeat", reason="TRAFFIC_CONTENDED")

    async def catch_up(self) -> int:
        """Take over the stored splits where they are new; their version."""
        found = await self.store.get(_TENANT, _SPLITS)
        version = found.version if found else ABSENT
        if version != self._seen:
            self.traffic.adopt(_split_in(read) for read in json.loads(found.value)) if found else self.traffic.adopt(())
            self._seen = version
        return version

    async def follow(self) -> None:
        """Take over and hand in, for ever."""
        while True:
            try:
                await self.catch_up()
                await self.hand_in()
            except (AntiphonError, *UNREADABLE) as error:
                log.warning("traffic is not shared: %s", getattr(error, "reason", type(error).__name__))
            await asyncio.sleep(FOLLOW_S)

    async def hand_in(self) -> None:
        """Store what was counted here. Raises Unavailable without a store; it is then handed in later."""
        async with self._handing_in:
            self._batch()
            while self._batches:
                try:
                    await self._merge(self._batches[0])
                except (InvalidInput, *UNREADABLE) as error:  # it would be refused again, and hold up the others
                    log.error("tallies are lost: %s", getattr(error, "reason", type(error).__name__))
                self._batches.popleft()

    async def first_time(self, tenant: str, key: str) -> bool:
        """Whether a report with this key is new on all replicas, for a day."""
        try:
            await self.store.put(tenant, f"arm-report/{key}", b"1", ttl=_REPORTED_S, expected=ABSENT)
        except Conflict:
            return False
        return True

    async def reports(self, window: float, capability: str = "", locale: str = "") -> tuple[ArmReport, ...]:
        """What all replicas counted in the last `window` seconds, in order of capability, locale and arm.

        The time looked at begins with a whole minute, or hour where the window is longer than two hours.
        """
        await self.hand_in()
        end = self.now()
        letter, span, _ = _SPANS[0] if window <= BY_MINUTE_S else _SPANS[1]
        first, last = int((end - window) // span), int(end // span)
        whole: dict[ArmKey, Tally] = defaultdict(Tally)
        for number in range(first, last + 1):
            found = await self.store.get(_TENANT, f"arms/{letter}/{number}")
            for key, tally in _tallies_in(found.value if found else b"").items():
                whole[key].merge(tally)
        return tuple(
            _report(split, arm, whole[split.capability, split.locale, arm.name], float(first * span), end)
            for split in self.traffic.splits(capability, locale)
            for arm in sorted(split.arms, key=lambda arm: arm.name)
        )

    def _batch(self) -> None:
        by_value: dict[tuple[str, float], dict[ArmKey, Tally]] = defaultdict(lambda: defaultdict(Tally))
        for key, tally in self.traffic.taken().items():
            for letter, span, ttl in _SPANS:
                place = f"arms/{letter}/{key.minute * 60 // span}"
                by_value[place, ttl][key.capability, key.locale, key.arm].merge(tally)
        for (place, ttl), tallies in by_value.items():
            self._batches.append(_Batch(place, ttl, tallies, secrets.token_hex(8)))

    async def _merge(self, batch: _Batch) -> None:
        for attempt in range(ATTEMPTS):
            found = await self.store.get(_TENANT, batch.key)
            held = _tallies_in(found.value if found else b"")
            for key, tally in batch.tallies.items():
                held.setdefault(key, Tally()).merge(tally)
            expected = found.version if found else ABSENT
            value = json.dumps([[*key, tally.encoded()] for key, tally in held.items()]).encode()
            try:
                await self.store.put(_TENANT, batch.key, value, ttl=batch.ttl, expected=expected, turn=batch.name)
                return
            except Conflict:
                await asyncio.sleep(0.01 * attempt)
        raise Conflict("others report at the same time", reason="TRAFFIC_CONTENDED")


def observed(traffic: Traffic, capability: str, locale: str, arm: str, seen: Observation) -> None:
    """Note something about an arm that may be gone by now."""
    try:
        traffic.observe(capability, locale, arm, seen)
    except AntiphonError:
        return


def _report(split: Split, arm: Arm, tally: Tally, start: float, end: float) -> ArmReport:
    return ArmReport(
        *(split.capability, split.locale, arm.name, arm.pool),
        *(tally.sessions, tally.turns, tally.errors, tally.refused),
        *(tally.latencies(), tally.metrics(), start, end),
    )


def _tallies_in(value: bytes) -> dict[ArmKey, Tally]:
    rows = json.loads(value) if value else []
    return {(capability, locale, arm): Tally.decoded(tally) for capability, locale, arm, tally in rows}


def _split_out(split: Split) -> list[Any]:
    arms = [[arm.name, arm.pool, arm.weight, arm.mode.value] for arm in split.arms]
    return [split.capability, split.locale, split.version, split.changed, arms]


def _split_in(read: list[Any]) -> Split:
    capability, locale, version, changed, arms = read
    made = tuple(Arm(name, pool, weight, ArmMode(mode)) for name, pool, weight, mode in arms)
    return Split(capability, locale, made, version, changed)
