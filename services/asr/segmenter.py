"""One session's hearing: audio in, events out, whichever engine listens.

It decodes the client's encoding, finds speech, and lets the engine hear only while there is some: silence costs nothing
but the detector. Everything that an engine does goes through `Utterance`, whose calls may wait. So the same segmenter
runs on the event loop of a replica (`engines/neural/engine.py`) and, with an engine that never waits, in a worker
process (`transcriber.py`).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from services.asr.endpointing import CHUNK_SECONDS, Change, Endpointer
from services.asr.events import Alternative, Endpoint, EndpointReason, Event, Final, Partial, SpeechActivity, Word
from services.asr.requests import EndpointingUpdate, SessionConfig
from services.asr.stability import StableText
from services.runtime.audio import Framer, Pcm, PcmDecoder

RATE_HZ = 16_000
CHUNK = 512  # samples, 32 ms
_PRE_ROLL_CHUNKS = 10  # 320 ms before the onset: the detector is late for weak consonants
_HELD_AFTER_CHUNKS = 8  # 256 ms of silence are decoded after speech; more waits until speech goes on, or is dropped
_MOST_HELD_CHUNKS = 312  # 10 s: a model forgets an utterance of which it hears nothing for a minute
_LEVEL_CHUNKS = 3  # about 100 ms


class SpeechDetector(Protocol):
    """Speech probability; keeps one stream's state."""

    def probabilities(self, chunks: NDArray[np.int16]) -> list[float]:
        """Probability 0 to 1 of each chunk; shape (n, 512), 16 kHz."""
        ...


class Utterance(Protocol):
    """An engine's ear for one utterance; 16 kHz."""

    async def feed(self, pcm: Pcm) -> None: ...

    def partial(self) -> str: ...

    async def finish(self, max_alternatives: int, words: bool) -> list[Alternative]:
        """Ends the utterance; best first, none when nothing was heard. Word times count from the first sample fed."""
        ...

    async def close(self) -> None:
        """Frees everything in the middle of the utterance; not called once `finish` has answered."""
        ...

    @property
    def spent(self) -> float | None:
        """Compute so far as a fraction of the model's full cost; None where there is no dial."""
        ...


