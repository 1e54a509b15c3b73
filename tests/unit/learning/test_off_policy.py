"""Estimates on a bandit whose truth is known, and the gate."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import numpy as np
import pytest

from services.arbitration.learning.interactions import Interaction
from services.arbitration.learning.off_policy import (
    Gate,
    Report,
    candidates_of,
    evaluate,
    first_of,
    gathered,
    usable,
)
from services.arbitration.rankers.linear import LinearRanker
from tests.fakes.interaction_log import option, row

pytestmark = pytest.mark.unit

RATE = 0.1
"""Of exploration; larger than in production, so that a small log tells enough."""


def bandit(count: int, seed: int = 5) -> list[Interaction]:
    """Two arms in two contexts. The first arm pays 0.8 at home and 0.3 away, the second 0.6 in both."""
    rng = np.random.default_rng(seed)
    rows = []
    for number in range(count):
        home = float(rng.random() < 0.7)
        explored = bool(rng.random() < RATE)
        paid = 0.6 if explored else 0.8 if home else 0.3
        options = (option("a", 0.6, margin=home), option("b", 0.4, "radio.play", margin=home))
        rows.append(
            row(
                f"t{number}",
                user=f"p{number % 500}",
                options=options,
                chosen=int(explored),
                propensity=RATE if explored else 1 - RATE,
                explored=explored,
                reward=float(rng.random() < paid),
            )
        )
    return rows


def report(rows: list[Interaction], policy: Callable[[Interaction], int], gate: Gate | None = None) -> Report:
    async def choose(turn: Interaction) -> int:
        return policy(turn)

    async def run() -> Report:
        return evaluate(await gathered(rows, choose), gate)

    return asyncio.run(run())


def second_when_away(turn: Interaction) -> int:
    return int(turn.options[0].features["margin"] == 0.0)


class TestEstimates:
    @pytest.mark.parametrize(
        ("policy", "truth"),
        [
            pytest.param(lambda _: 0, 0.7 * 0.8 + 0.3 * 0.3, id="the same"),
            pytest.param(lambda _: 1, 0.6, id="the other"),
            pytest.param(second_when_away, 0.7 * 0.8 + 0.3 * 0.6, id="the better of both"),
        ],
    )
    def test_both_find_the_truth(self, policy: Callable[[Interaction], int], truth: float) -> None:
        found = report(bandit(20_000), policy)
        for estimate in (found.snips, found.robust):
            assert estimate.value == pytest.approx(truth, abs=0.02)
            assert estimate.lower < truth + 0.01
            assert estimate.upper > truth - 0.01

    def test_the_serving_policy_gains_nothing_over_itself(self) -> None:
        found = report(bandit(3_000), lambda _: 0)
        assert (found.gain.value, found.gain.lower, found.gain.upper) == (0.0, 0.0, 0.0)
        assert not found.blocked

    def test_snips_by_hand(self) -> None:
        options = (option("a", 0.6), option("b", 0.4))
        rows = [
            row("1", options=options, chosen=1, propensity=0.1, reward=1.0),
            row("2", options=options, chosen=1, propensity=0.2, reward=0.0),
            row("3", options=options, chosen=0, propensity=0.9, reward=1.0),
        ]
        assert report(rows, lambda _: 1).snips.value == pytest.approx(10 / 15)


class TestGate:
    def test_a_bad_policy_is_blocked(self) -> None:
        found = report(bandit(5_000), lambda turn: 1 - second_when_away(turn))
        assert found.gain.upper < 0
        assert any(reason.startswith("it may lose") for reason in found.blocked)

    def test_a_better_policy_that_changes_too_much_is_blocked(self) -> None:
        found = report(bandit(8_000), second_when_away)
        assert found.gain.lower > 0
        assert found.changed["clock"] == pytest.approx(0.3, abs=0.02)
        (reason,) = found.blocked
        assert "of the decisions in 'clock'" in reason

    def test_a_better_policy_passes_where_change_is_allowed(self) -> None:
        assert not report(bandit(8_000), second_when_away, Gate(changed=0.5)).blocked

    def test_too_small_a_log_lets_nothing_through(self) -> None:
        assert report(bandit(900), lambda _: 0).blocked == ("900 turns are too few; 1000 are needed",)
        assert report([], lambda _: 0).blocked

    def test_what_was_never_tried_is_not_believed(self) -> None:
        options = (option("a", 0.9), option("b", 0.1))
        rows = [row(f"t{n}", user=f"p{n}", options=options, chosen=0, reward=float(n % 3 > 0)) for n in range(2_000)]
        found = report(rows, lambda turn: int(turn.turn_id.endswith("7")))
        assert found.unsupported == pytest.approx(0.1)
        assert any("was ever tried" in reason for reason in found.blocked)


def test_what_exploration_never_reaches_is_not_supported() -> None:
    options = tuple(option(name, p) for name, p in (("a", 0.5), ("b", 0.2), ("c", 0.1), ("d", 0.06), ("e", 0.01)))
    rows = [row(f"t{n}", options=options, chosen=0, propensity=0.985, reward=1.0) for n in range(2)]
    unsupported = [report(rows, lambda _, other=other: other).unsupported for other in range(5)]  # type: ignore[misc]
    assert unsupported == [0.0, 0.0, 0.0, 1.0, 1.0]  # three take part, the best included


def test_rows_that_say_nothing_about_choosing_are_left_out() -> None:
    options = (option("a", 0.9),)
    assert usable(row(options=options, chosen=0))
    assert not usable(row(options=options, chosen=0, reward=None))
    assert not usable(row(options=options, chosen=0, action="clarify"))
    assert not usable(row(options=options, chosen=-1))
    assert not usable(row(options=options, chosen=0, arms=("ranker=new",)))


def test_a_ranker_sees_the_candidates_of_a_row() -> None:
    logged = row(options=(option("a", 0.3), option("b", 0.9, margin=0.8)))
    options = candidates_of(logged)
    assert options[1].features.margin == 0.8
    assert first_of(options, LinearRanker().ranked(options, 0.0)) == 1
    assert first_of(options, ()) == 0
