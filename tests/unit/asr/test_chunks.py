"""Windows of features: the same whatever the audio was cut to, and none of it lost."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from services.asr.engines.features import Features, FeatureSettings, Frames
from services.asr.engines.neural.chunks import FeatureChunks
from services.runtime.audio import Pcm

pytestmark = pytest.mark.unit

SETTINGS = FeatureSettings(mel_bins=8)


def noise(samples: int) -> Pcm:
    return np.random.default_rng(3).integers(-3_000, 3_000, samples).astype(np.int16)


def windows(audio: Pcm, step: int, window: int = 16, shift: int = 16, tail: int = 0) -> list[Frames]:
    chunks = FeatureChunks(SETTINGS, window, shift, tail)
    found = [each for at in range(0, audio.size, step) for each in chunks.feed(audio[at : at + step])]
    return found + chunks.finish()


@pytest.mark.parametrize("step", [1, 159, 160, 7_680, 100_000])
def test_any_cut_gives_the_same_windows(step: int) -> None:
    audio = noise(8_000)
    whole, cut = np.array(windows(audio, 8_000)), np.array(windows(audio, step))
    assert whole.shape == (4, 16, 8)  # 50 frames, and 14 of silence
    assert np.array_equal(whole, cut)


@pytest.mark.parametrize(("samples", "count"), [(0, 1), (1, 1), (2_560, 1), (2_561, 2), (5_120, 2), (16_000, 7)])
def test_all_audio_is_in_a_window_and_there_is_a_last_one(samples: int, count: int) -> None:
    found = windows(noise(samples), 4_000)
    assert [each.shape for each in found] == [(16, 8)] * count
    assert np.isfinite(np.array(found)).all()


def test_frames_are_those_of_the_whole() -> None:
    audio = noise(16_000)
    features = Features(SETTINGS)
    frames = features.feed(audio)
    assert np.array_equal(np.concatenate(windows(audio, 1_000))[: len(frames)], frames)


def test_silence_fills_the_end() -> None:
    last = windows(noise(1_600), 1_600)[-1]
    assert last[-1] == pytest.approx(np.log(np.finfo(np.float32).eps), abs=0.01)


def test_windows_that_look_ahead_overlap() -> None:
    found = windows(noise(16_000), 999, window=45, shift=32)
    assert len(found) == 4  # 100 frames: begins at 0, 32, 64 and 96
    for one, other in itertools.pairwise(found):
        assert np.array_equal(one[32:], other[:13])


def test_a_tail_is_heard_after_the_last_sound() -> None:
    assert len(windows(noise(2_560), 999, tail=0)) == 1
    assert len(windows(noise(2_560), 999, tail=20)) == 3
