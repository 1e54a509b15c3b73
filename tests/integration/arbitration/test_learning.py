"""What the front door learns from real turns: rows of the log, consent, and rewrites that change the next reading.

Two platforms do everything, each once for all tests of it; a turn that a busy machine read too late is asked again.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import grpc
import pytest

from antiphon.arbitration.v1 import (
    arbitration_pb2,
    arbitration_pb2_grpc,
    assistant_pb2,
    assistant_pb2_grpc,
    decision_pb2,
    registry_pb2,
    registry_pb2_grpc,
)
from antiphon.types.v1 import context_pb2
from services.arbitration.learning import school
from services.arbitration.learning.interactions import Interaction
from services.arbitration.learning.mining import Found
from services.arbitration.learning.parquet import ParquetPlace
from services.arbitration.learning.publication import RewriteBook
from services.arbitration.learning.rollout import Compared, Phase, Rollout, RolloutBook, Rules, Seen, Tally
from services.arbitration.learning.school import pseudonyms
from services.arbitration.rankers.choice import RankerKind
from services.registry import CAPABILITIES, DEFAULT_POOLS
from services.runtime.identity import LOCAL
from services.runtime.platform import PlatformSettings
from services.runtime.server import GrpcPlatform
from services.runtime.spec import load_spec
from services.runtime.store_sqlite import SqliteSessionStore
from tests.fixtures.front_door import END, Request

pytestmark = [pytest.mark.integration, pytest.mark.timeout(240)]  # the first test of a platform starts it

NAMES = ("arbitration", "nlu", "dialogue", "skills")
SECRET_WORDS = "what is two plus twenty"
ASKED_AGAIN = "ask the sums thing about two and three"
LINEAR = "antiphon/rank-linear@1"
TRIES = 100


@dataclass
class Turn:
    """What a client saw of a turn."""

    decision: decision_pb2.Decision = field(default_factory=decision_pb2.Decision)
    answer: str = ""

    @property
    def executed(self) -> bool:
        return self.decision.outcome == decision_pb2.DECISION_OUTCOME_EXECUTE


class Client:
    """Asks, each time in a session of its own."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self.channel = channel

    async def ask(self, text: str, *, retain: bool = False, user: str = "ada", dry_run: bool = False) -> Turn:
        """One typed turn."""
        stub = assistant_pb2_grpc.AssistantServiceStub(self.channel)
        context = context_pb2.SessionContext(user_id=user, consent=context_pb2.Consent(retain_text=retain))
        config = assistant_pb2.ConverseConfig(language_codes=["en"], context=context, dry_run=dry_run)

        async def requests() -> AsyncIterator[Request]:
            yield Request(config=config)
            yield Request(text=assistant_pb2.TextInput(text=text))
            yield END

        turn = Turn()
        async for event in stub.Converse(requests(), timeout=30):
            if event.HasField("decision"):
                turn.decision.CopyFrom(event.decision)
            elif event.HasField("turn_completed"):
                turn.answer = event.turn_completed.answer
        return turn

    async def served(self, text: str, *, retain: bool = False, user: str = "ada", dry_run: bool = False) -> Turn:
        """The first of such turns that was understood in time."""
        turn = Turn()
        for _ in range(TRIES):
            turn = await self.ask(text, retain=retain, user=user, dry_run=dry_run)
            if turn.executed:
                return turn
        raise AssertionError(f"never executed; the last decision: {turn.decision}")

    async def rankers(self, turns: int) -> Counter[str]:
        """Who ranked, in so many sessions."""
        return Counter([(await self.ask(SECRET_WORDS)).decision.ranker.model for _ in range(turns)])


@asynccontextmanager
async def platform(state: Path, log: str) -> AsyncIterator[Client]:
    """A front door with a log, from its first right reading until its rows are written."""
    pools = tuple(
        replace(pool, settings={**pool.settings, "learning_log": log}) if pool.name == "arbitration" else pool
        for pool in DEFAULT_POOLS
        if pool.name in NAMES
    )
    specs = {pool.capability: load_spec(CAPABILITIES[pool.capability]) for pool in pools}
    settings = PlatformSettings(port=0, pool_port=0, pools=pools, state_dir=str(state))
    async with (
        GrpcPlatform(settings, specs) as running,
        grpc.aio.insecure_channel(running.target) as channel,
    ):
        registry = registry_pb2_grpc.SkillRegistryServiceStub(channel)
        for _ in range(400):
            if len((await registry.List(registry_pb2.ListRequest())).skills) >= 3:
                break
            await asyncio.sleep(0.05)
        client = Client(channel)
        await client.served(SECRET_WORDS, dry_run=True)  # which leaves no row
        yield client


# --- rows -------------------------------------------------------------------------------------------------------------
@dataclass
class Logged:
    """Turns of several users, and the log that they left."""

    quiet: Turn
    first: Turn
    second: Turn
    complained: Turn
    rows: dict[str, Interaction]
    written: bytes


@pytest.fixture(scope="module")
def logged(tmp_path_factory: pytest.TempPathFactory) -> Logged:
    """One platform with a log; it is read when the platform has stopped."""
    folder = tmp_path_factory.mktemp("logged")
    log = folder / "log"

    async def talk() -> tuple[Turn, Turn, Turn, Turn]:
        async with platform(folder / "state", str(log)) as client:
            first = await client.served("What is two plus three?", retain=True)
            second = await client.served("tell me what is two plus three", retain=True)
            await client.ask("good morning", retain=True)
            complained = await client.served(SECRET_WORDS, user="bob")
            request = arbitration_pb2.FeedbackRequest(
                turn_id=complained.decision.turn_id, kind=arbitration_pb2.FEEDBACK_KIND_NEGATIVE
            )
            await arbitration_pb2_grpc.ArbitrationServiceStub(client.channel).Feedback(request)
            return await client.served(SECRET_WORDS, user="lovelace"), first, second, complained

    quiet, first, second, complained = asyncio.run(talk())
    rows = {row.turn_id: row for row in ParquetPlace(str(log)).read()}
    written = b"".join(path.read_bytes() for path in log.rglob("*.parquet"))
    return Logged(quiet, first, second, complained, rows, written)


