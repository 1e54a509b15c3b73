"""Neural models as an engine of recognition: sessions on the event loop, networks wherever the client runs them.

Built by `app.py`; `recognizer.py` uses it through `protocol.Engine`. A session finds speech with the same segmenter as
every engine, and lets one search of its model hear it. Nothing here computes for long: detector and features take about
5 ms per second of audio, the networks run on the client's threads or on a Triton server, and sessions take turns after
each piece of audio.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import replace

from services.asr.engines.features import Frames
from services.asr.engines.neural.chunks import FeatureChunks
from services.asr.engines.neural.expected import Expected, of_grammar, of_phrases
from services.asr.engines.neural.hotwords import Hotwords
from services.asr.engines.neural.pieces import Tokens
from services.asr.engines.neural.search import Asked, Hypothesis, Search, SpeechModel, StreamShape
from services.asr.engines.protocol import EngineModel
from services.asr.engines.silero import SileroDetector
from services.asr.events import Alternative, Event, SessionStats, Word
from services.asr.grammar import LanguageModel, PhraseGrammar
from services.asr.requests import EndpointingUpdate, Phrase, SessionConfig
from services.asr.segmenter import Segmenter, SpeechDetector
from services.runtime.audio import Pcm
from services.runtime.errors import FailedPrecondition, InvalidInput, Overloaded, Unavailable
from services.runtime.inference import ModelClient

_KEPT_STATES = 400_000  # of all grammars together, about 0.3 KB each; the latest stays whatever it is
_LEAST_STATES = 1_000  # that a grammar counts as: of small ones 400 are kept
_MAX_BUILDS = 8
_INLINE_PHRASES = 50  # spelled on the event loop, about 20 us each; more go to a thread
_COMPARED = 8  # guesses that share the probability of an utterance


class NeuralEngine:
    """All models of a pool, one client.

    Args:
        models: as read.
        client: that runs their parts; closed with the engine.
    """

    def __init__(self, models: Sequence[SpeechModel], client: ModelClient) -> None:
        self.name = models[0].engine
        self._by_id = {model.definition.id: model for model in models}
        self._client = client
        self._grammars: OrderedDict[str, tuple[Expected, LanguageModel]] = OrderedDict()
        self._building: dict[str, asyncio.Task[LanguageModel]] = {}
        self.models = tuple(_described(model, client) for model in models)

    async def start(self) -> None:
        """Loads everything, so that a model that cannot run fails here and not in somebody's first sentence."""
        SileroDetector()  # reads its weights now
        for model in self._by_id.values():
            await model.load()

    def backend(self, model: str) -> str:
        return self._client.backend(self._by_id[model].parts[0])

    async def open(self, config: SessionConfig) -> tuple[NeuralSession, list[Event]]:
        model = self._by_id.get(config.model)
        if model is None:
            raise FailedPrecondition(f"the model {config.model} is not loaded here", reason="MODEL_MISSING")
        session = NeuralSession(self, model, config, SileroDetector())
        if config.language_model is not None:
            await session.adopt(config.language_model)
        return session, await session.update_biasing(config.phrases) if config.phrases else []

    def built(self, model: str, grammar: PhraseGrammar) -> LanguageModel | None:
        key = _key(model, grammar)
        if key not in self._grammars:
            return None
        self._grammars.move_to_end(key)
        return self._grammars[key][1]

    def build(self, model: str, grammar: PhraseGrammar) -> asyncio.Future[LanguageModel]:
        key = _key(model, grammar)
        task = self._building.get(key)
        if task is None:
            if len(self._building) >= _MAX_BUILDS:
                raise Overloaded("too many grammars are being read", reason="BUILDS_PENDING", retry_after=0.5)
            task = asyncio.create_task(self._build(key, self._by_id[model].tokens, grammar))
            self._building[key] = task
            task.add_done_callback(lambda done: self._done(key, done))
        return task

    def hotwords(self, model: LanguageModel) -> Hotwords | None:
        """What a grammar was made to. Raises Unavailable when it is gone."""
        if model.key not in self._grammars:
            raise Unavailable("the language model is gone", reason="LANGUAGE_MODEL_GONE", retry_after=0.1)
        return self._grammars[model.key][0].hotwords

    def check(self) -> None:
        """Sessions open as long as the process lives; a home that is gone is told by the call that misses it."""

    async def close(self) -> None:
        for task in self._building.values():
            task.cancel()
        await self._client.close()

    async def _build(self, key: str, tokens: Tokens, grammar: PhraseGrammar) -> LanguageModel:
        began = time.monotonic()
        expected = await asyncio.to_thread(of_grammar, tokens, grammar)
        if grammar.share == 1.0 and not expected.accepted:
            raise InvalidInput(
                "no phrase of the grammar can be heard by this model",
                reason="GRAMMAR_UNUSABLE",
                field="options.grammar",
            )
        folder = "memory" if expected.hotwords else ""
        built = LanguageModel(key, folder, expected.accepted, expected.unmatched, time.monotonic() - began)
        self._grammars[key] = expected, replace(built, build_seconds=0.0)
        while len(self._grammars) > 1 and sum(map(_states, self._grammars.values())) > _KEPT_STATES:
            self._grammars.popitem(last=False)
        return built

    def _done(self, key: str, task: asyncio.Task[LanguageModel]) -> None:
        del self._building[key]
        if not task.cancelled():
            task.exception()  # those who wait were told; nobody may be left


