"""The values that have no type of their own in Python: numbers with units, money, ranges, rules, catalogue entries.

The readers of this folder make them, `understanding.Value` names them, `value_messages.py` puts them on the wire.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal


@dataclass(frozen=True, slots=True)
class Quantity:
    """A number with a unit, as a case-sensitive UCUM code ("L", "Cel", "[mi_i]", "%")."""

    value: Decimal
    unit: str


@dataclass(frozen=True, slots=True)
class Money:
    """An amount with an ISO 4217 currency."""

    amount: Decimal
    currency: str


@dataclass(frozen=True, slots=True)
class Entity:
    """An entry of a catalogue; `name` is the canonical one in the language of the request, confidence 0 to 1."""

    catalogue: str
    entity_id: str
    name: str
    confidence: float


@dataclass(frozen=True, slots=True)
class Interval:
    """From `start` (included) to `end` (excluded), both aware; None is open."""

    start: datetime | None
    end: datetime | None


@dataclass(frozen=True, slots=True)
class Recurrence:
    """First occurrence (aware, in the user's zone) and an RFC 5545 rule without "RRULE:"."""

    start: datetime
    rule: str
