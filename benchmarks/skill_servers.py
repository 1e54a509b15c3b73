"""Skill servers on loopback that answer CanFulfill as they are told, for `fulfilment` and `hedging`.

They run in the process that measures and do nothing else, so that what is measured is the platform's side of a call:
channel, deadline, cancellation. `Answers` decides for each call what is said and how long that takes.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import grpc

from antiphon.skill.v1 import skill_pb2, skill_pb2_grpc
from antiphon.types.v1 import understanding_pb2
from services.arbitration.adapters.channels import Channels
from services.arbitration.adapters.skills import GrpcSkills
from services.arbitration.alarms import AlarmBook
from services.arbitration.hypotheses import Fulfilment
from services.arbitration.registry_of_skills import SkillRegistry
from services.arbitration.routing.traffic import Traffic
from services.runtime.identity import Identity
from services.runtime.pools import PoolDirectory
from services.runtime.store import MemorySessionStore

_WIRE = {
    Fulfilment.YES: understanding_pb2.FULFILMENT_YES,
    Fulfilment.MAYBE: understanding_pb2.FULFILMENT_MAYBE,
    Fulfilment.NO: understanding_pb2.FULFILMENT_NO,
}

Answers = Callable[[skill_pb2.CanFulfillRequest, int], tuple[Fulfilment, float | None]]
"""What a request is answered with, by the server of that number, after how many seconds (None hangs)."""


@dataclass
class AnsweringServicer(skill_pb2_grpc.SkillServiceServicer):
    """One server.

    Attributes:
        asked: number of questions; `cancelled` of those that were given up.
        peers: connections that questions came by, as "ipv4:address:port", one for each question.
        executed: orders by their key.
    """

    answers: Answers
    number: int
    asked: int = 0
    cancelled: int = 0
    peers: list[str] = field(default_factory=list)
    executed: Counter[str] = field(default_factory=Counter)

    async def GetManifest(self, request: skill_pb2.GetManifestRequest, context: Any) -> skill_pb2.GetManifestResponse:
        return skill_pb2.GetManifestResponse()

    async def CanFulfill(self, request: skill_pb2.CanFulfillRequest, context: Any) -> skill_pb2.CanFulfillResponse:
        self.asked += 1
        self.peers.append(context.peer())
        answer, seconds = self.answers(request, self.number)
        try:
            await (asyncio.Event().wait() if seconds is None else asyncio.sleep(seconds))
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        response = skill_pb2.CanFulfillResponse()
        response.answers.add(fulfilment=_WIRE[answer])
        return response

    async def Execute(
        self, request: skill_pb2.ExecuteRequest, context: Any
    ) -> AsyncIterator[skill_pb2.ExecuteResponse]:
        self.executed[request.idempotency_key] += 1
        _, seconds = self.answers(skill_pb2.CanFulfillRequest(skill_id=request.skill_id), self.number)
        await asyncio.sleep(seconds or 0.0)
        yield skill_pb2.ExecuteResponse(done=skill_pb2.Done())


@dataclass
class SkillServers:
    """Replicas that serve, and the platform's own way to them."""

    replicas: tuple[AnsweringServicer, ...]
    addresses: tuple[str, ...]
    skills: GrpcSkills
    registry: SkillRegistry
    _servers: list[grpc.aio.Server] = field(default_factory=list)


@asynccontextmanager
async def skill_servers(answers: Answers, count: int, registry: SkillRegistry) -> AsyncIterator[SkillServers]:
    """`count` replicas on free loopback ports while the context lasts."""
    replicas = tuple(AnsweringServicer(answers, number) for number in range(count))
    servers, addresses = [], []
    for replica in replicas:
        server = grpc.aio.server()
        skill_pb2_grpc.add_SkillServiceServicer_to_server(replica, server)
        addresses.append(f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}")
        await server.start()
        servers.append(server)
    channels = Channels(PoolDirectory(()), Identity(), Traffic())
    skills = GrpcSkills(channels, registry, AlarmBook(MemorySessionStore()))
    try:
        yield SkillServers(replicas, tuple(addresses), skills, registry, servers)
    finally:
        await channels.close()
        await asyncio.gather(*(server.stop(None) for server in servers))
