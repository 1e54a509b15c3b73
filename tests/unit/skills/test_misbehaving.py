"""Skills that crash, come late, talk for ever or exit: their turn fails with a reason, and nothing else does."""

from __future__ import annotations

import asyncio
import logging
import time
import tracemalloc
from pathlib import Path

import pytest

from antiphon.skill.v1 import skill_pb2
from antiphon.skills import SkillError, SkillHost, Turn
from antiphon.skills.skill import Trouble
from skills.clock.handler import CLOCK
from skills.lists.handler import LISTS
from tests.fakes.misbehaving_skill import Misbehaving, WithoutGenerator
from tests.fakes.skill_turns import request

pytestmark = pytest.mark.unit


async def collect(
    host: SkillHost, asked: skill_pb2.ExecuteRequest, tenant: str = ""
) -> list[skill_pb2.ExecuteResponse]:
    return [event async for event in host.execute(asked, tenant)]


@pytest.mark.parametrize(
    ("way", "reason", "kind"),
    [
        ("crash", "SKILL_CRASHED", Trouble.CRASHED),
        ("crash_after_saying", "SKILL_CRASHED", Trouble.CRASHED),
        ("exit", "SKILL_CRASHED", Trouble.CRASHED),
        ("yield_rubbish", "SKILL_CRASHED", Trouble.CRASHED),
        ("deep", "SKILL_CRASHED", Trouble.CRASHED),
        ("late", "SKILL_TOO_LATE", Trouble.TOO_LATE),
        ("dribble", "SKILL_TOO_LATE", Trouble.TOO_LATE),
        ("huge_answer", "EVENT_TOO_LARGE", Trouble.CRASHED),
        ("huge_piece_by_piece", "ANSWER_TOO_LONG", Trouble.CRASHED),
        ("huge_question", "ANSWER_TOO_LONG", Trouble.CRASHED),
        ("huge_display", "DISPLAY_TOO_LARGE", Trouble.CRASHED),
        ("huge_state", "STATE_TOO_LARGE", Trouble.CRASHED),
        ("flood", "TOO_MANY_EVENTS", Trouble.CRASHED),
        ("empty_event", "EMPTY_EVENT", Trouble.CRASHED),
    ],
)
def test_its_turn_fails_with_a_reason_and_others_go_on(way: str, reason: str, kind: Trouble) -> None:
    skill = Misbehaving()
    host = SkillHost([skill, CLOCK])

    async def run() -> SkillError:
        with pytest.raises(SkillError) as failed:
            await collect(host, request(f"odd.{way}"))
        assert (await collect(host, request("clock.time")))[0].answer.text.startswith("It is")
        return failed.value

    error = asyncio.run(run())
    assert (error.reason, error.kind, error.effect) == (reason, kind, False)
    assert "secret" not in str(error)
    assert skill.closed == 1, "what it had open was closed"


def test_a_crash_after_a_change_says_that_something_was_changed() -> None:
    with pytest.raises(SkillError) as failed:
        asyncio.run(collect(SkillHost([Misbehaving()]), request("odd.crash_after_change")))
    assert failed.value.effect


def test_a_handler_that_does_not_yield_is_a_crash() -> None:
    with pytest.raises(SkillError, match="the skill failed"):
        asyncio.run(collect(SkillHost([WithoutGenerator()]), request("flat.crash")))


def test_after_the_end_nothing_more_is_heard() -> None:
    host = SkillHost([Misbehaving()])
    events = asyncio.run(collect(host, request("odd.twice")))
    assert [event.WhichOneof("event") for event in events] == ["answer", "done"]
    events = asyncio.run(collect(host, request("odd.ask_twice")))
    assert [event.WhichOneof("event") for event in events] == ["prompt", "done"]
    assert events[-1].done.outcome == skill_pb2.EXECUTION_OUTCOME_AWAITING_USER
    events = asyncio.run(collect(host, request("odd.return_nothing")))
    assert [event.WhichOneof("event") for event in events] == ["done"]


