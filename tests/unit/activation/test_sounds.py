"""Sounds told by level and spectrum: made ones whose label, time and level are known."""

from __future__ import annotations

import numpy as np
import pytest

from services.activation.engines import RATE_HZ
from services.activation.sounds import BANG, BEEP, NOISE, SILENCE, Sound, SoundDetector
from services.runtime.audio import Pcm

pytestmark = pytest.mark.unit


def hiss(seconds: float, deviation: float, seed: int = 1) -> Pcm:
    noise = np.random.default_rng(seed).normal(0, deviation, round(seconds * RATE_HZ))
    return np.clip(noise, -32768, 32767).astype(np.int16)


def clap() -> Pcm:
    fading = np.exp(-np.arange(RATE_HZ // 5) / (RATE_HZ * 0.02))
    return (hiss(0.2, 9000) * fading).astype(np.int16)


def beep(hertz: float, seconds: float, amplitude: float = 5000) -> Pcm:
    return (amplitude * np.sin(2 * np.pi * hertz * np.arange(round(seconds * RATE_HZ)) / RATE_HZ)).astype(np.int16)


def voice(seconds: float) -> Pcm:
    """A buzz of 120 Hz with its harmonics, of a syllable's length each quarter of a second."""
    at = np.arange(round(seconds * RATE_HZ)) / RATE_HZ
    buzz = sum(np.sin(2 * np.pi * 120 * harmonic * at) / harmonic for harmonic in range(1, 20))
    return (4000 * buzz * (0.5 - 0.5 * np.cos(2 * np.pi * 4 * at))).astype(np.int16)


def sounds(*parts: Pcm, step: int = 1600) -> list[Sound]:
    pcm, detector = np.concatenate(parts), SoundDetector(RATE_HZ, -55.0)
    return [s for start in range(0, pcm.size, step) for s in detector.feed(pcm[start : start + step])]


@pytest.mark.parametrize("step", [7, 320, 1600, 100_000])
def test_a_clap_is_a_bang(step: int) -> None:
    (bang,) = sounds(hiss(1.0, 30), clap(), hiss(1.0, 30), step=step)
    assert (bang.label, bang.score >= 0.5) == (BANG, True)
    assert bang.start_s == pytest.approx(1.0, abs=0.03)
    assert bang.end_s < 1.2
    assert bang.level_dbfs == pytest.approx(20 * np.log10(9000 / 32768), abs=5)


@pytest.mark.parametrize("hertz", [400, 1000, 2000, 3100, 5000])
def test_a_beep_is_a_beep_and_an_alarm_several(hertz: float) -> None:
    found = sounds(hiss(0.5, 30), *[part for _ in range(3) for part in (beep(hertz, 0.4), hiss(0.4, 30))])
    assert [sound.label for sound in found if sound.label == BEEP] == [BEEP] * 3
    assert [sound.start_s for sound in found if sound.label == BEEP] == pytest.approx([0.5, 1.3, 2.1], abs=0.05)


def test_a_steady_noise_is_found_once() -> None:
    (noise,) = (sound for sound in sounds(hiss(0.5, 30), hiss(6.0, 2000)) if sound.label == NOISE and sound.end_s > 1)
    assert noise.end_s - noise.start_s == pytest.approx(2.0)
    assert noise.level_dbfs == pytest.approx(20 * np.log10(2000 / 32768), abs=1)


def test_silence_is_found_once_for_each_time() -> None:
    quiet = np.zeros(4 * RATE_HZ, np.int16)
    found = [sound for sound in sounds(quiet, voice(1.0), quiet) if sound.label == SILENCE]
    assert [sound.start_s for sound in found] == pytest.approx([0.0, 5.0], abs=0.1)


def test_a_voice_is_none_of_them() -> None:
    assert [sound.label for sound in sounds(hiss(0.5, 30), voice(5.0), hiss(0.5, 30))] == []


@pytest.mark.parametrize("pcm", [np.zeros(0, np.int16), np.full(RATE_HZ, 32767, np.int16), hiss(1, 1e9)])
def test_extremes_do_no_harm(pcm: Pcm) -> None:
    assert all(0 <= sound.score <= 1 for sound in sounds(pcm, pcm))
