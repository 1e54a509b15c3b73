"""One replica's learning: what a turn leaves behind, and what reaches rewrites and rankers."""

from __future__ import annotations

import asyncio
from dataclasses import asdict, replace

import pytest

from services.arbitration.contexts import Profile, TurnContext
from services.arbitration.delivery import Delivery
from services.arbitration.events import Outcome
from services.arbitration.feedback import FeedbackBook
from services.arbitration.hypotheses import (
    Action,
    Candidate,
    Decision,
    Hypothesis,
    Interpretation,
    Reason,
    Slot,
    StageReport,
)
from services.arbitration.learning import school as school_module
from services.arbitration.learning.interactions import UNNAMED
from services.arbitration.learning.log import InteractionLog
from services.arbitration.learning.mining import Found
from services.arbitration.learning.off_policy import usable
from services.arbitration.learning.publication import OWNER, RewriteBook
from services.arbitration.learning.rewards import TURN_S, WINDOW_S
from services.arbitration.learning.rewrites import RewriteTable
from services.arbitration.learning.rollout import RolloutBook
from services.arbitration.learning.school import School, pseudonyms
from services.arbitration.learning.trial import RankerTrial
from services.arbitration.rankers.choice import Rankers
from services.runtime.store import MemorySessionStore, SessionStore
from tests.fakes.interaction_log import MemoryPlace

pytestmark = pytest.mark.unit

ADA = Profile("acme", "en", user_id="ada lovelace", device_id="kitchen")
READING = Interpretation("clock.time", 0.9, (Slot("place", "timbuktu"),), text="the time in timbuktu")
CLOCK = Hypothesis("clock", READING)
DECISION = Decision(
    Action.EXECUTE,
    Reason.CONFIDENT,
    (Candidate(CLOCK, score=2.0, probability=0.9), Candidate(Hypothesis("watch", READING), probability=0.05)),
    stages=(StageReport("fulfilment", 80, 95, missed=True),),
    propensity=0.985,
)
ANSWERED = Delivery(Outcome.ANSWERED, "CONFIDENT", "It is five.", served=CLOCK)


class SmallSchool:
    """A school whose clock is set by hand, with what it wrote down."""

    def __init__(self, school: School, place: MemoryPlace) -> None:
        self.school, self.place = school, place
        self.now = 1_000.0
        self.turns = 0
        school.now = lambda: self.now

    @classmethod
    async def open(cls, store: SessionStore | None = None) -> SmallSchool:
        store = store or MemorySessionStore()
        names = await pseudonyms(store)
        book, place = RewriteBook(store, names), MemoryPlace()
        trial = RankerTrial(RolloutBook(store), Rankers())
        table = RewriteTable(book, held_out=0.0)
        return cls(School(names, FeedbackBook(), InteractionLog(place), book, table, trial), place)

    async def turn(
        self,
        text: str = "the time in timbuktu",
        delivery: Delivery = ANSWERED,
        *,
        retain: bool = False,
        profile: Profile = ADA,
        decision: Decision | None = DECISION,
    ) -> str:
        self.turns += 1
        context = TurnContext("session", f"turn-{self.turns}", profile, self.now)
        self.now += 2.0
        self.school.over(context, text, decision, delivery, retain_text=retain)
        return context.turn_id

    async def quiet(self) -> None:
        """Nothing more is said; everything is written."""
        self.now += WINDOW_S + TURN_S + 1
        await self.school.refresh()
        await self.school.log.flush()


async def test_a_quiet_turn_was_good_and_leaves_everything_but_words() -> None:
    small = await SmallSchool.open()
    await small.turn()
    await small.quiet()
    (row,) = small.place.rows
    assert (row.reward, row.verdict, row.action, row.skill_id) == (1.0, "completed", "execute", "clock")
    assert (row.form, row.chosen, row.propensity) == ("clock.time(place)", 0, 0.985)
    assert [option.skill_id for option in row.options] == ["clock", "watch"]
    assert row.misses == ("fulfilment",)
    written = repr(asdict(row))
    assert not any(word in written for word in ("timbuktu", "ada", "lovelace", "kitchen", "acme", "five"))
    assert small.school.feedback.success("acme", "clock", "clock.time") > 0.5


