"""The domain of speech synthesis: pieces of text in, audio and timing marks out, as early as possible.

`servicer.py` calls it; an engine behind `SpeechEngine` speaks one segment at a time. Text is taken as it comes, audio
made as it is read: nothing is computed ahead but the segment in hand, so a client that does not read costs one segment
of memory, and one that leaves (the generator is closed) costs no more work.
"""

from __future__ import annotations

import asyncio
import time
import unicodedata
from collections import deque
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace

import numpy as np

from services.runtime.audio import AudioFormat, Encoding
from services.runtime.errors import AntiphonError, InvalidInput
from services.runtime.language import canonical
from services.tts.engines import EngineChunk, Prosody, SpeechEngine, SpokenWord, Voice
from services.tts.marks import mark_words
from services.tts.normalizer import Normalized, normalize
from services.tts.output import Audio, AudioOutput, speech_length
from services.tts.segmenter import Segment, Segmenter, speakable
from services.tts.settings import TtsSettings
from services.tts.voices import VoiceCatalogue

MIN_RATE, MAX_RATE = 0.5, 2.0
MIN_GAIN_DB, MAX_GAIN_DB = -40.0, 12.0
MAX_PHONEMIZED_TEXTS = 1_000
MAX_PHONEMIZED_LENGTH = 1_000


@dataclass(frozen=True)
class SpeechRequest:
    """How to speak.

    Attributes:
        voice: a voice's id; empty lets the language choose.
        language: BCP-47 tag; empty takes the voice's own.
        rate: factor of the voice's pace, 0.5 to 2.
        pitch: semitones, within what the engine reaches.
        gain_db: -40 to 12.
        format: of the audio wanted; None for LINEAR16 at the engine's own rate.
    """

    voice: str = ""
    language: str = ""
    rate: float = 1.0
    pitch: float = 0.0
    gain_db: float = 0.0
    format: AudioFormat | None = None


@dataclass(frozen=True, slots=True)
class Mark:
    """`kind` is "word" or "sentence"; `start` and `end` are code points of all text, the others seconds of audio."""

    kind: str
    start: int
    end: int
    start_s: float
    end_s: float


@dataclass(frozen=True, slots=True)
class Summary:
    """The end of an utterance, the last event of each.

    Attributes:
        characters: code points of the segments spoken.
        audio_s: seconds of audio given.
        leading_silence_s: of it, before the first audible sample.
        first_audio_s: seconds from the first complete segment to the first audio.
        cpu_s: CPU seconds of the engine.
    """

    characters: int
    audio_s: float
    leading_silence_s: float
    first_audio_s: float
    cpu_s: float


Event = Audio | Mark | Summary


class Synthesizer:
    """Makes utterances. One per service.

    Args:
        engine: started.
        settings: limits and sizes.
    """

    def __init__(self, engine: SpeechEngine, settings: TtsSettings) -> None:
        self.engine = engine
        self.settings = settings
        self.catalogue = VoiceCatalogue(engine.voices)

    def prepare(self, request: SpeechRequest) -> Utterance:
        """Check a request and choose its voice, before any text is there.

        Raises:
            InvalidInput: a value out of range (the message says which), or not a language tag.
            FailedPrecondition: no such voice, or none for the language.
        """
        low, high = self.engine.pitch_range
        _within("prosody.rate", request.rate, MIN_RATE, MAX_RATE, "times the normal pace")
        _within("prosody.pitch_semitones", request.pitch, low, high, "semitones with this voice")
        _within("prosody.volume_gain_db", request.gain_db, MIN_GAIN_DB, MAX_GAIN_DB, "dB")
        voice, language = self.catalogue.choose(request.voice, request.language)
        return Utterance(self.engine, self.settings, request, voice, language)

    async def phonemize(self, texts: Sequence[str], language: str) -> tuple[list[str], str]:
        """The pronunciation of each text in IPA, and the language after fallback.

        Raises:
            InvalidInput: no text, too many, or one that is empty or too long.
            FailedPrecondition: the language is not served.
        """
        voice, served = self.catalogue.choose("", language)
        tag = canonical(language)
        if not 0 < len(texts) <= MAX_PHONEMIZED_TEXTS:
            raise InvalidInput(
                f"texts must be 1 to {MAX_PHONEMIZED_TEXTS}, not {len(texts)}", reason="TEXT_COUNT", field="texts"
            )
        for index, text in enumerate(texts):
            if not 0 < len(text) <= MAX_PHONEMIZED_LENGTH:
                raise InvalidInput(
                    f"a text has 1 to {MAX_PHONEMIZED_LENGTH} characters, not {len(text)}",
                    reason="TEXT_LENGTH",
                    field=f"texts[{index}]",
                )
        return await self.engine.phonemize([normalize(speakable(text), tag).text for text in texts], voice), served


