"""A neural recogniser on Ray Serve, in a pool of its own beside the usual one."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from antiphon.types.v1 import speech_pb2
from services.runtime.deployment import RayPlatform
from tests.fixtures.front_door import ASR_END, LINEAR16, asr_audio, asr_config, recognize
from training.asr_digits.data import WORDS, Utterance, held_out_strings
from training.asr_digits.scoring import distance

pytestmark = [pytest.mark.system, pytest.mark.data]

KNOWN = "george"  # one of the voices it was trained on: whether strangers are understood is told in its card
MOST_ERRORS = 0.15
QUIET = bytes(2 * 8_000)  # half a second


@pytest.fixture(scope="module")
def strings(data: Path) -> Sequence[Utterance]:
    return held_out_strings(KNOWN, data)[:12]


async def test_strings_of_digits_are_heard_word_by_word(platform: RayPlatform, strings: Sequence[Utterance]) -> None:
    pool = platform.directory.named("asr-digits")
    assert pool is not None
    errors = total = 0
    for string in strings:
        wave = (np.clip(string.wave, -1, 1) * 32_767).astype("<i2").tobytes()
        audio = QUIET + wave + QUIET
        chunks = [asr_audio(audio[at : at + 3_200]) for at in range(0, len(audio), 3_200)]
        options = {"interim_results": True, "words": True}
        endpointing = speech_pb2.EndpointingConfig(continuous=True)
        first = asr_config(format=LINEAR16, options={**options, "endpointing": endpointing})
        outcome = await recognize(pool.target, [first, *chunks, ASR_END])
        assert outcome.failure is None
        finals = [result for result in outcome.all("result") if result.is_final and result.alternatives]
        words = [word.text for result in finals for word in result.alternatives[0].words]
        assert set(words) <= set(WORDS)
        assert {(model.engine, model.pool) for result in finals for model in result.models} == {
            ("transducer", "asr-digits")
        }
        errors += distance(string.digits, [WORDS.index(word) for word in words])
        total += len(string.digits)
    assert errors / total <= MOST_ERRORS
