"""Serves skills over plain gRPC: how a third party's skill reaches the platform.

`run` is for a skill's `__main__`; `serve` for a program that has an event loop of its own, and for tests.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Sequence
from contextlib import aclosing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import grpc
from google.protobuf import any_pb2
from google.rpc import error_details_pb2, status_pb2
from grpc_status import rpc_status

from antiphon.skill.v1 import skill_pb2, skill_pb2_grpc
from antiphon.skills.host import SkillHost
from antiphon.skills.skill import Skill, SkillError
from antiphon.skills.storage import data_folder

if TYPE_CHECKING:
    ManifestContext = grpc.aio.ServicerContext[skill_pb2.GetManifestRequest, Awaitable[skill_pb2.GetManifestResponse]]
    AskContext = grpc.aio.ServicerContext[skill_pb2.CanFulfillRequest, Awaitable[skill_pb2.CanFulfillResponse]]
    ExecuteContext = grpc.aio.ServicerContext[skill_pb2.ExecuteRequest, AsyncIterator[skill_pb2.ExecuteResponse]]


def run(skills: Sequence[Skill], address: str) -> None:
    """Serve until the process is told to end. What skills keep is in the folder $ANTIPHON_SKILL_DATA."""

    async def forever() -> None:
        server, _ = await serve(skills, address, data_folder())
        try:
            await server.wait_for_termination()
        finally:
            await server.stop(grace=10.0)

    asyncio.run(forever())


async def serve(
    skills: Sequence[Skill], address: str = "127.0.0.1:0", folder: Path | None = None
) -> tuple[grpc.aio.Server, int]:
    """Start serving and return the server with its port. Put TLS in front of what leaves the machine.

    Args:
        folder: where skills keep what they keep of their users; None keeps it in memory.

    Raises:
        OSError: the address is taken, or none.
    """
    server = grpc.aio.server()
    skill_pb2_grpc.add_SkillServiceServicer_to_server(_Servicer(SkillHost(skills, folder)), server)
    try:
        port = server.add_insecure_port(address)
    except RuntimeError as error:
        raise OSError(f"cannot listen on {address}: taken, or no address") from error
    await server.start()
    return server, port


class _Servicer(skill_pb2_grpc.SkillServiceServicer):
    def __init__(self, host: SkillHost) -> None:
        self._host = host

    async def GetManifest(  # noqa: N802 - named as in the contract
        self, request: skill_pb2.GetManifestRequest, context: ManifestContext
    ) -> skill_pb2.GetManifestResponse:
        try:
            return self._host.get_manifest(request)
        except SkillError as error:
            await _abort(context, error)
            raise

    async def CanFulfill(  # noqa: N802 - named as in the contract
        self, request: skill_pb2.CanFulfillRequest, context: AskContext
    ) -> skill_pb2.CanFulfillResponse:
        try:
            return await self._host.can_fulfill(request)
        except SkillError as error:
            await _abort(context, error)
            raise

    async def Execute(  # noqa: N802 - named as in the contract
        self, request: skill_pb2.ExecuteRequest, context: ExecuteContext
    ) -> AsyncIterator[skill_pb2.ExecuteResponse]:
        try:
            async with aclosing(self._host.execute(request)) as events:
                async for event in events:
                    yield event
        except SkillError as error:
            await _abort(context, error)


async def _abort(context: grpc.aio.ServicerContext[Any, Any], error: SkillError) -> None:
    info = error_details_pb2.ErrorInfo(
        reason=error.reason, domain="antiphon", metadata={"effect": "true"} if error.effect else {}
    )
    detail = any_pb2.Any()
    detail.Pack(info)
    status = status_pb2.Status(code=error.kind.value, message=str(error), details=[detail])
    await context.abort_with_status(rpc_status.to_status(status))
