"""The domain of activation: a stream of audio in, changes of speech activity and onsets of sounds out.

`servicer.py` calls it, one `DetectionSession` per stream. Wake words and device-directed speech have their place in the
contract and no model here: asking for them is refused, never answered with a guess.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from services.activation.engines import HOP, RATE_HZ, VoiceActivity, VoiceActivityStream
from services.activation.onsets import Onset, OnsetDetector, level_dbfs
from services.activation.settings import ActivationSettings
from services.runtime.audio import Framer, Pcm
from services.runtime.errors import FailedPrecondition, InvalidInput

SOUND_ONSET = "sound_onset"
"""The one acoustic event there is: some sound begins."""

_HOP_S = HOP / RATE_HZ
_LEVEL_SAMPLES = RATE_HZ // 10


@dataclass(frozen=True)
class DetectionRequest:
    """What to listen for.

    Attributes:
        speech: report where speech begins and ends.
        sensitivity: how little counts as speech, 0 (only clear speech) to 1 (whisper).
        acoustic_labels: sounds to report; None for none, empty for all there are.
        acoustic_threshold: score from which on an onset is reported, 0 to 1.
        wake_words: phrases; there is no model for any.
        directed_speech: judge whether the device is meant; there is no model.
    """

    speech: bool = False
    sensitivity: float = 0.5
    acoustic_labels: tuple[str, ...] | None = None
    acoustic_threshold: float = 0.5
    wake_words: tuple[str, ...] = ()
    directed_speech: bool = False

    def check(self) -> None:
        """Raises InvalidInput or FailedPrecondition for what cannot be served."""
        for field, value in (
            ("speech_sensitivity", self.sensitivity),
            ("acoustic_events.threshold", self.acoustic_threshold),
        ):
            if not 0 <= value <= 1:
                raise InvalidInput(f"{field} must be from 0 to 1, not {value:g}", reason="OUT_OF_RANGE", field=field)
        if self.wake_words:
            raise no_wake_words()
        if self.directed_speech:
            raise FailedPrecondition(
                "no model for device-directed speech is installed",
                reason="DIRECTED_SPEECH_MODEL_MISSING",
                field="directed_speech",
            )
        if unknown := sorted(set(self.acoustic_labels or ()) - {SOUND_ONSET}):
            del unknown  # a client's words are not repeated in errors
            raise FailedPrecondition(
                f"no model tells sounds apart here; the one label is {SOUND_ONSET}",
                reason="ACOUSTIC_EVENT_MODEL_MISSING",
                field="acoustic_events.labels",
            )


def no_wake_words() -> FailedPrecondition:
    """The error of everything that needs a wake word model."""
    return FailedPrecondition("no wake word model is installed", reason="WAKE_WORD_MODEL_MISSING", field="wake_words")


@dataclass(frozen=True, slots=True)
class SpeechChange:
    """Speech began (`speaking`) or ended at `at_s` seconds of audio; `level_dbfs` of the last 100 ms."""

    speaking: bool
    at_s: float
    level_dbfs: float


class SpeechTracker:
    """Turns probabilities per hop into beginnings and ends.

    Args:
        sensitivity: 0 to 1; speech begins at a probability of 0.9 to 0.1 and lasts down to 0.15 less.
        min_speech_ms, min_silence_ms: what is shorter does not count.
    """

    def __init__(self, sensitivity: float, min_speech_ms: int, min_silence_ms: int) -> None:
        self._on = 0.9 - 0.8 * sensitivity
        self._off = max(0.05, self._on - 0.15)
        self._min_speech = max(1, round(min_speech_ms / 1000 / _HOP_S))
        self._min_silence = max(1, round(min_silence_ms / 1000 / _HOP_S))
        self._hop = 0
        self._run = 0
        self._speaking = False

    @property
    def speaking(self) -> bool:
        return self._speaking

    def step(self, probability: float) -> tuple[bool, float] | None:
        """One hop; (began, seconds of audio) at a change."""
        self._hop += 1
        if self._speaking:
            self._run = self._run + 1 if probability < self._off else 0
            needed = self._min_silence
        else:
            self._run = self._run + 1 if probability >= self._on else 0
            needed = self._min_speech
        if self._run < needed:
            return None
        at_s = (self._hop - self._run) * _HOP_S
        self._speaking, self._run = not self._speaking, 0
        return self._speaking, at_s

    def end(self) -> float:
        """Where speech ended when the audio ends within it: seconds of audio."""
        return (self._hop - self._run) * _HOP_S


class DetectionSession:
    """One stream. Close it.

    Args:
        engine: started.
        request: checked here; raises what `DetectionRequest.check` raises.
    """

    def __init__(self, engine: VoiceActivity, settings: ActivationSettings, request: DetectionRequest) -> None:
        request.check()
        self._request = request
        self._stream: VoiceActivityStream | None = engine.open() if request.speech else None
        self._tracker = SpeechTracker(request.sensitivity, settings.min_speech_ms, settings.min_silence_ms)
        self._onsets = OnsetDetector(RATE_HZ, settings.onset_db, settings.floor_dbfs)
        self._framer = Framer(HOP)
        self._recent = np.zeros(0, np.int16)

    async def feed(self, pcm: Pcm) -> list[SpeechChange | Onset]:
        """Events in this audio, each as soon as it is decided.

        Raises WorkerLost when the engine's process died: the state is gone with it.
        """
        events: list[SpeechChange | Onset] = []
        if self._request.acoustic_labels is not None:
            found = self._onsets.feed(pcm)
            events += [onset for onset in found if onset.score >= self._request.acoustic_threshold]
        events += await self._speech(self._framer.feed(pcm))
        return events

    async def finish(self) -> list[SpeechChange | Onset]:
        """The audio has ended: the end of speech that goes on until here."""
        if not self._tracker.speaking:
            return []
        return [SpeechChange(False, self._tracker.end(), level_dbfs(self._recent))]

    async def close(self) -> None:
        if self._stream is not None:
            await self._stream.close()

    async def _speech(self, hops: Pcm) -> list[SpeechChange]:
        if self._stream is None or not hops.size:
            return []
        heard = np.concatenate((self._recent, hops.reshape(-1)))
        start, changes = self._recent.size, []
        for index, probability in enumerate(await self._stream.probabilities(hops.reshape(-1)), 1):
            change = self._tracker.step(probability)
            if change is not None:
                end = start + index * HOP
                changes.append(SpeechChange(*change, level_dbfs(heard[max(0, end - _LEVEL_SAMPLES) : end])))
        self._recent = heard[-_LEVEL_SAMPLES:]
        return changes
