"""Skills over real gRPC: as a third party serves them, and as the platform's own host does."""

from __future__ import annotations

from pathlib import Path

import grpc
import pytest
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from antiphon.skill.v1 import skill_pb2, skill_pb2_grpc
from antiphon.skills import serve
from services.runtime.platform import PlatformSettings, PoolSettings
from services.runtime.server import GrpcPlatform
from services.skillhost.app import SPEC
from skills.calculator.handler import CALCULATOR
from skills.clock.handler import CLOCK
from skills.lists.handler import LISTS
from tests.fakes.skill_turns import expression, request

pytestmark = pytest.mark.integration


async def test_a_third_partys_server() -> None:
    server, port = await serve([CLOCK, CALCULATOR])
    try:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            stub = skill_pb2_grpc.SkillServiceStub(channel)
            manifests = await stub.GetManifest(skill_pb2.GetManifestRequest())
            assert [manifest.skill_id for manifest in manifests.manifests] == ["calculator", "clock"]
            asked = request("calculator.compute", expression("6*7"))
            events = [event async for event in stub.Execute(asked)]
            assert events[0].answer.text == "That is 42."
            assert events[-1].WhichOneof("event") == "done"
    finally:
        await server.stop(grace=None)


async def test_its_errors_can_be_switched_on() -> None:
    server, port = await serve([CLOCK])
    try:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            call = skill_pb2_grpc.SkillServiceStub(channel).Execute(request("radio.on"))
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await call.read()
            assert refused.value.code() is grpc.StatusCode.NOT_FOUND
            status = await rpc_status.aio.from_call(call)
            assert status is not None
            info = error_details_pb2.ErrorInfo()
            status.details[0].Unpack(info)
            assert info.reason == "SKILL_NOT_FOUND"
    finally:
        await server.stop(grace=None)


async def test_the_platforms_own_host(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.skillhost.app.installed_skills", lambda only: (CALCULATOR, CLOCK))
    pool = PoolSettings(name="skills", capability="skills")
    async with (
        GrpcPlatform(PlatformSettings(port=0, pool_port=0, pools=(pool,)), {"skills": SPEC}) as platform,
        grpc.aio.insecure_channel(platform.target) as channel,
    ):
        stub = skill_pb2_grpc.SkillServiceStub(channel)
        manifests = await stub.GetManifest(skill_pb2.GetManifestRequest())
        assert [manifest.skill_id for manifest in manifests.manifests] == ["calculator", "clock"]
        events = [event async for event in stub.Execute(request("calculator.compute", expression("6*7")))]
        assert events[0].answer.text == "That is 42."
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await stub.Execute(request("clock.weather")).read()
        assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT


async def test_what_skills_keep_outlives_the_platform(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("ANTIPHON_SKILL_DATA", raising=False)
    monkeypatch.setattr("services.skillhost.app.installed_skills", lambda only: (LISTS,))
    pool = PoolSettings(name="skills", capability="skills")
    settings = PlatformSettings(port=0, pool_port=0, pools=(pool,), state_dir=str(tmp_path))
    add, read = request("lists.add", key="once"), request("lists.read", key="later")
    add.interpretation.slots.add(name="item").value.text = "milk"
    for asked in (add, read):
        asked.context.session.user_id = "ada"
    said: list[str] = []
    events: list[skill_pb2.ExecuteResponse] = []
    for _ in range(2):
        async with (
            GrpcPlatform(settings, {"skills": SPEC}) as platform,
            grpc.aio.insecure_channel(platform.target) as channel,
        ):
            stub = skill_pb2_grpc.SkillServiceStub(channel)
            events = [event async for event in stub.Execute(add)]
            said += [event.answer.text async for event in stub.Execute(read) if event.HasField("answer")]
    assert said == ["Shopping list: milk."] * 2
    assert events[-1].done.receipt.replayed
    assert (tmp_path / "skills" / "lists.sqlite3").exists()
