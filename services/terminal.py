"""Keeps the terminal for our own lines while Ray and its processes write into a log; for `commands.py` and `demo.py`.

Ray prints from threads and from C++ into the driver's standard output and error, so both are redirected as file
descriptors; what went wrong is then told by our own errors, and in full by the log.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Self, TextIO


class Terminal:
    """A context manager: inside, standard output and error go to `log`, and `say` to where they went before.

    Args:
        log: file to append to; made readable by its owner only.
    """

    def __init__(self, log: Path) -> None:
        self._log = log
        self._began = time.monotonic()
        self._saved: list[tuple[int, int]] = []
        self._out: TextIO = sys.stdout

    def __enter__(self) -> Self:
        sys.stdout.flush()
        sys.stderr.flush()
        self._saved = [(descriptor, os.dup(descriptor)) for descriptor in (1, 2)]
        # A line at a time, and in UTF-8 whatever the locale says: answers come in many languages.
        self._out = os.fdopen(os.dup(1), "w", buffering=1, encoding="utf-8", errors="replace")
        log = os.open(self._log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        for descriptor, _ in self._saved:
            os.dup2(log, descriptor)
        os.close(log)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        sys.stdout.flush()
        sys.stderr.flush()
        for descriptor, saved in self._saved:
            os.dup2(saved, descriptor)
            os.close(saved)
        try:
            self._out.close()
        except OSError:  # nobody reads any more
            return

    @property
    def stream(self) -> TextIO:
        """Where `say` writes; a program that draws on the terminal itself writes here."""
        return self._out

    def say(self, line: str, end: str = "\n") -> None:
        """Shows a line; without anyone who reads it, nothing happens."""
        try:
            print(line, end=end, file=self._out, flush=True)
        except (OSError, ValueError):
            return

    def progress(self, line: str) -> None:
        """Shows a line with the seconds since the start."""
        self.say(f"[{time.monotonic() - self._began:5.1f} s] {line}")

    def tail(self, lines: int = 20) -> list[str]:
        """The last lines of the log."""
        try:
            return self._log.read_text(errors="replace").splitlines()[-lines:]
        except OSError:
            return []
