"""Replicas that die, go and come while clients talk: only Ray Serve can show it.

All tests use the pool `toy-moving` and leave it with one replica.
"""

from __future__ import annotations

import asyncio
import os
import re
import signal
import time
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import grpc
import pytest

from antiphon.types.v1 import session_pb2
from services.runtime.deployment import RayPlatform
from services.runtime.errors import Unavailable
from services.runtime.identity import INTERNAL_TOKEN, TENANT
from services.runtime.statuses import from_rpc_error
from tests.fixtures.runtime_cases import eventually, opened
from tests.fixtures.toy import ToyRequest
from tests.fixtures.toy_client import Failure, ToyClient, ending_of, failure_of, with_key
from tests.fixtures.toy_pools import ACME, TOY_POOLS, ToyPlatform

pytestmark = pytest.mark.system

MOVING = next(pool for pool in TOY_POOLS if pool.name == "toy-moving")
# Two seconds of health checks by Serve, the start of a process, and two busy cores.
RECOVERY_S = 30.0


class TestLostReplica:
    async def test_calls_fail_cleanly_until_a_new_replica_is_up(self, toys: ToyPlatform) -> None:
        target = toys.pools["toy-moving"]
        async with ToyClient.connect(target) as client, ToyClient.connect(toys.pools["toy"]) as neighbour:
            stream = await opened(client)
            pid = int((await client.say("pid")).note)
            os.kill(pid, signal.SIGKILL)
            killed = time.monotonic()
            with pytest.raises(grpc.aio.AioRpcError) as lost:
                await stream.read()
            assert time.monotonic() - killed < 1.0
            error = from_rpc_error(lost.value)
            assert isinstance(error, Unavailable)
            assert (error.reason, error.retryable) == ("REPLICA_LOST", True)

            failures, recovered = await _until_it_answers(target)
            assert await neighbour.say(data=b"unharmed")
        assert recovered - killed < RECOVERY_S
        for kind in ("unary", "stream"):
            told = [failure for of, failure in failures if of == kind]
            clean = [failure for failure in told if failure.reason == "NO_REPLICA"]
            assert clean, f"nothing told the {kind} client that the pool has no replica: {told}"
            assert {failure.code for failure in clean} == {grpc.StatusCode.UNAVAILABLE}
            assert all(failure.retry_s for failure in clean)
            # The rest met the connection as it broke: no ErrorInfo, which clients take for a lost replica.
            assert {failure.reason for failure in told} <= {"NO_REPLICA", ""}
            assert {f.code for f in told} <= {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED}, told


class TestReplacedReplicas:
    async def test_open_streams_survive_a_redeployment(self, platform: RayPlatform, toys: ToyPlatform) -> None:
        target = toys.pools["toy-moving"]
        async with ToyClient.connect(target) as client:
            stream = client.echo(timeout=None)
            before = await _pid(stream)
            moving = asyncio.create_task(asyncio.to_thread(platform.deploy, replace(MOVING, limits={"idle_s": 29.0})))
            ending = await _ending(stream)
            assert ending.reason == session_pb2.SESSION_ENDING_REASON_DRAINING
            assert 500 < ending.time_left.ToNanoseconds() / 1e9 <= 600

            async def replaced() -> bool:
                async with ToyClient.connect(target) as fresh:
                    new = fresh.echo()
                    try:
                        return await _pid(new) != before
                    except grpc.aio.AioRpcError:
                        return False
                    finally:
                        new.cancel()

            await eventually(replaced, within=RECOVERY_S)
            for _ in range(10):  # HAProxy has been started anew; the old one carries this stream on
                await stream.write(ToyRequest(command="pid"))
                assert int((await stream.read()).note) == before
                await asyncio.sleep(0.2)
            await stream.done_writing()
            assert (await ending_of(stream)) == ([], None)
            await asyncio.wait_for(moving, RECOVERY_S)
            await eventually(lambda: _gone(before), within=RECOVERY_S)

    async def test_scaling_up_and_down_loses_nothing(self, platform: RayPlatform, toys: ToyPlatform) -> None:
        target = toys.pools["toy-moving"]
        await asyncio.to_thread(platform.deploy, replace(MOVING, replicas=2))
        async with AsyncExitStack() as stack:
            streams: dict[int, Any] = {}
            async with asyncio.timeout(RECOVERY_S):
                while len(streams) < 2:
                    client = await stack.enter_async_context(ToyClient.connect(target))
                    stream = client.echo(timeout=None)
                    pid = await _pid(stream)
                    if pid not in streams:
                        streams[pid] = stream
                        continue
                    # The newcomer is not yet known to HAProxy: streams kept till then would fill the first replica.
                    stream.cancel()
                    await client.channel.close()
                    await asyncio.sleep(0.05)
            events = {pid: asyncio.create_task(stream.read()) for pid, stream in streams.items()}
            calling = asyncio.create_task(_call_for(target, seconds=6.0))
            moving = asyncio.create_task(asyncio.to_thread(platform.deploy, MOVING))
            await asyncio.wait(events.values(), timeout=RECOVERY_S, return_when=asyncio.FIRST_COMPLETED)
            going = [pid for pid, task in events.items() if task.done()]
            assert len(going) == 1
            ending = events.pop(going[0]).result().session_ending
            assert ending.reason == session_pb2.SESSION_ENDING_REASON_DRAINING
            answered, failures = await calling
            assert len(answered) > 20
            assert not failures, f"{len(failures)} calls failed, {len(answered)} did not: {failures[:5]}"
            assert answered[-1] not in going
            for pid, stream in streams.items():
                await stream.write(ToyRequest(command="pid"))
                event = await (events[pid] if pid in events else stream.read())
                assert int(event.note) == pid
                await stream.done_writing()
                assert (await ending_of(stream)) == ([], None)
            await asyncio.wait_for(moving, RECOVERY_S)
            await eventually(lambda: _gone(going[0]), within=RECOVERY_S)


