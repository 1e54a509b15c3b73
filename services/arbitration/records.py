"""Makes a turn safe to repeat: what has been done under an idempotency key is not done again.

`conversation` claims a key when a turn begins, `stages.execute` notes an effect before and after it. A record is
`claimed` (nothing has happened: whoever repeats takes it over, and the first claimant finds out before any effect),
`executing` (something may have happened: a repeat may give the same order to the same version of the same skill again,
with the same key, by which the skill changes nothing more; whatever else it would do is refused) or `done` (a repeat
gets the stored result).
"""

from __future__ import annotations

import base64
import hashlib
import json
import logging
from dataclasses import dataclass
from typing import Final

from services.arbitration.delivery import Delivery
from services.arbitration.events import Outcome
from services.runtime.errors import AntiphonError, Conflict, FailedPrecondition, QuotaExceeded, Unavailable
from services.runtime.store import ABSENT, SessionStore

log = logging.getLogger(__name__)

KEPT_SECONDS: Final = 24 * 3600.0
"""How long a done turn is remembered: as long as a client may come back with the same key."""

CLAIM_SECONDS: Final = 900.0
"""How long a claim that came to nothing blocks nobody and costs a row: the longest session and some."""


DONE: Final = frozenset({Outcome.ANSWERED, Outcome.ASKED, Outcome.NOT_UNDERSTOOD})
"""Turns whose repeat gets the stored result."""


@dataclass(frozen=True, slots=True)
class StoredResult:
    """What a repeat of a turn gets."""

    turn_id: str
    outcome: Outcome
    reason: str
    skill_id: str
    answer: str
    receipt: bytes


class TurnClaim:
    """The right to carry out one turn. Implements `delivery.EffectJournal`.

    An empty key claims nothing and writes nothing: without a key nobody can repeat the turn.
    """

    def __init__(self, store: SessionStore, tenant: str, key: str, turn_id: str) -> None:
        self._store = store
        self._tenant = tenant
        self._key = key
        self._turn_id = turn_id
        self._version = ABSENT
        self._effect = False
        self._lost = self._lost_version = ""
        self._broken: AntiphonError | None = None
        self.stored: StoredResult | None = None

    async def claim(self) -> None:
        """Take the key; afterwards `stored` holds the result if the turn was done before.

        A store that is gone does not stop a turn: it only keeps it from changing anything.

        Raises:
            Conflict: another stream claims the same key at this moment.
        """
        if not self._key:
            return
        try:
            found = await self._store.get(self._tenant, self._key)
            record = json.loads(found.value) if found else {"state": "new"}
            if record["state"] == "done":
                self.stored = _stored(record)
                return
            if record["state"] == "executing":
                self._lost, self._version = record["order"], found.version if found else ABSENT
                self._lost_version = record.get("version", "")
                return
            await self._put({"state": "claimed"}, CLAIM_SECONDS, found.version if found else ABSENT)
        except (Unavailable, QuotaExceeded) as error:
            log.warning("turn not claimed: %s", error.reason)
            self._broken = error

    async def begin(self, order: str, version: str) -> None:
        """Note that an effect begins.

        Raises:
            Conflict: TURN_TAKEN_OVER, another stream has taken the turn over.
            FailedPrecondition: TURN_OUTCOME_UNKNOWN, an earlier attempt was lost while it carried out another order.
        """
        if self._broken is not None:
            raise self._broken
        if not self._key:
            return
        if self._lost not in ("", order):
            raise outcome_unknown()
        try:
            record = {"state": "executing", "order": order, "version": version}
            await self._put(record, KEPT_SECONDS, self._version)
        except Conflict as error:
            raise Conflict("another stream has taken this turn over", reason="TURN_TAKEN_OVER") from error
        self._effect, self._lost = True, ""

    def asked(self, order: str) -> str:
        """The version of the skill that a lost attempt gave this order to; empty if none did."""
        return self._lost_version if self._lost == order else ""

    @property
    def in_doubt(self) -> bool:
        """An earlier attempt was lost while it changed something, and this one has not asked after it."""
        return bool(self._lost)

    async def settle(self, delivery: Delivery) -> None:
        """Note that the effect is acknowledged."""
        if self._key:
            await self._done(delivery)
        self._effect = False

    async def finish(self, delivery: Delivery) -> None:
        """Note how the turn ended. What failed or was interrupted without an effect may be tried again."""
        if not self._key or self._broken is not None or self._effect or self._lost or self.stored is not None:
            return
        try:
            if delivery.outcome in DONE:
                await self._done(delivery)
            else:
                await self._store.delete(self._tenant, self._key, expected=self._version)
        except AntiphonError as error:
            log.warning("turn not recorded: %s", error.reason)

    async def _done(self, delivery: Delivery) -> None:
        record = {
            "state": "done",
            "turn_id": self._turn_id,
            "outcome": str(delivery.outcome),
            "reason": delivery.reason,
            "skill_id": delivery.skill_id,
            "answer": delivery.text,
            "receipt": base64.b64encode(delivery.receipt).decode(),
        }
        await self._put(record, KEPT_SECONDS, self._version)

    async def _put(self, record: dict[str, str], ttl: float, expected: int) -> None:
        value = json.dumps(record).encode()
        self._version = (await self._store.put(self._tenant, self._key, value, ttl=ttl, expected=expected)).version


def outcome_unknown() -> FailedPrecondition:
    """What a repeat is told that cannot find out what an earlier attempt has done."""
    return FailedPrecondition(
        "an earlier attempt at this turn was lost while it was carried out; check before repeating it",
        reason="TURN_OUTCOME_UNKNOWN",
    )


def record_key(user_id: str, device_id: str, key: str) -> str:
    """Where a turn's record lies: clients choose keys, so those of two devices must not meet."""
    return key and "turn/" + hashlib.sha256("\0".join((user_id, device_id, key)).encode()).hexdigest()


def _stored(record: dict[str, str]) -> StoredResult:
    return StoredResult(
        record["turn_id"],
        Outcome(record["outcome"]),
        record["reason"],
        record["skill_id"],
        record["answer"],
        base64.b64decode(record["receipt"]),
    )
