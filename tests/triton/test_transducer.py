"""Recognition by a transducer whose networks run on a real Triton server, and what a user notices when it dies."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import numpy as np
import pytest

from services.asr.engines.neural.engine import NeuralEngine, NeuralSession
from services.asr.engines.readers import read_model
from services.asr.events import Event, Final, SessionStats
from services.asr.requests import Endpointing, SessionConfig
from services.asr.settings import AsrSettings
from services.runtime.backends import FALLBACK_VARIABLE, URL_VARIABLE, model_client
from services.runtime.errors import Unavailable
from services.runtime.model_store import ModelStore
from services.runtime.triton.repository import write_repository
from services.runtime.triton.server import TritonServer
from tests.fakes.recognition import LoudIsSpeech
from tests.fixtures.tiny_transducer import TinyBundle, tones

pytestmark = [pytest.mark.triton, pytest.mark.timeout(180)]

MODEL = "tiny/tones@1"
SAID = ["one", "three", "two", "five", "one"]
AUDIO = np.concatenate((np.zeros(8_000, np.int16), tones(SAID), np.zeros(16_000, np.int16))).tobytes()
HALF = len(AUDIO) // 6_400 * 3_200


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> ModelStore:
    return TinyBundle(dial=True, batching={"max_size": 8, "delay_ms": 1}).write(tmp_path_factory.mktemp("bundle"))


@pytest.fixture(scope="module")
def triton_repository(store: ModelStore, tmp_path_factory: pytest.TempPathFactory) -> Path:
    repository = tmp_path_factory.mktemp("repository") / "cpu"
    write_repository(store.models(), repository, platform="cpu")
    return repository


@asynccontextmanager
async def engine(store: ModelStore, url: str = "", fallback: str = "embedded") -> AsyncIterator[NeuralEngine]:
    """As the service makes it from the environment; embedded without a URL."""
    backend = {"ANTIPHON_ASR_BACKEND": "triton"} if url else {}
    client = await model_client(store, "asr", environ={**backend, URL_VARIABLE: url, FALLBACK_VARIABLE: fallback})
    found = NeuralEngine([read_model(store.get(MODEL), client, AsrSettings())], client)
    await found.start()
    try:
        yield found
    finally:
        await found.close()


def session(engine: NeuralEngine, alternatives: int = 1) -> NeuralSession:
    endpointing = Endpointing(continuous=True)
    config = SessionConfig(
        MODEL, words=True, max_alternatives=alternatives, endpointing=endpointing, compute_budget=0.5
    )
    return NeuralSession(engine, engine._by_id[MODEL], config, LoudIsSpeech())


async def said(listener: NeuralSession, audio: bytes) -> list[Event]:
    return [event for at in range(0, len(audio), 3_200) for event in await listener.feed(audio[at : at + 3_200])]


def finals(events: Sequence[Event]) -> list[Final]:
    return [event for event in events if isinstance(event, Final)]


async def undisturbed(store: ModelStore, alternatives: int = 1) -> list[Final]:
    async with engine(store) as embedded:
        listener = session(embedded, alternatives)
        return finals(await said(listener, AUDIO) + await listener.finish())


@pytest.mark.parametrize("alternatives", [1, 4])
async def test_both_homes_hear_the_same(store: ModelStore, triton_server: TritonServer, alternatives: int) -> None:
    wanted = await undisturbed(store, alternatives)
    assert wanted[0].alternatives[0].text == " ".join(SAID)
    async with engine(store, triton_server.address) as served:
        assert served.backend(MODEL) == "triton"
        listeners = [session(served, alternatives) for _ in range(8)]
        found = await asyncio.gather(*(said(each, AUDIO) for each in listeners))
        assert [finals(events) for events in found] == [wanted] * 8
        ended = [await each.finish() for each in listeners]
        assert all(isinstance(events[-1], SessionStats) and events[-1].spent == 0.5 for events in ended)


async def test_a_server_that_dies_in_a_word_costs_no_word(store: ModelStore, triton_server: TritonServer) -> None:
    wanted = await undisturbed(store)
    async with engine(store, triton_server.address) as served:
        listener = session(served)
        events = await said(listener, AUDIO[:HALF])
        try:
            triton_server.kill()
            events += await said(listener, AUDIO[HALF:])
            assert served.backend(MODEL) == "embedded"
        finally:
            triton_server.start()
        events += await listener.finish()
    assert finals(events) == wanted


async def test_without_a_fallback_the_stream_ends_with_a_reason(store: ModelStore, triton_server: TritonServer) -> None:
    async with engine(store, triton_server.address, fallback="none") as served:
        listener = session(served)
        await said(listener, AUDIO[:HALF])
        try:
            triton_server.kill()
            with pytest.raises(Unavailable) as gone:
                await said(listener, AUDIO[HALF:])
            assert gone.value.reason
            await listener.close()
        finally:
            triton_server.start()
