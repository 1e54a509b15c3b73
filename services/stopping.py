"""Signals that ask a platform to stop. Used by `commands.py` and `demo.py` while Ray runs in their process."""

from __future__ import annotations

import signal
import threading

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Stop:
    """Whether a signal asked the platform to stop.

    It is asked at places of ours: an exception thrown into Ray's calls would abort the process.
    """

    def __init__(self) -> None:
        self._asked = threading.Event()

    def listen(self) -> None:
        """Takes the signals over; once more after Ray has started, which puts a handler of its own in place."""
        for number in SIGNALS:
            if signal.getsignal(number) is not signal.SIG_IGN:  # nohup has the hangup ignored
                signal.signal(number, lambda _number, _frame: self._asked.set())

    def is_asked(self) -> bool:
        """True after the first signal."""
        return self._asked.is_set()

    def wait(self) -> None:
        """Returns at the first signal."""
        self._asked.wait()
