"""The simulator that rankers are trained on: the same for the same seed, and never the same in two parts."""

from __future__ import annotations

from dataclasses import fields

import numpy as np
import pytest

from services.arbitration.hypotheses import Features
from services.arbitration.rankers.matrix import COLUMNS, FEATURES, NEUTRAL
from services.arbitration.stages.shortlist import MAX_CANDIDATES
from training.arbitration import calibrating, linear
from training.arbitration.lists import (
    SIGNS,
    STEPS,
    Lists,
    arrays,
    calibration_error,
    hits,
    interval,
    softmax,
)
from training.arbitration.simulator.confusions import PARTS, Confusions
from training.arbitration.simulator.turns import Turn, turns

pytestmark = pytest.mark.unit


def some(
    part: str = "dev", *, households: int = 6, seed: int = 1, silent: float = 0.0, fresh: bool = False
) -> list[Turn]:
    return list(turns(part, worlds=1, households=households, each=20, seed=seed, silent=silent, fresh=fresh))


@pytest.fixture(scope="module")
def lived() -> list[Turn]:
    return some(households=12)


@pytest.fixture(scope="module")
def lists(lived: list[Turn]) -> Lists:
    return arrays(lived)


def test_the_same_seed_gives_the_same_turns() -> None:
    assert some(households=2) == some(households=2)
    assert some(households=2) != some(households=2, seed=2)


def test_parts_share_neither_readings_nor_worlds() -> None:
    drawn = {part: Confusions.of(part) for part in PARTS}
    remainders = [number for part in PARTS.values() for number in part]
    assert sorted(remainders) == list(range(5))
    counts = {part: sum(map(len, one.by_label.values())) for part, one in drawn.items()}
    assert counts["train"] == 3 * counts["dev"] == 3 * counts["test"]
    assert some("dev", households=1) != some("test", households=1)


def test_lists_are_those_of_the_platform(lived: list[Turn]) -> None:
    for turn in lived:
        assert len(turn.candidates) <= MAX_CANDIDATES
        assert turn.right is None or turn.in_scope
        assert 0.0 <= turn.out_of_scope <= 1.0
        for candidate in turn.candidates:
            values = [getattr(candidate.features, feature.name) for feature in fields(Features)]
            assert all(0.0 <= value <= 1.0 for value in values)
    varied = {
        name for name in FEATURES if len({getattr(one.features, name) for turn in lived for one in turn.candidates}) > 1
    }
    assert varied == set(FEATURES)  # each feature is there to be learned from


def test_skills_overlap_but_for_fresh_installations(lived: list[Turn]) -> None:
    def providers(turn: Turn) -> list[str]:
        return [candidate.hypothesis.intent.partition(".")[2] for candidate in turn.candidates]

    assert any(len(set(providers(turn))) < len(providers(turn)) for turn in lived)
    fresh = some(households=2, fresh=True)
    assert all(len(set(providers(turn))) == len(providers(turn)) for turn in fresh)
    assert not any(one.features.enabled_by_user for turn in fresh for one in turn.candidates)


def test_hanging_skills_are_missing(lived: list[Turn]) -> None:
    def missing(listed: list[Turn]) -> float:
        asked = [one.features for turn in listed for one in turn.candidates]
        return sum(one.fulfil_missing for one in asked) / len(asked)

    assert missing(some(households=3, silent=0.5)) > missing(lived) + 0.25


def test_what_is_enabled_counts_most(lists: Lists) -> None:
    understood = hits(lists, lists.rows[..., COLUMNS.index("intent_confidence")])
    known = [*STEPS["understanding"], *STEPS["+ enabled"]]
    seen = lists.only(known)
    enabled = hits(seen, linear.fit(seen, rounds=100).scores(seen))
    assert enabled.mean() > understood.mean() + 0.3


def test_steps_name_every_feature_once() -> None:
    assert sorted(name for names in STEPS.values() for name in names) == sorted(FEATURES)


def test_what_is_left_out_is_as_if_nothing_were_known(lists: Lists) -> None:
    bare = lists.only(["intent_confidence"])
    feedback = FEATURES.index("feedback")
    assert set(np.unique(bare.rows[lists.there][:, feedback]).tolist()) == {NEUTRAL.feedback}
    sure = bare.rows[..., FEATURES.index("intent_confidence")]
    assert all(np.all(np.diff(own[:size]) <= 0.0) for own, size in zip(sure, bare.sizes, strict=True))
    meant = lists.meant_here
    before, after = (
        one.rows[np.arange(len(one)), one.right, FEATURES.index("intent_confidence")][meant] for one in (lists, bare)
    )
    assert np.array_equal(before, after)  # what was meant is still what was meant
    assert np.array_equal(bare.right[~meant], bare.sizes[~meant])


def test_learned_weights_keep_to_their_signs(lists: Lists) -> None:
    weights = linear.fit(lists, rounds=100).parameters["weights"]
    assert all(SIGNS[name] * points >= 0.0 for name, points in weights.items() if SIGNS[name])


def test_calibration_makes_probabilities_truer(lists: Lists) -> None:
    scores = 4.0 * linear.fit(lists, rounds=100).scores(lists)  # far too sure
    fitted = calibrating.fit(lists, scores)
    assert fitted.temperature > 2.0
    after = calibrating.applied(fitted, lists, scores)
    assert calibration_error(lists, after) < calibration_error(lists, softmax(lists, scores))
    assert after[lists.there].min() >= 0.0
    assert np.allclose(np.where(lists.there, after, 0.0).sum(axis=1), 1.0, atol=1e-5)


def test_an_empty_list_is_no_hit() -> None:
    empty = arrays([Turn((), 0.2, None, in_scope=True), Turn((), 0.9, None, in_scope=False)])
    assert hits(empty, np.zeros((2, MAX_CANDIDATES + 1), np.float32)).tolist() == [False]
    assert calibration_error(empty, softmax(empty, np.zeros((2, MAX_CANDIDATES + 1), np.float32))) == 0.0


def test_an_interval_holds_the_mean() -> None:
    low, high = interval(np.array([0.0, 1.0] * 200))
    assert 0.4 < low < 0.5 < high < 0.6
