"""`ServiceSpec`: what a capability declares to be served; `server.py` and `deployment.py` both serve it as it stands.

Each capability's `app.py` holds one `SPEC`; `services/registry.py` lists where they are.
"""

from __future__ import annotations

import importlib
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, cast

from google.protobuf.descriptor import ServiceDescriptor

from antiphon.types.v1 import capability_pb2
from services.runtime.admission import Limits
from services.runtime.identity import Identity
from services.runtime.pools import PoolDirectory


@dataclass(frozen=True)
class Runtime:
    """What the engine tells a capability when it builds it.

    Attributes:
        engine: "ray" or "grpc".
        pool: name of the pool that this replica belongs to, `asr` or `asr-zh`.
        options: the pool's own settings, for the capability's settings class.
        directory: where the other pools are.
        identity: forwards principals to other services.
        state_dir: folder for the SQLite state of one node; empty means memory only.
        store_url: Redis server that holds the state of a cluster in place of that; empty means none.
        limits: admission limits of this replica.
    """

    engine: str
    pool: str
    options: Mapping[str, Any] = field(default_factory=dict)
    directory: PoolDirectory = field(default_factory=PoolDirectory)
    identity: Identity = field(default_factory=Identity)
    state_dir: str = ""
    store_url: str = ""
    limits: Limits = field(default_factory=Limits)


async def _nothing() -> None:
    return None


@dataclass(frozen=True)
class Application:
    """A capability, built and ready to serve.

    Attributes:
        servicers: full gRPC service name -> object with one method per RPC, each taking `(request, call)` or
            `(request_iterator, call)`; responses are returned, or yielded by an async generator.
        describe: fills what only the capability knows of `DescribeResponse` (models, locales, formats, notes); the
            runtime adds capability, pool, engine, version and limits.
        check: raises an `AntiphonError` when the capability cannot serve; health reports it.
        close: frees what `build` acquired.
    """

    servicers: Mapping[str, object]
    describe: Callable[[], Awaitable[capability_pb2.DescribeResponse]]
    check: Callable[[], Awaitable[None]] = _nothing
    close: Callable[[], Awaitable[None]] = _nothing


@dataclass(frozen=True)
class ServiceSpec:
    """A capability's declaration.

    Attributes:
        capability: its name, a folder in `services/`.
        services: descriptors of the gRPC services it implements, for example
            `recognition_pb2.DESCRIPTOR.services_by_name["SpeechRecognitionService"]`.
        build: makes the application; called once per replica, on its event loop.
        cpus: CPUs that Ray reserves for one replica. A reservation, not a limit.
    """

    capability: str
    services: tuple[ServiceDescriptor, ...]
    build: Callable[[Runtime], Awaitable[Application]]
    cpus: float = 0.1


def load_spec(path: str) -> ServiceSpec:
    """The spec at `package.module:NAME`."""
    module, _, name = path.partition(":")
    return cast(ServiceSpec, getattr(importlib.import_module(module), name))
