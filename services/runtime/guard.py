"""The one wrapper around every RPC, on both engines: identity, admission, limits, telemetry, errors.

`serving.py` asks it for a grpc method handler per RPC. A servicer behind it sees parsed messages and a `Call`, raises
`AntiphonError`s and otherwise knows nothing of gRPC.
"""

from __future__ import annotations

import asyncio
import time
import traceback
import uuid
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing, contextmanager
from typing import Any, TypeAlias

import grpc
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message import DecodeError, Message
from google.protobuf.message_factory import GetMessageClass

from antiphon.types.v1 import session_pb2
from services.runtime import telemetry
from services.runtime.admission import Admission
from services.runtime.calls import Call
from services.runtime.errors import AntiphonError, Internal, InvalidInput
from services.runtime.identity import Identity
from services.runtime.sessions import SessionClock
from services.runtime.statuses import DETAILS_KEY, grpc_code, to_status

_log = telemetry.log("guard")
Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"  # generic in its type stubs only
Servicer = Callable[..., Any]


class Guard:
    """Wraps the methods of one application.

    Args:
        pool: name for telemetry.
        identity: checks credentials.
        admission: counts sessions and calls of this replica.
    """

    def __init__(self, pool: str, identity: Identity, admission: Admission) -> None:
        self._pool = pool
        self._identity = identity
        self._admission = admission
        self._clocks: set[SessionClock] = set()

    def handler(self, method: MethodDescriptor, servicer: Servicer) -> grpc.RpcMethodHandler[Any, Any]:
        """The grpc handler of one RPC. Messages are parsed here, not by grpc, so that bytes which do not parse get a
        rich INVALID_ARGUMENT and every byte is counted."""
        name = f"/{method.containing_service.full_name}/{method.name}"
        request_class: type[Message] = GetMessageClass(method.input_type)
        if not method.client_streaming and not method.server_streaming:
            return grpc.unary_unary_rpc_method_handler(self._unary(name, request_class, servicer), None, _to_bytes)
        if method.client_streaming and not method.server_streaming:
            return grpc.stream_unary_rpc_method_handler(
                self._client_stream(name, request_class, servicer), None, _to_bytes
            )
        ending = _ending_factory(GetMessageClass(method.output_type))
        stream = self._server_stream(name, request_class, servicer, ending, method.client_streaming)
        if method.client_streaming:
            return grpc.stream_stream_rpc_method_handler(stream, None, _to_bytes)
        return grpc.unary_stream_rpc_method_handler(stream, None, _to_bytes)

    def drain(self, grace_s: float) -> None:
        """Sends `SessionEnding` on every open stream and cuts it `grace_s` seconds later; draining begins."""
        for clock in tuple(self._clocks):
            clock.drain(grace_s)

    def _unary(self, name: str, request_class: type[Message], servicer: Servicer) -> Servicer:
        async def answer(data: bytes, context: Context) -> Message | None:
            async def body(call: Call) -> Message:
                with self._admission.unary():
                    response: Message = await servicer(_parse(request_class, data), call)
                    return response

            return await self._run(name, context, body)

        return answer

    def _client_stream(self, name: str, request_class: type[Message], servicer: Servicer) -> Servicer:
        async def answer(messages: AsyncIterator[bytes], context: Context) -> Message | None:
            async def body(call: Call) -> Message:
                with self._admission.session(call.principal), self._clock(_no_ending) as clock:
                    response: Message = await _limited(servicer(_requests(messages, request_class, clock), call), clock)
                    return response

            return await self._run(name, context, body)

        return answer

    def _server_stream(
        self, name: str, request_class: type[Message], servicer: Servicer, ending: Ending | None, client_streams: bool
    ) -> Servicer:
        async def answer(incoming: Any, context: Context) -> None:
            writing = asyncio.Lock()

            async def send(message: Message) -> None:
                async with writing:  # SessionEnding comes from a timer, and a call bears one write at a time
                    await context.write(message)

            async def body(call: Call) -> None:
                async def announce(reason: str, time_left_s: float) -> None:
                    if ending is not None:
                        message = ending(reason, time_left_s, call)
                        call.complete_ending(message)
                        await send(message)

                with self._admission.session(call.principal), self._clock(announce) as clock:
                    requests = (
                        _requests(incoming, request_class, clock) if client_streams else _parse(request_class, incoming)
                    )
                    await _limited(_pump(servicer(requests, call), send, clock), clock)

            await self._run(name, context, body)

        return answer

    @contextmanager
    def _clock(self, announce: Callable[[str, float], Awaitable[None]]) -> Any:
        clock = SessionClock(self._admission.limits, announce)
        self._clocks.add(clock)
        telemetry.ACTIVE_SESSIONS.add(1, {"pool": self._pool})
        try:
            yield clock
        finally:
            clock.close()
            self._clocks.discard(clock)
            telemetry.ACTIVE_SESSIONS.add(-1, {"pool": self._pool})

    async def _run(
        self, name: str, context: Context, body: Callable[[Call], Awaitable[Message | None]]
    ) -> Message | None:
        started = time.monotonic()
        metadata = {k: v for k, v in context.invocation_metadata() or () if isinstance(v, str)}
        failure: AntiphonError | None = None
        outcome = "OK"
        try:
            with telemetry.server_span(name.lstrip("/"), metadata, {"antiphon.pool": self._pool}) as span:
                try:
                    return await body(self._call(name, context, metadata))
                except AntiphonError as error:
                    failure = error
                except Exception as error:  # noqa: BLE001 - the edge: nothing else may reach a client
                    failure = _unexpected(name, error)
                outcome = failure.code.name
                span.set_attribute("antiphon.reason", failure.reason)
        except asyncio.CancelledError:
            outcome = "CANCELLED"
            raise
        finally:
            self._record(name, outcome, failure, time.monotonic() - started)
        await _abort(context, failure)
        return None

    def _call(self, name: str, context: Context, metadata: dict[str, str]) -> Call:
        left: float | None = context.time_remaining()  # the type stubs forget the None
        return Call(
            method=name,
            principal=self._identity.authenticate(metadata),
            metadata=metadata,
            deadline=None if left is None else time.monotonic() + left,
            trace=telemetry.outgoing_trace(),
            identity=self._identity,
        )

    def _record(self, name: str, outcome: str, failure: AntiphonError | None, seconds: float) -> None:
        labels = {"pool": self._pool, "method": name.rsplit("/", 1)[-1], "status": outcome}
        telemetry.CALL_SECONDS.record(seconds, labels)
        if failure is not None and failure.code.name in ("RESOURCE_EXHAUSTED", "UNAVAILABLE", "UNAUTHENTICATED"):
            telemetry.REFUSALS.add(1, {"pool": self._pool, "reason": failure.reason})
        else:
            telemetry.ADMISSIONS.add(1, {"pool": self._pool})


