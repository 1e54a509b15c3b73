"""Finds and reads typed values in the tokens of one utterance: the one door to all readers of this folder.

The phrase engine asks `find` where values of a slot's type stand, and `read` whether certain tokens are one; both take
the name of the contract's ValueType without its prefix ("DURATION"). A finder belongs to one request: relative values
("tomorrow", "in ten minutes") are told from its situation.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from services.nlu.text import Token
from services.nlu.understanding import Situation, Value
from services.nlu.values.entities import Catalogue
from services.nlu.values.places import Gazetteer

MAX_FOUND = 64
"""Readings of one type that are told per utterance."""


@dataclass(frozen=True, slots=True)
class Found:
    """Tokens `start` to `end` (half open) read as values, best first.

    Attributes:
        confidence: that these words mean such a value, 0 to 1.
        catalogue_hit: a catalogue or the gazetteer holds them.
    """

    start: int
    end: int
    values: tuple[Value, ...]
    confidence: float
    catalogue_hit: bool


class Finder:
    """Reads values in one language and situation.

    Args:
        language: of the words, as a BCP-47 tag or its primary subtag.
        catalogues: by the name that slots give.
    """

    def __init__(
        self, language: str, situation: Situation, gazetteer: Gazetteer, catalogues: Mapping[str, Catalogue]
    ) -> None:
        self._language = language.partition("-")[0]
        self._situation = situation
        self._gazetteer = gazetteer
        self._catalogues = catalogues

    def find(self, value_type: str, tokens: Sequence[Token], catalogue: str = "") -> tuple[Found, ...]:
        """Every place where such a value can be read, longest and surest first, overlapping ones allowed."""
        if value_type != "PLACE":
            return ()
        known = self._gazetteer.find(tokens)
        if known is None:
            return ()
        values = self._gazetteer.resolve(tokens[known[0] : known[1]])
        return (Found(*known, values, 0.9, catalogue_hit=True),) if values else ()

    def read(self, value_type: str, tokens: Sequence[Token], catalogue: str = "") -> tuple[Value, ...]:
        """These tokens as a whole, best first; none if they are no such value."""
        return self._gazetteer.resolve(tokens) if value_type == "PLACE" else ()
