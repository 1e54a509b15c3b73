"""How a turn ended, told by what the user did next."""

from __future__ import annotations

import pytest

from services.arbitration.learning.rewards import MAX_LETTERS, RewardWatch, Said, Verdict, plain, rephrases, similarity

pytestmark = pytest.mark.unit


class Settled:
    """A watch over rows that are mere names."""

    def __init__(self, most: int = 100) -> None:
        self.verdicts: dict[str, Verdict] = {}
        self.watch: RewardWatch[str] = RewardWatch(self.verdicts.__setitem__, most=most)

    def turn(self, owner: str, turn_id: str, words: str, at: float) -> None:
        said = Said(plain(words))
        self.watch.begun(owner, said, at)
        self.watch.ended(owner, turn_id, said, turn_id, at + 1.0)


def test_similar_words_within_the_window_are_a_rephrase() -> None:
    settled = Settled()
    settled.turn("ada", "first", "Play some jazz!", 0.0)
    settled.turn("ada", "second", "play jazz music", 20.0)
    assert settled.verdicts == {"first": Verdict.REPHRASED}


@pytest.mark.parametrize(("words", "at"), [("play jazz music", 40.0), ("what is the time", 5.0)])
def test_late_or_other_words_are_the_next_wish(words: str, at: float) -> None:
    settled = Settled()
    settled.turn("ada", "first", "play some jazz", 0.0)
    settled.turn("ada", "second", words, at)
    assert settled.verdicts == {"first": Verdict.COMPLETED}


def test_others_do_not_judge_ones_turns() -> None:
    settled = Settled()
    settled.turn("ada", "first", "play some jazz", 0.0)
    settled.turn("bob", "second", "play some jazz", 2.0)
    assert not settled.verdicts


def test_quiet_completes_what_nobody_told_of() -> None:
    settled = Settled()
    settled.turn("ada", "first", "play some jazz", 0.0)
    settled.turn("bob", "second", "what is the time", 0.0)
    assert settled.watch.take("ada", "another turn") is None
    assert settled.watch.take("ada", "first") == "first"
    assert settled.watch.take("ada", "first") is None
    settled.watch.settle_quiet(60.9)
    assert not settled.verdicts
    settled.watch.settle_quiet(61.1)
    assert settled.verdicts == {"second": Verdict.COMPLETED}


def test_a_rephrase_that_takes_its_time_is_one_all_the_same() -> None:
    settled = Settled()
    settled.turn("ada", "first", "play some jazz", 0.0)
    settled.watch.settle_quiet(36.0)  # the second turn was begun at 28, and is not over yet
    settled.turn("ada", "second", "play jazz music", 28.0)
    assert settled.verdicts == {"first": Verdict.REPHRASED}


def test_what_is_watched_is_bounded_and_stays_open_at_the_end() -> None:
    settled = Settled(most=2)
    for number in range(4):
        settled.turn(f"person {number}", f"turn {number}", "play some jazz", 0.0)
    assert settled.verdicts == {"turn 0": Verdict.OPEN, "turn 1": Verdict.OPEN}
    settled.watch.close()
    assert len(settled.verdicts) == 4
    assert Verdict.OPEN.reward is None


@pytest.mark.parametrize(
    ("earlier", "later", "again"),
    [
        (Said("weather in rome", "w.now", "rome"), Said("weather in oslo", "w.now", "oslo"), False),
        (Said("weather in roam", "w.now", "roam"), Said("weather in rome", "w.now", "rome"), True),
        (Said("two plus three", "sum", "two plus three"), Said("two plus four", "sum", "two plus four"), False),
        (Said("louder", "tv.up", changed=True), Said("louder", "tv.up"), False),
        (Said("what time is it", "c.time"), Said("what time is it", "c.time"), True),
        (Said(""), Said(""), False),
    ],
)
def test_the_same_intent_with_other_values(earlier: Said, later: Said, again: bool) -> None:
    assert rephrases(earlier, later) is again


def test_words_are_compared_without_case_signs_and_forms() -> None:
    assert plain("Ｗhat’s  THE time?!") == "what s the time"
    assert plain("x" * (MAX_LETTERS + 1)) == ""
    assert plain("\u202e\x00👍") == ""
    assert similarity("play some jazz", "play some jazz") == 1.0
    assert similarity("", "") == 0.0
    assert similarity("abc", "xyz") == 0.0
