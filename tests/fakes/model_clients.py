"""Homes of models that sum up what a sequence is told, and break in the ways that real ones do."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

import numpy as np

from services.runtime.errors import (
    AntiphonError,
    DeadlineExceeded,
    FailedPrecondition,
    InvalidInput,
    Overloaded,
    Unavailable,
)
from services.runtime.inference import ModelDefinition, SequenceStep, StateSpec, Streaming, Tensor, TensorSpec
from services.runtime.pieces import pieces_of

_X, _Y = (TensorSpec("x", "float32", (1, None)),), (TensorSpec("y", "float32", (1, None)),)
SUM = ModelDefinition(
    "test", "sum", "1", Path(), "", "", (), _X, _Y, (StateSpec("h", "h2", "float32", (1, 1)),), None, Streaming(1, 1)
)
DOUBLE = ModelDefinition("test", "double", "1", Path(), "", "", (), _X, _Y)
SHORT = ModelDefinition(
    "test", "short", "1", Path(), "", "", (), _X, _Y, SUM.states, None, None, parameters={"replay_steps": 2}
)
ODD = ModelDefinition(
    "test", "odd", "1", Path(), "", "", (), _X, _Y, SUM.states, None, None, parameters={"replay_steps": "many"}
)
MODELS = {definition.id: definition for definition in (SUM, DOUBLE, SHORT, ODD)}


class SummingHome:
    """Answers a step with the sum so far, a stateless call with the double.

    Attributes:
        calls: (model, sequence or 0, value) of every call that ran.
        revived: how often a model was loaded anew, which mends it.
        trouble: raised instead of an answer, while it is set.
        probe_breaks: probes fail with what is no error of the runtime.
        silent: calls and probes hang until their deadline.
        pieces: pieces of a stream after which `trouble` shows; None for never.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.calls: list[tuple[str, int, float]] = []
        self.probes = 0
        self.loads = 0
        self.revived = 0
        self.trouble: AntiphonError | None = None
        self.silent = False
        self.probe_breaks = False
        self.pieces: int | None = None
        self.closed = False
        self.sums: dict[tuple[str, int], float] = {}

    def definition(self, model: str) -> ModelDefinition:
        if model not in MODELS:
            raise FailedPrecondition(f"No model {model}.", reason="MODEL_MISSING")
        return MODELS[model]

    def backend(self, model: str) -> str:
        return self.name

    async def load(self, model: str) -> ModelDefinition:
        self.loads += 1
        await self._work(None)
        return self.definition(model)

    async def probe(self, model: str, *, deadline: float = 2.0) -> None:
        self.probes += 1
        if self.probe_breaks:
            raise ZeroDivisionError
        await self._work(deadline)

    async def revive(self, model: str) -> None:
        self.revived += 1
        self.trouble = None

    async def infer(
        self,
        model: str,
        inputs: Mapping[str, Tensor],
        *,
        sequence: SequenceStep | None = None,
        deadline: float | None = None,
    ) -> Mapping[str, Tensor]:
        await self._work(deadline)
        value = float(inputs["x"][0, 0])
        if not self.definition(model).states or sequence is None:
            self.calls.append((model, 0, value))
            return {"y": inputs["x"] * 2}
        key = (model, sequence.id)
        if sequence.start:
            self.sums[key] = 0.0
        if key not in self.sums:
            raise InvalidInput("It was not started.", reason="SEQUENCE_UNKNOWN")
        self.calls.append((model, sequence.id, value))
        self.sums[key] += value
        answer = np.full((1, 1), self.sums[key], np.float32)
        if sequence.end:
            del self.sums[key]
        return {"y": answer}

    async def stream(
        self, model: str, inputs: Mapping[str, Tensor], *, deadline: float | None = None
    ) -> AsyncIterator[Mapping[str, Tensor]]:
        total = 0.0
        for at, piece in enumerate(pieces_of(self.definition(model), inputs)):
            if self.pieces is None or at >= self.pieces:
                await self._work(deadline)
            total += float(piece["x"][0, 0])
            yield {"y": np.full((1, 1), total, np.float32)}

    async def close(self) -> None:
        self.closed = True

    async def _work(self, deadline: float | None) -> None:
        await asyncio.sleep(0)
        if self.silent:
            await asyncio.sleep(3600.0 if deadline is None else deadline)
            raise DeadlineExceeded("Nobody answered.")
        if self.trouble is not None:
            raise self.trouble


def gone() -> Unavailable:
    return Unavailable("The server is gone.", reason="SERVER_UNREACHABLE")


def lost() -> Unavailable:
    return Unavailable("The state is gone.", reason="SEQUENCE_LOST")


def full() -> Overloaded:
    return Overloaded("The queue is full.", reason="QUEUE_FULL")
