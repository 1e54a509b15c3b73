"""What a platform consists of: addresses, keys, pools. `antiphon up` reads it, `server.py` and `deployment.py` run it.

Everything listens on loopback unless keys and a certificate are configured.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import yaml

from services.runtime.admission import Limits
from services.runtime.errors import FailedPrecondition
from services.runtime.identity import Identity, Principal, load_keys
from services.runtime.pools import DEFAULT_ARM, Pool, PoolDirectory
from services.runtime.settings import load

FRONT_DOOR = "arbitration"
_LAST_PORT = 65535


@dataclass(frozen=True)
class PoolSettings:
    """One pool to run.

    Attributes:
        name: application name, unique, `asr-zh`.
        capability: key in `services/registry.py`.
        locales: BCP-47 tags; empty serves every locale.
        tenants: tenants it is reserved for; empty serves all.
        arm: traffic arm.
        replicas: copies, each with limits of its own.
        cpus: CPUs that Ray reserves for one replica; a reservation for scheduling, not a limit.
        settings: for the capability's settings class.
        limits: for `Limits`.
        spec: `package.module:NAME` of another implementation of the capability; empty takes the registry's.
    """

    name: str
    capability: str
    locales: tuple[str, ...] = ()
    tenants: tuple[str, ...] = ()
    arm: str = DEFAULT_ARM
    replicas: int = 1
    cpus: float = 0.1
    settings: Mapping[str, Any] = field(default_factory=dict)
    limits: Mapping[str, Any] = field(default_factory=dict)
    spec: str = ""

    def __post_init__(self) -> None:
        if self.replicas < 1:
            raise ValueError(f"replicas of pool '{self.name}' must be 1 or more")


@dataclass(frozen=True)
class PlatformSettings:
    """The platform on this node.

    Attributes:
        host: address of the front door.
        port: gRPC port of the front door.
        pool_port: first of the ports that lead to one pool each, on loopback; 0 chooses free ones.
        api_keys: JSON file of API keys (`identity.load_keys`); empty turns keys off, on loopback only.
        tls_certificate: PEM file with certificate chain and private key for the front door; empty is plaintext,
            on loopback only.
        state_dir: folder for SQLite state; empty keeps state in the run folder, which goes at the end.
        store_url: Redis server for the state of a cluster, `redis://host:6379/0`, in place of files; its password is
            in `ANTIPHON_STORE_PASSWORD` alone.
        telemetry_dir: folder for spans and metrics as JSON lines; empty writes none.
        trace_ratio: share of turns traced, 0 to 1.
        pools: what to run.
    """

    host: str = "127.0.0.1"
    port: int = 9000
    pool_port: int = 9201
    api_keys: str = ""
    tls_certificate: str = ""
    state_dir: str = ""
    store_url: str = ""
    telemetry_dir: str = ""
    trace_ratio: float = 0.01
    pools: tuple[PoolSettings, ...] = ()

    def __post_init__(self) -> None:
        for key in ("port", "pool_port"):
            if not 0 <= getattr(self, key) <= _LAST_PORT:
                raise ValueError(f"{key} must be 0 to {_LAST_PORT}")
        if not 0 <= self.trace_ratio <= 1:
            raise ValueError("trace_ratio must be 0 to 1")
        names = [pool.name for pool in self.pools]
        repeated = {name for name in names if names.count(name) > 1}
        if repeated:
            raise ValueError(f"pool names must be unique: {', '.join(sorted(repeated))}")
        if not is_loopback(self.host) and not (self.api_keys and self.tls_certificate):
            raise ValueError(
                f"host {self.host} is reachable from outside: set api_keys and tls_certificate, or listen on 127.0.0.1"
            )
        for name in ("api_keys", "tls_certificate"):
            path = getattr(self, name)
            if path and not Path(path).is_file():
                raise ValueError(f"{name}: there is no file {path}")

    def keys(self) -> dict[str, Principal]:
        """API keys of the front door, by digest."""
        return load_keys(Path(self.api_keys)) if self.api_keys else {}

    def identity(self, internal_token: str) -> Identity:
        """What every replica checks credentials with."""
        return Identity(self.keys(), internal_token)

    def directory(self, ports: Sequence[int] = ()) -> PoolDirectory:
        """Where each pool is, on this node: on `ports` when given, else from `pool_port` on."""
        ports = ports or range(self.pool_port, self.pool_port + len(self.pools))
        return PoolDirectory(
            tuple(
                Pool(p.name, p.capability, f"127.0.0.1:{port}", p.locales, p.tenants, p.arm)
                for p, port in zip(self.pools, ports, strict=True)
            )
        )


def pool_limits(pool: PoolSettings) -> Limits:
    """The pool's admission limits, checked."""
    return load(Limits, pool.limits, f"ANTIPHON_{pool.capability}")


def longest_session_s(pools: tuple[PoolSettings, ...]) -> float:
    """From it the proxy's hard stop and the replicas' grace period derive."""
    return max((pool_limits(pool).session_s for pool in pools), default=Limits().session_s)


def is_loopback(host: str) -> bool:
    """True for 127.0.0.0/8, ::1 and localhost."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def read(
    path: Path | None, pools: tuple[PoolSettings, ...], environment: Mapping[str, str] | None = None
) -> PlatformSettings:
    """Platform settings from YAML and `ANTIPHON_*` variables; `pools` are run where the file names none.

    Raises:
        FailedPrecondition: the file is missing or wrong; the message names the key.
    """
    table: dict[str, Any] = {}
    if path is not None:
        try:
            table = yaml.safe_load(path.read_text()) or {}
        except (OSError, yaml.YAMLError) as error:
            raise FailedPrecondition(
                f"settings: cannot read {path}: {type(error).__name__}", reason="SETTINGS_INVALID"
            ) from error
        if not isinstance(table, dict):
            raise FailedPrecondition(f"settings: {path} must hold a table", reason="SETTINGS_INVALID")
    named = table.pop("pools", None)
    if named is not None:
        if not isinstance(named, dict):
            raise FailedPrecondition("settings: pools must be a table of name: {...}", reason="SETTINGS_INVALID")
        pools = tuple(_pool(name, entry) for name, entry in named.items())
    unknown = set(table) - {f.name for f in fields(PlatformSettings)}
    if unknown:
        raise FailedPrecondition(f"settings: unknown key '{sorted(unknown)[0]}'", reason="SETTINGS_INVALID")
    return load(PlatformSettings, {**table, "pools": pools}, "ANTIPHON", environment)


def _pool(name: str, entry: Any) -> PoolSettings:
    if not isinstance(entry, dict):
        raise FailedPrecondition(f"settings: pool '{name}' must be a table", reason="SETTINGS_INVALID")
    return load(
        PoolSettings, {"capability": name, **entry, "name": name}, f"ANTIPHON_POOL_{name.replace('-', '_')}", {}
    )
