"""Fakes of recognition whose answers can be foretold: a detector, a decoder and an engine."""

from __future__ import annotations

import asyncio

import numpy as np
from numpy.typing import NDArray

from services.asr.engines.protocol import EngineModel
from services.asr.events import Alternative, Endpoint, EndpointReason, Event, SessionStats, Word
from services.asr.grammar import LanguageModel, PhraseGrammar
from services.asr.requests import EndpointingUpdate, Phrase, SessionConfig
from services.asr.segmenter import CHUNK
from services.runtime.audio import Pcm
from services.runtime.errors import WorkerLost

LOUD = 20_000


class LoudIsSpeech:
    """Calls a chunk speech when its loudest sample passes half scale."""

    def __init__(self) -> None:
        self.chunks = 0

    def probabilities(self, chunks: NDArray[np.int16]) -> list[float]:
        self.chunks += len(chunks)
        return [0.95 if np.abs(chunk.astype(int)).max() > 16_384 else 0.02 for chunk in chunks]


class CountingDecoder:
    """Hears one word, "w0", "w1" …, for each 10 chunks that it is fed."""

    def __init__(self) -> None:
        self.samples = 0
        self.running = False
        self.adaptation = ""
        self.given: list[str] = []
        self.deaf = False

    def start(self, adaptation: str) -> None:
        assert not self.running
        self.running = True
        self.samples = 0
        self.given.append(adaptation)

    def feed(self, pcm: Pcm) -> None:
        assert self.running
        self.samples += pcm.size

    def partial(self) -> str:
        return " ".join(f"w{at}" for at in range(self._words))

    def finish(self, max_alternatives: int, words: bool) -> list[Alternative]:
        assert self.running
        self.running = False
        self.adaptation = f"after {self.samples}"
        if self.deaf or not self._words:
            return []
        timed = tuple(Word(f"w{at}", at * 0.32, (at + 1) * 0.32, 0.9) for at in range(self._words)) if words else ()
        return [Alternative(self.partial(), 0.9, timed), Alternative("other", 0.1)][:max_alternatives]

    @property
    def _words(self) -> int:
        return 0 if self.deaf else self.samples // (10 * CHUNK)


class CountingDecoders:
    """A pool of them; knows how many are lent."""

    def __init__(self) -> None:
        self.made: list[CountingDecoder] = []
        self.idle: list[CountingDecoder] = []
        self.deaf = False

    @property
    def lent(self) -> int:
        return len(self.made) - len(self.idle)

    def acquire(self) -> CountingDecoder:
        if not self.idle:
            self.made.append(CountingDecoder())
            self.idle.append(self.made[-1])
        decoder = self.idle.pop()
        decoder.deaf = self.deaf
        return decoder

    def release(self, decoder: object) -> None:
        assert isinstance(decoder, CountingDecoder)
        assert not decoder.running
        self.idle.append(decoder)


class RecordingEngine:
    """Records what its sessions are asked; answers a Finalize with an endpoint.

    Attributes:
        language_models: that are there, by the digest of their grammar.
        builds: of the others; the test ends them.
    """

    name = "recording"

    def __init__(self, *locales: str) -> None:
        self.models = tuple(
            EngineModel(f"fake/{locale}@1", (locale,), "0" * 64, "Apache-2.0", 0, "") for locale in locales or ("en",)
        )
        self.sessions: list[RecordingSession] = []
        self.language_models: dict[str, LanguageModel] = {}
        self.builds: dict[str, asyncio.Future[LanguageModel]] = {}

    async def start(self) -> None: ...

    def backend(self, model: str) -> str:
        return "embedded"

    async def open(self, config: SessionConfig) -> tuple[RecordingSession, list[Event]]:
        self.sessions.append(RecordingSession(config))
        return self.sessions[-1], []

    def built(self, model: str, grammar: PhraseGrammar) -> LanguageModel | None:
        return self.language_models.get(grammar.digest)

    def build(self, model: str, grammar: PhraseGrammar) -> asyncio.Future[LanguageModel]:
        return self.builds.setdefault(grammar.digest, asyncio.get_running_loop().create_future())

    def check(self) -> None: ...

    async def close(self) -> None: ...


class RecordingSession:
    def __init__(self, config: SessionConfig) -> None:
        self.config = config
        self.asked: list[object] = []
        self.closed = False
        self.lost = False

    async def feed(self, audio: bytes) -> list[Event]:
        if self.lost:
            raise WorkerLost("the engine's process died")
        self.asked.append(audio)
        return []

    async def finalize(self) -> list[Event]:
        self.asked.append("finalize")
        return [Endpoint(EndpointReason.CLIENT, 0, 0.0, 0.1, 0.2)]

    async def update_endpointing(self, update: EndpointingUpdate) -> list[Event]:
        self.asked.append(update)
        return []

    async def update_biasing(self, phrases: tuple[Phrase, ...]) -> list[Event]:
        self.asked.append(phrases)
        return []

    async def adopt(self, model: LanguageModel) -> list[Event]:
        self.asked.append(model)
        return []

    async def finish(self) -> list[Event]:
        self.asked.append("finish")
        return [SessionStats(1.5, 0.25)]

    async def close(self) -> None:
        self.closed = True
