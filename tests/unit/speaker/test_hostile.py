"""Audio and names that no person would send: an enrolment ends in a profile or a typed error, never in nonsense."""

from __future__ import annotations

import math

import numpy as np
import pytest

from services.runtime.audio import Pcm
from services.runtime.errors import AntiphonError, FailedPrecondition, InvalidInput
from services.runtime.store import MemorySessionStore
from services.speaker import voiceprints
from services.speaker.profiles import ProfileStore
from services.speaker.settings import SpeakerSettings
from services.speaker.verifier import CompareRequest, EnrolRequest, Verifier

pytestmark = pytest.mark.unit

SECONDS = 8 * 16_000
LOUD: dict[str, Pcm] = {
    "constant": np.full(SECONDS, 32767, np.int16),
    "noise": np.random.default_rng(0).integers(-32768, 32767, SECONDS).astype(np.int16),
    "square": np.where(np.arange(SECONDS) // 80 % 2, 32767, -32768).astype(np.int16),
}


@pytest.fixture
def service() -> Verifier:
    return Verifier(voiceprints.load(), ProfileStore(MemorySessionStore(), 100.0), SpeakerSettings())


@pytest.mark.parametrize("name", LOUD)
async def test_whatever_is_loud_gives_numbers(service: Verifier, name: str) -> None:
    enrolment = service.enrolment("t", EnrolRequest(profile_id=name, consent=True))
    for start in range(0, SECONDS, 777):
        enrolment.feed(LOUD[name][start : start + 777])
    enrolled = await enrolment.finish()
    assert math.isfinite(enrolled.consistency)
    comparison = await service.comparison("t", CompareRequest((name, name), consent=True))
    comparison.feed(LOUD[name])
    ((profile, score),) = comparison.result().scores
    assert (profile, math.isfinite(score)) == (name, True)


@pytest.mark.parametrize("pcm", [np.zeros(SECONDS, np.int16), np.tile(np.array([0, 1], np.int16), SECONDS // 2)])
async def test_silence_is_no_voice(service: Verifier, pcm: Pcm) -> None:
    enrolment = service.enrolment("t", EnrolRequest(consent=True))
    enrolment.feed(pcm)
    with pytest.raises(FailedPrecondition) as caught:
        await enrolment.finish()
    assert caught.value.reason == "TOO_LITTLE_SPEECH"


async def test_a_thousand_empty_utterances_count_for_nothing(service: Verifier) -> None:
    enrolment = service.enrolment("t", EnrolRequest(consent=True))
    for _ in range(1000):
        enrolment.end_utterance()
    enrolment.feed(LOUD["noise"])
    assert (await enrolment.finish()).utterances == 1


@pytest.mark.parametrize("profile_id", ["../../etc", "a/b", "a b", "\x00", "a" * 129, "voice\n", "ключ\u202e"])
async def test_names_that_are_none(service: Verifier, profile_id: str) -> None:
    async def compare() -> None:
        await service.comparison("t", CompareRequest((profile_id,), consent=True))

    async def delete() -> None:
        await service.delete("t", profile_id)

    with pytest.raises(InvalidInput):
        service.enrolment("t", EnrolRequest(profile_id=profile_id, consent=True))
    for use in (compare, delete):
        with pytest.raises(InvalidInput):
            await use()


@pytest.mark.parametrize(
    "request_",
    [
        EnrolRequest(display_name="x" * 129, consent=True),
        EnrolRequest(display_name="a\x00b", consent=True),
        EnrolRequest(key="k" * 129, consent=True),
        EnrolRequest(language="not a tag!!", consent=True),
        EnrolRequest(extend=True, replace=True, consent=True),
    ],
    ids=["long name", "control character", "long key", "no language", "extend and replace"],
)
def test_enrolments_that_are_refused_before_any_audio(service: Verifier, request_: EnrolRequest) -> None:
    with pytest.raises(AntiphonError) as caught:
        service.enrolment("t", request_)
    assert isinstance(caught.value, InvalidInput)
