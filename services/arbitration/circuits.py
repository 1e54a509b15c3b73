"""Circuit breakers per skill: one that keeps failing is left alone for a while.

`stages.fulfil` and `answering` report every outcome; `stages.fulfil` asks before it calls. Asking and executing have a
circuit each: a skill that claims YES and then fails would otherwise mend its own record with every claim. The state
decides whether a candidate is eligible and is no feature of the ranker: an outage must not teach that users stopped
liking a skill.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from dataclasses import dataclass, field
from enum import Enum
from typing import Final

APART: Final = "@"
"""Between a skill's id and its version, or the pool that serves it to some tenants alone."""


@dataclass(frozen=True, slots=True)
class CircuitPolicy:
    """When a circuit opens and closes.

    Attributes:
        failures: failures in a row that open it.
        rest: seconds it stays open; then one call is let through, and its outcome decides.
        longest_rest: bound of the rest, which doubles with each failed trial.
    """

    failures: int = 5
    rest: float = 5.0
    longest_rest: float = 120.0


@dataclass(slots=True)
class _Circuit:
    failures: int = 0
    rest: float = 0.0
    open_until: float | None = None
    trying: bool = False


class Duty(Enum):
    """What a skill is called for."""

    ASK = "ask"
    EXECUTE = "execute"


@dataclass
class Circuits:
    """All circuits of this replica, by name (`SkillPort.circuit`) and duty. Time is the event loop's."""

    policy: CircuitPolicy = field(default_factory=CircuitPolicy)
    _circuits: dict[tuple[str, Duty], _Circuit] = field(default_factory=lambda: defaultdict(_Circuit))

    def state(self, name: str) -> str:
        """The worst of a skill's, or of those of just this name: CLOSED, HALF_OPEN (the next call is a trial), OPEN."""
        own = [key for key in self._circuits if name in (key[0], key[0].partition(APART)[0])]
        states = {"CLOSED", *(self._state(*key) for key in own)}
        return next(state for state in ("OPEN", "HALF_OPEN", "CLOSED") if state in states)

    def _state(self, skill_id: str, duty: Duty) -> str:
        circuit = self._circuits.get((skill_id, duty))
        if circuit is None or circuit.open_until is None:
            return "CLOSED"
        return "HALF_OPEN" if circuit.trying or _now() >= circuit.open_until else "OPEN"

    def ready(self, skill_id: str, duty: Duty) -> bool:
        """Whether a call would be allowed now. Takes nothing."""
        circuit = self._circuits.get((skill_id, duty))
        return circuit is None or circuit.open_until is None or (not circuit.trying and _now() >= circuit.open_until)

    def allows(self, skill_id: str, duty: Duty) -> bool:
        """Whether the skill may be called now. After the rest, True once: the caller is the trial and must report."""
        if not self.ready(skill_id, duty):
            return False
        circuit = self._circuits.get((skill_id, duty))
        if circuit is not None and circuit.open_until is not None:
            circuit.trying = True
        return True

    def succeeded(self, skill_id: str, duty: Duty) -> None:
        """A call came back in time and in order."""
        self._circuits.pop((skill_id, duty), None)

    def failed(self, skill_id: str, duty: Duty) -> None:
        """A call failed, came too late or broke the rules."""
        circuit = self._circuits[skill_id, duty]
        circuit.failures += 1
        # Calls that were under way when it opened fail too, and say nothing new.
        if circuit.trying or (circuit.open_until is None and circuit.failures >= self.policy.failures):
            circuit.rest = min(circuit.rest * 2 or self.policy.rest, self.policy.longest_rest)
            circuit.open_until = _now() + circuit.rest
            circuit.trying = False

    def abandoned(self, skill_id: str, duty: Duty) -> None:
        """A call was given up for reasons of ours: says nothing about the skill, and frees the trial."""
        if (circuit := self._circuits.get((skill_id, duty))) is not None:
            circuit.trying = False


def _now() -> float:
    return asyncio.get_running_loop().time()
