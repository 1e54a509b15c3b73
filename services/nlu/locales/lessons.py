"""A locale is learnt in a process of its own: seconds of Python beside the event loop would slow every call.

`adding.py` calls `learnt_apart`; the process is this module's `__main__`, started for one lesson and ended with it.
What is learnt from goes there in parts, since the interpreter is held while one part is packed.
"""

from __future__ import annotations

import asyncio
import os
import pickle
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from services.nlu.library import Shelf, shelf_of
from services.nlu.locales.learning import learn
from services.nlu.locales.material import NewLocale, gathered
from services.nlu.locales.reading import LocaleReader
from services.nlu.skills import Skill
from services.runtime.worker_process import serve
from services.runtime.workers import WorkerPool

_PART: Final = 1_000  # entries of a lexicon
_LARGEST: Final = 64_000_000
_NICER: Final = 10  # than those who serve


@dataclass(frozen=True, slots=True)
class Lesson:
    """What was learnt. `stored` is what `LocaleReader.of` reads; the others as of `Material`."""

    coverage: float
    warnings: tuple[str, ...]
    stored: bytes


def lesson(new: NewLocale, shelf: Shelf) -> Lesson:
    """Learns here and now: about ten seconds for a lexicon of 7,000 words and all built-in skills."""
    material = gathered(new, shelf)
    reader = LocaleReader(new.locale, learn(material.sentences), material.phrases, shelf)
    return Lesson(material.coverage, material.warnings, reader.stored)


async def learnt_apart(new: NewLocale, shelf: Shelf) -> Lesson:
    """The same in a process, which ends when this is cancelled.

    Raises:
        Unavailable: `WORKER_START_FAILED`. WorkerLost: the process died. Internal: it failed.
    """
    pool = WorkerPool("services.nlu.locales.lessons", size=1, max_pending_bytes=_LARGEST, max_request_bytes=_LARGEST)
    await pool.start()
    try:
        session = pool.session()
        for at in range(0, len(new.lexicon), _PART):
            await session.request(await asyncio.to_thread(pickle.dumps, new.lexicon[at : at + _PART]))
        for skill in shelf.skills.values():
            await session.request(await asyncio.to_thread(pickle.dumps, skill))
        told = await session.request(pickle.dumps(replace(new, lexicon=())))
    finally:
        await pool.close()
    return Lesson(*pickle.loads(told))  # noqa: S301 - from our own process


class _Learner:
    """The process's side: entries and skills as they come, and with the locale itself the lesson."""

    def __init__(self, arguments: Sequence[str]) -> None:
        os.nice(_NICER)
        self._lexicon: list[tuple[str, tuple[str, ...]]] = []
        self._skills: list[Skill] = []

    def open(self, session: int) -> None:
        """There is one session."""

    def close(self, session: int) -> None:
        """The process ends with it."""

    def request(self, session: int, payload: bytes) -> bytes:
        part = pickle.loads(payload)  # noqa: S301 - from the process that started this one
        if isinstance(part, Skill):
            self._skills.append(part)
        elif isinstance(part, NewLocale):
            made = lesson(replace(part, lexicon=tuple(self._lexicon)), shelf_of(self._skills))
            return pickle.dumps((made.coverage, made.warnings, made.stored))
        else:
            self._lexicon += part
        return b""


if __name__ == "__main__":
    serve(_Learner)
