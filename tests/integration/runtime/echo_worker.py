"""The worker that `test_workers.py` starts: it echoes, computes, keeps state, fails and dies on command."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Sequence

from services.runtime.errors import FailedPrecondition
from services.runtime.worker_process import serve


class EchoHandler:
    def __init__(self, args: Sequence[str]) -> None:
        if "--broken" in args:
            raise SystemExit(3)
        self._seen: dict[int, int] = {}
        self._closed: list[int] = []

    def open(self, session: int) -> None:
        self._seen[session] = 0

    def request(self, session: int, payload: bytes) -> bytes:
        self._seen[session] += 1
        command, _, argument = payload.partition(b" ")
        match command:
            case b"sleep":
                time.sleep(float(argument))
            case b"burn":
                end = time.process_time() + float(argument)
                while time.process_time() < end:
                    pass
            case b"fail":
                raise FailedPrecondition("no such model", reason="NO_MODEL", field="config.model")
            case b"crash":
                raise RuntimeError("the text of a user")
            case b"die":
                os.kill(os.getpid(), signal.SIGKILL)
            case b"count":
                return str(self._seen[session]).encode()
            case b"open":
                return str(len(self._seen)).encode()
            case b"pid":
                return str(os.getpid()).encode()
        return payload

    def close(self, session: int) -> None:
        del self._seen[session]


if __name__ == "__main__":
    serve(EchoHandler)
