"""What only a platform of one's own can show: TLS at the front door, and that nothing is left when it stops."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.fixtures import runtime_cases as cases
from tests.fixtures.certificates import make
from tests.fixtures.toy_pools import ToyPlatform, write_keys

pytestmark = pytest.mark.system

STOP_S = 30.0


@dataclass(frozen=True)
class Running:
    """The process, its platform, and the folder that the platform made."""

    process: subprocess.Popen[str]
    secured: cases.Secured
    folder: Path


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("own")
    certificates = make(folder)
    settings = {
        "port": 0,
        "pool_port": 0,
        "api_keys": write_keys(folder),
        "tls_certificate": str(certificates.server),
        "pools": {"toy": {}},
    }
    path = folder / "antiphon.yaml"
    path.write_text(json.dumps(settings))  # JSON is YAML
    command = [sys.executable, "-m", "tests.fixtures.own_platform", str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line, "the platform did not start"
        told = json.loads(line)
        made = next(parent for parent in Path(told["logs"]).parents if parent.name.startswith("antiphon-"))
        yield Running(process, cases.Secured(ToyPlatform("ray", told["front"], told["pools"]), certificates), made)
        if process.poll() is None:
            process.communicate(timeout=STOP_S)


class TestTls(cases.TlsCases):
    @pytest.fixture
    def secured(self, running: Running) -> cases.Secured:
        return running.secured


class TestStop:
    """The last of this module: it stops the platform."""

    async def test_no_process_and_no_folder_is_left(self, running: Running) -> None:
        assert running.folder.is_dir()
        assert len(_processes_in(running.folder)) > 3
        await asyncio.to_thread(running.process.communicate, timeout=STOP_S)
        assert running.process.returncode == 0

        async def gone() -> bool:
            return not running.folder.exists() and not _processes_in(running.folder)

        await cases.eventually(gone, within=STOP_S)


def _processes_in(folder: Path) -> list[str]:
    """Command lines of processes that were started for a platform: its folder is in their arguments or environment."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            said = (entry / "cmdline").read_bytes() + (entry / "environ").read_bytes()
        except OSError:
            continue
        if str(folder).encode() in said:
            found.append((entry / "cmdline").read_text(errors="replace").replace("\0", " "))
    return found
