"""Features and voiceprints: the same however the audio arrives, and of the right kind."""

from __future__ import annotations

import numpy as np
import pytest

from services.runtime.audio import Pcm
from services.runtime.errors import FailedPrecondition
from services.speaker import voiceprints
from services.speaker.features import DIMENSIONS, RATE_HZ, VoiceFrames, statistics
from services.speaker.voiceprints import MODEL_FOLDER

pytestmark = pytest.mark.unit


def hum(pitch_hz: float, formants: tuple[float, ...], seconds: float = 4.0, seed: int = 1) -> Pcm:
    """A voiced sound: harmonics of a wavering pitch under resonances, loud and soft in turn."""
    rng = np.random.default_rng(seed)
    time = np.arange(round(seconds * RATE_HZ)) / RATE_HZ
    pitch = pitch_hz * (1 + 0.05 * np.sin(2 * np.pi * (0.7 + 0.2 * rng.random()) * time))
    phase = 2 * np.pi * np.cumsum(pitch) / RATE_HZ
    sound = np.zeros_like(time)
    for harmonic in range(1, int(7000 / pitch_hz)):
        gain = sum(1 / (1 + ((harmonic * pitch_hz - formant) / 120) ** 2) for formant in formants) + 0.01
        sound += gain * np.sin(harmonic * phase + rng.random())
    sound *= 0.6 + 0.4 * np.sin(2 * np.pi * 2 * time)
    sound += 0.001 * rng.normal(size=time.size)
    scaled: Pcm = (8000 * sound / np.abs(sound).max()).astype(np.int16)
    return scaled


def frames(pcm: Pcm, step: int = 1600) -> VoiceFrames:
    heard = VoiceFrames()
    for start in range(0, pcm.size, step):
        heard.feed(pcm[start : start + step])
    return heard


@pytest.mark.parametrize("step", [100, 333, 512, 100_000])
def test_chunks_do_not_matter(step: int) -> None:
    pcm = hum(120, (500, 1500))
    np.testing.assert_allclose(frames(pcm, step).cepstra(), frames(pcm).cepstra(), rtol=1e-4, atol=1e-3)


def test_pauses_do_not_count_as_speech() -> None:
    pcm = np.concatenate((np.zeros(32_000, np.int16), hum(120, (500, 1500), 2.0), np.zeros(32_000, np.int16)))
    assert frames(pcm).speech_s == pytest.approx(2.0, abs=0.3)


@pytest.mark.parametrize("pcm", [np.zeros(0, np.int16), np.zeros(10, np.int16), np.zeros(32_000, np.int16)])
def test_silence_holds_no_speech(pcm: Pcm) -> None:
    assert frames(pcm).speech_s == 0
    assert frames(pcm).cepstra().shape == (0, 48)


def test_loudness_is_left_out() -> None:
    loud = hum(120, (500, 1500))
    loud_print, soft_print = (
        voiceprints.load().voiceprint(frames(pcm).cepstra()) for pcm in (loud, (loud // 4).astype(np.int16))
    )
    assert float(loud_print @ soft_print) > 0.9


def test_the_model_tells_made_up_voices_apart() -> None:
    model = voiceprints.load()
    low = [model.voiceprint(frames(hum(100, (450, 1300, 2400), seed=seed)).cepstra()) for seed in (1, 2)]
    high = model.voiceprint(frames(hum(230, (700, 1900, 3100), seed=3)).cepstra())
    assert float(low[0] @ low[1]) > float(low[0] @ high) + 0.3
    assert np.linalg.norm(high) == pytest.approx(1.0, abs=1e-5)


def test_probability_is_half_at_the_threshold_and_grows() -> None:
    model = voiceprints.load()
    at = -model.offset / model.slope
    assert model.probability(at) == pytest.approx(0.5)
    assert model.probability(-1) < 0.01 < 0.99 < model.probability(1)


def test_statistics_have_their_shape() -> None:
    assert statistics(frames(hum(120, (500,))).cepstra()).shape == (DIMENSIONS,)


def test_a_model_that_was_changed_is_refused(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("model")
    (folder / "model.json").write_bytes((MODEL_FOLDER / "model.json").read_bytes())
    (folder / "model.npz").write_bytes((MODEL_FOLDER / "model.npz").read_bytes() + b"x")
    with pytest.raises(FailedPrecondition) as caught:
        voiceprints.load(folder)
    assert caught.value.reason == "MODEL_DIGEST_MISMATCH"
    with pytest.raises(FailedPrecondition) as caught:
        voiceprints.load(folder / "nowhere")
    assert caught.value.reason == "MODEL_MISSING"
