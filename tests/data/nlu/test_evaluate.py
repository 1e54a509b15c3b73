"""`antiphon evaluate nlu` on public sets: it finds the figures of the card, and its gate refuses a worsened model."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from services.evaluate_commands import evaluate
from services.nlu.app import BUNDLED
from services.nlu.engines.labels import LabelEngine
from services.nlu.evaluation.formats import FORMATS
from services.nlu.evaluation.gate import regressions
from services.nlu.evaluation.scoring import score
from services.runtime.model_store import ModelStore
from services.runtime.onnx import OnnxClient
from tests.fakes.forgetful_labels import ForgetfulLabels

pytestmark = pytest.mark.data

SCORES = BUNDLED / "intents-en" / "scores.json"


def test_slurp_test_is_read_as_the_card_says(data: Path, tmp_path: Path) -> None:
    told = json.loads(SCORES.read_text(encoding="utf-8"))["slurp"]["model"]
    card = tmp_path / "card.json"
    assert evaluate(["nlu", "--data", str(data / "text/slurp"), "--format", "slurp", "--json", str(card)]) == 0
    held = json.loads(card.read_text())["locales"]["en"]
    assert held["n"] == 1_486
    assert held["intent_accuracy"] == pytest.approx(told["accuracy"], abs=0.002)
    assert held["slot_f1"] == pytest.approx(told["slot_f1"], abs=0.015)


async def test_the_gate_refuses_a_worsened_model_and_not_the_model_itself(data: Path) -> None:
    samples = FORMATS["slurp"].samples(data / "text/slurp", "devel")[::3]
    client = OnnxClient(ModelStore([BUNDLED]), threads=1)
    engine = await LabelEngine.load(client)
    before = await score(engine, samples, "massive")
    same = await score(engine, samples, "massive")
    worse = await score(ForgetfulLabels(engine, 0.05), samples, "massive")
    hardly = await score(ForgetfulLabels(engine, 0.002), samples, "massive")
    await client.close()
    assert not regressions(before, same, 0.0)
    assert any(one.refuses for one in regressions(before, worse, 0.0))
    assert not any(one.refuses for one in regressions(before, hardly, 0.005))


@pytest.mark.parametrize(("part", "sentences"), [("test", 7_500), ("valid", 5_000)])
def test_all_of_xsid_is_read(data: Path, part: str, sentences: int) -> None:
    samples = FORMATS["xsid"].samples(data / "text/xsid", part)
    assert len(samples) > sentences
    assert all(one.text[slot.start : slot.end] for one in samples for slot in one.slots)
