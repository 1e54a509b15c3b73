"""How long each stage of a turn may take, and what is done when it takes longer.

One table, read by every stage; a service may scale it by settings. Milliseconds from the endpoint unless said.
The stages up to the decision degrade instead of failing: a turn with less evidence is better than a late one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from types import MappingProxyType

from services.arbitration.hypotheses import StageReport


class Stage(StrEnum):
    """The stages that have a deadline."""

    CLAIM = "claim"
    ACTIVATION = "activation"
    REWRITE = "rewrite"
    SHORTLIST = "shortlist"
    UNDERSTAND = "understand"
    RESOLVE = "resolve"
    FULFILMENT = "fulfilment"
    RANK = "rank"
    PROGRESS = "progress"
    EXECUTE = "execute"
    DIALOGUE = "dialogue"


@dataclass(frozen=True, slots=True)
class Budget:
    """Milliseconds a stage may take, the name of what is done on a miss (UPPER_SNAKE), and what that means."""

    ms: float
    fallback: str
    meaning: str

    @property
    def seconds(self) -> float:
        return self.ms / 1000.0


BUDGETS: Mapping[Stage, Budget] = MappingProxyType(
    {
        Stage.CLAIM: Budget(150, "BEST_SO_FAR", "the best claim so far wins; later devices are told to stop"),
        Stage.ACTIVATION: Budget(20, "ACCEPTED", "accepted, with a raised bar for executing"),
        Stage.REWRITE: Budget(5, "SKIPPED", "no rewrite"),
        Stage.UNDERSTAND: Budget(60, "WAITED", "the last good reading, then rules, else waited for"),
        Stage.SHORTLIST: Budget(15, "LATE", "used although late: it is local"),
        Stage.RESOLVE: Budget(5, "LATE", "used although late: it is local"),
        Stage.FULFILMENT: Budget(80, "MISSING", "MISSING, never NO"),
        Stage.RANK: Budget(10, "SHORTLISTER_ORDER", "the shortlister's order"),
        Stage.PROGRESS: Budget(1_500, "PROGRESS", "the user is told that it takes a moment"),
        Stage.EXECUTE: Budget(8_000, "NEXT_OR_APOLOGY", "the next eligible hypothesis, or an apology"),
        Stage.DIALOGUE: Budget(1_500, "SILENT", "the turn ends without words"),
    }
)
"""Defaults. ACTIVATION runs beside recognition: its budget is what the decision waits for it after the final.

UNDERSTAND is what the ledger is held against. Where nothing stands in for it, the service that answers later is still
waited for, because nothing can be decided without a reading (`stages.interpret`).
"""


@dataclass(frozen=True, slots=True)
class Budgets:
    """The table as this service runs it.

    Attributes:
        understand_limit: seconds after which a turn without any reading falls back.
        understand_rules: seconds after which the phrases of skills stand in for understanding, where one fits.
    """

    table: Mapping[Stage, Budget] = field(default_factory=lambda: BUDGETS)
    understand_limit: float = 2.0
    understand_rules: float = 0.5

    def __getitem__(self, stage: Stage) -> Budget:
        return self.table[stage]

    def with_ms(self, stage: Stage, ms: float) -> Budgets:
        """A copy with another budget for one stage."""
        return replace(self, table={**self.table, stage: replace(self.table[stage], ms=ms)})


class Stopwatch:
    """Times one stage on the event loop's clock: `watch = Stopwatch(budgets, Stage.RANK) ... watch.report()`."""

    def __init__(self, budgets: Budgets, stage: Stage) -> None:
        self._budget = budgets[stage]
        self._stage = stage
        self._started = asyncio.get_running_loop().time()

    @property
    def spent_ms(self) -> float:
        return (asyncio.get_running_loop().time() - self._started) * 1000.0

    @property
    def left(self) -> float:
        """Seconds left of the budget; 0 when none."""
        return max(0.0, (self._budget.ms - self.spent_ms) / 1000.0)

    def report(self, *, missed: bool | None = None) -> StageReport:
        """How it went; `missed` when the stage itself knows, else by the clock."""
        spent = self.spent_ms
        late = spent > self._budget.ms if missed is None else missed
        return StageReport(self._stage, self._budget.ms, spent, late, self._budget.fallback if late else "")
