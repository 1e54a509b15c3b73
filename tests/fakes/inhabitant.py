"""Somebody who lives in the simulated home, and slots as understanding fills them there."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

from antiphon.skill.v1 import skill_pb2
from antiphon.skills import SkillHost
from antiphon.types.v1 import understanding_pb2
from skills.home.handler import HOME
from tests.fakes.skill_turns import request


def entity(name: str, entity_id: str) -> understanding_pb2.Slot:
    slot = understanding_pb2.Slot(name=name, text=entity_id)
    slot.value.entity.entity_id = entity_id
    return slot


def device(entity_id: str) -> understanding_pb2.Slot:
    return entity("device", entity_id)


def room(entity_id: str) -> understanding_pb2.Slot:
    return entity("room", entity_id)


def words(name: str, text: str) -> understanding_pb2.Slot:
    return understanding_pb2.Slot(name=name, text=text)


def level(number: int) -> understanding_pb2.Slot:
    slot = understanding_pb2.Slot(name="level", text=str(number))
    slot.value.integer = number
    return slot


def temperature(number: str, unit: str, *others: str) -> understanding_pb2.Slot:
    slot = understanding_pb2.Slot(name="temperature", text="that warm")
    slot.value.quantity.value.value, slot.value.quantity.unit = number, unit
    for other in others:
        alternative = slot.alternatives.add()
        alternative.quantity.value.value, alternative.quantity.unit = number, other
    return slot


class Inhabitant:
    """A user at home: one host, one conversation, keys that never repeat unless they are given."""

    def __init__(self, folder: Path | None = None, *, own_room: str = "", directives: Sequence[str] = ()) -> None:
        self._host = SkillHost([HOME], folder)
        self._own_room = own_room
        self._directives = directives
        self._turns = 0

    def events(
        self,
        intent: str,
        *slots: understanding_pb2.Slot,
        locale: str = "en",
        key: str = "",
        confirmed: bool = False,
        user: str = "anna",
        region: str = "",
    ) -> list[skill_pb2.ExecuteResponse]:
        self._turns += 1
        asked = request(f"home.{intent}", *slots, locale=locale, key=key or f"turn-{self._turns}", confirmed=confirmed)
        asked.context.session.user_id = user
        asked.context.session.room = self._own_room
        asked.context.session.region = region
        asked.context.session.client.directives.extend(self._directives)

        async def collect() -> list[skill_pb2.ExecuteResponse]:
            return [event async for event in self._host.execute(asked)]

        return asyncio.run(collect())

    def say(self, intent: str, *slots: understanding_pb2.Slot, locale: str = "en", region: str = "") -> str:
        return answer(self.events(intent, *slots, locale=locale, region=region))

    def reason(self, intent: str, *slots: understanding_pb2.Slot) -> str:
        return self.events(intent, *slots)[-1].done.reason

    def close(self) -> None:
        asyncio.run(self._host.close())


def answer(events: list[skill_pb2.ExecuteResponse]) -> str:
    return "".join(event.answer.text for event in events)
