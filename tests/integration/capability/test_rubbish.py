"""Every method of the small capabilities against messages that make no sense: an answer or a clear error.

INTERNAL and UNKNOWN are defects of ours, whatever was sent.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from typing import Any

import grpc
import pytest
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from grpc_health.v1 import health_pb2, health_pb2_grpc

from antiphon.types.v1 import audio_pb2
from services.registry import CAPABILITIES
from services.runtime.platform import PlatformSettings, PoolSettings
from services.runtime.server import GrpcPlatform
from services.runtime.spec import load_spec
from tests.fakes.rubbish import fill

pytestmark = [pytest.mark.integration, pytest.mark.timeout(120)]

CALLS = 40
"""Of each method."""

WRITTEN_TOO_LATE = "Internal error from Core"
"""What grpc tells a client that was still writing when the server ended the stream: the server's status is lost."""

LIKELY = {
    "format": None,
    "context": None,
    "session": None,
    "consent": None,
    "interpretation": None,
    "input": None,
    "options": None,
    "encoding": audio_pb2.AUDIO_ENCODING_LINEAR16,
    "sample_rate_hertz": 16_000,
    "channel_count": 1,
    "language_code": "en",
    "session_id": "session",
    "turn_id": "turn",
    "idempotency_key": "key",
    "skill_id": "clock",
    "intent": "clock.time",
    "speaker_recognition": True,
    "speaker_enrolment": True,
    "profile_id": "ada",
    "phrase": "computer",
    "text": "hello there",
    "threshold": 0.5,
}
"""Fields of these names are mostly sensible (None: a message), or nothing would get past the first check."""

OURS = (grpc.StatusCode.INTERNAL, grpc.StatusCode.UNKNOWN)


@pytest.mark.parametrize("capability", ["activation", "dialogue", "skills", "speaker", "tts"])
async def test_no_message_breaks_a_method(capability: str) -> None:
    spec = load_spec(CAPABILITIES[capability])
    pools = (PoolSettings(name=capability, capability=capability),)
    chance = random.Random(7)
    async with (
        GrpcPlatform(PlatformSettings(port=0, pool_port=0, pools=pools), {capability: spec}) as platform,
        grpc.aio.insecure_channel(platform.target) as channel,
    ):
        for service in spec.services:
            for method in service.methods:
                for number in range(CALLS):
                    messages = [nonsense(method, chance, first=at == 0) for at in range(chance.randrange(1, 6))]
                    code, details = await sent(channel, method, messages)
                    assert code not in OURS or details == WRITTEN_TOO_LATE, (
                        f"{method.full_name}, call {number}: {details}: {str(messages)[:3_000]}"
                    )
        assert await health(channel) == health_pb2.HealthCheckResponse.SERVING


async def health(channel: grpc.aio.Channel) -> int:
    stub: Any = health_pb2_grpc.HealthStub(channel)
    return int((await stub.Check(health_pb2.HealthCheckRequest())).status)


def nonsense(method: MethodDescriptor, chance: random.Random, *, first: bool) -> Message:
    """A message with few fields or many; the first of a stream mostly is what it should be, a config."""
    message: Message = GetMessageClass(method.input_type)()
    streams = "config" in method.input_type.fields_by_name
    likely = {"config": None, **LIKELY} if first or not streams else LIKELY
    # Of a stream's message one field is set: fewer others, so that it mostly is the likely one.
    fill(message, chance, chance.choice((0.02, 0.1, 0.3)), likely)
    return message


async def sent(
    channel: grpc.aio.Channel, method: MethodDescriptor, messages: list[Message]
) -> tuple[grpc.StatusCode, str]:
    """How the call ended. Streams are closed after their messages, or when the server ends them."""
    path = f"/{method.containing_service.full_name}/{method.name}"
    open_stream: Any = channel.stream_stream(path)  # on the wire the other kinds are streams of one message
    call = open_stream()

    async def read() -> None:
        with contextlib.suppress(grpc.aio.AioRpcError):
            while await call.read() is not grpc.aio.EOF:
                pass

    reader = asyncio.create_task(read())
    with contextlib.suppress(grpc.aio.AioRpcError, asyncio.InvalidStateError):
        for message in messages if method.client_streaming else messages[:1]:
            await call.write(message.SerializeToString())
            await asyncio.wait({reader}, timeout=0.02)  # time to refuse it: see WRITTEN_TOO_LATE
            if reader.done():
                break
        else:
            await call.done_writing()
    if not (await asyncio.wait({reader}, timeout=5))[0]:
        call.cancel()
        return grpc.StatusCode.UNKNOWN, "no end within 5 s"
    return await call.code(), await call.details() or ""
