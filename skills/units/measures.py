"""Units by their UCUM codes, and how a number of one becomes a number of another.

`handler.py` calls `convert`. The relations are exact by definition (a mile is 1609.344 m and nothing else), so numbers
are fractions until they are said. A table of our own instead of a library: it is these seventy lines, and a library of
units loads its whole registry at import. Factors: SI brochure (9th edition), NIST Handbook 44 appendix C, UCUM.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from enum import Enum
from fractions import Fraction
from typing import Final

MAX_MAGNITUDE: Final = 30
"""Numbers from 10^31 on, or with digits beyond 10^-30, are refused: nobody means them, and arithmetic stays bounded."""

MAX_DIGITS: Final = 60


class Problem(Enum):
    """Why a conversion has no result."""

    UNREADABLE = "UNREADABLE_QUANTITY"
    UNIT_MISSING = "UNIT_MISSING"
    UNKNOWN_UNIT = "UNKNOWN_UNIT"
    DIFFERENT_KINDS = "INCOMPATIBLE_UNITS"
    OUT_OF_RANGE = "NUMBER_OUT_OF_RANGE"
    BELOW_ZERO = "BELOW_ABSOLUTE_ZERO"


class ConversionProblem(Exception):
    """A conversion has no result."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.value)
        self.problem = problem


class Kind(Enum):
    """What a unit measures: only units of one kind convert into each other."""

    LENGTH = "length"
    MASS = "mass"
    VOLUME = "volume"
    TEMPERATURE = "temperature"
    SPEED = "speed"
    AREA = "area"
    TIME = "time"
    DATA = "data"


@dataclass(frozen=True)
class Measure:
    """A unit: `base = number * factor + offset`, where the base unit of its kind has factor 1 and offset 0."""

    kind: Kind
    factor: Fraction
    offset: Fraction = Fraction(0)


def _table(kind: Kind, factors: str) -> dict[str, Measure]:
    pairs = (line.split() for line in factors.split(","))
    return {code: Measure(kind, Fraction(factor)) for code, factor in pairs}


MEASURES: Final[Mapping[str, Measure]] = {
    **_table(
        Kind.LENGTH,
        "m 1, km 1000, cm 0.01, mm 0.001, [mi_i] 1609.344, [yd_i] 0.9144, [ft_i] 0.3048, [in_i] 0.0254, [nmi_i] 1852",
    ),
    **_table(
        Kind.MASS,
        "kg 1, g 0.001, mg 0.000001, t 1000, [lb_av] 0.45359237, [oz_av] 0.028349523125, [stone_av] 6.35029318,"
        "[ston_av] 907.18474, [lton_av] 1016.0469088",
    ),
    **_table(
        Kind.VOLUME,
        "L 1, dL 0.1, cL 0.01, mL 0.001, m3 1000, [gal_us] 3.785411784, [qt_us] 0.946352946, [pt_us] 0.473176473,"
        "[cup_us] 0.2365882365, [foz_us] 0.0295735295625, [tbs_us] 0.01478676478125, [tsp_us] 0.00492892159375,"
        "[gal_br] 4.54609, [qt_br] 1.1365225, [pt_br] 0.56826125, [foz_br] 0.0284130625",
    ),
    "K": Measure(Kind.TEMPERATURE, Fraction(1)),
    "Cel": Measure(Kind.TEMPERATURE, Fraction(1), Fraction("273.15")),
    "[degF]": Measure(Kind.TEMPERATURE, Fraction(5, 9), Fraction("459.67") * Fraction(5, 9)),
    **_table(Kind.SPEED, "m/s 1, km/h 5/18, [mi_i]/h 0.44704, [kn_i] 463/900"),
    **_table(
        Kind.AREA,
        # An acre and a square mile by the international foot: the American survey foot ended in 2022.
        "m2 1, km2 1000000, cm2 0.0001, har 10000, [acr_us] 4046.8564224, [sft_i] 0.09290304, [smi_us] 2589988.110336",
    ),
    # A year as UCUM has it, 365.25 days; a month is its twelfth.
    **_table(Kind.TIME, "s 1, min 60, h 3600, d 86400, wk 604800, mo 2629800, a 31557600"),
    **_table(
        Kind.DATA,
        "bit 1, By 8, kBy 8000, MBy 8000000, GBy 8000000000, TBy 8000000000000, KiBy 8192, MiBy 8388608,"
        "GiBy 8589934592",
    ),
}

_SAME: Final = {"l": "L", "ml": "mL", "cl": "cL", "dl": "dL", "a_j": "a", "mo_j": "mo", "[lb_us]": "[lb_av]"}
"""Other UCUM codes of the same units."""


def measure(code: str) -> tuple[str, Measure]:
    """The unit of a code, with the code it has here. Raises ConversionProblem."""
    code = _SAME.get(code, code)
    if code not in MEASURES:
        raise ConversionProblem(Problem.UNKNOWN_UNIT if code not in ("", "1") else Problem.UNIT_MISSING)
    return code, MEASURES[code]


def number(text: str) -> Decimal:
    """A decimal number as the contract writes it. Raises ConversionProblem: not finite, too long or beyond measure."""
    try:
        value = Decimal(text[: MAX_DIGITS * 4])
    except InvalidOperation as error:
        raise ConversionProblem(Problem.UNREADABLE) from error
    if not value.is_finite():
        raise ConversionProblem(Problem.UNREADABLE)
    if len(text) > MAX_DIGITS or (value and not -MAX_MAGNITUDE <= value.adjusted() <= MAX_MAGNITUDE):
        raise ConversionProblem(Problem.OUT_OF_RANGE)
    return value if value else Decimal(0)


def convert(value: Decimal, source: str, target: str) -> Fraction:
    """The same amount in another unit, exactly. Raises ConversionProblem."""
    _, here = measure(source)
    _, there = measure(target)
    if here.kind is not there.kind:
        raise ConversionProblem(Problem.DIFFERENT_KINDS)
    base = Fraction(value) * here.factor + here.offset
    if here.kind is Kind.TEMPERATURE and base < 0:
        raise ConversionProblem(Problem.BELOW_ZERO)
    return (base - there.offset) / there.factor
