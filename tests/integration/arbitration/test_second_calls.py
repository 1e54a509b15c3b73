"""Second calls over real connections: they take another one than the first, and nothing is executed by it."""

from __future__ import annotations

import asyncio
import itertools

import pytest

from benchmarks.skill_servers import skill_servers
from services.arbitration.contexts import Profile, TurnContext
from services.arbitration.hypotheses import Fulfilment, Hypothesis, Interpretation
from services.arbitration.manifests import IntentSpec, Manifest
from services.arbitration.registry_of_skills import SkillRegistry
from services.arbitration.stages.hedging import Hedging, HedgingPolicy

pytestmark = [pytest.mark.integration, pytest.mark.timeout(60)]

CONTEXT = TurnContext("session", "turn", Profile("acme", "en"), now=1_000_000.0)
PATIENT_S = 30.0


async def test_a_second_call_takes_another_connection_and_the_loser_is_gone() -> None:
    """What spreads connections over replicas, as many a third party's balancer does, sends it to another one."""
    numbers = itertools.count()
    hedged = 5

    def answer(request: object, server: int) -> tuple[Fulfilment, float | None]:
        return Fulfilment.YES, None if next(numbers) == hedged else 0.0

    async with skill_servers(answer, 1, SkillRegistry()) as servers:
        manifest = Manifest("clock", "1.0.0", ("en",), (IntentSpec("clock.time"),))
        servers.registry.register(manifest, endpoint=servers.addresses[0])
        # Timed by calls on this machine: whoever has not answered within the 95th percentile is asked again.
        hedging = Hedging(HedgingPolicy(share=1.0, burst=1.0, percentile=0.95, least=hedged, soonest=0.3))
        hypothesis = Hypothesis("clock", Interpretation("clock.time", 0.9, skill_id="clock"))
        (replica,) = servers.replicas

        async def ask(another: bool) -> tuple[Fulfilment, str]:
            return await servers.skills.can_fulfil(hypothesis, CONTEXT, another=another)

        for _ in range(hedged):
            assert not (await hedging.ask("clock", ask)).hedged
        found = await asyncio.wait_for(hedging.ask("clock", ask), PATIENT_S)
        assert (found.hedged, found.value) == (True, (Fulfilment.YES, ""))
        for _ in range(1_000):
            if replica.cancelled:  # the server is told a moment after
                break
            await asyncio.sleep(0.01)
        assert replica.cancelled == 1
        assert replica.asked == hedged + 2
        first, *others = replica.peers[:-1]
        assert set(others) == {first}
        assert replica.peers[-1] != first
        assert not replica.executed
