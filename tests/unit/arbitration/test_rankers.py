"""Rankers as the judge sees them: whatever is listed comes back in order, with probabilities that add up."""

from __future__ import annotations

import asyncio
import json
import math
import shutil
from collections.abc import Iterator
from dataclasses import fields, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from services.arbitration.feedback import HALF_OFTEN, RECENT_SECONDS, FeedbackBook
from services.arbitration.hypotheses import Candidate, Features, Hypothesis, Interpretation, Rejection
from services.arbitration.rankers.choice import RankerKind, Rankers
from services.arbitration.rankers.linear import GROUPS, HAND_SET, WEIGHTS, LinearRanker
from services.arbitration.rankers.loading import BUNDLED, MODELS, load_rankers
from services.arbitration.rankers.matrix import COLUMNS, FEATURES, rows
from services.arbitration.rankers.ranker import Ranker
from services.arbitration.settings import ArbitrationSettings
from services.arbitration.stages.calibrate import Calibration, domain_of
from services.runtime.errors import FailedPrecondition
from services.runtime.model_store import ModelStore
from services.runtime.onnx import OnnxClient

pytestmark = pytest.mark.unit

KINDS = list(RankerKind)
LEARNED = list(MODELS)
BROKEN = (math.nan, math.inf, -math.inf, 1e30, -7.0)


def candidate(
    skill_id: str, confidence: float = 0.5, *, rejected: Rejection = Rejection.NONE, **features: float
) -> Candidate:
    reading = Interpretation(f"{skill_id}.do", confidence, skill_id=skill_id)
    seen = Features(intent_confidence=confidence, relative_confidence=1.0, asr_confidence=0.8)
    return Candidate(
        Hypothesis(skill_id, reading),
        shortlist_score=confidence,
        features=replace(seen, **features),
        rejected=rejected,
    )


def listed() -> list[Candidate]:
    out = candidate("out", 0.99, rejected=Rejection.NOT_ENABLED)
    return [out, candidate("first", 0.4, enabled_by_user=1.0, used_often=0.7), candidate("second", 0.3)]


@pytest.fixture(scope="module")
def loop() -> Iterator[asyncio.Runner]:
    with asyncio.Runner() as runner:
        yield runner


@pytest.fixture(scope="module")
def rankers(loop: asyncio.Runner) -> Iterator[Rankers]:
    client = OnnxClient(ModelStore([BUNDLED]), threads=1)
    yield loop.run(load_rankers(client, RankerKind.LINEAR))
    loop.run(client.close())


def rank(loop: asyncio.Runner, ranker: Ranker, candidates: list[Candidate], outside: float = 0.0) -> list[Candidate]:
    return list(loop.run(ranker.rank(candidates, outside)))


# --- the contract of all of them ---------------------------------------------------------------------------------
@pytest.mark.parametrize("kind", KINDS)
def test_the_best_comes_first_and_who_is_out_comes_last(
    rankers: Rankers, loop: asyncio.Runner, kind: RankerKind
) -> None:
    ranked = rank(loop, rankers.get(kind), listed())
    assert [one.hypothesis.skill_id for one in ranked] == ["first", "second", "out"]
    assert ranked[0].probability > ranked[1].probability > 0.0
    assert ranked[2].probability == 0.0
    assert 0.0 < sum(one.probability for one in ranked) < 1.0


@pytest.mark.parametrize("kind", KINDS)
def test_nobody_is_nobody(rankers: Rankers, loop: asyncio.Runner, kind: RankerKind) -> None:
    assert rank(loop, rankers.get(kind), []) == []
    (out,) = rank(loop, rankers.get(kind), listed()[:1])
    assert out.probability == 0.0


@pytest.mark.parametrize("kind", KINDS)
def test_who_is_out_changes_nothing_for_the_others(rankers: Rankers, loop: asyncio.Runner, kind: RankerKind) -> None:
    ranker = rankers.get(kind)
    with_them, without = rank(loop, ranker, listed()), rank(loop, ranker, listed()[1:])
    assert [one.probability for one in with_them[:2]] == pytest.approx([one.probability for one in without])


@pytest.mark.parametrize("kind", KINDS)
def test_an_utterance_out_of_scope_leaves_less_for_everybody(
    rankers: Rankers, loop: asyncio.Runner, kind: RankerKind
) -> None:
    inside, outside = (
        sum(one.probability for one in rank(loop, rankers.get(kind), listed(), scope)) for scope in (0.0, 0.95)
    )
    assert outside < inside


@pytest.mark.parametrize("kind", LEARNED)
@pytest.mark.parametrize("broken", BROKEN)
def test_a_broken_feature_counts_as_if_nothing_were_known(
    rankers: Rankers, loop: asyncio.Runner, kind: RankerKind, broken: float
) -> None:
    ranker = rankers.get(kind)
    expected = {one.hypothesis.skill_id: one.probability for one in rank(loop, ranker, [*listed(), candidate("third")])}
    spoiled = candidate("third", feedback=broken, used_recently=broken)
    ranked = rank(loop, ranker, [*listed(), spoiled], outside=broken)
    assert {one.hypothesis.skill_id: one.probability for one in ranked} == pytest.approx(expected)


