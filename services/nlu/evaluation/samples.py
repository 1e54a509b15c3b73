"""A labelled sentence, and the lines of the files that hold them; for the readers of `formats.py`.

The files come from anywhere: every line is bounded before it is read, and what is wrong is told with file and line.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from services.nlu.text import normalise
from services.runtime.errors import InvalidInput
from services.runtime.language import canonical

MAX_LINE_BYTES = 262_144
"""Rows of public sets have up to 10 KB, with every recording and judgement of a sentence."""

MAX_SAMPLES = 1_000_000
"""MASSIVE with all parts of its 51 locales has 840,000."""

_BOM = b"\xef\xbb\xbf"


@dataclass(frozen=True, slots=True)
class Span:
    """Code points `start` to `end` (half open) that fill a slot."""

    name: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Sample:
    """A sentence as people labelled it.

    Attributes:
        locale: as the set names it.
        text: in NFC.
        intents: names of its intent without the taxonomy, the best first: a set may spell one in two ways.
    """

    locale: str
    text: str
    intents: tuple[str, ...]
    slots: tuple[Span, ...]


@dataclass(frozen=True, slots=True)
class Place:
    """Where something was read; the first line is 1."""

    path: Path
    line: int

    def wrong(self, what: str) -> InvalidInput:
        """The error of this place; `what` says what was found and quotes no more than a word of it."""
        return InvalidInput(f"{self.path}:{self.line}: {what}", reason="DATA_INVALID", field="data")

    def text(self, found: object, name: str) -> str:
        """A sentence in NFC."""
        if not isinstance(found, str):
            raise self.wrong(f"{name} is no text")
        try:
            return normalise(found, field=name)
        except InvalidInput as error:
            raise self.wrong(f"{name}: {error.message}") from error

    def label(self, found: object, name: str) -> str:
        """The name of an intent, a slot or a part of the data."""
        if not isinstance(found, str) or not 0 < len(found) <= 200 or not found.isprintable():
            raise self.wrong(f"{name} is no name of 1 to 200 printable characters")
        return found

    def locale(self, found: object) -> str:
        try:
            return canonical(self.label(found, "locale"))
        except InvalidInput as error:
            raise self.wrong("locale is no BCP-47 tag") from error


def lines(path: Path) -> Iterator[tuple[Place, str]]:
    """The lines without their ends; a byte-order mark at the beginning is skipped.

    Raises:
        InvalidInput: `DATA_INVALID` for a line that is too long or not UTF-8, `DATA_UNREADABLE` for the file.
    """
    try:
        with path.open("rb") as file:
            number = 0
            while raw := file.readline(MAX_LINE_BYTES + 1):
                number += 1
                place = Place(path, number)
                if len(raw) > MAX_LINE_BYTES:
                    raise place.wrong(f"the line has more than {MAX_LINE_BYTES} bytes")
                try:
                    yield place, raw.removeprefix(_BOM if number == 1 else b"").decode().rstrip("\r\n")
                except UnicodeDecodeError as error:
                    raise place.wrong("the line is not UTF-8") from error
    except OSError as error:
        raise InvalidInput(f"{path}: {error.strerror or error}", reason="DATA_UNREADABLE", field="data") from error
