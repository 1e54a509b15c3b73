"""A user whose timers and alarms the platform keeps: the real book and its adapters around one skill, with a clock."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

from antiphon.skill.v1 import skill_pb2
from antiphon.skills import Skill, SkillHost
from antiphon.types.v1 import alarm_pb2, answer_pb2, understanding_pb2
from services.arbitration.adapters.alarms import from_change, to_alarm
from services.arbitration.alarms import AlarmBook
from services.runtime.store import MemorySessionStore
from tests.fakes.skill_turns import request

OWNER = ("tenant", "user:ada")


class KeptAlarms:
    """Says things to `skill` and lets time pass.

    Attributes:
        now: the platform's clock.
        directives: all that the skill has sent to the device.
        asked: the question of the last turn; empty if none.
        reason: why the last turn was declined; empty if it was not.
    """

    def __init__(self, skill: Skill, now: datetime, time_zone: str = "Europe/Berlin", locale: str = "en") -> None:
        self.now = now
        self.time_zone = time_zone
        self.locale = locale
        self.directives: list[answer_pb2.Directive] = []
        self.asked = ""
        self.reason = ""
        self._skill_id = skill.manifest.skill_id
        self._host = SkillHost([skill])
        self._book = AlarmBook(MemorySessionStore(), now=lambda: self.now.timestamp())
        self._turns = 0

    def say(self, intent: str, *slots: understanding_pb2.Slot, key: str = "") -> str:
        """The answer to a reading; what it sets is kept."""
        return asyncio.run(self._say(intent, slots, key))

    def alarms(self) -> list[alarm_pb2.Alarm]:
        """What is kept now."""
        return [to_alarm(alarm, self.now.timestamp()) for alarm in asyncio.run(self._book.alarms(*OWNER))]

    def wait(self, length: timedelta) -> int:
        """Time passes; how many rang."""
        self.now += length
        return len(asyncio.run(self._book.ring_due(*OWNER, "kitchen")))

    def due(self, number: int = 0) -> datetime:
        """When an alarm is due, UTC."""
        return self.alarms()[number].due_time.ToDatetime(tzinfo=UTC)

    async def _say(self, intent: str, slots: tuple[understanding_pb2.Slot, ...], key: str) -> str:
        self._turns += 1
        made = request(
            f"{self._skill_id}.{intent}",
            *slots,
            locale=self.locale,
            now=self.now,
            time_zone=self.time_zone,
            key=key or f"turn-{self._turns}",
        )
        now = self.now.timestamp()
        made.context.alarms.extend(to_alarm(alarm, now) for alarm in await self._book.alarms(*OWNER))
        events = [event async for event in self._host.execute(made)]
        changes = [from_change(event.alarm_change, now) for event in events if event.HasField("alarm_change")]
        kept = [change for change in changes if change is not None]
        assert len(kept) == len(changes), "an alarm that the platform does not take"
        await self._book.change(*OWNER, kept, skill_id=self._skill_id, device_id="kitchen")
        self.directives += [event.directive for event in events if event.HasField("directive")]
        self.asked = next((event.prompt.text.text for event in events if event.HasField("prompt")), "")
        done: skill_pb2.Done = events[-1].done
        self.reason = done.reason
        return "".join(event.answer.text for event in events)
