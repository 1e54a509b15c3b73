"""The peer: the same echo as `echo.py` on grpc.aio with its generated stubs and nothing else. Prints its port."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import grpc

from antiphon.arbitration.v1 import assistant_pb2, assistant_pb2_grpc
from antiphon.nlu.v1 import understanding_pb2, understanding_pb2_grpc
from benchmarks.echo import echoed, understood


class BareAssistant(assistant_pb2_grpc.AssistantServiceServicer):
    """As grpc's own examples do it."""

    async def Converse(  # type: ignore[override,unused-ignore]
        self, request_iterator: AsyncIterator[assistant_pb2.ConverseRequest], context: Any
    ) -> AsyncIterator[assistant_pb2.ConverseResponse]:
        async for request in request_iterator:
            yield echoed(request)


class BareUnderstanding(understanding_pb2_grpc.LanguageUnderstandingServiceServicer):
    """As grpc's own examples do it."""

    async def Interpret(
        self, request: understanding_pb2.InterpretRequest, context: Any
    ) -> understanding_pb2.InterpretResponse:
        return understood(request)


async def _serve() -> None:
    server = grpc.aio.server()
    assistant_pb2_grpc.add_AssistantServiceServicer_to_server(BareAssistant(), server)
    understanding_pb2_grpc.add_LanguageUnderstandingServiceServicer_to_server(BareUnderstanding(), server)  # type: ignore[abstract]
    print(server.add_insecure_port("127.0.0.1:0"), flush=True)
    await server.start()
    await server.wait_for_termination()


if __name__ == "__main__":
    asyncio.run(_serve())
