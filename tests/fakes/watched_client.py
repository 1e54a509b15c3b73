"""`WatchedClient`: models as another client runs them, with what was asked noted and failures on demand."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Mapping

from services.runtime.errors import AntiphonError
from services.runtime.inference import ModelClient, ModelDefinition, SequenceStep, Tensor


class WatchedClient:
    """Implements `ModelClient`.

    Attributes:
        asked: calls by model.
        steps: of sequences, in their order.
        budgets: that encoders were given.
        fail: raised by calls of this model from then on.
        home: what `backend` tells.
    """

    def __init__(self, client: ModelClient) -> None:
        self._client = client
        self.asked: Counter[str] = Counter()
        self.steps: dict[int, list[SequenceStep]] = {}
        self.budgets: list[float] = []
        self.fail: dict[str, AntiphonError] = {}
        self.home = "embedded"

    def definition(self, model: str) -> ModelDefinition:
        return self._client.definition(model)

    async def load(self, model: str) -> ModelDefinition:
        return await self._client.load(model)

    async def infer(
        self,
        model: str,
        inputs: Mapping[str, Tensor],
        *,
        sequence: SequenceStep | None = None,
        deadline: float | None = None,
    ) -> Mapping[str, Tensor]:
        assert deadline is not None
        self.asked[model] += 1
        if sequence is not None:
            self.steps.setdefault(sequence.id, []).append(sequence)
        if "budget" in inputs:
            self.budgets.append(round(float(inputs["budget"][0, 0]), 4))
        if model in self.fail:
            raise self.fail[model]
        return await self._client.infer(model, inputs, sequence=sequence, deadline=deadline)

    def stream(
        self, model: str, inputs: Mapping[str, Tensor], *, deadline: float | None = None
    ) -> AsyncIterator[Mapping[str, Tensor]]:
        return self._client.stream(model, inputs, deadline=deadline)

    def backend(self, model: str) -> str:
        return self.home

    async def close(self) -> None:
        await self._client.close()
