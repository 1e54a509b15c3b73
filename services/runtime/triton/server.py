"""A Triton server on this machine, for `antiphon up --triton` and the tests marked `triton`: found, started, stopped.

The server comes with the wheel of nvidia-pytriton, in an environment of its own (`make triton-setup`); it has the
python backend only, no GPU, and wants glibc 2.35. In production Triton runs from its official image, and nothing here
is called. The watchdog of the platform ends the server too when this process is killed.
"""

from __future__ import annotations

import http.client
import json
import os
import platform
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from services.runtime.errors import FailedPrecondition, Unavailable
from services.runtime.machine import free_ports, new_folder
from services.runtime.watchdog import MARK, Watchdog

SERVER_VARIABLE = "ANTIPHON_TRITON_SERVER"
"""Environment variable: folder of a Python environment with nvidia-pytriton; `build/triton` where it is not set."""

SETUP = "make triton-setup"
START_TIMEOUT_S = 90.0  # a stub takes 1 to 3 s to import onnxruntime, and two busy cores load them one after the other
EXIT_TIMEOUT_S = 5  # what open calls and sequences get after SIGTERM
_KILL_MARGIN_S = 5.0
_OLDEST_GLIBC = (2, 35)
_SHARED_MEMORY = Path("/dev/shm")  # noqa: S108 - where POSIX puts what shm_open makes; only our own names are touched
_PREFIX = "antiphon-triton"
_LOG_LINES = 15


@dataclass(frozen=True)
class TritonEnvironment:
    """A Python environment that carries the server.

    Attributes:
        folder: of the environment.
        python: "3.11".
        package: `tritonserver` folder of the wheel.
    """

    folder: Path
    python: str
    package: Path

    @classmethod
    def find(cls, environ: Mapping[str, str] = os.environ) -> TritonEnvironment:
        """The environment that `ANTIPHON_TRITON_SERVER` names, else `build/triton` of the source tree.

        Raises:
            FailedPrecondition: `TRITON_SERVER_MISSING`, or `TRITON_SERVER_UNSUPPORTED` where it cannot run.
        """
        named = environ.get(SERVER_VARIABLE, "")
        folder = Path(named) if named else Path(__file__).resolve().parents[3] / "build" / "triton"
        for package in sorted(folder.glob("lib/python3.*/site-packages/pytriton/tritonserver")):
            python = package.parents[2].name.removeprefix("python")
            if (package / "python_backend_stubs" / python / "triton_python_backend_stub").is_file():
                _refuse_old_glibc()
                return cls(folder.absolute(), python, package.absolute())
        raise FailedPrecondition(
            f"No Triton server in {folder}: {SETUP} makes one in build/triton, and {SERVER_VARIABLE} names another "
            "environment with nvidia-pytriton.",
            reason="TRITON_SERVER_MISSING",
        )

    def variables(self) -> dict[str, str]:
        """All that the server and its stubs see of our environment: the search paths of this one, nothing else.

        A stub embeds Python and finds its packages through the `python` that is first on PATH.
        """
        libraries = _home(self.folder / "pyvenv.cfg").parent / "lib"  # of the Python that the environment was made with
        return {
            "PATH": f"{self.folder / 'bin'}:/usr/bin:/bin",
            "LD_LIBRARY_PATH": str(libraries),
            "HOME": "/nonexistent",
            "ORT_DISABLE_TELEMETRY": "1",
            "LANG": "C.UTF-8",
        }

    def lay_out(self, folder: Path) -> None:
        """Makes the folder of backends: the wheel keeps the stub of each Python version elsewhere than Triton looks."""
        backend = folder / "python"
        backend.mkdir(parents=True)
        for file in ("libtriton_python.so", "triton_python_backend_utils.py"):
            (backend / file).symlink_to(self.package / "backends" / "python" / file)
        stub = self.package / "python_backend_stubs" / self.python / "triton_python_backend_stub"
        (backend / stub.name).symlink_to(stub)  # a copy would not find its libraries


