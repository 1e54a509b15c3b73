"""The domain of activation: a stream of audio in; changes of speech activity, sounds and wake words out.

`servicer.py` calls it, one `DetectionSession` per stream. Device-directed speech has its place in the contract and no
model here: asking for it is refused, never answered with a guess.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from services.activation.engines import HOP, RATE_HZ, PhraseSpotter, VoiceActivity, VoiceActivityStream
from services.activation.onsets import Onset, OnsetDetector, level_dbfs
from services.activation.settings import ActivationSettings
from services.activation.sounds import LABELS, Sound, SoundDetector
from services.activation.wake import Wake, WakeListener, WakeWord, check_wake_words, unknown_activation
from services.runtime.audio import Framer, Pcm
from services.runtime.errors import FailedPrecondition, InvalidInput

SOUND_ONSET = "sound_onset"
"""The acoustic event of any sound that begins; the others are those of `sounds.py`."""

ACOUSTIC_LABELS = (SOUND_ONSET, *LABELS)

_HOP_S = HOP / RATE_HZ
_LEVEL_SAMPLES = RATE_HZ // 10


@dataclass(frozen=True)
class DetectionRequest:
    """What to listen for.

    Attributes:
        speech: report where speech begins and ends.
        sensitivity: how little counts as speech, 0 (only clear speech) to 1 (whisper).
        acoustic_labels: sounds to report; None for none, empty for all there are.
        acoustic_threshold: score from which on a sound is reported, 0 to 1.
        wake_words: phrases to listen for.
        directed_speech: judge whether the device is meant; there is no model.
    """

    speech: bool = False
    sensitivity: float = 0.5
    acoustic_labels: tuple[str, ...] | None = None
    acoustic_threshold: float = 0.5
    wake_words: tuple[WakeWord, ...] = ()
    directed_speech: bool = False

    def check(self) -> None:
        """Raises InvalidInput or FailedPrecondition for what cannot be served."""
        for field, value in (
            ("speech_sensitivity", self.sensitivity),
            ("acoustic_events.threshold", self.acoustic_threshold),
        ):
            if not 0 <= value <= 1:
                raise InvalidInput(f"{field} must be from 0 to 1, not {value:g}", reason="OUT_OF_RANGE", field=field)
        check_wake_words(self.wake_words)
        if self.directed_speech:
            raise FailedPrecondition(
                "no model for device-directed speech is installed",
                reason="DIRECTED_SPEECH_MODEL_MISSING",
                field="directed_speech",
            )
        if set(self.acoustic_labels or ()) - set(ACOUSTIC_LABELS):
            raise FailedPrecondition(  # a client's words are not repeated in errors
                f"there is no such sound here; the labels are {', '.join(ACOUSTIC_LABELS)}",
                reason="ACOUSTIC_EVENT_MODEL_MISSING",
                field="acoustic_events.labels",
            )


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


Event = SpeechChange | Onset | Sound | Wake


class DetectionSession:
    """One stream. Close it.

    Args:
        engine: started.
        request: checked here; raises what `DetectionRequest.check` raises.
        spotter: of wake words, started; `listen_for` opens it when it is needed.
    """

    def __init__(
        self,
        engine: VoiceActivity,
        settings: ActivationSettings,
        request: DetectionRequest,
        spotter: PhraseSpotter,
    ) -> None:
        request.check()
        self._request = request
        self._spotter = spotter
        self._wake: WakeListener | None = None
        self._stream: VoiceActivityStream | None = engine.open() if request.speech else None
        self._tracker = SpeechTracker(request.sensitivity, settings.min_speech_ms, settings.min_silence_ms)
        self._onsets = OnsetDetector(RATE_HZ, settings.onset_db, settings.floor_dbfs)
        self._sounds = SoundDetector(RATE_HZ, settings.floor_dbfs)
        self._framer = Framer(HOP)
        self._recent = np.zeros(0, np.int16)
        self._heard_s = 0.0

    async def listen_for(self, words: Sequence[WakeWord]) -> None:
        """Listen for these wake words from the next audio on, and for no other.

        Raises:
            InvalidInput: too many, one twice, too long, too short to be told from other speech.
            FailedPrecondition: a word whose pronunciation is not known. What was listened for before stays.
        """
        check_wake_words(words)
        if not words:
            if self._wake is not None:
                await self._wake.close()
            self._wake = None
        elif self._wake is not None:
            await self._wake.replace(words)
        else:
            stream = await self._spotter.open([word.phrase for word in words])
            self._wake = WakeListener(stream, words, RATE_HZ, self._heard_s)

    def revoke(self, activation_id: str) -> None:
        """An activation does not count. Raises NotFound."""
        if self._wake is None:
            raise unknown_activation()
        self._wake.revoke(activation_id)

    async def feed(self, pcm: Pcm) -> list[Event]:
        """Events in this audio, each as soon as it is decided.

        Raises WorkerLost when an engine's process died: the state is gone with it.
        """
        self._heard_s += pcm.size / RATE_HZ
        events: list[Event] = [*self._sounds_in(pcm)]
        if self._wake is not None:
            events += await self._wake.hear(pcm)
        return events + await self._speech(self._framer.feed(pcm))

    async def finish(self) -> list[Event]:
        """The audio has ended: the end of speech that goes on until here, and a wake word just said."""
        events: list[Event] = []
        if self._wake is not None:
            events += await self._wake.finish()
        if self._tracker.speaking:
            events.append(SpeechChange(False, self._tracker.end(), level_dbfs(self._recent)))
        return events

    async def close(self) -> None:
        if self._stream is not None:
            await self._stream.close()
        if self._wake is not None:
            await self._wake.close()

    def _sounds_in(self, pcm: Pcm) -> Iterator[Onset | Sound]:
        labels = self._request.acoustic_labels
        if labels is None:
            return
        wanted = set(labels or ACOUSTIC_LABELS)
        least = self._request.acoustic_threshold
        if SOUND_ONSET in wanted:
            yield from (onset for onset in self._onsets.feed(pcm) if onset.score >= least)
        if wanted - {SOUND_ONSET}:
            found = self._sounds.feed(pcm)
            yield from (sound for sound in found if sound.label in wanted and sound.score >= least)

    async def _speech(self, hops: Pcm) -> list[Event]:
        if self._stream is None or not hops.size:
            return []
        heard = np.concatenate((self._recent, hops.reshape(-1)))
        changes: list[Event] = []
        start = self._recent.size
        for index, probability in enumerate(await self._stream.probabilities(hops.reshape(-1)), 1):
            change = self._tracker.step(probability)
            if change is not None:
                end = start + index * HOP
                changes.append(SpeechChange(*change, level_dbfs(heard[max(0, end - _LEVEL_SAMPLES) : end])))
        self._recent = heard[-_LEVEL_SAMPLES:]
        return changes
