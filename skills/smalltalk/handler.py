"""Small talk: one of several answers, the same for a repeat of the turn.

The skill host finds `SMALLTALK` by its entry point. What is said is in `answers.yaml`, one list for each intent and
language; nothing here decides more than which of them, and how a coin or a die falls.
"""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Final

import yaml

from antiphon.skills import Event, Skill, Turn, load_manifest
from antiphon.skills.spoken import FALLBACK

RECENT: Final = 16
"""Answers of a session that are not given again while there are others: their numbers are the skill's state."""


class SmallTalk(Skill):
    """Every intent of the manifest: `joke`, `how_are_you`, `flip_coin` and so on."""

    manifest = load_manifest(Path(__file__).with_name("manifest.yaml"))

    def __init__(self) -> None:
        text = Path(__file__).with_name("answers.yaml").read_text(encoding="utf-8")
        self._answers: Mapping[str, Mapping[str, Sequence[str]]] = yaml.safe_load(text)

    def answers(self, intent: str, language: str) -> Sequence[str]:
        """All that may be said; English for a language that the manifest does not list."""
        said = self._answers[intent]
        return said.get(language, said[FALLBACK])

    async def handle(self, turn: Turn) -> AsyncIterator[Event]:
        """One answer, not one of the last ones of this session if there is another."""
        answers = self.answers(turn.intent, turn.language)
        told = _told(turn.state)
        fresh = [number for number in range(len(answers)) if (turn.intent, number) not in told]
        chance = turn.intent in ("flip_coin", "roll_dice")
        # A coin that never falls twice on the same side would be none.
        number = _choice(turn, range(len(answers)) if chance else fresh or range(len(answers)))
        yield turn.say(answers[number])
        yield turn.keep(turn.state if chance else _state([*told, (turn.intent, number)]))


def _choice(turn: Turn, among: Sequence[int]) -> int:
    """One of them by the turn's key: as good as chance to people, the same for a repeat."""
    digest = hashlib.blake2b(turn.idempotency_key.encode(), digest_size=8, person=b"smalltalk").digest()
    return among[int.from_bytes(digest, "big") % len(among)]


def _state(told: Sequence[tuple[str, int]]) -> bytes:
    return " ".join(f"{intent}:{number}" for intent, number in told[-RECENT:]).encode()


def _told(state: bytes) -> list[tuple[str, int]]:
    """What was said lately in this session; of a state that is none, nothing."""
    pairs = (pair.partition(":") for pair in state[:4_096].decode("ascii", "replace").split())
    return [(intent, int(number)) for intent, _, number in pairs if number.isascii() and number.isdigit()][-RECENT:]


SMALLTALK = SmallTalk()
