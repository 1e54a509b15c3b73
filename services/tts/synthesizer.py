"""The domain of speech synthesis: pieces of text in, audio and timing marks out, as early as possible.

`servicer.py` calls it; an engine behind `SpeechEngine` speaks one segment at a time. Whoever reads the events sets the
pace: nothing is computed ahead but the segment in hand, so a client that does not read costs one segment of memory, and
one that leaves (the generator is closed) costs no more work.
"""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, AsyncIterable, Iterator
from contextlib import aclosing
from dataclasses import dataclass

import numpy as np

from services.runtime.audio import AudioFormat, Encoding
from services.runtime.errors import InvalidInput
from services.tts.engines import EngineChunk, Prosody, SpeechEngine, Voice
from services.tts.marks import mark_words
from services.tts.output import Audio, AudioOutput, speech_length
from services.tts.segmenter import Segment, Segmenter
from services.tts.settings import TtsSettings
from services.tts.voices import VoiceCatalogue

MIN_RATE, MAX_RATE = 0.5, 2.5
MAX_PITCH_SEMITONES = 12.0
MIN_GAIN_DB, MAX_GAIN_DB = -40.0, 6.0


@dataclass(frozen=True)
class SpeechRequest:
    """How to speak.

    Attributes:
        voice: a voice's id; empty lets the language choose.
        language: BCP-47 tag; empty takes the voice's, or the service's default.
        rate: factor of the voice's pace, 0.5 to 2.5.
        pitch: semitones, -12 to 12.
        gain_db: -40 to 6.
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
        characters: code points of text.
        segments: stretches spoken.
        audio_s: seconds of audio given.
        engine_s: seconds spent waiting for the engine.
        first_audio_s: seconds from the first complete segment to the first audio.
    """

    characters: int
    segments: int
    audio_s: float
    engine_s: float
    first_audio_s: float


Event = Audio | Mark | Summary


class Flush:
    """Among the pieces of text: speak what has arrived so far, do not wait for the end of the sentence."""


class Synthesizer:
    """Makes utterances. One per service.

    Args:
        engine: started.
        settings: limits and sizes.
    """

    def __init__(self, engine: SpeechEngine, settings: TtsSettings) -> None:
        self.engine = engine
        self.settings = settings
        self.catalogue = VoiceCatalogue(engine.voices, settings.default_language)

    def prepare(self, request: SpeechRequest) -> Utterance:
        """Check a request and choose its voice, before any text is there.

        Raises:
            InvalidInput: a value out of range (the message says which), or not a language tag.
            FailedPrecondition: no such voice, or none for the language.
        """
        _within("speaking_rate", request.rate, MIN_RATE, MAX_RATE, "times the normal pace")
        _within("pitch", request.pitch, -MAX_PITCH_SEMITONES, MAX_PITCH_SEMITONES, "semitones")
        _within("volume_gain_db", request.gain_db, MIN_GAIN_DB, MAX_GAIN_DB, "dB")
        voice, language = self.catalogue.choose(request.voice, request.language)
        return Utterance(self, request, voice, language)

    async def phonemize(self, text: str, voice: str, language: str) -> tuple[str, Voice]:
        """The pronunciation of `text` in IPA and the voice whose it is. Raises as `prepare` and `Utterance.speak`."""
        chosen, _ = self.catalogue.choose(voice, language)
        segments = self.segments(text)
        return " ".join([await self.engine.phonemize(segment.text, chosen) for segment in segments]), chosen

    def segments(self, text: str) -> list[Segment]:
        """The segments of a whole text. Raises InvalidInput when it is empty or too long."""
        self.check_length(len(text))
        segmenter = Segmenter(self.settings.max_segment)
        segments = segmenter.push(text) + segmenter.finish()
        if not segments:
            raise nothing_to_speak()
        return segments

    def check_length(self, length: int) -> None:
        """Raises InvalidInput when a text has more code points than the service takes."""
        if length > self.settings.max_text:
            raise InvalidInput(
                f"the text has more than {self.settings.max_text} characters; send it in several requests",
                reason="TEXT_TOO_LONG",
                field="text",
            )


