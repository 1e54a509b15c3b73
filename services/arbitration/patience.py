"""Says that it takes a moment, when it does.

`answering` begins it with an execution and ends it with the first words of the answer. Time counts from the moment the
user waits, which for an answer that was begun ahead is its adoption. It is said once a turn, before the answer and
never over it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from services.arbitration.budgets import Stage
from services.arbitration.contexts import TurnContext
from services.arbitration.desk import Desk
from services.arbitration.events import Progress, TurnEvent
from services.arbitration.ledger import LatencyLedger
from services.arbitration.ports import DialogueAsk, DialogueText
from services.arbitration.streams import reading
from services.arbitration.voice import Voice
from services.runtime.errors import AntiphonError


class Patience:
    """The progressive answer of one turn."""

    def __init__(
        self,
        desk: Desk,
        context: TurnContext,
        ledger: LatencyLedger,
        emit: Callable[[TurnEvent], Awaitable[None]],
        adopted: asyncio.Event,
        ask: DialogueAsk,
    ) -> None:
        self._desk = desk
        self._context = context
        self._emit = emit
        self._adopted = adopted
        self._ask = ask
        self._voice = Voice(desk.ports.synthesis, context, ledger, emit, progress=True)
        self._waiting: asyncio.Task[None] | None = None
        self._speaking = False
        self._over = False

    def begin(self) -> None:
        """The user waits from now on (or from adoption)."""
        if self._waiting is None:
            self._waiting = asyncio.create_task(self._wait())

    async def say(self, text: str, wire: bytes = b"") -> None:
        """Say what the skill itself says meanwhile, and nothing of our own after it."""
        if self._over:
            return
        if self._waiting is not None and not self._speaking:
            self._waiting.cancel()
        await self._emit(Progress(self._context.turn_id, text, wire))
        await self._voice.say(text)

    async def end(self) -> None:
        """The answer begins: say nothing more, but let what was begun be finished first."""
        if self._over:
            return
        self._over = True
        if self._waiting is not None:
            if not self._speaking:
                self._waiting.cancel()
            await asyncio.gather(self._waiting, return_exceptions=True)
        await self._voice.finish()

    async def close(self) -> None:
        """Break off."""
        self._over = True
        if self._waiting is not None:
            self._waiting.cancel()
            await asyncio.gather(self._waiting, return_exceptions=True)
        await self._voice.close()

    async def _wait(self) -> None:
        await self._adopted.wait()
        await asyncio.sleep(self._desk.budgets[Stage.PROGRESS].seconds)
        try:
            async with reading(self._desk.ports.dialogue.respond(self._ask, self._context)) as words:
                async for event in words:
                    if isinstance(event, DialogueText):
                        self._speaking = True
                        await self._emit(Progress(self._context.turn_id, event.text))
                        await self._voice.say(event.text)
        except AntiphonError:
            return  # a missing "one moment" is no reason to fail a turn
