"""Strings of digits said by a voice that the recogniser never heard, streamed through the service."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import grpc
import numpy as np
import pytest
import pytest_asyncio

from antiphon.asr.v1 import recognition_pb2 as pb
from antiphon.asr.v1 import recognition_pb2_grpc as pb_grpc
from antiphon.types.v1 import audio_pb2, speech_pb2
from services.asr.app import SPEC
from services.runtime.platform import PlatformSettings, PoolSettings
from services.runtime.server import GrpcPlatform
from training.asr_digits.data import WORDS, Utterance, held_out_strings
from training.asr_digits.scoring import distance

pytestmark = [pytest.mark.data, pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(300)]

MODEL = "antiphon/digits-conv"
UNHEARD = "yweweler"
EVERY = 10  # strings of the test set; all of them are in the model's card
MOST_ERRORS = 0.25  # a share of the words; the card has the figure, this is what would be a defect
PADDING_S = 0.6
Request = pb.StreamingRecognizeRequest


@dataclass(frozen=True)
class Heard:
    """What the service made of a string; times from its first sample."""

    words: list[str]
    starts: list[float]
    ends: list[float]

    @property
    def digits(self) -> list[int]:
        return [WORDS.index(word) for word in self.words]


@pytest.fixture(scope="module")
def strings(data: Path) -> Sequence[Utterance]:
    return held_out_strings(UNHEARD, data)[::EVERY]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def channel() -> AsyncIterator[grpc.aio.Channel]:
    pool = PoolSettings(name="asr", capability="asr", settings={"models": {"en": MODEL}})
    async with (
        GrpcPlatform(PlatformSettings(port=0, pool_port=0, pools=(pool,)), {"asr": SPEC}) as platform,
        grpc.aio.insecure_channel(platform.target) as channel,
    ):
        yield channel


async def listen(channel: grpc.aio.Channel, string: Utterance, phrases: Sequence[str] = ()) -> Heard:
    pause = np.random.default_rng(0).normal(0.0, 1e-3, round(PADDING_S * 16_000))
    audio = (np.clip(np.concatenate((pause, string.wave, pause)), -1, 1) * 32_767).astype("<i2").tobytes()
    options = pb.RecognitionOptions(
        words=True,
        endpointing=speech_pb2.EndpointingConfig(continuous=True),
        biasing=speech_pb2.BiasingConfig(phrases=[speech_pb2.BiasingPhrase(text=text) for text in phrases]),
    )
    source = audio_pb2.AudioFormat(encoding=audio_pb2.AUDIO_ENCODING_LINEAR16, sample_rate_hertz=16_000)
    config = pb.RecognitionConfig(format=source, language_codes=["en"], options=options)

    async def requests() -> AsyncIterator[Request]:
        yield Request(config=pb.StreamingRecognitionConfig(config=config))
        for at in range(0, len(audio), 3_200):
            yield Request(audio=audio[at : at + 3_200])
        yield Request(end_of_audio=pb.EndOfAudio())

    stub = pb_grpc.SpeechRecognitionServiceStub(channel)
    responses = [response async for response in stub.StreamingRecognize(requests(), timeout=60)]
    results = [each.result for each in responses if each.HasField("result") and each.result.is_final]
    words = [word for result in results if result.alternatives for word in result.alternatives[0].words]
    starts, ends = (
        [time.ToNanoseconds() / 1e9 - PADDING_S for time in times]
        for times in ([word.start_offset for word in words], [word.end_offset for word in words])
    )
    return Heard([word.text for word in words], starts, ends)


def said(string: Utterance) -> list[str]:
    return [WORDS[digit] for digit in string.digits]


async def test_an_unheard_voice_is_understood_and_phrases_help(
    channel: grpc.aio.Channel, strings: Sequence[Utterance]
) -> None:
    heard = [await listen(channel, string) for string in strings]
    errors = sum(distance(string.digits, each.digits) for string, each in zip(strings, heard, strict=True))
    total = sum(len(string.digits) for string in strings)
    assert errors / total <= MOST_ERRORS
    texts = [" ".join(said(string)) for string in strings]
    windows = [texts[max(0, at - 2) : at + 3] for at in range(len(texts))]  # the right one among five
    expected = [await listen(channel, string, window) for string, window in zip(strings, windows, strict=True)]
    helped = sum(distance(string.digits, each.digits) for string, each in zip(strings, expected, strict=True))
    assert helped <= errors


async def test_words_are_where_they_were_said(channel: grpc.aio.Channel, strings: Sequence[Utterance]) -> None:
    late: list[float] = []
    for string in strings[:20]:
        heard = await listen(channel, string)
        assert heard.starts == sorted(heard.starts)
        if heard.words == said(string):
            middles = [(start + end) / 2 / 16_000 for start, end in string.spans]
            late += [(start + end) / 2 - at for start, end, at in zip(heard.starts, heard.ends, middles, strict=True)]
    assert len(late) > 20
    assert abs(float(np.median(late))) < 0.12
    assert np.quantile(np.abs(late), 0.9) < 0.25