async def test_words_only_with_consent() -> None:
    small = await SmallSchool.open()
    await small.turn("The time, please!", retain=True)
    await small.turn("Secret plans")
    await small.quiet()
    assert [row.text for row in small.place.rows] == ["the time please", ""]


async def test_a_rephrase_makes_the_turn_before_a_failure() -> None:
    small = await SmallSchool.open()
    other = replace(ANSWERED, served=Hypothesis("watch", replace(READING, intent="watch.time")))
    await small.turn("the time in timbuktu", other)
    await small.turn("tell me the time in timbuktu")
    await small.quiet()
    assert [row.verdict for row in small.place.rows] == ["rephrased", "completed"]
    assert small.school.feedback.success("acme", "watch", "watch.time") < 0.5


async def test_speaking_over_the_answer_counts_while_it_is_heard_and_after() -> None:
    small = await SmallSchool.open()
    await small.turn("one", Delivery(Outcome.INTERRUPTED, "BARGE_IN", served=CLOCK))
    turn_id = await small.turn("two")
    small.school.interrupted(ADA, "session", turn_id)
    await small.turn("three", Delivery(Outcome.INTERRUPTED, "CANCELLED"))
    await small.quiet()
    assert [row.reward for row in small.place.rows] == [0.0, 0.0, None]


@pytest.mark.parametrize(
    ("kind", "reward"), [("POSITIVE", 1.0), ("NEGATIVE", 0.0), ("WRONG_DEVICE", 1.0)], ids=["good", "bad", "neither"]
)
async def test_what_the_user_says_counts_at_once(kind: str, reward: float) -> None:
    small = await SmallSchool.open()
    turn_id = await small.turn()
    small.school.remarked("acme", turn_id, kind)
    small.school.remarked("acme", turn_id, kind)
    await small.quiet()
    assert [row.reward for row in small.place.rows] == [reward]
    assert [remark.kind for remark in small.place.remarks] == [kind, kind]
    assert not small.school._owners


@pytest.mark.parametrize(
    ("delivery", "verdict"),
    [
        (Delivery(Outcome.NOT_UNDERSTOOD), "failed"),
        (Delivery(Outcome.NOT_UNDERSTOOD, "NLU_UNAVAILABLE"), "open"),
        (Delivery(Outcome.FAILED), "open"),
        (Delivery(Outcome.ASKED), "open"),
        (Delivery(Outcome.NO_SPEECH), "open"),
        (Delivery(Outcome.ANSWERED, str(Reason.DENIED_BY_USER)), "open"),
    ],
)
async def test_what_is_known_at_once(delivery: Delivery, verdict: str) -> None:
    small = await SmallSchool.open()
    await small.turn(delivery=delivery, decision=None)
    await small.school.log.flush()
    assert [row.verdict for row in small.place.rows] == [verdict]


async def test_silence_judges_nobody() -> None:
    small = await SmallSchool.open()
    await small.turn("the time in timbuktu")
    await small.turn("", Delivery(Outcome.NO_SPEECH))
    await small.school.log.flush()
    assert [row.outcome for row in small.place.rows] == ["no_speech"]


async def test_a_dry_run_teaches_nothing() -> None:
    small = await SmallSchool.open()
    await small.turn(profile=replace(ADA, dry_run=True))
    await small.quiet()
    assert not small.place.rows


async def test_what_is_open_at_the_end_is_written_as_open() -> None:
    small = await SmallSchool.open()
    await small.turn()
    await small.school.close()
    assert [(row.verdict, row.reward) for row in small.place.rows] == [("open", None)]


