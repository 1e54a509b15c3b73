"""What an engine of recognition must do; `recognizer.py` knows engines only through this."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Protocol

from services.asr.events import Event
from services.asr.grammar import LanguageModel, PhraseGrammar
from services.asr.requests import EndpointingUpdate, Phrase, SessionConfig


@dataclass(frozen=True)
class EngineModel:
    """A model that an engine has ready.

    Attributes:
        id: `publisher/name@version`.
        locales: BCP-47 tags it serves.
        digest: SHA-256 of its main file, hex.
        licence: SPDX expression.
        size_bytes: of its files.
        description: one line, for Describe.
    """

    id: str
    locales: tuple[str, ...]
    digest: str
    licence: str
    size_bytes: int
    description: str


class EngineSession(Protocol):
    """One stream. Calls come one after the other; each returns what it brought about."""

    async def feed(self, audio: bytes) -> list[Event]: ...

    async def finalize(self) -> list[Event]: ...

    async def update_endpointing(self, update: EndpointingUpdate) -> list[Event]: ...

    async def update_biasing(self, phrases: tuple[Phrase, ...]) -> list[Event]: ...

    async def adopt(self, model: LanguageModel) -> list[Event]:
        """Hears with this language model from the next utterance on. Raises Unavailable when it is gone."""
        ...

    async def finish(self) -> list[Event]:
        """The audio is over: last events, at last `SessionStats`."""
        ...

    async def close(self) -> None:
        """Frees everything, whatever state the session is in."""
        ...


class Engine(Protocol):
    """Raises AntiphonErrors only."""

    name: str

    def backend(self, model: str) -> str:
        """Where the next call to this model runs, as provenance tells it: "process", "embedded" or "triton"."""
        ...

    @property
    def models(self) -> tuple[EngineModel, ...]: ...

    async def start(self) -> None: ...

    async def open(self, config: SessionConfig) -> tuple[EngineSession, list[Event]]:
        """A session, and what there is to tell at once (the biasing report)."""
        ...

    def built(self, model: str, grammar: PhraseGrammar) -> LanguageModel | None:
        """The language model of a grammar over a model, if it is there."""
        ...

    def build(self, model: str, grammar: PhraseGrammar) -> asyncio.Future[LanguageModel]:
        """The build of it, shared by all who wait for it: not to be cancelled.

        Raises Overloaded. The future raises InvalidInput when nothing but phrases is asked for and none can be heard,
        FailedPrecondition when the model cannot be mixed, Unavailable.
        """
        ...

    def check(self) -> None:
        """Raises Unavailable when no session could be opened now."""
        ...

    async def close(self) -> None: ...
