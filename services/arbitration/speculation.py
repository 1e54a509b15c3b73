"""Works ahead while the user still speaks.

`turn` hands every partial to a `Speculator`. When the words seem settled it interprets them, asks the skills and takes
the decision that would follow; an answer without side effects is even begun, as far as its first audio. When the final
has the same words the work is taken over; otherwise it is thrown away and nobody has noticed. It also tells the
recogniser how long a silence has to be: short behind a complete and confident request, as usual otherwise.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from services.arbitration.answering import Answering, Emit
from services.arbitration.contexts import TurnContext
from services.arbitration.delivery import Delivery
from services.arbitration.events import TurnEvent
from services.arbitration.hypotheses import Action, Alternative, Candidate, Decision
from services.arbitration.judging import Evidence, Judge
from services.arbitration.ledger import LatencyLedger
from services.arbitration.ports import Partial


@dataclass(frozen=True, slots=True)
class SpeculationSettings:
    """When work is done ahead.

    Attributes:
        enabled: False waits for every final.
        stability: a partial's stability from which its words count as settled; the same words twice do as well.
        confident: least probability of the winner for beginning its answer and for shortening the endpoint.
        usual_silence: seconds of silence that end an utterance.
        open_silence: the same behind a complete request that could still go on ("what time is it" ... "in Rome").
        short_silence: the same behind a request with nothing left to say.
        ahead: events of an answer that are made before it is adopted: about two seconds of audio.
    """

    enabled: bool = True
    stability: float = 0.6
    confident: float = 0.85
    usual_silence: float = 0.7
    open_silence: float = 0.3
    short_silence: float = 0.2
    ahead: int = 24


class Ahead:
    """An answer that was begun before it was wanted. Its events wait, a bounded number of them, until it is."""

    def __init__(self, decision: Decision, limit: int) -> None:
        self.decision = decision
        self.adopted = asyncio.Event()
        self._events: asyncio.Queue[TurnEvent] = asyncio.Queue(limit)
        self._arrived = asyncio.Event()
        self._work: asyncio.Task[Delivery] | None = None

    async def emit(self, event: TurnEvent) -> None:
        """Where the answer puts its events."""
        await self._events.put(event)
        self._arrived.set()

    def begin(self, answering: Answering) -> None:
        """Start working."""
        self._work = asyncio.create_task(answering.deliver(self.decision))

    def serves(self, decision: Decision) -> bool:
        """Whether it is the answer to `decision`."""
        mine, theirs = self.decision.winner, decision.winner
        return (
            decision.action is Action.EXECUTE
            and mine is not None
            and theirs is not None
            and mine.hypothesis.serves_same(theirs.hypothesis)
        )

    async def forward(self, emit: Emit) -> Delivery:
        """Adopt it: pass on what was made and what is still to come."""
        assert self._work is not None
        self.adopted.set()
        while not self._work.done() or not self._events.empty():
            if self._events.empty():
                await self._next_or_end()
            else:
                await emit(self._events.get_nowait())
        return await self._work

    async def discard(self) -> None:
        """Throw it away."""
        if self._work is not None:
            self._work.cancel()
            await asyncio.gather(self._work, return_exceptions=True)

    async def _next_or_end(self) -> None:
        """Wait until there is an event or there will be none."""
        assert self._work is not None
        arrival = asyncio.create_task(self._arrived.wait())
        try:
            await asyncio.wait((arrival, self._work), return_when=asyncio.FIRST_COMPLETED)
        finally:
            arrival.cancel()
        self._arrived.clear()


@dataclass(frozen=True, slots=True)
class Speculation:
    """What was found out ahead about some words."""

    evidence: Evidence
    decision: Decision
    ahead: Ahead | None


@dataclass
class _Guess:
    words: str
    work: asyncio.Task[Speculation]


class Speculator:
    """The work ahead of one turn: at most one guess at a time.

    Args:
        answer: begins the answer to a decision, emitting into the `Ahead`.
        endpointing: tells the recogniser the silence, in seconds, that ends the utterance.
        optional_open: whether the winner could still take more: an optional slot that was not said.
    """

    def __init__(
        self,
        judge: Judge,
        context: TurnContext,
        ledger: LatencyLedger,
        settings: SpeculationSettings,
        *,
        answer: Callable[[Evidence, Ahead], Answering],
        endpointing: Callable[[float], Awaitable[None]],
        optional_open: Callable[[Candidate], bool],
    ) -> None:
        self._judge = judge
        self._context = context
        self._ledger = ledger
        self._settings = settings
        self._answer = answer
        self._endpointing = endpointing
        self._optional_open = optional_open
        self._guess: _Guess | None = None
        self._last_words = ""
        self._silence = settings.usual_silence
        self._discarding: set[asyncio.Task[None]] = set()

    def hear(self, partial: Partial, *, settled: bool = False) -> None:
        """Look at a partial; `settled` when something else (an eager endpoint) says that its words will stay."""
        words = normalised(partial.text)
        settled = settled or partial.stability >= self._settings.stability or words == self._last_words
        self._last_words = words
        if not self._settings.enabled or (self._guess is not None and self._guess.words == words):
            return
        self._drop()
        if words and settled:
            self._guess = _Guess(words, asyncio.create_task(self._speculate(partial.text)))

    async def claim(self, alternatives: tuple[Alternative, ...]) -> Speculation | None:
        """The work done for these words, waiting for it if it is under way; None when it was for others."""
        guess = self._guess
        if guess is None or not alternatives or guess.words != normalised(alternatives[0].text):
            return None
        self._guess = None
        return await guess.work

    async def close(self) -> None:
        """Throw away what was not claimed."""
        self._drop()
        await asyncio.gather(*self._discarding, return_exceptions=True)

    async def _speculate(self, text: str) -> Speculation:
        evidence = await self._judge.gather((Alternative(text),), self._context, self._ledger, speculative=True)
        decision = await self._judge.settle(evidence, self._context, self._ledger, directed=1.0)
        winner = decision.winner
        sure = (
            decision.action is Action.EXECUTE and winner is not None and winner.probability >= self._settings.confident
        )
        await self._set_silence(winner if sure else None)
        if not sure or winner is None or winner.side_effects:
            return Speculation(evidence, decision, None)
        ahead = Ahead(decision, self._settings.ahead)
        ahead.begin(self._answer(evidence, ahead))
        return Speculation(evidence, decision, ahead)

    async def _set_silence(self, winner: Candidate | None) -> None:
        settings = self._settings
        if winner is None:
            silence = settings.usual_silence
        else:
            silence = settings.open_silence if self._optional_open(winner) else settings.short_silence
        if silence != self._silence:
            self._silence = silence
            await self._endpointing(silence)

    def _drop(self) -> None:
        guess, self._guess = self._guess, None
        if guess is not None:
            task = asyncio.create_task(self._discard(guess))
            self._discarding.add(task)
            task.add_done_callback(self._discarding.discard)

    async def _discard(self, guess: _Guess) -> None:
        guess.work.cancel()
        (result,) = await asyncio.gather(guess.work, return_exceptions=True)
        if isinstance(result, Speculation) and result.ahead is not None:
            await result.ahead.discard()
        if self._guess is None:  # what comes next is not known to be complete
            await self._set_silence(None)


_PUNCTUATION = re.compile(r"[.,;:!?¿¡…\"“”„«»]+(?=\s|$)|(?<=\s)[¿¡\"“„«]+|^[¿¡\"“„«]+")


def normalised(text: str) -> str:
    """Words as they are compared: case, spacing and punctuation apart."""
    return " ".join(_PUNCTUATION.sub(" ", text.casefold()).split())
