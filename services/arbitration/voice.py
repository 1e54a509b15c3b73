"""Says text while it is still being made: text in, audio events out.

`answering` gives it the pieces of an answer as they come; the synthesiser's chunks leave as events at the pace at
which somebody takes them. A voice that fails leaves the text: the user can still read the answer.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Final

from services.arbitration.contexts import TurnContext
from services.arbitration.events import AnswerAudio
from services.arbitration.ledger import LatencyLedger, Step
from services.arbitration.ports import Speech, SynthesisPort
from services.arbitration.streams import reading
from services.runtime.errors import AntiphonError

log = logging.getLogger(__name__)

_PIECES_AHEAD: Final = 32

EmitAudio = Callable[[AnswerAudio], Awaitable[None]]


class Voice:
    """One utterance of the assistant. Use `say` any number of times, then `finish`, or `close` to break it off."""

    def __init__(
        self,
        synthesis: SynthesisPort,
        context: TurnContext,
        ledger: LatencyLedger,
        emit: EmitAudio,
        *,
        progress: bool = False,
        speculative: bool = False,
    ) -> None:
        self._synthesis = synthesis
        self._context = context
        self._ledger = ledger
        self._emit = emit
        self._progress = progress
        self._speculative = speculative
        self._pieces: asyncio.Queue[str | None] = asyncio.Queue(_PIECES_AHEAD)
        self._speaking: asyncio.Task[None] | None = None
        self.error: AntiphonError | None = None

    async def say(self, text: str) -> None:
        """Say a piece after what was said before. Waits while the synthesiser is far behind."""
        if not self._context.profile.speaks or not text.strip() or self.error is not None:
            return
        if self._speaking is None:
            self._speaking = asyncio.create_task(self._speak())
        await self._pieces.put(text)

    async def finish(self) -> None:
        """No more pieces: return when all audio has been taken."""
        if self._speaking is not None:
            if not self._speaking.done():
                await self._pieces.put(None)
            await self._speaking

    async def close(self) -> None:
        """Break off. Safe to call at any time."""
        if self._speaking is not None:
            self._speaking.cancel()
            await asyncio.gather(self._speaking, return_exceptions=True)

    async def _texts(self) -> AsyncIterator[str]:
        while (piece := await self._pieces.get()) is not None:
            yield piece

    async def _speak(self) -> None:
        try:
            async with reading(self._synthesis.speak(self._texts(), self._context)) as chunks:
                # The step is the wait for the first chunk: what the user waits for.
                with self._ledger.step(Step.SYNTHESIS, speculative=self._speculative) as entry:
                    first = await anext(chunks, None)
                    entry.models = first.models if first else ()
                if first is not None:
                    await self._send(first)
                async for chunk in chunks:
                    await self._send(chunk)
        except AntiphonError as error:
            log.warning("synthesis failed: %s", error.reason)
            self.error = error
            while not self._pieces.empty():  # whoever waits to say more must not wait for ever
                self._pieces.get_nowait()

    async def _send(self, chunk: Speech) -> None:
        await self._emit(AnswerAudio(self._context.turn_id, chunk, self._progress))
