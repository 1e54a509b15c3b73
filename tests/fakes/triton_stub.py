"""A Triton server's stub without a server: streams that answer as they are told, calls that are written down."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import grpc
import grpc.aio
import numpy as np

from services.runtime.triton.wire import message

Answer = Callable[[Any], Any]


def failure(code: grpc.StatusCode, details: str = "") -> grpc.aio.AioRpcError:
    return grpc.aio.AioRpcError(code, grpc.aio.Metadata(), grpc.aio.Metadata(), details=details)


def answer_with(value: float = 1.0) -> Any:
    """An answer with one float `y`."""
    response = message("ModelStreamInferResponse")
    response.infer_response.outputs.add(name="y", datatype="FP32", shape=[1, 1])
    response.infer_response.raw_output_contents.append(np.float32(value).tobytes())
    return response


def answer_error(text: str) -> Any:
    return message("ModelStreamInferResponse", error_message=text)


class FakeStream:
    """One bidirectional stream. Each request is answered by the stub's `answer`; an error of gRPC ends the stream."""

    def __init__(self, stub: FakeStub) -> None:
        self._stub = stub
        self._answers: asyncio.Queue[Any] = asyncio.Queue()
        self._status: grpc.aio.AioRpcError | None = None
        self.cancelled = False
        self.finished = False

    async def write(self, request: Any) -> None:
        if self._status is not None or self.cancelled:
            raise asyncio.InvalidStateError
        self._stub.requests.append(request)
        await self._answers.put(request)

    async def read(self) -> Any:
        if self.finished and self._answers.empty():
            return grpc.aio.EOF
        request = await self._answers.get()
        await self._stub.pace.wait()
        try:
            return self._stub.answer(request)
        except grpc.aio.AioRpcError as error:
            self._status = error
            raise

    async def done_writing(self) -> None:
        self.finished = True

    async def code(self) -> grpc.StatusCode:
        return self._status.code() if self._status is not None else grpc.StatusCode.OK

    async def details(self) -> str:
        return (self._status.details() if self._status is not None else "") or ""

    def cancel(self) -> None:
        if not self.finished:
            self.cancelled = True


class FakeStub:
    """Stands for `GRPCInferenceServiceStub`. While `pace` is not set, no stream answers."""

    def __init__(self, answer: Answer = lambda request: answer_with()) -> None:
        self.answer = answer
        self.pace = asyncio.Event()
        self.pace.set()
        self.requests: list[Any] = []
        self.streams: list[FakeStream] = []
        self.registered: list[str] = []
        self.unregistered: list[str] = []
        self.refusal: grpc.aio.AioRpcError | None = None

    def ModelStreamInfer(self) -> FakeStream:
        self.streams.append(FakeStream(self))
        return self.streams[-1]

    async def SystemSharedMemoryRegister(self, request: Any, timeout: float) -> None:
        await asyncio.sleep(0)
        if self.refusal is not None:
            raise self.refusal
        self.registered.append(request.key)

    async def SystemSharedMemoryUnregister(self, request: Any, timeout: float) -> None:
        self.unregistered.append(request.name)
