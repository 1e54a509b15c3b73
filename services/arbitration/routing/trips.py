"""Counts the calls that arms serve: sessions and turns once each, errors, refusals, latencies.

`adapters.channels` begins a trip for every call to a capability whose traffic is split; the adapter that makes the call
ends it. Where nothing is split, nothing is counted.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from dataclasses import dataclass, field, replace
from typing import Final

from services.arbitration.routing.shared import observed
from services.arbitration.routing.tallies import Observation
from services.arbitration.routing.traffic import Arm, Traffic
from services.runtime import telemetry
from services.runtime.errors import AntiphonError, Code

MAX_REMEMBERED: Final = 20_000
"""Sessions and turns of a replica that are known to be counted; with more open at a time some count twice."""


@dataclass
class Counted:
    """Sessions and turns that were counted, by arm."""

    _known: OrderedDict[tuple[str, str, str], None] = field(default_factory=OrderedDict)

    def first(self, capability: str, arm: str, name: str) -> bool:
        """Whether it is counted for the first time."""
        key = (capability, arm, name)
        known = key in self._known
        self._known[key] = None
        self._known.move_to_end(key)
        if len(self._known) > MAX_REMEMBERED:
            self._known.popitem(last=False)
        return not known


@dataclass
class Trip:
    """One call to an arm, or to no arm (`arm` is empty). End it once, by `done` or `failed`; later calls do nothing.

    One that is dropped without an end, as work done ahead is, counts for nothing.
    """

    traffic: Traffic
    counted: Counted
    capability: str
    locale: str
    arm: str = ""
    session_id: str = ""
    turn_id: str = ""
    began: float = field(default_factory=time.monotonic)

    def done(self, latency: float | None = None) -> None:
        """It was served; `latency` in seconds, None where there was nothing to measure."""
        self._end("OK", Observation(time.time(), latency=latency))

    def failed(self, error: AntiphonError) -> None:
        """It was refused or failed."""
        refused = error.code is Code.RESOURCE_EXHAUSTED
        self._end(error.code.name, Observation(time.time(), error=not refused, refused=refused))

    @property
    def age(self) -> float:
        """Seconds since it began."""
        return time.monotonic() - self.began

    def _end(self, status: str, seen: Observation) -> None:
        arm, self.arm = self.arm, ""
        if not arm:
            return
        session = self.counted.first(self.capability, arm, self.session_id)
        turn = self.counted.first(self.capability, arm, self.turn_id)
        observed(self.traffic, self.capability, self.locale, arm, replace(seen, session=session, turn=turn))
        labels = {"capability": self.capability, "arm": arm}
        telemetry.ARM_CALLS.add(1, {**labels, "status": status})
        if seen.latency is not None:
            telemetry.ARM_SECONDS.record(seen.latency, labels)


@dataclass
class Trips:
    """Begins trips, and knows which sessions and turns were counted."""

    traffic: Traffic
    _counted: Counted = field(default_factory=Counted)

    def begin(self, capability: str, locale: str, arm: Arm | None, session_id: str, turn_id: str) -> Trip:
        """A call on behalf of a turn."""
        if arm is None:
            return Trip(self.traffic, self._counted, capability, locale)
        return Trip(self.traffic, self._counted, capability, locale, arm.name, session_id, turn_id)
