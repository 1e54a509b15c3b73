"""What is known when a turn begins: who speaks, where, and what was said before.

`conversation` makes a `TurnContext` per turn; every stage and every port gets it. The conversation's memory
(`ConversationState`) is the part that survives a lost replica: it is stored after each turn and read on resume.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import ClassVar, Final

from services.arbitration.hypotheses import Hypothesis, Understanding

FOCUS_TURNS: Final = 5
"""Turns after which nobody refers to something any more."""


class TurnType(StrEnum):
    """How a turn was opened."""

    INITIAL = "initial"
    FOLLOWUP = "followup"
    BARGE_IN = "barge_in"


class PromptKind(StrEnum):
    """What kind of answer a question to the user wants."""

    ELICIT_SLOT = "elicit_slot"
    CONFIRM = "confirm"
    CLARIFY = "clarify"
    OPEN = "open"


@dataclass(frozen=True, slots=True)
class PendingPrompt:
    """A question the assistant has asked. `about` are the readings it is about, the likeliest first.

    `wire` is the question as the contract serialises it; passed on unread.
    """

    prompt_id: str
    kind: PromptKind
    about: tuple[Hypothesis, ...]
    text: str = ""
    slot: str = ""
    wire: bytes = b""


@dataclass(frozen=True, slots=True)
class PastTurn:
    """A turn that is over: what was said, what was answered and by whom. `ended_at` in seconds since 1970.

    `focus` are slots that the skill wants referred to, as the contract serialises them; `goes_on` says that the skill
    expects more, or has left something to go on from.
    """

    turn_id: str
    text: str
    answer: str
    served: Hypothesis | None
    ended_at: float
    focus: tuple[bytes, ...] = ()
    goes_on: bool = False


@dataclass(frozen=True, slots=True)
class ConversationState:
    """What the conversation remembers: turns newest first, and the question that is open."""

    past: tuple[PastTurn, ...] = ()
    pending: PendingPrompt | None = None
    turns: int = 0

    REMEMBERED: ClassVar[int] = 10

    def picked(self, prompt_id: str, choice_id: str) -> Understanding | None:
        """What it means that an offered answer was picked; None when that question is not open, or offers no such.

        A confirmation offers `yes` and `no`, a choice among readings their skills' ids.
        """
        pending = self.pending
        if pending is None or not choice_id or prompt_id not in ("", pending.prompt_id):
            return None
        if pending.kind is PromptKind.CONFIRM:
            return {"yes": Understanding(affirms=1.0), "no": Understanding(denies=1.0)}.get(choice_id)
        chosen = (replace(h.interpretation, confidence=1.0) for h in pending.about if h.skill_id == choice_id)
        reading = next(chosen, None)
        return Understanding((reading,)) if reading is not None else None

    def after(self, turn: PastTurn, pending: PendingPrompt | None) -> ConversationState:
        """The state once `turn` is over."""
        return ConversationState((turn, *self.past)[: self.REMEMBERED], pending, self.turns + 1)


@dataclass(frozen=True, slots=True)
class Profile:
    """Who speaks, on what.

    Attributes:
        tenant: from the credentials, never from a message.
        user_id: tells people apart who share credentials; grants nothing.
        locale: BCP-47 tag of the session.
        has_screen: something can be shown beside the spoken answer.
        speaks: the client can play audio; without, answers are text only.
        third_party_skills: the user agreed that skills of others get their words.
        only_skills: ids of the only skills that may serve; empty for all that are enabled.
        dry_run: decide, but execute nothing with a side effect.
        wire: the session's context as the contract serialises it; passed on unread.
    """

    tenant: str
    locale: str
    user_id: str = ""
    device_id: str = ""
    has_screen: bool = False
    speaks: bool = True
    third_party_skills: bool = False
    only_skills: frozenset[str] = frozenset()
    dry_run: bool = False
    wire: bytes = b""


@dataclass(frozen=True, slots=True)
class TurnContext:
    """One turn's surroundings. `now` is in seconds since 1970, so that all steps agree what "today" is.

    `audio_offset` is where the turn's audio begins, in seconds of the stream's audio. `ringing` are the skills whose
    alarms ring.
    """

    session_id: str
    turn_id: str
    profile: Profile
    now: float
    turn_type: TurnType = TurnType.INITIAL
    state: ConversationState = field(default_factory=ConversationState)
    arm: str = ""
    audio_offset: float = 0.0
    ringing: frozenset[str] = frozenset()

    @property
    def focus(self) -> tuple[bytes, ...]:
        """Slots of the newest turn that had any in focus, among the last few."""
        return next((turn.focus for turn in self.state.past[:FOCUS_TURNS] if turn.focus), ())

    @property
    def last_skill(self) -> str:
        """Skill that answered the turn before this one; empty when none did."""
        newest = self.state.past[0].served if self.state.past else None
        return newest.skill_id if newest else ""

    def version_in_dialogue(self, skill_id: str) -> str:
        """The version of the skill that the user is in a dialogue with; empty when they are in none with it."""
        about = self.state.pending.about if self.state.pending else ()
        newest = self.state.past[0] if self.state.past else None
        if newest is not None and newest.served is not None and newest.goes_on:
            about = (*about, newest.served)
        return next((hypothesis.version for hypothesis in about if hypothesis.skill_id == skill_id), "")
