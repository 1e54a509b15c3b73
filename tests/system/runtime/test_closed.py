"""What must stay inside: user content out of telemetry and logs, ports out of reach, one platform out of another."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest

from services.runtime import deployment
from services.runtime.deployment import RayPlatform
from tests.fixtures.runtime_cases import eventually
from tests.fixtures.toy import SECRET
from tests.fixtures.toy_client import ToyClient, failure_of, with_key
from tests.fixtures.toy_pools import ACME, ToyPlatform

pytestmark = pytest.mark.system

SAID = "my doctor's number is 0123"


class TestTelemetry:
    async def test_calls_are_traced_and_counted_and_nothing_said_is_told(
        self, platform: RayPlatform, toys: ToyPlatform
    ) -> None:
        trace = "4bf92f3577b34da6a3ce929d0e0e4736"
        parent = ("traceparent", f"00-{trace}-00f067aa0ba902b7-01")
        async with ToyClient.connect(toys.front) as client:
            await client.say(data=SAID.encode(), metadata=[*with_key(ACME), parent])
            await failure_of(client.say("boom", data=SAID.encode(), metadata=[*with_key(ACME), parent]))
            await failure_of(client.say(metadata=[]))
        folder = Path(platform.settings.telemetry_dir)

        async def exported() -> bool:
            spans = [s for s in _objects(folder, "toy-*.spans.jsonl") if s["context"]["trace_id"] == f"0x{trace}"]
            return len(spans) == 2 and "antiphon.refusals" in _text(folder, "toy-*.metrics.jsonl")

        await eventually(exported, within=15.0)
        spans = [s for s in _objects(folder, "toy-*.spans.jsonl") if s["context"]["trace_id"] == f"0x{trace}"]
        assert {span["name"] for span in spans} == {"antiphon.toy.v1.ToyService/Say"}
        assert {span["attributes"].get("antiphon.reason") for span in spans} == {None, "INTERNAL"}
        assert all(span["parent_id"] == "0x00f067aa0ba902b7" for span in spans)
        metrics = _text(folder, "toy-*.metrics.jsonl")
        for name in ("antiphon.admissions", "antiphon.call.duration", "API_KEY_MISSING"):
            assert name in metrics
        for told in (_text(folder, "*"), _text(Path(platform.logs), "**/*")):
            assert "ToyService" in told
            assert [secret for secret in (SAID, SECRET, ACME) if secret in told] == []


class TestPorts:
    async def test_rays_own_services_ask_for_a_token(self, platform: RayPlatform) -> None:
        import ray

        address = ray.get_runtime_context().gcs_address
        async with grpc.aio.insecure_channel(address) as channel:
            nodes: Any = channel.unary_unary("/ray.rpc.NodeInfoGcsService/GetAllNodeInfo")
            assert (await failure_of(nodes(b"", timeout=5.0))).code == grpc.StatusCode.UNAUTHENTICATED

    def test_a_port_that_another_platform_has_is_refused(self, taken: int, monkeypatch: pytest.MonkeyPatch) -> None:
        """Serve takes the next one then (private: `default_impl.add_grpc_address`, and what its caller catches)."""
        from ray.serve._private import default_impl

        monkeypatch.setattr(default_impl, "add_grpc_address", None)
        deployment._listen_on_loopback()
        with pytest.raises(RuntimeError) as refused:
            vars(default_impl)["add_grpc_address"](object(), f"[::]:{taken}")
        assert isinstance(refused.value.__cause__, OSError)

    @pytest.fixture
    def taken(self) -> Iterator[int]:
        """A port on which somebody listens who would share it, as gRPC does."""
        with socket.socket() as other:
            other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            other.bind(("127.0.0.1", 0))
            other.listen()
            yield int(other.getsockname()[1])


def _text(folder: Path, pattern: str) -> str:
    return "".join(path.read_text(errors="replace") for path in folder.glob(pattern) if path.is_file())


def _objects(folder: Path, pattern: str) -> list[dict[str, Any]]:
    lines = _text(folder, pattern).splitlines()
    return [json.loads(line) for line in lines if line.endswith("}")]
