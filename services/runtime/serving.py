"""From a `ServiceSpec` to grpc handlers: the part that both engines share.

`server.py` adds the handlers to a grpc.aio server of its own, `deployment.py` to the one that Ray Serve opens in each
replica. So health, reflection, Describe, limits and errors cannot differ between them.
"""

from __future__ import annotations

import asyncio
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import grpc
from google.protobuf.descriptor import ServiceDescriptor
from google.protobuf.message_factory import GetMessageClass
from grpc_health.v1 import health, health_pb2
from grpc_reflection.v1alpha import reflection, reflection_pb2

from antiphon.types.v1 import capability_pb2
from services.runtime import telemetry
from services.runtime.admission import Admission
from services.runtime.calls import Call
from services.runtime.errors import AntiphonError
from services.runtime.guard import Guard
from services.runtime.spec import Application, Runtime, ServiceSpec

CAPABILITY_SERVICE = capability_pb2.DESCRIPTOR.services_by_name["CapabilityService"]
HEALTH = "grpc.health.v1.Health"
REFLECTION = ("grpc.reflection.v1alpha.ServerReflection", "grpc.reflection.v1.ServerReflection")
HEALTH_PERIOD_S = 1.0
MAX_MESSAGE_BYTES = 4 * 1024 * 1024
_ENGINES = {
    "ray": capability_pb2.SERVING_ENGINE_RAY_SERVE,
    "grpc": capability_pb2.SERVING_ENGINE_GRPC,
}
_log = telemetry.log("serving")


class Replica:
    """One built capability with everything that serves it.

    Use `await Replica.start(spec, runtime)`, add `handlers()` to a server, and `close()` at the end.
    """

    def __init__(self, spec: ServiceSpec, runtime: Runtime, application: Application) -> None:
        self.spec = spec
        self.runtime = runtime
        self.application = application
        self.admission = Admission(runtime.limits)
        self._guard = Guard(runtime.pool, runtime.identity, self.admission)
        self._open_door = Guard(runtime.pool, runtime.identity, Admission(runtime.limits))
        self._health = health.aio.HealthServicer()
        self._watch: asyncio.Task[None] | None = None

    @classmethod
    async def start(cls, spec: ServiceSpec, runtime: Runtime) -> Replica:
        """Builds the capability on the running loop and begins to watch its health."""
        telemetry.configure(runtime.pool)
        replica = cls(spec, runtime, await spec.build(runtime))
        await replica._refresh_health()
        replica._watch = asyncio.create_task(replica._watch_health())
        _log.info("pool %s: %s serves on engine %s", runtime.pool, spec.capability, runtime.engine)
        return replica

    def handlers(self) -> list[grpc.GenericRpcHandler]:
        """Generic handlers of the capability's services, Describe, health and reflection."""
        found = [self._service(self._guard, s, self.application.servicers[s.full_name]) for s in self.spec.services]
        # Describe answers on a full replica too: it has slots of its own.
        found.append(self._service(self._open_door, CAPABILITY_SERVICE, self))
        found.append(_generated(HEALTH, health_pb2.DESCRIPTOR.services_by_name["Health"], self._health))
        names = [s.full_name for s in self.spec.services] + [CAPABILITY_SERVICE.full_name, HEALTH, *REFLECTION]
        servicer = reflection.aio.ReflectionServicer(service_names=names)
        descriptor = reflection_pb2.DESCRIPTOR.services_by_name["ServerReflection"]
        # v1 and v1alpha have the same messages on the wire; stock clients ask for v1 first.
        return [*found, *(_generated(name, descriptor, servicer) for name in REFLECTION)]

    async def Describe(  # noqa: N802 - named by the contract
        self, request: capability_pb2.DescribeRequest, call: Call
    ) -> capability_pb2.DescribeResponse:
        """What this replica serves; the capability's part comes from its application."""
        described = await self.application.describe()
        described.capability = self.spec.capability
        described.pool = self.runtime.pool
        described.serving_engine = _ENGINES[self.runtime.engine]
        described.version = package_version()
        limits = self.runtime.limits
        described.limits.max_sessions = limits.max_sessions
        described.limits.active_sessions = self.admission.active_sessions
        described.limits.max_session.FromNanoseconds(int(limits.session_s * 1e9))
        described.limits.idle_timeout.FromNanoseconds(int(limits.idle_s * 1e9))
        described.limits.max_message_bytes = MAX_MESSAGE_BYTES
        described.limits.max_session_bytes = limits.session_bytes
        described.services.extend(sorted(s.full_name for s in self.spec.services))
        described.draining = self.admission.draining.is_set()
        return described

    async def drain(self, grace_s: float) -> None:
        """Refuses new sessions, tells open ones that they have `grace_s` seconds, reports NOT_SERVING."""
        if self.admission.draining.is_set():
            return
        self.admission.draining.set()
        self._guard.drain(grace_s)
        await self._health.enter_graceful_shutdown()

    async def close(self) -> None:
        """Frees the capability."""
        if self._watch is not None:
            self._watch.cancel()
        await self.application.close()
        await asyncio.get_running_loop().run_in_executor(None, telemetry.flush)

    def _service(self, guard: Guard, service: ServiceDescriptor, servicer: object) -> grpc.GenericRpcHandler:
        handlers = {m.name: guard.handler(m, getattr(servicer, m.name)) for m in service.methods}
        return grpc.method_handlers_generic_handler(service.full_name, handlers)

    async def _watch_health(self) -> None:
        while True:
            await asyncio.sleep(HEALTH_PERIOD_S)
            await self._refresh_health()

    async def _refresh_health(self) -> None:
        status: int = health_pb2.HealthCheckResponse.SERVING
        try:
            await self.application.check()
        except Exception as error:  # noqa: BLE001 - a check that fails in any way is no healthy one; the watch goes on
            reason = error.reason if isinstance(error, AntiphonError) else type(error).__name__
            _log.warning("pool %s is not healthy: %s", self.runtime.pool, reason)
            status = health_pb2.HealthCheckResponse.NOT_SERVING
        for name in ("", *(s.full_name for s in self.spec.services)):
            await self._health.set(name, status)


def package_version() -> str:
    """Version of the installed distribution; "0" in a bare checkout."""
    try:
        return version("antiphon")
    except PackageNotFoundError:
        return "0"


def _generated(name: str, service: Any, servicer: Any) -> grpc.GenericRpcHandler:
    """Handlers for a stock servicer (health, reflection), which takes grpc's own context."""
    handlers: dict[str, grpc.RpcMethodHandler[Any, Any]] = {}
    for method in service.methods:
        request, response = GetMessageClass(method.input_type), GetMessageClass(method.output_type)
        make = {
            (False, False): grpc.unary_unary_rpc_method_handler,
            (False, True): grpc.unary_stream_rpc_method_handler,
            (True, True): grpc.stream_stream_rpc_method_handler,
        }[(method.client_streaming, method.server_streaming)]
        function = getattr(servicer, method.name, None)
        if function is not None:
            handlers[method.name] = make(function, request.FromString, response.SerializeToString)
    return grpc.method_handlers_generic_handler(name, handlers)
