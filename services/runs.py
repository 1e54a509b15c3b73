"""Which platforms of this user run on this machine: one folder each, named by the front door's port.

`commands.py` writes and reads it. The platform's process holds a lock on its folder as long as it lives: a file that
was left behind, or a process number that has gone to another program, is never taken for a running platform.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import signal
import stat
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path

from services.runtime.errors import FailedPrecondition, NotFound


@dataclass(frozen=True)
class State:
    """What a platform says of itself.

    Attributes:
        pid: its driver's process.
        engine: "ray" or "grpc".
        target: address of the front door.
        phase: "starting" or "serving".
        since: when it was started, UTC, ISO 8601.
        pools: pool -> address that leads to it alone.
        logs: folder with the logs of its replicas; empty if they are in its own log.
    """

    pid: int
    engine: str
    target: str
    phase: str
    since: str
    pools: Mapping[str, str] = field(default_factory=dict)
    logs: str = ""


class Run:
    """The folder of one platform.

    Args:
        port: of its front door.
        root: where all of this user's are; None finds or makes it.
    """

    def __init__(self, port: int, root: Path | None = None) -> None:
        self.port = port
        self._root = root or runs_folder()
        self.folder = self._root / str(port)
        self.log = self.folder / "platform.log"
        self._state = self.folder / "state.json"
        self._lock = self.folder / "lock"

    @contextmanager
    def claim(self) -> Iterator[None]:
        """Holds the folder while the platform runs, and removes it afterwards.

        Raises:
            FailedPrecondition: a platform with this port runs already.
        """
        lock = self._take_lock()
        if lock is None:
            raise FailedPrecondition(
                f"a platform is already running on port {self.port}: antiphon status", reason="ALREADY_RUNNING"
            )
        try:
            yield
        finally:
            shutil.rmtree(self.folder, ignore_errors=True)
            os.close(lock)
            with suppress(OSError):  # other platforms run
                self._root.rmdir()

    def write(self, state: State) -> None:
        """Says how the platform stands."""
        draft = self._state.with_suffix(".new")
        draft.write_text(json.dumps(asdict(state)))
        draft.replace(self._state)

    def read(self) -> State | None:
        """How the platform stands; None if it does not run."""
        if not self.is_held():
            return None
        try:
            return State(**json.loads(self._state.read_text()))
        except (OSError, ValueError, TypeError):
            return None

    def is_held(self) -> bool:
        """True while a platform's process has the folder."""
        try:
            lock = os.open(self._lock, os.O_RDWR)
        except OSError:
            return False
        try:
            return not _locked(lock)
        finally:
            os.close(lock)

    def stop(self, timeout_s: float) -> bool:
        """Has the platform stop; kills it after `timeout_s`. False if none ran."""
        state = self.read()
        if state is None or not self._signal(state.pid, signal.SIGTERM):
            return False
        if not self._wait_released(timeout_s):
            self._signal(state.pid, signal.SIGKILL)
            self._wait_released(10.0)
            shutil.rmtree(self.folder, ignore_errors=True)
        return True

    def _signal(self, pid: int, number: signal.Signals) -> bool:
        try:
            process = os.pidfd_open(pid)
        except OSError:
            return False
        try:
            if not self.is_held():  # asked after the process was pinned: what holds the lock is this process
                return False
            signal.pidfd_send_signal(process, number)
        except ProcessLookupError:
            return False
        finally:
            os.close(process)
        return True

    def _wait_released(self, timeout_s: float) -> bool:
        deadline = time.monotonic() + timeout_s
        while self.is_held():
            if time.monotonic() > deadline:
                return False
            time.sleep(0.1)
        return True

    def _take_lock(self) -> int | None:
        while True:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            try:
                lock = os.open(self._lock, os.O_RDWR | os.O_CREAT, 0o600)
            except FileNotFoundError:  # somebody else's platform has just ended and removed the folder
                continue
            if not _locked_soon(lock):
                os.close(lock)
                return None
            try:
                if os.fstat(lock).st_ino == self._lock.stat().st_ino:
                    return lock
            except FileNotFoundError:
                pass
            os.close(lock)


def _locked_soon(descriptor: int) -> bool:
    for _ in range(10):
        if _locked(descriptor):
            return True
        time.sleep(0.02)  # perhaps it was only `is_held` of another process, which has it for moments
    return False


def _locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def state_folder(environment: Mapping[str, str] | None = None) -> Path:
    """Where this user's platforms keep what outlives them: lists, alarms, registered skills, voices.

    Below $XDG_STATE_HOME, else ~/.local/state (XDG Base Directory Specification).
    """
    environment = os.environ if environment is None else environment
    named = environment.get("XDG_STATE_HOME", "")
    return (Path(named) if named.startswith("/") else Path.home() / ".local" / "state") / "antiphon"


def runs_folder(environment: Mapping[str, str] | None = None) -> Path:
    """The folder of this user's platforms, made if it is not there: below $XDG_RUNTIME_DIR, else the temporary folder.

    Raises:
        FailedPrecondition: somebody else has put something in its place.
    """
    environment = os.environ if environment is None else environment
    named = environment.get("XDG_RUNTIME_DIR", "")
    parent = Path(named) if named and Path(named).is_dir() else Path(tempfile.gettempdir())
    folder = parent / f"antiphon-user-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o077:
        raise FailedPrecondition(
            f"{folder} is not a folder that only you can use: remove it", reason="RUN_FOLDER_UNSAFE"
        )
    return folder


def running(root: Path | None = None) -> dict[int, State]:
    """This user's platforms by port."""
    root = root or runs_folder()
    ports = sorted(int(entry.name) for entry in root.glob("*") if entry.name.isdigit())
    found = {port: state for port in ports if (state := Run(port, root).read()) is not None}
    for port in ports:
        if port not in found:  # its process was killed, unless it is just starting and holds the folder
            with suppress(FailedPrecondition), Run(port, root).claim():
                continue
    with suppress(OSError):
        root.rmdir()
    return found


def find(port: int | None, root: Path | None = None) -> tuple[Run, State]:
    """The platform on `port`, or the only one.

    Raises:
        NotFound: there is none.
        FailedPrecondition: there are several, and no port was given.
    """
    platforms = running(root)
    if port is not None:
        platforms = {p: state for p, state in platforms.items() if p == port}
    if not platforms:
        where = f" on port {port}" if port is not None else ""
        raise NotFound(f"no platform of yours is running{where}", reason="NOT_RUNNING")
    if len(platforms) > 1:
        raise FailedPrecondition(
            f"several platforms are running: say which with --port ({', '.join(map(str, platforms))})",
            reason="PORT_NEEDED",
        )
    ((found, state),) = platforms.items()
    return Run(found, root), state
