"""The library of skills: validation, idempotency, replicas, and stores that fail."""

from __future__ import annotations

import asyncio
import threading
from dataclasses import replace

import pytest

from antiphon.skill.v1 import manifest_pb2
from antiphon.types.v1 import text_pb2, value_pb2
from services.nlu.interpreter import Interpreter
from services.nlu.library import FOLLOW_S, SkillLibrary, Update
from services.nlu.manifests import skill_of
from services.nlu.skills import MAX_ALL_PHRASES, MAX_INTENTS
from services.nlu.understanding import Alternative, Options, Situation
from services.nlu.values.entities import Catalogue, CatalogueEntry, EntityIndex
from services.nlu.values.kinds import Entity
from services.nlu.values.places import Gazetteer
from services.runtime.errors import AntiphonError, FailedPrecondition, InvalidInput, Unavailable
from services.runtime.store import MemorySessionStore, StoreLimits
from tests.fakes.intent_engine import ScriptedEngine
from tests.fakes.skill_manifests import empty_library

pytestmark = pytest.mark.unit


def manifest(skill_id: str = "lamp", version: str = "1.0.0", *phrases: str) -> manifest_pb2.SkillManifest:
    made = manifest_pb2.SkillManifest(skill_id=skill_id, version=version, locales=["en"])
    intent = made.intents.add(name="on", labels=["massive:iot_hue_lighton"])
    intent.slots.add(name="room", value_type=value_pb2.VALUE_TYPE_TEXT)
    intent.phrases.add(language_code="en", phrases=phrases or ("lamp on", "lamp on in the {room|kitchen}"))
    return made


async def update(
    library: SkillLibrary, made: manifest_pb2.SkillManifest, key: str = "a", base: str = "", *, validate: bool = False
) -> Update:
    wire = made.SerializeToString(deterministic=True)
    return await library.update(skill_of(made), wire, key, base_version=base, validate_only=validate)


async def test_a_manifest_is_served_at_once() -> None:
    library = empty_library()
    await update(library, manifest())
    book = await library.shelf.book("en")
    assert book is not None
    assert book.patterns[0].intent.full_name == "lamp.on"
    assert [one.full_name for one in library.shelf.claims["massive:iot_hue_lighton"]] == ["lamp.on"]
    assert library.shelf.locales == ("en",)


async def test_catalogues_are_indexed_off_the_event_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    made_in: list[threading.Thread] = []
    make = EntityIndex.__init__

    def noted(self: EntityIndex, catalogue: Catalogue, language: str) -> None:
        made_in.append(threading.current_thread())
        make(self, catalogue, language)

    monkeypatch.setattr(EntityIndex, "__init__", noted)
    made = manifest("lamp", "1.0.0", "turn on {device|lamp}")
    made.intents[0].slots.add(name="device", value_type=value_pb2.VALUE_TYPE_ENTITY, catalogue="devices")
    lamp = made.catalogues.add(name="devices").entries.add(entity_id="lamp")
    lamp.names.add(language_code="en", text="lamp")
    library = empty_library()
    await update(library, made)
    interpreter = Interpreter(ScriptedEngine({}), Gazetteer.bundled(), library)
    entries = tuple(CatalogueEntry(str(at), {"en": (f"device number {at}",)}) for at in range(200))
    own = Catalogue("devices", closed=False, entries=(CatalogueEntry("tv", {"en": ("tele",)}), *entries))
    for text, entity_id in (("turn on lamp", "lamp"), ("turn on tele", "tv")):
        said = await interpreter.interpret([Alternative(text)], "en", Options(), Situation(), catalogues=[own])
        (value,) = (slot.value for slot in said.interpretations[0].slots)
        assert isinstance(value, Entity)
        assert value.entity_id == entity_id
    assert len(made_in) == 2
    assert threading.main_thread() not in made_in


async def test_a_newer_manifest_replaces_the_older_one() -> None:
    library = empty_library()
    await update(library, manifest())
    await update(library, manifest("lamp", "2.0.0", "light up"), "b")
    book = await library.shelf.book("en")
    assert book is not None
    assert [len(pattern.items) for pattern in book.patterns] == [2]
    assert library.shelf.skills["lamp"].version == "2.0.0"


