"""Skills whose own models are trained by `UpdateSkill`, over gRPC: paraphrases, versions, divergence, restarts."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import pytest
import pytest_asyncio

from antiphon.nlu.v1 import understanding_pb2 as pb
from antiphon.nlu.v1.understanding_pb2_grpc import LanguageUnderstandingServiceStub as Stub
from antiphon.skill.v1 import manifest_pb2
from antiphon.types.v1 import provenance_pb2, speech_pb2
from services.nlu.app import SPEC
from services.runtime.platform import PlatformSettings, PoolSettings
from services.runtime.server import GrpcPlatform
from services.runtime.statuses import rich_status

pytestmark = pytest.mark.integration

FEEDING = ("feed the hamster", "give the hamster its food", "the hamster needs to be fed", "time to feed the hamster")
CLEANING = ("clean the aquarium", "scrub the fish tank", "the aquarium is dirty", "change the water of the aquarium")
PARAPHRASE = "would you mind giving our hamster a bit of food"


def pets(version: str = "1.0.0", *phrases: str, skill_id: str = "pets") -> manifest_pb2.SkillManifest:
    manifest = manifest_pb2.SkillManifest(skill_id=skill_id, version=version, locales=["en"])
    manifest.intents.add(name="feed").phrases.add(language_code="en", phrases=phrases or FEEDING)
    manifest.intents.add(name="clean").phrases.add(language_code="en", phrases=CLEANING)
    return manifest


async def trained(stub: Stub, manifest: manifest_pb2.SkillManifest, key: str, **fields: Any) -> pb.UpdateSkillResponse:
    """The first answer that no longer says RUNNING."""
    request = pb.UpdateSkillRequest(manifest=manifest, idempotency_key=key, **fields)
    async with asyncio.timeout(30):
        answer = await stub.UpdateSkill(request)
        while answer.state == pb.UPDATE_STATE_RUNNING:
            await asyncio.sleep(0.1)
            answer = await stub.UpdateSkill(request)
    return answer


async def read(stub: Stub, text: str, **options: Any) -> pb.InterpretResponse:
    said = [speech_pb2.SpeechAlternative(spoken_text=text)]
    options_sent = pb.UnderstandingOptions(**options)
    return await stub.Interpret(pb.InterpretRequest(alternatives=said, language_code="en", options=options_sent))


def settings(state: Path) -> PlatformSettings:
    pool = PoolSettings(name="nlu", capability="nlu")
    return PlatformSettings(port=0, pool_port=0, state_dir=str(state), pools=(pool,))


@pytest_asyncio.fixture
async def stub(tmp_path: Path) -> AsyncIterator[Stub]:
    async with GrpcPlatform(settings(tmp_path), {"nlu": SPEC}) as one, grpc.aio.insecure_channel(one.target) as channel:
        yield Stub(channel)


async def test_paraphrases_that_no_phrase_fits_are_understood_once_it_is_trained(stub: Stub) -> None:
    first = await stub.UpdateSkill(pb.UpdateSkillRequest(manifest=pets(), idempotency_key="a"))
    assert first.state == pb.UPDATE_STATE_RUNNING
    served = await trained(stub, pets(), "a")
    assert served.state == pb.UPDATE_STATE_SERVING
    assert served.model.model == "antiphon/one-vs-all.pets@1.0.0"
    understood = await read(stub, PARAPHRASE)
    best = understood.interpretations[0]
    assert best.intent == "pets.feed"
    assert served.model.digest in {one.digest for one in best.models}
    rules = [provenance_pb2.MODEL_MODE_RULES]
    assert (await read(stub, PARAPHRASE, modes=rules)).interpretations[0].out_of_scope


async def test_what_nobody_serves_stays_out_of_scope(stub: Stub) -> None:
    await trained(stub, pets(), "a")
    for text in ("how many moons does jupiter have", "we met at the harbour", "xyzzy"):
        understood = await read(stub, text)
        assert not any(one.intent.startswith("pets.") and one.score > 0.3 for one in understood.interpretations), text


async def test_versions_come_and_go_back(stub: Stub) -> None:
    old = await trained(stub, pets(), "a")
    new = await trained(stub, pets("2.0.0", *FEEDING, "hand the gerbil a carrot"), "b", base_version="1.0.0")
    assert new.model.model == "antiphon/one-vs-all.pets@2.0.0"
    assert new.model.digest != old.model.digest
    back = await trained(stub, pets(), "c", base_version="2.0.0")
    assert back.model.digest == old.model.digest
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await trained(stub, pets("3.0.0"), "d", base_version="2.0.0")
    assert caught.value.code() == grpc.StatusCode.FAILED_PRECONDITION


async def test_a_skill_that_takes_what_others_say_is_blocked_or_warned_of(stub: Stub) -> None:
    await trained(stub, pets(), "a")
    rival = pets(skill_id="rival")
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await stub.UpdateSkill(pb.UpdateSkillRequest(manifest=rival, idempotency_key="b"))
    assert caught.value.code() == grpc.StatusCode.FAILED_PRECONDITION
    assert "DIVERGENCE_TOO_LARGE" in str(rich_status(caught.value))
    assert "rival" not in {one.skill_id for one in (await read(stub, FEEDING[0])).interpretations}
    warned = await stub.UpdateSkill(
        pb.UpdateSkillRequest(manifest=rival, idempotency_key="b", divergence_policy=pb.DIVERGENCE_POLICY_WARN)
    )
    assert warned.divergence > 0.9
    assert [one.skill_id for one in warned.stale_skills] == ["pets"]
    assert any("pets" in warning for warning in warned.warnings)


async def test_stale_models_are_trained_anew_under_a_new_key(stub: Stub) -> None:
    old = await trained(stub, pets(), "a")
    warn = pb.DIVERGENCE_POLICY_WARN
    await trained(stub, pets(skill_id="rival"), "b", divergence_policy=warn)
    assert (await trained(stub, pets(), "a")).model.digest == old.model.digest
    renewed = await trained(stub, pets(), "c")
    assert renewed.model.digest != old.model.digest
    assert "pets" not in {one.skill_id for one in renewed.stale_skills}


async def test_a_divergence_that_is_no_share_is_refused(stub: Stub) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await trained(stub, pets(), "a", max_divergence=1.5)
    assert caught.value.code() == grpc.StatusCode.INVALID_ARGUMENT


async def test_models_outlive_the_replica_and_reach_its_sisters(tmp_path: Path) -> None:
    platform = settings(tmp_path)
    async with (
        GrpcPlatform(platform, {"nlu": SPEC}) as one,
        GrpcPlatform(platform, {"nlu": SPEC}) as sister,
        grpc.aio.insecure_channel(one.target) as channel,
        grpc.aio.insecure_channel(sister.target) as other,
    ):
        served = await trained(Stub(channel), pets(), "a")
        await asyncio.sleep(1.5)
        assert (await trained(Stub(other), pets(), "a")).model.digest == served.model.digest
        assert (await read(Stub(other), PARAPHRASE)).interpretations[0].intent == "pets.feed"
    async with GrpcPlatform(platform, {"nlu": SPEC}) as later, grpc.aio.insecure_channel(later.target) as channel:
        assert (await read(Stub(channel), PARAPHRASE)).interpretations[0].intent == "pets.feed"


async def test_a_phrase_of_two_skills_is_read_alike_for_both_whoever_was_first(stub: Stub) -> None:
    await trained(stub, pets(), "a")
    warn = pb.DIVERGENCE_POLICY_WARN
    rival = pb.UpdateSkillRequest(manifest=pets(skill_id="rival"), idempotency_key="b", divergence_policy=warn)
    await stub.UpdateSkill(rival)
    for at in range(2):
        scores = {one.skill_id: one.score for one in (await read(stub, FEEDING[0])).interpretations}
        assert scores["pets"] == pytest.approx(scores["rival"], rel=0.1), "trained" if at else "only one is trained"
        await trained(stub, pets(skill_id="rival"), "b", divergence_policy=warn)
