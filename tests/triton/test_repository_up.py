"""`antiphon up --triton` as a user types it: what it says, what it survives, and that it leaves nothing behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from services.runtime.machine import free_port
from tests.fixtures.processes import Process, descendants

pytestmark = pytest.mark.triton


@dataclass
class Platform:
    """One that runs in a process of its own, with all its files below `root`."""

    root: Path
    process: subprocess.Popen[bytes]
    port: int

    @property
    def lines(self) -> str:
        return (self.root / "out").read_text()

    def antiphon(self, *arguments: str) -> str:
        command = [sys.executable, "-m", "antiphon", *arguments]
        done = subprocess.run(command, env=_environment(self.root), capture_output=True, timeout=60, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def processes(self, word: str) -> list[Process]:
        """Those of the platform with `word` in their command line."""
        return [one for one in descendants(self.process.pid) if word in one.title]

    def wait(self, what: str, found: Callable[[], bool], seconds: float = 60) -> float:
        """Returns after how long; fails with what the platform said."""
        began = time.monotonic()
        while not found():
            assert time.monotonic() - began < seconds, f"{what}:\n{self.lines}"
            time.sleep(0.05)
        return time.monotonic() - began


def _environment(root: Path) -> dict[str, str]:
    own = {"XDG_RUNTIME_DIR": str(root), "XDG_STATE_HOME": str(root / "state"), "XDG_DATA_HOME": str(root / "data")}
    return {name: value for name, value in os.environ.items() if not name.startswith("ANTIPHON_BACKEND")} | own


@pytest.fixture
def platform(tmp_path: Path) -> Iterator[Platform]:
    port = free_port()
    command = [sys.executable, "-m", "antiphon", "up", "--triton", "--engine", "grpc", "--services", "nlu"]
    with (tmp_path / "out").open("wb") as out:
        process = subprocess.Popen(
            [*command, "--port", str(port), "--pool-port", "0"],
            env=_environment(tmp_path),
            stdout=out,
            stderr=subprocess.STDOUT,
        )
    running = Platform(tmp_path, process, port)
    try:
        running.wait("serves", lambda: "serving on" in running.lines or process.poll() is not None)
        assert process.poll() is None, running.lines
        yield running
    finally:
        process.terminate()
        process.wait(30)


def _gone(processes: list[Process]) -> bool:
    return not any(Path(f"/proc/{one.pid}/exe").exists() for one in processes)


def test_it_serves_from_triton_survives_its_death_and_leaves_nothing(platform: Platform) -> None:
    assert "writing the Triton repository: " in platform.lines
    assert "Triton serves " in platform.lines
    target = ("--target", f"127.0.0.1:{platform.port}")
    assert "(triton)" in platform.antiphon("models", *target)

    (server,) = platform.processes("tritonserver")
    os.kill(server.pid, signal.SIGKILL)
    platform.wait("server came back", lambda: platform.lines.count("Triton serves again") == 1)
    stub, *_ = platform.processes("triton_python_backend_stub")
    os.kill(stub.pid, signal.SIGKILL)
    platform.wait("model came back", lambda: platform.lines.count("Triton serves again") == 2)
    assert "wake" not in platform.antiphon("logs", "triton", "--port", str(platform.port))

    everyone = descendants(platform.process.pid)
    assert "stopped" in platform.antiphon("down", "--port", str(platform.port))
    assert platform.process.wait(10) == 0
    platform.wait("all ended", lambda: _gone(everyone), 10)


def test_it_ends_with_a_platform_that_is_killed(platform: Platform) -> None:
    everyone = descendants(platform.process.pid)
    assert [one for one in everyone if "tritonserver" in one.title]
    platform.process.kill()
    platform.wait("all ended", lambda: _gone(everyone), 20)
