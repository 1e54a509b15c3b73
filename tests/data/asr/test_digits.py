"""Strings of digits: that they are always the same, and how their errors are counted."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from services.runtime.inference import Tensor
from services.runtime.model_store import ModelStore
from services.runtime.onnx import OnnxClient
from training.asr_digits.data import SPEAKERS, Recording, features_of, held_out_strings, recordings, string_of
from training.asr_digits.scoring import distance, scored

pytestmark = pytest.mark.data

MODELS = Path(__file__).parents[3] / "services" / "asr" / "models"
NAME = "antiphon/digits-conv"
WORST = 0.2
"""Twice the figure of the card, which is of thirteen times as many strings."""


def test_every_recording_of_a_speaker_is_said_three_times(data: Path) -> None:
    strings = held_out_strings("lucas", data)
    counts = np.bincount([digit for one in strings for digit in one.digits])
    assert list(counts) == [150] * 10
    assert {len(one.digits) for one in strings} == set(range(1, 9))


def test_a_test_set_is_always_the_same(data: Path) -> None:
    first, second = held_out_strings("nicolas", data)[:5], held_out_strings("nicolas", data)[:5]
    for one, other in zip(first, second, strict=True):
        assert one.digits == other.digits
        assert np.array_equal(one.wave, other.wave)


def test_five_speakers_said_each_digit_fifty_times(data: Path) -> None:
    for speaker in SPEAKERS:
        assert list(np.bincount([one.digit for one in recordings(speaker, data)])) == [50] * 10


def test_gaps_are_silent_and_cross_fades_overlap() -> None:
    ones = [Recording(digit=1, wave=np.full(400, 0.5, np.float32))] * 2
    apart = string_of(ones, [200], lead=100, tail=80)
    assert apart.digits == (1, 1)
    assert apart.tokens == (2, 2)
    assert apart.wave.size == 2 * (100 + 400 + 200 + 400 + 80)
    assert apart.spans == ((200, 1000), (1400, 2200))
    assert np.abs(apart.wave[1100:1300]).max() < 0.02  # the resampler rings where the digits begin and end
    together = string_of(ones, [-160], lead=0, tail=0)
    assert together.wave.size == 2 * 640
    assert np.allclose(together.wave[400:-400], 0.5, atol=0.03)  # two linear ramps add up to one


def test_errors_are_substitutions_insertions_and_deletions() -> None:
    assert distance([1, 2, 3], [1, 3]) == 1
    assert distance([1, 2], [1, 2, 2]) == 1
    assert distance([1, 2], [2, 1]) == 2
    score = scored([[1, 2], [3]], [[1], [3, 3]])
    assert score.rate == pytest.approx(2 / 3)
    low, high = score.interval()
    assert low <= score.rate <= high


async def test_the_shipped_recogniser_hears_a_voice_it_was_not_trained_on(data: Path) -> None:
    """Greedy search over 25 of the strings that the card's figure stands for."""
    client = OnnxClient(ModelStore([MODELS]), threads=1)
    said, heard = [], []
    for string in held_out_strings("yweweler", data)[:25]:
        frames = features_of(string.wave)
        whole = np.pad(frames, ((0, -len(frames) % 16), (0, 0)), "edge")[None]
        encoded = [piece["encoded"][0] async for piece in client.stream(f"{NAME}.encoder@1", {"features": whole})]
        said.append(string.tokens)
        heard.append(await greedy(client, np.concatenate(encoded)))
    await client.close()
    assert scored(said, heard).rate < WORST


async def greedy(client: OnnxClient, encoded: Tensor) -> list[int]:
    zeros = np.zeros((1, 64), np.float32)
    state: dict[str, Tensor] = {"token": np.zeros((1, 1), np.int64), "hidden": zeros, "cell": zeros}
    step = await client.infer(f"{NAME}.predictor@1", state)
    tokens: list[int] = []
    for frame in encoded:
        joint = {"encoded": frame[None], "predicted": step["predicted"]}
        best = int((await client.infer(f"{NAME}.joiner@1", joint))["logits"].argmax())
        if best:
            tokens.append(best)
            token = np.array([[best]], np.int64)
            state = {"token": token, "hidden": step["hidden_next"], "cell": step["cell_next"]}
            step = await client.infer(f"{NAME}.predictor@1", state)
    return tokens