def test_control_characters_are_not_asked() -> None:
    progress, asked, _ = asyncio.run(collect(SkillHost([Misbehaving()]), request("odd.ask_with_control_characters")))
    assert (progress.progress.text.text, asked.prompt.text.text) == (" [2Jwait", " [31mred ?")


def test_control_characters_are_not_said_and_spans_count_what_is() -> None:
    said = asyncio.run(collect(SkillHost([Misbehaving()]), request("odd.control_characters")))[0].answer
    assert said.text == " [31mred  bell  é"
    assert (said.span.start, said.span.end) == (0, len(said.text))


def test_a_receipt_bears_the_key_of_the_turn() -> None:
    done = asyncio.run(collect(SkillHost([Misbehaving()]), request("odd.wrong_receipt", key="mine")))[-1].done
    assert done.receipt.idempotency_key == "mine"


def test_a_caller_that_goes_away_ends_the_skill() -> None:
    skill = Misbehaving()

    async def run() -> None:
        events = SkillHost([skill]).execute(request("odd.dribble"))
        await anext(events)
        await events.aclose()

    asyncio.run(run())
    assert skill.closed == 1


def test_a_slow_caller_is_not_the_skills_fault() -> None:
    async def run() -> int:
        events = SkillHost([Misbehaving()]).execute(request("odd.dribble"))
        await anext(events)
        await asyncio.sleep(0.5)  # longer than the skill has
        more = [await anext(events) for _ in range(3)]
        await events.aclose()
        return len(more)

    assert asyncio.run(run()) == 3


def test_hundred_megabytes_are_neither_copied_nor_waited_for() -> None:
    tracemalloc.start()
    began = time.process_time()
    with pytest.raises(SkillError):
        asyncio.run(collect(SkillHost([Misbehaving()]), request("odd.huge_answer")))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert time.process_time() - began < 5
    assert peak < 500_000_000


def test_what_users_say_is_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO), pytest.raises(SkillError):
        asyncio.run(collect(SkillHost([Misbehaving()]), request("odd.crash")))
    assert "ZeroDivisionError in " in caplog.text
    assert "secret" not in caplog.text
    asked = request("lists.take_note")
    asked.interpretation.slots.add(name="text", text="my secret plan").value.text = "my secret plan"
    with caplog.at_level(logging.DEBUG):
        asyncio.run(collect(SkillHost([LISTS]), asked))
    assert "secret" not in caplog.text


def test_a_repeat_is_known_after_a_restart(tmp_path: Path) -> None:
    def started() -> SkillHost:
        return SkillHost([LISTS], tmp_path)

    async def run() -> None:
        asked = request("lists.add", key="same")
        asked.context.session.user_id = "ada"
        asked.interpretation.slots.add(name="item").value.text = "milk"
        host = started()
        first = await collect(host, asked)
        await host.close()
        host = started()
        again = await collect(host, asked)
        await host.close()
        assert again[-1].done.receipt.replayed
        assert not first[-1].done.receipt.replayed
        assert [event.answer.text for event in again] == [event.answer.text for event in first]

    asyncio.run(run())


def test_tenants_do_not_meet(tmp_path: Path) -> None:
    """Two accounts whose users have the same name, and a turn with the same key."""

    async def run() -> list[str]:
        host = SkillHost([LISTS], tmp_path)
        asked = request("lists.add", key="same")
        asked.context.session.user_id = "ada"
        asked.interpretation.slots.add(name="item").value.text = "milk"
        await collect(host, asked, "first")
        read = request("lists.read", key="other")
        read.context.session.user_id = "ada"
        said = [(await collect(host, read, tenant))[0].answer.text for tenant in ("first", "second")]
        await host.close()
        return said

    assert asyncio.run(run()) == ["Shopping list: milk.", "Shopping list: nothing on it."]


def test_users_are_known_by_different_names_to_different_skills() -> None:
    made = [request("lists.read"), request("odd.crash")]
    for one in made:
        one.context.session.user_id = "ada"
    names = {Turn("x", "en", one.interpretation, one.context).user for one in made}
    assert len(names) == 2
    assert not any("ada" in name for name in names)
