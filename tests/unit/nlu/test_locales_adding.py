"""Locales that are added: learnt once, told honestly, kept in the store, bounded."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from services.nlu.interpreter import Interpreter
from services.nlu.library import Shelf, SkillLibrary
from services.nlu.locales import adding
from services.nlu.locales.adding import Addition, Locales, State
from services.nlu.locales.lessons import Lesson, lesson
from services.nlu.locales.material import NewLocale
from services.nlu.manifests import skill_of
from services.nlu.understanding import Alternative, Mode, Options, Situation
from services.nlu.values.places import Gazetteer
from services.runtime.errors import AntiphonError, Overloaded
from services.runtime.store import MemorySessionStore, StoreLimits
from tests.fakes.intent_engine import ScriptedEngine
from tests.fakes.skill_manifests import built_in, empty_library

pytestmark = pytest.mark.unit

DANISH = NewLocale(
    "da",
    "en",
    (
        ("set", ("sæt",)), ("an", ("en",)), ("alarm", ("alarm",)), ("the", ("den",)), ("my", ("min",)),
        ("cancel", ("annuller",)), ("timer", ("ur",)), ("for", ("for",)), ("ten", ("ti",)), ("minutes", ("minutter",)),
        ("delete", ("slet",)), ("start", ("start",)), ("stop", ("stop",)), ("which", ("hvilke",)),
    ),
    (),
    "digest",
)  # fmt: skip


async def here(new: NewLocale, shelf: Shelf) -> Lesson:
    """Learns in a thread: what the process is for is tested with the service."""
    return await asyncio.to_thread(lesson, new, shelf)


async def learnt(locales: Locales, new: NewLocale = DANISH, key: str = "a") -> Addition:
    async with asyncio.timeout(60):
        while True:
            told = await locales.add(new, key)
            if told.state is not State.RUNNING:
                return told
            await asyncio.sleep(0.01)


@pytest.fixture
def store() -> MemorySessionStore:
    return MemorySessionStore(limits=StoreLimits(max_value_bytes=4_000_000))


@pytest.fixture
async def library(store: MemorySessionStore) -> SkillLibrary:
    made = empty_library(store)
    timers = built_in("timers")
    await made.update(skill_of(timers), timers.SerializeToString(deterministic=True), "key")
    return made


async def test_a_locale_is_learnt_and_survives_the_replica(store: MemorySessionStore, library: SkillLibrary) -> None:
    locales = Locales(store, library, learn=here)
    assert (await locales.add(DANISH, "a")).state is State.RUNNING
    told = await learnt(locales)
    assert told.state is State.SERVING
    assert 0.2 < told.coverage < 1
    assert any("timers" in warning and "cannot answer" in warning for warning in told.warnings)
    sister = Locales(store, library, learn=here)
    await sister.follow_once()
    assert [one.info for one in sister.readers] == [one.info for one in locales.readers]
    assert await sister.add(DANISH, "a") == told
    interpreter = Interpreter(ScriptedEngine({}), Gazetteer.bundled(), library, added=sister)
    said = await interpreter.interpret([Alternative("annuller min alarm")], "da-DK", Options(), Situation())
    assert said.language == "da"
    assert said.interpretations[0].intent == "timers.cancel_alarm"
    assert said.interpretations[0].sources[0].startswith("antiphon/locale-da@")
    assert interpreter.reading("da")[-1].mode("da") is Mode.ZERO_SHOT


async def test_only_checked_changes_nothing(store: MemorySessionStore, library: SkillLibrary) -> None:
    locales = Locales(store, library, learn=here)
    told = await locales.add(DANISH, "a", validate_only=True)
    assert told.state is State.VALIDATED
    assert told.coverage > 0
    assert not locales.readers


async def test_one_key_is_for_one_request(store: MemorySessionStore, library: SkillLibrary) -> None:
    locales = Locales(store, library, learn=here)
    await locales.add(DANISH, "a")
    with pytest.raises(AntiphonError) as busy:
        await locales.add(DANISH, "b")
    assert busy.value.reason == "LOCALE_BUSY"
    with pytest.raises(AntiphonError) as reused:
        await locales.add(replace(DANISH, digest="other"), "a")
    assert reused.value.reason == "KEY_REUSED"
    await learnt(locales)
    assert (await learnt(locales, replace(DANISH, digest="other"), "b")).state is State.SERVING  # learnt anew


async def test_what_fails_is_said_and_can_be_tried_again(store: MemorySessionStore, library: SkillLibrary) -> None:
    async def failing(new: NewLocale, shelf: Shelf) -> Lesson:
        raise Overloaded("no memory", reason="NO_MEMORY")

    locales = Locales(store, library, learn=failing)
    await locales.add(DANISH, "a")
    await asyncio.gather(*locales._jobs.values())
    stored = await locales._told("da")
    assert stored is not None
    assert (stored["state"], stored["failure"]) == ("FAILED", "NO_MEMORY")
    assert (await learnt(Locales(store, library, learn=here))).state is State.SERVING


async def test_a_call_that_comes_twice_at_once_is_begun_once(store: MemorySessionStore, library: SkillLibrary) -> None:
    begun = []

    async def counting(new: NewLocale, shelf: Shelf) -> Lesson:
        begun.append(new.locale)
        return await here(new, shelf)

    locales = Locales(store, library, learn=counting)
    both = await asyncio.gather(locales.add(DANISH, "a"), locales.add(DANISH, "a"))
    assert {one.state for one in both} == {State.RUNNING}
    await learnt(locales)
    assert begun == ["da"]


@pytest.mark.parametrize(
    ("new", "key", "reason"),
    [
        (DANISH, "", "KEY_INVALID"),
        (DANISH, "k" * 129, "KEY_INVALID"),
        (replace(DANISH, lexicon=()), "a", "LEXICON_EMPTY"),
        (replace(DANISH, lexicon=(("x" * 201, ("y",)),)), "a", "LEXICON_INVALID"),
        (replace(DANISH, lexicon=((" ", ("y",)),)), "a", "LEXICON_INVALID"),
        (replace(DANISH, lexicon=(("x", ("y",) * 21),)), "a", "LEXICON_INVALID"),
        (replace(DANISH, source="fi"), "a", "SOURCE_UNKNOWN"),
        (replace(DANISH, locale="de-AT"), "a", "LOCALE_SERVED"),
        (replace(DANISH, locale="fi"), "a", "LOCALE_SERVED"),
    ],
)
async def test_bad_requests_are_refused(
    store: MemorySessionStore, library: SkillLibrary, new: NewLocale, key: str, reason: str
) -> None:
    locales = Locales(store, library, ("fi",), here)
    if reason == "LOCALE_SERVED":
        new = replace(new, source="en")
    with pytest.raises(AntiphonError) as caught:
        await locales.add(new, key)
    assert caught.value.reason == reason


async def test_no_more_wait_than_may(store: MemorySessionStore, library: SkillLibrary) -> None:
    locales = Locales(store, library, learn=here)
    for tag in ("da", "nb", "sv", "fi"):
        await locales.add(replace(DANISH, locale=tag), "a")
    with pytest.raises(Overloaded):
        await locales.add(replace(DANISH, locale="pl"), "a")
    await locales.close()


async def test_a_damaged_model_is_passed_over(store: MemorySessionStore, library: SkillLibrary) -> None:
    await learnt(Locales(store, library, learn=here))
    await store.put("@platform", "nlu.locale/da", b"\0\0\0\5what", ttl=60)
    sister = Locales(store, library, learn=here)
    await sister.follow_once()
    assert not sister.readers


async def test_more_intents_than_can_be_learnt_are_refused_at_once(
    store: MemorySessionStore, library: SkillLibrary, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(adding, "MAX_INTENTS", 2)
    with pytest.raises(AntiphonError) as caught:
        await Locales(store, library, learn=here).add(DANISH, "a")
    assert caught.value.reason == "INTENTS_TOO_MANY"
