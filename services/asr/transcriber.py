"""One session's hearing in a worker process, by an engine that answers at once.

Called by the engine's worker (`engines/pocketsphinx/worker.py`) for every request. What is speech and when it ends is
the segmenter's affair; a decoder is borrowed for the time of one utterance, so a worker needs as many as there are
people speaking, not sessions.
"""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any, Protocol, TypeVar

from services.asr.events import Alternative, Event
from services.asr.requests import EndpointingUpdate, SessionConfig
from services.asr.segmenter import Segmenter, SpeechDetector
from services.runtime.audio import Pcm

_Answer = TypeVar("_Answer")


class Decoder(Protocol):
    """Words of one utterance at a time; 16 kHz."""

    def start(self, adaptation: str) -> None:
        """Begins an utterance. `adaptation` is what `finish` left for this session, empty at first."""
        ...

    def feed(self, pcm: Pcm) -> None: ...

    def partial(self) -> str: ...

    def finish(self, max_alternatives: int, words: bool) -> list[Alternative]:
        """Ends the utterance; best first, none when nothing was heard. Word times count from the first sample fed."""
        ...

    @property
    def adaptation(self) -> str:
        """What the last utterance taught about speaker and channel."""
        ...


class DecoderPool(Protocol):
    """Where decoders come from. What the client's phrases are worth is the pool's affair."""

    def acquire(self) -> Decoder: ...

    def release(self, decoder: Decoder) -> None: ...


class Transcriber:
    """One session."""

    def __init__(self, config: SessionConfig, detector: SpeechDetector, decoders: DecoderPool) -> None:
        self._decoders = decoders
        self._segmenter = Segmenter(config, detector, self._begin)
        self.adaptation = ""
        """What the session's utterances taught so far."""

    @property
    def speech_seconds(self) -> float:
        return self._segmenter.speech_seconds

    @property
    def held_samples(self) -> int:
        return self._segmenter.held_samples

    def feed(self, data: bytes) -> list[Event]:
        return _answer(self._segmenter.feed(data))

    def finalize(self) -> list[Event]:
        return _answer(self._segmenter.finalize())

    def update_endpointing(self, update: EndpointingUpdate) -> list[Event]:
        return self._segmenter.update_endpointing(update)

    def finish(self) -> list[Event]:
        """The audio is over. Raises InvalidInput when it ended within a sample."""
        return _answer(self._segmenter.finish())

    def close(self) -> None:
        _answer(self._segmenter.close())

    def _begin(self) -> _Lent:
        return _Lent(self._decoders, self)


class _Lent:
    """A decoder on loan for one utterance: `segmenter.Utterance`, never waiting."""

    spent: float | None = None

    def __init__(self, decoders: DecoderPool, session: Transcriber) -> None:
        self._decoders = decoders
        self._session = session
        self._decoder = decoders.acquire()
        self._decoder.start(session.adaptation)

    async def feed(self, pcm: Pcm) -> None:
        self._decoder.feed(pcm)

    def partial(self) -> str:
        return self._decoder.partial()

    async def finish(self, max_alternatives: int, words: bool) -> list[Alternative]:
        heard = self._decoder.finish(max_alternatives, words)
        self._session.adaptation = self._decoder.adaptation
        self._decoders.release(self._decoder)
        return heard

    async def close(self) -> None:
        self._decoder.finish(1, False)
        self._decoders.release(self._decoder)


def _answer(steps: Coroutine[Any, Any, _Answer]) -> _Answer:
    """What a coroutine returns that never waits: no event loop is needed."""
    try:
        steps.send(None)
    except StopIteration as done:
        answer: _Answer = done.value
        return answer
    raise RuntimeError("an engine of a worker process must not wait")
