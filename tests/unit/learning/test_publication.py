"""Rewrites as they are published, looked up, judged and taken back."""

from __future__ import annotations

from dataclasses import replace

import pytest

from services.arbitration.learning.interactions import Pseudonyms
from services.arbitration.learning.mining import Found
from services.arbitration.learning.publication import OWNER, Published, RewriteBook, Score, beta_below
from services.arbitration.learning.rewrites import MAX_TABLES, RewriteTable
from services.runtime.errors import Unavailable
from services.runtime.store import MemorySessionStore, Versioned

pytestmark = pytest.mark.unit

NAMES = Pseudonyms(b"key")
ACME = NAMES.of("tenant", "acme")
TELLY = Found("telly on", "turn on the tv", "tv.on", 0.8, 0.1, 9)


@pytest.fixture
def book() -> RewriteBook:
    return RewriteBook(MemorySessionStore(), NAMES)


async def table_of(book: RewriteBook, held_out: float = 0.0) -> RewriteTable:
    table = RewriteTable(book, held_out=held_out)
    table.known("acme", "en-GB", "")
    await table.refresh()
    return table


class TestBeta:
    @pytest.mark.parametrize(
        ("one", "other", "expected"),
        [((1, 1), (1, 1), 0.5), ((1, 2), (2, 1), 5 / 6), ((2, 1), (1, 2), 1 / 6)],
    )
    def test_by_hand(self, one: tuple[int, int], other: tuple[int, int], expected: float) -> None:
        assert beta_below(one, other) == pytest.approx(expected)

    def test_the_approximation_continues_the_sum(self) -> None:
        exact = beta_below((900, 1000), (960, 1000))
        assert beta_below((2001, 2223), (2134, 2223)) == pytest.approx(beta_below((1999, 2221), (2000, 2083)), abs=0.05)
        assert 0.5 < exact < 1.0


class TestPublishing:
    async def test_what_is_published_is_found_in_any_dialect_and_spelling(self, book: RewriteBook) -> None:
        assert await book.publish(ACME, "en", [TELLY]) == 1
        assert await book.publish(ACME, "en", [TELLY]) == 0
        table = await table_of(book)
        found = table.look_up("acme", "en-GB", "Telly on!", "session")
        assert found is not None
        assert (found.text, found.intent) == ("turn on the tv", "tv.on")
        assert table.look_up("acme", "en-GB", "telly off", "session") is None

    async def test_another_tenant_sees_nothing(self, book: RewriteBook) -> None:
        await book.publish(ACME, "en", [TELLY])
        table = await table_of(book)
        table.known("umbrella", "en", "")
        await table.refresh()
        assert table.look_up("umbrella", "en", "telly on", "session") is None

    async def test_a_better_target_takes_the_place(self, book: RewriteBook) -> None:
        await book.publish(ACME, "en", [TELLY])
        await book.publish(ACME, "en", [replace(TELLY, target="tv on")])
        assert [each.target for each in await book.of(ACME, "en")] == ["tv on"]

    async def test_a_tenth_of_the_sessions_is_held_out_alike_on_every_replica(self, book: RewriteBook) -> None:
        await book.publish(ACME, "en", [TELLY])
        table, other = await table_of(book, 0.1), await table_of(book, 0.1)
        sessions = [f"session {number}" for number in range(2_000)]
        held = [table.look_up("acme", "en-GB", "telly on", session) is None for session in sessions]
        assert 0.07 < sum(held) / len(held) < 0.13
        assert held == [other.holds_out(session) for session in sessions]
        assert table.known("acme", "en-GB", "telly on") is not None

    async def test_tables_in_memory_are_bounded(self, book: RewriteBook) -> None:
        table = RewriteTable(book)
        for number in range(MAX_TABLES + 10):
            table.look_up("acme", f"x-{number}", "telly on", "session")
        assert len(table._tables) == MAX_TABLES

    async def test_a_store_that_is_away_leaves_what_is_known(self) -> None:
        store = LeavingStore()
        book = RewriteBook(store, NAMES)
        await book.publish(ACME, "en", [TELLY])
        table = await table_of(book)
        store.away = True
        await table.refresh()
        assert table.look_up("acme", "en-GB", "telly on", "session") is not None


class TestRetiring:
    async def test_a_rewrite_that_loses_is_retired_and_stays_so(self, book: RewriteBook) -> None:
        await book.publish(ACME, "en", [TELLY])
        (published,) = await book.of(ACME, "en")
        wins = {Score(published.id, held_out=True, good=True): 20, Score(published.id, held_out=True, good=False): 5}
        assert not await book.report(ACME, "en", wins)
        losses = {Score(published.id, held_out=False, good=False): 12}
        assert await book.report(ACME, "en", losses) == (published.id,)
        assert (await table_of(book)).look_up("acme", "en-GB", "telly on", "session") is None
        await book.publish(ACME, "en", [TELLY])
        (kept,) = await book.of(ACME, "en")
        assert kept.retired
        assert (kept.losses, kept.held_wins) == (12, 20)

    async def test_one_that_wins_stays(self, book: RewriteBook) -> None:
        await book.publish(ACME, "en", [TELLY])
        (published,) = await book.of(ACME, "en")
        wins = {Score(published.id, held_out=False, good=True): 40, Score(published.id, held_out=False, good=False): 10}
        assert not await book.report(ACME, "en", wins)
        assert (await book.of(ACME, "en"))[0].worse < 0.5

    async def test_losses_in_a_dialect_count_where_it_was_published(self, book: RewriteBook) -> None:
        await book.publish(ACME, "en", [TELLY])
        (published,) = await book.of(ACME, "en")
        losses = {Score(published.id, held_out=False, good=False): 5}
        await book.report(ACME, "en-GB", losses)
        await book.report(ACME, "de", losses)
        assert (await book.of(ACME, "en"))[0].losses == 5
        assert not await book.of(ACME, "en-GB")
        assert not await book.store.get(OWNER, f"learning/rewrites/{ACME}/de")

    def test_a_few_losses_are_no_verdict_and_the_logs_evidence_counts_for_the_words(self) -> None:
        new = Published("rw", "a", "b", "", 0.5, wins=0, losses=9, stay_good=90, stay_bad=10)
        assert new.worse > 0.99
        assert not new.failing
        assert replace(new, losses=10).failing
        hopeless = Published("rw", "a", "b", "", 0.5, wins=4, losses=8, stay_good=5, stay_bad=95)
        assert not hopeless.failing


class LeavingStore(MemorySessionStore):
    """A store that can go away."""

    away = False

    async def get(self, tenant: str, key: str) -> Versioned | None:
        if self.away:
            raise Unavailable("gone", reason="STORE_GONE")
        assert tenant == OWNER
        return await MemorySessionStore.get(self, tenant, key)
