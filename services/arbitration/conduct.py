"""Watches a skill while it executes: a skill is somebody else's program, and what it sends is checked, not believed.

`answering` reads every execution through `well_behaved`. What breaks the contract becomes a `SkillFault`, which says
whether something may have been changed in the world; that alone decides if another skill may be tried.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import dataclass, field
from typing import Final

from services.arbitration.ports import (
    Ending,
    Order,
    SkillAlarm,
    SkillAnswer,
    SkillDone,
    SkillEvent,
    SkillPrompt,
)
from services.arbitration.streams import reading
from services.runtime.errors import AntiphonError, Code, Unavailable

log = logging.getLogger(__name__)

MAX_ANSWER: Final = 8_000
"""Code points of a whole answer: about ten minutes of speech."""

MAX_EVENTS: Final = 2_000

_BEFORE_ANY_EFFECT: Final = frozenset(
    {Code.INVALID_ARGUMENT, Code.FAILED_PRECONDITION, Code.NOT_FOUND, Code.PERMISSION_DENIED, Code.UNIMPLEMENTED,
     Code.RESOURCE_EXHAUSTED, Code.UNAUTHENTICATED}
)  # fmt: skip
"""Refusals: a skill that says one of these has not begun."""


class SkillFault(Unavailable):
    """A skill failed or broke the contract.

    Attributes:
        effect_possible: something may have been changed, so nothing else may be tried in its place.
    """

    def __init__(self, reason: str, *, effect_possible: bool) -> None:
        super().__init__("the skill failed", reason=reason)
        self.effect_possible = effect_possible


def fault_of(error: AntiphonError, *, side_effects: bool) -> SkillFault:
    """The fault that an error of the call means. Without a clear refusal, a skill with side effects may have acted."""
    acted = error.metadata.get("effect") == "true"
    return SkillFault(error.reason, effect_possible=acted or (side_effects and error.code not in _BEFORE_ANY_EFFECT))


@dataclass
class Conduct:
    """One execution as it is watched.

    Attributes:
        text: the answer so far.
        breaches: reasons of breaches that were put up with; any of them counts against the skill's circuit.
    """

    order: Order
    side_effects: bool
    text: str = ""
    breaches: list[str] = field(default_factory=list)
    _prompted: bool = False

    async def well_behaved(self, events: AsyncIterator[SkillEvent]) -> AsyncGenerator[SkillEvent, None]:
        """The events that keep to the contract, ending with SkillDone. Raises SkillFault."""
        count = 0
        try:
            async with reading(events) as sent:
                async for event in sent:
                    if (count := count + 1) > MAX_EVENTS:
                        raise self._fault("SKILL_FLOODED")
                    if isinstance(event, SkillDone):
                        self._check_end(event)
                        yield event
                        return
                    if self._admits(event):
                        yield event
        except SkillFault:
            raise
        except AntiphonError as error:
            raise fault_of(error, side_effects=self.side_effects) from error
        raise self._fault("SKILL_BROKE_OFF")

    def _admits(self, event: SkillEvent) -> bool:
        if isinstance(event, SkillPrompt):
            if self._prompted:
                return self._breach("SKILL_ASKED_TWICE")
            self._prompted = True
        if isinstance(event, SkillAlarm) and not self.side_effects:
            raise self._fault("SKILL_UNDECLARED_EFFECT")
        if isinstance(event, SkillAnswer):
            return self._admits_answer(event)
        return True

    def _admits_answer(self, piece: SkillAnswer) -> bool:
        """A piece goes on where the last one ended: what is said twice, or says it anew, is dropped."""
        repeats = piece.start is not None and piece.start < len(self.text)
        again = piece.start is None and self.text != "" and piece.text.strip() == self.text.strip()
        if repeats or again or self._prompted:
            return self._breach("SKILL_ANSWERED_TWICE")
        if len(self.text) + len(piece.text) > MAX_ANSWER:
            raise self._fault("SKILL_TALKED_TOO_LONG")
        self.text += piece.text
        return True

    def _check_end(self, done: SkillDone) -> None:
        receipt = done.receipt
        if receipt is not None and receipt.idempotency_key != self.order.idempotency_key:
            raise self._fault("SKILL_WRONG_RECEIPT")
        if self.side_effects and done.ending is Ending.COMPLETED and receipt is None:
            raise self._fault("SKILL_NO_RECEIPT")
        if not self.side_effects and receipt is not None and receipt.effects:
            self._breach("SKILL_UNDECLARED_EFFECT")
        if done.ending is Ending.AWAITING_USER and not self._prompted:
            raise self._fault("SKILL_NO_PROMPT")
        if done.ending is Ending.DECLINED and not self.text:
            # It said it could and cannot: nothing was changed, so the next one may be tried.
            raise SkillFault(done.reason or "SKILL_DECLINED", effect_possible=False)

    def _breach(self, reason: str) -> bool:
        log.warning("skill %s: %s", self.order.hypothesis.skill_id, reason)
        self.breaches.append(reason)
        return False

    def _fault(self, reason: str) -> SkillFault:
        return SkillFault(reason, effect_possible=self.side_effects)