@pytest.mark.parametrize("kind", KINDS)
def test_everything_broken_at_once_still_gives_probabilities(
    rankers: Rankers, loop: asyncio.Runner, kind: RankerKind
) -> None:
    spoiled = replace(candidate("spoiled"), features=Features(**dict.fromkeys(FEATURES, math.nan)))
    ranked = rank(loop, rankers.get(kind), [spoiled, *listed()])
    assert all(math.isfinite(one.probability) and 0.0 <= one.probability <= 1.0 for one in ranked)


@pytest.mark.parametrize("kind", LEARNED)
def test_what_counts_is_told(rankers: Rankers, loop: asyncio.Runner, kind: RankerKind) -> None:
    ranker = rankers.get(kind)
    ranked = loop.run(ranker.explain(rank(loop, ranker, listed()), 0.0))
    told = {part.feature: part.points for part in ranked[0].contributions}
    assert told.keys() <= set(FEATURES)
    assert told["enabled_by_user"] > 0.0
    assert [one.probability for one in ranked] == [one.probability for one in rank(loop, ranker, listed())]


@pytest.mark.parametrize("kind", [RankerKind.LAMBDA_MART, RankerKind.BI_LSTM])
def test_a_contribution_is_the_score_less_the_score_without(
    rankers: Rankers, loop: asyncio.Runner, kind: RankerKind
) -> None:
    ranker = rankers.get(kind)
    whole = loop.run(ranker.explain(rank(loop, ranker, listed()), 0.0))[0]
    without = replace(listed()[1], features=replace(listed()[1].features, enabled_by_user=0.0))
    lesser = next(one for one in rank(loop, ranker, [without, listed()[2]]) if one.hypothesis == whole.hypothesis)
    points = {part.feature: part.points for part in whole.contributions}["enabled_by_user"]
    assert points == pytest.approx(whole.score - lesser.score, abs=1e-4)


def test_each_names_its_model(rankers: Rankers) -> None:
    for kind, model in MODELS.items():
        provenance = rankers.get(kind).provenance
        assert provenance.model.startswith(f"{model}@")
        assert provenance.digest.startswith("sha256:")
        assert (provenance.backend, provenance.mode) == ("embedded", "FINETUNED")


# --- features ----------------------------------------------------------------------------------------------------
def test_operations_are_no_features() -> None:
    """An outage must not teach that people stopped liking a skill."""
    operational = ("circuit", "latency", "p95", "p99", "cost", "load", "timeout", "deadline", "queue", "error", "ms")
    named = {part for feature in fields(Features) for part in feature.name.split("_")}
    assert not named & set(operational)
    assert GROUPS.keys() == set(FEATURES)
    assert not set(GROUPS.values()) & {"operations", "health"}


def test_a_row_holds_the_features_in_order_and_the_last_stands_for_none() -> None:
    table = rows([candidate("one", 0.25, feedback=0.75)], 0.5)
    assert table.shape == (2, len(COLUMNS))
    assert table.dtype == np.float32
    assert table[0, COLUMNS.index("intent_confidence")] == 0.25
    assert table[0, COLUMNS.index("feedback")] == 0.75
    assert table[:, COLUMNS.index("out_of_scope")].tolist() == [0.5, 0.5]
    assert table[:, COLUMNS.index("none")].tolist() == [0.0, 1.0]


def test_uses_count_less_as_they_grow_old() -> None:
    book = FeedbackBook()
    book.used("home", "me", "clock", 0.0)
    assert book.used_often("home", "me", "clock", 0.0) == pytest.approx(1 / (1 + HALF_OFTEN))
    assert book.used_often("home", "me", "clock", RECENT_SECONDS) == pytest.approx(0.5 / (0.5 + HALF_OFTEN))
    book.used("home", "me", "clock", RECENT_SECONDS)
    assert book.used_often("home", "me", "clock", RECENT_SECONDS) == pytest.approx(1.5 / (1.5 + HALF_OFTEN))
    assert book.used_often("home", "me", "watch", 0.0) == 0.0


def test_popularity_is_of_turns_whose_end_is_known() -> None:
    book = FeedbackBook()
    assert book.popularity("home", "clock", "clock.time") == 0.0
    for good in (True, False):
        book.record("home", "clock", "clock.time", good=good)
    assert book.popularity("home", "clock", "clock.time") == pytest.approx(2 / 22)


# --- calibration -------------------------------------------------------------------------------------------------
def test_calibration_keeps_the_order_and_adds_up_to_one() -> None:
    scores, intents = [3.0, -1.0, 2.0], ["a.x", "b.x", "c.x"]
    for temperature in (0.3, 1.0, 5.0):
        found = Calibration(temperature).probabilities(scores, intents, none=1.0)
        assert sorted(range(3), key=lambda at: found[at]) == [1, 2, 0]
        assert 0.0 < sum(found) < 1.0


def test_a_higher_temperature_is_less_sure() -> None:
    sure, unsure = (Calibration(t).probabilities([4.0, 1.0], ["a.x", "b.x"], 0.0)[0] for t in (1.0, 3.0))
    assert unsure < sure


