"""The activation domain: when speech begins and ends, when a sound begins, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest

from services.activation.detector import DetectionRequest, DetectionSession, Event, SpeechChange, SpeechTracker
from services.activation.engines import HOP, RATE_HZ
from services.activation.onsets import Onset, OnsetDetector, level_dbfs
from services.activation.settings import ActivationSettings
from services.activation.wake import WakeWord
from services.runtime.audio import Pcm
from services.runtime.errors import AntiphonError, FailedPrecondition, InvalidInput
from tests.fakes.voice_activity import LoudIsSpeech, ScriptedSpotter

pytestmark = pytest.mark.unit

HOP_S = HOP / RATE_HZ


def tone(seconds: float, amplitude: int) -> Pcm:
    """Square wave of 100 Hz."""
    time = np.arange(round(seconds * RATE_HZ))
    return np.where(time // 80 % 2, amplitude, -amplitude).astype(np.int16)


def changes(probabilities: list[float], sensitivity: float = 0.5) -> list[tuple[bool, int]]:
    """(began, hop) of each change."""
    tracker = SpeechTracker(sensitivity, min_speech_ms=64, min_silence_ms=320)
    found = [tracker.step(value) for value in probabilities]
    return [(change[0], round(change[1] / HOP_S)) for change in found if change]


def test_speech_begins_and_ends_where_it_did() -> None:
    assert changes([0.0] * 5 + [0.9] * 20 + [0.0] * 12) == [(True, 5), (False, 25)]


def test_a_click_is_no_speech_and_a_gap_no_end() -> None:
    assert changes([0.0] * 5 + [0.9] + [0.0] * 20) == []
    assert changes(([0.9] * 10 + [0.0] * 5) * 3) == [(True, 0)]


@pytest.mark.parametrize(("sensitivity", "heard"), [(0.0, False), (0.5, False), (0.8, True), (1.0, True)])
def test_sensitivity(sensitivity: float, heard: bool) -> None:
    assert bool(changes([0.3] * 10, sensitivity)) is heard


def test_an_onset_is_found_once_and_in_time() -> None:
    detector = OnsetDetector(RATE_HZ, onset_db=15, floor_dbfs=-55)
    onsets = list(detector.feed(np.concatenate((tone(1.0, 100), tone(0.5, 8000), tone(1.0, 100), tone(0.5, 8000)))))
    assert [onset.start_s for onset in onsets] == pytest.approx([1.0, 2.5], abs=0.02)
    assert all(0.02 < onset.decided_s - onset.start_s <= 0.05 for onset in onsets)
    assert all(onset.score > 0.9 for onset in onsets)


def test_steady_noise_and_silence_have_no_onset() -> None:
    noise = np.random.default_rng(1).normal(0, 2000, 3 * RATE_HZ).astype(np.int16)
    assert list(OnsetDetector(RATE_HZ, 15, -55).feed(noise)) == []
    assert list(OnsetDetector(RATE_HZ, 15, -55).feed(np.zeros(3 * RATE_HZ, np.int16))) == []
    assert list(OnsetDetector(RATE_HZ, 15, -55).feed(np.concatenate((tone(1, 1), tone(1, 20))))) == []


def test_level() -> None:
    assert level_dbfs(tone(0.1, 32767)) == pytest.approx(0.0, abs=0.01)
    assert level_dbfs(tone(0.1, 3277)) == pytest.approx(-20.0, abs=0.01)
    assert level_dbfs(np.zeros(10, np.int16)) == -100.0


@pytest.mark.parametrize("size", [7, 160, 777, 100_000])
async def test_a_session_reports_both_in_any_chunks(size: int) -> None:
    engine = LoudIsSpeech()
    wanted = DetectionRequest(speech=True, acoustic_labels=("sound_onset",))
    session = DetectionSession(engine, ActivationSettings(), wanted, ScriptedSpotter())
    audio = np.concatenate((tone(1.0, 100), tone(1.0, 20_000), tone(1.0, 100)))
    events: list[Event] = []
    for start in range(0, audio.size, size):
        events += await session.feed(audio[start : start + size])
    events += await session.finish()
    await session.close()
    speech = [event for event in events if isinstance(event, SpeechChange)]
    assert [change.speaking for change in speech] == [True, False]
    assert speech[0].at_s == pytest.approx(1.0, abs=HOP_S)
    assert speech[1].at_s == pytest.approx(2.0, abs=2 * HOP_S)
    assert speech[0].level_dbfs > -10 > speech[1].level_dbfs
    assert [event.start_s for event in events if isinstance(event, Onset)] == pytest.approx([1.0], abs=0.02)
    assert engine.open_streams == 0


async def test_speech_until_the_end_of_the_audio_ends_there() -> None:
    session = DetectionSession(LoudIsSpeech(), ActivationSettings(), DetectionRequest(speech=True), ScriptedSpotter())
    await session.feed(tone(1.024, 20_000))
    (ended,) = await session.finish()
    assert isinstance(ended, SpeechChange)
    assert not ended.speaking
    assert ended.at_s == pytest.approx(1.024)


@pytest.mark.parametrize(
    ("request_", "kind", "reason"),
    [
        (DetectionRequest(wake_words=(WakeWord("a", 2.0),)), InvalidInput, "OUT_OF_RANGE"),
        (DetectionRequest(wake_words=(WakeWord("Alexa"), WakeWord("alexa "))), InvalidInput, "WAKE_WORD_COUNT"),
        (DetectionRequest(wake_words=tuple(WakeWord(f"w{n}") for n in range(9))), InvalidInput, "WAKE_WORD_COUNT"),
        (DetectionRequest(directed_speech=True), FailedPrecondition, "DIRECTED_SPEECH_MODEL_MISSING"),
        (DetectionRequest(acoustic_labels=("dog",)), FailedPrecondition, "ACOUSTIC_EVENT_MODEL_MISSING"),
        (DetectionRequest(sensitivity=2), InvalidInput, "OUT_OF_RANGE"),
        (DetectionRequest(acoustic_threshold=float("nan")), InvalidInput, "OUT_OF_RANGE"),
    ],
    ids=["wake-threshold", "wake-twice", "wake-many", "directed", "sound", "sensitivity", "threshold"],
)
def test_what_cannot_be_served_is_refused(request_: DetectionRequest, kind: type[AntiphonError], reason: str) -> None:
    engine = LoudIsSpeech()
    with pytest.raises(kind) as caught:
        DetectionSession(engine, ActivationSettings(), request_, ScriptedSpotter())
    assert caught.value.reason == reason
    assert engine.open_streams == 0
