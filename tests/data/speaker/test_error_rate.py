"""The voice model on real voices: the card's figures, measured again."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path

import pytest
import soundfile

from services.runtime.audio import Pcm
from services.runtime.store import MemorySessionStore
from services.speaker import voiceprints
from services.speaker.profiles import ProfileStore
from services.speaker.settings import SpeakerSettings
from services.speaker.verifier import CompareRequest, EnrolRequest, Verifier
from services.speaker.voiceprints import MODEL_FOLDER
from training.speaker_statistics import train

pytestmark = pytest.mark.data


def test_the_error_rates_are_those_of_the_card(data: Path) -> None:
    test = train.read(data / "audio" / "librispeech-spk" / "test-other")
    model = voiceprints.load()
    card = json.loads((MODEL_FOLDER / "model.json").read_text())["scores"]
    measured = {**train.measure(model, test, stretches=False), **train.measure(model, test, stretches=True)}
    assert measured.keys() == card.keys()
    for name, value in measured.items():
        assert value == pytest.approx(card[name], abs=0.02), name
    assert measured["whole_clip_eer"] <= 0.05
    assert measured["stretch_2_5s_eer"] <= 0.05


async def test_real_voices_are_accepted_and_refused(data: Path) -> None:
    folder = data / "audio" / "librispeech-spk" / "test-other"
    service = Verifier(voiceprints.load(), ProfileStore(MemorySessionStore(), 100.0), SpeakerSettings())
    speakers = sorted(path.name for path in folder.iterdir() if path.is_dir())
    for speaker in speakers:
        enrolment = service.enrolment("t", EnrolRequest(profile_id=speaker, consent=True))
        for clip in _clips(folder / speaker)[:3]:
            enrolment.feed(clip)
            enrolment.end_utterance()
        await enrolment.finish()
    right = 0
    for speaker in speakers:
        comparison = await service.comparison("t", CompareRequest(tuple(speakers), consent=True))
        comparison.feed(_clips(folder / speaker)[5])
        result = comparison.result()
        right += result.profile_id == speaker
        assert sum(score >= 0.5 for _, score in result.scores) <= 2
    assert right >= len(speakers) - 1


async def test_the_equal_error_rate_of_the_service(data: Path) -> None:
    """Profiles of the first three clips of each of six speakers; every other clip is a trial against all profiles.

    No trial's clip was enrolled, and none of the speakers is among those that the model was made from.
    """
    folder = data / "audio" / "librispeech-spk" / "test-other"
    service = Verifier(voiceprints.load(), ProfileStore(MemorySessionStore(), 100.0), SpeakerSettings())
    clips = {path.name: _clips(path) for path in sorted(folder.iterdir()) if path.is_dir()}
    for speaker, spoken in clips.items():
        enrolment = service.enrolment("t", EnrolRequest(profile_id=speaker, consent=True))
        for clip in spoken[:3]:
            enrolment.feed(clip)
            enrolment.end_utterance()
        await enrolment.finish()
    same: list[float] = []
    other: list[float] = []
    for speaker, spoken in clips.items():
        for clip in spoken[3:]:
            comparison = await service.comparison("t", CompareRequest(tuple(clips), consent=True))
            comparison.feed(clip)
            for profile, score in comparison.result().scores:
                (same if profile == speaker else other).append(score)
    assert (len(same), len(other)) == (42, 210)
    assert _equal_error(same, other) <= 0.05


def _equal_error(same: list[float], other: list[float]) -> float:
    """The rate at the threshold where refusing the right and letting in the wrong come closest."""
    rates = [
        (sum(score < at for score in same) / len(same), sum(score >= at for score in other) / len(other))
        for at in sorted({*same, *other})
    ]
    refused, let_in = min(rates, key=lambda pair: abs(pair[0] - pair[1]))
    return (refused + let_in) / 2


def _clips(folder: Path) -> list[Pcm]:
    return [soundfile.read(path, dtype="int16")[0] for path in sorted(folder.glob("*.flac"))]


def test_the_recipe_makes_the_model(data: Path) -> None:
    background = {name: clips[0] for name, clips in train.read(data / "audio/librispeech-spk/train-clean-100").items()}
    slope, offset = train.calibrate(background)
    made, shipped = train.fit(background, slope, offset), voiceprints.load()
    assert -offset / slope == pytest.approx(-shipped.offset / shipped.slope, abs=0.01)
    # Singular vectors have no sign, so voiceprints are compared by what they say of two stretches.
    clips = [background[name] for name in sorted(background)[:8]]
    for first, second in pairwise(clips):
        cosines = [float(m.voiceprint(first) @ m.voiceprint(second)) for m in (made, shipped)]
        assert cosines[0] == pytest.approx(cosines[1], abs=0.02)
