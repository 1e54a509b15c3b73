"""Wake phrases by pocketsphinx's keyphrase search, in worker processes.

`app.py` builds it. Any phrase of English dictionary words can be listened for, without a recording of it: its phones
compete with a loop of all phones (Rohlicek and others 1989, doi:10.1109/ICASSP.1989.266505). A stream costs 3 % of a
core, a session 5 MB. Only `keyphrase_worker.py` imports pocketsphinx.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from importlib.metadata import version

from services.activation.engines import Spotted
from services.runtime.audio import Pcm
from services.runtime.errors import Unavailable
from services.runtime.workers import WorkerPool, WorkerSession

_WORKER = "services.activation.engines.keyphrase_worker"


class PocketsphinxSpotter:
    """The engine.

    Args:
        workers: processes; None for one per core.
    """

    def __init__(self, workers: int | None = None) -> None:
        self.model = f"cmusphinx/en-keyphrase@{version('pocketsphinx')}"
        self.pool = WorkerPool(_WORKER, size=workers)

    async def start(self) -> None:
        await self.pool.start()

    async def close(self) -> None:
        await self.pool.close()

    def check(self) -> None:
        """Raises Unavailable when no process is up."""
        if not self.pool.stats():
            raise Unavailable("no process for wake words is up", reason="NO_WORKER", retry_after=0.5)

    async def open(self, phrases: Sequence[str]) -> PocketsphinxStream:
        stream = PocketsphinxStream(self.pool.session())
        try:
            await stream.replace(phrases)
        except BaseException:
            await stream.close()
            raise
        return stream


class PocketsphinxStream:
    """A session, pinned to the process that holds its decoder."""

    def __init__(self, session: WorkerSession) -> None:
        self._session = session

    async def replace(self, phrases: Sequence[str]) -> None:
        await self._session.request(b"P" + json.dumps(list(phrases)).encode())

    async def hear(self, pcm: Pcm) -> list[Spotted]:
        return _spotted(await self._session.request(b"A" + pcm.astype("<i2", copy=False).tobytes()))

    async def finish(self) -> list[Spotted]:
        return _spotted(await self._session.request(b"F"))

    async def close(self) -> None:
        await self._session.close()


def _spotted(answer: bytes) -> list[Spotted]:
    return [Spotted(*found) for found in json.loads(answer)]
