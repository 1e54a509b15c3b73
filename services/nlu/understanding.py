"""What goes into and comes out of the interpreter: plain values that know no wire format.

`servicer.py` makes them from requests and turns them into responses; `interpreter.py` and `resolving.py` fill them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum

from services.nlu.values.arithmetic import Expression
from services.nlu.values.kinds import Entity, Interval, Money, Quantity, Recurrence
from services.nlu.values.places import Place

Value = (
    Place
    | Expression
    | Entity
    | Quantity
    | Money
    | Interval
    | Recurrence
    | date
    | datetime
    | time
    | timedelta
    | bool
    | int
    | Decimal
    | str
)
"""A slot's value: free of language where the words could be read, else the words themselves.

A `datetime` is aware, in the user's zone. Mind that `bool` is an `int` and `datetime` a `date` when telling them apart.
"""


class SlotOrigin(Enum):
    """Where the value of a slot comes from; the names are the contract's."""

    SPOKEN = "SPOKEN"
    CARRIED_OVER = "CARRIED_OVER"
    CONTEXT = "CONTEXT"
    DEFAULT = "DEFAULT"


class Mode(Enum):
    """How a model came to be able to read a locale; the names are the contract's."""

    FINETUNED = "FINETUNED"
    ZERO_SHOT = "ZERO_SHOT"
    IN_CONTEXT = "IN_CONTEXT"
    RULES = "RULES"


@dataclass(frozen=True, slots=True)
class Example:
    """An utterance with the reading wanted, as a request or a new locale brings it.

    Attributes:
        intent: full name; empty for out of scope.
        slots: (name, start, end) in code points of `text`.
    """

    text: str
    intent: str
    slots: tuple[tuple[str, int, int], ...] = ()


@dataclass(frozen=True, slots=True)
class Alternative:
    """One guess at what was said; `confidence` 0 to 1, None if the recogniser gives none."""

    text: str
    confidence: float | None = None


@dataclass(frozen=True, slots=True)
class Situation:
    """Where and when: `now` in any zone, the user's IANA zone (empty means UTC), and ISO 3166 region ("US-CA")."""

    now: datetime = field(default_factory=lambda: datetime.now(UTC))
    time_zone: str = ""
    region: str = ""


@dataclass(frozen=True, slots=True)
class Options:
    """How to read.

    Attributes:
        max_interpretations: at most so many readings.
        skills: only intents of these skills; empty means all.
        out_of_scope_threshold: probability from which on out of scope is said first.
        resolve_values: read typed values; without, every value is text.
        modes: ways allowed to serve the locale; empty means all.
        model: name of the reader of labels to use, with or without its version; empty leaves it to the interpreter.
        examples: to go by in this request.
    """

    max_interpretations: int = 5
    skills: frozenset[str] = frozenset()
    out_of_scope_threshold: float = 0.5
    resolve_values: bool = True
    modes: frozenset[Mode] = frozenset()
    model: str = ""
    examples: tuple[Example, ...] = ()

    def allows(self, mode: Mode) -> bool:
        return not self.modes or mode in self.modes


@dataclass(frozen=True, slots=True)
class Slot:
    """A piece of information with its words: `text == texts[hypothesis][start:end]`, in code points.

    A slot that was not said in this turn has no span (`start == end == 0`); `source_turn` is the turn that it was
    carried over from.
    """

    name: str
    value: Value
    text: str
    start: int
    end: int
    confidence: float
    alternatives: tuple[Value, ...] = ()
    catalogue_hit: bool = False
    origin: SlotOrigin = SlotOrigin.SPOKEN
    source_turn: str = ""

    @property
    def understood(self) -> bool:
        """Whether the words were read as a value."""
        return self.catalogue_hit if isinstance(self.value, Place) else not isinstance(self.value, str)


@dataclass(frozen=True, slots=True)
class Interpretation:
    """One reading. `intent` is empty if out of scope.

    Attributes:
        score: calibrated probability of the intent times the confidence of its least sure slot.
        hypothesis: index of the alternative that was read.
        sources: names of the models that took part, the intent's first.
    """

    intent: str
    score: float
    intent_confidence: float
    slots: tuple[Slot, ...]
    hypothesis: int
    sources: tuple[str, ...] = ()

    @property
    def out_of_scope(self) -> bool:
        return not self.intent

    @property
    def skill(self) -> str:
        """First part of the intent's name; empty if out of scope."""
        return self.intent.partition(".")[0]


@dataclass(frozen=True, slots=True)
class Understanding:
    """All readings, best first (never empty), and the texts that their spans count in."""

    texts: tuple[str, ...]
    interpretations: tuple[Interpretation, ...]
    out_of_scope_score: float
    language: str
