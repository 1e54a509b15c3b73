"""Listens while the assistant speaks, so that the user can interrupt it by speaking.

`conversation` opens an `Ear` when audio comes in during an answer. What the ear hears is kept; once it hears speech,
the answer is stopped and the ear becomes the recognition of the turn that interrupts, without losing a sample.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from typing import Final, Self

from services.arbitration.contexts import TurnContext
from services.arbitration.ports import Final as FinalResult
from services.arbitration.ports import RecogniserPort, Recognition, RecognitionEvent, SpeechActivity
from services.arbitration.streams import reading
from services.runtime.errors import AntiphonError

log = logging.getLogger(__name__)

_EVENTS: Final = 256
"""Events kept until a turn takes the ear over: an utterance has some dozens."""


class Ear:
    """A `Recognition` whose events are kept until somebody wants them.

    Attributes:
        audio_offset: where it begins, seconds of the stream's audio.
        over: it has heard all it will.
    """

    def __init__(self, recognition: Recognition, audio_offset: float, spoken: Callable[[Ear], None]) -> None:
        self._recognition = recognition
        self._spoken = spoken
        self._heard: asyncio.Queue[RecognitionEvent | AntiphonError | None] = asyncio.Queue(_EVENTS)
        self._listening = asyncio.create_task(self._listen())
        self.audio_offset = audio_offset
        self.spoke = False
        self.over = False

    @classmethod
    async def open(cls, recogniser: RecogniserPort, context: TurnContext, spoken: Callable[[Ear], None]) -> Self:
        """Begin to listen. Raises what the recogniser raises.

        Args:
            context: its `audio_offset` is where the ear begins.
            spoken: called once, when speech begins.
        """
        return cls(await recogniser.open(context), context.audio_offset, spoken)

    async def send(self, pcm: bytes) -> None:
        """Hand over audio; waits while the recogniser cannot take it."""
        await self._recognition.send(pcm)

    async def finish(self) -> None:
        """The audio has ended."""
        await self._recognition.finish()

    async def update_endpointing(self, end_silence: float) -> None:
        """Another end silence, seconds."""
        await self._recognition.update_endpointing(end_silence)

    async def events(self) -> AsyncIterator[RecognitionEvent]:
        """What was heard from the beginning on, then what is heard."""
        while (event := await self._heard.get()) is not None:
            if isinstance(event, AntiphonError):
                raise event
            yield event

    async def close(self) -> None:
        """Stop listening. Safe to call twice."""
        self.over = True
        self._listening.cancel()
        await asyncio.gather(self._listening, return_exceptions=True)
        await self._recognition.close()

    async def _listen(self) -> None:
        try:
            async with reading(self._recognition.events()) as events:
                async for event in events:
                    await self._heard.put(event)
                    if isinstance(event, SpeechActivity) and event.is_speech and not self.spoke:
                        self.spoke = True
                        self._spoken(self)
                    elif isinstance(event, FinalResult):
                        break
        except AntiphonError as error:
            log.debug("overhearing ended: %s", error.reason)
            await self._heard.put(error)
        self.over = True
        await self._heard.put(None)


class Playback:
    """What the device still plays, as far as it can be known: audio is sent faster than it is heard.

    Args:
        seconds_of: length of so many bytes of the answers' audio.
    """

    MARGIN_S: Final = 0.3
    """What a device buffers before it plays."""

    def __init__(self, seconds_of: Callable[[int], float]) -> None:
        self._seconds_of = seconds_of
        self._turn_id = ""
        self._until = 0.0

    def sent(self, turn_id: str, size: int, now: float) -> None:
        """A chunk of an answer left at `now` (seconds of the event loop)."""
        self._turn_id = turn_id
        self._until = max(self._until, now + self.MARGIN_S) + self._seconds_of(size)

    def over(self, turn_id: str = "") -> None:
        """The device has stopped, or was told to; empty means whatever it plays."""
        if turn_id in ("", self._turn_id):
            self._turn_id = ""

    def playing(self, now: float) -> str:
        """The turn whose answer is still being heard; empty when it is quiet."""
        return self._turn_id if now < self._until else ""
