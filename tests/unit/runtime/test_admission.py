"""Slots: taken, refused, given back."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from functools import partial

import pytest

from services.runtime.admission import Admission, Limits
from services.runtime.errors import Draining, Overloaded, QuotaExceeded
from services.runtime.identity import Principal

pytestmark = pytest.mark.unit

ACME, GLOBEX = Principal("acme"), Principal("globex")


def _slots(admission: Admission) -> list[Callable[[], AbstractContextManager[None]]]:
    return [partial(admission.session, ACME), admission.unary]


def test_sessions_are_refused_at_the_limit_and_let_in_when_one_ends() -> None:
    admission = Admission(Limits(max_sessions=2))
    with ExitStack() as held:
        held.enter_context(admission.session(ACME))
        with admission.session(GLOBEX):
            with pytest.raises(Overloaded) as refused, admission.session(ACME):
                pass
            assert refused.value.retry_after
            assert refused.value.metadata == {"limit": "2", "subject": "max_sessions"}
            assert admission.active_sessions == 2
        with admission.session(GLOBEX):
            assert admission.active_sessions == 2
    assert admission.active_sessions == 0
    assert admission.refused == 1


def test_a_tenant_cannot_take_more_than_its_own() -> None:
    admission = Admission(Limits(max_sessions=3, max_sessions_per_tenant=1))
    with admission.session(ACME):
        with pytest.raises(QuotaExceeded), admission.session(ACME):
            pass
        with admission.session(GLOBEX):
            pass
    with admission.session(ACME):
        pass


def test_a_slot_is_given_back_when_its_session_fails() -> None:
    admission = Admission(Limits(max_sessions=1, max_unary=1))
    for slot in _slots(admission):
        with pytest.raises(ZeroDivisionError), slot():
            raise ZeroDivisionError
    assert (admission.active_sessions, admission.active_unary) == (0, 0)


def test_unary_calls_have_slots_of_their_own() -> None:
    admission = Admission(Limits(max_sessions=1, max_unary=1))
    with admission.session(ACME), admission.unary(), pytest.raises(Overloaded, match="1 calls"), admission.unary():
        pass


def test_draining_refuses_the_new_and_keeps_the_old() -> None:
    admission = Admission(Limits())
    with admission.session(ACME):
        admission.draining.set()
        for slot in _slots(admission):
            with pytest.raises(Draining) as refused, slot():
                pass
            assert refused.value.retry_after
        assert admission.active_sessions == 1


def test_every_change_is_told() -> None:
    admission = Admission(Limits(max_sessions=1))
    changes: list[int] = []
    admission.on_change = changes.append
    with admission.session(ACME), admission.unary(), pytest.raises(Overloaded), admission.session(ACME):
        pass
    assert changes == [1, 1, -1, -1]


@pytest.mark.parametrize(
    "wrong", [{"max_sessions": 0}, {"idle_s": -1.0}, {"session_bytes": 0}, {"max_sessions_per_tenant": -1}]
)
def test_limits_that_make_no_sense_are_named(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Limits(**wrong)  # type: ignore[arg-type]
