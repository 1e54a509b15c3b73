"""A skill that does what it must not, one way for each intent."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any, cast

from antiphon.skill.v1 import skill_pb2
from antiphon.skills import Event, Skill, Turn, read_manifest
from antiphon.types.v1 import answer_pb2

WAYS = (
    "crash", "crash_after_saying", "crash_after_change", "exit", "return_nothing", "yield_rubbish", "late", "dribble",
    "huge_answer", "huge_piece_by_piece", "huge_display", "huge_state", "flood", "twice", "ask_twice", "empty_event",
    "control_characters", "ask_with_control_characters", "huge_question", "wrong_receipt", "deep",
)  # fmt: skip

_INTENT = """
  - name: {name}
    risk: low
    side_effect: {effect}
    timeout: 0.3
    phrases: {{en: [{name} please]}}
"""


def _manifest() -> str:
    intents = "".join(
        _INTENT.format(name=way, effect="reversible" if way in ("crash_after_change", "wrong_receipt") else "none")
        for way in WAYS
    )
    return f"skill_id: odd\nversion: 1.0.0\nlocales: [en]\nintents:{intents}"


class Misbehaving(Skill):
    """`handle` does what the intent's name says."""

    manifest = read_manifest(_manifest())

    def __init__(self) -> None:
        self.closed = 0

    async def handle(self, turn: Turn) -> AsyncIterator[Event]:  # noqa: C901 - one branch for each way
        try:
            match turn.intent:
                case "crash":
                    raise ZeroDivisionError("secret words of a user")
                case "crash_after_saying":
                    yield turn.say("half an ")
                    raise KeyError("secret")
                case "crash_after_change":
                    await turn.change(lambda shelf: shelf.put("changed", True))
                    raise ValueError("secret")
                case "exit":
                    raise SystemExit(3)
                case "return_nothing":
                    return
                case "yield_rubbish":
                    yield cast(Event, "just a text")
                case "late":
                    await asyncio.sleep(60)
                case "dribble":
                    for _ in range(1000):
                        await asyncio.sleep(0.01)
                        yield turn.progress()
                case "huge_answer":
                    yield turn.say("a" * 100_000_000)
                case "huge_piece_by_piece":
                    for _ in range(1_000):
                        yield turn.say("b" * 4_000)
                case "huge_display":
                    yield turn.show("", "c" * 1_100_000)
                case "huge_state":
                    yield turn.keep(b"d" * 17_000)
                case "flood":
                    while True:
                        yield turn.progress()
                case "twice":
                    yield turn.say("once")
                    yield turn.keep(b"")
                    yield turn.say("twice")
                    yield turn.keep(b"")
                case "ask_twice":
                    yield turn.ask("First?", "a")
                    yield turn.ask("Second?", "b")
                case "empty_event":
                    yield Event()
                case "control_characters":
                    yield turn.say("\x1b[31mred\0 bell\x07 e\u0301")
                case "ask_with_control_characters":
                    yield turn.progress("\x1b[2Jwait")
                    yield turn.ask("\x1b[31mred\0?", "a")
                case "huge_question":
                    yield turn.ask("e" * 4_001, "a")
                case "wrong_receipt":
                    receipt = skill_pb2.EffectReceipt(idempotency_key="somebody else's")
                    yield Event(done=skill_pb2.Done(outcome=skill_pb2.EXECUTION_OUTCOME_COMPLETED, receipt=receipt))
                case "deep":
                    yield turn.say(str(_deep(0)))
        finally:
            self.closed += 1


def _deep(number: int) -> Any:
    return _deep(number + 1)


class WithoutGenerator(Skill):
    """Its `handle` forgot to yield."""

    manifest = read_manifest(_manifest().replace("skill_id: odd", "skill_id: flat"))

    async def handle(self, turn: Turn) -> Any:  # type: ignore[override]
        return answer_pb2.TextChunk(text="flat")
