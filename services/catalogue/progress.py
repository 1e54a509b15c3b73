"""What a download says while it runs: one line that moves on a terminal, whole lines elsewhere. For `commands.py`."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol, TextIO

_REDRAW_S = 0.2
_LINE_S = 10.0
_LINE_SHARE = 0.1


class Progress(Protocol):
    """Is told how far a download is."""

    def begin(self, what: str, done: int, total: int | None) -> None:
        """`done` bytes are there from an earlier try; `total` is None if the server does not say."""
        ...

    def advance(self, done: int, total: int | None) -> None: ...

    def note(self, line: str) -> None:
        """Something that is worth a line: another try, a resumed download."""
        ...

    def end(self) -> None: ...


class Silent:
    """Says nothing; for tests and programs."""

    def begin(self, what: str, done: int, total: int | None) -> None:
        return

    def advance(self, done: int, total: int | None) -> None:
        return

    def note(self, line: str) -> None:
        return

    def end(self) -> None:
        return


@dataclass
class ConsoleProgress:
    """Writes to standard error.

    On a terminal one line is drawn again five times a second; elsewhere, in a log, there is a line for every tenth of
    the whole or every ten seconds, whichever comes later.
    """

    out: TextIO = field(default_factory=lambda: sys.stderr)
    clock: Callable[[], float] = time.monotonic
    _started: float = 0.0
    _told_at: float = 0.0
    _told: int = 0
    _from: int = 0
    _open: bool = False

    def begin(self, what: str, done: int, total: int | None) -> None:
        """See Progress."""
        self._started = self._told_at = self.clock()
        self._from = self._told = done
        size = f", {megabytes(total)}" if total else ""
        again = f", going on at {megabytes(done)}" if done else ""
        self.note(f"downloading {what}{size}{again}")

    def advance(self, done: int, total: int | None) -> None:
        """See Progress."""
        now = self.clock()
        if self.out.isatty():
            if now - self._told_at >= _REDRAW_S:
                self._draw(now, done, total)
        elif now - self._told_at >= _LINE_S and done - self._told >= _LINE_SHARE * (total or 0):
            self._told_at, self._told = now, done
            print(self._line(now, done, total), file=self.out, flush=True)

    def note(self, line: str) -> None:
        """See Progress."""
        self.end()
        print(line, file=self.out, flush=True)

    def end(self) -> None:
        """Leaves the line that moves as it is."""
        if self._open:
            print(file=self.out, flush=True)
        self._open = False

    def _draw(self, now: float, done: int, total: int | None) -> None:
        self._told_at, self._open = now, True
        print(f"\r{self._line(now, done, total):<70}", end="", file=self.out, flush=True)

    def _line(self, now: float, done: int, total: int | None) -> str:
        rate = (done - self._from) / max(now - self._started, 1e-6)
        speed = f"{megabytes(rate)}/s"
        if not total:
            return f"  {megabytes(done)}, {speed}"
        left = f", {(total - done) / rate:.0f} s left" if rate > 0 else ""
        return f"  {done / total:4.0%} of {megabytes(total)}, {speed}{left}"


def megabytes(size: float) -> str:
    """For people, decimal: 0.3 MB, 25 MB."""
    return f"{size / 1e6:.1f} MB" if size < 10e6 else f"{size / 1e6:.0f} MB"