class Segmenter:
    """One session. `begin` gives an ear when an utterance starts."""

    def __init__(self, config: SessionConfig, detector: SpeechDetector, begin: Callable[[], Utterance]) -> None:
        self._config = config
        self._detector = detector
        self._listen = begin
        self._pcm = PcmDecoder(config.format, RATE_HZ)
        self._framer = Framer(CHUNK)
        self._endpointing = config.endpointing
        self._endpointer = Endpointer(config.endpointing)
        self._recent: deque[Pcm] = deque(maxlen=_PRE_ROLL_CHUNKS)
        self._held: list[Pcm] = []
        self._to_decode: list[Pcm] = []
        self._ear: Utterance | None = None
        self._decoded_from = 0  # chunk at which the utterance's audio begins
        self._utterance = 0
        self._revision = 0
        self._told = ("", 0.0, 0)  # the last partial's text, stability and stable prefix
        self._stable = StableText()
        self._endpoint_told = False
        self._finished = False
        self.speech_seconds = 0.0

    @property
    def held_samples(self) -> int:
        """Samples that wait to be decoded, or to be dropped."""
        return sum(chunk.size for chunk in [*self._held, *self._to_decode])

    # What the session may be asked

    async def feed(self, data: bytes) -> list[Event]:
        return await self._hear(self._pcm.feed(data))

    async def finalize(self) -> list[Event]:
        return [] if self._finished else await self._end(EndpointReason.CLIENT)

    def update_endpointing(self, update: EndpointingUpdate) -> list[Event]:
        self._endpointing = update.applied_to(self._endpointing)
        self._endpointer.configure(self._endpointing)
        return []

    async def finish(self) -> list[Event]:
        """The audio is over. Raises InvalidInput when it ended within a sample."""
        events = await self._hear(self._pcm.finish())
        rest = self._framer.rest()
        if rest.size and not self._finished:
            events += await self._hear(np.pad(rest, (0, CHUNK - rest.size)))
        if not self._finished:
            if self._ear is not None:
                events += await self._end(EndpointReason.END_OF_AUDIO)
            elif not self._endpoint_told:
                events += await self._end(EndpointReason.NO_SPEECH)
        self._finished = True
        return events

    async def close(self) -> None:
        ear, self._ear = self._ear, None
        if ear is not None:
            await ear.close()

    # How

    async def _hear(self, pcm: Pcm) -> list[Event]:
        events: list[Event] = []
        if self._finished:
            return events
        chunks = self._framer.feed(pcm)
        if len(chunks):
            for chunk, probability in zip(chunks, self._detector.probabilities(chunks), strict=True):
                events += await self._step(chunk, probability)
                if self._finished:
                    return events
            await self._decode()
            events += self._partial()
        return events

    async def _step(self, chunk: Pcm, probability: float) -> list[Event]:
        self._recent.append(chunk)
        change = self._endpointer.step(probability)
        match change:
            case Change.STARTED:
                self._begin()
                return self._activity(True, self._endpointer.speech_start)
            case Change.SILENCE:
                return await self._end(EndpointReason.SILENCE)
            case Change.NO_SPEECH:
                return await self._end(EndpointReason.NO_SPEECH)
            case Change.MAX_LENGTH:
                self._take(chunk)
                return await self._end(EndpointReason.MAX_LENGTH)
        if self._ear is not None:
            self._take(chunk)
        if change is Change.PAUSED:
            return self._activity(False, self._endpointer.speech_end)
        if change is Change.RESUMED:
            return self._activity(True, self._endpointer.now - 1)
        return []

    def _begin(self) -> None:
        self._ear = self._listen()
        self._to_decode = list(self._recent)
        self._decoded_from = self._endpointer.now - len(self._recent)
        self._revision, self._told, self._stable = 0, ("", 0.0, 0), StableText()

    def _take(self, chunk: Pcm) -> None:
        if self._endpointer.silence > _HELD_AFTER_CHUNKS and len(self._held) < _MOST_HELD_CHUNKS:
            self._held.append(chunk)
            return
        self._to_decode += [*self._held, chunk]
        self._held.clear()

    async def _decode(self) -> None:
        if self._ear is not None and self._to_decode:
            pcm = np.concatenate(self._to_decode)
            self._to_decode.clear()
            await self._ear.feed(pcm)

    def _partial(self) -> list[Event]:
        if self._ear is None or not self._config.interim:
            return []
        text = self._ear.partial()
        stability, prefix = self._stable.look(text)
        if not text or (text, stability, prefix) == self._told:
            return []
        self._revision += text != self._told[0]
        self._told = (text, stability, prefix)
        start, spent = self._seconds(self._decoded_from), self._ear.spent
        return [Partial(self._utterance, self._revision, text, start, self._now, stability, prefix, spent)]

    async def _end(self, reason: EndpointReason) -> list[Event]:
        spoke = self._ear is not None
        start = self._seconds(self._endpointer.speech_start) if spoke else None
        end = self._seconds(self._endpointer.speech_end) if spoke else None
        events: list[Event] = [Endpoint(reason, self._utterance, start, end, self._now)]
        if start is not None and end is not None:
            self.speech_seconds += end - start
            events += await self._final(start, end)
        self._endpointer.end_utterance()
        self._recent.clear()  # it was decoded; the next utterance must not hear it again
        self._held.clear()
        self._utterance += spoke
        self._endpoint_told = True
        self._finished = not self._endpointing.continuous
        return events

    async def _final(self, start: float, end: float) -> list[Event]:
        await self._decode()
        ear = self._ear
        assert ear is not None
        heard = await ear.finish(self._config.max_alternatives, self._config.words)
        self._ear = None  # only now: an ear whose end fails is closed with the session
        if not heard and not self._revision:  # a cough: nothing was told, nothing needs to be taken back
            return []
        offset = self._seconds(self._decoded_from)
        alternatives = tuple(_shifted(alternative, offset) for alternative in heard)
        return [Final(self._utterance, self._revision + 1, alternatives, start, end, ear.spent)]

    def _activity(self, is_speech: bool, chunk: int) -> list[Event]:
        if not self._config.speech_activity:
            return []
        latest = np.concatenate(list(self._recent)[-_LEVEL_CHUNKS:])
        return [SpeechActivity(is_speech, self._seconds(chunk), level_dbfs(latest))]

    @property
    def _now(self) -> float:
        return self._seconds(self._endpointer.now)

    @staticmethod
    def _seconds(chunks: int) -> float:
        return round(chunks * CHUNK_SECONDS, 3)


def level_dbfs(pcm: Pcm) -> float:
    """RMS level, dB re full scale, -100 to 0."""
    power = float(np.mean(np.square(pcm.astype(np.float32) / 32_768.0)))
    return round(max(-100.0, 10.0 * float(np.log10(power + 1e-12))), 1)


def _shifted(alternative: Alternative, offset: float) -> Alternative:
    words = tuple(
        Word(word.text, round(offset + word.start, 3), round(offset + word.end, 3), word.confidence)
        for word in alternative.words
    )
    return Alternative(
        alternative.text, alternative.confidence, words, alternative.acoustic_score, alternative.language_score
    )
