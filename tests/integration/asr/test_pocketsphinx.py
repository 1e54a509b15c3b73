"""pocketsphinx in its real worker processes, on synthetic speech."""

from __future__ import annotations

import asyncio
import itertools
import os
import signal
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import pytest_asyncio

from services.asr.engines.pocketsphinx.bundles import PocketsphinxBundle
from services.asr.engines.pocketsphinx.engine import PocketsphinxEngine, PocketsphinxSession
from services.asr.events import BiasingReport, Endpoint, EndpointReason, Event, Final, Partial, SessionStats
from services.asr.requests import Endpointing, Phrase, SessionConfig
from services.runtime.audio import AudioFormat, Encoding, PcmEncoder
from services.runtime.errors import FailedPrecondition, Unavailable, WorkerLost
from services.runtime.inference import ModelDefinition
from services.runtime.model_store import read_definition
from tests.fixtures.synthetic_speech import quiet, spoken

pytestmark = [pytest.mark.integration, pytest.mark.asyncio(loop_scope="module")]

MODELS = Path(__file__).parents[3] / "services" / "asr" / "models"
CONFIG = SessionConfig(
    model="antiphon/en-commands@2", endpointing=Endpointing(continuous=True), interim=True, words=True
)


def definition(name: str = "en-commands") -> ModelDefinition:
    return read_definition(MODELS / name / "model.yaml")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def engine() -> AsyncIterator[PocketsphinxEngine]:
    engine = PocketsphinxEngine([definition()], workers=1)
    await engine.start()
    yield engine
    await engine.close()


async def hear(
    engine: PocketsphinxEngine, audio: bytes, config: SessionConfig = CONFIG, step: int = 3_200
) -> list[Event]:
    session, events = await engine.open(config)
    for at in range(0, len(audio), step):
        events += await session.feed(audio[at : at + step])
    events += await session.finish()
    await session.close()
    return events


def finals(events: list[Event]) -> list[Final]:
    return [event for event in events if isinstance(event, Final)]


def texts(events: list[Event]) -> list[str]:
    return [final.alternatives[0].text for final in finals(events)]


@pytest.mark.parametrize(
    "text",
    [
        "what time is it in tokyo",
        "what is twelve times nine",
        "what is the time in new york",
        "what day is it today",
        "how much is seven hundred and five divided by five",
    ],
)
async def test_commands_are_recognised_word_for_word(engine: PocketsphinxEngine, text: str) -> None:
    pcm = spoken(text)
    events = await hear(engine, pcm.tobytes())
    assert texts(events) == [text]
    (endpoint,) = [event for event in events if isinstance(event, Endpoint)]
    assert endpoint.reason is EndpointReason.SILENCE
    assert endpoint.speech_start == pytest.approx(0.4, abs=0.15)
    assert endpoint.speech_end == pytest.approx(pcm.size / 16_000 - 0.8, abs=0.25)
    assert endpoint.speech_end is not None
    assert endpoint.decided - endpoint.speech_end == pytest.approx(0.5, abs=0.04)


async def test_words_have_times_and_confidence(engine: PocketsphinxEngine) -> None:
    pcm = np.concatenate((quiet(1.0), spoken("what time is it in tokyo")))
    (final,) = finals(await hear(engine, pcm.tobytes()))
    words = final.alternatives[0].words
    assert [word.text for word in words] == "what time is it in tokyo".split()
    assert words[0].start == pytest.approx(1.4, abs=0.1)
    assert all(earlier.end <= later.start + 0.001 for earlier, later in itertools.pairwise(words))
    assert words[-1].end == pytest.approx(pcm.size / 16_000 - 0.8, abs=0.2)
    assert all(0.0 < word.confidence <= 1.0 for word in words)
    assert final.alternatives[0].acoustic_score < 0 > final.alternatives[0].language_score


