"""Who is explored, how often, and with which propensity."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest

from services.arbitration.hypotheses import Candidate, Hypothesis, Interpretation, Rejection, Risk
from services.arbitration.learning.exploration import CloseExplorer

pytestmark = pytest.mark.unit


def candidate(skill_id: str, probability: float, risk: Risk = Risk.LOW, *, changes: bool = False) -> Candidate:
    reading = Interpretation(f"{skill_id}.go", probability)
    return Candidate(Hypothesis(skill_id, reading), risk=risk, side_effects=changes, probability=probability)


BEST, NEXT, THIRD, FAR = (candidate(name, p) for name, p in (("a", 0.7), ("b", 0.15), ("c", 0.1), ("d", 0.02)))


def test_propensities_are_what_happens() -> None:
    explorer = CloseExplorer(0.02)
    first: Counter[str] = Counter()
    told: dict[str, float] = {}
    for number in range(30_000):
        found = explorer.choose((BEST, NEXT, THIRD, FAR), f"turn {number}")
        name = found.ranked[0].hypothesis.skill_id
        first[name] += 1
        told[name] = found.propensity
        assert found.explored is (name != "a")
        assert len(found.ranked) == 4
    assert first.keys() == {"a", "b", "c"}
    for name, count in first.items():
        assert count / 30_000 == pytest.approx(told[name], rel=0.25)
    assert sum(told.values()) == pytest.approx(1.0)


def test_the_same_turn_explores_alike() -> None:
    explorer = CloseExplorer(0.02)
    keys = [f"turn {number}" for number in range(500)]
    assert [explorer.choose((BEST, NEXT), key) for key in keys] == [explorer.choose((BEST, NEXT), key) for key in keys]


@pytest.mark.parametrize(
    "ranked",
    [
        pytest.param((), id="nothing"),
        pytest.param((BEST,), id="one alone"),
        pytest.param((BEST, FAR), id="far behind"),
        pytest.param((replace(BEST, risk=Risk.MEDIUM), NEXT), id="risky best"),
        pytest.param((replace(BEST, side_effects=True), NEXT), id="best with an effect"),
        pytest.param((BEST, replace(NEXT, side_effects=True)), id="other with an effect"),
        pytest.param((BEST, replace(NEXT, risk=Risk.HIGH)), id="other of high risk"),
        pytest.param((BEST, replace(NEXT, missing_slots=("when",))), id="other incomplete"),
        pytest.param((BEST, replace(NEXT, rejected=Rejection.CIRCUIT_OPEN)), id="other not eligible"),
        pytest.param((BEST, replace(BEST, probability=0.2)), id="the same effect"),
    ],
)
def test_what_could_cost_something_is_never_explored(ranked: tuple[Candidate, ...]) -> None:
    explorer = CloseExplorer(0.02)
    for number in range(2_000):
        found = explorer.choose(ranked, f"turn {number}")
        assert (found.ranked, found.propensity, found.explored) == (ranked, 1.0, False)


def test_the_rate_is_bounded() -> None:
    with pytest.raises(ValueError, match=r"0 to 0\.02"):
        CloseExplorer(0.05)