class Utterance:
    """One text on its way to audio; made by `Synthesizer.prepare`, spoken once."""

    def __init__(self, synthesizer: Synthesizer, request: SpeechRequest, voice: Voice, language: str) -> None:
        self.voice = voice
        self.language = language
        engine, settings = synthesizer.engine, synthesizer.settings
        self.format = request.format or AudioFormat(Encoding.LINEAR16, engine.sample_rate)
        self._synthesizer = synthesizer
        self._engine = engine
        self._prosody = Prosody(request.rate, request.pitch)
        self._segmenter = Segmenter(settings.max_segment)
        self._output = AudioOutput(
            self.format,
            engine.sample_rate,
            request.gain_db,
            chunk_ms=settings.chunk_ms,
            first_chunk_ms=settings.first_chunk_ms,
        )
        self._segments = 0
        self._engine_s = 0.0
        self._first_text = 0.0
        self._first_audio_s = 0.0

    async def speak(self, pieces: AsyncIterable[str | Flush]) -> AsyncGenerator[Event, None]:
        """Speak the text that arrives; marks come before the audio they point at, and a `Summary` at the end.

        Raises:
            InvalidInput: the text is too long, or there is nothing in it to speak.
            WorkerLost, Overloaded: the engine's; what was spoken so far is whole.
        """
        async for piece in pieces:
            if isinstance(piece, Flush):
                ready = self._segmenter.finish()
            else:
                self._synthesizer.check_length(self._segmenter.received + len(piece))
                ready = self._segmenter.push(piece)
            async for event in self._speak_all(ready):
                yield event
        async for event in self._speak_all(self._segmenter.finish()):
            yield event
        if not self._segments:
            raise nothing_to_speak()
        for audio in self._output.finish():
            yield audio
        yield Summary(
            self._segmenter.received, self._segments, self._output.given_s, self._engine_s, self._first_audio_s
        )

    async def _speak_all(self, segments: list[Segment]) -> AsyncGenerator[Event, None]:
        for segment in segments:
            self._first_text = self._first_text or time.perf_counter()
            self._segments += 1
            async for event in self._speak_segment(segment):
                yield event

    async def _speak_segment(self, segment: Segment) -> AsyncGenerator[Event, None]:
        output = self._output
        begun = output.taken_s
        async for chunk in self._chunks(segment):
            whole = np.frombuffer(chunk.pcm, "<i2")
            pcm = output.trim(whole)
            for mark in self._word_marks(segment, chunk, trimmed=whole.size - pcm.size, length=speech_length(whole)):
                yield mark
            for audio in output.feed(pcm):
                self._first_audio_s = self._first_audio_s or time.perf_counter() - self._first_text
                yield audio
        for audio in output.flush():
            yield audio
        yield Mark("sentence", segment.start, segment.start + len(segment.text), begun, output.taken_s)

    def _word_marks(self, segment: Segment, chunk: EngineChunk, *, trimmed: int, length: int) -> Iterator[Mark]:
        origin, rate = self._output.taken_s, self._engine.sample_rate
        text_start = segment.start + chunk.start
        for word in mark_words(segment.text[chunk.start : chunk.end], chunk.words, length):
            first, last = (max(0, sample - trimmed) / rate for sample in (word.first, word.last))
            yield Mark("word", text_start + word.start, text_start + word.end, origin + first, origin + last)

    async def _chunks(self, segment: Segment) -> AsyncGenerator[EngineChunk, None]:
        """The engine's chunks, with the time it took."""
        async with aclosing(self._engine.speak(segment.text, self.voice, self._prosody)) as chunks:
            while True:
                begun = time.perf_counter()
                chunk = await anext(chunks, None)
                self._engine_s += time.perf_counter() - begun
                if chunk is None:
                    return
                yield chunk


def nothing_to_speak() -> InvalidInput:
    """The error of a text without a single word."""
    return InvalidInput("there is nothing to speak in the text", reason="TEXT_EMPTY", field="text")


def _within(field: str, value: float, low: float, high: float, unit: str) -> None:
    if not low <= value <= high:  # also refuses NaN
        raise InvalidInput(
            f"{field} must be from {low:g} to {high:g} {unit}, not {value:g}", reason="OUT_OF_RANGE", field=field
        )
