"""The understanding service with the manifests of the built-in skills, over a real channel."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import grpc
import pytest
import pytest_asyncio
from google.rpc import error_details_pb2

from antiphon.nlu.v1 import understanding_pb2 as pb
from antiphon.nlu.v1 import understanding_pb2_grpc as pb_grpc
from antiphon.skill.v1 import manifest_pb2
from antiphon.types.v1 import (
    answer_pb2,
    capability_pb2,
    capability_pb2_grpc,
    context_pb2,
    speech_pb2,
    text_pb2,
)
from services.nlu.app import SPEC
from services.runtime.platform import PlatformSettings, PoolSettings
from services.runtime.server import GrpcPlatform
from services.runtime.statuses import rich_status
from tests.fakes.skill_manifests import built_in, built_in_names

pytestmark = [pytest.mark.integration, pytest.mark.asyncio(loop_scope="module")]

Stub = pb_grpc.LanguageUnderstandingServiceStub


@pytest_asyncio.fixture(loop_scope="module")
async def channel() -> AsyncIterator[grpc.aio.Channel]:
    settings = PlatformSettings(port=0, pool_port=0, pools=(PoolSettings(name="nlu", capability="nlu"),))
    async with (
        GrpcPlatform(settings, {"nlu": SPEC}) as platform,
        grpc.aio.insecure_channel(platform.target) as channel,
    ):
        yield channel


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stub() -> AsyncIterator[Stub]:
    """With every built-in skill known; shared by the tests that change none."""
    settings = PlatformSettings(port=0, pool_port=0, pools=(PoolSettings(name="nlu", capability="nlu"),))
    async with (
        GrpcPlatform(settings, {"nlu": SPEC}) as platform,
        grpc.aio.insecure_channel(platform.target) as channel,
    ):
        made = Stub(channel)
        for name in built_in_names():
            await made.UpdateSkill(teaching(built_in(name)))
        yield made


def teaching(manifest: manifest_pb2.SkillManifest, key: str = "first", **fields: Any) -> pb.UpdateSkillRequest:
    return pb.UpdateSkillRequest(manifest=manifest, idempotency_key=key, **fields)


def request(*texts: str, language: str = "en-US", **options: Any) -> pb.InterpretRequest:
    context = context_pb2.TurnContext(session=context_pb2.SessionContext(time_zone="Europe/Vienna"))
    context.now.FromDatetime(datetime(2026, 11, 20, 12, 0, tzinfo=UTC))
    return pb.InterpretRequest(
        alternatives=[speech_pb2.SpeechAlternative(spoken_text=text) for text in texts],
        language_code=language,
        context=context,
        options=pb.UnderstandingOptions(**options),
    )


def reason(error: grpc.aio.AioRpcError) -> str:
    status = rich_status(error)
    assert status is not None
    info = error_details_pb2.ErrorInfo()
    assert status.details[0].Unpack(info)
    return str(info.reason)


@pytest.mark.parametrize(
    ("text", "language", "intent", "slots"),
    [
        ("what time is it in tokyo", "en", "clock.time", {"place"}),
        ("set a timer for ten minutes", "en", "timers.set_timer", {"duration"}),
        ("could you set a ten minute timer please", "en", "timers.set_timer", {"duration"}),
        ("wake me up at seven tomorrow", "en", "timers.set_alarm", {"at"}),
        ("what is three times four", "en", "calculator.compute", {"expression"}),
        ("convert five miles to kilometers", "en", "units.convert", {"quantity", "unit"}),
        ("add milk to my shopping list", "en", "lists.add", {"item", "list"}),
        ("turn off the kitchen light", "en", "home.turn_off", {"device", "room"}),
        ("turn off the fan in the living room", "en", "home.turn_off", {"device", "room"}),
        ("turn on the heating in the living room", "en", "home.turn_on", {"device", "room"}),
        ("we need toilet paper", "en", "lists.add", {"item"}),
        ("set a timer for three seconds", "en", "timers.set_timer", {"duration"}),
        ("convert 3 megabytes to kilobytes", "en", "units.convert", {"quantity", "unit"}),
        ("how many litres in an imperial gallon", "en", "units.convert", {"quantity", "unit"}),
        ("good night", "en", "smalltalk.good_night", set()),
        ("gute nacht", "de", "smalltalk.good_night", set()),
        ("togli la sveglia delle sette", "it", "timers.cancel_alarm", {"at"}),
        ("unlock the front door", "en", "home.unlock", {"door"}),
        ("tell me a joke", "en", "smalltalk.joke", set()),
        ("thank you", "en", "dialogue.thanks", set()),
        ("wie spät ist es in tokio", "de", "clock.time", {"place"}),
        ("stell einen timer auf zehn minuten", "de-AT", "timers.set_timer", {"duration"}),
        ("weck mich morgen um sieben", "de", "timers.set_alarm", {"at"}),
        ("wie viele kilometer sind fünf meilen", "de", "units.convert", {"quantity", "unit"}),
        ("pon un temporizador de diez minutos", "es", "timers.set_timer", {"duration"}),
        ("mets un minuteur de dix minutes", "fr", "timers.set_timer", {"duration"}),
        ("imposta un timer di dieci minuti", "it", "timers.set_timer", {"duration"}),
    ],
)
async def test_skills_are_understood_by_their_manifests(
    stub: Stub, text: str, language: str, intent: str, slots: set[str]
) -> None:
    response = await stub.Interpret(request(text, language=language))
    best = response.interpretations[0]
    assert (best.intent, best.skill_id) == (intent, intent.partition(".")[0])
    assert {slot.name for slot in best.slots} == slots
    for slot in best.slots:
        assert response.texts[0][slot.span.start : slot.span.end] == slot.text
    assert response.out_of_scope_score < 0.5
    assert best.models


@pytest.mark.parametrize("text", ["the treaty was signed in utrecht", "zxcv qwerty", "birds fly south in winter"])
async def test_what_no_skill_does_is_out_of_scope(stub: Stub, text: str) -> None:
    response = await stub.Interpret(request(text))
    assert response.interpretations[0].out_of_scope
    assert response.out_of_scope_score > 0.5


async def test_a_worse_guess_that_parses_whole_wins(stub: Stub) -> None:
    response = await stub.Interpret(request("set a time are for ten men its", "set a timer for ten minutes"))
    best = response.interpretations[0]
    assert (best.intent, best.hypothesis_index) == ("timers.set_timer", 1)
    assert best.slots[0].value.duration.seconds == 600


async def test_only_the_named_skills_are_read(stub: Stub) -> None:
    response = await stub.Interpret(request("set a timer for ten minutes", skill_ids=["clock"]))
    assert {one.skill_id for one in response.interpretations} <= {"", "clock"}
    assert response.interpretations[0].out_of_scope


async def test_the_users_own_names_are_known_for_the_call(stub: Stub) -> None:
    own = manifest_pb2.Catalogue(name="rooms")
    own.entries.add(entity_id="den", names=[text_pb2.LocalizedText(language_code="en", text="dragon den")])
    asked = request("turn off the light in the dragon den", catalogues=[own])
    slot = next(one for one in (await stub.Interpret(asked)).interpretations[0].slots if one.name == "room")
    assert slot.value.entity.entity_id == "den"


async def test_an_update_serves_at_once_and_a_repeat_changes_nothing(channel: grpc.aio.Channel) -> None:
    stub = Stub(channel)
    before = await stub.Interpret(request("feed the hamster"))
    assert before.interpretations[0].out_of_scope
    manifest = manifest_pb2.SkillManifest(skill_id="pets", version="1.0.0", locales=["en"])
    manifest.intents.add(name="feed").phrases.add(language_code="en", phrases=["feed the hamster"])
    checked = await stub.UpdateSkill(teaching(manifest, validate_only=True))
    assert checked.state == pb.UPDATE_STATE_VALIDATED
    assert (await stub.Interpret(request("feed the hamster"))).interpretations[0].out_of_scope
    updated = await stub.UpdateSkill(teaching(manifest))
    assert (updated.state, updated.divergence) == (pb.UPDATE_STATE_RUNNING, 0)
    assert updated.model.model == "antiphon/phrases@1"
    best = (await stub.Interpret(request("feed the hamster"))).interpretations[0]
    assert (best.intent, best.models[0].model) == ("pets.feed", "antiphon/phrases@1")
    described = await capability_pb2_grpc.CapabilityServiceStub(channel).Describe(capability_pb2.DescribeRequest())
    assert any("pets 1.0.0" in note for note in described.notes)


async def test_manifests_that_lie_have_a_clear_status(channel: grpc.aio.Channel) -> None:
    manifest = manifest_pb2.SkillManifest(skill_id="pets", version="1.0.0", locales=["en"])
    manifest.intents.add(name="feed").phrases.add(language_code="en", phrases=["feed the {animal}"])
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await Stub(channel).UpdateSkill(teaching(manifest))
    assert caught.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert reason(caught.value) == "MANIFEST_INVALID"


async def test_updates_under_traffic_break_no_answer(channel: grpc.aio.Channel) -> None:
    stub = Stub(channel)
    await stub.UpdateSkill(teaching(built_in("home")))

    async def ask() -> str:
        return str((await stub.Interpret(request("turn off the kitchen light"))).interpretations[0].intent)

    manifest = built_in("home")
    answers = []
    for at in range(6):
        manifest.version = f"2.0.{at}"
        answered, _ = await asyncio.gather(
            asyncio.gather(*(ask() for _ in range(10))), stub.UpdateSkill(teaching(manifest, f"key{at}"))
        )
        answers += answered
    assert set(answers) == {"home.turn_off"}


async def test_skills_outlive_the_replica_and_reach_its_sisters(tmp_path: Path) -> None:
    settings = PlatformSettings(
        port=0, pool_port=0, state_dir=str(tmp_path), pools=(PoolSettings(name="nlu", capability="nlu"),)
    )
    said = request("set a timer for ten minutes")
    async with (
        GrpcPlatform(settings, {"nlu": SPEC}) as one,
        GrpcPlatform(settings, {"nlu": SPEC}) as sister,
        grpc.aio.insecure_channel(one.target) as channel,
        grpc.aio.insecure_channel(sister.target) as other,
    ):
        await Stub(channel).UpdateSkill(teaching(built_in("timers")))
        await asyncio.sleep(1.5)
        assert (await Stub(other).Interpret(said)).interpretations[0].intent == "timers.set_timer"
    async with GrpcPlatform(settings, {"nlu": SPEC}) as later, grpc.aio.insecure_channel(later.target) as channel:
        assert (await Stub(channel).Interpret(said)).interpretations[0].intent == "timers.set_timer"


async def test_a_stored_manifest_that_is_damaged_is_passed_over(tmp_path: Path) -> None:
    settings = PlatformSettings(
        port=0, pool_port=0, state_dir=str(tmp_path), pools=(PoolSettings(name="nlu", capability="nlu"),)
    )
    async with GrpcPlatform(settings, {"nlu": SPEC}) as one, grpc.aio.insecure_channel(one.target) as channel:
        for name in ("timers", "home"):
            await Stub(channel).UpdateSkill(teaching(built_in(name)))
    with closing(sqlite3.connect(tmp_path / "nlu.sqlite3")) as store:
        store.execute("UPDATE entries SET value = x'0000000000' WHERE key = 'nlu.skill/timers'")
        store.commit()
    async with GrpcPlatform(settings, {"nlu": SPEC}) as later, grpc.aio.insecure_channel(later.target) as channel:
        best = (await Stub(channel).Interpret(request("turn off the kitchen light"))).interpretations[0]
        assert best.intent == "home.turn_off"


async def test_an_answer_to_a_question_fills_the_slot_that_was_asked_for(stub: Stub) -> None:
    asked = request("for ten minutes")
    prompt = asked.context.pending_prompt
    prompt.kind, prompt.slot = answer_pb2.PROMPT_KIND_ELICIT_SLOT, "duration"
    prompt.interpretation.intent = "timers.set_timer"
    best = (await stub.Interpret(asked)).interpretations[0]
    assert best.intent == "timers.set_timer"
    assert best.slots[0].value.duration.seconds == 600


async def test_a_follow_up_keeps_the_intent(stub: Stub) -> None:
    asked = request("and in paris")
    asked.context.past_turns.add(turn_id="t1").interpretation.intent = "clock.time"
    best = (await stub.Interpret(asked)).interpretations[0]
    assert (best.intent, best.slots[0].value.place.time_zone) == ("clock.time", "Europe/Paris")
    assert "antiphon/following@1" in {model.model for model in best.models}


@pytest.mark.parametrize(
    ("text", "intent", "slot", "words"),
    [
        ("what about tokyo", "clock.time", "place", "tokyo"),
        ("and eggs", "lists.add", "item", "eggs"),
        ("and some butter please", "lists.add", "item", "some butter"),
    ],
)
async def test_a_follow_up_leads_though_it_means_nothing_alone(
    stub: Stub, text: str, intent: str, slot: str, words: str
) -> None:
    asked = request(text)
    past = asked.context.past_turns.add(turn_id="t1").interpretation
    past.intent = intent
    past.slots.add(name=slot, confidence=0.9).value.text = "milk"
    best = (await stub.Interpret(asked)).interpretations[0]
    assert (best.intent, [one.text for one in best.slots if one.name == slot]) == (intent, [words])
    alone = (await stub.Interpret(request(text))).interpretations[0]
    assert alone.intent != intent


async def test_any_words_may_answer_but_a_command_is_one(stub: Stub) -> None:
    said = {}
    for text in ("two bottles of red wine", "toilet paper", "what time is it in rome", "turn off the light", "stop"):
        asked = request(text)
        prompt = asked.context.pending_prompt
        prompt.kind, prompt.slot = answer_pb2.PROMPT_KIND_ELICIT_SLOT, "item"
        prompt.interpretation.intent = "lists.add"
        said[text] = (await stub.Interpret(asked)).interpretations[0].intent
    assert list(said.values()) == ["lists.add", "lists.add", "clock.time", "home.turn_off", "dialogue.stop"]
