"""What the front door learns from real turns: rows of the log, consent, and rewrites that change the next reading."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
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
from services.arbitration.learning.interactions import Interaction
from services.arbitration.learning.mining import Found
from services.arbitration.learning.parquet import ParquetPlace
from services.arbitration.learning.publication import RewriteBook
from services.arbitration.learning.rollout import Compared, Phase, RolloutBook, Rules, Seen, Tally
from services.arbitration.learning.school import REFRESH_S, pseudonyms
from services.arbitration.rankers.choice import RankerKind
from services.registry import CAPABILITIES, DEFAULT_POOLS
from services.runtime.identity import LOCAL
from services.runtime.platform import PlatformSettings
from services.runtime.server import GrpcPlatform
from services.runtime.spec import load_spec
from services.runtime.store_sqlite import SqliteSessionStore
from tests.fixtures.front_door import END, Request

pytestmark = pytest.mark.integration

NAMES = ("arbitration", "nlu", "dialogue", "skills")
SECRET_WORDS = "what is two plus twenty"
ASKED_AGAIN = "ask the sums thing about two and three"


@asynccontextmanager
async def platform(state: Path, log: str) -> AsyncIterator[grpc.aio.Channel]:
    """A front door with a log, until its rows are written."""
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
        for _ in range(200):
            if len((await registry.List(registry_pb2.ListRequest())).skills) >= 3:
                break
            await asyncio.sleep(0.05)
        for _ in range(50):  # the first readings after a start may come too late; a dry run leaves no row
            events = await ask(channel, SECRET_WORDS, dry_run=True)
            if any(e.decision.outcome == decision_pb2.DECISION_OUTCOME_EXECUTE for e in events):
                break
        yield channel


async def ask(
    channel: grpc.aio.Channel, text: str, *, retain: bool = False, user: str = "ada", dry_run: bool = False
) -> list[assistant_pb2.ConverseResponse]:
    """One typed turn in a session of its own."""
    stub = assistant_pb2_grpc.AssistantServiceStub(channel)
    context = context_pb2.SessionContext(user_id=user, consent=context_pb2.Consent(retain_text=retain))
    config = assistant_pb2.ConverseConfig(language_codes=["en"], context=context, dry_run=dry_run)

    async def requests() -> AsyncIterator[Request]:
        yield Request(config=config)
        yield Request(text=assistant_pb2.TextInput(text=text))
        yield END

    return [event async for event in stub.Converse(requests(), timeout=20)]


def rows(log: Path) -> list[Interaction]:
    """The log, in order of time."""
    return sorted(ParquetPlace(str(log)).read(), key=lambda row: row.at)


class TestRows:
    async def test_a_turn_leaves_a_row_without_words_or_names(self, tmp_path: Path) -> None:
        log = tmp_path / "log"
        async with platform(tmp_path / "state", str(log)) as channel:
            events = await ask(channel, SECRET_WORDS)
        decision = next(e.decision for e in events if e.HasField("decision"))
        (row,) = rows(log)
        assert row.turn_id == decision.turn_id
        assert (row.skill_id, row.action, row.outcome) == ("calculator", "execute", "answered")
        assert row.options[row.chosen].skill_id == "calculator"
        assert row.options[0].features["intent_confidence"] > 0.5
        assert (row.reward, row.verdict, row.text) == (None, "open", "")
        written = b"".join(path.read_bytes() for path in log.rglob("*.parquet"))
        assert written
        assert not any(words in written for words in (b"twenty", b"ada", b"plus"))

    async def test_words_are_kept_with_consent_and_a_rephrase_is_a_failure(self, tmp_path: Path) -> None:
        log = tmp_path / "log"
        async with platform(tmp_path / "state", str(log)) as channel:
            await ask(channel, "What is two plus three?", retain=True)
            await ask(channel, "tell me what is two plus three", retain=True)
            await ask(channel, "good morning", retain=True)
        first, second, third = rows(log)
        assert (first.text, first.verdict, first.reward) == ("what is two plus three", "rephrased", 0.0)
        assert (second.verdict, second.reward) == ("completed", 1.0)
        assert third.reward is None
        assert first.user == second.user
        assert first.session_id != second.session_id

    async def test_feedback_joins_its_row(self, tmp_path: Path) -> None:
        log = tmp_path / "log"
        async with platform(tmp_path / "state", str(log)) as channel:
            events = await ask(channel, SECRET_WORDS)
            turn_id = next(e.decision.turn_id for e in events if e.HasField("decision"))
            stub = arbitration_pb2_grpc.ArbitrationServiceStub(channel)
            request = arbitration_pb2.FeedbackRequest(turn_id=turn_id, kind=arbitration_pb2.FEEDBACK_KIND_NEGATIVE)
            await stub.Feedback(request)
        assert [row.reward for row in rows(log)] == [0.0]

    async def test_a_log_that_cannot_be_written_costs_no_turn(
        self, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        blocked = tmp_path / "file"
        blocked.write_text("no folder")
        async with platform(tmp_path / "state", str(blocked / "log")) as channel:
            events = await ask(channel, SECRET_WORDS)
        assert "22" in next(e.turn_completed.answer for e in events if e.HasField("turn_completed"))
        assert "no interaction log is kept" in caplog.text


class TestRewrites:
    async def test_a_published_rewrite_is_read_and_named(self, tmp_path: Path) -> None:
        state = tmp_path / "state"
        async with platform(state, "") as channel:
            before = await ask(channel, ASKED_AGAIN)
            assert not next(e.decision.rewrite_id for e in before if e.HasField("decision"))
            store = await SqliteSessionStore.open(state / "sessions.sqlite3")
            names = await pseudonyms(store)
            found = Found(ASKED_AGAIN, "what is two plus three", "calculator.calculate", 0.9, 0.1, 9)
            assert await RewriteBook(store, names).publish(names.of("tenant", LOCAL.tenant), "en", [found]) == 1
            await store.close()
            events, rewritten = before, [""]
            for _ in range(60):  # a held-out session, or a table that was not read yet, gets none
                events = await ask(channel, ASKED_AGAIN, user="")
                rewritten = [e.decision.rewrite_id for e in events if e.HasField("decision")]
                if rewritten[0]:
                    break
                await asyncio.sleep(0.2)
        assert rewritten[0].startswith("rw-")
        assert "5" in next(e.turn_completed.answer for e in events if e.HasField("turn_completed"))


class TestRollout:
    async def test_a_ranker_that_came_through_serves_until_it_is_stopped(self, tmp_path: Path) -> None:
        state = tmp_path / "state"
        async with platform(state, "") as channel:
            store = await SqliteSessionStore.open(state / "sessions.sqlite3")
            book = RolloutBook(store, Rules(shadow_turns=1, canary_turns=1, tolerance=1.0))
            await book.begin(str(RankerKind.SHORTLIST), 0.0)
            before = await rankers(channel, 3)
            await book.report("SHORTLIST", Seen(domains={"clock": Compared(1, 0)}), 1.0)
            full = await book.report("SHORTLIST", Seen(Tally(9, 1), Tally(9, 1)), 2.0)
            assert full is not None
            assert full.phase is Phase.FULL
            await asyncio.sleep(REFRESH_S + 0.5)
            during = await rankers(channel, 12)
            await book.stop(3.0)
            await asyncio.sleep(REFRESH_S + 0.5)
            after = await rankers(channel, 3)
            await store.close()
        assert before.keys() == after.keys() == {"antiphon/rank-linear@1"}
        assert during.total() - during["antiphon/rank-linear@1"] >= 8  # 95 % of the sessions


async def rankers(channel: grpc.aio.Channel, turns: int) -> Counter[str]:
    """Who ranked, in so many sessions."""
    found: Counter[str] = Counter()
    for _ in range(turns):
        events = await ask(channel, SECRET_WORDS)
        found[next(e.decision.ranker.model for e in events if e.HasField("decision"))] += 1
    return found