class TestRows:
    def test_a_turn_leaves_a_row_without_words_or_names(self, logged: Logged) -> None:
        row = logged.rows[logged.quiet.decision.turn_id]
        assert (row.skill_id, row.action, row.outcome) == ("calculator", "execute", "answered")
        assert row.options[row.chosen].skill_id == "calculator"
        assert row.options[row.chosen].features["intent_confidence"] > 0.5
        assert (row.reward, row.verdict, row.text) == (None, "open", "")
        assert b"calculator" in logged.written
        assert not any(words in logged.written for words in (b"twenty", b"lovelace", b"bob"))

    def test_words_are_kept_with_consent_and_a_rephrase_is_a_failure(self, logged: Logged) -> None:
        first, second = (logged.rows[turn.decision.turn_id] for turn in (logged.first, logged.second))
        assert (first.text, first.verdict, first.reward) == ("what is two plus three", "rephrased", 0.0)
        assert (second.verdict, second.reward) == ("completed", 1.0)
        assert first.user == second.user != logged.rows[logged.quiet.decision.turn_id].user
        assert first.session_id != second.session_id

    def test_feedback_joins_its_row(self, logged: Logged) -> None:
        assert logged.rows[logged.complained.decision.turn_id].reward == 0.0


# --- rewrites and rankers ---------------------------------------------------------------------------------------------
@dataclass
class Taught:
    """A platform whose log cannot be written, to which a rewrite is published and on which a ranker is tried."""

    answered: Turn
    before: Turn
    rewritten: Turn
    full: Rollout | None
    rankers_before: Counter[str]
    rankers_during: Counter[str]
    rankers_after: Counter[str]


@pytest.fixture(scope="module")
def quick() -> Iterator[None]:
    """Replicas look for news often."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(school, "REFRESH_S", 0.1)
        yield


@pytest.fixture(scope="module")
def taught(tmp_path_factory: pytest.TempPathFactory, quick: None) -> Taught:
    """One platform: first the rewrite, then the ranker."""
    folder = tmp_path_factory.mktemp("taught")
    blocked = folder / "file"
    blocked.write_text("no folder")

    async def talk() -> Taught:
        async with platform(folder / "state", str(blocked / "log")) as client:
            store = await SqliteSessionStore.open(folder / "state" / "sessions.sqlite3")
            try:
                answered, before = await client.served(SECRET_WORDS), await client.ask(ASKED_AGAIN)
                rewritten = await _rewritten(client, store)
                return Taught(answered, before, rewritten, *await _tried(client, store))
            finally:
                await store.close()

    return asyncio.run(talk())


async def _rewritten(client: Client, store: SqliteSessionStore) -> Turn:
    """A turn that a newly published rewrite has served; a session that is held out, or comes too early, gets none."""
    names = await pseudonyms(store)
    found = Found(ASKED_AGAIN, "what is two plus three", "calculator.calculate", 0.9, 0.1, 9)
    assert await RewriteBook(store, names).publish(names.of("tenant", LOCAL.tenant), "en", [found]) == 1
    turn = Turn()
    for _ in range(TRIES):
        turn = await client.ask(ASKED_AGAIN, user="")
        if turn.decision.rewrite_id and turn.executed:
            break
        await asyncio.sleep(0.1)
    return turn


async def _tried(
    client: Client, store: SqliteSessionStore
) -> tuple[Rollout | None, Counter[str], Counter[str], Counter[str]]:
    """Who ranked while a ranker was in the shadow, while it served, and when it had been stopped."""
    book = RolloutBook(store, Rules(shadow_turns=1, canary_turns=1, tolerance=1.0))
    await book.begin(str(RankerKind.SHORTLIST), 0.0)
    before = await client.rankers(3)
    await book.report("SHORTLIST", Seen(domains={"clock": Compared(1, 0)}), 1.0)
    full = await book.report("SHORTLIST", Seen(Tally(9, 1), Tally(9, 1)), 2.0)
    during = await _until(client, lambda seen: seen[LINEAR] <= 4)
    await book.stop(3.0)
    return full, before, during, await _until(client, lambda seen: seen.keys() == {LINEAR})


async def _until(client: Client, settled: Callable[[Counter[str]], bool]) -> Counter[str]:
    """Who ranked in twelve sessions, when the news has arrived."""
    seen: Counter[str] = Counter()
    for _ in range(20):
        seen = await client.rankers(12)
        if settled(seen):
            break
    return seen


class TestRewrites:
    def test_a_published_rewrite_is_read_and_named(self, taught: Taught) -> None:
        assert not taught.before.decision.rewrite_id
        assert taught.rewritten.decision.rewrite_id.startswith("rw-")
        assert "5" in taught.rewritten.answer


class TestRollout:
    def test_a_ranker_that_came_through_serves_until_it_is_stopped(self, taught: Taught) -> None:
        assert taught.full is not None
        assert taught.full.phase is Phase.FULL
        assert taught.rankers_before.keys() == taught.rankers_after.keys() == {LINEAR}
        assert taught.rankers_during[LINEAR] <= 4  # 95 % of the sessions are the other's


def test_a_log_that_cannot_be_written_costs_no_turn(taught: Taught) -> None:
    assert "22" in taught.answered.answer
