"""Replicas of the front door on one Redis server: one goes on with a session of another, also of one that is killed."""

from __future__ import annotations

import re
from pathlib import Path

import grpc
import pytest

from antiphon.arbitration.v1 import assistant_pb2, registry_pb2, registry_pb2_grpc
from tests.fixtures.interrupted_turns import WORDS, Said, house, interrupt, say

pytestmark = [pytest.mark.integration, pytest.mark.timeout(240)]

KILLS = 3


async def test_a_second_replica_goes_on_with_a_session(tmp_path: Path) -> None:
    async with house(tmp_path / "redis") as made:
        first, second = made.replicas[0], await made.replica()
        asked = await asked_back(first.target)
        answered = await say(second.target, "ten minutes", resume=asked)
        assert answered.failure is None
        assert answered.answers[-1].status == assistant_pb2.TURN_STATUS_ANSWERED
        assert "10 minutes" in answered.answers[-1].answer
        used = await say(first.target, "ten minutes", resume=asked)
        assert used.failure is not None
        assert used.failure.reason == "RESUME_TOKEN_UNKNOWN"
        for target in (first.target, second.target):
            async with grpc.aio.insecure_channel(target) as channel:
                listed = await registry_pb2_grpc.SkillRegistryServiceStub(channel).List(registry_pb2.ListRequest())
            assert "bell" in {skill.manifest.skill_id for skill in listed.skills if skill.enabled}

        once = await say(first.target, WORDS, key="k")
        again = await say(second.target, WORDS, key="k")
        assert [said.answers[-1].answer for said in (once, again)] == ["It rang.", "It rang."], once.decision
        assert again.answers[-1].replayed
        assert len(made.skill.rings) == 1

        victim, endings = first, []
        for number in range(KILLS):
            found = await interrupt(made, victim, second, number, seed=1)
            # Nothing is lost, nothing done twice; a machine too busy to understand refuses, for a reason.
            assert re.fullmatch("[A-Z_]+", found.ended), found
            assert found.rings == 1 or (found.rings == 0 and found.ended != "ANSWERED"), found
            endings.append(found.ended)
            if number + 1 < KILLS:
                victim = await made.replica()
        assert "ANSWERED" in endings
        made.store.kill()
        lost = await say(second.target, WORDS, key="without a store")
        assert lost.failure is not None
        assert lost.failure.code is grpc.StatusCode.UNAVAILABLE
        assert lost.failure.reason in ("STORE_GONE", "STORE_TIMEOUT")
        assert len(made.skill.rings) <= 1 + KILLS
        made.store.start()
        found_again = await say(second.target, WORDS, key="with it", into=Said())
        assert found_again.answers[-1].answer == "It rang."


async def asked_back(target: str) -> Said:
    """A turn that ends with a question; the first turns on a busy machine may be late."""
    for _ in range(10):
        said = await say(target, "set a timer")
        if said.answers and said.answers[-1].status == assistant_pb2.TURN_STATUS_PROMPTED:
            return said
    raise AssertionError("not asked back")
