"""The platform on plain grpc.aio in one process: unit and integration tests, and `antiphon up --engine grpc`.

The same `ServiceSpec`s as on Ray Serve, each pool on its own port, all default pools also behind the front door.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

import grpc

from services.runtime import telemetry
from services.runtime.platform import FRONT_DOOR, PlatformSettings, pool_limits
from services.runtime.pools import Pool, PoolDirectory
from services.runtime.serving import MAX_MESSAGE_BYTES, Replica
from services.runtime.spec import Runtime, ServiceSpec, load_spec

OPTIONS = [
    ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
    ("grpc.so_reuseport", 0),
    ("grpc.max_concurrent_streams", 2048),
    # Clients ask every 20 s whether the server is still there (antiphon/channels.py); gRPC would hang up on them.
    ("grpc.http2.min_recv_ping_interval_without_data_ms", 5_000),
    ("grpc.keepalive_permit_without_calls", 1),
]
_log = telemetry.log("server")


class GrpcPlatform:
    """Runs pools in this process; an async context manager.

    Args:
        settings: what to run; `port` and `pool_port` 0 choose free ports.
        specs: capability -> its spec.
    """

    def __init__(self, settings: PlatformSettings, specs: Mapping[str, ServiceSpec]) -> None:
        self.settings = settings
        self.replicas: dict[str, Replica] = {}
        self.target = ""
        self.directory = PoolDirectory()
        self._specs = specs
        self._servers: list[grpc.aio.Server] = []

    async def __aenter__(self) -> Self:
        _log.info("engine grpc: one process, for tests and development; figures count on engine ray only")
        identity = self.settings.identity(secrets.token_hex(16))
        servers = {pool.name: grpc.aio.server(options=OPTIONS) for pool in self.settings.pools}
        self._servers = list(servers.values())
        front = grpc.aio.server(options=OPTIONS)
        self._servers.append(front)
        self.directory = PoolDirectory(tuple(self._bind(servers)))
        for pool in self.settings.pools:
            runtime = Runtime(
                engine="grpc",
                pool=pool.name,
                options=pool.settings,
                directory=self.directory,
                identity=identity,
                state_dir=self.settings.state_dir,
                store_url=self.settings.store_url,
                limits=pool_limits(pool),
            )
            spec = load_spec(pool.spec) if pool.spec else self._specs[pool.capability]
            replica = await Replica.start(spec, runtime)
            self.replicas[pool.name] = replica
            servers[pool.name].add_generic_rpc_handlers(tuple(replica.handlers()))
        front.add_generic_rpc_handlers(tuple(self._front_handlers()))
        self.target = self._bind_front(front)
        for server in self._servers:
            await server.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for server in self._servers:
            await server.stop(grace=0.2)
        for replica in self.replicas.values():
            await replica.close()

    async def drain(self, grace_s: float) -> None:
        """Drains every pool, as Ray Serve does before it stops a replica."""
        for replica in self.replicas.values():
            await replica.drain(grace_s)

    def _bind(self, servers: Mapping[str, grpc.aio.Server]) -> list[Pool]:
        pools = []
        for i, p in enumerate(self.settings.pools):
            wanted = self.settings.pool_port + i if self.settings.pool_port else 0
            port = servers[p.name].add_insecure_port(f"127.0.0.1:{wanted}")
            pools.append(Pool(p.name, p.capability, f"127.0.0.1:{port}", p.locales, p.tenants, p.arm))
        return pools

    def _bind_front(self, front: grpc.aio.Server) -> str:
        address = f"{self.settings.host}:{self.settings.port}"
        if self.settings.tls_certificate:
            pem = Path(self.settings.tls_certificate).read_bytes()
            credentials = grpc.ssl_server_credentials([(pem, pem)])
            return f"{self.settings.host}:{front.add_secure_port(address, credentials)}"
        return f"{self.settings.host}:{front.add_insecure_port(address)}"

    def _front_handlers(self) -> list[grpc.GenericRpcHandler]:
        """The front door's own services first: they also answer health, reflection and Describe there."""
        order = sorted(self.settings.pools, key=lambda p: p.capability != FRONT_DOOR)
        return [handler for pool in order for handler in self.replicas[pool.name].handlers()]
