"""A session's wait for the language model of its phrases.

Used by `recognizer.py`. The session's audio is held until the model is there, and heard then from the first sample on;
when it takes too long, the session starts with the model's own and takes the new one for its next utterance.
"""

from __future__ import annotations

import asyncio

from services.asr.engines.protocol import EngineSession
from services.asr.events import Event, GrammarReport, UnmatchedPhrase
from services.asr.grammar import LanguageModel, PhraseGrammar
from services.runtime.errors import AntiphonError, FailedPrecondition, InvalidInput


class Adoption:
    """One per session that began before its language model was there.

    Args:
        session: that shall hear with it.
        grammar: what it is made of.
        build: shared with other sessions, so never cancelled here.
        patience: seconds from now after which the session starts without; one that shall hear nothing but its phrases
            waits on.
    """

    def __init__(
        self, session: EngineSession, grammar: PhraseGrammar, build: asyncio.Future[LanguageModel], patience: float
    ) -> None:
        self._session = session
        self._grammar = grammar
        self._build = build
        self._until = None if grammar.share == 1.0 else asyncio.get_running_loop().time() + patience
        self._is_over = False
        self.holds = True
        """Whether audio has to wait."""

    async def step(self, *, wait: bool, patient: bool = False) -> list[Event]:
        """Takes the model if it is there: `GrammarReport`.

        Args:
            wait: until it is there, or patience ends.
            patient: there is no end to patience.

        Raises:
            InvalidInput, FailedPrecondition: the grammar is not one for this model.
        """
        if self._is_over:
            return []
        if wait and self.holds and not self._build.done():
            await asyncio.wait({self._build}, timeout=None if patient else self._left())
        if self._build.done():
            self._is_over, self.holds = True, False
            return await self._take()
        left = self._left()
        self.holds = self.holds and (left is None or left > 0.0)
        return []

    async def _take(self) -> list[Event]:
        try:
            built = self._build.result()
            events = await self._session.adopt(built) if built.folder else []
        except (InvalidInput, FailedPrecondition):
            raise
        except AntiphonError as error:
            if self._grammar.share == 1.0:
                raise
            return [GrammarReport(self._grammar.digest, 0, (UnmatchedPhrase("", error.reason),))]
        return [*events, report(self._grammar, built)]

    def _left(self) -> float | None:
        return None if self._until is None else max(0.0, self._until - asyncio.get_running_loop().time())


def report(grammar: PhraseGrammar, built: LanguageModel) -> GrammarReport:
    return GrammarReport(grammar.digest, built.accepted, built.unmatched, built.build_seconds)
