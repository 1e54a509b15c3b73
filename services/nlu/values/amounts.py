"""What becomes of amounts that were read: lengths of time, quantities, money, truth.

`finder.py` gives these methods to the parser; a rule `duration.of` of a grammar calls `Durations.of`.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal

from services.nlu.values.kinds import Money, Quantity
from services.nlu.values.terminals import exact

LONGEST = timedelta(days=366 * 20)
"""Longest length of time that is read; longer ones overflow calendars."""

_BRITISH = frozenset({"GB", "IE", "AU", "NZ", "IN", "ZA"})
_FAHRENHEIT = frozenset({"US", "LR", "BS", "KY", "PW"})
_DOLLARS = {"CA": "CAD", "AU": "AUD", "NZ": "NZD", "SG": "SGD", "HK": "HKD"}
_PESOS = {"AR": "ARS", "CL": "CLP", "CO": "COP", "UY": "UYU", "CU": "CUP", "DO": "DOP"}
_OF_REGION = {
    "gal": ("[gal_us]", "[gal_br]"),
    "pt": ("[pt_us]", "[pt_br]"),
    "qt": ("[qt_us]", "[qt_br]"),
    "foz": ("[foz_us]", "[foz_br]"),
}
_PARTS = {
    ("[ft_i]", "[in_i]"): 12,
    ("[lb_av]", "[oz_av]"): 16,
    ("[stone_av]", "[lb_av]"): 14,
    ("[mi_i]", "[yd_i]"): 1760,
    ("m", "cm"): 100,
    ("km", "m"): 1000,
    ("kg", "g"): 1000,
    ("L", "mL"): 1000,
}
"""(unit, smaller unit) -> how many make one: "five feet ten" is 70 inches."""


@dataclass(frozen=True, slots=True)
class Span:
    """A length of time in seconds, and the smallest unit it was said in."""

    seconds: Decimal
    unit: Decimal

    def length(self) -> timedelta | None:
        if not 0 <= self.seconds <= int(LONGEST.total_seconds()):
            return None
        return timedelta(microseconds=int(self.seconds * 1_000_000))


class Amounts:
    """Signed numbers and fractions; text constants of a grammar become exact numbers."""

    def of(self, number: Decimal) -> Decimal:
        return exact(number)

    def fraction(self, constant: str) -> Decimal:
        return Decimal(constant)

    def minus(self, number: Decimal) -> Decimal:
        return -exact(number)

    def over(self, upper: int, lower: int) -> Decimal | None:
        """ "3/4"."""
        return Decimal(upper) / Decimal(lower) if 0 < lower <= 1000 and upper <= 1000 else None

    def with_fraction(self, number: Decimal, part: Decimal) -> Decimal | None:
        """ "two and three quarters"."""
        return number + part if number == number.to_integral_value() else None


class Durations:
    """Lengths of time."""

    def of(self, amount: Decimal, tunit: str) -> Span | None:
        unit = Decimal(tunit)
        return Span(amount * unit, unit) if 0 <= amount < 10**10 else None

    def one_more(self, tunit: str, fraction: Decimal) -> Span | None:
        """ "minuto y medio"."""
        return self.more(Decimal(1), tunit, fraction)

    def const(self, constant: str) -> Span:
        """ "Viertelstunde": seconds."""
        return Span(Decimal(constant), Decimal(60))

    def more(self, amount: Decimal, tunit: str, fraction: Decimal) -> Span | None:
        """ "an hour and a half"."""
        unit = Decimal(tunit)
        return Span((amount + fraction) * unit, unit) if 0 <= amount < 10**10 else None

    def plain(self, span: Span) -> Span:
        return span

    def joined(self, first: Span, rest: Span) -> Span | None:
        """ "an hour and ten minutes": from the large to the small."""
        return Span(first.seconds + rest.seconds, rest.unit) if rest.seconds < first.unit else None

    def short(self, hours: int, minutes: int) -> Span | None:
        """ "1h30"."""
        return Span(Decimal(hours * 3600 + minutes * 60), Decimal(60)) if hours < 1000 and minutes < 60 else None

    def clocked(self, digital: tuple[int, int, int, str]) -> Span:
        """ "1:30:00" for someone who is asked how long."""
        hours, minutes, seconds, _ = digital
        return Span(Decimal(hours * 3600 + minutes * 60 + seconds), Decimal(1))

    def bare(self, amount: Decimal) -> tuple[Span, ...] | None:
        """Only a number, where a length of time is asked for: minutes, or else hours, or seconds."""
        return tuple(Span(amount * unit, Decimal(unit)) for unit in (60, 3600, 1)) if 0 < amount < 1000 else None


class Quantities:
    """Numbers with UCUM units; some units depend on where the user is."""

    def __init__(self, region: str) -> None:
        self._region = region.partition("-")[0].upper()

    def of(self, amount: Decimal, unit: str) -> tuple[Quantity, ...]:
        return tuple(Quantity(amount, one) for one in self.codes(unit))

    def more(self, amount: Decimal, unit: str, fraction: Decimal) -> tuple[Quantity, ...]:
        return self.of(amount + fraction, unit)

    def below(self, amount: Decimal, unit: str) -> tuple[Quantity, ...]:
        return self.of(-amount, unit)

    def bare(self, amount: Decimal) -> tuple[Quantity, ...]:
        """Only a number, where a quantity is asked for."""
        return (Quantity(exact(amount), "1"),)

    def both(self, amount: Decimal, unit: str, more: Decimal, smaller: str) -> tuple[Quantity, ...] | None:
        """ "five feet ten inches", in the smaller unit."""
        factor = _PARTS.get((unit, smaller))
        if factor is None or amount != amount.to_integral_value() or not 0 < more < factor:
            return None
        return (Quantity(exact(amount * factor + more), smaller),)

    def feet(self, amount: Decimal, more: Decimal) -> tuple[Quantity, ...] | None:
        """ "six foot two"."""
        return self.both(amount, "[ft_i]", more, "[in_i]")

    def codes(self, unit: str) -> tuple[str, ...]:
        if unit == "deg":
            return ("[degF]", "Cel") if self._region in _FAHRENHEIT else ("Cel", "[degF]")
        codes = _OF_REGION.get(unit, (unit,))
        return codes[::-1] if self._region in _BRITISH else codes


class Monies:
    """Amounts of money; some names of currencies depend on where the user is."""

    def __init__(self, region: str) -> None:
        self._region = region.partition("-")[0].upper()

    def of(self, amount: Decimal, currency: str) -> tuple[Money, ...]:
        return tuple(Money(amount, code) for code in self._codes(currency))

    def cents(self, amount: Decimal, minor: str) -> tuple[Money, ...]:
        return tuple(Money(exact(amount / 100), code) for code in self._codes(minor))

    def both(self, amount: Decimal, currency: str, cents: int, minor: str = "") -> tuple[Money, ...] | None:
        """ "five euros twenty [cents]"."""
        if minor not in {"", "cent", currency}:
            return None
        if amount != amount.to_integral_value() or not 0 < cents < 100:
            return None
        return self.of(amount + Decimal(cents) / 100, currency)

    def more(self, amount: Decimal, currency: str, fraction: Decimal) -> tuple[Money, ...]:
        return self.of(amount + fraction, currency)

    def _codes(self, name: str) -> tuple[str, ...]:
        if name == "$":
            return (_DOLLARS.get(self._region, "USD"),)
        if name == "peso":
            return (_PESOS.get(self._region, "MXN"),)
        if name == "cent":
            first = _DOLLARS.get(self._region, "USD" if self._region in {"", "US"} else "EUR")
            return (first, "EUR" if first != "EUR" else "USD")
        return (name,)


class Truths:
    """Yes and no."""

    def const(self, constant: str) -> bool:
        return constant == "yes"
