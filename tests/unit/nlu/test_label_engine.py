"""The bundled English model through the embedded client: what it reads, and what nobody should give it."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from services.nlu.app import BUNDLED
from services.nlu.engines.labels import LabelEngine, LabelReading
from services.nlu.text import tokenise
from services.runtime.errors import FailedPrecondition
from services.runtime.model_store import ModelStore
from services.runtime.onnx import OnnxClient
from tests.unit.nlu.test_text import HOSTILE

pytestmark = pytest.mark.unit

TEXTS = {**HOSTILE, "many words": "a " * 200, "one word": "ab" * 2_000, "no word": "..."}


@pytest.fixture
async def engine() -> AsyncIterator[LabelEngine]:
    client = OnnxClient(ModelStore([BUNDLED]), threads=1)
    yield await LabelEngine.load(client)
    await client.close()


def best(reading: LabelReading, taxonomy: str) -> str:
    told = {name: share for name, share in reading.labels.items() if name.startswith(f"{taxonomy}:")}
    return max(told, key=lambda name: told[name])


async def test_a_sentence_is_read_the_same_beside_a_longer_one(engine: LabelEngine) -> None:
    short, long = tokenise("wake me up at seven am"), tokenise("what is the weather like in london on friday morning")
    alone = (await engine.read([short], None))[0]
    beside = (await engine.read([short, long], None))[0]
    assert best(alone, "massive") == best(beside, "massive") == "massive:alarm_set"
    assert alone.slots[0].name == beside.slots[0].name == "massive:time"
    assert alone.labels["massive:alarm_set"] == pytest.approx(beside.labels["massive:alarm_set"], abs=0.02)


async def test_slots_are_spans_of_tokens_also_behind_words_of_many_pieces(engine: LabelEngine) -> None:
    tokens = tokenise("send an email to wojciechowska about the meeting tomorrow")
    reading = (await engine.read([tokens], None))[0]
    found = {slot.name: [token.norm for token in tokens[slot.start : slot.end]] for slot in reading.slots}
    assert found["massive:date"] == ["tomorrow"]


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS.keys())
async def test_whatever_is_sent_is_read(engine: LabelEngine, text: str) -> None:
    tokens = tokenise(text)
    reading = (await engine.read([tokens], None))[0]
    assert all(0 <= slot.start < slot.end <= len(tokens) for slot in reading.slots)
    assert set(reading.outside) == {"massive", "clinc150"}


async def test_another_vocabulary_is_refused(tmp_path: Path) -> None:
    copy = tmp_path / "intents-en"
    shutil.copytree(BUNDLED / "intents-en", copy)
    pieces = copy / "pieces.txt"
    pieces.write_text(pieces.read_text(encoding="utf-8").replace("\nplay\n", "\nploy_\n"), encoding="utf-8")
    client = OnnxClient(ModelStore([tmp_path]), threads=1)
    with pytest.raises(FailedPrecondition) as refused:
        await LabelEngine.load(client)
    assert refused.value.reason == "MODEL_DEFINITION_INVALID"
    await client.close()
