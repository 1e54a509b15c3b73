"""The toy on plain grpc.aio, in the test's own event loop and on free ports."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

pytest.register_assert_rewrite("tests.fixtures.runtime_cases")

from services.runtime.platform import PlatformSettings  # noqa: E402 - after the rewrite is asked for
from services.runtime.server import GrpcPlatform  # noqa: E402
from tests.fixtures.toy import SPEC  # noqa: E402
from tests.fixtures.toy_pools import TOY_POOLS, ToyPlatform, write_keys  # noqa: E402


@pytest.fixture
async def grpc_platform(tmp_path: Path) -> AsyncIterator[GrpcPlatform]:
    """All pools of the toy, with API keys."""
    settings = PlatformSettings(port=0, pool_port=0, api_keys=write_keys(tmp_path), pools=TOY_POOLS)
    async with GrpcPlatform(settings, {"toy": SPEC}) as platform:
        yield platform


@pytest.fixture
def toys(grpc_platform: GrpcPlatform) -> ToyPlatform:
    """Where they are."""
    pools = {pool.name: pool.target for pool in grpc_platform.directory.pools}
    return ToyPlatform("grpc", grpc_platform.target, pools)
