"""What all answers of a replica share, and what outlives each of them: effects under way.

`replica` makes one; `answering`, `stages.execute` and `patience` use it.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass, field
from typing import Any

from services.arbitration.alarms import AlarmBook
from services.arbitration.budgets import Budgets
from services.arbitration.circuits import Circuits
from services.arbitration.contexts import TurnContext
from services.arbitration.ports import DialogueAsk, Ports, SkillEvent
from services.arbitration.registry_of_skills import SkillRegistry
from services.arbitration.streams import reading
from services.runtime.errors import AntiphonError

log = logging.getLogger(__name__)


@dataclass
class Desk:
    """What all answers of a replica share."""

    ports: Ports
    registry: SkillRegistry
    circuits: Circuits
    alarms: AlarmBook
    budgets: Budgets = field(default_factory=Budgets)
    _effects: set[asyncio.Task[Any]] = field(default_factory=set)

    def keep(self, effect: asyncio.Task[tuple[SkillEvent, ...]]) -> None:
        """Let an effect run to its end although its turn may go away."""
        self._effects.add(effect)
        effect.add_done_callback(self._ended)

    def tell_dialogue(self, ask: DialogueAsk, context: TurnContext) -> None:
        """Let the dialogue service know of an answer that a skill gave; nobody waits for it."""
        task = asyncio.create_task(self._tell_dialogue(ask, context))
        self._effects.add(task)
        task.add_done_callback(self._effects.discard)

    async def settle(self) -> None:
        """Wait for what is under way: before the replica stops."""
        await asyncio.gather(*self._effects, return_exceptions=True)

    async def _tell_dialogue(self, ask: DialogueAsk, context: TurnContext) -> None:
        try:
            async with reading(self.ports.dialogue.respond(ask, context)) as words:
                async for _ in words:
                    continue
        except AntiphonError as error:
            log.warning("dialogue was not told of an answer: %s", error.reason)

    def _ended(self, effect: asyncio.Task[tuple[SkillEvent, ...]]) -> None:
        self._effects.discard(effect)
        if not effect.cancelled() and (error := effect.exception()) is not None:
            log.debug("an effect ended in %s", type(error).__name__)