async def test_a_repeat_changes_nothing() -> None:
    library = empty_library()
    await update(library, manifest())
    before = library.shelf
    again = await update(library, manifest())
    assert again.replayed
    assert library.shelf is before


async def test_a_key_belongs_to_one_manifest() -> None:
    library = empty_library()
    await update(library, manifest())
    with pytest.raises(InvalidInput) as caught:
        await update(library, manifest("lamp", "2.0.0"))
    assert caught.value.reason == "KEY_REUSED"


async def test_validation_alone_changes_nothing() -> None:
    library = empty_library()
    await update(library, manifest(), validate=True)
    assert library.shelf.skills == {}


async def test_a_base_version_that_is_gone_is_told() -> None:
    library = empty_library()
    await update(library, manifest())
    with pytest.raises(FailedPrecondition) as caught:
        await update(library, manifest("lamp", "2.0.0"), "b", base="0.9.0")
    assert caught.value.reason == "BASE_VERSION_GONE"


async def test_other_replicas_learn_of_it_within_a_second() -> None:
    store = MemorySessionStore(limits=StoreLimits(max_value_bytes=8_000_000))
    one, other = empty_library(store), empty_library(store)
    following = asyncio.create_task(other.follow())
    await update(one, manifest())
    await asyncio.sleep(2 * FOLLOW_S)
    following.cancel()
    assert other.shelf.digest == one.shelf.digest


async def test_a_replica_that_starts_later_knows_all() -> None:
    store = MemorySessionStore(limits=StoreLimits(max_value_bytes=8_000_000))
    await asyncio.gather(*(update(empty_library(store), manifest(f"lamp{at}"), f"key{at}") for at in range(4)))
    late = empty_library(store)
    await late.follow_once()
    assert sorted(late.shelf.skills) == ["lamp0", "lamp1", "lamp2", "lamp3"]


async def test_a_store_that_is_gone_leaves_what_is_known() -> None:
    class Lost(MemorySessionStore):
        async def get(self, tenant: str, key: str) -> None:
            raise Unavailable("gone", reason="STORE_BUSY")

    library = SkillLibrary(Lost(), lambda wire: skill_of(manifest_pb2.SkillManifest.FromString(wire)))
    with pytest.raises(AntiphonError) as caught:
        await update(library, manifest())
    assert caught.value.reason == "STORE_BUSY"
    assert library.shelf.skills == {}


async def test_shared_phrases_are_told() -> None:
    library = empty_library()
    await update(library, manifest())
    result = await update(library, manifest("torch"), "b")
    (warning,) = result.warnings
    assert "torch.on and lamp.on share 2 phrases" in warning


def bad(**fields: object) -> manifest_pb2.SkillManifest:
    made = manifest()
    for name, value in fields.items():
        setattr(made, name, value)
    return made


def with_phrases(*phrases: str) -> manifest_pb2.SkillManifest:
    return manifest("lamp", "1.0.0", *phrases)


def with_labels(*labels: str) -> manifest_pb2.SkillManifest:
    made = manifest()
    made.intents[0].labels.extend(labels)
    return made


def twice() -> manifest_pb2.SkillManifest:
    made = manifest()
    made.intents.add().CopyFrom(made.intents[0])
    return made


def entity() -> manifest_pb2.SkillManifest:
    made = manifest()
    made.intents[0].slots.add(name="what", value_type=value_pb2.VALUE_TYPE_ENTITY)
    return made


def many_intents() -> manifest_pb2.SkillManifest:
    made = manifest()
    for at in range(MAX_INTENTS):
        made.intents.add(name=f"more{at}")
    return made


