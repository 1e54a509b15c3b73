"""Who teaches which skill when: replicas, stores and lessons that fail."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from antiphon.skill.v1 import manifest_pb2
from services.nlu.library import SkillLibrary
from services.nlu.manifests import skill_of
from services.nlu.one_vs_all import lessons as module
from services.nlu.one_vs_all.lessons import Lessons, State
from services.nlu.one_vs_all.models import SkillModels
from services.nlu.one_vs_all.teaching import Surroundings, teach
from services.nlu.one_vs_all.updating import SkillUpdates, Taken, Wanted
from services.nlu.skills import Skill
from services.runtime.store import MemorySessionStore, SessionStore, StoreLimits
from tests.fakes.skill_manifests import empty_library

pytestmark = pytest.mark.unit


class Replica:
    """Library and lessons over a store."""

    def __init__(self, store: SessionStore) -> None:
        self.store = store
        self.library: SkillLibrary = empty_library(store)
        self.lessons = Lessons(store, self.library)
        self.updates = SkillUpdates(self.library, self.lessons)

    async def update(self, made: manifest_pb2.SkillManifest, key: str) -> Taken:
        return await self.updates.take(skill_of(made), Wanted(made.SerializeToString(deterministic=True), key))

    def state(self, name: str) -> State:
        return self.lessons.state(self.library.shelf.skills[name])

    async def until(self, name: str, state: State) -> None:
        async with asyncio.timeout(20):
            while name not in self.library.shelf.skills or self.state(name) is not state:
                await asyncio.sleep(0.02)
                await self.library.follow_once()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        task = asyncio.create_task(self.lessons.run())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.wait([task])


def manifest(version: str = "1.0.0", *phrases: str, skill_id: str = "lamp") -> manifest_pb2.SkillManifest:
    made = manifest_pb2.SkillManifest(skill_id=skill_id, version=version, locales=["en"])
    made.intents.add(name="on").phrases.add(language_code="en", phrases=phrases or ("lamp on", "light the lamp"))
    return made


@pytest.fixture(autouse=True)
def _hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SETTLED_S", 0.0)
    monkeypatch.setattr(module, "_POLL_S", 0.02)


@pytest.fixture
def store() -> SessionStore:
    return MemorySessionStore(limits=StoreLimits(max_value_bytes=8_000_000))


async def test_models_follow_the_phrases(store: SessionStore) -> None:
    one = Replica(store)
    assert (await one.update(manifest(), "a")).state is State.RUNNING
    assert one.library.shelf.locales == ("en",)
    async with one.running():
        await one.until("lamp", State.SERVING)
    taken = await one.update(manifest(), "a")
    assert taken.state is State.SERVING
    assert taken.models is not None
    assert taken.models.name == "antiphon/one-vs-all.lamp@1.0.0"


async def test_another_replica_takes_the_models_over(store: SessionStore, monkeypatch: pytest.MonkeyPatch) -> None:
    one, other = Replica(store), Replica(store)
    await one.update(manifest(), "a")
    async with one.running():
        await one.until("lamp", State.SERVING)
    monkeypatch.setattr(module, "teach", None)  # it may not train
    async with other.running():
        await other.until("lamp", State.SERVING)
    assert other.library.shelf.taught["lamp"].sha256 == one.library.shelf.taught["lamp"].sha256


async def test_what_a_lost_replica_was_asked_for_is_done_by_another(
    store: SessionStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PATIENCE_S", 0.1)
    lost, other = Replica(store), Replica(store)
    await lost.update(manifest(), "a")
    async with other.running():
        await other.until("lamp", State.SERVING)


async def test_a_lesson_that_fails_leaves_the_phrases_and_the_others(
    store: SessionStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def clumsy(skill: Skill, around: Surroundings, ended: Callable[[], bool]) -> SkillModels:
        if skill.skill_id == "lamp":
            raise ArithmeticError("no")
        return teach(skill, around, ended)

    monkeypatch.setattr(module, "teach", clumsy)
    one = Replica(store)
    await one.update(manifest(), "a")
    await one.update(manifest("1.0.0", "boil some water", "kettle on", skill_id="kettle"), "b")
    async with one.running():
        await one.until("lamp", State.FAILED)
        await one.until("kettle", State.SERVING)
    assert set(one.library.shelf.skills) == {"lamp", "kettle"}


async def test_damaged_models_are_made_anew(store: SessionStore) -> None:
    one = Replica(store)
    await one.update(manifest(), "a")
    async with one.running():
        await one.until("lamp", State.SERVING)
    digest = one.library.shelf.skills["lamp"].digest
    await store.put("@platform", f"nlu.one_vs_all/lamp/{digest[:16]}", b"\x00damaged", ttl=60)
    later = Replica(store)
    await later.library.follow_once()
    later.lessons.ask("lamp")
    async with later.running():
        await later.until("lamp", State.SERVING)


async def test_only_a_few_versions_are_kept(store: SessionStore) -> None:
    one = Replica(store)
    digests = []
    async with one.running():
        for at in range(module.KEPT_VERSIONS + 2):
            made = manifest(f"1.0.{at}", "lamp on", f"light {at} please")
            await one.update(made, f"key{at}")
            await one.until("lamp", State.SERVING)
            digests.append(one.library.shelf.skills["lamp"].digest)
    kept = [await store.get("@platform", f"nlu.one_vs_all/lamp/{digest[:16]}") is not None for digest in digests]
    assert kept == [False, False, True, True, True]


async def test_a_skill_without_phrases_needs_no_models(store: SessionStore) -> None:
    one = Replica(store)
    made = manifest_pb2.SkillManifest(skill_id="lamp", version="1.0.0", locales=["en"])
    made.intents.add(name="on", labels=["massive:iot_hue_lighton"])
    assert (await one.update(made, "a")).state is State.SERVING


async def test_a_replica_that_ends_leaves_its_lesson(store: SessionStore) -> None:
    one = Replica(store)
    made = manifest_pb2.SkillManifest(skill_id="lamp", version="1.0.0", locales=["en"])
    for at in range(150):
        made.intents.add(name=f"on{at}").phrases.add(
            language_code="en", phrases=[f"lamp {at} of {at + n}" for n in range(60)]
        )
    await one.update(made, "a")
    async with one.running():
        await asyncio.sleep(0.3)
    began = time.monotonic()
    await asyncio.get_running_loop().shutdown_default_executor()
    assert time.monotonic() - began < 10
    assert one.state("lamp") is State.RUNNING


async def test_who_was_taught_before_most_others_came_is_taught_again(store: SessionStore) -> None:
    one = Replica(store)
    async with one.running():
        await one.update(manifest(), "a")
        await one.until("lamp", State.SERVING)
        alone = one.library.shelf.taught["lamp"]
        words = ("boil water", "ring granny", "dig holes", "fly kites", "mend socks", "bake rolls", "row boats")
        for at, phrase in enumerate(words):
            await one.update(manifest("1.0.0", phrase, skill_id=f"other{at}"), f"b{at}")
        assert len(words) > module.FEW + 1

        async with asyncio.timeout(20):
            while len(one.library.shelf.taught["lamp"].seen) <= len(alone.seen):
                await asyncio.sleep(0.02)
                await one.library.follow_once()
    assert one.state("lamp") is State.SERVING
