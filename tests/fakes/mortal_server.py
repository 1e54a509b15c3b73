"""A Triton server that dies when a test says so, for the watch over it: no process, no time."""

from __future__ import annotations

import threading

from services.runtime.errors import Unavailable


class MortalServer:
    """Implements `triton_home.WatchedServer`; `starts_that_fail` next starts are refused."""

    def __init__(self, starts_that_fail: int = 0) -> None:
        self.pid = 1
        self.lost: list[str] = []
        self.starts = 0
        self.reloaded: list[str] = []
        self.mended = threading.Event()
        self._failing = starts_that_fail

    def start(self) -> None:
        self.starts += 1
        if self.starts <= self._failing:
            raise Unavailable("Triton did not start: no such luck\n  more of its log", reason="TRITON_START_FAILED")
        self.pid = 2
        self.mended.set()

    def lost_models(self) -> list[str]:
        return list(self.lost)

    def reload(self, model: str) -> None:
        self.lost.remove(model)
        self.reloaded.append(model)
        self.mended.set()
