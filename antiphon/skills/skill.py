"""What a skill is, and what it is told and may say in one turn.

`host.SkillHost` makes a `Turn` of each Execute and turns what the skill yields into the contract's stream.
"""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from typing import Final, TypeVar
from zoneinfo import ZoneInfo

from antiphon.skill.v1 import manifest_pb2, skill_pb2
from antiphon.skills import values
from antiphon.skills.storage import PASSING, Json, Shelf, UserStorage
from antiphon.types.v1 import alarm_pb2, answer_pb2, context_pb2, understanding_pb2, value_pb2

R = TypeVar("R")

MAX_TEXT: Final = 1_000
"""Characters of a slot that `Turn.text` gives: nobody says more in one turn."""

Event = skill_pb2.ExecuteResponse
"""What `handle` yields; `Turn` has a method for each kind."""


class Trouble(Enum):
    """Kinds of trouble; the values are canonical codes of gRPC."""

    INVALID = 3
    """The request was wrong: an unknown intent, a slot of the wrong type."""
    NOT_FOUND = 5
    TOO_LATE = 4
    REFUSED = 9
    """Not confirmed, not permitted, not ready."""
    CRASHED = 13
    """A defect of the skill."""


class SkillError(Exception):
    """A skill cannot go on. Say so in words instead (`Turn.decline`) where the user can be told why.

    Args:
        reason: UPPER_SNAKE constant that a program can switch on.
        kind: what went wrong.
        effect: something was changed in the world before it failed.
    """

    def __init__(self, reason: str, message: str = "", *, kind: Trouble | None = None, effect: bool = False) -> None:
        super().__init__(message or reason)
        self.reason = reason
        self.kind = kind or Trouble.REFUSED
        self.effect = effect


class Answerable(Enum):
    """Whether the skill could serve a reading."""

    YES = understanding_pb2.FULFILMENT_YES
    MAYBE = understanding_pb2.FULFILMENT_MAYBE
    NO = understanding_pb2.FULFILMENT_NO


