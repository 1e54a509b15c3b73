"""Which platforms run: the lock decides, not what a file says."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from services.runs import Run, State, find, running, runs_folder
from services.runtime.errors import FailedPrecondition, NotFound

pytestmark = pytest.mark.unit

ROOT = Path(__file__).resolve().parents[3]
HOLDER = """
import os, signal, sys, time
from pathlib import Path
from services.runs import Run, State
run = Run(9000, Path(sys.argv[1]))
with run.claim():
    run.write(State(os.getpid(), "grpc", "127.0.0.1:9000", "serving", "now"))
    if sys.argv[2] == "stubborn":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    else:
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    print("ready", flush=True)
    time.sleep(60)
"""


def state(pid: int | None = None) -> State:
    return State(pid or os.getpid(), "grpc", "127.0.0.1:9000", "serving", "now", {"asr": "127.0.0.1:9201"})


def hold(root: Path, mode: str = "") -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(root), mode],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def test_a_platform_is_known_while_it_runs_and_leaves_nothing(tmp_path: Path) -> None:
    root = tmp_path / "runs"
    run = Run(9000, root)
    with run.claim():
        run.write(state())
        assert find(None, root)[1] == state()
        assert run.read() == state()
    assert not root.exists()


def test_the_same_port_is_not_taken_twice(tmp_path: Path) -> None:
    process = hold(tmp_path)
    try:
        with pytest.raises(FailedPrecondition, match="already running"), Run(9000, tmp_path).claim():
            pass
        with Run(9001, tmp_path).claim():
            pass
    finally:
        process.kill()
        process.communicate()


def test_what_a_killed_platform_left_is_no_platform(tmp_path: Path) -> None:
    process = hold(tmp_path)
    process.kill()
    process.communicate()
    assert (tmp_path / "9000" / "state.json").exists()
    assert Run(9000, tmp_path).read() is None
    assert not Run(9000, tmp_path).stop(1.0)
    assert running(tmp_path) == {}
    assert not (tmp_path / "9000").exists()


def test_a_file_that_names_another_process_does_no_harm(tmp_path: Path) -> None:
    bystander = subprocess.Popen(["sleep", "60"])
    try:
        folder = tmp_path / "9000"
        folder.mkdir()
        Run(9000, tmp_path).write(state(bystander.pid))
        (folder / "lock").touch()
        assert not Run(9000, tmp_path).stop(0.5)
        assert bystander.poll() is None
    finally:
        bystander.kill()
        bystander.wait()


@pytest.mark.parametrize(("mode", "expected"), [("", 0), ("stubborn", -signal.SIGKILL)])
def test_stop_asks_first_and_then_insists(tmp_path: Path, mode: str, expected: int) -> None:
    process = hold(tmp_path, mode)
    try:
        assert Run(9000, tmp_path).stop(1.0)
        assert process.wait(5) == expected
        assert running(tmp_path) == {}
    finally:
        process.kill()
        process.communicate()


def test_without_a_port_the_only_platform_is_meant(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="no platform"):
        find(None, tmp_path / "none")
    with Run(9000, tmp_path).claim(), Run(9001, tmp_path).claim():
        for port in (9000, 9001):
            Run(port, tmp_path).write(state())
        with pytest.raises(FailedPrecondition, match="9000, 9001"):
            find(None, tmp_path)
        assert find(9001, tmp_path)[0].port == 9001
        with pytest.raises(NotFound, match="on port 9002"):
            find(9002, tmp_path)


def test_the_folder_is_the_users_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = runs_folder({"XDG_RUNTIME_DIR": str(tmp_path)})
    assert folder.parent == tmp_path
    assert folder.stat().st_mode & 0o777 == 0o700
    folder.chmod(0o755)
    with pytest.raises(FailedPrecondition, match="only you"):
        runs_folder({"XDG_RUNTIME_DIR": str(tmp_path)})
    folder.rmdir()
    folder.symlink_to(tmp_path)
    with pytest.raises(FailedPrecondition, match="only you"):
        runs_folder({"XDG_RUNTIME_DIR": str(tmp_path)})
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    (tmp_path / "tmp").mkdir()
    assert runs_folder({}).parent == tmp_path / "tmp"
