"""What a skill is, and what it is told and may say in one turn.

`host.SkillHost` makes a `Turn` of each Execute and turns what the skill yields into the contract's stream.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from antiphon.skill.v1 import manifest_pb2, skill_pb2
from antiphon.types.v1 import answer_pb2, context_pb2, understanding_pb2, value_pb2

Event = skill_pb2.ExecuteResponse
"""What `handle` yields; `Turn` has a method for each kind."""


class Trouble(Enum):
    """Kinds of trouble; the values are canonical codes of gRPC."""

    INVALID = 3
    """The request was wrong: an unknown intent, a slot of the wrong type."""
    NOT_FOUND = 5
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
    """

    intent: str
    locale: str
    interpretation: understanding_pb2.Interpretation
    context: context_pb2.TurnContext
    idempotency_key: str = ""
    confirmed: bool = False
    prompt_id: str = ""
    state: bytes = b""

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

    @property
    def now(self) -> datetime:
        """The turn's "now", in UTC: the same in every step of the turn."""
        if self.context.HasField("now"):
            return self.context.now.ToDatetime(tzinfo=UTC)
        return datetime.now(UTC)

    @property
    def time_zone(self) -> ZoneInfo | None:
        """The user's time zone, or None when the client did not say or said something unknown."""
        return zone(self.context.session.time_zone)

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

    def changed(self, *effects: skill_pb2.Effect, state: bytes = b"") -> Event:
        """The end of a turn that changed something in the world: what was changed."""
        receipt = skill_pb2.EffectReceipt(idempotency_key=self.idempotency_key, effects=effects)
        return Event(
            done=skill_pb2.Done(outcome=skill_pb2.EXECUTION_OUTCOME_COMPLETED, receipt=receipt, skill_state=state)
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


def zone(name: str) -> ZoneInfo | None:
    """The IANA time zone of that name, or None when there is none."""
    try:
        return ZoneInfo(name) if name else None
    except (ZoneInfoNotFoundError, ValueError, OSError):  # OSError: a name that is a folder of the database
        return None
