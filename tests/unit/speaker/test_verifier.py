"""The speaker domain: profiles, tenants, consent, and what is refused."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from services.runtime.audio import Pcm
from services.runtime.errors import AlreadyExists, FailedPrecondition, InvalidInput, NotFound
from services.runtime.store import MemorySessionStore
from services.speaker import voiceprints
from services.speaker.profiles import ProfileStore
from services.speaker.settings import SpeakerSettings
from services.speaker.verifier import CompareRequest, Enrolled, EnrolRequest, Verifier
from tests.unit.speaker.test_voiceprints import hum

pytestmark = pytest.mark.unit

ANNA, BERT = (230.0, (700.0, 1900.0, 3100.0)), (100.0, (450.0, 1300.0, 2400.0))


class Clock:
    """Time that a test sets."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


def verifier(clock: Clock | None = None) -> Verifier:
    store = MemorySessionStore(now=clock or Clock())
    return Verifier(voiceprints.load(), ProfileStore(store, ttl_s=100.0), SpeakerSettings())


async def enrol(
    service: Verifier, voice: tuple[float, tuple[float, ...]], tenant: str = "t", **fields: object
) -> Enrolled:
    enrolment = service.enrolment(tenant, EnrolRequest(consent=True, **fields))  # type: ignore[arg-type]
    for seed in (1, 2):
        enrolment.feed(hum(*voice, seconds=3.0, seed=seed))
        enrolment.end_utterance()
    return await enrolment.finish()


async def compare(service: Verifier, pcm: Pcm, *profiles: str, tenant: str = "t") -> tuple[str, dict[str, float]]:
    comparison = await service.comparison(tenant, CompareRequest(profiles, consent=True))
    comparison.feed(pcm)
    result = comparison.result()
    return result.profile_id, dict(result.scores)


async def test_the_likeliest_voice_is_recognised() -> None:
    service = verifier()
    anna = await enrol(service, ANNA, profile_id="anna")
    bert = await enrol(service, BERT)
    assert (anna.profile_id, anna.utterances) == ("anna", 2)
    assert anna.consistency > 0.5
    assert anna.speech_s == pytest.approx(6.0, abs=1.0)
    found, scores = await compare(service, hum(*ANNA, seed=7), "anna", bert.profile_id)
    assert found == "anna"
    assert scores["anna"] > 0.5
    assert scores["anna"] > scores[bert.profile_id]
    assert (await compare(service, hum(*BERT, seed=8), "anna", bert.profile_id))[0] == bert.profile_id


async def test_another_tenants_profile_is_not_found() -> None:
    service = verifier()
    await enrol(service, ANNA, profile_id="anna")
    with pytest.raises(NotFound):
        await compare(service, hum(*ANNA), "anna", tenant="other")
    assert not await service.delete("other", "anna")
    assert await service.delete("t", "anna")
    assert not await service.delete("t", "anna")
    with pytest.raises(NotFound):
        await compare(service, hum(*ANNA), "anna")


async def test_enrolling_twice_needs_to_be_meant() -> None:
    service = verifier()
    await enrol(service, ANNA, profile_id="anna")
    with pytest.raises(AlreadyExists):
        await enrol(service, BERT, profile_id="anna")
    await enrol(service, BERT, profile_id="anna", replace=True)
    assert (await compare(service, hum(*BERT, seed=9), "anna"))[0] == "anna"
    await enrol(service, ANNA, profile_id="anna", extend=True)
    profile = await service._profiles.get("t", "anna")
    assert len(profile.voiceprints) == 4


async def test_a_repeat_with_its_key_changes_nothing() -> None:
    service = verifier()
    first = await enrol(service, ANNA, key="k1")
    again = await enrol(service, ANNA, key="k1")
    assert again.profile_id == first.profile_id
    with pytest.raises(AlreadyExists):
        await enrol(service, ANNA, profile_id=first.profile_id, key="k2")


async def test_a_profile_expires_unless_it_is_used() -> None:
    clock = Clock()
    service = verifier(clock)
    await enrol(service, ANNA, profile_id="anna")
    for _ in range(3):
        clock.now += 60
        await compare(service, hum(*ANNA), "anna")
    clock.now += 101
    with pytest.raises(NotFound):
        await compare(service, hum(*ANNA), "anna")


async def test_a_profile_of_another_model_is_refused() -> None:
    service = verifier()
    await enrol(service, ANNA, profile_id="anna")
    service.model = dataclasses.replace(service.model, name="antiphon/voice-statistics@2")
    with pytest.raises(FailedPrecondition) as caught:
        await compare(service, hum(*ANNA), "anna")
    assert caught.value.reason == "PROFILE_MODEL_GONE"


async def test_too_little_speech() -> None:
    service = verifier()
    enrolment = service.enrolment("t", EnrolRequest(consent=True))
    enrolment.feed(hum(*ANNA, seconds=2.0))
    with pytest.raises(FailedPrecondition) as caught:
        await enrolment.finish()
    assert float(caught.value.metadata["missing_seconds"]) == pytest.approx(3.0, abs=0.5)
    await enrol(service, ANNA, profile_id="anna")
    with pytest.raises(FailedPrecondition) as caught:
        await compare(service, np.zeros(32_000, np.int16), "anna")
    assert caught.value.reason == "TOO_LITTLE_SPEECH"


async def test_nothing_without_consent() -> None:
    service = verifier()
    with pytest.raises(FailedPrecondition) as caught:
        service.enrolment("t", EnrolRequest())
    assert caught.value.reason == "CONSENT_MISSING"
    with pytest.raises(FailedPrecondition):
        await service.comparison("t", CompareRequest(("anna",)))


@pytest.mark.parametrize(
    "request_",
    [
        CompareRequest((), consent=True),
        CompareRequest(("a",) * 21, consent=True),
        CompareRequest(("../x",), consent=True),
        CompareRequest(("a",), threshold=1.5, consent=True),
        CompareRequest(("a",), threshold=float("nan"), consent=True),
    ],
    ids=["none", "many", "name", "threshold", "nan"],
)
async def test_malformed_comparisons(request_: CompareRequest) -> None:
    with pytest.raises(InvalidInput):
        await verifier().comparison("t", request_)


async def test_a_stream_is_bounded() -> None:
    enrolment = verifier().enrolment("t", EnrolRequest(consent=True))
    second = np.zeros(16_000, np.int16)
    for _ in range(120):
        enrolment.feed(second)
    with pytest.raises(InvalidInput) as caught:
        enrolment.feed(second)
    assert caught.value.reason == "AUDIO_TOO_LONG"