async def test_partials_lead_to_the_final(engine: PocketsphinxEngine) -> None:
    events = await hear(engine, spoken("what is twelve times nine").tobytes())
    partials = [event for event in events if isinstance(event, Partial)]
    assert len({partial.text for partial in partials}) >= 3
    assert any(partial.stable_prefix > 0 for partial in partials)
    assert partials[-1].text.startswith("what is")


async def test_the_final_comes_within_30_ms_of_the_endpoint(engine: PocketsphinxEngine) -> None:
    pcm = spoken("how much is seven hundred and five divided by five")
    took = []
    for _ in range(5):
        session, _ = await engine.open(CONFIG)
        data = pcm.tobytes()
        for at in range(0, len(data), 3_200):
            begin = time.perf_counter()
            if finals(await session.feed(data[at : at + 3_200])):
                took.append(time.perf_counter() - begin)
        await session.close()
    assert len(took) == 5
    assert min(took) < 0.03


@pytest.mark.parametrize("gain", [0.05, 0.3, 1.5])
async def test_loudness_does_not_matter(engine: PocketsphinxEngine, gain: float) -> None:
    pcm = np.clip(spoken("what time is it in tokyo") * gain, -32_768, 32_767).astype(np.int16)
    assert texts(await hear(engine, pcm.tobytes())) == ["what time is it in tokyo"]


@pytest.mark.parametrize(("encoding", "rate_hz"), [(Encoding.LINEAR16, 48_000), (Encoding.MULAW, 16_000)])
async def test_other_formats(engine: PocketsphinxEngine, encoding: Encoding, rate_hz: int) -> None:
    audio = AudioFormat(encoding, rate_hz)
    encoder = PcmEncoder(audio, 16_000)
    data = encoder.feed(spoken("what time is it in tokyo")) + encoder.finish()
    events = await hear(engine, data, replace(CONFIG, format=audio), step=1_600)
    assert texts(events) == ["what time is it in tokyo"]


async def test_utterances_follow_one_another(engine: PocketsphinxEngine) -> None:
    first, second = spoken("what time is it in tokyo"), spoken("what is twelve times nine")
    heard = texts(await hear(engine, np.concatenate((first, second)).tobytes()))
    assert heard == ["what time is it in tokyo", "what is twelve times nine"]


async def test_what_is_heard_does_not_depend_on_who_spoke_before(engine: PocketsphinxEngine) -> None:
    speech = spoken("what is fifteen percent of eighty").tobytes()
    noise = np.random.default_rng(5).normal(0, 5_000, 32_000).astype(np.int16)
    (fresh,) = finals(await hear(engine, speech))
    await hear(engine, np.concatenate((noise, spoken("what time is it in tokyo"), noise)).tobytes())
    (again,) = finals(await hear(engine, speech))
    assert again.alternatives[0].words == fresh.alternatives[0].words
    assert again.alternatives[0].acoustic_score == pytest.approx(fresh.alternatives[0].acoustic_score, rel=0.01)


async def test_sessions_at_once_do_not_mix(engine: PocketsphinxEngine) -> None:
    wanted = ["what time is it in tokyo", "what is twelve times nine", "what day is it today"]
    heard = await asyncio.gather(*(hear(engine, spoken(text).tobytes()) for text in wanted))
    assert [texts(events) for events in heard] == [[text] for text in wanted]


async def test_noise_and_silence_are_no_words(engine: PocketsphinxEngine) -> None:
    noise = np.random.default_rng(3).normal(0, 2_000, 5 * 16_000).astype(np.int16)
    events = await hear(engine, np.concatenate((quiet(2.0), noise)).tobytes())
    assert texts(events) == []
    assert [event.reason for event in events if isinstance(event, Endpoint)] == [EndpointReason.NO_SPEECH]


