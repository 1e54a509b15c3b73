"""The worker process of the pocketsphinx engine: `python -m services.asr.engines.pocketsphinx_worker MODEL_YAML…`.

Started by the pool in `pocketsphinx.py`. Holds the decoders of all its models, lent to one utterance at a time.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

from services.asr import messages
from services.asr.engines.bundles import PocketsphinxBundle
from services.asr.engines.pocketsphinx_decoder import PocketsphinxDecoder
from services.asr.engines.silero import SileroDetector
from services.asr.events import BiasingReport, Event, SessionStats
from services.asr.requests import Phrase, SessionConfig
from services.asr.transcriber import Decoder, Transcriber
from services.runtime.errors import FailedPrecondition, InvalidInput
from services.runtime.inference import read_definition
from services.runtime.worker_process import serve

_KEPT_DECODERS = 4  # idle, per model: 12 MB each with the commands model, 96 MB with the dictation model


class Decoders:
    """One model's decoders in this process; as many as people have spoken at once."""

    def __init__(self, bundle: PocketsphinxBundle) -> None:
        self._bundle = bundle
        self._idle = [PocketsphinxDecoder(bundle)]

    def acquire(self) -> PocketsphinxDecoder:
        return self._idle.pop() if self._idle else PocketsphinxDecoder(self._bundle)

    def release(self, decoder: Decoder) -> None:
        assert isinstance(decoder, PocketsphinxDecoder)
        decoder.phrases = ()
        if len(self._idle) < _KEPT_DECODERS:
            self._idle.append(decoder)

    def report(self, phrases: Sequence[Phrase]) -> BiasingReport:
        decoder = self.acquire()
        unmatched = tuple(each for each in map(decoder.unmatched, phrases) if each is not None)
        self.release(decoder)
        return BiasingReport(len(phrases) - len(unmatched), unmatched)


class _Session:
    """One session; lends its transcriber decoders that expect its phrases (`transcriber.DecoderPool`)."""

    def __init__(self, config: SessionConfig, decoders: Decoders) -> None:
        self._decoders = decoders
        self._phrases = config.phrases
        self.cpu_seconds = 0.0
        self.transcriber = Transcriber(config, SileroDetector(), self)

    def acquire(self) -> PocketsphinxDecoder:
        decoder = self._decoders.acquire()
        decoder.phrases = self._phrases
        return decoder

    def release(self, decoder: Decoder) -> None:
        self._decoders.release(decoder)

    def expect(self, phrases: tuple[Phrase, ...]) -> list[Event]:
        self._phrases = phrases
        return [self._decoders.report(phrases)]


class PocketsphinxHandler:
    """Implements `worker_process.Handler`."""

    def __init__(self, definitions: Sequence[str]) -> None:
        bundles = [PocketsphinxBundle.open(read_definition(Path(path))) for path in definitions]
        self._decoders = {bundle.definition.id: Decoders(bundle) for bundle in bundles}
        self._sessions: dict[int, _Session] = {}
        SileroDetector()  # reads its weights now

    def open(self, session: int) -> None:
        """Nothing yet: the config comes as the first request."""

    def request(self, session: int, payload: bytes) -> bytes:
        kind, body = payload[:1], payload[1:]
        begin = time.process_time()
        if kind == messages.CONFIG:
            events = self._configure(session, messages.unpack_config(body))
        else:
            events = self._ask(self._sessions[session], kind, body)
        state = self._sessions[session]
        state.cpu_seconds += time.process_time() - begin
        if kind == messages.FINISH:
            events.append(SessionStats(round(state.transcriber.speech_seconds, 3), round(state.cpu_seconds, 6)))
        return messages.pack_events(events)

    def close(self, session: int) -> None:
        state = self._sessions.pop(session, None)
        if state is not None:
            state.transcriber.close()

    def _configure(self, session: int, config: SessionConfig) -> list[Event]:
        decoders = self._decoders.get(config.model)
        if decoders is None:
            raise FailedPrecondition(f"the model {config.model} is not loaded here", reason="MODEL_MISSING")
        self._sessions[session] = _Session(config, decoders)
        return [decoders.report(config.phrases)] if config.phrases else []

    @staticmethod
    def _ask(state: _Session, kind: bytes, body: bytes) -> list[Event]:
        match kind:
            case messages.AUDIO:
                return state.transcriber.feed(body)
            case messages.FINALIZE:
                return state.transcriber.finalize()
            case messages.ENDPOINTING:
                return state.transcriber.update_endpointing(messages.unpack_endpointing(body))
            case messages.BIASING:
                return state.expect(messages.unpack_phrases(body))
            case messages.FINISH:
                return state.transcriber.finish()
        raise InvalidInput("no such request", reason="UNKNOWN_REQUEST")


if __name__ == "__main__":
    serve(PocketsphinxHandler)
