"""The configuration that HAProxy gets in place of the one Ray Serve generated."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from services.runtime.edge import Edge, rewrite

pytestmark = pytest.mark.unit

# An excerpt of what Ray Serve 2.60 generates for two applications.
GENERATED = """\
frontend prometheus
    bind :9101
    mode http
frontend http_frontend
    bind 127.0.0.1:8000
    default_backend default_backend
frontend grpc_frontend
    # gRPC requires HTTP/2. HAProxy decodes H2 frames into HTTP request
    # semantics in `mode http` when `proto h2` is on the bind line.
    bind 127.0.0.1:9000 proto h2
    mode http
    acl is_healthz path /ray.serve.RayServeAPIService/Healthz
    acl is_grpc-asr req.hdr(application) -m str asr
    use_backend grpc-asr if is_grpc-asr
    default_backend default_grpc_backend
backend grpc-asr
    mode http
    server SERVE_REPLICA_asr-asr-5q0d5tnm 127.0.0.1:40002 proto h2 check observe layer4
listen stats
  bind *:8404
  stats enable
"""
MAP = Path("/run/antiphon/services.map")


def _edge(certificate: str = "", host: str = "127.0.0.1") -> Edge:
    return Edge(
        haproxy="/opt/haproxy",
        host=host,
        port=9000,
        certificate=certificate,
        default="arbitration",
        pools={"arbitration": 9201, "asr": 9202},
        services={"antiphon.asr.v1.SpeechRecognitionService": "asr"},
    )


def _lines(config: str) -> list[str]:
    return [line.strip() for line in config.splitlines()]


def test_everything_listens_on_loopback() -> None:
    lines = _lines(rewrite(GENERATED, _edge(), MAP))
    binds = [line for line in lines if line.startswith("bind ")]
    assert binds == [
        "bind 127.0.0.1:9101",
        "bind 127.0.0.1:8000",
        "bind 127.0.0.1:9000 proto h2",
        "bind 127.0.0.1:9201 proto h2",
        "bind 127.0.0.1:9202 proto h2",
        "bind 127.0.0.1:8404",
    ]


def test_pools_and_services_lead_to_their_application() -> None:
    lines = _lines(rewrite(GENERATED, _edge(), MAP))
    assert "http-request set-header application asr if { dst_port 9202 }" in lines
    by_path = f"http-request set-header application %[path,field(2,/),map_str({MAP},arbitration)]"
    assert f"{by_path} if !{{ req.hdr(application) -m found }}" in lines
    # Rules come before the choice of a backend, which reads the header.
    assert lines.index("acl is_grpc-asr req.hdr(application) -m str asr") > max(
        i for i, line in enumerate(lines) if line.startswith("http-request set-header")
    )


def test_the_front_door_takes_no_internal_metadata_and_lists_no_applications() -> None:
    lines = _lines(rewrite(GENERATED, _edge(), MAP))
    assert "http-request del-header x-antiphon- -m beg if { dst_port 9000 }" in lines
    refused = [line for line in lines if "path_beg /ray.serve." in line]
    assert refused == [
        "http-request return status 200 content-type application/grpc hdr grpc-status 12"
        " if { dst_port 9000 } { path_beg /ray.serve. }"
    ]


def test_tls_is_for_the_front_door_alone() -> None:
    lines = _lines(rewrite(GENERATED, _edge("/etc/antiphon/tls.pem", host="0.0.0.0"), MAP))
    assert "bind 0.0.0.0:9000 ssl crt /etc/antiphon/tls.pem alpn h2" in lines
    assert "bind 127.0.0.1:9202 proto h2" in lines


def test_the_rest_stays_as_it_is() -> None:
    rewritten = _lines(rewrite(GENERATED, _edge(), MAP))
    kept = [line for line in _lines(GENERATED) if not line.startswith("bind ")]
    assert [line for line in rewritten if line in kept] == kept


def test_a_configuration_of_another_ray_is_refused() -> None:
    with pytest.raises(ValueError, match="bind line"):
        rewrite(GENERATED.replace("proto h2", "npn h2"), _edge(), MAP)


def test_without_grpc_there_is_nothing_to_route() -> None:
    early = GENERATED[: GENERATED.index("frontend grpc_frontend")]
    assert rewrite(early, _edge(), MAP) == early.replace("bind :9101", "bind 127.0.0.1:9101")


def test_the_script_rewrites_the_file_and_becomes_haproxy(tmp_path: Path) -> None:
    stand_in = tmp_path / "bin" / "haproxy"
    stand_in.parent.mkdir()
    stand_in.write_text('#!/bin/sh\necho "$@"; echo "$LD_LIBRARY_PATH"\n')
    stand_in.chmod(0o755)
    edge = _edge()
    script = Edge(str(stand_in), edge.host, edge.port, "", edge.default, edge.pools, edge.services).write(tmp_path)
    config = tmp_path / "haproxy.cfg"
    config.write_text(GENERATED)
    for _ in range(2):  # the second time the file is as it should be
        done = subprocess.run([script, "-db", "-f", config], check=True, capture_output=True, text=True)
        assert done.stdout.splitlines()[0] == f"-db -f {config}"
        assert done.stdout.splitlines()[1].startswith(str(stand_in.parent / "lib"))
        assert config.read_text() == rewrite(GENERATED, edge, tmp_path / "services.map")
    assert (tmp_path / "services.map").read_text() == "antiphon.asr.v1.SpeechRecognitionService asr\n"
