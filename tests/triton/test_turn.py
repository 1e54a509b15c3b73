"""Whole turns while the server of models dies and comes back: through the front door, as a user meets it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path

import pytest

from antiphon.arbitration.v1 import assistant_pb2
from antiphon.client import Assistant
from antiphon.types.v1 import latency_pb2
from services.nlu.app import BUNDLED
from services.registry import CAPABILITIES, LOCALES
from services.runtime.model_store import ModelStore
from services.runtime.platform import PlatformSettings, PoolSettings
from services.runtime.server import GrpcPlatform
from services.runtime.spec import load_spec
from services.runtime.triton.repository import write_repository
from services.runtime.triton.server import TritonServer

pytestmark = pytest.mark.triton

NEEDED = ("arbitration", "nlu", "dialogue", "skills")
RECOVERS_WITHIN_S = 5.0
ONE_VS_ALL = "antiphon/one-vs-all."
_numbers = count(2)


@pytest.fixture(scope="module")
def triton_repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("understanding") / "repository"
    write_repository(ModelStore([BUNDLED]).models(), folder, "cpu")
    return folder


@pytest.fixture(autouse=True)
def _mended(triton_server: TritonServer) -> Iterator[None]:
    yield
    if not triton_server.pid:
        triton_server.start()


@asynccontextmanager
async def assistant(
    server: TritonServer, fallback: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Assistant]:
    for name, value in (("BACKEND", "triton"), ("TRITON_URL", server.address), ("TRITON_FALLBACK", fallback)):
        monkeypatch.setenv(f"ANTIPHON_{name}", value)
    pools = tuple(PoolSettings(name=name, capability=name, locales=LOCALES.get(name, ())) for name in NEEDED)
    settings = PlatformSettings(port=0, pool_port=0, pools=pools, state_dir=str(folder))
    specs = {name: load_spec(path) for name, path in CAPABILITIES.items() if name in NEEDED}
    async with GrpcPlatform(settings, specs) as platform, Assistant(platform.target) as client:
        yield client


async def asked(client: Assistant) -> tuple[assistant_pb2.TurnCompleted, set[str]]:
    """A question that was never asked before, so that nothing remembers its reading; and where it was understood.

    Models of single skills are left out: a replica makes them for itself, so no server ever has them.
    """
    question = f"what is {next(_numbers)} plus {next(_numbers)}"
    completed, homes = assistant_pb2.TurnCompleted(), set[str]()
    async for event in client.converse(question, language_codes=["en"]):
        if event.HasField("turn_completed"):
            completed = event.turn_completed
        elif event.HasField("latency"):
            steps = [step for step in event.latency.entries if step.stage == latency_pb2.STAGE_UNDERSTANDING]
            bundles = [model for step in steps for model in step.models if not model.model.startswith(ONE_VS_ALL)]
            homes |= {model.backend for model in bundles} - {"rules"}
    return completed, homes


async def back_on_triton(client: Assistant) -> float:
    """Seconds until a turn is answered by models on the server again."""
    began = time.monotonic()
    while time.monotonic() - began < 2 * RECOVERS_WITHIN_S:
        completed, homes = await asked(client)
        if completed.status == assistant_pb2.TURN_STATUS_ANSWERED and homes == {"triton"}:
            break
        await asyncio.sleep(0.2)
    return time.monotonic() - began


async def test_turns_go_on_in_the_replica_while_the_server_is_away(
    triton_server: TritonServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with assistant(triton_server, "embedded", tmp_path, monkeypatch) as client:
        assert await back_on_triton(client) < RECOVERS_WITHIN_S
        await asyncio.to_thread(triton_server.kill)
        for _ in range(3):
            completed, homes = await asked(client)
            assert completed.status == assistant_pb2.TURN_STATUS_ANSWERED
            assert completed.skill_id == "calculator"
            assert homes == {"embedded"}
        await asyncio.to_thread(triton_server.start)
        assert await back_on_triton(client) < RECOVERS_WITHIN_S


async def test_without_a_fallback_turns_say_that_they_cannot_and_come_back(
    triton_server: TritonServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with assistant(triton_server, "none", tmp_path, monkeypatch) as client:
        assert await back_on_triton(client) < RECOVERS_WITHIN_S
        await asyncio.to_thread(triton_server.kill)
        completed, _ = await asked(client)
        assert not completed.skill_id
        assert "try again" in completed.answer
        await asyncio.to_thread(triton_server.start)
        assert await back_on_triton(client) < RECOVERS_WITHIN_S
