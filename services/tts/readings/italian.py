"""Italian."""

from __future__ import annotations

from services.tts.readings import Currency, Noun, Ordinal, Reading, counted

_MONTHS = tuple("gennaio febbraio marzo aprile maggio giugno luglio agosto settembre ottobre novembre dicembre".split())


def _day(day: int, before: str, month_follows: bool) -> str:
    return "primo" if day == 1 else str(day)


def _date(day: int, month: int, year: int | None, before: str) -> str:
    return f"{_day(day, before, True)} {_MONTHS[month - 1]}" + (f" {year}" if year else "")


def _ordinal(ordinal: Ordinal) -> str | None:
    """ "2° piano" with a degree sign for "2º", which the engine reads; from 20 on, degrees are likelier."""
    return f"{ordinal.number}º" if 0 < ordinal.number < 20 else None


def _time(hour: int, minute: int, after: str) -> str:
    spoken = {0: "zero", 1: "una"}.get(hour, str(hour))
    return f"{spoken} e {minute}" if minute else spoken


def _amount(whole: str, cents: str, currency: Currency) -> str:
    assert currency.cents is not None
    return f"{whole} e {counted(ITALIAN, cents, currency.cents)}"


def _unit(name: str, plural: str) -> Noun:
    return Noun(f"un {name}", plural)


def _feminine(name: str, plural: str) -> Noun:
    return Noun(f"un'{name}" if name[0] in "aeiou" else f"una {name}", plural, feminine=True)


_CENTESIMO = _unit("centesimo", "centesimi")
_EURO, _DOLLAR = Currency(_unit("euro", "euro"), _CENTESIMO), Currency(_unit("dollaro", "dollari"), _CENTESIMO)
_POUND = Currency(_feminine("sterlina", "sterline"), Noun("un penny", "pence"))
_YEN, _FRANC = Currency(Noun("uno yen", "yen")), Currency(_unit("franco", "franchi"), _CENTESIMO)

ITALIAN = Reading(
    decimal=",",
    decimal_word="virgola",
    blanks_group=True,
    decimal_point=False,
    digits=tuple("zero uno due tre quattro cinque sei sette otto nove".split()),
    months=_MONTHS,
    date=_date,
    time=_time,
    seconds="e {} secondi",
    year=str,
    year_cues=frozenset(),
    units={
        **{word: _unit(word, word) for word in "minuto secondo giorno mese anno grado chilometro metro litro".split()},
        **{word: _feminine(word, word) for word in ("ora", "settimana", "volta", "persona")},
        "km": _unit("chilometro", "chilometri"),
        "m": _unit("metro", "metri"),
        "cm": _unit("centimetro", "centimetri"),
        "mm": _unit("millimetro", "millimetri"),
        "km²": _unit("chilometro quadrato", "chilometri quadrati"),
        "m²": _unit("metro quadrato", "metri quadrati"),
        "m³": _unit("metro cubo", "metri cubi"),
        "kg": _unit("chilogrammo", "chilogrammi"),
        "g": _unit("grammo", "grammi"),
        "mg": _unit("milligrammo", "milligrammi"),
        "l": _unit("litro", "litri"),
        "L": _unit("litro", "litri"),
        "ml": _unit("millilitro", "millilitri"),
        "h": _feminine("ora", "ore"),
        "min": _unit("minuto", "minuti"),
        "s": _unit("secondo", "secondi"),
        "ms": _unit("millisecondo", "millisecondi"),
        "km/h": _unit("chilometro orario", "chilometri orari"),
        "mph": _feminine("miglia all'ora", "miglia all'ora"),
        "m/s": _unit("metro al secondo", "metri al secondo"),
        "°C": _unit("grado Celsius", "gradi Celsius"),
        "°F": _unit("grado Fahrenheit", "gradi Fahrenheit"),
        "°": _unit("grado", "gradi"),
        "W": _unit("watt", "watt"),
        "kW": _unit("chilowatt", "chilowatt"),
        "kWh": _unit("chilowattora", "chilowattora"),
        "Hz": _unit("hertz", "hertz"),
        "kHz": _unit("chilohertz", "chilohertz"),
        "MB": _unit("megabyte", "megabyte"),
        "GB": _unit("gigabyte", "gigabyte"),
        "TB": _unit("terabyte", "terabyte"),
    },
    currencies={
        "€": _EURO,
        "EUR": _EURO,
        "$": _DOLLAR,
        "USD": _DOLLAR,
        "£": _POUND,
        "GBP": _POUND,
        "¥": _YEN,
        "JPY": _YEN,
        "CHF": _FRANC,
    },
    amount=_amount,
    to="a",
    minus="meno",
    fractions={
        "1/2": "un mezzo",
        "1/3": "un terzo",
        "2/3": "due terzi",
        "1/4": "un quarto",
        "3/4": "tre quarti",
    },
    magnitudes={
        "mila": "mila ",
        "milione": "milione di ",
        "milioni": "milioni di ",
        "miliardo": "miliardo di ",
        "miliardi": "miliardi di ",
    },
    day_of_month=_day,
    day_first=True,
    ordinal_marks=r"[°](?=[ ][a-z])",
    ordinal=_ordinal,
)
