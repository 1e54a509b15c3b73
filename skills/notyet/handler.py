"""Says of something common that it cannot be done yet, and names one or two related things that can.

The skill host finds `NOTYET` by its entry point. The words are in `answers.yaml`. It never claims more than MAYBE, so
that a skill which really serves the same thing is chosen before it, and its turns end DECLINED: nothing was done.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import yaml

from antiphon.skills import Answerable, Event, Skill, Turn, load_manifest
from antiphon.skills.spoken import FALLBACK, capital

REASON: Final = "NOT_YET"


@dataclass(frozen=True)
class Words:
    """One language.

    Attributes:
        one: with `{cannot}` and `{first}`; `two` also with `{second}`.
        cannot: by intent, what cannot be done.
        can: by ability, what can.
    """

    one: str
    two: str
    cannot: Mapping[str, str]
    can: Mapping[str, str]


class NotYet(Skill):
    """Every intent of the manifest: `weather`, `news`, `music` and so on."""

    manifest = load_manifest(Path(__file__).with_name("manifest.yaml"))

    def __init__(self) -> None:
        read = yaml.safe_load(Path(__file__).with_name("answers.yaml").read_text(encoding="utf-8"))
        self.instead: Mapping[str, tuple[str, ...]] = {intent: tuple(can) for intent, can in read["instead"].items()}
        self.words: Mapping[str, Words] = {language: Words(**words) for language, words in read["words"].items()}

    async def can_fulfill(self, turn: Turn) -> tuple[Answerable, str]:
        """Never more than MAYBE."""
        return Answerable.MAYBE, REASON

    async def handle(self, turn: Turn) -> AsyncIterator[Event]:
        """That it cannot be done yet, and what can."""
        yield turn.say(self.sentence(turn.intent, turn.language))
        yield turn.decline(REASON)

    def sentence(self, intent: str, language: str) -> str:
        """The whole answer; English for a language that the manifest does not list."""
        words = self.words.get(language, self.words[FALLBACK])
        abilities = [words.can[ability] for ability in self.instead[intent]]
        template = words.two if len(abilities) > 1 else words.one
        text = template.format(cannot=words.cannot[intent], first=abilities[0], second=abilities[-1])
        return capital(text)


NOTYET = NotYet()