@dataclass(frozen=True)
class Turn:
    """One request to a skill.

    Attributes:
        intent: short name of the intent, as in the manifest.
        locale: BCP-47 tag to answer in.
        interpretation: the reading, with text and all slots.
        context: what the skill may know of the turn.
        idempotency_key: a repeat with it must change nothing more; empty when only asked (`can_fulfill`).
        confirmed: the user said yes to this very reading.
        prompt_id: the skill's own question that this turn answers; empty if none.
        state: what the skill kept at its last `keep` in this session.
        tenant: on whose account, where the host knows it from the call's credentials; else empty.
        storage: what the skill keeps of this user; `change` and `read` use it. None when only asked.
    """

    intent: str
    locale: str
    interpretation: understanding_pb2.Interpretation
    context: context_pb2.TurnContext
    idempotency_key: str = ""
    confirmed: bool = False
    prompt_id: str = ""
    state: bytes = b""
    tenant: str = ""
    storage: UserStorage | None = None

    @property
    def language(self) -> str:
        """The primary language of `locale`: `de` for `de-AT`."""
        return self.locale.replace("_", "-").partition("-")[0].lower()

    def slot(self, name: str) -> understanding_pb2.Slot | None:
        """The slot of that name, or None when it was not said."""
        return next((slot for slot in self.interpretation.slots if slot.name == name), None)

    def value(self, name: str) -> value_pb2.Value | None:
        """The typed value of a slot, or None."""
        slot = self.slot(name)
        return slot.value if slot is not None and slot.HasField("value") else None

    def text(self, name: str, longest: int = MAX_TEXT) -> str:
        """A slot in words, on one line without control characters: an entry's name, a text, else what was said."""
        slot = self.slot(name)
        if slot is None:
            return ""
        kind = slot.value.WhichOneof("kind")
        said = slot.value.text if kind == "text" else slot.value.entity.name if kind == "entity" else ""
        return values.plain(said or slot.text, longest)

    def entity(self, name: str) -> str:
        """The id of the catalogue's entry in a slot; empty when it holds none."""
        value = self.value(name)
        return value.entity.entity_id if value is not None and value.WhichOneof("kind") == "entity" else ""

    def number(self, name: str) -> Decimal | None:
        """A whole or decimal number."""
        return values.to_number(self.value(name))

    def quantity(self, name: str) -> tuple[Decimal, str] | None:
        """A number and its unit as a UCUM code ("Cel")."""
        return values.to_quantity(self.value(name))

    def duration(self, name: str) -> timedelta | None:
        """A length of time, never negative."""
        return values.to_duration(self.value(name))

    def day(self, name: str) -> date | None:
        """A day; what was not said of it is today's, where the user is."""
        return values.to_date(self.value(name), self.now.astimezone(self.time_zone or UTC).date())

    def time_of_day(self, name: str) -> time | None:
        """A time of day."""
        return values.to_time(self.value(name))

    def moment(self, name: str) -> datetime | None:
        """A point of time, aware, in the user's zone where it names none (UTC when that is not known)."""
        return values.to_moment(self.value(name), self.time_zone or UTC)

    @property
    def user(self) -> str:
        """A stable name of who speaks, another one for every skill; of the device if nobody is named.

        Without either it is good for the session alone, and what is kept under it goes after a day.
        """
        session = self.context.session
        device = session.device.device_id
        owner = ("user", session.user_id) if session.user_id else ("device", device) if device else None
        kind, name = owner or ("session", self.context.session_id)
        parts = (self.tenant, self.interpretation.intent.partition(".")[0], kind, name)
        return (PASSING if kind == "session" else "") + hashlib.sha256("\0".join(parts).encode()).hexdigest()

    @property
    def alarms(self) -> Sequence[alarm_pb2.Alarm]:
        """The user's timers and alarms, by due time; empty without the permission `alarms`."""
        return tuple(self.context.alarms)

    async def change(self, work: Callable[[Shelf], Json], step: str = "") -> Json:
        """Change what is kept of this user: `work` gets their shelf, in one transaction, on another thread.

        A repeat of the turn's key changes nothing and gives what `work` gave at first. A turn that changes several
        times names each `step`. Raises StorageError; then nothing was changed: say so.
        """
        return await self._stored().change(work, step)

    async def read(self, work: Callable[[Shelf], R]) -> R:
        """Read what is kept of this user. Raises StorageError."""
        return await self._stored().read(work)

    def _stored(self) -> UserStorage:
        if self.storage is None:
            raise RuntimeError("this turn has no storage: can_fulfill keeps nothing, and a host gives one to handle")
        return self.storage

    @property
    def now(self) -> datetime:
        """The turn's "now", in UTC: the same in every step of the turn."""
        if self.context.HasField("now"):
            return self.context.now.ToDatetime(tzinfo=UTC)
        return datetime.now(UTC)

    @property
    def time_zone(self) -> ZoneInfo | None:
        """The user's time zone, or None when the client did not say or said something unknown."""
        return values.zone(self.context.session.time_zone)

    # --- what a skill yields ---------------------------------------------------------------------------------------
    def say(self, text: str) -> Event:
        """A piece of the answer. Pieces follow each other; nothing is said twice."""
        return Event(answer=answer_pb2.TextChunk(text=text, language_code=self.locale))

    def progress(self, text: str = "") -> Event:
        """Still at it; the text may be said meanwhile and is no part of the answer."""
        return Event(progress=skill_pb2.Progress(text=answer_pb2.TextChunk(text=text, language_code=self.locale)))

    def show(self, title: str, content: str) -> Event:
        """Something to look at beside the spoken answer, as plain text."""
        return Event(display=answer_pb2.Display(title=title, mime_type="text/plain", content=content.encode()))

    def ask(self, text: str, slot: str, prompt_id: str = "") -> Event:
        """A question for a slot; ends the turn. The answer comes as a new turn with this `prompt_id`."""
        return Event(
            prompt=answer_pb2.Prompt(
                prompt_id=prompt_id or slot,
                kind=answer_pb2.PROMPT_KIND_ELICIT_SLOT,
                slot=slot,
                text=answer_pb2.TextChunk(text=text, language_code=self.locale),
                interpretation=self.interpretation,
            )
        )

    def direct(self, directive: answer_pb2.Directive) -> Event:
        """An order to the device."""
        return Event(directive=directive)

    def set_alarm(self, alarm: alarm_pb2.Alarm) -> Event:
        """Sets an alarm, or replaces the one of the same id; needs the permission `alarms`."""
        return Event(alarm_change=alarm_pb2.AlarmChange(alarm=alarm))

    def delete_alarm(self, alarm_id: str) -> Event:
        """Deletes an alarm that this skill has set; one that is gone is no error."""
        return Event(alarm_change=alarm_pb2.AlarmChange(deleted_alarm_id=alarm_id))

    def focus(self, name: str, value: value_pb2.Value, text: str = "") -> understanding_pb2.Slot:
        """A slot for `changed` or `keep` to leave in focus: later turns may take it over."""
        return understanding_pb2.Slot(name=name, value=value, text=text, source_turn_id=self.context.turn_id)

    def effect(
        self, kind: str, effect_id: str = "", *, lasting: bool = False, description: str = "", undo_token: str = ""
    ) -> skill_pb2.Effect:
        """Something that was changed in the world, for `changed`.

        Args:
            kind: UPPER_SNAKE ("ITEM_ADDED").
            effect_id: what was changed, or what is to be named to undo it; else the kind and the turn's key.
            lasting: it cannot be undone.
            undo_token: whatever the skill needs to undo it.
        """
        side = manifest_pb2.SIDE_EFFECT_IRREVERSIBLE if lasting else manifest_pb2.SIDE_EFFECT_REVERSIBLE
        effect = skill_pb2.Effect(
            effect_id=(effect_id or f"{kind}-{self.idempotency_key}")[:128],
            kind=kind,
            side_effect=side,
            description=description,
            undo_token=undo_token,
        )
        effect.effect_time.FromDatetime(self.now)
        return effect

    def changed(
        self,
        *effects: skill_pb2.Effect,
        state: bytes = b"",
        focus: Sequence[understanding_pb2.Slot] = (),
        expects_follow_up: bool = False,
    ) -> Event:
        """The end of a turn that changed something in the world: what was changed."""
        return Event(
            done=skill_pb2.Done(
                outcome=skill_pb2.EXECUTION_OUTCOME_COMPLETED,
                receipt=skill_pb2.EffectReceipt(idempotency_key=self.idempotency_key, effects=effects),
                skill_state=state,
                focus=focus,
                expects_follow_up=expects_follow_up,
            )
        )

    def keep(self, state: bytes) -> Event:
        """The end of a turn, with something to be given back at the next one of this session (at most 16 KB)."""
        return Event(done=skill_pb2.Done(outcome=skill_pb2.EXECUTION_OUTCOME_COMPLETED, skill_state=state))

    def decline(self, reason: str) -> Event:
        """The end of a turn that was understood but cannot be served: `say` why first. `reason` is UPPER_SNAKE."""
        return Event(done=skill_pb2.Done(outcome=skill_pb2.EXECUTION_OUTCOME_DECLINED, reason=reason))


class Skill:
    """Something the assistant can do. Subclass it, set `manifest`, write `handle`."""

    manifest: manifest_pb2.SkillManifest

    async def can_fulfill(self, turn: Turn) -> tuple[Answerable, str]:
        """Whether it could serve the reading, and why not (UPPER_SNAKE). Changes nothing, answers within 80 ms."""
        del turn
        return Answerable.YES, ""

    def handle(self, turn: Turn) -> AsyncIterator[Event]:
        """Serve the reading: an async generator that yields what comes of it.

        It ends by itself (COMPLETED, or AWAITING_USER after `ask`), or with `changed`, `keep` or `decline`.
        """
        raise NotImplementedError(f"{type(self).__name__} has no handle()")
