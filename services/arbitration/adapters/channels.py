"""Pooled channels to the other capabilities. The adapters of this folder ask it for a stub and its metadata.

One channel per pool and replica of arbitration: HTTP/2 carries thousands of streams, and HAProxy spreads streams, not
connections, over a pool's replicas. Streams that upload audio are the exception: they have a channel each while they
last (`upload`), because HAProxy stops reading a connection when one of its streams is not taken up as fast as it comes.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import contextmanager
from typing import Any, TypeVar

import grpc

from services.arbitration.contexts import TurnContext
from services.arbitration.routing.shadowing import ShadowArm, Shadows
from services.arbitration.routing.traffic import Arm, Traffic
from services.arbitration.routing.trips import Trip, Trips
from services.runtime import telemetry
from services.runtime.errors import AntiphonError, Unavailable
from services.runtime.identity import Identity, Principal
from services.runtime.pools import DEFAULT_ARM, Pool, PoolDirectory
from services.runtime.statuses import from_rpc_error

Metadata = tuple[tuple[str, str], ...]
Stub = TypeVar("Stub")

_OPTIONS = [
    ("grpc.max_receive_message_length", 4 * 1024 * 1024),
    ("grpc.service_config", "{}"),  # no transparent retries: the turn decides what is safe to repeat
    ("grpc.enable_retries", 0),
    ("grpc.http2.bdp_probe", 0),  # estimates of bandwidth, of no use within a platform: 10 % of a message's CPU
]


class Channels:
    """Stubs of the pools that serve a turn.

    Args:
        directory: where the pools are.
        identity: proves to them on whose behalf a call is made.
        traffic: which sessions go to which pool where a capability's traffic is split.

    Attributes:
        shadows: copies of calls that run in the background.
    """

    def __init__(self, directory: PoolDirectory, identity: Identity, traffic: Traffic) -> None:
        self.directory = directory
        self._identity = identity
        self._traffic = traffic
        self._trips = Trips(traffic)
        self.shadows = Shadows(traffic)
        self._channels: dict[str, grpc.aio.Channel] = {}
        self._spares: dict[str, grpc.aio.Channel] = {}
        self._idle_lanes: dict[str, list[grpc.aio.Channel]] = {}
        self._lanes: list[grpc.aio.Channel] = []

    def pool(self, capability: str, context: TurnContext) -> Pool:
        """The pool that serves this turn. Raises FailedPrecondition when none does."""
        profile, served = context.profile, self._served(capability, context)
        if served is not None:
            return served[1]
        return self.directory.resolve(capability, profile.locale, profile.tenant, context.arm or DEFAULT_ARM)

    def trip(self, capability: str, context: TurnContext) -> Trip:
        """Counts a call that is about to be made on behalf of this turn."""
        served = self._served(capability, context)
        arm = served[0] if served is not None else None
        return self._trips.begin(capability, context.profile.locale, arm, context.session_id, context.turn_id)

    def shadow_arms(self, capability: str, context: TurnContext) -> list[ShadowArm]:
        """Who gets a copy of what this turn asks of a capability."""
        locale, found = context.profile.locale, []
        for arm in self._traffic.shadows(context.session_id, capability, locale):
            pool = self.directory.named(arm.pool)
            if pool is not None:
                found.append(ShadowArm(capability, locale, arm.name, pool.target))
        return found

    def _served(self, capability: str, context: TurnContext) -> tuple[Arm, Pool] | None:
        arm = self._traffic.assign(context.session_id, capability, context.profile.locale)
        pool = self.directory.named(arm.pool) if arm is not None else None
        return (arm, pool) if arm is not None and pool is not None else None

    def arms(self, context: TurnContext) -> tuple[str, ...]:
        """Arms of split traffic that the turn's session is on, as "capability=arm"."""
        session, locale = context.session_id, context.profile.locale
        capabilities = dict.fromkeys(pool.capability for pool in self.directory.pools)
        found = ((name, self._traffic.assign(session, name, locale)) for name in capabilities)
        return tuple(f"{name}={arm.name}" for name, arm in found if arm is not None)

    def stub(self, stub: Callable[[grpc.aio.Channel], Stub], capability: str, context: TurnContext) -> Stub:
        """A stub on the pool's channel."""
        return stub(self.channel(self.pool(capability, context).target))

    def upload(
        self,
        stub: Callable[[grpc.aio.Channel], Any],
        method: str,
        capability: str,
        context: TurnContext,
        *,
        target: str = "",
        timeout: float | None = None,
    ) -> Any:
        """An open streaming call on a channel that no other open call uses.

        Args:
            stub: class of the stub.
            method: name of the RPC.
            capability: whose pool is called, on behalf of the turn that `context` tells of.
            target: another pool's address in place of that.
            timeout: longest life of the call, in seconds.
        """
        target = target or self.pool(capability, context).target
        idle = self._idle_lanes.setdefault(target, [])
        channel = idle.pop() if idle else self._new_lane(target)
        call = getattr(stub(channel), method)(metadata=self.metadata(context), timeout=timeout)
        call.add_done_callback(lambda _: idle.append(channel))
        return call

    def _new_lane(self, target: str) -> grpc.aio.Channel:
        # Channels with equal options share connections unless each is told to have a pool of its own.
        channel = grpc.aio.insecure_channel(target, options=[*_OPTIONS, ("grpc.use_local_subchannel_pool", 1)])
        self._lanes.append(channel)
        return channel

    def spare(self, target: str) -> grpc.aio.Channel:
        """A second channel with a connection of its own, for second calls.

        The platform's own balancer spreads streams, but what stands before a third party's server may spread
        connections: there only another connection reaches another replica.
        """
        if target not in self._spares:
            self._spares[target] = self._new_lane(target)
        return self._spares[target]

    def channel(self, target: str) -> grpc.aio.Channel:
        """The channel to `host:port`, opened on first use."""
        if target not in self._channels:
            self._channels[target] = grpc.aio.insecure_channel(target, options=_OPTIONS)
        return self._channels[target]

    def metadata(self, context: TurnContext) -> Metadata:
        """Principal and trace of the running turn."""
        principal = Principal(context.profile.tenant, context.profile.user_id)
        return (*self._identity.forward(principal), *telemetry.outgoing_trace().items())

    def platform_metadata(self) -> Metadata:
        """For calls of the platform itself, on nobody's behalf."""
        return tuple(self._identity.forward(Principal("platform")))

    async def close(self) -> None:
        """Closes every channel."""
        await self.shadows.close()
        await asyncio.gather(*(channel.close() for channel in (*self._channels.values(), *self._lanes)))


@contextmanager
def rpc_errors() -> Any:
    """Third parties' errors stop here: `grpc.RpcError` becomes our tree."""
    try:
        yield
    except grpc.RpcError as error:
        raise from_rpc_error(error) from None
    except asyncio.InvalidStateError:  # grpc.aio when a write meets a call that has just ended
        raise Unavailable("the stream to another capability has ended", reason="REPLICA_LOST") from None


T = TypeVar("T")


async def once_more(attempt: Callable[[], Awaitable[T]]) -> T:
    """Runs a call without side effects; repeats it once when its replica was lost or another one is worth a try."""
    try:
        return await attempt()
    except AntiphonError as error:
        if not error.retryable:
            raise
        await asyncio.sleep(min(error.retry_after or 0.0, 0.2))
        return await attempt()


async def read(call: Any) -> AsyncIterator[Any]:
    """Messages of a streaming call, as our errors when it fails; the call is cancelled when the reader leaves."""
    try:
        with rpc_errors():
            async for message in call:
                yield message
    finally:
        call.cancel()