Ending = Callable[[str, float, Call], Message]


async def _no_ending(reason: str, time_left_s: float) -> None:
    return None


def _to_bytes(message: Message) -> bytes:
    return message.SerializeToString()


def _ending_factory(response_class: type[Message]) -> Ending | None:
    """Makes `session_ending` events of a response type; None when the type has no such event."""
    fields = response_class.DESCRIPTOR.fields_by_name
    if "session_ending" not in fields:
        return None

    def make(reason: str, time_left_s: float, call: Call) -> Message:
        number = session_pb2.SessionEndingReason.Value(f"SESSION_ENDING_REASON_{reason}")
        ending = session_pb2.SessionEnding(reason=number, resume_token=call.resume_token)
        ending.time_left.FromNanoseconds(int(time_left_s * 1e9))
        response = response_class(session_ending=ending)
        if "received_audio_offset" in fields:
            response.received_audio_offset.FromNanoseconds(int(call.received_audio_s * 1e9))  # type: ignore[attr-defined]
        return response

    return make


def _parse(request_class: type[Message], data: bytes) -> Message:
    try:
        return request_class.FromString(data)
    except DecodeError:
        raise InvalidInput(
            f"the message is not a {request_class.DESCRIPTOR.full_name}", reason="MESSAGE_UNREADABLE"
        ) from None


async def _requests(
    messages: AsyncIterator[bytes], request_class: type[Message], clock: SessionClock
) -> AsyncGenerator[Message, None]:
    async for data in messages:
        if not clock.took(len(data)):
            raise await clock.too_many_bytes()
        yield _parse(request_class, data)


async def _pump(
    responses: AsyncGenerator[Message, None], send: Callable[[Message], Awaitable[None]], clock: SessionClock
) -> None:
    async with aclosing(responses):
        async for response in responses:
            await send(response)
            clock.touch()


async def _limited(work: Awaitable[Any], clock: SessionClock) -> Any:
    """Awaits `work`; turns the cancellation that the clock ordered into the clock's error."""
    try:
        return await work
    except asyncio.CancelledError:
        if clock.failure is None:
            raise
        task = asyncio.current_task()
        if task is not None:
            task.uncancel()
        raise clock.failure from None


def _unexpected(name: str, error: Exception) -> Internal:
    """An exception outside our tree. Its text may hold what the user said, so only its type and place are logged."""
    correlation = uuid.uuid4().hex
    places = "".join(traceback.format_tb(error.__traceback__)[-6:])
    _log.error("%s failed, correlation id %s: %s\n%s", name, correlation, type(error).__name__, places)
    return Internal(
        f"internal error; quote correlation id {correlation}",
        reason="INTERNAL",
        metadata={"correlation_id": correlation},
    )


async def _abort(context: Context, failure: AntiphonError | None) -> None:
    if failure is None:
        return
    status = to_status(failure)
    await context.abort(grpc_code(failure), failure.message, ((DETAILS_KEY, status.SerializeToString()),))
