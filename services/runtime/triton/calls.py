"""Single calls of stateless models on a Triton server: as bytes or by shared memory, repeated only where that is safe.

`client.py` runs every call of a model without states through `Calls`.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Mapping
from typing import Any

import grpc.aio
import numpy as np

from services.runtime.errors import Unavailable
from services.runtime.inference import ModelDefinition, Tensor
from services.runtime.triton.errors import never_ran, region_unknown, translate
from services.runtime.triton.memory import SharedInputs, fill
from services.runtime.triton.models import ServedModels
from services.runtime.triton.wire import Message, infer_request, outputs_of

_RETRY_WAIT = 0.2  # seconds in which a server that is just coming back may still take the call
_QUEUE_SHARE = 0.9  # of the time left that a call may wait in the server's queue: it must not run for nobody


class Calls:
    """Calls over one channel.

    Args:
        stub: of the server.
        models: asked before each call whether the server has the model as defined.
        memory: None sends every tensor as bytes.
    """

    def __init__(self, channel: grpc.aio.Channel, stub: Any, models: ServedModels, memory: SharedInputs | None) -> None:
        self._channel = channel
        self._stub = stub
        self._models = models
        self._memory = memory

    async def run(
        self, definition: ModelDefinition, inputs: Mapping[str, Tensor], deadline: float | None
    ) -> Mapping[str, Tensor]:
        """The outputs of a call within `deadline` seconds, which the server is told and the caller watches over.

        The server takes so many rows and no more; the other home takes any number, so this one does too.
        """
        ends = None if deadline is None else time.monotonic() + deadline
        parts = [await self._safely(definition, part, ends) for part in _parts(definition, inputs)]
        if len(parts) == 1:
            return parts[0]
        return {spec.name: np.concatenate([part[spec.name] for part in parts]) for spec in definition.outputs}

    async def _safely(
        self, definition: ModelDefinition, inputs: Mapping[str, Tensor], ends: float | None
    ) -> Mapping[str, Tensor]:
        """One call, and once more if the model certainly did not see it and the server is there again."""
        try:
            return await self._once(definition, inputs, ends)
        except Unavailable as error:
            if not never_ran(error) or not await self.there_again(_RETRY_WAIT):
                raise
        return await self._once(definition, inputs, ends)

    async def there_again(self, seconds: float) -> bool:
        """Waits so long at most for a server that may just be coming back."""
        try:
            async with asyncio.timeout(seconds):
                await self._channel.channel_ready()
        except TimeoutError:
            return False
        await asyncio.sleep(_RETRY_WAIT / 4)  # a model that is just being loaded
        return True

    async def _once(
        self, definition: ModelDefinition, inputs: Mapping[str, Tensor], ends: float | None
    ) -> Mapping[str, Tensor]:
        await self._models.verify(definition)
        try:
            response = await self._by_memory(definition, inputs, ends)
            if response is None:
                response = await self._ask(infer_request(definition, inputs, definition.triton_name), ends)
        except grpc.aio.AioRpcError as error:
            raise translate(error, definition) from None
        return outputs_of(definition, response)

    async def _by_memory(
        self, definition: ModelDefinition, inputs: Mapping[str, Tensor], ends: float | None
    ) -> Message | None:
        """None where the tensors are better sent as bytes, or have to be: the call has not run then."""
        region = await self._memory.lend(inputs) if self._memory is not None else None
        if self._memory is None or region is None:
            return None
        answered = False
        try:
            response = await self._ask(fill(region, definition, inputs, definition.triton_name), ends)
            answered = True
        except grpc.aio.AioRpcError as error:
            if not region_unknown(error):
                raise
            self._memory.forget(region)
            region = None
            return None
        finally:
            if region is not None:
                self._memory.give_back(region, tainted=not answered)
        return response

    async def _ask(self, request: Message, ends: float | None) -> Message:
        left = None if ends is None else max(0.001, ends - time.monotonic())
        if left is not None:
            request.parameters["timeout"].int64_param = max(1, int(left * _QUEUE_SHARE * 1e6))
        return await self._stub.ModelInfer(request, timeout=left)


def _parts(definition: ModelDefinition, inputs: Mapping[str, Tensor]) -> Iterator[Mapping[str, Tensor]]:
    most = definition.batching.max_size if definition.batching is not None else 0
    rows = max((len(value) for value in inputs.values() if value.ndim), default=0)
    if not most or rows <= most:
        yield inputs
        return
    for start in range(0, rows, most):
        yield {name: value[start : start + most] for name, value in inputs.items()}
