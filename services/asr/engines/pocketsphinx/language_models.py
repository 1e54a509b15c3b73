"""Language models made of clients' phrases: built once for all sessions that bring the same, kept in a folder.

Used by `engine.py`, in the replica. The building itself is done by `language_model_worker.py` in a process of its
own; here is who waits for whom, what is there already, and what is thrown away.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import shutil
import tempfile
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from services.asr.events import UnmatchedPhrase
from services.asr.grammar import LanguageModel, PhraseGrammar
from services.runtime.errors import AntiphonError, Overloaded, Unavailable
from services.runtime.inference import ModelDefinition
from services.runtime.workers import WorkerPool

_log = logging.getLogger(__name__)

MODEL, DICTIONARY, REPORT = "model.lm.bin", "words.dict", "report.json"

_WORKER = "services.asr.engines.pocketsphinx.language_model_worker"
_WAY = "3"  # of building: another one makes other models of the same phrases
_MAX_BUILDS = 8  # under way or waiting
_RETRY_AFTER_S = 1.0
_BUILD_TIMEOUT_S = 60.0
_MAX_REQUEST_BYTES = 32 << 20


class LanguageModels:
    """One per engine.

    Args:
        definitions: of the models that phrases are mixed with.
        folder: where built models are kept, also beyond this process; a temporary one when empty.
        kept: most models in it.
    """

    def __init__(self, definitions: Sequence[ModelDefinition], folder: str = "", kept: int = 32) -> None:
        self._digests = {each.id: each.sha256 for each in definitions}
        self._temporary = None if folder else tempfile.TemporaryDirectory(prefix="antiphon-asr-")
        self._folder = Path(self._temporary.name if self._temporary else folder).absolute()
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._kept = kept
        self._built = OrderedDict((each.key, each) for each in _found(self._folder))
        self._building: dict[str, asyncio.Task[LanguageModel]] = {}
        self._warming: asyncio.Task[None] | None = None
        self._pool = WorkerPool(
            _WORKER,
            [str(self._folder), *(str(each.path.parent / "model.yaml") for each in definitions)],
            1,
            max_request_bytes=_MAX_REQUEST_BYTES,
        )

    async def start(self) -> None:
        await self._pool.start()
        self._warming = asyncio.create_task(self._warm())

    def key(self, model: str, grammar: PhraseGrammar) -> str:
        return hashlib.sha256(f"{_WAY} {self._digests[model]} {grammar.digest}".encode()).hexdigest()

    def find(self, model: str, grammar: PhraseGrammar) -> LanguageModel | None:
        """The model, if it is there."""
        key = self.key(model, grammar)
        found = self._built.get(key)
        if found is not None and found.folder and not (self._folder / key / MODEL).exists():
            del self._built[key]  # somebody tidied up
            return None
        if found is not None:
            self._built.move_to_end(key)
        return found

    def build(self, model: str, grammar: PhraseGrammar) -> asyncio.Task[LanguageModel]:
        """The build of a model, begun if it was not; several sessions may wait for the same, none may cancel it.

        Raises Overloaded when too many are waiting. The task raises what the build raises.
        """
        key = self.key(model, grammar)
        task = self._building.get(key)
        if task is None:
            if len(self._building) >= _MAX_BUILDS:
                raise Overloaded(
                    "too many language models are being built", reason="BUILDS_PENDING", retry_after=_RETRY_AFTER_S
                )
            task = asyncio.get_running_loop().create_task(self._build(model, key, grammar))
            self._building[key] = task
            task.add_done_callback(lambda done: self._done(key, done))
        return task

    @property
    def pid(self) -> int:
        """Of the process that builds; 0 when it is not up."""
        return next((each.pid for each in self._pool.stats()), 0)

    async def close(self) -> None:
        for task in (*self._building.values(), self._warming):
            if task is not None:
                task.cancel()
        await self._pool.close()
        if self._temporary is not None:
            await asyncio.to_thread(self._temporary.cleanup)

    async def _build(self, model: str, key: str, grammar: PhraseGrammar) -> LanguageModel:
        payload = await asyncio.to_thread(pack_request, model, key, grammar)
        session = self._pool.session()
        try:
            async with asyncio.timeout(_BUILD_TIMEOUT_S):
                report = json.loads(await session.request(payload))
        except TimeoutError:
            raise Unavailable("the language model was not built in time", reason="BUILD_TIMEOUT") from None
        finally:
            await session.close()
        built = _model(self._folder / key, report, report["build_seconds"])
        self._built[key] = _model(self._folder / key, report, 0.0)
        while len(self._built) > self._kept:
            old, _ = self._built.popitem(last=False)
            await asyncio.to_thread(shutil.rmtree, self._folder / old, ignore_errors=True)
        return built

    async def _warm(self) -> None:
        """Lets the process read what each build needs, so that the first is as fast as the others."""
        session = self._pool.session()
        try:
            await session.request(b"")
        except AntiphonError as error:
            _log.warning("the builder of language models is not warm: %s", error.reason)
        finally:
            await session.close()

    def _done(self, key: str, task: asyncio.Task[LanguageModel]) -> None:
        del self._building[key]
        if not task.cancelled() and (error := task.exception()):
            reason = error.reason if isinstance(error, AntiphonError) else type(error).__name__
            _log.warning("a language model was not built: %s", reason)


def pack_request(model: str, key: str, grammar: PhraseGrammar) -> bytes:
    return json.dumps([model, key, grammar.packed()]).encode()


def unpack_request(payload: bytes) -> tuple[str, str, PhraseGrammar]:
    model, key, fields = json.loads(payload)
    return model, key, PhraseGrammar.unpacked(fields)


def _found(folder: Path) -> list[LanguageModel]:
    """Models of an earlier process, the oldest first."""
    reports = sorted(folder.glob(f"*/{REPORT}"), key=lambda path: path.stat().st_mtime)
    return [_model(path.parent, json.loads(path.read_text(encoding="utf-8")), 0.0) for path in reports]


def _model(folder: Path, report: Mapping[str, Any], build_seconds: float) -> LanguageModel:
    unmatched = tuple(
        UnmatchedPhrase(each["text"], each["reason"], tuple(each["words"])) for each in report["unmatched"]
    )
    found = str(folder) if report["accepted"] else ""
    return LanguageModel(folder.name, found, report["accepted"], unmatched, build_seconds)