class TestFrontDoor:
    async def test_it_strips_what_only_services_may_say(self, toys: ToyPlatform) -> None:
        claimed = [*with_key(ACME), (INTERNAL_TOKEN, "guessed"), (TENANT, "globex")]
        async with ToyClient.connect(toys.front) as client:
            assert (await client.say("who", metadata=claimed)).note == "acme/ada"
            assert (await failure_of(client.say("who", metadata=claimed[1:]))).reason == "API_KEY_MISSING"

    async def test_it_does_not_list_applications(self, toys: ToyPlatform) -> None:
        async with ToyClient.connect(toys.front) as client:
            listing: Any = client.channel.unary_unary("/ray.serve.RayServeAPIService/ListApplications")
            assert (await failure_of(listing(b""))).code == grpc.StatusCode.UNIMPLEMENTED

    async def test_replicas_take_calls_on_loopback_alone(self, platform: RayPlatform, toys: ToyPlatform) -> None:
        async with ToyClient.connect(toys.pools["toy"]) as client:
            pid = int((await client.say("pid")).note)
        listening = await asyncio.to_thread(_listening, pid)
        ports = await asyncio.to_thread(_replica_ports, platform, "toy")
        assert ports
        assert {address for address, port in listening if port in ports} == {"127.0.0.1"}


async def _call_for(target: str, seconds: float) -> tuple[list[int], list[Failure]]:
    """Calls on new connections for a while: the process ids that answered, and what failed."""
    answered: list[int] = []
    failures: list[Failure] = []
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        async with ToyClient.connect(target) as client:
            try:
                answered.append(int((await client.say("pid")).note))
            except grpc.aio.AioRpcError as error:
                failures.append(Failure(error))
        await asyncio.sleep(0.01)
    return answered, failures


async def _pid(stream: Any) -> int:
    await stream.write(ToyRequest(command="pid"))
    return int((await stream.read()).note)


async def _ending(stream: Any) -> session_pb2.SessionEnding:
    """The next event of a quiet stream, which must be a SessionEnding."""
    async with asyncio.timeout(RECOVERY_S):
        event = await stream.read()
    assert event.HasField("session_ending")
    ending: session_pb2.SessionEnding = event.session_ending
    return ending


async def _gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


async def _until_it_answers(target: str) -> tuple[list[tuple[str, Failure]], float]:
    """Calls on new connections until both kinds succeed; gives the failures of each kind and the time of success."""
    failures: list[tuple[str, Failure]] = []
    async with asyncio.timeout(2 * RECOVERY_S):
        while True:
            async with ToyClient.connect(target) as client:
                # At once: while one is held up, the replica may have come back for the other.
                unary, stream = await asyncio.gather(_outcome(client.say()), _stream_outcome(client))
            outcomes = [("unary", unary), ("stream", stream)]
            if not any(failure for _, failure in outcomes):
                return failures, time.monotonic()
            failures += [(kind, failure) for kind, failure in outcomes if failure is not None]
            await asyncio.sleep(0.05)


async def _outcome(call: Any) -> Failure | None:
    try:
        await call
    except grpc.aio.AioRpcError as error:
        return Failure(error)
    return None


async def _stream_outcome(client: ToyClient) -> Failure | None:
    stream = client.echo()
    await stream.done_writing()
    return (await ending_of(stream))[1]


def _listening(pid: int) -> set[tuple[str, int]]:
    """(address, port) of the TCP sockets on which a process listens; "127.0.0.1", else the address in hex."""
    loopback = ("0100007F", "0000000000000000FFFF00000100007F")  # the second is how gRPC binds the first
    mine = {str(link.readlink()) for link in Path(f"/proc/{pid}/fd").iterdir()}
    found = set()
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]:
            _, local, _, state, *_, inode = line.split()[:10]
            address, port = local.split(":")
            if state == "0A" and f"socket:[{inode}]" in mine:
                found.add(("127.0.0.1" if address in loopback else address, int(port, 16)))
    return found


def _replica_ports(platform: RayPlatform, pool: str) -> set[int]:
    """Where HAProxy reaches a pool's replicas, from the newest of its configurations."""
    folder = next(parent for parent in Path(platform.logs).parents if parent.name.startswith("antiphon-"))
    newest = max(folder.rglob("haproxy.cfg"), key=lambda path: path.stat().st_mtime)
    return {int(port) for port in re.findall(rf"SERVE_REPLICA_{pool}-toy-\S+ 127\.0\.0\.1:(\d+)", newest.read_text())}
