"""A front door that passes calls on and breaks the first one, as a lost replica or proxy does: without ErrorInfo."""

from __future__ import annotations

from types import TracebackType
from typing import Any, Self

import grpc

METHOD = "/antiphon.arbitration.v1.AssistantService/Converse"


class BreakingFront:
    """An async context manager around a grpc.aio server that passes bytes on.

    Args:
        target: where to.
        after_messages: responses that the first call gets before it breaks.
        code: how it shows.
    """

    def __init__(self, target: str, after_messages: int, code: grpc.StatusCode) -> None:
        self.calls = 0
        self.target = ""
        self._to = grpc.aio.insecure_channel(target)
        self._after = after_messages
        self._code = code
        self._server = grpc.aio.server()

    async def __aenter__(self) -> Self:
        self.target = f"127.0.0.1:{self._server.add_insecure_port('127.0.0.1:0')}"
        handler: grpc.RpcMethodHandler[bytes, bytes] = grpc.stream_stream_rpc_method_handler(self._pass_on, None, None)
        service, method = METHOD.strip("/").split("/")
        self._server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, {method: handler}),))
        await self._server.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._server.stop(None)
        await self._to.close()

    async def _pass_on(self, requests: Any, context: Any) -> None:
        self.calls += 1
        first, passed = self.calls == 1, 0
        call: Any = self._to.stream_stream(METHOD)(requests)
        if first and not self._after:
            call.cancel()
            await context.abort(self._code, "stream removed")
        async for response in call:
            await context.write(response)
            passed += 1
            if first and passed == self._after:
                call.cancel()
                await context.abort(self._code, "stream removed")
