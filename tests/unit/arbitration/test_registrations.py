"""What one replica is told about skills, all replicas know; what cannot be written is not half done."""

from __future__ import annotations

import json

import pytest

from services.arbitration.manifests import IntentSpec, Manifest
from services.arbitration.registrations import Registrations
from services.arbitration.registry_of_skills import EVERYONE, SkillRegistry
from services.runtime.errors import InvalidInput, NotFound, QuotaExceeded
from services.runtime.store import MemorySessionStore, StoreLimits

pytestmark = pytest.mark.unit


def manifest(skill_id: str = "coffee", version: str = "1.0.0", publisher: str = "beans") -> Manifest:
    wire = json.dumps([skill_id, version, publisher]).encode()
    intents = (IntentSpec(f"{skill_id}.order", phrases={"en": ("a coffee",)}),)
    return Manifest(skill_id, version, ("en",), intents, publisher, wire=wire)


def read(wire: bytes) -> Manifest:
    return manifest(*json.loads(wire))


def replica(store: MemorySessionStore) -> Registrations:
    return Registrations(SkillRegistry(), store, read)


async def test_another_replica_learns_of_a_skill_and_of_who_has_it() -> None:
    store = MemorySessionStore()
    here, there = replica(store), replica(store)
    await here.register(manifest(), "host:1")
    await here.enable("acme", "coffee")
    await there.catch_up()
    found = there.registry.find("coffee")
    assert found is not None
    assert (found.endpoint, found.manifest.version) == ("host:1", "1.0.0")
    assert there.registry.is_enabled("acme", "coffee")
    assert not there.registry.is_enabled("globex", "coffee")


async def test_a_new_version_and_a_new_address_are_taken_over() -> None:
    store = MemorySessionStore()
    here, there = replica(store), replica(store)
    await here.register(manifest(), "host:1")
    await there.catch_up()
    await here.register(manifest(version="1.1.0"), "host:1")
    await there.catch_up()
    assert there.registry.skill("coffee").manifest.version == "1.1.0"
    await here.register(manifest(version="1.1.0"), "host:2")
    await there.catch_up()
    assert there.registry.skill("coffee").endpoint == "host:2"


async def test_a_removed_skill_is_gone_everywhere_and_after_a_restart() -> None:
    store = MemorySessionStore()
    here, there = replica(store), replica(store)
    await here.register(manifest(), "host:1")
    await there.catch_up()
    await here.remove("coffee")
    await there.catch_up()
    assert there.registry.find("coffee") is None
    restarted = replica(store)
    await restarted.catch_up()
    assert restarted.registry.all() == ()
    with pytest.raises(NotFound):
        await here.remove("coffee")


async def test_nothing_is_read_again_while_nothing_changes() -> None:
    store = MemorySessionStore()
    here, there = replica(store), replica(store)
    await here.register(manifest(), "host:1")
    await there.catch_up()
    revision = there.registry.revision
    await there.catch_up()
    assert there.registry.revision == revision


async def test_what_the_store_does_not_take_is_not_registered() -> None:
    store = MemorySessionStore(StoreLimits(max_entries=0))
    here = replica(store)
    with pytest.raises(QuotaExceeded):
        await here.register(manifest(), "host:1")
    assert here.registry.find("coffee") is None


async def test_a_failed_update_leaves_the_old_version() -> None:
    store = MemorySessionStore()
    here = replica(store)
    await here.register(manifest(), "host:1")
    store.limits = StoreLimits(max_value_bytes=1)
    with pytest.raises(InvalidInput):
        await here.register(manifest(version="2.0.0"), "host:9")
    assert here.registry.skill("coffee").manifest.version == "1.0.0"
    assert here.registry.skill("coffee").endpoint == "host:1"


async def test_a_stored_skill_that_cannot_be_read_is_left_out_alone() -> None:
    store = MemorySessionStore()
    here = replica(store)
    await here.register(manifest(), "host:1")
    await here.register(manifest("tea"), "host:1")
    await store.put("@platform", "skill/tea/1.0.0", b"[]", ttl=10)
    there = Registrations(SkillRegistry(), store, _unreadable_tea)
    await there.catch_up()
    assert [skill.manifest.id for skill in there.registry.all()] == ["coffee"]


def _unreadable_tea(wire: bytes) -> Manifest:
    if wire == b"[]":
        raise ValueError("no manifest")
    return read(wire)


async def test_disabling_a_built_in_skill_holds_in_all_replicas() -> None:
    store = MemorySessionStore()
    here, there = replica(store), replica(store)
    for each in (here, there):
        each.registry.register(manifest("clock"), built_in=True)
        each.registry.enable(EVERYONE, "clock")
    await here.enable("acme", "clock", enabled=False)
    await there.catch_up()
    assert not there.registry.is_enabled("acme", "clock")
    assert there.registry.is_enabled("globex", "clock")


async def test_a_user_has_a_word_of_its_own() -> None:
    store = MemorySessionStore()
    here, there = replica(store), replica(store)
    await here.register(manifest(), "host:1")
    await here.enable("acme", "coffee")
    await here.enable("acme", "coffee", False, "kid")
    await here.enable("globex", "coffee", True, "ann")
    await there.catch_up()
    for registry in (here.registry, there.registry):
        told = [registry.is_enabled(*who) for who in (("acme", "coffee"), ("acme", "coffee", "ada"))]
        assert told == [True, True]
        assert not registry.is_enabled("acme", "coffee", "kid")
        assert not registry.is_enabled("globex", "coffee")
        assert registry.is_enabled("globex", "coffee", "ann")
        assert [skill.manifest.id for skill in registry.enabled("globex", "ann")] == ["coffee"]
        assert registry.chosen_by("globex", "coffee", "ann")
    await here.remove("coffee")
    await there.catch_up()
    assert not there.registry.is_enabled("globex", "coffee", "ann")
