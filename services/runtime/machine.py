"""What a platform needs of its machine: a folder, ports that are free, and a look at whether an address answers.

`deployment.py` uses it before and after it starts Ray; nothing here knows Ray.
"""

from __future__ import annotations

import os
import random
import socket
import tempfile
from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path
from typing import Any, cast

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from services.runtime.errors import FailedPrecondition

CHOSEN_PORTS = range(20_000, 30_000)  # Ray's workers have 10002 to 19999, Serve's replicas 30000 and 40000 upwards
LONGEST_PLACE = 9  # HAProxy takes paths of sockets up to 97 characters


def new_folder() -> Path:
    """A folder of our own, in a place with a short path: the sockets of Ray Serve's HAProxy add 88 characters to it.

    Raises:
        FailedPrecondition: there is no such place.
    """
    for place in (tempfile.gettempdir(), os.environ.get("XDG_RUNTIME_DIR", ""), "/tmp"):  # noqa: S108 - mkdtemp is safe there
        if place and len(place) <= LONGEST_PLACE and os.access(place, os.W_OK):
            return Path(tempfile.mkdtemp(prefix="antiphon-", dir=place))
    raise FailedPrecondition(
        f"no folder for temporary files with a path of at most {LONGEST_PLACE} characters: set TMPDIR",
        reason="TEMPORARY_FOLDER_MISSING",
    )


def free_port() -> int:
    """A TCP port on loopback that is free now."""
    return free_ports(1)[0]


def free_ports(count: int) -> list[int]:
    """Different TCP ports on loopback that are free now, and that no outgoing connection takes before they are used.

    HAProxy binds them seconds after they are chosen, while Ray opens hundreds of connections; so they come from below
    the ports that Linux gives to those, and from between the ranges that Ray uses itself.

    Raises:
        FailedPrecondition: too few are free.
    """
    found: list[int] = []
    with ExitStack() as probes:
        for port in random.sample(CHOSEN_PORTS, len(CHOSEN_PORTS)):
            if len(found) == count:
                return found
            probe = probes.enter_context(socket.socket())
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            found.append(port)
    raise FailedPrecondition(f"fewer than {count} of the ports 20000 to 29999 are free", reason="PORTS_TAKEN")


def refuse_taken_ports(addresses: Iterable[str]) -> None:
    """Raises FailedPrecondition (PORT_TAKEN) if something listens at one of the addresses, HOST:PORT."""
    for address in addresses:
        host, _, port = address.rpartition(":")
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((host, int(port)))
            except OSError:
                raise FailedPrecondition(
                    f"port {port} on {host} is taken: is a platform already running? "
                    "Stop it (antiphon down) or set ANTIPHON_PORT and ANTIPHON_POOL_PORT",
                    reason="PORT_TAKEN",
                ) from None


def is_serving(target: str) -> bool:
    """True if grpc.health.v1 at that address says SERVING within 2 s."""
    with grpc.insecure_channel(target) as channel:
        try:
            answer = cast(Any, health_pb2_grpc.HealthStub(channel)).Check(health_pb2.HealthCheckRequest(), timeout=2.0)
        except grpc.RpcError:
            return False
        return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)