def many_phrases() -> manifest_pb2.SkillManifest:
    made = manifest()
    for at in range(11):
        intent = made.intents.add(name=f"more{at}")
        intent.phrases.add(language_code="en", phrases=[f"say {at} {n}" for n in range(MAX_ALL_PHRASES // 10)])
    return made


def unnamed_entry() -> manifest_pb2.SkillManifest:
    made = manifest()
    catalogue = made.catalogues.add(name="rooms")
    catalogue.entries.add(entity_id="a", names=[text_pb2.LocalizedText(language_code="en", text=" ")])
    return made


@pytest.mark.parametrize(
    ("made", "reason", "field"),
    [
        (bad(skill_id="Lamp!"), "MANIFEST_INVALID", "manifest.skill_id"),
        (bad(skill_id=""), "MANIFEST_INVALID", "manifest.skill_id"),
        (bad(version="one"), "MANIFEST_INVALID", "manifest.version"),
        (with_phrases("lamp {nowhere}"), "MANIFEST_INVALID", "manifest.intents[0].phrases[en][0]"),
        (with_phrases("lamp {room"), "MANIFEST_INVALID", "manifest.intents[0].phrases[en][0]"),
        (with_phrases("lamp {room} or {room}"), "MANIFEST_INVALID", "manifest.intents[0].phrases[en][0]"),
        (with_phrases("ok", "  "), "MANIFEST_INVALID", "manifest.intents[0].phrases[en][1]"),
        (with_phrases("lamp\x07on"), "MANIFEST_INVALID", "manifest.intents[0].phrases[en][0]"),
        (with_phrases("x" * 301), "MANIFEST_TOO_LARGE", "manifest.intents[0].phrases[en][0]"),
        (with_labels("alarm"), "MANIFEST_INVALID", "manifest.intents[0].labels[1]"),
        (twice(), "MANIFEST_INVALID", "manifest.intents"),
        (entity(), "MANIFEST_INVALID", "manifest.intents[0].slots[1].catalogue"),
        (many_intents(), "MANIFEST_INVALID", "manifest.intents"),
        (many_phrases(), "MANIFEST_TOO_LARGE", "manifest"),
        (unnamed_entry(), "MANIFEST_INVALID", "manifest.catalogues[0].entries[0].names"),
        (manifest_pb2.SkillManifest(), "MANIFEST_INVALID", "manifest.skill_id"),
    ],
    ids=[
        "name",
        "no-name",
        "version",
        "unknown-slot",
        "open-brace",
        "slot-twice",
        "empty-phrase",
        "control-character",
        "long-phrase",
        "label",
        "intent-twice",
        "entity-without-catalogue",
        "many-intents",
        "many-phrases",
        "unnamed-entry",
        "empty",
    ],
)
async def test_manifests_that_lie_are_refused_with_their_place(
    made: manifest_pb2.SkillManifest, reason: str, field: str
) -> None:
    library = empty_library()
    with pytest.raises(InvalidInput) as caught:
        await update(library, made)
    assert (caught.value.reason, caught.value.field) == (reason, field)
    assert library.shelf.skills == {}


@pytest.mark.parametrize("key", ["", "k" * 129])
async def test_a_key_has_a_size(key: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        await update(empty_library(), manifest(), key)
    assert caught.value.reason == "KEY_INVALID"


async def test_the_platforms_own_names_are_not_taken() -> None:
    own = skill_of(manifest("dialogue"))
    library = SkillLibrary(MemorySessionStore(), lambda wire: own, own=[own])
    with pytest.raises(InvalidInput) as caught:
        await update(library, manifest("dialogue"))
    assert caught.value.field == "manifest.skill_id"
    assert library.shelf.skills["dialogue"] == replace(own)


async def test_what_leads_nowhere_is_warned_of() -> None:
    made = manifest()
    made.intents.add(name="lost")
    made.intents[0].phrases.add(language_code="fr", phrases=["allume"])
    made.intents[0].slots.add(name="what", value_type=value_pb2.VALUE_TYPE_ENTITY, catalogue="things")
    result = await update(empty_library(), made)
    warnings = " ".join(result.warnings)
    assert "lamp.lost has neither phrases nor labels" in warnings
    assert "for fr, which the manifest does not name" in warnings
    assert "takes catalogue things, which this manifest lacks" in warnings
