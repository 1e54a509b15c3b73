"""A session whose language model is still being built: no audio is lost, none is heard too late."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from services.asr.events import Event, GrammarReport, UnmatchedPhrase
from services.asr.grammar import LanguageModel, PhraseGrammar
from services.asr.recognizer import Recognizer, RecognizerSession
from services.asr.requests import SessionConfig
from services.asr.settings import AsrSettings
from services.runtime.errors import InvalidInput, WorkerLost
from tests.fakes.recognition import RecordingEngine

pytestmark = pytest.mark.unit

MS_100 = bytes(3_200)
GRAMMAR = PhraseGrammar((("a latte", 1.0),), digest="d1")
BUILT = LanguageModel("k", "/models/k", 1, (UnmatchedPhrase("x", "NO_WORDS"),), 0.5)
REPORT = GrammarReport("d1", 1, BUILT.unmatched, 0.5)


async def opened(
    grammar: PhraseGrammar = GRAMMAR, *, wait: float = 30.0, built: bool = False
) -> tuple[RecognizerSession, RecordingEngine, list[Event]]:
    engine = RecordingEngine()
    if built:
        engine.language_models["d1"] = replace(BUILT, build_seconds=0.0)
    service = Recognizer(engine, {"en": "fake/en@1"}, AsrSettings(grammar_wait=wait))
    config = SessionConfig(model="fake/en@1")
    session, events = await service.open(
        replace(config, endpointing=replace(config.endpointing, continuous=True)), grammar
    )
    return session, engine, events


def audio(engine: RecordingEngine) -> int:
    return sum(len(part) for part in engine.sessions[0].asked if isinstance(part, bytes))


async def test_a_model_that_is_there_is_in_effect_from_the_start() -> None:
    session, engine, events = await opened(built=True)
    assert events == [GrammarReport("d1", 1, BUILT.unmatched, 0.0)]
    assert engine.sessions[0].config.language_model == engine.language_models["d1"]
    await session.feed(MS_100)
    assert audio(engine) == 3_200


async def test_audio_is_held_and_then_heard_with_the_model() -> None:
    session, engine, events = await opened()
    assert events == []
    for _ in range(5):
        assert await session.feed(MS_100) == []
    assert engine.sessions[0].asked == []
    assert session.received_s == pytest.approx(0.5)
    engine.builds["d1"].set_result(BUILT)
    assert await session.feed(MS_100) == [REPORT]
    assert engine.sessions[0].asked[0] == BUILT
    assert audio(engine) == 6 * 3_200


async def test_the_end_waits_for_the_model() -> None:
    session, engine, _ = await opened()
    await session.feed(MS_100)
    asyncio.get_running_loop().call_later(0.05, engine.builds["d1"].set_result, BUILT)
    assert await session.finish() == [REPORT]
    assert engine.sessions[0].asked[0] == BUILT
    assert audio(engine) == 3_200


async def test_impatience_starts_without_and_adopts_later() -> None:
    session, engine, _ = await opened(wait=0.0)
    assert await session.feed(MS_100) == []
    assert audio(engine) == 3_200
    engine.builds["d1"].set_result(BUILT)
    assert await session.feed(MS_100) == [REPORT]
    assert [type(part).__name__ for part in engine.sessions[0].asked] == ["bytes", "LanguageModel", "bytes"]


async def test_phrases_alone_are_worth_any_wait() -> None:
    session, engine, _ = await opened(replace(GRAMMAR, share=1.0), wait=0.0)
    await session.feed(MS_100)
    assert engine.sessions[0].asked == []
    finishing = asyncio.create_task(session.finish())
    await asyncio.sleep(0.05)
    assert not finishing.done()
    engine.builds["d1"].set_result(BUILT)
    assert await finishing == [REPORT]


async def test_held_audio_is_bounded_by_making_the_client_wait() -> None:
    session, engine, _ = await opened()
    for _ in range(100):
        await session.feed(MS_100)
    waiting = asyncio.create_task(session.feed(MS_100))
    await asyncio.sleep(0.05)
    assert not waiting.done()
    engine.builds["d1"].set_result(BUILT)
    assert await waiting == [REPORT]
    assert audio(engine) == 101 * 3_200


async def test_a_failed_build_is_reported_and_the_session_goes_on() -> None:
    session, engine, _ = await opened()
    engine.builds["d1"].set_exception(WorkerLost("the engine's process died"))
    assert await session.feed(MS_100) == [GrammarReport("d1", 0, (UnmatchedPhrase("", "WORKER_LOST"),))]
    assert audio(engine) == 3_200


@pytest.mark.parametrize(
    ("share", "error"), [(None, InvalidInput("no phrase can be heard")), (1.0, WorkerLost("the process died"))]
)
async def test_errors_that_end_the_session(share: float | None, error: Exception) -> None:
    session, engine, _ = await opened(replace(GRAMMAR, share=share))
    engine.builds["d1"].set_exception(error)
    with pytest.raises(type(error)):
        await session.feed(MS_100)


async def test_a_session_that_leaves_does_not_cancel_the_build() -> None:
    session, engine, _ = await opened()
    await session.feed(MS_100)
    finishing = asyncio.create_task(session.finish())
    await asyncio.sleep(0)
    finishing.cancel()
    await asyncio.gather(finishing, return_exceptions=True)
    await session.close()
    assert not engine.builds["d1"].cancelled()
