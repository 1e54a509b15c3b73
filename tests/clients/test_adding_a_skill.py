"""The page on adding a skill: its files are what `antiphon skill new` writes, its commands do what it shows."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import grpc
import pytest

from antiphon.client import NluClient, SkillsClient
from antiphon.skill.v1 import skill_pb2, skill_pb2_grpc
from antiphon.skills import load_manifest
from services.arbitration.adapters.decisions import from_manifest
from services.arbitration.manifests import problems
from services.registry import CAPABILITIES
from services.runtime.machine import free_port
from services.runtime.platform import PlatformSettings, PoolSettings
from services.runtime.server import GrpcPlatform
from services.runtime.spec import load_spec
from tests.clients.examples import Example
from tests.clients.pages import commands, files
from tests.conftest import ROOT
from tests.fakes.skill_turns import request

pytestmark = pytest.mark.integration

PAGE = ROOT / "docs" / "adding-a-skill.md"
ADDRESS = "127.0.0.1:9100"
"""Of the skill, as the page has it."""


@pytest.fixture
def made(tmp_path: Path) -> Path:
    """A folder with the skill that the page makes."""
    subprocess.run([sys.executable, "-m", "antiphon", "skill", "new", "water"], cwd=tmp_path, check=True)
    return tmp_path


def test_the_page_shows_what_is_written(made: Path) -> None:
    written = files(PAGE)
    assert written, "the page shows no file"
    for name, body in written.items():
        assert (made / name).read_text(encoding="utf-8") == body
    assert len(written["water/skill.py"].splitlines()) <= 40


def test_its_commands_do_what_it_shows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    ran = [
        example for example in commands(PAGE, "run") if not example.name.startswith("pip install")
    ]  # CI has done that
    assert len(ran) >= 3
    for example in ran:
        example.run("", tmp_path)


def test_the_platform_would_take_it(made: Path) -> None:
    assert problems(from_manifest(load_manifest(made / "water" / "manifest.yaml"))) == ()


def test_its_own_tests_pass(made: Path) -> None:
    finished = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"],
        cwd=made / "water",
        capture_output=True,
        text=True,
        check=False,
    )
    assert finished.returncode == 0, finished.stdout
    assert "4 passed" in finished.stdout


async def test_it_serves_and_keeps_what_it_must_across_restarts(made: Path, tmp_path: Path) -> None:
    address = f"127.0.0.1:{free_port()}"
    environment = {**os.environ, "ANTIPHON_SKILL_DATA": str(tmp_path / "kept")}
    for start in (1, 2):
        process = await asyncio.create_subprocess_exec(
            sys.executable, "water/skill.py", address, cwd=made, env=environment
        )
        try:
            async with grpc.aio.insecure_channel(address) as channel:
                stub = skill_pb2_grpc.SkillServiceStub(channel)
                drunk = request("water.drink", key=f"glass-{start}")
                drunk.context.session.user_id = "ada"
                first = await answer(stub, drunk)
                assert first == f"Noted. Glasses of water so far: {start}."
                assert [await answer(stub, drunk) for _ in range(5)] == [first] * 5
                asked = request("water.total")
                asked.context.session.user_id = "ada"
                assert await answer(stub, asked) == f"Glasses of water so far: {start}."
        finally:
            process.terminate()
            await process.wait()


async def answer(stub: skill_pb2_grpc.SkillServiceStub, asked: skill_pb2.ExecuteRequest) -> str:
    events = [event async for event in stub.Execute(asked, wait_for_ready=True, timeout=30)]
    return "".join(event.answer.text for event in events)


async def test_a_platform_learns_it_and_users_who_agree_talk_to_it(
    made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The whole way but for speech: the platform's capabilities in this process, the skill in one of its own."""
    names = ("nlu", "dialogue", "arbitration", "skills")
    pools = tuple(PoolSettings(name=name, capability=name, locales=("en",) if name == "nlu" else ()) for name in names)
    settings = PlatformSettings(port=0, pool_port=0, pools=pools, state_dir=str(tmp_path / "state"))
    address = f"127.0.0.1:{free_port()}"
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "water/skill.py",
        address,
        cwd=made,
        env={**os.environ, "ANTIPHON_SKILL_DATA": str(tmp_path / "kept")},
    )
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    try:
        async with GrpcPlatform(settings, {name: load_spec(CAPABILITIES[name]) for name in names}) as platform:
            await healthy(platform.target)
            monkeypatch.setenv("ANTIPHON_TARGET", platform.target)
            register, converse = commands(PAGE, "served")
            await asyncio.to_thread(shown, register, address, made)
            await learned(platform.target)
            await asyncio.to_thread(shown, converse, address, made)
    finally:
        process.terminate()
        await process.wait()


def shown(example: Example, address: str, folder: Path) -> None:
    """Runs a command of the page against the skill at `address`; the page's own stands in it and in what it shows."""
    command = [part.replace(ADDRESS, address) for part in example.command]
    Example(example.name, command, [line.replace(ADDRESS, address) for line in example.shown]).run("", folder)


async def healthy(target: str) -> None:
    """Waits until the front door knows its skills."""
    async with SkillsClient(target) as client:
        for _ in range(100):
            if await client.health() == "SERVING":
                return
            await asyncio.sleep(0.2)


async def learned(target: str) -> None:
    """Waits until understanding knows the skill: it is told within a second or two."""
    async with NluClient(target) as client:
        for _ in range(100):
            best = (await client.interpret("i drank a glass of water")).interpretations[0]
            if best.intent == "water.drink":
                return
            await asyncio.sleep(0.1)
