"""Recognition as the service offers it: which model serves a language, and sessions over an engine.

Called by `servicer.py`. Nothing here costs CPU worth naming: a session collects bytes, hands them to its engine, and
passes on the events that come back.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from services.asr.adoption import Adoption, report
from services.asr.engines.protocol import Engine, EngineModel, EngineSession
from services.asr.events import Endpoint, Event, SessionStats
from services.asr.grammar import PhraseGrammar
from services.asr.requests import Endpointing, EndpointingUpdate, Phrase, SessionConfig, checked_phrases
from services.asr.settings import AsrSettings
from services.runtime.errors import FailedPrecondition, InvalidInput
from services.runtime.intake import MAX_CHUNK_BYTES
from services.runtime.language import best_supported

_MAX_HELD_S = 10.0  # of audio, while a language model is built; then the client has to wait


@dataclass(frozen=True)
class Selection:
    """The model that serves a request, and the language tag under which it does."""

    model: EngineModel
    locale: str


class Recognizer:
    """One per replica.

    Args:
        engine: started.
        models: language tag -> `publisher/name@version` of a model of the engine.
    """

    def __init__(self, engine: Engine, models: dict[str, str], settings: AsrSettings) -> None:
        self.engine = engine
        self.settings = settings
        by_id = {model.id: model for model in engine.models}
        self._by_locale = {locale: by_id[model] for locale, model in models.items()}

    @property
    def locales(self) -> list[str]:
        return sorted(self._by_locale)

    @property
    def endpointing(self) -> Endpointing:
        """What a session gets that says nothing."""
        settings = self.settings
        return Endpointing(settings.start_timeout, settings.end_silence, settings.max_length)

    def select(self, languages: Sequence[str], model: str = "") -> Selection:
        """The model for the first language that has one.

        Raises:
            InvalidInput: no language, or a malformed tag.
            FailedPrecondition: `LOCALE_NOT_SUPPORTED`, or `MODEL_MISSING` when it is not the model asked for.
        """
        if not languages:
            raise InvalidInput(
                "at least one language code is needed", reason="LANGUAGE_MISSING", field="language_codes"
            )
        locale = best_supported(languages, self._by_locale)
        if locale is None:
            raise FailedPrecondition(
                f"no model here recognises these languages; there are models for {', '.join(self.locales)}",
                reason="LOCALE_NOT_SUPPORTED",
                field="language_codes",
            )
        found = self._by_locale[locale]
        if model not in ("", found.id, found.id.partition("@")[0]):
            raise FailedPrecondition(
                f"{locale} is served by {found.id} here, not by the model asked for",
                reason="MODEL_MISSING",
                field="options.model",
            )
        return Selection(found, locale)

    async def open(
        self, config: SessionConfig, grammar: PhraseGrammar | None = None
    ) -> tuple[RecognizerSession, list[Event]]:
        """A session, and what there is to tell at once.

        Raises Overloaded when too many language models are being built.
        """
        if grammar is None:
            engine_session, events = await self.engine.open(config)
            return RecognizerSession(engine_session, config, self.settings), events
        built = self.engine.built(config.model, grammar)
        if built is not None:
            adopted = replace(config, language_model=built if built.folder else None)
            engine_session, events = await self.engine.open(adopted)
            return RecognizerSession(engine_session, adopted, self.settings), [*events, report(grammar, built)]
        build = self.engine.build(config.model, grammar)
        engine_session, events = await self.engine.open(config)
        adoption = Adoption(engine_session, grammar, build, self.settings.grammar_wait)
        return RecognizerSession(engine_session, config, self.settings, adoption), events

    async def transcribe(
        self, config: SessionConfig, audio: bytes, grammar: PhraseGrammar | None = None
    ) -> tuple[list[Event], SessionStats]:
        """A whole recording: all its utterances.

        Raises InvalidInput for an empty or too long recording.
        """
        if config.format.seconds(len(audio)) > self.settings.max_recording:
            raise InvalidInput(
                f"a recording may be {self.settings.max_recording:g} s long, not "
                f"{config.format.seconds(len(audio)):.1f} s; stream what is longer",
                reason="AUDIO_TOO_LONG",
                field="audio",
            )
        whole = replace(config, endpointing=replace(config.endpointing, continuous=True))
        session, events = await self.open(whole, grammar)
        try:
            events += await session.settle()
            events += await session.take(audio)
            events += await session.finish()
        finally:
            await session.close()
        return events, session.stats


class RecognizerSession:
    """One stream of audio. Calls come one after the other; each returns the events it brought about.

    Args:
        engine: its session there.
        config: what the client asked for.
        settings: of the service.
        adoption: of a language model that is being built; audio is held until it is there, or lets go.
    """

    def __init__(
        self, engine: EngineSession, config: SessionConfig, settings: AsrSettings, adoption: Adoption | None = None
    ) -> None:
        self._engine = engine
        self._adoption = adoption
        self._held_bytes = round(_MAX_HELD_S * config.format.bytes_per_second)
        self._format = config.format
        self._endpointing = config.endpointing
        self._waiting = bytearray()
        self._received = 0
        self._request_bytes = self._whole_samples(settings.request_ms)
        self._slice_bytes = max(self._request_bytes, self._whole_samples(settings.slice_ms))
        self.stats = SessionStats(0.0, 0.0)
        self.is_over = False
        """True after the first endpoint of a session that is not continuous."""

    @property
    def received_s(self) -> float:
        """Seconds of audio taken so far."""
        return self._format.seconds(self._received)

    async def feed(self, data: bytes) -> list[Event]:
        """One message of a stream. Raises InvalidInput for more than 15 KB, or half a sample."""
        if len(data) > MAX_CHUNK_BYTES:
            raise InvalidInput(
                f"an audio message has at most {MAX_CHUNK_BYTES} bytes, not {len(data)}",
                reason="AUDIO_CHUNK_TOO_LARGE",
                field="audio",
            )
        return await self.take(data)

    async def take(self, data: bytes) -> list[Event]:
        """Audio of any length. Raises InvalidInput for half a sample."""
        if len(data) % self._format.sample_bytes:
            raise InvalidInput(
                "an audio message holds whole 16-bit samples, an even number of bytes",
                reason="ODD_AUDIO_BYTES",
                field="audio",
            )
        self._received += len(data)
        self._waiting += data
        if len(self._waiting) < self._request_bytes:
            return []
        if self._adoption is None:
            return await self._send()
        events = await self._adoption.step(wait=len(self._waiting) > self._held_bytes)
        return events if self._adoption.holds else self._seen(events + await self._send())

    async def settle(self) -> list[Event]:
        """Waits for the language model, however long it takes."""
        return await self._adoption.step(wait=True, patient=True) if self._adoption is not None else []

    async def finalize(self) -> list[Event]:
        return self._seen(await self._send() + await self._engine.finalize())

    async def update_endpointing(self, update: EndpointingUpdate) -> list[Event]:
        """Raises InvalidInput for a value out of range."""
        self._endpointing = update.applied_to(self._endpointing)
        return self._seen(await self._send() + await self._engine.update_endpointing(update))

    async def update_biasing(self, phrases: tuple[Phrase, ...]) -> list[Event]:
        return self._seen(await self._send() + await self._engine.update_biasing(checked_phrases(phrases)))

    async def finish(self) -> list[Event]:
        """The audio is over: the last events; `stats` is there afterwards. Raises InvalidInput when there was none."""
        if not self._received:
            raise InvalidInput("the stream had no audio", reason="NO_AUDIO", field="audio")
        events = await self._send() + await self._engine.finish()
        self.stats = next((event for event in events if isinstance(event, SessionStats)), self.stats)
        return self._seen([event for event in events if not isinstance(event, SessionStats)])

    async def close(self) -> None:
        await self._engine.close()

    async def _send(self) -> list[Event]:
        """Everything that waits, after the wait for a language model."""
        events = await self._adoption.step(wait=True) if self._adoption is not None else []
        data, self._waiting = bytes(self._waiting), bytearray()
        for start in range(0, len(data), self._slice_bytes):
            events += await self._engine.feed(data[start : start + self._slice_bytes])
        return self._seen(events)

    def _seen(self, events: list[Event]) -> list[Event]:
        if not self._endpointing.continuous and any(isinstance(event, Endpoint) for event in events):
            self.is_over = True
        return events

    def _whole_samples(self, milliseconds: int) -> int:
        return self._format.rate_hz * milliseconds // 1000 * self._format.sample_bytes
