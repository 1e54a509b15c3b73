"""Reading by the examples of a request: shares, what is covered, and what is refused."""

from __future__ import annotations

import pytest

from services.nlu.in_context import MAX_EXAMPLES, checked, recalled
from services.nlu.understanding import Example
from services.runtime.errors import AntiphonError

pytestmark = pytest.mark.unit


def test_the_nearest_example_tells_the_intent_and_how_near_tells_whether_any() -> None:
    near = recalled(["a.a", "a.a", "b.b"], [0.9, 0.1, 0.5])
    assert near.shares["a.a"] > 0.9
    assert near.covered == pytest.approx(sum(near.shares.values()))
    far = recalled(["a.a", "b.b"], [0.05, 0.0])
    assert far.covered < 0.05


def test_many_examples_of_one_intent_do_not_outvote_the_nearest() -> None:
    assert recalled(["a.a", *["b.b"] * 30], [0.8, *[0.7] * 30]).shares["a.a"] > 0.8


def test_examples_of_out_of_scope_take_from_what_is_covered() -> None:
    assert recalled(["", "a.a"], [0.9, 0.2]).covered < 0.01
    assert recalled(["", "a.a"], [0.2, 0.9]).covered > 0.9


@pytest.mark.parametrize(
    ("examples", "reason"),
    [
        ([Example("hi", "a.b")] * (MAX_EXAMPLES + 1), "EXAMPLES_TOO_MANY"),
        ([Example("hi", "no_dot")], "EXAMPLE_INVALID"),
        ([Example("hi", ".")], "EXAMPLE_INVALID"),
        ([Example("hi", "a." + "b" * 200)], "EXAMPLE_INVALID"),
        ([Example("hi", "a.b", (("x", 0, 3),))], "EXAMPLE_INVALID"),
        ([Example("hi", "a.b", (("x", 1, 1),))], "EXAMPLE_INVALID"),
        ([Example("hi you", "a.b", (("x", 0, 4), ("y", 3, 6)))], "EXAMPLE_INVALID"),
        ([Example("", "a.b")], "TEXT_EMPTY"),
        ([Example("\ud800", "a.b")], "TEXT_NOT_UNICODE"),
        ([Example("x" * 5_000, "a.b")], "TEXT_TOO_LONG"),
    ],
)
def test_bad_examples_are_refused(examples: list[Example], reason: str) -> None:
    with pytest.raises(AntiphonError) as caught:
        checked(examples)
    assert caught.value.reason == reason


def test_out_of_scope_is_an_empty_intent() -> None:
    assert checked([Example("e\u0301", "")]) == (Example("é", ""),)
