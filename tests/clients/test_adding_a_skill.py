"""The page on adding a skill: its files are what `antiphon skill new` writes, its commands do what it shows."""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest

from antiphon.client import SkillsClient
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
from tests.conftest import ROOT
from tests.fakes.skill_turns import request

pytestmark = pytest.mark.integration

PAGE = ROOT / "docs" / "adding-a-skill.md"
_FILE = re.compile(r"^<!-- file: (?P<name>\S+) -->\n```\w+\n(?P<body>.*?)^```$", re.MULTILINE | re.DOTALL)
_SHOWS = re.compile(r"^<!-- shows -->\n```text\n(?P<body>.*?)^```$", re.MULTILINE | re.DOTALL)
_RUN = re.compile(r"^<!-- run -->\n```console\n(?P<body>.*?)^```$", re.MULTILINE | re.DOTALL)


def commands() -> Iterator[Example]:
    """Every command of the page that needs no platform, with what it shows; installing is what CI did already."""
    for block in _RUN.finditer(PAGE.read_text(encoding="utf-8")):
        example: Example | None = None
        for line in block["body"].splitlines():
            if line.startswith("$ "):
                if example is not None:
                    yield example
                example = Example(line[2:], ["bash", "-euo", "pipefail", "-c", line[2:]])
            elif example is not None:
                example.shown.append(line)
        if example is not None:
            yield example


@pytest.fixture
def made(tmp_path: Path) -> Path:
    """A folder with the skill that the page makes."""
    subprocess.run([sys.executable, "-m", "antiphon", "skill", "new", "water"], cwd=tmp_path, check=True)
    return tmp_path


def test_the_page_shows_what_is_written(made: Path) -> None:
    files = {block["name"]: block["body"] for block in _FILE.finditer(PAGE.read_text(encoding="utf-8"))}
    assert files, "the page shows no file"
    talk = files.pop("talk.py")
    compile(talk, "talk.py", "exec")
    for name, body in files.items():
        assert (made / name).read_text(encoding="utf-8") == body
    assert len(files["water/skill.py"].splitlines()) <= 40


def test_its_commands_do_what_it_shows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    ran = [example for example in commands() if not example.name.startswith("pip install")]
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


async def test_a_platform_learns_it_and_users_who_agree_talk_to_it(made: Path, tmp_path: Path) -> None:
    """The whole way but for speech: the platform's capabilities in this process, the skill in one of its own."""
    page = PAGE.read_text(encoding="utf-8")
    (made / "talk.py").write_text(next(one["body"] for one in _FILE.finditer(page) if one["name"] == "talk.py"))
    shown = _SHOWS.search(page)
    assert shown is not None
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
    try:
        async with GrpcPlatform(settings, {name: load_spec(CAPABILITIES[name]) for name in names}) as platform:
            await healthy(platform.target)
            async with SkillsClient(platform.target) as registry:
                added = await registry.register(address)
                assert [skill.manifest.skill_id for skill in added.skills] == ["water"]
                assert list(added.warnings) == []
            said = ""
            for _ in range(20):  # understanding is told within a second or two
                said = await talk(made, platform.target)
                if said == shown["body"]:
                    break
                await asyncio.sleep(0.5)
            assert said == shown["body"]
    finally:
        process.terminate()
        await process.wait()


async def healthy(target: str) -> None:
    """Waits until the front door knows its skills."""
    async with SkillsClient(target) as client:
        for _ in range(100):
            if await client.health() == "SERVING":
                return
            await asyncio.sleep(0.2)


async def talk(folder: Path, target: str) -> str:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "talk.py",
        "i drank two glasses of water",
        target,
        cwd=folder,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, errors = await process.communicate()
    assert process.returncode == 0, errors.decode()
    return out.decode()
