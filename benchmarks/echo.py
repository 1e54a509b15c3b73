"""An echo on the contract of `AssistantService`, served by the runtime as any capability is; `relay` sends each message
on to it. Both are what `hop.py` and `sessions.py` measure: the way of a message, with no work at its end.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator

import grpc

from antiphon.arbitration.v1 import assistant_pb2, assistant_pb2_grpc
from antiphon.nlu.v1 import understanding_pb2
from antiphon.tts.v1 import synthesis_pb2
from antiphon.types.v1 import capability_pb2
from services.runtime.calls import Call
from services.runtime.errors import Unsupported
from services.runtime.spec import Application, Runtime, ServiceSpec

ASSISTANT = assistant_pb2.DESCRIPTOR.services_by_name["AssistantService"]
UNDERSTANDING = understanding_pb2.DESCRIPTOR.services_by_name["LanguageUnderstandingService"]


def echoed(request: assistant_pb2.ConverseRequest) -> assistant_pb2.ConverseResponse:
    """The answer to one message: the same audio. The bare server gives the same."""
    return assistant_pb2.ConverseResponse(answer_audio=synthesis_pb2.AudioChunk(content=request.audio))


def understood(request: understanding_pb2.InterpretRequest) -> understanding_pb2.InterpretResponse:
    """The answer to one unary call: the texts. The bare server gives the same."""
    return understanding_pb2.InterpretResponse(texts=[a.spoken_text for a in request.alternatives])


class Echo:
    """Sends audio back as it comes."""

    async def Converse(
        self, requests: AsyncIterator[assistant_pb2.ConverseRequest], call: Call
    ) -> AsyncIterator[assistant_pb2.ConverseResponse]:
        async for request in requests:
            yield echoed(request)

    async def Interpret(
        self, request: understanding_pb2.InterpretRequest, call: Call
    ) -> understanding_pb2.InterpretResponse:
        return understood(request)

    async def _unsupported(self, request: object, call: Call) -> object:
        raise Unsupported("the echo has no such method")

    StreamingInterpret = UpdateSkill = AddLocale = _unsupported


class Relay:
    """Opens a stream to the pool `echo` for each of its own and passes messages on, one at a time."""

    def __init__(self, target: str) -> None:
        # As the front door calls other capabilities (services/arbitration/adapters/channels.py).
        self.channel = grpc.aio.insecure_channel(target, [("grpc.http2.bdp_probe", 0)])
        self._stub = assistant_pb2_grpc.AssistantServiceStub(self.channel)

    async def Converse(
        self, requests: AsyncIterator[assistant_pb2.ConverseRequest], call: Call
    ) -> AsyncIterator[assistant_pb2.ConverseResponse]:
        onward = self._stub.Converse(metadata=call.outgoing())
        async for request in requests:
            await onward.write(request)
            response = await onward.read()
            assert isinstance(response, assistant_pb2.ConverseResponse)
            yield response
        await onward.done_writing()


async def _describe() -> capability_pb2.DescribeResponse:
    return capability_pb2.DescribeResponse(notes=[str(os.getpid())])


async def _build_echo(runtime: Runtime) -> Application:
    echo = Echo()
    return Application({ASSISTANT.full_name: echo, UNDERSTANDING.full_name: echo}, _describe)


async def _build_relay(runtime: Runtime) -> Application:
    relay = Relay(runtime.directory.resolve("echo").target)

    async def close() -> None:
        await relay.channel.close()

    return Application({ASSISTANT.full_name: relay}, _describe, close=close)


ECHO = ServiceSpec("echo", (ASSISTANT, UNDERSTANDING), _build_echo)
RELAY = ServiceSpec("relay", (ASSISTANT,), _build_relay)
SPECS = {"echo": "benchmarks.echo:ECHO", "relay": "benchmarks.echo:RELAY"}
