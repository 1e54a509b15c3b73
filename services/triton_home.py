"""The Triton server of `antiphon up --triton`: a repository of the models, a server over it, a watch over both.

`commands.py` holds it around the platform. The services find it by the same variables that name any other server
(`services/runtime/backends.py`), so nothing else changes for them.
"""

from __future__ import annotations

import os
import shutil
import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from services.model_commands import bundled_folders
from services.runtime.backends import BACKEND_VARIABLE, TRITON, URL_VARIABLE
from services.runtime.errors import AntiphonError, FailedPrecondition
from services.runtime.model_store import ModelStore, model_folders
from services.runtime.triton.repository import servable, write_repository
from services.runtime.triton.server import TritonServer

Progress = Callable[[str], None]

_LOOK_S = 0.5
_FIRST_PAUSE_S = 0.25
_LONGEST_PAUSE_S = 30.0
_CALM_S = 60.0  # that long without a fault, and the next one is a first one again


@contextmanager
def local_triton(
    capabilities: Collection[str],
    folder: Path,
    log: Path,
    progress: Progress,
    cancelled: Callable[[], bool] = lambda: False,
    environ: Mapping[str, str] = os.environ,
) -> Iterator[None]:
    """Runs a server with the models of these capabilities; inside, the environment leads the services to it.

    Args:
        capabilities: keys of `services/registry.py`.
        folder: for the repository; what an earlier run left there is replaced.
        log: the server's own lines.
        progress: told what happens, one short line each.
        cancelled: asked while the server starts.

    Raises:
        FailedPrecondition: no server is installed, a bundle is broken, or the environment names a server already.
        Unavailable: it does not start.
    """
    if environ.get(URL_VARIABLE):
        raise FailedPrecondition(
            f"{URL_VARIABLE} names a Triton server already: set {BACKEND_VARIABLE}={TRITON} to use it, "
            "or leave it out and have --triton start one",
            reason="SETTINGS_INVALID",
        )
    store = ModelStore([*model_folders(environ), *bundled_folders(capabilities)])
    for error in store.broken:
        progress(error.message)
    definitions = servable(store.models())
    if not definitions:
        progress("Triton has nothing to run: none of these services has an ONNX model")
        yield
        return
    server = TritonServer(folder, log=log, cancelled=cancelled)
    shutil.rmtree(folder, ignore_errors=True)
    progress(f"writing the Triton repository: {len(definitions)} models")
    write_repository(definitions, folder, "cpu")
    progress("starting Triton")
    with server:
        for name, reason in server.unready().items():
            progress(f"Triton does not serve {name}: {reason.splitlines()[0]}")
        progress(f"Triton serves {len(server.index()) - len(server.unready())} models on {server.address}")
        with _environment({BACKEND_VARIABLE: TRITON, URL_VARIABLE: server.address}), _watched(server, progress):
            yield
        progress("stopping Triton")


class WatchedServer(Protocol):
    """What `Watch` needs of a `TritonServer`."""

    @property
    def pid(self) -> int: ...

    def start(self) -> None: ...

    def lost_models(self) -> list[str]: ...

    def reload(self, model: str) -> None: ...


class Watch:
    """Brings back what dies: the server, and models whose process is gone while Triton calls them ready.

    Args:
        server: running.
        progress: told what died and how long it was away.
    """

    def __init__(self, server: WatchedServer, progress: Progress) -> None:
        self._server = server
        self._progress = progress
        self._ended = threading.Event()
        self._pause_s = _FIRST_PAUSE_S
        self._last_fault = -_CALM_S - 1
        self._thread = threading.Thread(target=self._run, name="triton-watch", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Returns when nothing is being restarted any more."""
        self._ended.set()
        self._thread.join()

    def is_stopping(self) -> bool:
        """True from `stop` on: a restart that is under way is then given up."""
        return self._ended.is_set()

    def _run(self) -> None:
        while not self._ended.wait(_LOOK_S):
            try:
                self._look()
            except AntiphonError as error:
                if not self._ended.is_set():
                    self._progress(f"Triton: {error.message.splitlines()[0]}; trying again in {self._pause_s:g} s")
                    self._ended.wait(self._pause_s)

    def _look(self) -> None:
        if not self._server.pid:
            self._mend("Triton ended", self._server.start)
            return
        for model in self._server.lost_models():
            self._mend(f"the process of {model} ended", lambda model=model: self._server.reload(model))  # type: ignore[misc]

    def _mend(self, what: str, action: Callable[[], None]) -> None:
        """Runs `action` after a pause that doubles from fault to fault, so that a broken model costs no core."""
        now = time.monotonic()
        calm, self._last_fault = now - self._last_fault > _CALM_S, now
        self._pause_s = _FIRST_PAUSE_S if calm else min(2 * self._pause_s, _LONGEST_PAUSE_S)
        self._progress(f"{what}; starting it again in {self._pause_s:g} s")
        if self._ended.wait(self._pause_s):
            return
        action()
        self._last_fault = time.monotonic()
        self._progress(f"Triton serves again, after {self._last_fault - now:.1f} s")


@contextmanager
def _watched(server: TritonServer, progress: Progress) -> Iterator[None]:
    watch = Watch(server, progress)
    server.cancelled = watch.is_stopping
    watch.start()
    try:
        yield
    finally:
        watch.stop()


@contextmanager
def _environment(variables: Mapping[str, str]) -> Iterator[None]:
    """Sets variables for this process and those that it starts, and takes them back."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
