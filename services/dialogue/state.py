"""What is known in a conversation, and how it is stored.

`manager.py` reads and writes it, one session a key of the `SessionStore`. Values are kept as the contract serialises
them and never looked into here.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

REMEMBERED_TURNS: Final = 10
REMEMBERED_REPLIES: Final = 10

FOCUS_TURNS: Final = 5
"""Turns for which a slot stays in focus unless it is said anew: later, "there" means somewhere else."""

MAX_FOCUS: Final = 16
"""Slots in focus."""


@dataclass(frozen=True)
class Slot:
    """A slot of a reading: `wire` is the whole slot, `value` its typed value, as the contract serialises them.

    `since` is the version of the state that it came into focus with.
    """

    domain: str
    name: str
    text: str
    confidence: float
    wire: bytes = b""
    value: bytes = b""
    since: int = 0


@dataclass(frozen=True)
class Belief:
    """What is believed of `domain.slot`: a value with its probability, last changed by `turn_id`."""

    domain: str
    slot: str
    value: bytes
    probability: float
    turn_id: str

    @property
    def key(self) -> str:
        return f"{self.domain}.{self.slot}"


@dataclass(frozen=True)
class PastTurn:
    """A turn that is over; `reading` is its interpretation, serialised; `at` in seconds since 1970."""

    turn_id: str
    text: str
    answer: str
    skill_id: str
    at: float
    reading: bytes = b""


@dataclass(frozen=True)
class Reply:
    """What was said under an idempotency key: enough to say it again."""

    text: str
    acts: tuple[str, ...] = ()
    prompt: bytes = b""


@dataclass(frozen=True)
class DialogueState:
    """A conversation.

    Attributes:
        version: rises by one a turn.
        focus: slots that later turns may take over, newest first: those of the last turns, and what skills keep.
        pending: the question that is open, serialised; empty if none.
        replies: by idempotency key, newest last.
        expires_at: in seconds since 1970.
    """

    session_id: str
    version: int = 0
    beliefs: Mapping[str, Belief] = field(default_factory=dict)
    focus: tuple[Slot, ...] = ()
    past: tuple[PastTurn, ...] = ()
    pending: bytes = b""
    replies: Mapping[str, Reply] = field(default_factory=dict)
    expires_at: float = 0.0

    def after(
        self,
        turn: PastTurn,
        slots: tuple[Slot, ...],
        pending: bytes,
        key: str,
        reply: Reply,
        focus: tuple[Slot, ...] = (),
    ) -> DialogueState:
        """The state once a turn is over. A question lasts until the next turn, unless that asks for it again.

        Args:
            slots: of the reading.
            focus: what the skill keeps in focus besides; it knows better than the reading.
        """
        beliefs = dict(self.beliefs)
        for slot in slots:
            belief = Belief(slot.domain, slot.name, slot.value, slot.confidence, turn.turn_id)
            beliefs[belief.key] = belief
        replies = {**self.replies, key: reply}
        return replace(
            self,
            version=self.version + 1,
            beliefs=beliefs,
            focus=self._focused((*focus, *slots)),
            past=(turn, *(past for past in self.past if past.turn_id != turn.turn_id))[:REMEMBERED_TURNS],
            pending=pending,
            replies=dict(list(replies.items())[-REMEMBERED_REPLIES:]),
        )

    def _focused(self, slots: tuple[Slot, ...]) -> tuple[Slot, ...]:
        version = self.version + 1
        kept: dict[tuple[str, str], Slot] = {}
        for slot in (*(replace(slot, since=version) for slot in slots), *self.focus):
            if version - slot.since < FOCUS_TURNS:
                kept.setdefault((slot.domain, slot.name), slot)
        return tuple(kept.values())[:MAX_FOCUS]

    def changed_by(self, turn_id: str) -> tuple[Belief, ...]:
        """Beliefs that a turn has changed."""
        return tuple(belief for belief in self.beliefs.values() if belief.turn_id == turn_id)


def encoded(state: DialogueState) -> bytes:
    """The state for the store."""
    return json.dumps(
        {
            "version": state.version,
            "beliefs": [[b.domain, b.slot, _text(b.value), b.probability, b.turn_id] for b in state.beliefs.values()],
            "focus": [
                [s.domain, s.name, s.text, s.confidence, _text(s.wire), _text(s.value), s.since] for s in state.focus
            ],
            "past": [[t.turn_id, t.text, t.answer, t.skill_id, t.at, _text(t.reading)] for t in state.past],
            "pending": _text(state.pending),
            "replies": {key: [r.text, list(r.acts), _text(r.prompt)] for key, r in state.replies.items()},
        }
    ).encode()


def decoded(session_id: str, value: bytes, expires_at: float) -> DialogueState:
    """The reverse of `encoded`."""
    read: dict[str, Any] = json.loads(value)
    beliefs = (Belief(domain, slot, _bytes(v), p, turn) for domain, slot, v, p, turn in read["beliefs"])
    return DialogueState(
        session_id,
        read["version"],
        {belief.key: belief for belief in beliefs},
        tuple(_slot(slot, read["version"]) for slot in read["focus"]),
        tuple(PastTurn(i, text, answer, skill, at, _bytes(r)) for i, text, answer, skill, at, r in read["past"]),
        _bytes(read["pending"]),
        {key: Reply(text, tuple(acts), _bytes(prompt)) for key, (text, acts, prompt) in read["replies"].items()},
        expires_at,
    )


def _slot(kept: list[Any], version: int) -> Slot:
    """A slot in focus. One that an older version kept has no `since`: it counts as new."""
    domain, name, text, confidence, wire, value, *since = kept
    return Slot(domain, name, text, confidence, _bytes(wire), _bytes(value), since[0] if since else version)


def _text(value: bytes) -> str:
    return base64.b64encode(value).decode()


def _bytes(value: str) -> bytes:
    return base64.b64decode(value)
