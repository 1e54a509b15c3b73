"""The sizes that the contract gives to what a skill yields; `host.py` measures every event by them.

A skill that says a hundred megabytes is defective: its turn fails with a reason, before anything of it is sent on.
"""

from __future__ import annotations

import unicodedata
from typing import Final

from antiphon.skill.v1 import skill_pb2
from antiphon.skills.skill import SkillError, Trouble
from antiphon.types.v1 import answer_pb2

MAX_PIECE: Final = 4_000
"""Code points of one piece of an answer."""

MAX_ANSWER: Final = 8_000
"""Code points of a whole answer: ten minutes of speech."""

MAX_CONTENT: Final = 1 << 20
"""Bytes of a display."""

MAX_STATE: Final = 16 << 10
"""Bytes that a skill may keep in a session."""

MAX_EVENT: Final = 2 << 20
MAX_EVENTS: Final = 2_000


class Measured:
    """One execution's events so far."""

    def __init__(self) -> None:
        self._events = 0
        self._said = 0

    def admitted(self, event: skill_pb2.ExecuteResponse) -> skill_pb2.ExecuteResponse:
        """The event, an answer's piece with its place and without control characters. Raises SkillError."""
        self._events += 1
        if self._events > MAX_EVENTS:
            raise _defect("TOO_MANY_EVENTS", f"at most {MAX_EVENTS} events")
        if event.ByteSize() > MAX_EVENT:
            raise _defect("EVENT_TOO_LARGE", f"at most {MAX_EVENT} bytes")
        match event.WhichOneof("event"):
            case "answer":
                self._place(event)
            case "prompt":
                _fit(event.prompt.text)
            case "progress":
                _fit(event.progress.text)
            case "display" if len(event.display.content) > MAX_CONTENT:
                raise _defect("DISPLAY_TOO_LARGE", f"at most {MAX_CONTENT} bytes")
            case "done" if len(event.done.skill_state) > MAX_STATE:
                raise _defect("STATE_TOO_LARGE", f"at most {MAX_STATE} bytes")
            case None:
                raise _defect("EMPTY_EVENT", "an event that holds nothing")
        return event

    def _place(self, event: skill_pb2.ExecuteResponse) -> None:
        answer = event.answer
        _fit(answer)
        if self._said + len(answer.text) > MAX_ANSWER:
            raise _too_long()
        answer.span.start = self._said
        self._said += len(answer.text)
        answer.span.end = self._said


def _fit(words: answer_pb2.TextChunk) -> None:
    """Makes words fit to be said. Raises SkillError when there are too many."""
    if words.text:
        words.text = speakable(words.text)
    if len(words.text) > MAX_PIECE:
        raise _too_long()


def _too_long() -> SkillError:
    return _defect("ANSWER_TOO_LONG", f"at most {MAX_PIECE} characters at once and {MAX_ANSWER} in all")


def speakable(text: str) -> str:
    """In NFC, with spaces for control characters: no voice says them, and no terminal should obey them."""
    text = unicodedata.normalize("NFC", text)
    if text.isprintable():
        return text
    return "".join(" " if unicodedata.category(char) == "Cc" and char != "\n" else char for char in text)


def _defect(reason: str, message: str) -> SkillError:
    return SkillError(reason, message, kind=Trouble.CRASHED)
