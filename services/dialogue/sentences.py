"""What the assistant says for itself: one file for each language in `languages/`, read once at start.

`wording.py` chooses a sentence and fills it in. A language is added by adding its file.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml


@dataclass(frozen=True)
class Sentences:
    """One language. `{…}` are filled in; tuples hold ways to say the same.

    Attributes:
        morning, day, evening: greetings by time of day; `day` also when it is not known.
        abilities: with `{abilities}`, put together of `skills`.
        try_saying: with `{examples}`; `or_word` joins the last two.
        confirm: with `{text}`, what will be done; `answer_yes` and `answer_no` are the answers offered.
        confirm_heard: with `{text}`, the user's own words, where nothing better is known.
        choose: with `{choices}`.
        nothing_said: when there is nothing to repeat.
        languages: which ones it speaks.
        apologies: by what went wrong.
        skills: what the assistant can do, by the skill that does it; empty for one that is no ability.
    """

    morning: str
    day: str
    evening: str
    abilities: str
    help_without: str
    try_saying: str
    and_word: str
    or_word: str
    thanks: tuple[str, ...]
    goodbye: tuple[str, ...]
    stop: str
    nothing_said: str
    confirm: str
    confirm_heard: str
    answer_yes: str
    answer_no: str
    choose: str
    choose_open: str
    ask_open: str
    cannot: tuple[str, ...]
    not_understood: tuple[str, ...]
    nothing_heard: tuple[str, ...]
    declined: str
    progress: tuple[str, ...]
    languages: str
    apologies: Mapping[str, str]
    skills: Mapping[str, str]


def _read(path: Path) -> Sentences:
    read: Mapping[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    fields: dict[str, Any] = {name: tuple(value) if isinstance(value, list) else value for name, value in read.items()}
    return Sentences(**fields)


SENTENCES: Final[Mapping[str, Sentences]] = {
    path.stem: _read(path) for path in sorted(Path(__file__).with_name("languages").glob("*.yaml"))
}
"""By language."""
