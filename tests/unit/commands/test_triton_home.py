"""`antiphon up --triton`: what it refuses, what it leaves out, and the watch over the server."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from services import triton_home
from services.runtime.errors import FailedPrecondition
from services.triton_home import Watch, local_triton
from tests.fakes.mortal_server import MortalServer

pytestmark = pytest.mark.unit


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(triton_home, "_LOOK_S", 0.005)
    monkeypatch.setattr(triton_home, "_FIRST_PAUSE_S", 0.005)


def _watched(server: MortalServer, fault: Callable[[], None]) -> list[str]:
    lines: list[str] = []
    watch = Watch(server, lines.append)
    watch.start()
    fault()
    assert server.mended.wait(10)
    watch.stop()
    return lines


def test_a_dead_server_is_started_again_and_said_to_be() -> None:
    server = MortalServer()
    lines = _watched(server, lambda: setattr(server, "pid", 0))
    assert server.pid == 2
    assert "Triton ended; starting it again" in lines[0]
    assert "Triton serves again, after" in lines[-1]


def test_a_start_that_fails_is_told_in_one_line_and_tried_again_with_longer_pauses() -> None:
    server = MortalServer(starts_that_fail=3)
    lines = _watched(server, lambda: setattr(server, "pid", 0))
    assert server.starts == 4
    assert all("\n" not in line for line in lines)
    pauses = [float(line.split(" in ")[1].split()[0]) for line in lines if "no such luck" in line]
    assert pauses == sorted(pauses)
    assert pauses[-1] > pauses[0]


def test_a_model_whose_process_is_gone_is_loaded_again() -> None:
    server = MortalServer()
    _watched(server, lambda: server.lost.append("antiphon.intents-en@1"))
    assert server.reloaded == ["antiphon.intents-en@1"]
    assert server.starts == 0


def test_the_watch_stops_while_it_waits_to_try_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(triton_home, "_FIRST_PAUSE_S", 600)
    server = MortalServer()
    server.pid = 0
    lines: list[str] = []
    watch = Watch(server, lines.append)
    watch.start()
    while not lines:
        pass
    watch.stop()
    assert watch.is_stopping()
    assert server.starts == 0


def test_a_server_that_is_named_already_is_not_doubled(tmp_path: Path) -> None:
    home = local_triton(
        {"nlu"}, tmp_path / "t", tmp_path / "log", print, environ={"ANTIPHON_TRITON_URL": "triton:8001"}
    )
    with pytest.raises(FailedPrecondition, match="ANTIPHON_BACKEND=triton"), home:
        pass


def test_services_without_a_model_need_no_server(tmp_path: Path) -> None:
    lines: list[str] = []
    with local_triton(
        {"tts"}, tmp_path / "t", tmp_path / "log", lines.append, environ={"XDG_DATA_HOME": str(tmp_path)}
    ):
        assert not (tmp_path / "t").exists()
    assert "nothing to run" in lines[0]


def test_a_missing_server_is_told_before_anything_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANTIPHON_TRITON_SERVER", str(tmp_path / "nowhere"))
    home = local_triton({"nlu"}, tmp_path / "t", tmp_path / "log", print, environ={"XDG_DATA_HOME": str(tmp_path)})
    with pytest.raises(FailedPrecondition, match="make triton-setup"), home:
        pass
    assert not (tmp_path / "t").exists()
