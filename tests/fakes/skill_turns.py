"""Requests to skills as the platform makes them, and what came of them in words."""

from __future__ import annotations

import asyncio
from datetime import datetime

from antiphon.skill.v1 import skill_pb2
from antiphon.skills import Skill, SkillHost
from antiphon.types.v1 import context_pb2, understanding_pb2, value_pb2


def place(name: str, time_zone: str = "", region: str = "") -> understanding_pb2.Slot:
    """A place slot with its typed value."""
    value = value_pb2.Value(place=value_pb2.Place(name=name, time_zone=time_zone, region=region))
    return understanding_pb2.Slot(name="place", text=name, value=value)


def day(year: int, month: int, number: int) -> understanding_pb2.Slot:
    """A day slot; 0 for what was not said."""
    slot = understanding_pb2.Slot(name="day", text="that day")
    slot.value.date.year, slot.value.date.month, slot.value.date.day = year, month, number
    return slot


def expression(infix: str) -> understanding_pb2.Slot:
    """An expression slot."""
    value = value_pb2.Value(expression=value_pb2.Expression(infix=infix))
    return understanding_pb2.Slot(name="expression", text="what was said", value=value)


def request(
    intent: str,
    *slots: understanding_pb2.Slot,
    locale: str = "en",
    now: datetime | None = None,
    time_zone: str = "",
    key: str = "key-1",
    confirmed: bool = False,
) -> skill_pb2.ExecuteRequest:
    """An Execute of `skill_id.intent`."""
    context = context_pb2.TurnContext()
    context.session.time_zone = time_zone
    if now is not None:
        context.now.FromDatetime(now)
    return skill_pb2.ExecuteRequest(
        skill_id=intent.partition(".")[0],
        idempotency_key=key,
        interpretation=understanding_pb2.Interpretation(intent=intent, slots=slots),
        language_code=locale,
        context=context,
        confirmed=confirmed,
    )


def execute(skill: Skill, asked: skill_pb2.ExecuteRequest) -> list[skill_pb2.ExecuteResponse]:
    """All events of one execution."""

    async def collect() -> list[skill_pb2.ExecuteResponse]:
        return [event async for event in SkillHost([skill]).execute(asked)]

    return asyncio.run(collect())


def answer(skill: Skill, asked: skill_pb2.ExecuteRequest) -> tuple[str, str]:
    """The whole answer and the reason it was declined for (empty when it was not)."""
    events = execute(skill, asked)
    return "".join(event.answer.text for event in events), events[-1].done.reason


def can_fulfill(skill: Skill, asked: skill_pb2.ExecuteRequest) -> skill_pb2.FulfilmentAnswer:
    """What the skill says to the same reading when it is only asked."""
    question = skill_pb2.CanFulfillRequest(
        skill_id=asked.skill_id,
        interpretations=[asked.interpretation],
        language_code=asked.language_code,
        context=asked.context,
    )
    return asyncio.run(SkillHost([skill]).can_fulfill(question)).answers[0]
