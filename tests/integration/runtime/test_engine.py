"""The runtime's promises on plain grpc.aio; tests/system/runtime holds Ray Serve to the same."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import grpc
import pytest

from antiphon.types.v1 import session_pb2
from services.runtime.platform import PlatformSettings
from services.runtime.server import GrpcPlatform
from tests.fixtures import runtime_cases as cases
from tests.fixtures.certificates import make
from tests.fixtures.toy import SPEC, ToyRequest
from tests.fixtures.toy_client import ToyClient, ending_of, failure_of
from tests.fixtures.toy_pools import TOY_POOLS, ToyPlatform, write_keys

pytestmark = pytest.mark.integration


class TestErrors(cases.ErrorCases):
    pass


class TestCalls(cases.CallCases):
    pass


class TestDiscovery(cases.DiscoveryCases):
    pass


class TestIdentity(cases.IdentityCases):
    pass


class TestTls(cases.TlsCases):
    @pytest.fixture
    async def secured(self, tmp_path: Path) -> AsyncIterator[cases.Secured]:
        certificates = make(tmp_path)
        settings = PlatformSettings(
            port=0,
            pool_port=0,
            api_keys=write_keys(tmp_path),
            tls_certificate=str(certificates.server),
            pools=TOY_POOLS[:1],
        )
        async with GrpcPlatform(settings, {"toy": SPEC}) as platform:
            pools = {pool.name: pool.target for pool in platform.directory.pools}
            yield cases.Secured(ToyPlatform("grpc", platform.target, pools), certificates)


class TestAdmission(cases.AdmissionCases):
    pass


class TestLimits(cases.LimitCases):
    pass


class TestFlow(cases.FlowCases):
    pass


class TestDraining:
    """What Ray Serve asks of a replica before it stops it (tests/system/runtime/test_moving.py has the rest)."""

    async def test_open_streams_are_told_and_go_on_and_new_ones_are_refused(
        self, grpc_platform: GrpcPlatform, toys: ToyPlatform
    ) -> None:
        async with ToyClient.connect(toys.pools["toy"]) as client:
            stream = await cases.opened(client)
            await grpc_platform.replicas["toy"].drain(grace_s=20.0)
            ending = (await stream.read()).session_ending
            assert ending.reason == session_pb2.SESSION_ENDING_REASON_DRAINING
            assert 19.0 < ending.time_left.ToNanoseconds() / 1e9 <= 20.0
            await stream.write(ToyRequest(data=b"goes on"))
            assert (await stream.read()).data == b"goes on"
            for found in ((await ending_of(client.echo()))[1], await failure_of(client.say())):
                assert found is not None
                assert (found.code, found.reason) == (grpc.StatusCode.UNAVAILABLE, "DRAINING")
                assert found.retry_s is not None
            assert await client.health() == "NOT_SERVING"
            assert (await client.describe()).draining
            await stream.done_writing()
            assert (await ending_of(stream))[1] is None

    async def test_what_is_still_open_after_the_grace_period_is_cut(
        self, grpc_platform: GrpcPlatform, toys: ToyPlatform
    ) -> None:
        async with ToyClient.connect(toys.pools["toy"]) as client:
            stream = await cases.opened(client)
            await grpc_platform.replicas["toy"].drain(grace_s=0.2)
            came, found = await ending_of(stream)
        assert len(came) == 1
        assert found is not None
        assert (found.code, found.reason) == (grpc.StatusCode.UNAVAILABLE, "DRAINING")
