"""docs/adding-a-capability.md holds what it says: its files make a capability that is served, and then it is gone."""

from __future__ import annotations

import importlib
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest

import antiphon
import services
from antiphon.client import CapabilityClient
from antiphon.errors import from_rpc_error
from services.registry import CAPABILITIES
from services.runtime.platform import PlatformSettings, PoolSettings
from services.runtime.server import GrpcPlatform
from services.runtime.spec import load_spec

pytestmark = pytest.mark.integration

DOCUMENT = Path(__file__).resolve().parents[3] / "docs" / "adding-a-capability.md"
FILE = re.compile(r"^`(?P<path>[\w/.]+)`\n```(?:python|proto)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
LINE = re.compile(r'^    "(?P<name>\w+)": "(?P<place>[\w.]+:SPEC)",$', re.MULTILINE)


@pytest.fixture
def capability(tmp_path: Path) -> Iterator[dict[str, str]]:
    """The registry with the document's line, while its files can be imported."""
    text = DOCUMENT.read_text(encoding="utf-8")
    for file in FILE.finditer(text):
        path = tmp_path / file["path"]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(file["text"], encoding="utf-8")
    proto = next((tmp_path / "protos").rglob("*.proto")).relative_to(tmp_path / "protos")
    where = [f"--{kind}={tmp_path}" for kind in ("python_out", "grpc_python_out")]
    command = [sys.executable, "-m", "grpc_tools.protoc", f"--proto_path={tmp_path / 'protos'}", *where, str(proto)]
    subprocess.run(command, check=True)
    before = set(sys.modules)
    antiphon.__path__.append(str(tmp_path / "antiphon"))
    services.__path__.append(str(tmp_path / "services"))
    importlib.invalidate_caches()
    line = LINE.search(text)
    assert line is not None
    yield {**CAPABILITIES, line["name"]: line["place"]}
    antiphon.__path__.pop()
    services.__path__.pop()
    for name in set(sys.modules) - before:
        if "spelling" in name:
            del sys.modules[name]


async def test_what_the_document_adds_is_served_and_describes_itself(capability: dict[str, str]) -> None:
    specs = {"spelling": load_spec(capability["spelling"])}
    settings = PlatformSettings(port=0, pool_port=0, pools=(PoolSettings("spelling", "spelling"),))
    async with GrpcPlatform(settings, specs) as platform, CapabilityClient(platform.target) as client:
        spell = client.channel.unary_unary(
            "/antiphon.spelling.v1.SpellingService/Spell",
            request_serializer=_messages().SpellRequest.SerializeToString,
            response_deserializer=_messages().SpellResponse.FromString,
        )
        answer = await spell(_messages().SpellRequest(word="Rio"))
        assert list(answer.names) == ["Romeo", "India", "Oscar"]
        described = await client.describe()
        assert (described.capability, described.limits.max_sessions > 0) == ("spelling", True)
        assert "icao" in described.notes[0]
        assert await client.health("antiphon.spelling.v1.SpellingService") == "SERVING"
        for word, reason in (("", "WORD_LENGTH"), ("a" * 65, "WORD_LENGTH"), ("año", "LETTER_UNKNOWN")):
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await spell(_messages().SpellRequest(word=word))
            error = from_rpc_error(refused.value)
            assert (error.code, error.reason) == (grpc.StatusCode.INVALID_ARGUMENT, reason)


def test_afterwards_it_is_gone() -> None:
    with pytest.raises(ModuleNotFoundError):
        importlib.import_module("services.spelling.app")


def _messages() -> Any:
    return importlib.import_module("antiphon.spelling.v1.spelling_pb2")
