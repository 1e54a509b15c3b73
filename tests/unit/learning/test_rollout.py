"""A new ranker's way: into the shadow, to a few, to all, and back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import pytest

from services.arbitration.hypotheses import Candidate, Hypothesis, Interpretation, Provenance
from services.arbitration.learning.rollout import (
    Compared,
    Phase,
    Rollout,
    RolloutBook,
    Rules,
    Seen,
    Tally,
    advanced,
)
from services.arbitration.learning.trial import RankerTrial
from services.arbitration.rankers.choice import RankerKind, Rankers
from services.arbitration.rankers.linear import LinearRanker
from services.runtime.errors import FailedPrecondition, Unavailable
from services.runtime.store import MemorySessionStore

pytestmark = pytest.mark.unit

RULES = Rules(shadow_turns=100, canary_turns=300)
NAME = str(RankerKind.LAMBDA_MART)
SHADOW = Rollout(NAME, Phase.SHADOW, 0.0)
CANARY = Rollout(NAME, Phase.CANARY, 0.0)
FULL = Rollout(NAME, Phase.FULL, 0.0)


def compared(**domains: tuple[int, int]) -> Seen:
    return Seen(domains={name: Compared(*of) for name, of in domains.items()})


class TestMoves:
    @pytest.mark.parametrize(
        ("rollout", "seen", "phase", "reason"),
        [
            pytest.param(SHADOW, compared(clock=(99, 0)), Phase.SHADOW, "", id="too few comparisons"),
            pytest.param(SHADOW, compared(clock=(60, 4)), Phase.SHADOW, "", id="too early to tell"),
            pytest.param(SHADOW, compared(clock=(60, 20)), Phase.ROLLED_BACK, "DOMAIN_CHANGED", id="certain early"),
            pytest.param(SHADOW, compared(clock=(100, 5)), Phase.CANARY, "FEW_CHANGES", id="few differ"),
            pytest.param(SHADOW, compared(clock=(100, 6)), Phase.ROLLED_BACK, "DOMAIN_CHANGED", id="many differ"),
            pytest.param(
                SHADOW, compared(a=(900, 0), b=(60, 4)), Phase.ROLLED_BACK, "DOMAIN_CHANGED", id="in one domain"
            ),
            pytest.param(SHADOW, compared(a=(900, 0), b=(9, 4)), Phase.CANARY, "FEW_CHANGES", id="in hardly any turns"),
            pytest.param(CANARY, Seen(Tally(270, 30), Tally(820, 80)), Phase.CANARY, "", id="not certain yet"),
            pytest.param(CANARY, Seen(Tally(1900, 100), Tally(9400, 600)), Phase.FULL, "NO_WORSE", id="no worse"),
            pytest.param(CANARY, Seen(Tally(40, 20), Tally(900, 100)), Phase.ROLLED_BACK, "WORSE", id="worse"),
            pytest.param(CANARY, Seen(Tally(2, 8), Tally(90, 10)), Phase.CANARY, "", id="too few to tell"),
            pytest.param(FULL, Seen(Tally(500, 500), Tally(90, 10)), Phase.ROLLED_BACK, "WORSE", id="bad later"),
        ],
    )
    def test_by_what_was_seen(self, rollout: Rollout, seen: Seen, phase: Phase, reason: str) -> None:
        after = advanced(rollout, seen, RULES, 10.0)
        assert (after.phase, after.reason) == (phase, reason)

    def test_evidence_adds_up(self) -> None:
        rollout = SHADOW
        for _ in range(20):
            rollout = advanced(rollout, compared(clock=(5, 0)), RULES, 10.0)
        assert rollout.phase is Phase.CANARY
        assert rollout.domains["clock"] == Compared(100, 0)

    def test_what_shows_nothing_goes_in_the_end(self) -> None:
        after = advanced(CANARY, Seen(), RULES, RULES.undecided_s + 1)
        assert (after.phase, after.reason) == (Phase.ROLLED_BACK, "UNDECIDED")

    def test_back_is_back(self) -> None:
        back = replace(CANARY, phase=Phase.ROLLED_BACK)
        assert advanced(back, Seen(Tally(9_999, 0), Tally(1, 999)), RULES, 10.0) is back


class TestBook:
    async def test_what_replicas_report_is_shared(self) -> None:
        store = MemorySessionStore()
        one, other = RolloutBook(store, RULES), RolloutBook(store, RULES)
        await one.begin(NAME, 1.0)
        await one.report(NAME, compared(clock=(60, 0)), 2.0)
        moved = await other.report(NAME, compared(clock=(40, 1), tv=(3, 0)), 3.0)
        assert moved is not None
        assert moved.phase is Phase.CANARY
        assert await one.get() == moved

    async def test_one_at_a_time(self) -> None:
        book = RolloutBook(MemorySessionStore(), RULES)
        assert await book.get() is None
        with pytest.raises(FailedPrecondition, match="no ranker"):
            await book.stop(1.0)
        await book.begin(NAME, 1.0)
        with pytest.raises(FailedPrecondition, match="stop it first"):
            await book.begin("BI_LSTM", 2.0)
        stopped = await book.stop(3.0)
        assert (stopped.phase, stopped.reason) == (Phase.ROLLED_BACK, "STOPPED")
        assert (await book.begin("BI_LSTM", 4.0)).phase is Phase.SHADOW

    async def test_what_was_seen_of_another_ranker_does_not_count(self) -> None:
        book = RolloutBook(MemorySessionStore(), RULES)
        begun = await book.begin(NAME, 1.0)
        assert await book.report("BI_LSTM", compared(clock=(999, 0)), 2.0) == begun


@dataclass(frozen=True)
class Backwards:
    """Ranks the other way round; or is away."""

    away: bool = False
    provenance: Provenance = field(default_factory=lambda: Provenance("test/backwards"))

    async def rank(self, candidates: Sequence[Candidate], out_of_scope: float) -> tuple[Candidate, ...]:
        if self.away:
            raise Unavailable("gone")
        return tuple(reversed(LinearRanker().ranked(candidates, out_of_scope)))

    async def explain(self, ranked: Sequence[Candidate], out_of_scope: float) -> tuple[Candidate, ...]:
        return tuple(ranked)


RANKED = tuple(
    Candidate(Hypothesis(name, Interpretation(f"{name}.go", p)), probability=p)
    for name, p in (("clock", 0.8), ("watch", 0.1))
)


async def trial(phase: Phase = Phase.SHADOW) -> RankerTrial:
    """On trial: a ranker that turns everything round, in a phase."""
    book = RolloutBook(MemorySessionStore(), RULES)
    await book.begin(NAME, 0.0)
    known = Rankers(by_kind={RankerKind.LINEAR: LinearRanker(), RankerKind.LAMBDA_MART: Backwards()})
    found = RankerTrial(book, known, lambda: 10.0)
    if phase is not Phase.SHADOW:
        await book.report(NAME, compared(clock=(100, 0)), 1.0)
    if phase is Phase.FULL:
        await book.report(NAME, Seen(Tally(1900, 100), Tally(9400, 600)), 2.0)
    await found.refresh()
    return found


class TestTrial:
    async def test_the_shadow_is_compared_and_serves_nobody(self) -> None:
        shadow = await trial()
        for _ in range(100):
            shadow.show(RANKED, 0.0)
        assert all(shadow.kind(f"s{number}") is None for number in range(500))
        assert shadow.arm("s1") == ""
        await shadow.refresh()
        found = await shadow.book.get()
        assert found is not None
        assert (found.phase, found.reason) == (Phase.ROLLED_BACK, "DOMAIN_CHANGED")
        assert found.domains["clock"] == Compared(100, 100)

    async def test_the_canary_gets_its_share_of_sessions(self) -> None:
        canary = await trial(phase=Phase.CANARY)
        kinds = [canary.kind(f"s{number}") for number in range(3_000)]
        assert 0.08 < sum(kind is not None for kind in kinds) / 3_000 < 0.12
        assert set(kinds) == {None, RankerKind.LAMBDA_MART}
        arms = [canary.arm(f"s{number}") for number in range(3_000)]
        assert [arm == "ranker=new" for arm in arms] == [kind is not None for kind in kinds]

    async def test_full_keeps_a_few_to_compare_with_and_goes_back_when_it_turns_bad(self) -> None:
        full = await trial(phase=Phase.FULL)
        kinds = [full.kind(f"s{number}") for number in range(3_000)]
        assert 0.93 < sum(kind is not None for kind in kinds) / 3_000 < 0.97
        for number in range(4_000):
            full.reward("ranker=new", good=number % 2 == 0)
        await full.refresh()
        assert all(full.kind(f"s{number}") is None for number in range(100))

    async def test_a_ranker_that_fails_or_is_not_loaded_costs_nothing(self) -> None:
        shadow = await trial()
        shadow.rankers = Rankers(
            by_kind={RankerKind.LINEAR: LinearRanker(), RankerKind.LAMBDA_MART: Backwards(away=True)}
        )
        shadow.show(RANKED, 0.0)
        await shadow.refresh()
        shadow.show(RANKED, 0.0)
        shadow.rankers = Rankers()
        shadow.show(RANKED, 0.0)
        await shadow.refresh()
        found = await shadow.book.get()
        assert found is not None
        assert not found.domains

    async def test_once_it_serves_by_itself_nothing_is_on_trial(self) -> None:
        full = await trial(phase=Phase.FULL)
        both = full.rankers.by_kind
        full.rankers = Rankers(RankerKind.LAMBDA_MART, both)
        assert {full.kind(f"s{number}") for number in range(100)} == {None}
        assert full.arm("s1") == ""
