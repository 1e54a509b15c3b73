"""Why a turn went as it did, for as long as somebody may ask.

`conversation` stores an explanation after each turn; Explain and Feedback read it. Another tenant's turn looks as if it
did not exist. What the user said is left out unless they agreed that it may be kept.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from typing import Final

from services.arbitration.feedback import FeedbackBook
from services.arbitration.hypotheses import Candidate, Decision
from services.arbitration.ledger import LatencyLedger
from services.runtime.errors import AntiphonError, Conflict, NotFound
from services.runtime.store import ABSENT, SessionStore, Versioned

log = logging.getLogger(__name__)

KEPT_SECONDS: Final = 3600.0

ENDED_WELL: Final = {"COMPLETED": True, "POSITIVE": True, "REPHRASED": False, "INTERRUPTED": False, "NEGATIVE": False}
"""What each kind of feedback says about the skill that answered; the others say nothing about it."""

_ATTEMPTS: Final = 5

Encode = Callable[[Decision, LatencyLedger], bytes]


@dataclass(frozen=True, slots=True)
class Explanation:
    """A stored explanation; `encoded` is what `Encode` made of decision and ledger."""

    turn_id: str
    session_id: str
    encoded: bytes
    skill_id: str = ""
    intent: str = ""
    feedback: tuple[str, ...] = ()


@dataclass
class Explanations:
    """The store of explanations.

    Attributes:
        explain: adds what each feature counted, where the ranker could not tell at once.
        kept: seconds.
    """

    store: SessionStore
    encode: Encode
    book: FeedbackBook = field(default_factory=FeedbackBook)
    kept: float = KEPT_SECONDS
    explain: Callable[[Decision], Awaitable[Decision]] | None = None

    async def keep(
        self,
        tenant: str,
        session_id: str,
        turn_id: str,
        decision: Decision,
        ledger: LatencyLedger,
        *,
        retain_text: bool,
    ) -> None:
        """Store the explanation of a turn. A store that fails costs the explanation, not the turn."""
        if self.explain is not None:
            decision = await self.explain(decision)
        winner = decision.winner
        explanation = Explanation(
            turn_id,
            session_id,
            self.encode(decision if retain_text else without_words(decision), ledger),
            winner.hypothesis.skill_id if winner else "",
            winner.hypothesis.intent if winner else "",
        )
        try:
            await self.store.put(tenant, _key(turn_id), _encoded(explanation), ttl=self.kept, expected=ABSENT)
        except AntiphonError as error:
            log.warning("explanation not kept: %s", error.reason)

    async def get(self, tenant: str, turn_id: str) -> Explanation:
        """The explanation. Raises NotFound: no such turn, expired, or another tenant's."""
        return _decoded(turn_id, (await self._found(tenant, turn_id)).value)

    async def add_feedback(self, tenant: str, turn_id: str, kind: str, idempotency_key: str = "") -> bool:
        """Note how a turn went, for its explanation and for ranking.

        Returns:
            True if the same feedback was there already.

        Raises:
            NotFound: as `get`.
            Conflict: too many write at once.
        """
        for _ in range(_ATTEMPTS):
            found = await self._found(tenant, turn_id)
            explanation = _decoded(turn_id, found.value)
            mark = f"{kind}:{idempotency_key}" if idempotency_key else kind
            if mark in explanation.feedback:
                return True
            updated = replace(explanation, feedback=(*explanation.feedback, mark)[-50:])
            try:
                await self.store.put(tenant, _key(turn_id), _encoded(updated), ttl=self.kept, expected=found.version)
            except Conflict:
                continue
            if kind in ENDED_WELL and explanation.skill_id:
                self.book.record(tenant, explanation.skill_id, explanation.intent, good=ENDED_WELL[kind])
            return False
        raise Conflict("too much feedback on one turn at once; repeat", reason="FEEDBACK_CONTENDED")

    async def _found(self, tenant: str, turn_id: str) -> Versioned:
        found = await self.store.get(tenant, _key(turn_id)) if turn_id else None
        if found is None:
            raise NotFound("no such turn, or it is too long ago", reason="TURN_NOT_FOUND", field="turn_id")
        return found


def without_words(decision: Decision) -> Decision:
    """The decision without what the user said: intents, names of slots, scores and features stay."""

    def silent(candidate: Candidate) -> Candidate:
        reading = candidate.hypothesis.interpretation
        slots = tuple(replace(slot, text="", typed=b"") for slot in reading.slots)
        reading = replace(reading, text="", wire=b"", slots=slots)
        return replace(candidate, hypothesis=replace(candidate.hypothesis, interpretation=reading))

    return replace(decision, candidates=tuple(map(silent, decision.candidates)))


def _key(turn_id: str) -> str:
    return f"explain/{turn_id[:128]}"


def _encoded(explanation: Explanation) -> bytes:
    head = {
        "session": explanation.session_id,
        "skill": explanation.skill_id,
        "intent": explanation.intent,
        "feedback": explanation.feedback,
    }
    return json.dumps(head).encode() + b"\n" + explanation.encoded


def _decoded(turn_id: str, value: bytes) -> Explanation:
    head, _, encoded = value.partition(b"\n")
    read = json.loads(head)
    return Explanation(turn_id, read["session"], encoded, read["skill"], read["intent"], tuple(read["feedback"]))
