"""The calculator: the result of an expression, as one says it.

The skill host finds `CALCULATOR` by its entry point. Expressions come typed from the understanding service, in a form
that does not depend on language.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

from antiphon.skills import Answerable, Event, Skill, Turn, load_manifest
from skills.calculator.arithmetic import ArithmeticProblem, Problem, Result, evaluate
from skills.calculator.words import sentence, words


class Calculator(Skill):
    """Intent `compute` (expression)."""

    manifest = load_manifest(Path(__file__).with_name("manifest.yaml"))

    async def can_fulfill(self, turn: Turn) -> tuple[Answerable, str]:
        """NO to what is no calculation; YES to one that has no result, since it can say so."""
        try:
            _compute(turn)
        except ArithmeticProblem as error:
            if error.problem is Problem.UNREADABLE:
                return Answerable.NO, error.problem.value
        return Answerable.YES, ""

    async def handle(self, turn: Turn) -> AsyncIterator[Event]:
        """The result, or why there is none."""
        try:
            result = _compute(turn)
        except ArithmeticProblem as error:
            yield turn.say(words(turn.language).problems[error.problem])
            yield turn.decline(error.problem.value)
            return
        yield turn.say(sentence(result, turn.locale, turn.language))


def _compute(turn: Turn) -> Result:
    value = turn.value("expression")
    kind = value.WhichOneof("kind") if value is not None else None
    if value is None or kind not in ("expression", "integer", "decimal"):
        raise ArithmeticProblem(Problem.UNREADABLE)
    if kind == "expression":
        return evaluate(value.expression.infix)
    return evaluate(str(value.integer) if kind == "integer" else value.decimal.value)


CALCULATOR = Calculator()
