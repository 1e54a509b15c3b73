"""Writes out what stands in figures, so that an engine reads it as a person would: "14:30 Uhr", "$5.20", "8.05 km".

Called by `synthesizer.py` for each segment before the engine speaks it. What an engine reads rightly itself, plain
numbers above all, is left in figures. Every stretch keeps its place in the client's text, in which marks count.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass

from services.tts.figures import Finder
from services.tts.readings import Reading
from services.tts.readings.english import BRITISH, ENGLISH
from services.tts.readings.french import FRENCH
from services.tts.readings.german import GERMAN, SWISS
from services.tts.readings.italian import ITALIAN
from services.tts.readings.spanish import AMERICAN, POINTED, SPANISH

_READINGS = (ENGLISH, BRITISH, GERMAN, SWISS, FRENCH, ITALIAN, SPANISH, AMERICAN, POINTED)
_POINTED_SPANISH = frozenset("419 MX US PR GT HN NI PA DO SV".split())


@dataclass(frozen=True, slots=True)
class Piece:
    """`start` to `end` of the client's text became `said_start` to `said_end` of `Normalized.text`."""

    start: int
    end: int
    said_start: int
    said_end: int


class Normalized:
    """What is said instead of a text, and where each part of it comes from.

    Attributes:
        text: for the engine.
    """

    def __init__(self, original: str, pieces: list[tuple[int, int, str]]) -> None:
        """`pieces` are the changed stretches in order, each with its replacement."""
        said: list[str] = []
        self._pieces: list[Piece] = []
        at = length = 0
        for start, end, replacement in pieces:
            said += [original[at:start], replacement]
            said_start = length + start - at
            length = said_start + len(replacement)
            self._pieces.append(Piece(start, end, said_start, length))
            at = end
        self.text = "".join((*said, original[at:]))
        self._starts = [piece.said_start for piece in self._pieces]

    def origin(self, position: int, *, end: bool = False) -> int:
        """The code point of the client's text that stands at `position` of what is said.

        Within a changed stretch it is the stretch's start, or its end where `position` ends something.
        """
        index = bisect_right(self._starts, position) - 1
        if index < 0:
            return position
        piece = self._pieces[index]
        if position == piece.said_start:
            return piece.start
        if position < piece.said_end:
            return piece.end if end else piece.start
        return piece.end + position - piece.said_end


def normalize(text: str, language: str) -> Normalized:
    """What is said for `text`; the text itself in languages that have no reading here.

    Args:
        text: one segment.
        language: BCP-47 tag; its region decides what 11/12/2026 is and how figures are grouped.
    """
    reading = reading_of(language)
    if reading is None or not any("0" <= character <= "9" for character in text):
        return Normalized(text, [])
    return Normalized(text, list(_FINDERS[id(reading)].pieces(text)))


def reading_of(language: str) -> Reading | None:
    """The reading of a language, None where there is none."""
    subtags = language.split("-")
    country = next((tag for tag in subtags[1:] if len(tag) == 2 or tag.isdigit()), "").upper()
    match subtags[0].lower():
        case "en":
            return ENGLISH if country in ("", "US") else BRITISH
        case "de":
            return SWISS if country in ("CH", "LI") else GERMAN
        case "fr":
            return FRENCH
        case "it":
            return ITALIAN
        case "es":
            if country in ("", "ES"):
                return SPANISH
            return POINTED if country in _POINTED_SPANISH else AMERICAN
    return None


_FINDERS = {id(reading): Finder(reading) for reading in _READINGS}