class NeuralSession:
    """One stream; implements `protocol.EngineSession`."""

    def __init__(
        self, engine: NeuralEngine, model: SpeechModel, config: SessionConfig, detector: SpeechDetector
    ) -> None:
        self._engine = engine
        self._model = model
        self._config = config
        self._segmenter = Segmenter(config, detector, self._begin)
        self._phrases: Hotwords | None = None
        self._grammar: Hotwords | None = None
        self._utterance: NeuralUtterance | None = None
        self._spent = self._windows = 0.0  # of the utterances before

    async def feed(self, audio: bytes) -> list[Event]:
        events = await self._segmenter.feed(audio)
        await asyncio.sleep(0)  # silence waits for nothing: others have their turn
        return events

    async def finalize(self) -> list[Event]:
        return await self._segmenter.finalize()

    async def update_endpointing(self, update: EndpointingUpdate) -> list[Event]:
        return self._segmenter.update_endpointing(update)

    async def update_biasing(self, phrases: tuple[Phrase, ...]) -> list[Event]:
        """From the next utterance on."""
        if len(phrases) > _INLINE_PHRASES:
            expected = await asyncio.to_thread(of_phrases, self._model.tokens, phrases)
        else:
            expected = of_phrases(self._model.tokens, phrases)
        self._phrases = expected.hotwords
        return [expected.report()]

    async def adopt(self, model: LanguageModel) -> list[Event]:
        self._grammar = self._engine.hotwords(model)
        return []

    async def finish(self) -> list[Event]:
        events = await self._segmenter.finish()
        self._account()
        spent = self._spent / self._windows if self._windows else None
        return [*events, SessionStats(round(self._segmenter.speech_seconds, 3), None, spent)]

    async def close(self) -> None:
        await self._segmenter.close()

    def _begin(self) -> NeuralUtterance:
        self._account()
        hotwords = tuple(each for each in (self._phrases, self._grammar) if each is not None)
        asked = Asked(self._config.max_alternatives, hotwords, self._config.compute_budget)
        self._utterance = NeuralUtterance(self._model, asked)
        return self._utterance

    def _account(self) -> None:
        """Adds up what the last utterance spent."""
        utterance, self._utterance = self._utterance, None
        if utterance is not None and utterance.spent is not None:
            self._spent += utterance.spent * utterance.windows
            self._windows += utterance.windows


