"""The understanding service on a real server without a fallback: what its caller hears when that goes away."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import grpc
import pytest
from google.rpc import error_details_pb2

from antiphon.nlu.v1 import understanding_pb2 as pb
from antiphon.nlu.v1 import understanding_pb2_grpc as pb_grpc
from antiphon.types.v1 import speech_pb2
from services.nlu.app import BUNDLED, SPEC
from services.runtime.model_store import ModelStore
from services.runtime.platform import PlatformSettings, PoolSettings
from services.runtime.server import GrpcPlatform
from services.runtime.statuses import rich_status
from services.runtime.triton.repository import write_repository
from services.runtime.triton.server import TritonServer

pytestmark = [pytest.mark.triton, pytest.mark.timeout(180)]

WITHIN_S = 5.0
TRAINED = {"antiphon/intents-en@2", "antiphon/intents-thin@1"}


@pytest.fixture(scope="module")
def triton_repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    repository = tmp_path_factory.mktemp("repository") / "cpu"
    write_repository(ModelStore([BUNDLED]).models(), repository, platform="cpu")
    return repository


@asynccontextmanager
async def understanding(server: TritonServer, patch: pytest.MonkeyPatch) -> AsyncIterator[Ask]:
    """The service as an operator would set it up; yields what asks it for new sentences."""
    patch.setenv("ANTIPHON_NLU_BACKEND", "triton")
    patch.setenv("ANTIPHON_TRITON_URL", server.address)
    patch.setenv("ANTIPHON_TRITON_FALLBACK", "none")
    settings = PlatformSettings(port=0, pool_port=0, pools=(PoolSettings(name="nlu", capability="nlu"),))
    async with GrpcPlatform(settings, {"nlu": SPEC}) as platform, grpc.aio.insecure_channel(platform.target) as channel:
        yield Ask(pb_grpc.LanguageUnderstandingServiceStub(channel))


class Ask:
    """Says something else each time, so that no reading is remembered."""

    def __init__(self, stub: pb_grpc.LanguageUnderstandingServiceStub) -> None:
        self._stub = stub
        self._said = 0

    async def __call__(self) -> pb.InterpretResponse:
        self._said += 1
        text = f"set an alarm for {self._said % 12 + 1} o'clock on day {self._said}"
        return await self._stub.Interpret(
            pb.InterpretRequest(alternatives=[speech_pb2.SpeechAlternative(spoken_text=text)], language_code="en"),
            timeout=20,
        )


def homes(response: pb.InterpretResponse) -> set[str]:
    """Where the trained models ran, as the answer says."""
    return {model.backend for model in response.models if model.model in TRAINED}


async def test_caller_hears_when_to_come_again_and_is_answered_then(
    triton_server: TritonServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with understanding(triton_server, monkeypatch) as ask:
        assert homes(await ask()) == {"triton"}
        await asyncio.to_thread(triton_server.kill)
        try:
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await ask()
        finally:
            await asyncio.to_thread(triton_server.start)
        assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
        status = rich_status(caught.value)
        assert status is not None
        info, retry = error_details_pb2.ErrorInfo(), error_details_pb2.RetryInfo()
        assert [any(detail.Unpack(kind) for detail in status.details) for kind in (info, retry)] == [True, True]
        assert info.reason == "MODEL_SERVER_UNAVAILABLE"
        async with asyncio.timeout(WITHIN_S):
            while True:
                try:
                    assert homes(await ask()) == {"triton"}
                    break
                except grpc.aio.AioRpcError:
                    await asyncio.sleep(0.1)