async def test_alternatives_are_different_guesses(engine: PocketsphinxEngine) -> None:
    config = replace(CONFIG, max_alternatives=5)
    (final,) = finals(await hear(engine, spoken("what is fifteen percent of eighty").tobytes(), config))
    guesses = [alternative.text for alternative in final.alternatives]
    assert 1 < len(guesses) == len(set(guesses)) <= 5


async def test_biasing_changes_the_choice_and_reports_what_it_cannot_do(engine: PocketsphinxEngine) -> None:
    speech = spoken("what is fifteen percent of eighty").tobytes()
    (plain,) = finals(await hear(engine, speech, replace(CONFIG, max_alternatives=5)))
    best, second = (alternative.text for alternative in plain.alternatives[:2])
    phrases = (Phrase(second, 20.0), Phrase("xyzzy plugh"))
    events = await hear(engine, speech, replace(CONFIG, phrases=phrases))
    (report,) = [event for event in events if isinstance(event, BiasingReport)]
    assert report.accepted == 1
    assert [(each.reason, each.words) for each in report.unmatched] == [("OUT_OF_VOCABULARY", ("xyzzy", "plugh"))]
    assert texts(events) == [second]
    assert texts(await hear(engine, speech)) == [best]  # the next session does not expect it


async def test_stats(engine: PocketsphinxEngine) -> None:
    pcm = spoken("what time is it in tokyo")
    stats = (await hear(engine, pcm.tobytes()))[-1]
    assert isinstance(stats, SessionStats)
    assert stats.speech_seconds == pytest.approx(pcm.size / 16_000 - 1.2, abs=0.3)
    assert stats.cpu_seconds is not None
    assert 0.0 < stats.cpu_seconds < 0.5 * pcm.size / 16_000


async def test_a_worker_killed_mid_utterance(engine: PocketsphinxEngine) -> None:
    session, _ = await engine.open(CONFIG)
    await session.feed(spoken("what time is it in tokyo").tobytes()[:40_000])
    pid = engine.stats()[0].pid
    os.kill(pid, signal.SIGKILL)
    with pytest.raises(WorkerLost):
        await session.feed(bytes(320_000))
    await session.close()
    with pytest.raises(Unavailable):
        engine.check()
    async with asyncio.timeout(20):
        while not engine.stats():  # noqa: ASYNC110 - the engine tells nobody
            await asyncio.sleep(0.05)
    assert texts(await hear(engine, spoken("what day is it today").tobytes())) == ["what day is it today"]


async def test_a_session_closed_mid_utterance_leaves_nothing_behind(engine: PocketsphinxEngine) -> None:
    sessions: list[PocketsphinxSession] = []
    for _ in range(3):
        session, _ = await engine.open(CONFIG)
        await session.feed(spoken("what day is it today").tobytes()[:32_000])
        sessions.append(session)
    for session in sessions:
        await session.close()
    assert engine.stats()[0].sessions == 0
    assert texts(await hear(engine, spoken("what day is it today").tobytes())) == ["what day is it today"]


async def test_an_unknown_model_is_refused_and_the_session_given_back(engine: PocketsphinxEngine) -> None:
    with pytest.raises(FailedPrecondition) as refused:
        await engine.open(replace(CONFIG, model="antiphon/none@1"))
    assert refused.value.reason == "MODEL_MISSING"
    assert engine.stats()[0].sessions == 0


async def test_a_bundle_whose_file_was_changed_is_refused(tmp_path: Path) -> None:
    for path in (MODELS / "en-commands").iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    with (tmp_path / "commands.lm.bin").open("ab") as file:
        file.write(b"!")
    with pytest.raises(FailedPrecondition) as refused:
        PocketsphinxBundle.open(read_definition(tmp_path / "model.yaml"))
    assert refused.value.reason == "MODEL_DIGEST_MISMATCH"


async def test_the_wheel_still_holds_the_dictation_model() -> None:
    assert PocketsphinxBundle.open(definition("en-dictation")).definition.id == "cmusphinx/en-dictation@5.1"