class TritonServer:
    """One server over one repository; a context manager, and safe to stop twice.

    Ports are chosen once and kept: a client finds the server again after `start` has followed `stop` or `kill`.

    Args:
        repository: folder of models; the server runs in explicit model control and loads `models` at the start.
        models: names to load, all when empty.
        config_name: which `configs/<name>.pbtxt` to prefer over `config.pbtxt`; empty prefers none.
        log: file that the server's own lines are appended to; None keeps them in a folder that goes at the end.
        environment: None finds it.
        cancelled: asked while the server starts; True has the start given up.
    """

    def __init__(
        self,
        repository: Path,
        *,
        models: Sequence[str] = (),
        config_name: str = "",
        log: Path | None = None,
        environment: TritonEnvironment | None = None,
        cancelled: Callable[[], bool] = lambda: False,
    ) -> None:
        self.repository = repository
        self._models = tuple(models) or ("*",)
        self._config_name = config_name
        self._wanted_log = log
        self._environment = environment or TritonEnvironment.find()
        self.cancelled = cancelled
        self._grpc, self._http, self._metrics = free_ports(3)
        self._regions = f"{_PREFIX}-{os.getpid()}-{self._grpc}-"
        self._folder: Path | None = None
        self._watchdog: Watchdog | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._last_lines: list[str] = []
        self._started: tuple[float, float] = (0.0, 0.0)  # from and to, by the clock that files are dated with

    @property
    def address(self) -> str:
        """`127.0.0.1:port` of its gRPC service; what ANTIPHON_TRITON_URL takes."""
        return f"127.0.0.1:{self._grpc}"

    @property
    def metrics(self) -> str:
        """URL of its metrics in the Prometheus text format."""
        return f"http://127.0.0.1:{self._metrics}/metrics"

    @property
    def pid(self) -> int:
        """Process of the server; 0 while none runs."""
        return self._process.pid if self._process is not None and self._process.poll() is None else 0

    @property
    def log(self) -> list[str]:
        """The last lines that the server wrote: names and reasons, never what it was asked."""
        file = self._log_file()
        return file.read_text(errors="replace").splitlines()[-_LOG_LINES:] if file is not None else self._last_lines

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self, timeout_s: float = START_TIMEOUT_S) -> None:
        """Starts the server and returns when it has tried to load every model; see `unready`.

        Raises:
            FailedPrecondition: `TRITON_REPOSITORY_MISSING`.
            Unavailable: `TRITON_START_FAILED`, with the last lines of its log.
        """
        self.kill()
        if not self.repository.is_dir():  # Triton itself would come up without any model, and never say so
            raise FailedPrecondition(
                f"There is no Triton repository {self.repository}.", reason="TRITON_REPOSITORY_MISSING"
            )
        _remove_orphaned_regions()
        self._folder = new_folder()
        try:
            self._watchdog = Watchdog(self._folder)
            self._environment.lay_out(self._folder / "backends")
            began = time.time()
            self._started = (began, began + timeout_s)
            self._process = self._launch(self._folder)
            self._await_models(time.monotonic() + timeout_s)
            self._started = (began, time.time())
        except OSError as error:
            self.kill()
            raise Unavailable(f"Triton did not start: {error.strerror}", reason="TRITON_START_FAILED") from error
        except BaseException:
            self.kill()
            raise

    def stop(self, grace_s: float = EXIT_TIMEOUT_S + _KILL_MARGIN_S) -> None:
        """Has the server exit, kills what is left after `grace_s`, and leaves nothing behind."""
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(grace_s)
        self.kill()

    def kill(self) -> None:
        """Ends the server and its stubs at once, as a lost machine would."""
        self._last_lines = self.log
        if self._process is not None:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._process = None
        if self._watchdog is not None:
            self._watchdog.release()
            self._watchdog = None
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = None
            _remove_environments(*self._started)
        _remove_regions(self._regions)

    def index(self) -> dict[str, str]:
        """Every model of the repository by name, with "" when it is ready, else why it is not."""
        entries = self._ask("POST", "/v2/repository/index")
        return {
            entry["name"]: "" if entry.get("state") == "READY" else entry.get("reason") or "not loaded"
            for entry in entries
        }

    def unready(self) -> dict[str, str]:
        """Models that should serve and do not, with the reason that Triton gives."""
        return {
            name: reason
            for name, reason in self.index().items()
            if reason and (self._models == ("*",) or name in self._models)
        }

    def statistics(self, model: str) -> dict[str, Any]:
        """What Triton counts of a model: `inference_count` calls in `execution_count` runs, among others."""
        found: dict[str, Any] = self._ask("GET", f"/v2/models/{model}/stats")["model_stats"][0]
        return found

    def stub_pids(self, model: str = "") -> list[int]:
        """Processes in which the python backend runs `model`; of every model when empty."""
        return [pid for pid, of in self._stubs().items() if model in ("", of)]

    def lost_models(self) -> list[str]:
        """Models that Triton calls ready while the process that ran them is gone: their every call fails."""
        running = set(self._stubs().values())
        return [name for name, reason in self.index().items() if not reason and name not in running]

    def reload(self, model: str, timeout_s: float = START_TIMEOUT_S) -> None:
        """Unloads and loads a model, as loading alone does nothing where its files are what they were.

        Raises:
            Unavailable: `TRITON_NOT_READY`, it does not load, or Triton does not answer.
        """
        for action in ("unload", "load"):
            self._ask("POST", f"/v2/repository/models/{model}/{action}", timeout_s)

    def _stubs(self) -> dict[int, str]:
        """Model by process. Only the python backend has them; a zombie has no command line."""
        root = f"{self.repository.absolute()}/"
        found = {}
        for entry in Path("/proc").iterdir():
            if not entry.name.isdigit():
                continue
            with suppress(OSError):
                words = (entry / "cmdline").read_bytes().decode(errors="replace").split("\0")
                program = next((word for word in words[1:] if word.startswith(root)), "")
                ours = words[0].endswith("triton_python_backend_stub") and os.getpgid(int(entry.name)) == self.pid
                if program and ours:
                    found[int(entry.name)] = program.removeprefix(root).partition("/")[0]
        return found

    def _launch(self, folder: Path) -> subprocess.Popen[bytes]:
        variables = {**self._environment.variables(), MARK: str(folder)}
        with (self._wanted_log or folder / "triton.log").open("ab") as log:
            return subprocess.Popen(
                [str(self._environment.package / "bin" / "tritonserver"), *self._arguments(folder)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=variables,
                cwd=folder,
                # A group of its own: a Ctrl-C in the terminal is ours to pass on, and the stubs are found by it.
                start_new_session=True,
            )

    def _arguments(self, folder: Path) -> list[str]:
        named = [f"--model-config-name={self._config_name}"] if self._config_name else []
        return [
            f"--model-repository={self.repository.absolute()}",
            f"--backend-directory={folder / 'backends'}",
            "--grpc-address=127.0.0.1",
            f"--grpc-port={self._grpc}",
            "--http-address=127.0.0.1",
            f"--http-port={self._http}",
            "--metrics-address=127.0.0.1",
            f"--metrics-port={self._metrics}",
            "--allow-gpu-metrics=false",
            "--model-control-mode=explicit",
            *(f"--load-model={model}" for model in self._models),
            *named,
            # One model that does not load must not keep the others from serving.
            "--exit-on-error=false",
            "--strict-readiness=false",
            f"--exit-timeout-secs={EXIT_TIMEOUT_S}",
            f"--backend-config=python,shm-region-prefix-name={self._regions}",
            "--log-info=false",
        ]

    def _await_models(self, deadline: float) -> None:
        """It answers after it has tried every model: the ports open last."""
        assert self._process is not None
        while True:
            if self._process.poll() is not None:
                raise self._failed(f"it ended with {self._process.returncode}")
            if self.cancelled():
                raise Unavailable("the start was given up", reason="CANCELLED")
            if time.monotonic() > deadline:
                raise self._failed("it did not answer in time")
            try:
                self._ask("GET", "/v2/health/ready")
            except Unavailable:
                time.sleep(0.05)
                continue
            return

    def _failed(self, what: str) -> Unavailable:
        lines = "".join(f"\n  {line}" for line in self.log)
        return Unavailable(f"Triton did not start: {what}{lines}", reason="TRITON_START_FAILED")

    def _ask(self, method: str, path: str, timeout_s: float = 5.0) -> Any:
        connection = http.client.HTTPConnection("127.0.0.1", self._http, timeout=timeout_s)
        try:
            connection.request(method, path)
            response = connection.getresponse()
            body = response.read()
            if response.status != http.client.OK:
                raise Unavailable(f"Triton answers {response.status} to {path}", reason="TRITON_NOT_READY")
            return json.loads(body) if body else None
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise Unavailable("Triton does not answer", reason="TRITON_NOT_READY") from error
        finally:
            connection.close()

    def _log_file(self) -> Path | None:
        file = self._wanted_log or (self._folder / "triton.log" if self._folder is not None else None)
        return file if file is not None and file.is_file() else None


def _refuse_old_glibc() -> None:
    name, version = platform.libc_ver()
    numbers = tuple(int(part) for part in version.split(".")[:2] if part.isdigit())
    if name != "glibc" or numbers < _OLDEST_GLIBC:
        raise FailedPrecondition(
            f"The Triton server of nvidia-pytriton needs glibc 2.35 or newer, and this machine has "
            f"{name or 'another C library'} {version}: set ANTIPHON_TRITON_URL to a server elsewhere.",
            reason="TRITON_SERVER_UNSUPPORTED",
        )


def _home(config: Path) -> Path:
    with suppress(OSError):
        for line in config.read_text().splitlines():
            key, _, value = line.partition("=")
            if key.strip() == "home":
                return Path(value.strip())
    return Path("/usr/bin")


def _remove_environments(earliest: float, latest: float) -> None:
    """The python backend makes an empty folder at its start, for packed environments, and removes it unless killed.

    Its name says not whose it is; so only what was made while our server started is taken, and only if it is empty.
    """
    for folder in Path("/tmp").glob("python_env_*"):  # noqa: S108 - the backend's own fixed place
        with suppress(OSError):
            if earliest <= folder.stat().st_ctime <= latest:
                folder.rmdir()


def _remove_regions(prefix: str) -> None:
    for region in _SHARED_MEMORY.glob(f"{prefix}*"):
        with suppress(OSError):
            region.unlink()


def _remove_orphaned_regions() -> None:
    """What a killed server left in shared memory: regions carry the number of the process that started it."""
    for region in _SHARED_MEMORY.glob(f"{_PREFIX}-*"):
        starter = region.name.removeprefix(f"{_PREFIX}-").partition("-")[0]
        if starter.isdigit() and not Path("/proc", starter).exists():
            with suppress(OSError):
                region.unlink()
