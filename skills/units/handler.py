"""The unit converter: how much a quantity is in another unit.

The skill host finds `UNITS` by its entry point. The quantity comes typed from the understanding service with a UCUM
code, the unit as an entry of the manifest's catalogue, whose identifiers are UCUM codes.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Final

from antiphon.skill.v1 import skill_pb2
from antiphon.skills import Answerable, Event, Skill, Turn, load_manifest
from antiphon.types.v1 import understanding_pb2, value_pb2
from skills.units.measures import MEASURES, ConversionProblem, Kind, Problem, convert, measure, number
from skills.units.words import Names, conversion, refusal

IMPERIAL_REGIONS: Final = frozenset({"GB", "IE", "AU", "NZ", "IN", "ZA"})
"""Where a gallon, a pint or a fluid ounce without another word is the imperial one."""

_IMPERIAL: Final = {"[gal_us]": "[gal_br]", "[qt_us]": "[qt_br]", "[pt_us]": "[pt_br]", "[foz_us]": "[foz_br]"}

_BY_VOLUME: Final = {"[oz_av]": "[foz_us]"}
"""An ounce that is asked for in litres is a fluid one."""


@dataclass(frozen=True)
class Amount:
    """A number of a unit."""

    value: Decimal
    unit: str


@dataclass(frozen=True)
class Conversion:
    """What was asked for and what came of it."""

    said: Amount
    result: Fraction
    unit: str


class Units(Skill):
    """Intent `convert` (quantity, unit)."""

    manifest = load_manifest(Path(__file__).with_name("manifest.yaml"))

    def __init__(self) -> None:
        catalogue = next(catalogue for catalogue in self.manifest.catalogues if catalogue.name == "units")
        self._names = Names(catalogue)

    async def can_fulfill(self, turn: Turn) -> tuple[Answerable, str]:
        """NO to what is no conversion, MAYBE where only a refusal can be said."""
        try:
            self._conversion(turn)
        except ConversionProblem as error:
            unreadable = error.problem in (Problem.UNREADABLE, Problem.UNIT_MISSING)
            return (Answerable.NO if unreadable else Answerable.MAYBE), error.problem.value
        return Answerable.YES, ""

    async def handle(self, turn: Turn) -> AsyncIterator[Event]:
        """The quantity in the other unit, or why not. The quantity stays in focus: "and in feet?"."""
        try:
            done = self._conversion(turn)
        except ConversionProblem as error:
            yield turn.say(refusal(error.problem, self._told(turn), self._names, turn.locale))
            yield turn.decline(error.problem.value)
            return
        yield turn.say(
            conversion(done.said.value, done.said.unit, done.result, done.unit, self._names, turn.locale),
        )
        quantity = turn.slot("quantity")
        yield Event(
            done=skill_pb2.Done(
                outcome=skill_pb2.EXECUTION_OUTCOME_COMPLETED, focus=[quantity] if quantity is not None else []
            )
        )

    def _conversion(self, turn: Turn) -> Conversion:
        target = self._target(turn)
        problem: ConversionProblem | None = None
        for amount in _amounts(turn):
            try:
                return self._converted(amount, target, turn)
            except ConversionProblem as error:
                problem = problem or error
        raise problem or ConversionProblem(Problem.UNREADABLE)

    def _converted(self, amount: Amount, target: str, turn: Turn) -> Conversion:
        source, there = amount.unit, measure(target)[1]
        if there.kind is Kind.VOLUME and source in _BY_VOLUME:
            source = _regional(_BY_VOLUME[source], turn)
        source, _ = measure(source)
        return Conversion(Amount(amount.value, source), convert(amount.value, source, target), target)

    def _target(self, turn: Turn) -> str:
        slot = turn.slot("unit")
        if slot is None:
            raise ConversionProblem(Problem.UNIT_MISSING)
        kind = slot.value.WhichOneof("kind")
        code = slot.value.entity.entity_id if kind == "entity" else self._names.code(slot.text, turn.language)
        code, _ = measure(code or "?")
        return code if self._names.qualified(code, slot.text, turn.language) else _regional(code, turn)

    def _told(self, turn: Turn) -> tuple[str, str]:
        """Codes of the units that were said, as far as they are known, for a refusal."""
        said = next((amount.unit for amount in _readable(turn)), "")
        try:
            return said, self._target(turn)
        except ConversionProblem:
            return said, ""


def _regional(code: str, turn: Turn) -> str:
    region = turn.context.session.region.partition("-")[0].upper()
    return _IMPERIAL.get(code, code) if region in IMPERIAL_REGIONS else code


def _readable(turn: Turn) -> Iterator[Amount]:
    try:
        yield from (amount for amount in _amounts(turn) if amount.unit in MEASURES)
    except ConversionProblem:
        return


def _amounts(turn: Turn) -> Iterator[Amount]:
    """Readings of the quantity, best first. One whose own unit is asked for comes last: "thirty degrees in celsius"."""
    slot = turn.slot("quantity")
    if slot is None:
        raise ConversionProblem(Problem.UNREADABLE)
    unit = turn.slot("unit")
    target = unit.value.entity.entity_id if unit is not None else ""
    amounts = [_amount(value) for value in _values(slot)]
    yield from sorted(amounts, key=lambda amount: amount.unit == target)


def _values(slot: understanding_pb2.Slot) -> Iterator[value_pb2.Value]:
    yield slot.value
    yield from slot.alternatives[:9]


def _amount(value: value_pb2.Value) -> Amount:
    match value.WhichOneof("kind"):
        case "quantity":
            return Amount(number(value.quantity.value.value), value.quantity.unit)
        case "duration":
            return Amount(Decimal(value.duration.seconds) + Decimal(value.duration.nanos).scaleb(-9), "s")
        case "integer" | "decimal":
            raise ConversionProblem(Problem.UNIT_MISSING)
    raise ConversionProblem(Problem.UNREADABLE)


UNITS = Units()
