"""A server of models that may fail, with another home beside it: what callers of a `ModelClient` never have to know.

`backends.py` puts a `ResilientClient` around the Triton client. A stateless call that the server did not answer is
asked of the fallback. A sequence whose state is lost, with a server, a model's process or a connection, is told its
inputs again (`replay.py`), by the server if that is well, else by the fallback, and the user's stream goes on. Which
models the server runs well is known to `circuits.py`; new sequences return to it within a probe's interval, open ones
stay where they are. Without a fallback calls are refused, with a reason and a time to come again.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Mapping
from contextlib import aclosing
from typing import Protocol, TypeVar

from opentelemetry import metrics

from services.runtime.circuits import INTERVAL, Circuits
from services.runtime.errors import (
    AntiphonError,
    DeadlineExceeded,
    FailedPrecondition,
    Internal,
    InvalidInput,
    Overloaded,
    Unavailable,
)
from services.runtime.inference import ModelClient, ModelDefinition, SequenceStep, Tensor
from services.runtime.replay import Replay, ReplayLimits, Replays, steps_of
from services.runtime.sequences import IdleSweep

logger = logging.getLogger(__name__)
_meter = metrics.get_meter("antiphon")
_CHANGES = _meter.create_counter("antiphon.model.home_changes", "{change}", "Models that changed their home")
_REPLAYS = _meter.create_counter("antiphon.model.replays", "{sequence}", "Sequences told again, by completeness")

PATIENCE = 2.0
"""Seconds that a call waits for the server before it is asked of the fallback."""

_PRIMARY, _FALLBACK = 0, 1
_SERVER_AWAY = frozenset({"SERVER_UNREACHABLE", "SERVER_GONE"})  # other reasons are one model's own
_STATE_GONE = frozenset({"SEQUENCE_LOST", "SEQUENCE_UNKNOWN"})
_DEAD = "MODEL_UNHEALTHY"
_PROBE = 2.0  # seconds; a server takes one of them to find out that a model's process is dead
_RELOADING = "MODEL_RELOADING"  # new sequences are refused for a moment, and open ones may end where they are
_FAILURES = (Unavailable, FailedPrecondition, InvalidInput)

Outputs = Mapping[str, Tensor]
T = TypeVar("T")


class ServerClient(ModelClient, Protocol):
    """A client of a server: `triton.TritonClient`."""

    async def probe(self, model: str, *, deadline: float = 2.0) -> None:
        """A tiny inference. Raises AntiphonError when the model does not answer it."""
        ...

    async def revive(self, model: str) -> None:
        """Has the server load a model anew whose process is dead. Raises AntiphonError when it is not well then."""
        ...


class ResilientClient:
    """Runs models on a server, or in the fallback while the server does not.

    Args:
        primary: the server.
        fallback: None refuses calls while the server does not answer.
        patience: seconds; see `PATIENCE`. Without a fallback only the caller's deadline counts.
        limits: of what is kept of open sequences.
    """

    def __init__(
        self,
        primary: ServerClient,
        fallback: ModelClient | None,
        *,
        patience: float = PATIENCE,
        limits: ReplayLimits | None = None,
    ) -> None:
        self._primary = primary
        self._homes: tuple[ModelClient, ...] = (primary,) if fallback is None else (primary, fallback)
        self._patience = patience if fallback else None
        self._circuits = Circuits(self._probe, self._changed)
        self._replays = Replays(lambda: asyncio.get_running_loop().time(), limits or ReplayLimits())
        self._idle = IdleSweep(self._replays)

    def definition(self, model: str) -> ModelDefinition:
        return self._primary.definition(model)

    def backend(self, model: str) -> str:
        """See `ModelClient.backend`; of a new sequence, as open ones stay where they are."""
        homes = self._usable(self.definition(model))
        return self._homes[homes[0] if homes else _PRIMARY].backend(model)

    async def load(self, model: str) -> ModelDefinition:
        """Makes it ready in both homes; with a fallback a server that is away for now is no hindrance."""
        definition = self.definition(model)
        steps_of(definition)  # told now, not in the middle of an outage
        for home in self._homes[_FALLBACK:]:
            await home.load(model)
        try:
            await self._waited(self._primary.load(model))
        except (Unavailable, DeadlineExceeded) as error:
            if len(self._homes) == 1:
                raise
            self._failed(definition, error)
        return definition

    async def infer(
        self,
        model: str,
        inputs: Mapping[str, Tensor],
        *,
        sequence: SequenceStep | None = None,
        deadline: float | None = None,
    ) -> Outputs:
        """See `ModelClient.infer`."""
        definition = self.definition(model)
        definition.check(inputs)
        time = _Time(deadline)
        if definition.states and sequence is not None:
            return await self._step(definition, inputs, sequence, time)
        for home in self._usable(definition):
            try:
                return await self._call(home, definition, inputs, sequence, time)
            except _FAILURES as error:
                self._go_on(home, definition, error)
        raise _away(definition)

    async def stream(
        self, model: str, inputs: Mapping[str, Tensor], *, deadline: float | None = None
    ) -> AsyncIterator[Outputs]:
        """See `ModelClient.stream`. Another home begins anew, and its pieces that were already told are left out."""
        definition = self.definition(model)
        time, told = _Time(deadline), 0
        for home in self._usable(definition):
            try:
                async with aclosing(self._pieces(home, definition, inputs, time)) as pieces:
                    at = 0
                    async for outputs in pieces:
                        at += 1
                        if at > told:
                            told = at
                            yield outputs
                return
            except _FAILURES as error:
                self._go_on(home, definition, error)
        raise _away(definition)

    async def close(self) -> None:
        self._idle.close()
        await self._circuits.close()
        for home in self._homes:
            await home.close()

    async def _step(
        self, definition: ModelDefinition, inputs: Mapping[str, Tensor], sequence: SequenceStep, time: _Time
    ) -> Outputs:
        replay = self._opened(definition, sequence)
        replay.busy, over = True, True
        try:
            outputs = await self._answered(definition, replay, inputs, sequence, time)
            over = sequence.end
        except Internal:
            raise  # the model failed on this very step: it would fail again
        except (InvalidInput, Overloaded):
            over = sequence.start or sequence.end  # it did not run: the sequence is as it was
            raise
        except BaseException:
            over, replay.unsure = sequence.start or sequence.end, True
            raise
        finally:
            replay.busy = False
            if over:
                self._replays.drop(definition, sequence)
        if not over:
            self._replays.add(replay, inputs)
            self._idle.watch()
        return outputs

    def _opened(self, definition: ModelDefinition, sequence: SequenceStep) -> Replay:
        if not sequence.start:
            return self._replays.get(definition, sequence)
        homes = self._usable(definition)
        if not homes:
            raise _away(definition)
        return self._replays.start(definition, sequence, homes[0])

    async def _answered(
        self,
        definition: ModelDefinition,
        replay: Replay,
        inputs: Mapping[str, Tensor],
        sequence: SequenceStep,
        time: _Time,
    ) -> Outputs:
        """The step where its sequence is; if that has lost it, the whole sequence again wherever there is a home."""
        if not replay.unsure and replay.home in self._usable(definition):
            try:
                return await self._call(replay.home, definition, inputs, sequence, time)
            except _FAILURES as error:
                self._go_on(replay.home, definition, error)
        replay.unsure = True  # until all of it was told again
        for home in self._usable(definition):
            try:
                outputs = await self._again(home, definition, replay, inputs, sequence, time)
            except _FAILURES as error:
                self._go_on(home, definition, error)
            else:
                replay.home, replay.unsure = home, False
                return outputs
        raise _away(definition)

    async def _again(
        self,
        home: int,
        definition: ModelDefinition,
        replay: Replay,
        inputs: Mapping[str, Tensor],
        sequence: SequenceStep,
        time: _Time,
    ) -> Outputs:
        start = True
        steps = () if sequence.start else replay.inputs()
        for step in steps:
            await self._call(home, definition, step, SequenceStep(sequence.id, start), time)
            start = False
        outputs = await self._call(home, definition, inputs, SequenceStep(sequence.id, start, sequence.end), time)
        logger.info(
            "A sequence of model %s goes on (%s) after %d repeated steps%s.",
            definition.id,
            self._homes[home].backend(definition.id),
            len(steps),
            "" if replay.complete else ", its oldest ones were no longer there",
        )
        _REPLAYS.add(1, {"model": definition.id, "complete": replay.complete})
        return outputs

    async def _call(
        self,
        home: int,
        definition: ModelDefinition,
        inputs: Mapping[str, Tensor],
        sequence: SequenceStep | None,
        time: _Time,
    ) -> Outputs:
        """One call of one home. Time that the server alone has used up is Unavailable, not the caller's deadline."""
        client, left = self._homes[home], time.left()
        patience = self._patience if home == _PRIMARY else None
        limit = left if patience is None else min(patience, patience if left is None else left)
        try:
            return await client.infer(definition.id, inputs, sequence=sequence, deadline=limit)
        except DeadlineExceeded:
            if home == _PRIMARY:
                self._circuits.suspect(definition.id)
            if limit == left:
                raise
            raise Unavailable("The server of models did not answer in time.", reason="TIMEOUT") from None

    async def _pieces(
        self, home: int, definition: ModelDefinition, inputs: Mapping[str, Tensor], time: _Time
    ) -> AsyncGenerator[Outputs, None]:
        stream = self._homes[home].stream(definition.id, inputs, deadline=time.left())
        async with aclosing(stream) as pieces:  # type: ignore[type-var]  # every home's is a generator
            while True:
                try:
                    async with asyncio.timeout(self._patience if home == _PRIMARY else None):
                        outputs = await anext(pieces)
                except StopAsyncIteration:
                    return
                except TimeoutError:
                    raise Unavailable("The server of models did not answer in time.", reason="TIMEOUT") from None
                except DeadlineExceeded:
                    if home == _PRIMARY:
                        self._circuits.suspect(definition.id)
                    raise
                yield outputs

    async def _probe(self, model: str) -> None:
        """Asked by the circuits. A model whose process is dead is loaded anew: the server does not do that by itself.

        Two replicas that find it dead at the same instant may both do so. What runs there by then is told again.
        """
        try:
            await self._primary.probe(model, deadline=_PROBE)
        except Unavailable as error:
            if error.reason != _DEAD:
                raise
            logger.warning("The server's process of model %s is dead: it is loaded anew.", model)
            await self._primary.revive(model)

    async def _waited(self, loading: Awaitable[T]) -> T:
        try:
            async with asyncio.timeout(self._patience):
                return await loading
        except TimeoutError:
            raise Unavailable("The server of models did not answer in time.", reason="TIMEOUT") from None

    def _usable(self, definition: ModelDefinition) -> list[int]:
        """Homes to ask, in turn."""
        first = [_PRIMARY] if self._circuits.closed(definition.id) else []
        return [*first, *range(_FALLBACK, len(self._homes))]

    def _go_on(self, home: int, definition: ModelDefinition, error: AntiphonError) -> None:
        """After a home failed a call: returns if another may be asked, else raises what the caller is to hear."""
        if error.reason in _STATE_GONE or error.reason == _RELOADING:
            return
        alone = len(self._homes) == 1
        own_fault = isinstance(error, InvalidInput) or (isinstance(error, FailedPrecondition) and alone)
        if home != _PRIMARY or own_fault:
            raise error
        self._failed(definition, error)

    def _failed(self, definition: ModelDefinition, error: AntiphonError) -> None:
        self._circuits.open(definition.id, error.reason, everywhere=error.reason in _SERVER_AWAY)

    def _changed(self, model: str, reason: str) -> None:
        """Told by the circuits."""
        home = self.backend(model)
        if not reason:
            logger.info("Model %s runs on its server again.", model)
        elif len(self._homes) > 1:
            logger.warning("Model %s does not run on its server (%s): %s instead.", model, reason, home)
        else:
            logger.warning("Model %s does not run on its server (%s): calls are refused.", model, reason)
        _CHANGES.add(1, {"model": model, "home": home, "reason": reason})


class _Time:
    """What is left of a caller's deadline."""

    def __init__(self, deadline: float | None) -> None:
        now = asyncio.get_running_loop().time()
        self._end = None if deadline is None else now + deadline

    def left(self) -> float | None:
        """Seconds, never below 0; None waits."""
        return None if self._end is None else max(0.0, self._end - asyncio.get_running_loop().time())


def _away(definition: ModelDefinition) -> Unavailable:
    return Unavailable(
        f"The server that runs model {definition.id} does not answer.",
        reason="MODEL_SERVER_UNAVAILABLE",
        retry_after=INTERVAL,
        metadata={"model": definition.id},
    )
