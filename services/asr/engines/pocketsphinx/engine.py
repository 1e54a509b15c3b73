"""pocketsphinx as an engine of recognition: sessions in worker processes, for it holds the GIL.

Built by `app.py`; `recognizer.py` uses it through `protocol.Engine`. Only the workers import pocketsphinx itself.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from services.asr import messages
from services.asr.engines.pocketsphinx.bundles import PocketsphinxBundle
from services.asr.engines.pocketsphinx.language_models import LanguageModels
from services.asr.engines.protocol import EngineModel
from services.asr.events import Event
from services.asr.grammar import LanguageModel, PhraseGrammar
from services.asr.requests import EndpointingUpdate, Phrase, SessionConfig
from services.runtime.errors import Unavailable
from services.runtime.inference import ModelDefinition
from services.runtime.workers import WorkerPool, WorkerSession, WorkerStats

_WORKER = "services.asr.engines.pocketsphinx.worker"


class PocketsphinxEngine:
    """All models in every worker.

    Args:
        definitions: of the models to load.
        workers: processes; one per core when None.
        cache: folder for language models made of phrases; a temporary one when empty.
    """

    name = "pocketsphinx"

    def __init__(self, definitions: Sequence[ModelDefinition], workers: int | None = None, cache: str = "") -> None:
        bundles = [PocketsphinxBundle.open(definition) for definition in definitions]
        self.models = tuple(_model(bundle) for bundle in bundles)
        self._pool = WorkerPool(_WORKER, [str(each.path.parent / "model.yaml") for each in definitions], workers)
        self._language_models = LanguageModels(definitions, cache)

    async def start(self) -> None:
        await asyncio.gather(self._pool.start(), self._language_models.start())

    async def open(self, config: SessionConfig) -> tuple[PocketsphinxSession, list[Event]]:
        session = PocketsphinxSession(self._pool.session())
        try:
            return session, await session.configure(config)
        except BaseException:
            await session.close()
            raise

    def backend(self, model: str) -> str:
        return "process"

    def built(self, model: str, grammar: PhraseGrammar) -> LanguageModel | None:
        return self._language_models.find(model, grammar)

    def build(self, model: str, grammar: PhraseGrammar) -> asyncio.Future[LanguageModel]:
        return self._language_models.build(model, grammar)

    def check(self) -> None:
        if not self._pool.stats():
            raise Unavailable("no worker of the recogniser is up", reason="NO_WORKER", retry_after=0.5)

    def stats(self) -> list[WorkerStats]:
        """Sessions and CPU seconds of each worker, for benchmarks."""
        return self._pool.stats()

    def builder(self) -> int:
        """The process that builds language models, for benchmarks."""
        return self._language_models.pid

    async def close(self) -> None:
        await asyncio.gather(self._pool.close(), self._language_models.close())


class PocketsphinxSession:
    """One session, pinned to one worker; implements `protocol.EngineSession`."""

    def __init__(self, worker: WorkerSession) -> None:
        self._worker = worker

    async def configure(self, config: SessionConfig) -> list[Event]:
        return await self._ask(messages.pack_config(config))

    async def feed(self, audio: bytes) -> list[Event]:
        return await self._ask(messages.AUDIO + audio)

    async def finalize(self) -> list[Event]:
        return await self._ask(messages.FINALIZE)

    async def update_endpointing(self, update: EndpointingUpdate) -> list[Event]:
        return await self._ask(messages.pack_endpointing(update))

    async def update_biasing(self, phrases: tuple[Phrase, ...]) -> list[Event]:
        return await self._ask(messages.pack_phrases(phrases))

    async def adopt(self, model: LanguageModel) -> list[Event]:
        return await self._ask(messages.pack_language_model(model))

    async def finish(self) -> list[Event]:
        return await self._ask(messages.FINISH)

    async def close(self) -> None:
        await self._worker.close()

    async def _ask(self, payload: bytes) -> list[Event]:
        return messages.unpack_events(await self._worker.request(payload))


def _model(bundle: PocketsphinxBundle) -> EngineModel:
    definition = bundle.definition
    return EngineModel(
        id=definition.id,
        locales=definition.locales,
        digest=definition.sha256,
        licence=definition.licence,
        size_bytes=bundle.size_bytes,
        description=str(definition.parameters.get("description", "")),
    )
