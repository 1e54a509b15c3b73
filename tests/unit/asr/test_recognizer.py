"""Which model serves a language, and what a session does before and after its engine."""

from __future__ import annotations

from dataclasses import replace

import pytest

from services.asr.events import SessionStats
from services.asr.recognizer import Recognizer, RecognizerSession
from services.asr.requests import EndpointingUpdate, Phrase, SessionConfig
from services.asr.settings import AsrSettings
from services.runtime.audio import AudioFormat, Encoding
from services.runtime.errors import FailedPrecondition, InvalidInput, WorkerLost
from tests.fakes.recognition import RecordingEngine, RecordingSession

pytestmark = pytest.mark.unit

MS_100 = bytes(3_200)


def recognizer(*locales: str) -> tuple[Recognizer, RecordingEngine]:
    engine = RecordingEngine(*locales)
    models = {model.locales[0]: model.id for model in engine.models}
    return Recognizer(engine, models, AsrSettings()), engine


async def opened(**fields: object) -> tuple[RecognizerSession, RecordingSession]:
    service, engine = recognizer()
    session, _ = await service.open(SessionConfig(model="fake/en@1", **fields))  # type: ignore[arg-type]
    return session, engine.sessions[0]


@pytest.mark.parametrize(
    ("languages", "model", "locale"),
    [(["en-GB"], "", "en"), (["xx", "de-AT"], "", "de"), (["de"], "fake/de", "de"), (["en"], "fake/en@1", "en")],
)
def test_the_first_language_that_has_a_model(languages: list[str], model: str, locale: str) -> None:
    service, _ = recognizer("en", "de")
    selection = service.select(languages, model)
    assert (selection.locale, selection.model.id) == (locale, f"fake/{locale}@1")


@pytest.mark.parametrize(
    ("languages", "model", "error", "reason"),
    [
        ([], "", InvalidInput, "LANGUAGE_MISSING"),
        (["not a tag"], "", InvalidInput, "LANGUAGE_TAG_MALFORMED"),
        (["ja"], "", FailedPrecondition, "LOCALE_NOT_SUPPORTED"),
        (["en"], "fake/de@1", FailedPrecondition, "MODEL_MISSING"),
    ],
)
def test_no_model(languages: list[str], model: str, error: type[Exception], reason: str) -> None:
    service, _ = recognizer("en", "de")
    with pytest.raises(error) as refused:
        service.select(languages, model)
    assert getattr(refused.value, "reason") == reason  # noqa: B009 - of either class


async def test_small_messages_are_collected() -> None:
    session, engine = await opened()
    for _ in range(700):
        await session.feed(b"\x01\x02")
    assert engine.asked == []
    for _ in range(300):
        await session.feed(b"\x01\x02")
    assert [len(part) for part in engine.asked if isinstance(part, bytes)] == [1_920]
    assert session.received_s == pytest.approx(1_000 / 16_000)
    await session.finish()
    assert engine.asked[0] + engine.asked[1] == b"\x01\x02" * 1_000  # type: ignore[operator]
    assert engine.asked[2] == "finish"


async def test_long_messages_are_sliced() -> None:
    session, engine = await opened()
    await session.feed(bytes(15_360))
    assert [len(part) for part in engine.asked if isinstance(part, bytes)] == [7_680, 7_680]


async def test_a_control_comes_after_the_audio_before_it() -> None:
    session, engine = await opened(endpointing=replace(SessionConfig("m").endpointing, continuous=True))
    await session.feed(bytes(100))
    await session.update_biasing((Phrase("tokyo"),))
    await session.feed(bytes(200))
    await session.update_endpointing(EndpointingUpdate(end_silence=1.0))
    await session.feed(bytes(300))
    await session.finalize()
    assert [part if isinstance(part, str) else type(part).__name__ for part in engine.asked] == [
        "bytes", "tuple", "bytes", "EndpointingUpdate", "bytes", "finalize",
    ]  # fmt: skip
    assert not session.is_over


async def test_the_first_endpoint_ends_a_session_that_is_not_continuous() -> None:
    session, _ = await opened()
    await session.feed(MS_100)
    await session.finalize()
    assert session.is_over


async def test_stats_are_there_after_the_end() -> None:
    session, engine = await opened()
    await session.feed(MS_100)
    assert await session.finish() == []
    assert session.stats == SessionStats(1.5, 0.25)
    await session.close()
    assert engine.closed


@pytest.mark.parametrize(("audio", "reason"), [(bytes(15_361), "AUDIO_CHUNK_TOO_LARGE"), (bytes(3), "ODD_AUDIO_BYTES")])
async def test_messages_that_are_refused(audio: bytes, reason: str) -> None:
    session, _ = await opened()
    with pytest.raises(InvalidInput) as refused:
        await session.feed(audio)
    assert refused.value.reason == reason


async def test_a_stream_without_audio_is_refused() -> None:
    session, _ = await opened()
    with pytest.raises(InvalidInput) as refused:
        await session.finish()
    assert refused.value.reason == "NO_AUDIO"


async def test_a_lost_worker_reaches_the_caller() -> None:
    session, engine = await opened()
    engine.lost = True
    with pytest.raises(WorkerLost):
        await session.feed(MS_100)


async def test_a_recording_is_heard_to_its_end_and_its_session_closed() -> None:
    service, engine = recognizer()
    _, stats = await service.transcribe(SessionConfig("fake/en@1"), bytes(100_000))
    (session,) = engine.sessions
    assert session.config.endpointing.continuous
    assert sum(len(part) for part in session.asked if isinstance(part, bytes)) == 100_000
    assert (stats, session.closed) == (SessionStats(1.5, 0.25), True)


async def test_a_recording_that_is_too_long_is_refused() -> None:
    service, engine = recognizer()
    config = SessionConfig("fake/en@1", AudioFormat(Encoding.MULAW, 8_000))
    with pytest.raises(InvalidInput) as refused:
        await service.transcribe(config, bytes(8_000 * 61))
    assert (refused.value.reason, engine.sessions) == ("AUDIO_TOO_LONG", [])


async def test_too_many_phrases_are_refused() -> None:
    session, _ = await opened()
    with pytest.raises(InvalidInput) as refused:
        await session.update_biasing((Phrase("a"),) * 1_001)
    assert refused.value.reason == "TOO_MANY_PHRASES"


def test_settings_name_the_key_that_is_wrong() -> None:
    with pytest.raises(ValueError, match="request_ms"):
        AsrSettings(request_ms=5)
    with pytest.raises(ValueError, match="models"):
        AsrSettings(models={})
