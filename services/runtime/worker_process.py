"""The worker's side of `workers.py`: a loop that an engine's module calls from its `__main__`.

    if __name__ == "__main__":
        serve(MyHandler)

The loop reads ahead, keeps a queue per session and serves the sessions in turn: one that floods delays nobody else, and
one that is closed or cancels costs no more compute than the request in hand. The parent bounds what each session may
have pending, and thereby these queues. The process ends with its parent: at end of file, or by PR_SET_PDEATHSIG.
"""

from __future__ import annotations

import ctypes
import logging
import os
import signal
import socket
import sys
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

from services.runtime.errors import AntiphonError, Internal
from services.runtime.worker_frames import (
    FD_VARIABLE,
    PARENT_VARIABLE,
    Frame,
    FrameReader,
    Kind,
    pack,
    pack_error,
)

_PR_SET_PDEATHSIG = 1
_RECV_BYTES = 1 << 18
_log = logging.getLogger(__name__)


class Handler(Protocol):
    """What an engine does in its worker; everything runs on one thread, one call at a time."""

    def open(self, session: int) -> None: ...

    def request(self, session: int, payload: bytes) -> bytes:
        """Answers one request. An AntiphonError reaches the caller as it is, anything else as `Internal`."""
        ...

    def close(self, session: int) -> None:
        """Frees the session's state; called once for each `open`, whatever happened between."""
        ...


def serve(handler_factory: Callable[[Sequence[str]], Handler]) -> None:
    """Runs a worker until its parent goes.

    Args:
        handler_factory: gets the pool's `args`; may take its time (models are loaded here). The pool waits for it.
    """
    _die_with_parent()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C goes to the whole group; the parent decides
    with socket.socket(fileno=int(os.environ[FD_VARIABLE])) as channel:
        _Loop(channel, handler_factory(sys.argv[1:])).run()
    os._exit(0)  # nothing to save, and an engine's destructors may take a second


def _die_with_parent() -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != int(os.environ[PARENT_VARIABLE]):  # it died before prctl
        os._exit(0)


class _Loop:
    def __init__(self, channel: socket.socket, handler: Handler) -> None:
        self._channel = channel
        self._handler = handler
        self._reader = FrameReader(max_body=(1 << 32) - 1)  # the parent checks sizes
        self._queues: dict[int, deque[Frame]] = {}
        self._turn: deque[int] = deque()  # sessions that have something queued, each once

    def run(self) -> None:
        self._channel.setblocking(True)
        self._channel.sendall(pack(0, 0, Kind.READY))
        while self._read(wait=not self._turn):
            if self._turn:
                self._step()

    def _read(self, wait: bool) -> bool:
        try:
            data = self._channel.recv(_RECV_BYTES, 0 if wait else socket.MSG_DONTWAIT)
        except BlockingIOError:
            return True
        except OSError:
            return False
        for frame in self._reader.feed(data):
            self._accept(frame)
        return bool(data)

    def _accept(self, frame: Frame) -> None:
        if frame.kind == Kind.OPEN:
            self._queues[frame.session] = deque()
            self._guarded(frame, lambda: self._handler.open(frame.session))
        elif frame.kind == Kind.REQUEST and frame.session in self._queues:
            queue = self._queues[frame.session]
            if not queue:
                self._turn.append(frame.session)
            queue.append(frame)
        elif frame.kind == Kind.CANCEL:
            self._cancel(frame)
        elif frame.kind == Kind.CLOSE and self._queues.pop(frame.session, None) is not None:
            if frame.session in self._turn:
                self._turn.remove(frame.session)
            self._guarded(frame, lambda: self._handler.close(frame.session))

    def _cancel(self, frame: Frame) -> None:
        queue = self._queues.get(frame.session)
        if not queue:
            return
        kept = [queued for queued in queue if queued.request != frame.request]
        queue.clear()
        queue.extend(kept)
        if not queue:
            self._turn.remove(frame.session)

    def _step(self) -> None:
        session = self._turn.popleft()
        queue = self._queues[session]
        frame = queue.popleft()
        if queue:
            self._turn.append(session)
        kind, body = Kind.REPLY, b""
        try:
            body = self._handler.request(session, frame.body)
        except AntiphonError as error:
            kind, body = Kind.FAILURE, pack_error(error)
        except Exception as error:  # noqa: BLE001 - the engine's own; its text may hold user content: only its type stays
            _log.error("worker request failed: %s at %s", type(error).__name__, _place(error))
            kind, body = Kind.FAILURE, pack_error(Internal("the engine failed", reason="ENGINE_FAILED"))
        self._send(pack(session, frame.request, kind, body))

    def _send(self, data: bytes) -> None:
        try:
            self._channel.sendall(data)
        except OSError:  # the parent is gone
            os._exit(0)

    def _guarded(self, frame: Frame, call: Callable[[], None]) -> None:
        try:
            call()
        except Exception as error:  # noqa: BLE001 - one session's failure must not end the others'
            _log.error("worker %s failed: %s at %s", Kind(frame.kind).name, type(error).__name__, _place(error))


def _place(error: BaseException) -> str:
    """`file:line` where an exception was raised."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return f"{Path(trace.tb_frame.f_code.co_filename).name}:{trace.tb_lineno}" if trace else "?"
