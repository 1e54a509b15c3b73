"""What each stage of one decision took, and what was done where it missed.

`judging` opens a stage around each of its steps. The report goes into the decision, for `Explain`; the same times go
into the turn's ledger.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

from services.arbitration.budgets import Budgets, Stage, Stopwatch
from services.arbitration.hypotheses import Provenance, StageReport
from services.arbitration.ledger import OK, LatencyLedger, Step
from services.runtime import telemetry


@dataclass
class Running:
    """A stage that runs. What it knows of itself better than the clock, it says here.

    Attributes:
        missed: True or False where the stage knows; None leaves it to the clock.
        fallback: what was done instead (UPPER_SNAKE), where it is not what the table of budgets says.
        shed: left out under load.
        models: what did it, for the ledger.
        code: how the call ended; OK, or the error's.
    """

    missed: bool | None = None
    fallback: str = ""
    shed: bool = False
    models: tuple[Provenance, ...] = ()
    code: int = OK


@dataclass
class Stages:
    """The stages of one decision, in the order in which they ended."""

    budgets: Budgets
    ledger: LatencyLedger
    speculative: bool = False
    reports: list[StageReport] = field(default_factory=list)

    @contextmanager
    def stage(self, stage: Stage, step: Step) -> Iterator[Running]:
        """Time what happens inside. An error passes through and leaves no report."""
        running, watch = Running(), Stopwatch(self.budgets, stage)
        deadline = self.budgets[stage].seconds
        with self.ledger.step(step, deadline=deadline, speculative=self.speculative) as entry:
            yield running
            entry.models, entry.code, entry.discarded = running.models, running.code, running.code != OK
        report = watch.report(missed=running.missed)
        report = replace(report, fallback=running.fallback or report.fallback, shed=running.shed)
        self.reports.append(report)
        if report.missed or report.shed:
            telemetry.STAGE_MISSES.add(1, {"stage": str(stage), "fallback": report.fallback})
