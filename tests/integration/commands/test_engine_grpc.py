"""`antiphon up --engine grpc`: the whole life of a platform in one process, on the command line."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from antiphon.recordings import read_wav

pytestmark = pytest.mark.integration

Antiphon = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def port() -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return str(probe.getsockname()[1])


@pytest.fixture
def antiphon(tmp_path: Path, port: str) -> Iterator[Antiphon]:
    """The command line of a user whose platform listens on `port`."""
    (tmp_path / "run").mkdir(mode=0o700)
    environment = {
        **os.environ,
        "XDG_RUNTIME_DIR": str(tmp_path / "run"),
        "XDG_STATE_HOME": str(tmp_path / "state"),
        "ANTIPHON_TARGET": f"127.0.0.1:{port}",
        "ANTIPHON_PORT": port,
        "ANTIPHON_POOL_PORT": "0",
    }

    def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "antiphon", *map(str, arguments)]
        return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=50, check=False)

    yield run
    run("down", "--timeout", "5")


def test_from_up_to_down(antiphon: Antiphon, port: str, tmp_path: Path) -> None:
    started = antiphon("up", "--engine", "grpc", "--services", "tts,nlu", "--detach")
    assert started.returncode == 0, started.stdout + started.stderr
    assert "engine grpc" in started.stdout
    assert antiphon("health").stdout.strip() == "SERVING"
    shown = json.loads(antiphon("status", "--json").stdout)
    assert (shown["engine"], sorted(shown["pools"])) == ("grpc", ["nlu", "tts"])
    said = antiphon("say", "Good morning", "-o", tmp_path / "said.wav")
    assert said.returncode == 0, said.stderr
    assert read_wav(tmp_path / "said.wav").duration_s > 0.4
    read = antiphon("understand", "what time is it in Tokyo", "--json")
    assert json.loads(read.stdout)["interpretations"][0]["intent"] == "clock.time"
    refused = antiphon("understand", "")
    assert refused.returncode == 4
    assert "INVALID_ARGUMENT" in refused.stderr
    assert "pool nlu" in antiphon("logs").stdout
    assert antiphon("down").returncode == 0
    assert antiphon("health").returncode == 3
    assert antiphon("status").returncode == 3
    assert not list((tmp_path / "run").iterdir())


def test_wrong_settings_are_named(antiphon: Antiphon, tmp_path: Path) -> None:
    wrong = tmp_path / "platform.yaml"
    wrong.write_text("prot: 9000\n")
    assert "'prot'" in (refused := antiphon("up", "--engine", "grpc", "--config", wrong)).stderr
    assert refused.returncode == 2
    assert "there is no 'sing'" in (refused := antiphon("up", "--services", "sing")).stderr
    assert refused.returncode == 2
    open_door = tmp_path / "open.yaml"
    open_door.write_text("host: 0.0.0.0\n")
    assert "api_keys" in (refused := antiphon("up", "--engine", "grpc", "--config", open_door)).stderr
    assert refused.returncode == 2
