"""Bidirectional streams to a Triton server: a request and its answer, an orderly end, and leaving one that still runs.

`sequences.py` and `client.py` use it. No stream is cancelled while the server may be answering on it: twelve
callers that cancelled streams crashed Triton 2.51 in four of eight runs of eight seconds, and in none of three where
they read them to the end instead. For the same reason errors come as messages, although the server would end a stream
with a status if it were asked to (`triton_grpc_error`): streams that ended so crashed it in four of five runs.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any

import grpc
import grpc.aio

from services.runtime.triton.errors import FAILURES, StreamError
from services.runtime.triton.wire import Message

LINGER = 5.0
"""Seconds that a stream which nobody reads any more may take to its end; then it is cancelled after all."""


class Farewells:
    """What is done behind the backs of callers that have left: bounded in number and time."""

    def __init__(self, limit: int = 64, linger: float = LINGER) -> None:
        self._limit = limit
        self._linger = linger
        self._tasks: set[asyncio.Task[None]] = set()

    def say(self, call: Any, work: Coroutine[Any, Any, None]) -> None:
        """Runs `work` for at most `linger` seconds, then ends `call`; only that where too many are at it."""
        if len(self._tasks) >= self._limit:
            work.close()
            _end(call)
            return
        task = asyncio.create_task(self._bounded(call, work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """Waits for all of them; no longer than `linger`."""
        if self._tasks:
            await asyncio.wait(self._tasks)

    async def _bounded(self, call: Any, work: Coroutine[Any, Any, None]) -> None:
        with suppress(*FAILURES, TimeoutError):
            async with asyncio.timeout(self._linger):
                await work
        _end(call)


class Run:
    """A run of a model that answers piece by piece, on a stream of its own."""

    def __init__(self, call: Any, farewells: Farewells) -> None:
        self._call = call
        self._farewells = farewells
        self._reading: asyncio.Task[Message] | None = None
        self._over = False

    async def begin(self, request: Message) -> None:
        """Sends the whole input. Raises AioRpcError."""
        # Without it nothing says that the last piece was the last.
        request.parameters["triton_enable_empty_final_response"].bool_param = True
        await write(self._call, request)

    async def piece(self) -> Message | None:
        """The next answer; None after the last. Raises as `exchange`."""
        self._reading = asyncio.create_task(read(self._call))
        answer = await asyncio.shield(self._reading)  # a read that is cancelled cancels the stream
        if not is_last(answer):
            return answer
        self._over = True
        await finish(self._call)
        return None

    def leave(self) -> None:
        """Has the server come to its end in the background, if it is not there."""
        if not self._over:
            self._over = True
            self._farewells.say(self._call, self._drain())

    async def _drain(self) -> None:
        if self._reading is not None:
            await asyncio.gather(self._reading, return_exceptions=True)
        with suppress(asyncio.InvalidStateError):
            await self._call.done_writing()
        while await self._call.read() is not grpc.aio.EOF:
            pass


async def exchange(call: Any, request: Message) -> Message:
    """One request and its answer.

    Raises:
        StreamError: this request failed.
        AioRpcError: the stream is over, or was before.
    """
    await write(call, request)
    return await read(call)


async def write(call: Any, request: Message) -> None:
    """Raises AioRpcError when the stream is over."""
    try:
        await call.write(request)
    except asyncio.InvalidStateError:
        raise await _status(call) from None


async def read(call: Any) -> Message:
    """The next answer; raises as `exchange`."""
    answer = await call.read()
    if answer is grpc.aio.EOF:
        raise await _status(call)
    if answer.error_message:
        raise StreamError(answer.error_message)
    return answer.infer_response


def is_last(answer: Message) -> bool:
    """Whether this is the empty answer after the last piece."""
    return bool(answer.parameters["triton_final_response"].bool_param) and not answer.outputs


async def finish(call: Any) -> None:
    """Closes a stream in good order: the server has nothing left to say."""
    with suppress(asyncio.InvalidStateError):
        await call.done_writing()
    await call.code()


def _end(call: Any) -> None:
    if call is not None:
        call.cancel()  # nothing where it is over


async def _status(call: Any) -> grpc.aio.AioRpcError:
    code, details = await call.code(), await call.details()
    if code is grpc.StatusCode.OK:  # the server ended the stream without a word
        code = grpc.StatusCode.UNAVAILABLE
    nothing = grpc.aio.Metadata()
    return grpc.aio.AioRpcError(code, nothing, nothing, details=details)
