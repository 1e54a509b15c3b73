"""The watchdog against real processes: what a killed driver leaves behind ends, and nothing else does."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from services.runtime.watchdog import MARK, marked

pytestmark = pytest.mark.integration

ROOT = Path(__file__).resolve().parents[3]
# A driver with two children: one that hides in a session of its own, as Ray's agents do, and one of another platform.
DRIVER = f"""
import os, subprocess, sys, time
from pathlib import Path
from services.runtime.watchdog import Watchdog
folder = Path(sys.argv[1])
watchdog = Watchdog(folder)
sleep = ["sleep", "60"]
child = subprocess.Popen(sleep, env={{**os.environ, "{MARK}": str(folder)}}, start_new_session=True)
other = subprocess.Popen(sleep, env={{**os.environ, "{MARK}": str(folder) + "-other"}})
print(child.pid, other.pid, flush=True)
if sys.argv[2] == "release":
    watchdog.release()
    print("released", flush=True)
time.sleep(60)
"""


def _start(folder: Path, mode: str) -> tuple[subprocess.Popen[str], int, int]:
    driver = subprocess.Popen(
        [sys.executable, "-c", DRIVER, str(folder), mode],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert driver.stdout is not None
    child, other = map(int, driver.stdout.readline().split())
    return driver, child, other


def _close(driver: subprocess.Popen[str]) -> None:
    assert driver.stdout is not None
    driver.stdout.close()


def _gone(pid: int, within_s: float = 10.0) -> bool:
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        status = Path(f"/proc/{pid}/stat")
        if not status.exists() or status.read_text().rsplit(")", 1)[1].split()[0] == "Z":
            return True
        time.sleep(0.05)
    return False


def test_a_killed_driver_leaves_neither_process_nor_folder(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    driver, child, other = _start(folder, "die")
    try:
        assert not _gone(child, 0.3)
        driver.kill()
        driver.wait()
        assert _gone(child)
        deadline = time.monotonic() + 5
        while folder.exists() and time.monotonic() < deadline:
            time.sleep(0.05)
        assert not folder.exists()
        assert not marked(str(folder))
        assert not _gone(other, 0.3)
    finally:
        os.kill(other, signal.SIGKILL)
        _close(driver)


def test_release_returns_when_all_is_swept(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    driver, child, other = _start(folder, "release")
    try:
        assert driver.stdout is not None
        assert driver.stdout.readline() == "released\n"
        assert _gone(child, 1.0)
        assert not folder.exists()
    finally:
        os.kill(other, signal.SIGKILL)
        driver.kill()
        driver.wait()
        _close(driver)
