"""Ends what a platform leaves behind: a process of its own, started by `deployment.py` beside Ray.

Ray's processes end with their driver, except for two agents that a SIGKILL of the driver leaves running, with the
platform's folder. Every process of the platform inherits `ANTIPHON_RUN_FOLDER`, so that the watchdog finds them all,
whatever group, session or parent they have by then. It waits at a pipe whose other end only the driver holds.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

MARK = "ANTIPHON_RUN_FOLDER"
RELEASE_TIMEOUT_S = 15.0
_PROC = Path("/proc")


class Watchdog:
    """The driver's end. Start it before the first process that it is to find.

    Args:
        folder: the platform's folder; the watchdog deletes it.
    """

    def __init__(self, folder: Path) -> None:
        root = str(Path(__file__).resolve().parents[2])
        self._process = subprocess.Popen(
            [sys.executable, "-m", "services.runtime.watchdog", str(folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            # Of its own session: a Ctrl-C in the terminal, or a closed terminal, must not take it first.
            start_new_session=True,
            env={**os.environ, "PYTHONPATH": root},
        )

    def release(self) -> None:
        """Has everything ended that still runs, and returns when it has."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            self._process.wait(RELEASE_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def marked(folder: str) -> list[int]:
    """Processes that were started by the platform in `folder`, except the caller."""
    wanted = f"{MARK}={folder}".encode()
    processes = (entry for entry in _PROC.iterdir() if entry.name.isdigit() and int(entry.name) != os.getpid())
    return [int(process.name) for process in processes if wanted in _environment(process)]


def sweep(folder: str, patience_s: float = 10.0) -> bool:
    """Kills the platform's processes until none is left, then deletes its folder; False if some would not die."""
    deadline = time.monotonic() + patience_s
    while processes := marked(folder):
        if time.monotonic() > deadline:
            return False
        for process in processes:
            try:
                os.kill(process, signal.SIGKILL)
            except ProcessLookupError:
                continue
        time.sleep(0.05)
    shutil.rmtree(folder, ignore_errors=True)
    return True


def _environment(process: Path) -> list[bytes]:
    try:
        return (process / "environ").read_bytes().split(b"\0")
    except OSError:  # gone by now, or another user's
        return []


def main(arguments: list[str]) -> int:
    """`watchdog.py FOLDER`: waits for the end of standard input, then sweeps."""
    while os.read(0, 4096):
        continue
    return 0 if sweep(arguments[0]) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