class Utterance:
    """One text on its way to audio; made by `Synthesizer.prepare`.

    Text goes in by `feed`, `flush`, `discard` and `end`, which never wait; `events` gives what comes of it. One task
    may do the one while another does the other.
    """

    def __init__(
        self, engine: SpeechEngine, settings: TtsSettings, request: SpeechRequest, voice: Voice, language: str
    ) -> None:
        self.voice = voice
        self.language = language
        self.format = request.format or AudioFormat(Encoding.LINEAR16, engine.sample_rate)
        self._engine = engine
        self._settings = settings
        self._reading_language = canonical(request.language) if request.language else language
        self._prosody = Prosody(request.rate, request.pitch)
        self._segmenter = Segmenter(settings.max_segment)
        self._output = AudioOutput(
            self.format,
            engine.sample_rate,
            request.gain_db,
            chunk_ms=settings.chunk_ms,
            first_chunk_ms=settings.first_chunk_ms,
        )
        self._waiting: deque[Segment] = deque()
        self._changed = asyncio.Event()
        self._ended = False
        self._discards = 0
        self._failure: AntiphonError | None = None
        self._spoken = 0
        self._cpu_s = 0.0
        self._first_text: float | None = None
        self._first_audio: float | None = None

    @property
    def received(self) -> int:
        """Code points of text received so far."""
        return self._segmenter.received

    def feed(self, piece: str) -> None:
        """Take more text. Raises InvalidInput when a piece, or all of them, are too long."""
        for length, limit in (
            (len(piece), self._settings.max_piece),
            (self.received + len(piece), self._settings.max_text),
        ):
            if length > limit:
                raise InvalidInput(
                    f"the text has more than {limit} characters; send it in several requests",
                    reason="TEXT_TOO_LONG",
                    field="text",
                )
        self._queue(self._segmenter.push(piece))

    def flush(self) -> None:
        """Speak what has arrived, do not wait for the rest of the sentence."""
        self._queue(self._segmenter.finish())

    def discard(self) -> None:
        """Drop what was not given out yet; the utterance goes on with what is fed after this."""
        self._discards += 1
        self._waiting.clear()
        self._segmenter.discard()
        self._output.drop()

    def end(self) -> None:
        """No more text will come."""
        self.flush()
        self._ended = True
        self._changed.set()

    def fail(self, error: AntiphonError) -> None:
        """Stop speaking: `events` raises `error` instead of what would have come."""
        self._failure = error
        self.discard()
        self._changed.set()

    async def events(self) -> AsyncGenerator[Event, None]:
        """Audio and marks in order, at the reader's pace; word marks come before their audio, a `Summary` at the end.

        Raises:
            InvalidInput: there was nothing to speak in the whole text.
            WorkerLost, Overloaded: the engine's; what was spoken so far is whole.
            AntiphonError: what `fail` was given.
        """
        while await self._more():
            async for event in self._speak(self._waiting.popleft()):
                yield event
        if self._first_text is None:
            raise InvalidInput("there is nothing to speak in the text", reason="TEXT_EMPTY", field="text")
        for audio in self._output.finish():
            yield audio
        output, first = self._output, (self._first_audio or self._first_text) - self._first_text
        yield Summary(self._spoken, output.given_s, output.leading_silence_s, first, self._cpu_s)

    def _queue(self, segments: Sequence[Segment]) -> None:
        if segments and self._first_text is None:
            self._first_text = time.monotonic()
        self._waiting.extend(segments)
        self._changed.set()

    async def _more(self) -> bool:
        while not self._waiting and not self._ended and self._failure is None:
            self._changed.clear()
            await self._changed.wait()
        if self._failure is not None:
            raise self._failure
        return bool(self._waiting)

    async def _speak(self, segment: Segment) -> AsyncGenerator[Event, None]:
        output, discards, begun = self._output, self._discards, self._output.taken_s
        output.span = (segment.start, segment.start + len(segment.text))
        said = normalize(segment.text, self._reading_language)
        async with aclosing(self._engine.speak(said.text, self.voice, self._prosody)) as chunks:
            async for chunk in chunks:
                self._cpu_s += chunk.cpu_s
                events = self._events_of(segment, said, chunk)
                while self._discards == discards and (event := next(events, None)):
                    yield event
        if self._discards != discards:
            return
        for audio in output.flush():
            yield audio
        self._spoken += len(segment.text)
        yield Mark("sentence", *output.span, begun, output.taken_s)

    def _events_of(self, segment: Segment, said: Normalized, chunk: EngineChunk) -> Iterator[Event]:
        whole = np.frombuffer(chunk.pcm, "<i2")
        pcm = self._output.trim(whole)
        written = _as_written(said, chunk)
        yield from self._word_marks(segment, written, trimmed=whole.size - pcm.size, length=speech_length(whole))
        for audio in self._output.feed(pcm):
            self._first_audio = self._first_audio or time.monotonic()
            yield audio

    def _word_marks(self, segment: Segment, chunk: EngineChunk, *, trimmed: int, length: int) -> Iterator[Mark]:
        origin, rate = self._output.taken_s, self._engine.sample_rate
        text_start = segment.start + chunk.start
        for word in mark_words(segment.text[chunk.start : chunk.end], chunk.words, length):
            first, last = (max(0, sample - trimmed) / rate for sample in (word.first, word.last))
            yield Mark("word", text_start + word.start, text_start + word.end, origin + first, origin + last)


def _as_written(said: Normalized, chunk: EngineChunk) -> EngineChunk:
    """The chunk in places of the client's text instead of what was said for it."""
    start, end = said.origin(chunk.start, end=True), said.origin(chunk.end, end=True)
    words = tuple(
        SpokenWord(max(0, said.origin(chunk.start + word.position) - start), word.sample) for word in chunk.words
    )
    return replace(chunk, start=start, end=end, words=words)


def normalized(text: str) -> str:
    """NFC, the form in which spans count."""
    return unicodedata.normalize("NFC", text)


def _within(field: str, value: float, low: float, high: float, unit: str) -> None:
    if not low <= value <= high:  # also refuses NaN
        raise InvalidInput(
            f"{field} must be from {low:g} to {high:g} {unit}, not {value:g}", reason="OUT_OF_RANGE", field=field
        )
