"""English."""

from __future__ import annotations

from services.tts.readings import Currency, Noun, Reading, counted

_MONTHS = tuple("January February March April May June July August September October November December".split())
_MERIDIEMS = ("am", "pm", "a.m", "p.m", "a.m.", "p.m.")


def _ordinal(number: int) -> str:
    """The engine reads these."""
    if number % 100 in (11, 12, 13):
        return f"{number}th"
    return f"{number}{ {1: 'st', 2: 'nd', 3: 'rd'}.get(number % 10, 'th') }"


def _year(year: int) -> str:
    century, rest = divmod(year, 100)
    if century % 10 == 0 and rest < 10:
        return str(year)  # two thousand five
    if rest == 0:
        return f"{century} hundred"
    return f"{century} oh {rest}" if rest < 10 else f"{century} {rest}"


def _date(day: int, month: int, year: int | None, before: str) -> str:
    return f"{_MONTHS[month - 1]} {_ordinal(day)}" + (f", {_year(year)}" if year else "")


def _british_date(day: int, month: int, year: int | None, before: str) -> str:
    article = "" if before == "the" else "the "
    return f"{article}{_ordinal(day)} of {_MONTHS[month - 1]}" + (f", {_year(year)}" if year else "")


def _day(day: int, before: str, month_follows: bool) -> str:
    if not month_follows:
        return _ordinal(day)
    return f"{'' if before == 'the' else 'the '}{_ordinal(day)} of"


def _time(hour: int, minute: int, after: str) -> str:
    if minute:
        return f"{hour} oh {minute}" if minute < 10 else f"{hour} {minute}"
    if after in _MERIDIEMS:
        return str(hour)
    if hour in (0, 24):
        return "midnight"
    return f"{hour} o'clock" if hour <= 12 else f"{hour} hundred"


def _amount(whole: str, cents: str, currency: Currency) -> str:
    assert currency.cents is not None
    return f"{whole} and {counted(ENGLISH, cents, currency.cents)}"


def _unit(name: str, plural: str = "") -> Noun:
    return Noun(f"1 {name}", plural or f"{name}s")


_CENT, _PENNY = _unit("cent"), Noun("1 penny", "pence")
_EURO, _DOLLAR = Currency(_unit("euro"), _CENT), Currency(_unit("dollar"), _CENT)
_POUND, _YEN = Currency(_unit("pound"), _PENNY), Currency(_unit("yen", "yen"))
_FRANC = Currency(_unit("franc"), _unit("centime"))

ENGLISH = Reading(
    decimal=".",
    decimal_word="point",
    decimal_point=True,
    digits=tuple("zero one two three four five six seven eight nine".split()),
    months=_MONTHS,
    date=_date,
    time=_time,
    seconds="and {} seconds",
    year=_year,
    year_cues=frozenset("in since year until till by from of before after around during circa early late".split()),
    units={
        "km": _unit("kilometer"),
        "m": _unit("meter"),
        "cm": _unit("centimeter"),
        "mm": _unit("millimeter"),
        "km²": _unit("square kilometer"),
        "m²": _unit("square meter"),
        "m³": _unit("cubic meter"),
        "mi": _unit("mile"),
        "ft": Noun("1 foot", "feet"),
        "yd": _unit("yard"),
        "kg": _unit("kilogram"),
        "g": _unit("gram"),
        "mg": _unit("milligram"),
        "lb": _unit("pound"),
        "lbs": _unit("pound"),
        "oz": _unit("ounce"),
        "l": _unit("liter"),
        "L": _unit("liter"),
        "ml": _unit("milliliter"),
        "mL": _unit("milliliter"),
        "gal": _unit("gallon"),
        "h": _unit("hour"),
        "hr": _unit("hour"),
        "hrs": _unit("hour"),
        "min": _unit("minute"),
        "s": _unit("second"),
        "sec": _unit("second"),
        "ms": _unit("millisecond"),
        "km/h": Noun("1 kilometer per hour", "kilometers per hour"),
        "mph": Noun("1 mile per hour", "miles per hour"),
        "m/s": Noun("1 meter per second", "meters per second"),
        "°C": Noun("1 degree Celsius", "degrees Celsius"),
        "°F": Noun("1 degree Fahrenheit", "degrees Fahrenheit"),
        "°": _unit("degree"),
        "W": _unit("watt"),
        "kW": _unit("kilowatt"),
        "kWh": _unit("kilowatt hour"),
        "Hz": _unit("hertz", "hertz"),
        "kHz": _unit("kilohertz", "kilohertz"),
        "MB": _unit("megabyte"),
        "GB": _unit("gigabyte"),
        "TB": _unit("terabyte"),
    },
    currencies={
        "$": _DOLLAR,
        "USD": _DOLLAR,
        "€": _EURO,
        "EUR": _EURO,
        "£": _POUND,
        "GBP": _POUND,
        "¥": _YEN,
        "JPY": _YEN,
        "CHF": _FRANC,
    },
    amount=_amount,
    to="to",
    minus="minus",
    fractions={
        "1/2": "one half",
        "1/3": "one third",
        "2/3": "two thirds",
        "1/4": "one quarter",
        "3/4": "three quarters",
    },
    magnitudes={"thousand": "thousand ", "million": "million ", "billion": "billion ", "trillion": "trillion "},
    day_of_month=_day,
    day_first=False,
    month_first=True,
)

BRITISH = Reading(**{**vars(ENGLISH), "date": _british_date, "month_first": False})
