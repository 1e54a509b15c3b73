"""Several devices at one front door, over a real channel: who is granted, and what becomes of the rest."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from antiphon.arbitration.v1 import arbitration_pb2 as pb
from antiphon.arbitration.v1 import arbitration_pb2_grpc, assistant_pb2, assistant_pb2_grpc
from services.registry import CAPABILITIES, DEFAULT_POOLS
from services.runtime.platform import PlatformSettings
from services.runtime.server import GrpcPlatform
from services.runtime.spec import load_spec
from tests.fixtures.front_door import END, Request
from tests.fixtures.toy_client import Failure

pytestmark = pytest.mark.integration

POOLS = tuple(pool for pool in DEFAULT_POOLS if pool.name in ("arbitration", "nlu", "dialogue", "skills"))
LATE = pb.CLAIM_POLICY_LATE_REVOKE
Stub = arbitration_pb2_grpc.ArbitrationServiceStub


@pytest.fixture
async def channel() -> AsyncIterator[grpc.aio.Channel]:
    specs = {pool.capability: load_spec(CAPABILITIES[pool.capability]) for pool in POOLS}
    async with (
        GrpcPlatform(PlatformSettings(port=0, pool_port=0, pools=POOLS), specs) as platform,
        grpc.aio.insecure_channel(platform.target) as channel,
    ):
        yield channel


def claim(
    device: str, level: float, policy: pb.ClaimPolicy.ValueType = pb.CLAIM_POLICY_UNSPECIFIED, **fields: Any
) -> pb.ClaimActivationRequest:
    """Of a device that heard the word at `level` dB."""
    made = pb.ClaimActivationRequest(
        activation_id=f"a-{device}",
        phrase="alexa",
        voice_level_dbfs=level,
        ambient_level_dbfs=-50,
        wake_score=0.9,
        policy=policy,
    )
    made.context.device.device_id = device
    made.wake_time.CopyFrom(fields.pop("wake_time", None) or Timestamp(seconds=int(time.time())))
    made.context.home = fields.pop("home", "")
    for name, value in fields.items():
        setattr(made, name, value)
    return made


async def converse(
    channel: grpc.aio.Channel, device: str, *, end: bool, home: str = ""
) -> list[assistant_pb2.ConverseResponse]:
    """A conversation that rests on a grant; all that it is told."""
    config = assistant_pb2.ConverseConfig(language_codes=["en"])
    config.wake.phrase, config.wake.activation_id = "alexa", f"a-{device}"
    config.context.device.device_id = device
    config.context.home = home

    async def requests() -> AsyncIterator[Request]:
        yield Request(config=config)
        if end:
            yield Request(text=assistant_pb2.TextInput(text="what is two plus two"))
            yield END
        else:
            await asyncio.sleep(20)

    stub = assistant_pb2_grpc.AssistantServiceStub(channel)
    return [event async for event in stub.Converse(requests(), timeout=20)]


async def test_the_best_of_several_is_granted_and_told_what_others_would_do(channel: grpc.aio.Channel) -> None:
    stub = Stub(channel)
    far, near = await asyncio.gather(*(stub.ClaimActivation(claim(*one)) for one in (("far", -40), ("near", -25))))
    assert (far.granted, far.reason, near.granted, near.reason) == (False, "OTHER_DEVICE", True, "BEST_SCORE")
    assert far.winner_device_id == near.winner_device_id == "near"
    assert [one.device_id for one in far.claims] == ["near", "far"]
    other = {one.policy: one for one in far.counterfactuals}
    assert set(other) == {pb.CLAIM_POLICY_FIRST, pb.CLAIM_POLICY_SCORE, LATE}
    assert other[pb.CLAIM_POLICY_SCORE].waited.ToMilliseconds() >= other[pb.CLAIM_POLICY_FIRST].waited.ToMilliseconds()
    assert 100 <= max(far.waited.ToMilliseconds(), near.waited.ToMilliseconds()) < 5_000


async def test_a_device_that_was_granted_too_early_is_told_in_its_conversation(channel: grpc.aio.Channel) -> None:
    stub = Stub(channel)
    first = await stub.ClaimActivation(claim("far", -40, LATE))
    assert (first.granted, first.provisional, first.reason) == (True, True, "FIRST")
    talking = asyncio.create_task(converse(channel, "far", end=False))
    await asyncio.sleep(0.05)
    better = await stub.ClaimActivation(claim("near", -25, LATE))
    assert (better.granted, better.reason) == (True, "BEST_SCORE")
    told = await asyncio.wait_for(talking, 5)
    assert told[0].WhichOneof("event") == "session_started"
    assert told[-1].activation_revoked.activation_id == "a-far"
    assert told[-1].activation_revoked.reason == "OTHER_DEVICE"
    again = await stub.ClaimActivation(claim("far", -40, LATE))
    assert (again.granted, again.reason) == (False, "REVOKED")
    assert (await converse(channel, "far", end=True))[-1].WhichOneof("event") == "activation_revoked"
    answered = await converse(channel, "near", end=True)
    assert any(event.WhichOneof("event") == "turn_completed" for event in answered)
    assert not any(event.WhichOneof("event") == "activation_revoked" for event in answered)


async def test_a_device_that_starts_a_turn_without_the_grant_is_told_in_its_conversation(
    channel: grpc.aio.Channel,
) -> None:
    stub = Stub(channel)
    for device in ("near", "far"):
        await stub.ClaimActivation(claim(device, -20, pb.CLAIM_POLICY_FIRST))
    config = assistant_pb2.ConverseConfig(language_codes=["en"])
    config.context.device.device_id = "far"
    start = assistant_pb2.StartTurn(wake=assistant_pb2.Wake(phrase="alexa", activation_id="a-far"))

    async def requests() -> AsyncIterator[Request]:
        yield Request(config=config)
        yield Request(control=assistant_pb2.ConverseControl(start_turn=start))
        await asyncio.sleep(20)

    stream = assistant_pb2_grpc.AssistantServiceStub(channel).Converse(requests(), timeout=20)
    told = [event async for event in stream]
    assert told[-1].activation_revoked.activation_id == "a-far"


async def test_homes_that_share_credentials_answer_each(channel: grpc.aio.Channel) -> None:
    stub = Stub(channel)
    asked = [stub.ClaimActivation(claim(f"in {home}", -20, pb.CLAIM_POLICY_FIRST, home=home)) for home in "ab"]
    mine, theirs = await asyncio.gather(*asked)
    assert [mine.granted, theirs.granted] == [True, True]
    assert [one.device_id for one in mine.claims] == ["in a"]
    assert not (await stub.ClaimActivation(claim("other", -10, pb.CLAIM_POLICY_FIRST, home="a"))).granted
    assert (await converse(channel, "other", end=True, home="a"))[-1].WhichOneof("event") == "activation_revoked"


@pytest.mark.parametrize(
    ("broken", "field"),
    [
        (claim("a", -20, activation_id=""), "activation_id"),
        (claim("a", -20, activation_id="x" * 65), "activation_id"),
        (claim("", -20), "context.device.device_id"),
        (claim("a", 3), "voice_level_dbfs"),
        (claim("a", float("nan")), "voice_level_dbfs"),
        (claim("a", -20, ambient_level_dbfs=-101), "ambient_level_dbfs"),
        (claim("a", -20, wake_score=1.5), "wake_score"),
        (claim("a", -20, audio_fingerprint=bytes(4097)), "audio_fingerprint"),
        (claim("a", -20, phrase="x" * 129), "phrase"),
        (pb.ClaimActivationRequest(activation_id="x", context=claim("a", -20).context), "wake_time"),
        (claim("a", -20, wake_time=Timestamp(seconds=2**62)), "wake_time"),
        (claim("a", -20, wake_time=Timestamp(seconds=1, nanos=-1)), "wake_time"),
        (claim("a", -20, home="x" * 129), "context.home"),
    ],
    ids=range(13),
)  # fmt: skip
async def test_broken_claims_are_refused_by_field(
    channel: grpc.aio.Channel, broken: pb.ClaimActivationRequest, field: str
) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await Stub(channel).ClaimActivation(broken)
    assert Failure(refused.value).bad_fields == [field]