class NeuralUtterance:
    """One utterance; implements `segmenter.Utterance`."""

    def __init__(self, model: SpeechModel, asked: Asked) -> None:
        shape = model.shape
        self._tokens = model.tokens
        self._shape = shape
        self._chunks = FeatureChunks(shape.features, shape.window, shape.shift, shape.tail)
        self._search: Search = model.search(asked)
        self._text: str | None = ""  # None when there may be more to read
        self.windows = 0
        """Windows of features heard."""

    @property
    def spent(self) -> float | None:
        return self._search.spent

    async def feed(self, pcm: Pcm) -> None:
        for window in self._chunks.feed(pcm):
            await self._advance(window, last=False)

    def partial(self) -> str:
        if self._text is None:
            self._text = self._tokens.text(self._search.best(1)[0].tokens)
        return self._text

    async def finish(self, max_alternatives: int, words: bool) -> list[Alternative]:
        *before, last = self._chunks.finish()
        for window in before:
            await self._advance(window, last=False)
        await self._advance(last, last=True)
        guesses = self._search.best(max(max_alternatives, _COMPARED))
        return alternatives(guesses, self._tokens, self._shape, words)[:max_alternatives]

    async def close(self) -> None:
        await self._search.close()

    async def _advance(self, window: Frames, *, last: bool) -> None:
        await self._search.advance(window, last=last)
        self._text = None
        self.windows += 1


def alternatives(guesses: Sequence[Hypothesis], tokens: Tokens, shape: StreamShape, words: bool) -> list[Alternative]:
    """Guesses with words as the domain tells them; none when the best has no words.

    Confidence of a guess is its share of the probability of all guesses, times the mean (geometric) probability of its
    tokens; that of a word is the mean of its own tokens.
    """
    total = sum(math.exp(guess.score - guesses[0].score) for guess in guesses)
    found: dict[str, Alternative] = {}
    for guess in guesses:
        said = tokens.words(guess.tokens)
        text = " ".join(word for word, _ in said)
        if not said and not found:
            return []
        if not said or text in found:
            continue
        share = math.exp(guess.score - guesses[0].score) / total
        heard = _timed(guess, said, shape) if words else ()
        confidence = round(share * _mean(guess.log_probs), 4)
        found[text] = Alternative(text, confidence, heard, guess.score - guess.bonus, guess.bonus)
    return list(found.values())


def _timed(guess: Hypothesis, said: Sequence[tuple[str, list[int]]], shape: StreamShape) -> tuple[Word, ...]:
    """Words with their times: a model tells no more than at which frames it was sure of their tokens.

    A word begins the model's delay before its first token, though not within the word before, and ends with the frame
    of its last.
    """
    found: list[Word] = []
    free = 0.0  # where the word before ends
    for text, places in said:
        first, last = (guess.frames[place] * shape.frame_seconds for place in (places[0], places[-1]))
        start, end = min(first, max(free, first - shape.delay_seconds)), last + shape.frame_seconds
        confidence = _mean([guess.log_probs[place] for place in places])
        found.append(Word(text, round(start, 3), round(end, 3), round(confidence, 4)))
        free = end
    return tuple(found)


def _mean(log_probs: Sequence[float]) -> float:
    return math.exp(sum(log_probs) / len(log_probs)) if log_probs else 0.0


def _states(kept: tuple[Expected, LanguageModel]) -> int:
    hotwords = kept[0].hotwords
    return _LEAST_STATES + (hotwords.states if hotwords else 0)


def _key(model: str, grammar: PhraseGrammar) -> str:
    return f"{model} {grammar.digest}"


def _described(model: SpeechModel, client: ModelClient) -> EngineModel:
    definition = model.definition
    files = [definition.path, *(client.definition(part).path for part in model.parts)]
    return EngineModel(
        id=definition.id,
        locales=definition.locales,
        digest=definition.sha256,
        licence=definition.licence,
        size_bytes=sum(path.stat().st_size for path in files if path.is_file()),
        description=str(definition.parameters.get("description", "")),
    )
