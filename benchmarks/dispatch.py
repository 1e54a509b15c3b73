"""The other way to serve gRPC on Ray Serve: its own dispatch to a deployment's methods. Only `hop.py` uses it, to
compare (docs/decisions/0001-native-handlers-in-the-replica.md).
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from typing import Any

from antiphon.arbitration.v1 import assistant_pb2, assistant_pb2_grpc
from antiphon.nlu.v1 import understanding_pb2, understanding_pb2_grpc
from benchmarks.echo import echoed, understood
from services.runtime.deployment import RayPlatform

APPLICATION = "dispatched"


class Dispatched:
    """A deployment as Ray's documentation has it: methods named as the RPCs."""

    here = False

    def __init__(self, pid_file: str) -> None:
        Dispatched.here = True
        with open(pid_file, "w") as out:  # noqa: PTH123 - one line, once
            out.write(str(os.getpid()))

    async def Converse(
        self, request_iterator: AsyncIterator[assistant_pb2.ConverseRequest]
    ) -> AsyncIterator[assistant_pb2.ConverseResponse]:
        async for request in request_iterator:
            yield echoed(request)

    async def Interpret(self, request: understanding_pb2.InterpretRequest) -> understanding_pb2.InterpretResponse:
        return understood(request)


def register(servicer: Any, server: Any) -> None:
    """Registers Serve's dispatch in the replicas of `Dispatched` alone; it must come before our own `register`."""
    if Dispatched.here:
        assistant_pb2_grpc.add_AssistantServiceServicer_to_server(servicer, server)
        understanding_pb2_grpc.add_LanguageUnderstandingServiceServicer_to_server(servicer, server)


class PlatformWithDispatch(RayPlatform):
    """The platform, which also takes an application served by Serve's own dispatch."""

    registrars = ("benchmarks.dispatch.register", *RayPlatform.registrars)

    def add_dispatched(self, pid_file: str) -> None:
        """Deploys it; clients reach it through the front door with `application` metadata."""
        from ray import serve

        deployment: Any = serve.deployment(Dispatched, ray_actor_options={"num_cpus": 0.1}, max_ongoing_requests=512)
        serve.run(deployment.bind(pid_file), name=APPLICATION, route_prefix=f"/{APPLICATION}")
