"""The worker process of the pocketsphinx engine: `python -m services.asr.engines.pocketsphinx.worker MODEL_YAML…`.

Started by the pool in `engine.py`. Holds the decoders of all its models, lent to one utterance at a time.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from services.asr import messages
from services.asr.engines.pocketsphinx.bundles import PocketsphinxBundle
from services.asr.engines.pocketsphinx.decoder import PocketsphinxDecoder
from services.asr.engines.pocketsphinx.language_models import DICTIONARY, MODEL
from services.asr.engines.silero import SileroDetector
from services.asr.events import BiasingReport, Event, SessionStats
from services.asr.grammar import LanguageModel
from services.asr.requests import Phrase, SessionConfig
from services.asr.transcriber import Decoder, Transcriber
from services.runtime.errors import FailedPrecondition, InvalidInput, Unavailable
from services.runtime.model_store import read_definition
from services.runtime.worker_process import serve

_KEPT_DECODERS = 4  # idle, per model: 12 MB each with the commands model, 96 MB with the dictation model
_KEPT_ADAPTED = 2  # of those with a language model of their own
# Many rare words begin alike: of 50 real orders of coffee, all slots were right in 76 % with the default beams and in
# 92 % with these, for 30 % more CPU.
_ADAPTED: Mapping[str, bool | int | float | str] = {
    "beam": 1e-60,
    "wbeam": 1e-40,
    "pbeam": 1e-60,
    "lpbeam": 1e-50,
    "lponlybeam": 1e-40,
}
# The second pass gave 4 % of the orders more. It comes when the user waits, and takes 60 ms and more with 3,000 words.
_SMALL_WORDS = 500
_SMALL: Mapping[str, bool | int | float | str] = {"fwdflat": True}
# What wide beams leave makes a large lattice when the user waits: with fewer words a frame, finals of the built-in
# skills' phrases come after 14 ms in 95 of 100 instead of 29, and no worse.
_LARGE: Mapping[str, bool | int | float | str] = {"fwdflat": False, "maxwpf": 20}
_KEPT_LANGUAGE_MODELS = 6  # per worker, the latest used; a decoder for one is made in 25 ms


class Decoders:
    """One model's decoders in this process; as many as people have spoken at once."""

    def __init__(self, bundle: PocketsphinxBundle, kept: int = _KEPT_DECODERS) -> None:
        self._bundle = bundle
        self._kept = kept
        self._idle = [PocketsphinxDecoder(bundle)]

    def acquire(self) -> PocketsphinxDecoder:
        return self._idle.pop() if self._idle else PocketsphinxDecoder(self._bundle)

    def release(self, decoder: Decoder) -> None:
        assert isinstance(decoder, PocketsphinxDecoder)
        decoder.phrases = ()
        if len(self._idle) < self._kept:
            self._idle.append(decoder)

    def adapted(self, model: LanguageModel) -> Decoders:
        """Decoders of the same sounds with another language model. Raises Unavailable when it is gone."""
        folder = Path(model.folder)
        bundle = replace(
            self._bundle,
            language_model=folder / MODEL,
            dictionary=folder / DICTIONARY,
        )
        if not (bundle.language_model.exists() and bundle.dictionary.exists()):
            raise Unavailable("the language model is gone", reason="LANGUAGE_MODEL_GONE", retry_after=0.1)
        words = len(bundle.dictionary.read_bytes().splitlines())
        extra = _SMALL if words <= _SMALL_WORDS else {**_LARGE, **bundle.session_decoder}
        decoder = {**bundle.decoder, **_ADAPTED, **extra}
        return Decoders(replace(bundle, decoder=decoder), _KEPT_ADAPTED)

    def report(self, phrases: Sequence[Phrase]) -> BiasingReport:
        decoder = self.acquire()
        unmatched = tuple(each for each in map(decoder.unmatched, phrases) if each is not None)
        self.release(decoder)
        return BiasingReport(len(phrases) - len(unmatched), unmatched)


class _Session:
    """One session; lends its transcriber decoders that expect its phrases (`transcriber.DecoderPool`)."""

    def __init__(self, config: SessionConfig, decoders: Decoders) -> None:
        self._decoders = self._lender = decoders
        self._phrases = config.phrases
        self.cpu_seconds = 0.0
        self.transcriber = Transcriber(config, SileroDetector(), self)

    def acquire(self) -> PocketsphinxDecoder:
        self._lender = self._decoders
        decoder = self._lender.acquire()
        decoder.phrases = self._phrases
        return decoder

    def release(self, decoder: Decoder) -> None:
        self._lender.release(decoder)

    def adopt(self, decoders: Decoders) -> list[Event]:
        """From the next utterance on."""
        self._decoders = decoders
        return []

    def expect(self, phrases: tuple[Phrase, ...]) -> list[Event]:
        self._phrases = phrases
        return [self._decoders.report(phrases)]


class PocketsphinxHandler:
    """Implements `worker_process.Handler`."""

    def __init__(self, definitions: Sequence[str]) -> None:
        bundles = [PocketsphinxBundle.open(read_definition(Path(path))) for path in definitions]
        self._decoders = {bundle.definition.id: Decoders(bundle) for bundle in bundles}
        self._adapted: OrderedDict[tuple[str, str], Decoders] = OrderedDict()
        self._sessions: dict[int, _Session] = {}
        self._models: dict[int, str] = {}
        SileroDetector()  # reads its weights now

    def open(self, session: int) -> None:
        """Nothing yet: the config comes as the first request."""

    def request(self, session: int, payload: bytes) -> bytes:
        kind, body = payload[:1], payload[1:]
        begin = time.process_time()
        if kind == messages.CONFIG:
            events = self._configure(session, messages.unpack_config(body))
        elif kind == messages.LANGUAGE_MODEL:
            adapted = self._adapt(self._models[session], messages.unpack_language_model(body))
            events = self._sessions[session].adopt(adapted)
        else:
            events = self._ask(self._sessions[session], kind, body)
        state = self._sessions[session]
        state.cpu_seconds += time.process_time() - begin
        if kind == messages.FINISH:
            events.append(SessionStats(round(state.transcriber.speech_seconds, 3), round(state.cpu_seconds, 6)))
        return messages.pack_events(events)

    def close(self, session: int) -> None:
        self._models.pop(session, None)
        state = self._sessions.pop(session, None)
        if state is not None:
            state.transcriber.close()

    def _configure(self, session: int, config: SessionConfig) -> list[Event]:
        decoders = self._decoders.get(config.model)
        if decoders is None:
            raise FailedPrecondition(f"the model {config.model} is not loaded here", reason="MODEL_MISSING")
        if config.language_model is not None:
            decoders = self._adapt(config.model, config.language_model)
        self._models[session] = config.model
        self._sessions[session] = _Session(config, decoders)
        return [decoders.report(config.phrases)] if config.phrases else []

    def _adapt(self, model: str, language_model: LanguageModel) -> Decoders:
        key = (model, language_model.key)
        if key not in self._adapted:
            self._adapted[key] = self._decoders[model].adapted(language_model)
            if len(self._adapted) > _KEPT_LANGUAGE_MODELS:
                self._adapted.popitem(last=False)
        self._adapted.move_to_end(key)
        return self._adapted[key]

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
