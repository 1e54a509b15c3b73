"""Several devices, two replicas, a real Redis between them: one winner, and none while the server is gone."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest

from services.arbitration.devices.claims import Account, Claims
from services.arbitration.devices.policies import Claim, Policy
from services.runtime.errors import AntiphonError
from services.runtime.store_redis import RedisSessionStore
from tests.fixtures.redis_server import RedisServer

pytestmark = pytest.mark.integration

DEVICES = 5


def claim(device: int) -> Claim:
    return Claim(f"a{device}", f"d{device}", "", time.time(), -20.0, -30.0 - (device * 3) % DEVICES, 0.9, time.time())


async def answers(pair: list[Claims], account: Account, policy: Policy) -> list[int]:
    """The devices whose grant stands, each of which asks the other replica again."""

    async def one(device: int) -> bool:
        mine = claim(device)
        verdict = await pair[device % 2].claim(account, "alexa", mine, policy)
        while verdict.provisional:
            verdict = await pair[(device + 1) % 2].claim(account, "alexa", mine, policy)
        again = await pair[(device + 1) % 2].claim(account, "alexa", mine, policy)
        assert again.granted == verdict.granted
        return verdict.granted

    granted = await asyncio.gather(*(one(device) for device in range(DEVICES)))
    return [device for device, answer in enumerate(granted) if answer]


async def test_replicas_agree_and_a_server_that_is_gone_grants_nobody(tmp_path: Path) -> None:
    with RedisServer(tmp_path) as server:
        stores = [await RedisSessionStore.open(server.url, "claims", timeout=0.5) for _ in range(2)]
        pair = [Claims(store) for store in stores]
        for policy in Policy:
            homes = [Account(f"home {number}", policy.value) for number in range(20)]
            done = await asyncio.gather(*(answers(pair, home, policy) for home in homes))
            assert [len(one) for one in done] == [1] * len(homes)
        server.kill()
        refused = await asyncio.gather(
            *(pair[device % 2].claim(Account("gone"), "alexa", claim(device), Policy.FIRST) for device in range(2)),
            return_exceptions=True,
        )
        assert all(isinstance(one, AntiphonError) and one.retryable for one in refused)
        server.start()
        first, second = (claim(device) for device in range(2))
        assert (await pair[0].claim(Account("gone"), "alexa", first, Policy.FIRST)).granted
        assert not (await pair[1].claim(Account("gone"), "alexa", second, Policy.FIRST)).granted
        for one, store in zip(pair, stores, strict=True):
            await one.close()
            await store.close()
