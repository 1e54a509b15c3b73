"""Every understanding pool hears of every skill once, and again only when it could not listen."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

import pytest

from services.arbitration.manifests import IntentSpec, Manifest
from services.arbitration.registry_of_skills import SkillRegistry
from services.arbitration.teaching import Teaching
from services.runtime.errors import AntiphonError, Conflict, InvalidInput, Unavailable
from tests.fakes.virtual_time import run

pytestmark = pytest.mark.unit


@dataclass
class NotedLessons:
    """Takes what it is taught; fails with what `failing` says, pool by pool."""

    failing: dict[str, AntiphonError] = field(default_factory=dict)
    told: list[tuple[str, bytes]] = field(default_factory=list)

    async def __call__(self, pool: str, manifest: bytes, key: str) -> None:
        assert len(key) == 64
        if pool in self.failing:
            raise self.failing[pool]
        self.told.append((pool, manifest))


def registry(*ids: str) -> SkillRegistry:
    skills = SkillRegistry()
    for skill_id in ids:
        skills.register(
            Manifest(skill_id, "1.0.0", ("en",), (IntentSpec(f"{skill_id}.x"),), wire=skill_id.encode()), built_in=True
        )
    return skills


async def test_each_pool_is_told_of_each_skill_once() -> None:
    lessons = NotedLessons()
    teaching = Teaching(registry("clock", "lists"), ("nlu", "nlu-de"), lessons, b"+".join)
    assert await teaching.tell()
    assert await teaching.tell()
    assert sorted(lessons.told) == [(p, s) for p in ("nlu", "nlu-de") for s in (b"clock", b"lists")]


@pytest.mark.parametrize(
    "error", [Unavailable("away", reason="REPLICA_LOST"), Conflict("another update won", reason="VERSION_CONFLICT")]
)
async def test_a_pool_that_could_not_listen_is_told_again(error: AntiphonError) -> None:
    lessons = NotedLessons({"nlu-de": error})
    teaching = Teaching(registry("clock"), ("nlu", "nlu-de"), lessons, b"+".join)
    assert not await teaching.tell()
    lessons.failing.clear()
    assert await teaching.tell()
    assert lessons.told == [("nlu", b"clock"), ("nlu-de", b"clock")]


async def test_what_is_refused_for_good_is_not_repeated() -> None:
    lessons = NotedLessons({"nlu": InvalidInput("no", reason="MANIFEST_INVALID")})
    teaching = Teaching(registry("clock"), ("nlu",), lessons, b"+".join)
    assert await teaching.tell()
    lessons.failing.clear()
    assert await teaching.tell()
    assert lessons.told == []


async def test_a_skill_without_a_manifest_of_its_own_is_nobodys_business() -> None:
    skills = SkillRegistry()
    skills.register(Manifest("dialogue", "1.0.0", ("en",), (IntentSpec("dialogue.help"),)), built_in=True)
    lessons = NotedLessons()
    assert await Teaching(skills, ("nlu",), lessons, b"+".join).tell()
    assert lessons.told == []


def test_it_is_done_with_the_skills_as_they_are_and_not_with_those_before() -> None:
    async def scenario() -> list[bool]:
        skills, lessons = registry(), NotedLessons()
        teaching = Teaching(skills, ("nlu",), lessons, b"+".join)
        following = asyncio.create_task(teaching.follow())
        await asyncio.sleep(0.1)
        empty = teaching.done
        skills.register(Manifest("clock", "1.0.0", ("en",), (IntentSpec("clock.x"),), wire=b"clock"), built_in=True)
        at_once = teaching.done
        await asyncio.sleep(1.0)
        following.cancel()
        return [empty, at_once, teaching.done]

    assert run(scenario()) == [True, False, True]
