"""Decides where speech begins, pauses and ends, from one speech probability per chunk of audio.

Called by `segmenter.py` for every 32 ms. Time is counted in chunks here and turned into seconds by the caller.
"""

from __future__ import annotations

from enum import Enum

from services.asr.requests import Endpointing

CHUNK_SECONDS = 0.032
_ONSET_CHUNKS = 2  # in a row: a click of one chunk is no speech
_PAUSE_SECONDS = 0.2  # a shorter gap lies within a word (a stop's closure) and is not told as a pause
_HYSTERESIS = 0.15  # speech that has begun may get this much less probable


class Change(Enum):
    """What one more chunk made of it."""

    NONE = 0
    STARTED = 1  # of speech, and of an utterance
    PAUSED = 2
    RESUMED = 3
    SILENCE = 4  # endpoints, from here on
    MAX_LENGTH = 5
    NO_SPEECH = 6


class Endpointer:
    """One stream. After an endpoint it waits for the next utterance."""

    def __init__(self, settings: Endpointing) -> None:
        self.now = 0  # chunks heard
        self.speech_start = 0  # first chunk of the utterance
        self.speech_end = 0  # one past its last chunk of speech so far
        self.in_utterance = False
        self._paused = False
        self._run = 0  # chunks of speech in a row while waiting
        self._waiting_since = 0
        self._no_speech_told = False
        self.configure(settings)

    def configure(self, settings: Endpointing) -> None:
        """Takes effect from the next chunk on."""
        self._threshold = 0.8 - 0.6 * settings.sensitivity
        self._start_timeout = settings.start_timeout / CHUNK_SECONDS
        self._end_silence = settings.end_silence / CHUNK_SECONDS
        self._max_length = settings.max_length / CHUNK_SECONDS
        self._client_only = settings.client_only

    @property
    def silence(self) -> int:
        """Chunks of silence since speech was last heard in this utterance."""
        return self.now - self.speech_end

    def step(self, probability: float) -> Change:
        self.now += 1
        return self._within(probability) if self.in_utterance else self._before(probability)

    def end_utterance(self) -> None:
        """Forgets the utterance: called at every endpoint, whoever decided it."""
        self.in_utterance = self._paused = self._no_speech_told = False
        self._run = 0
        self._waiting_since = self.now

    def _before(self, probability: float) -> Change:
        self._run = self._run + 1 if probability >= self._threshold else 0
        if self._run >= _ONSET_CHUNKS:
            self.in_utterance = True
            self.speech_start = self.now - self._run
            self.speech_end = self.now
            return Change.STARTED
        waited = self.now - self._waiting_since
        if not self._no_speech_told and not self._client_only and not self._run and waited >= self._start_timeout:
            self._no_speech_told = True
            return Change.NO_SPEECH
        return Change.NONE

    def _within(self, probability: float) -> Change:
        if self.now - self.speech_start >= self._max_length:
            return Change.MAX_LENGTH
        if probability >= self._threshold - _HYSTERESIS:
            self.speech_end = self.now
            resumed, self._paused = self._paused, False
            return Change.RESUMED if resumed else Change.NONE
        if not self._client_only and self.silence >= self._end_silence:
            return Change.SILENCE
        if not self._paused and self.silence >= _PAUSE_SECONDS / CHUNK_SECONDS:
            self._paused = True
            return Change.PAUSED
        return Change.NONE
