"""Engines that read each sentence once."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from services.nlu.engines.engine import EngineInfo, Reading
from services.nlu.engines.remembering import Remembering
from services.nlu.text import Token, tokenise
from tests.fakes.intent_engine import ScriptedEngine

pytestmark = pytest.mark.unit


class CountingEngine:
    """Reads by a script and keeps what it was asked."""

    def __init__(self) -> None:
        self._engine = ScriptedEngine({"stop": {"dialogue.stop": 0.9}, "go": {"dialogue.stop": 0.1}})
        self.asked: list[list[str]] = []

    @property
    def info(self) -> EngineInfo:
        return self._engine.info

    async def read(self, sentences: Sequence[Sequence[Token]], deadline: float | None) -> Sequence[Reading]:
        self.asked.append([" ".join(token.norm for token in tokens) for tokens in sentences])
        return await self._engine.read(sentences, deadline)


async def stops(engine: Remembering[Reading], *texts: str) -> list[float]:
    readings = await engine.read([tokenise(text) for text in texts], None)
    return [one.intents.get("dialogue.stop", 0.0) for one in readings]


async def test_a_sentence_is_read_once() -> None:
    counted = CountingEngine()
    engine = Remembering[Reading](counted)
    assert engine.info is counted.info
    assert await stops(engine, "stop") == [0.9]
    assert await stops(engine, "go", "Stop", "go") == [0.1, 0.9, 0.1]
    assert await stops(engine, "stop", "go") == [0.9, 0.1]
    assert counted.asked == [["stop"], ["go"]]


async def test_words_are_not_run_together() -> None:
    counted = CountingEngine()
    await stops(Remembering[Reading](counted), "a b", "ab", "", "a", "b")
    assert counted.asked == [["a b", "ab", "", "a", "b"]]


async def test_the_oldest_are_forgotten() -> None:
    counted = CountingEngine()
    engine = Remembering[Reading](counted, size=2)
    for text in ("one", "two", "one", "three", "one", "two"):
        await stops(engine, text)
    assert counted.asked == [["one"], ["two"], ["three"], ["two"]]


async def test_more_sentences_than_are_kept_are_all_read() -> None:
    assert await stops(Remembering[Reading](CountingEngine(), size=1), "stop", "go", "stop") == [0.9, 0.1, 0.9]
