"""`antiphon up` and `down` as a user has them, on Ray: what they start, and that nothing stays behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from antiphon.recordings import read_wav
from services.runtime.machine import free_port
from services.runtime.watchdog import marked

pytestmark = pytest.mark.system


def platform_folder(driver: int) -> str:
    """Where the platform's own files are: its watchdog was told."""
    for entry in Path("/proc").iterdir():
        try:
            command = (entry / "cmdline").read_text().split("\0")
            if "services.runtime.watchdog" in command and f"PPid:\t{driver}\n" in (entry / "status").read_text():
                return command[3]
        except OSError:
            continue
    raise AssertionError("the platform has no watchdog")


class Machine:
    """A user's machine: a folder for what runs, a folder for temporary files, and the command line.

    Args:
        folder: empty; everything that is left in it at the end was left behind.
    """

    def __init__(self, folder: Path) -> None:
        self.port = str(free_port())
        self.temporary = folder / "tmp"
        self.run = folder / "run"
        for part in (self.temporary, self.run):
            part.mkdir(mode=0o700)
        self._environment = {
            **os.environ,
            "TMPDIR": str(self.temporary),
            "XDG_RUNTIME_DIR": str(self.run),
            "XDG_STATE_HOME": str(folder / "state"),
            "ANTIPHON_TARGET": f"127.0.0.1:{self.port}",
        }

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "antiphon", *arguments]
        return subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=self._environment
        )

    def antiphon(self, *arguments: str) -> str:
        process = self.start(*arguments)
        output, _ = process.communicate(timeout=120)
        assert process.returncode == 0, output
        return output

    def up(self, *arguments: str) -> tuple[str, ...]:
        return ("up", "--services", "tts", "--port", self.port, "--pool-port", "0", *arguments)

    def is_clean(self) -> bool:
        return not list(self.temporary.iterdir()) and not list(self.run.iterdir())


@pytest.fixture
def machine() -> Iterator[Machine]:
    with tempfile.TemporaryDirectory(prefix="machine-") as folder:
        machine = Machine(Path(folder))
        yield machine
        if list(machine.run.iterdir()):
            machine.start("down", "--timeout", "10").communicate(timeout=60)


def wait_for(condition: Any, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.1)
    return False


def test_up_and_down(machine: Machine, tmp_path: Path) -> None:
    started = machine.antiphon(*machine.up("--detach"))
    assert "engine ray" in started
    assert "pool tts is up" in started
    assert f"serving on 127.0.0.1:{machine.port}" in started
    assert "raylet" not in started, "Ray's own lines belong in the log"
    shown = json.loads(machine.antiphon("status", "--json"))
    folder = platform_folder(shown["pid"])
    assert (shown["engine"], shown["phase"]) == ("ray", "serving")
    assert shown["pools"]["tts"]["servingEngine"] == "SERVING_ENGINE_RAY_SERVE"
    machine.antiphon("say", "Good morning", "-o", str(tmp_path / "said.wav"))
    assert read_wav(tmp_path / "said.wav").duration_s > 0.4
    logged = machine.antiphon("logs", "tts")
    assert "gRPC server" in logged, "Serve's lines"
    assert "tts serves on engine ray" in logged, "our own"
    again = machine.start(*machine.up())
    assert "already running" in again.communicate(timeout=30)[0]
    assert again.returncode == 2

    assert "stopped" in machine.antiphon("down")
    assert marked(folder) == []
    assert not Path(folder).exists()
    assert machine.is_clean()
    absent = machine.start("status")
    assert "no platform" in absent.communicate(timeout=30)[0]
    assert absent.returncode == 3
    assert "no platform" in machine.antiphon("down")


def test_a_platform_that_is_killed_leaves_nothing(machine: Machine) -> None:
    process = machine.start(*machine.up())
    assert process.stdout is not None
    with process.stdout:
        for line in process.stdout:
            if "serving on" in line:
                break
        folder = platform_folder(process.pid)
        assert len(marked(folder)) > 8
        process.send_signal(signal.SIGKILL)
        process.wait(10)
        assert wait_for(lambda: not marked(folder), 15), marked(folder)
        assert wait_for(lambda: not Path(folder).exists(), 5)
    absent = machine.start("status")
    absent.communicate(timeout=30)
    assert absent.returncode == 3
    assert machine.is_clean()


def test_a_signal_during_the_start_stops_it_cleanly(machine: Machine) -> None:
    process = machine.start(*machine.up())
    assert process.stdout is not None
    with process.stdout:
        for line in process.stdout:
            if "deploying" in line:
                break
        folder = platform_folder(process.pid)
        process.send_signal(signal.SIGINT)
        rest = process.stdout.read()
        assert process.wait(60) == 0, rest
        assert rest.rstrip().endswith("stopped")
        assert marked(folder) == []
        assert not Path(folder).exists()
    assert machine.is_clean()


def test_a_start_that_fails_says_why(machine: Machine, tmp_path: Path) -> None:
    wrong = tmp_path / "platform.yaml"
    wrong.write_text("pools: {tts: {settings: {no_such_key: 1}}}\n")
    process = machine.start(*machine.up("--config", str(wrong)))
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 1
    assert "pool 'tts' did not start" in output
    assert "unknown key 'no_such_key'" in output
    assert machine.is_clean()
