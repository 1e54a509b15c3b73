"""Rows of the interaction log made by hand, and places that keep or refuse them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from services.arbitration.learning.interactions import Interaction, Option
from services.arbitration.learning.log import InteractionLog, Remark
from services.runtime.errors import Unavailable


def row(turn_id: str = "t1", **fields: Any) -> Interaction:
    """A turn of Ada's in English that was executed and ended well."""
    values: dict[str, Any] = {
        "session_id": "s1",
        "tenant": "acme",
        "user": "ada",
        "at": 1e9,
        "locale": "en",
        "action": "execute",
        "outcome": "answered",
        "verdict": "completed",
        "reward": 1.0,
    }
    return Interaction(turn_id, **{**values, **fields})


def option(skill_id: str, probability: float, intent: str = "clock.time", **features: float) -> Option:
    """A harmless candidate."""
    return Option(skill_id, intent, probability, probability, {"intent_confidence": probability, **features})


@dataclass
class MemoryPlace:
    """Keeps what it is given; or refuses it all."""

    broken: bool = False
    rows: list[Interaction] = field(default_factory=list)
    remarks: list[Remark] = field(default_factory=list)

    def write(self, rows: Sequence[Interaction]) -> None:
        self._check()
        self.rows.extend(rows)

    def write_remarks(self, remarks: Sequence[Remark]) -> None:
        self._check()
        self.remarks.extend(remarks)

    def _check(self) -> None:
        if self.broken:
            raise Unavailable("the disk is full", reason="LOG_UNWRITABLE")


class KeptLog(InteractionLog):
    """Rows as they are recorded; there is no thread to wait for."""

    def __init__(self) -> None:
        super().__init__()
        self.rows: list[Interaction] = []

    def record(self, row: Interaction) -> None:
        self.rows.append(row)
