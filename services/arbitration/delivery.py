"""What became of a decision, and where it is written down before and after something is changed.

`answering` and `stages.execute` make deliveries, `turn` and `conversation` pass them on, `records` keeps them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from services.arbitration.contexts import PendingPrompt
from services.arbitration.events import Outcome
from services.arbitration.hypotheses import DIALOGUE_SKILL, Hypothesis


@dataclass(frozen=True, slots=True)
class Delivery:
    """What became of a decision.

    Attributes:
        served: the hypothesis that was executed; None when no skill answered.
        prompt: the question that the next turn answers.
        failed: hypotheses that were tried in vain.
        receipt: the effect's receipt, serialised.
        focus: slots to refer to in later turns, serialised.
    """

    outcome: Outcome
    reason: str = ""
    text: str = ""
    served: Hypothesis | None = None
    prompt: PendingPrompt | None = None
    receipt: bytes = b""
    skill_state: bytes = b""
    expects_follow_up: bool = False
    failed: tuple[Hypothesis, ...] = ()
    focus: tuple[bytes, ...] = ()

    @property
    def skill_id(self) -> str:
        return self.served.skill_id if self.served and self.served.skill_id != DIALOGUE_SKILL else ""


class EffectJournal(Protocol):
    """Where it is written down that something is about to be changed, and that it was (`records`)."""

    async def begin(self, order: str, version: str) -> None:
        """Called before an effect. Raises, and so prevents it, when the turn is no longer this stream's.

        Args:
            order: whom it is asked of and what for, the same for every repeat of the turn that asks the same.
            version: of the skill that it is asked of.
        """

    def asked(self, order: str) -> str:
        """The version of the skill that an attempt asked, which was lost with this order; empty if none was."""

    async def settle(self, delivery: Delivery) -> None:
        """Called when the effect is acknowledged, even if nobody listens any more."""
