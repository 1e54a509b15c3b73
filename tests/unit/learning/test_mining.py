"""The absorbing chain against sums done by hand, and what of it is published."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from services.arbitration.learning import mining
from services.arbitration.learning.interactions import Interaction
from services.arbitration.learning.mining import (
    FAILURE,
    SUCCESS,
    Chain,
    Meaning,
    Rules,
    Walk,
    absorptions,
    mine,
    mine_log,
    walks,
)
from tests.fakes.interaction_log import row

pytestmark = pytest.mark.unit

# a fails half of the time and leads to b, b to c, c mostly works; some begin with b.
#   Q = [[0, .5, 0], [0, .2, .6], [0, 0, 0]], R(success) = [.1, .1, .9]
COUNTS = {
    "a": Counter({"b": 5, SUCCESS: 1, FAILURE: 4}),
    "b": Counter({"b": 2, "c": 6, SUCCESS: 1, FAILURE: 1}),
    "c": Counter({SUCCESS: 9, FAILURE: 1}),
}
BY_HAND = {
    "a": {"a": 0.1, "b": 0.625 * 0.1, "c": 0.375 * 0.9},
    "b": {"b": 1.25 * 0.1, "c": 0.75 * 0.9},
    "c": {"c": 0.9},
}


@pytest.mark.parametrize("dense", [1_200, 0], ids=["solved", "as a series"])
def test_three_states_by_hand(dense: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mining, "DENSE", dense)
    found = dict(absorptions(COUNTS))
    assert found.keys() == BY_HAND.keys()
    for state, reach in BY_HAND.items():
        assert found[state] == pytest.approx(reach, abs=1e-4)


def test_both_ways_agree_on_a_large_chain(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(3)
    rows = {}
    for number in range(60):
        targets = rng.choice(60, 4)
        rows[f"s{number}"] = Counter({f"s{t}": int(rng.integers(1, 4)) for t in targets})
        rows[f"s{number}"].update({SUCCESS: int(rng.integers(1, 9)), FAILURE: 3})
    solved = dict(absorptions(rows))
    monkeypatch.setattr(mining, "DENSE", 0)
    for state, reach in absorptions(rows):
        assert sum(reach.values()) == pytest.approx(sum(solved[state].values()), abs=2e-3)
        assert sum(reach.values()) <= 1.0


def sessions(*paths: tuple[str, bool], people: int = 6) -> Chain:
    chain = Chain()
    for number, (path, good) in enumerate(paths):
        for person in range(people):
            chain.add(Walk(f"{number}-{person}", tuple(path.split()), good))
    return chain


TV, RADIO = Meaning("tv.on"), Meaning("radio.on")
MEANT = {name: Counter({TV: 1}) for name in "abc"}


class TestPublishing:
    def test_what_succeeds_in_the_end_is_chosen_not_what_comes_next(self) -> None:
        chain = sessions(("a b c", True), ("b c", True), ("c", True), ("a b", False))
        found = mine(chain, MEANT, frozenset())
        assert {(each.source, each.target) for each in found} == {("a", "c"), ("b", "c")}
        assert found[0].intent == "tv.on"
        assert mining.most_frequent_next(chain) == {"a": "b", "b": "c"}

    def test_too_few_people_publish_nothing(self) -> None:
        assert not mine(sessions(("a c", True), ("c", True), people=4), MEANT, frozenset())

    def test_one_person_counts_once(self) -> None:
        chain = Chain()
        for _ in range(50):
            chain.add(Walk("mallory", ("a", "c"), good=True))
            chain.add(Walk("mallory", ("c",), good=True))
        assert not mine(chain, MEANT, frozenset())

    def test_high_risk_is_neither_rewritten_nor_reached(self) -> None:
        chain = sessions(("a c", True), ("c", True))
        assert mine(chain, MEANT, frozenset())
        assert not mine(chain, MEANT, frozenset({"a"}))
        assert not mine(chain, MEANT, frozenset({"c"}))

    def test_who_gave_up_counts_as_wanting_what_the_others_found(self) -> None:
        chain = sessions(*[("a", False)] * 5, ("a", True), ("a c", True), ("c", True))
        (found,) = mine(chain, MEANT, frozenset())
        # One in seven ends well by a; of the others the only ones who do end well do so by c, which always works.
        assert (found.source, found.target) == ("a", "c")
        assert found.staying == pytest.approx(1 / 7)
        assert found.worth == pytest.approx(1.0)
        assert not mine(chain, MEANT, frozenset(), Rules(imputed=False))

    def test_words_with_two_meanings_stay_when_more_would_lose_than_gain(self) -> None:
        chain = sessions(*[("a", True)] * 3, ("a c", True), ("a c", True), ("c", True))  # three in five mean the radio
        ambiguous = {"a": Counter({RADIO: 3}), "c": Counter({TV: 3})}
        assert not mine(chain, ambiguous, frozenset())
        alike = {**ambiguous, "a": Counter({TV: 3})}
        (found,) = mine(chain, alike, frozenset())
        assert [found.staying, found.worth] == pytest.approx([0.6, 1.0])

    def test_other_words_of_the_same_meaning_speak_for_a_rewrite(self) -> None:
        chain = sessions(("a", True), ("a b", True), ("a c", True), ("b", True), ("c", True))
        (found,) = mine(chain, MEANT, frozenset())
        assert (found.source, found.target) == ("a", "b")
        assert found.worth == pytest.approx(1.0)
        assert not mine(chain, {**MEANT, "a": Counter(), "c": Counter({RADIO: 1})}, frozenset())

    def test_words_with_values_mean_nothing_but_themselves(self) -> None:
        rows = []
        for number, then in enumerate(["", "volume five", "volume six"] * 6):
            said = {"user": f"p{number}", "intent": "volume.set", "form": "volume.set(level)"}
            rows.append(row(f"{number}a", at=0.0, text="volume", reward=0.0 if then else 1.0, **said))
            if then:
                rows.append(row(f"{number}b", at=9.0, text=then, **said))
        assert not mine_log(rows)
        assert mine_log([replace(each, form="volume.set()") for each in rows])

    def test_what_works_well_enough_stays(self) -> None:
        chain = sessions(("a", True), ("a c", True), ("c", True))
        assert not mine(chain, MEANT, frozenset(), Rules(imputed=False))

    def test_readings_carry_success_and_are_not_published(self) -> None:
        chain = sessions(("a [tv.on()]", True), ("[tv.on()]", True))
        assert not mine(chain, {"a": MEANT["a"]}, frozenset())


class TestWalks:
    def test_a_failure_and_what_follows_is_one_wish(self) -> None:
        rows = [
            row("1", at=0.0, text="a", reward=0.0, verdict="rephrased"),
            row("2", at=10.0, text="b", reward=1.0),
            row("3", at=20.0, text="c", reward=1.0),
        ]
        assert list(walks(rows)) == [Walk("ada", ("a", "b"), good=True), Walk("ada", ("c",), good=True)]

    def test_a_long_pause_ends_a_wish_in_failure(self) -> None:
        rows = [row("1", at=0.0, text="a", reward=0.0), row("2", at=300.0, text="b", reward=1.0)]
        assert list(walks(rows)) == [Walk("ada", ("a",), good=False), Walk("ada", ("b",), good=True)]

    def test_a_question_is_answered_by_the_next_turn(self) -> None:
        rows = [
            row("1", at=0.0, text="set an alarm", outcome="asked", reward=None, verdict="open"),
            row("2", at=8.0, text="at six", answers_question=True, reward=1.0),
        ]
        assert list(walks(rows)) == [Walk("ada", ("set an alarm",), good=True)]

    def test_what_a_rewrite_has_changed_is_no_evidence_about_words(self) -> None:
        rows = [row("1", at=0.0, text="a", rewrite_id="rw-1", reward=0.0), row("2", at=5.0, text="b", reward=1.0)]
        assert not list(walks(rows))

    def test_without_consent_the_reading_takes_the_place_of_words(self) -> None:
        rows = [row("1", form="tv.on(room)", reward=1.0)]
        assert list(walks(rows)) == [Walk("ada", ("[tv.on(room)]",), good=True)]

    def test_open_turns_say_nothing(self) -> None:
        assert not list(walks([row("1", text="a", reward=None, verdict="open")]))


def test_a_whole_log() -> None:
    rows: list[Interaction] = []
    for number in range(8):
        person = f"p{number}"
        rows.append(row(f"{person}1", user=person, at=0.0, text="telly on", intent="", reward=0.0))
        rows.append(row(f"{person}2", user=person, at=9.0, text="turn on the tv", intent="tv.on", reward=1.0))
    (found,) = mine_log(rows)
    assert (found.source, found.target, found.intent, found.count) == ("telly on", "turn on the tv", "tv.on", 8)
    assert found.stay_bad == 8
    risky = [row_ if row_.reward == 0.0 else row(row_.turn_id, user=row_.user, at=9.0, text=row_.text, risk="high")
             for row_ in rows]  # fmt: skip
    assert not mine_log(risky)