def test_a_shift_moves_its_domain_alone() -> None:
    shifted = Calibration(shift={"a": 2.0}).probabilities([0.0, 0.0, 0.0], ["a_1.x", "b.x", "b.y"], 0.0)
    assert shifted[0] > shifted[1] == shifted[2]
    assert domain_of("weather_b.forecast") == domain_of("weather.forecast") == "weather"


@pytest.mark.parametrize("temperature", [0.0, -1.0, math.nan, math.inf])
def test_a_temperature_that_makes_no_probabilities_is_refused(temperature: float) -> None:
    with pytest.raises(ValueError, match="temperature"):
        Calibration(temperature)


def test_a_shift_that_would_decide_is_refused() -> None:
    for points in (9.0, math.nan):
        with pytest.raises(ValueError, match="shift"):
            Calibration(shift={"a": points})


# --- bundles -----------------------------------------------------------------------------------------------------
def load(loop: asyncio.Runner, folder: Path, default: RankerKind = RankerKind.LINEAR, **options: bool) -> Rankers:
    async def loading() -> Rankers:
        client = OnnxClient(ModelStore([folder]), threads=1)
        try:
            return await load_rankers(client, default, **options)
        finally:
            await client.close()

    return loop.run(loading())


def changed(folder: Path, name: str, **parameters: Any) -> Path:
    """The bundles with other parameters in one definition."""
    shutil.copytree(BUNDLED, folder, dirs_exist_ok=True)
    path = folder / name / "model.yaml"
    definition = yaml.safe_load(path.read_text(encoding="utf-8"))
    definition["parameters"] |= parameters
    path.write_text(yaml.safe_dump(definition), encoding="utf-8")
    return folder


@pytest.mark.parametrize("kind", LEARNED)
def test_a_bundle_for_other_features_is_refused(loop: asyncio.Runner, tmp_path: Path, kind: RankerKind) -> None:
    name = MODELS[kind].partition("/")[2]
    other = changed(tmp_path, name, columns=[*COLUMNS[1:], "shoe_size"])
    with pytest.raises(FailedPrecondition, match="shoe_size") as refused:
        load(loop, other, kind)
    assert refused.value.reason == "RANKER_FEATURES"


def test_features_in_another_order_are_other_features(loop: asyncio.Runner, tmp_path: Path) -> None:
    with pytest.raises(FailedPrecondition, match="order"):
        load(loop, changed(tmp_path, "rank-linear", columns=list(reversed(COLUMNS))))


def test_a_ranker_that_cannot_be_had_is_left_out(
    loop: asyncio.Runner, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    without = load(loop, changed(tmp_path, "rank-bilstm", columns=[]))
    assert "RANKER" in caplog.text or "rank-bilstm" in caplog.text
    with pytest.raises(FailedPrecondition) as missing:
        without.get(RankerKind.BI_LSTM)
    assert missing.value.reason == "RANKER_NOT_LOADED"


@pytest.mark.parametrize("content", ["[]", "{}", '{"weights": {"asr_rank": "x"}}', '{"weights": 1}'])
def test_weights_that_are_none_are_refused(loop: asyncio.Runner, tmp_path: Path, content: str) -> None:
    changed(tmp_path, "rank-linear")
    (tmp_path / "rank-linear" / "weights.json").write_text(content, encoding="utf-8")
    path = tmp_path / "rank-linear" / "model.yaml"
    definition = yaml.safe_load(path.read_text(encoding="utf-8"))
    definition["sha256"] = sha256(content.encode()).hexdigest()
    path.write_text(yaml.safe_dump(definition), encoding="utf-8")
    with pytest.raises(FailedPrecondition) as refused:
        load(loop, tmp_path)
    assert refused.value.reason == "MODEL_DEFINITION_INVALID"


@pytest.mark.parametrize("points", [math.nan, math.inf])
def test_weights_are_finite(points: float) -> None:
    with pytest.raises(ValueError, match="finite"):
        LinearRanker({**WEIGHTS, "same_skill": points})
    with pytest.raises(ValueError, match="finite"):
        LinearRanker(none=points)


def test_a_setting_names_a_ranker_there_is() -> None:
    assert ArbitrationSettings(ranker="bi_lstm").ranker == "bi_lstm"
    with pytest.raises(ValueError, match="lambda_mart"):
        ArbitrationSettings(ranker="lambdamart")


def test_the_weights_set_by_hand_can_be_chosen(loop: asyncio.Runner) -> None:
    ranker = load(loop, BUNDLED, learned=False).get(RankerKind.LINEAR)
    assert isinstance(ranker, LinearRanker)
    assert ranker.weights == WEIGHTS
    assert ranker.provenance == HAND_SET


def test_the_weights_of_the_bundle_are_finite_and_prefer_what_is_enabled() -> None:
    held = json.loads((BUNDLED / "rank-linear" / "weights.json").read_text(encoding="utf-8"))
    assert held["weights"].keys() == set(FEATURES)
    assert all(math.isfinite(points) for points in held["weights"].values())
    assert held["weights"]["enabled_by_user"] > 0.0 > held["weights"]["fulfil_no"]
