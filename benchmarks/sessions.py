"""Memory per open session: a replica and HAProxy with no session and with 200 idle ones, each on its own connection.

`python -m benchmarks sessions [--json] [--sessions=N]`. The echo keeps no state, so what is measured is what the
runtime, gRPC and Python keep for a stream.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import asdict, dataclass

import grpc

from antiphon.arbitration.v1 import assistant_pb2, assistant_pb2_grpc
from benchmarks.echo import SPECS
from benchmarks.hop import haproxy_pid, option, replica_pid
from benchmarks.processes import memory_bytes
from services.runtime.deployment import RayPlatform
from services.runtime.platform import PlatformSettings, PoolSettings

LIMIT_KIB = 1024.0


@dataclass(frozen=True)
class SessionMemory:
    """KiB of proportional set size for each open session."""

    sessions: int
    replica_kib: float
    haproxy_kib: float

    @property
    def word(self) -> str:
        """PASS or MISS against docs/architecture.md, Numbers to hold."""
        return "PASS" if self.replica_kib <= LIMIT_KIB else "MISS"


@asynccontextmanager
async def _session(target: str) -> AsyncIterator[None]:
    """One session that has said something and is quiet now."""
    options = [("grpc.use_local_subchannel_pool", 1)]
    async with grpc.aio.insecure_channel(target, options) as channel:
        call = assistant_pb2_grpc.AssistantServiceStub(channel).Converse()
        await call.write(assistant_pb2.ConverseRequest(audio=bytes(3200)))
        await call.read()
        yield
        await call.done_writing()
        await call.read()


async def _measure(target: str, sessions: int) -> SessionMemory:
    pids = replica_pid(target), haproxy_pid()

    async def open_and_weigh(count: int) -> tuple[int, int]:
        async with AsyncExitStack() as stack:
            for _ in range(count):
                await stack.enter_async_context(_session(target))
            await asyncio.sleep(2.0)
            return memory_bytes(pids[0]), memory_bytes(pids[1])

    await open_and_weigh(20)  # what the first sessions allocate once is not theirs
    none, many = await open_and_weigh(0), await open_and_weigh(sessions)
    replica, proxy = ((after - before) / sessions / 1024 for before, after in zip(none, many, strict=True))
    return SessionMemory(sessions, round(replica, 1), round(proxy, 1))


def main(options: Sequence[str] = ()) -> None:
    """Measures and prints."""
    sessions = int(option(options, "sessions", "200"))
    pool = PoolSettings("echo", "echo", limits={"max_sessions": sessions + 20, "idle_s": 300.0})
    with RayPlatform(PlatformSettings(port=0, pool_port=0, pools=(pool,)), SPECS) as platform:
        time.sleep(2.0)
        found = asyncio.run(_measure(platform.directory.pools[0].target, sessions))
    if "--json" in options:
        print(json.dumps(asdict(found)))
        return
    print(f"{found.sessions} sessions: {found.replica_kib:.1f} KiB each in the replica", end="")
    print(f" (limit {LIMIT_KIB:.0f}: {found.word}), {found.haproxy_kib:.1f} KiB each in HAProxy")


if __name__ == "__main__":
    main(sys.argv[1:])