async def test_a_rewrite_that_fails_its_users_is_taken_back() -> None:
    small = await SmallSchool.open()
    school = small.school
    tenant = school.names.of("tenant", "acme")
    await school.published.publish(tenant, "en", [Found("telly on", "turn on the tv", "tv.on", 0.8, 0.4, 9, 80, 20)])
    school.rewrites.known("acme", "en", "")
    await school.refresh()
    rewrite = school.rewrites.look_up("acme", "en", "telly on", "session")
    assert rewrite is not None
    failed = Delivery(Outcome.NOT_UNDERSTOOD)
    for _ in range(12):
        await small.turn("telly on", failed, decision=replace(DECISION, rewrite_id=rewrite.rewrite_id))
    await small.quiet()
    assert school.rewrites.look_up("acme", "en", "telly on", "session") is None
    assert [row.rewrite_id for row in small.place.rows] == [UNNAMED] * 12  # its id would tell what was said
    assert not any(row.held_out for row in small.place.rows)


async def test_the_id_of_a_rewrite_is_kept_with_the_words() -> None:
    small = await SmallSchool.open()
    await small.turn("telly on", retain=True, decision=replace(DECISION, rewrite_id="rw-1"))
    await small.quiet()
    assert [(row.text, row.rewrite_id) for row in small.place.rows] == [("telly on", "rw-1")]


async def test_feedback_is_booked_once() -> None:
    small = await SmallSchool.open()
    turn_id = await small.turn()
    small.school.remarked("acme", turn_id, "NEGATIVE")  # `explanations` has booked it
    assert small.school.feedback.popularity("acme", "clock", "clock.time") == 0.0


async def test_an_outage_speaks_against_nobody() -> None:
    small = await SmallSchool.open()
    await small.turn(delivery=Delivery(Outcome.FAILED, "SKILL_DOWN", failed=(CLOCK,)))
    await small.quiet()
    assert small.school.feedback.success("acme", "clock", "clock.time") == 0.5


async def test_the_second_choice_that_served_is_not_taken_for_the_first() -> None:
    small = await SmallSchool.open()
    watch = Hypothesis("watch", READING)
    await small.turn(delivery=replace(ANSWERED, served=watch, failed=(CLOCK,)))
    await small.quiet()
    (row,) = small.place.rows
    assert (row.skill_id, row.reward, row.chosen) == ("watch", 1.0, -1)
    assert not usable(row)
    assert small.school.feedback.success("acme", "watch", "clock.time") > 0.5


async def test_a_turn_that_cannot_be_learned_from_harms_nothing(caplog: pytest.LogCaptureFixture) -> None:
    small = await SmallSchool.open()
    await small.turn("private words", decision=replace(DECISION, stages=(None,)))  # type: ignore[arg-type]
    assert "nothing was learned from a turn: AttributeError" in caplog.text
    assert "private" not in caplog.text
    await small.turn()
    await small.quiet()
    assert len(small.place.rows) == 1


async def test_one_unreadable_value_does_not_end_the_learning(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(school_module, "REFRESH_S", 0.001)
    store = MemorySessionStore()
    await store.put(OWNER, "learning/rollout", b'{"of": "a newer release"}', ttl=60.0)
    small = await SmallSchool.open(store)
    following = asyncio.create_task(small.school.follow())
    for _ in range(2_000):
        if caplog.text.count("learning is held up") >= 2:
            break
        await asyncio.sleep(0.005)
    assert not following.done()
    following.cancel()
    assert caplog.text.count("learning is held up") >= 2


async def test_replicas_share_a_key_and_restarts_keep_it() -> None:
    store = MemorySessionStore()
    one, other = await pseudonyms(store), await pseudonyms(store)
    assert one == other
    assert one != await pseudonyms(MemorySessionStore())
    assert (await pseudonyms(store, "ours")).key == b"ours"
