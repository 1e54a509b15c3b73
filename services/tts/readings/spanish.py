"""Spanish."""

from __future__ import annotations

from services.tts.readings import Currency, Noun, Ordinal, Reading, counted

_MONTHS = tuple("enero febrero marzo abril mayo junio julio agosto septiembre octubre noviembre diciembre".split())
_TENS = ("", "", "", "treinta", "cuarenta", "cincuenta", "sesenta", "setenta", "ochenta", "noventa")


def _before_noun(figures: str, feminine: bool) -> str:
    """ "uno" loses its end before a noun: veintiún kilómetros, treinta y una horas."""
    if len(figures) != 2 or figures[1] != "1" or figures == "11":
        return figures
    if figures == "21":
        return "veintiuna" if feminine else "veintiún"
    return f"{_TENS[int(figures[0])]} y {'una' if feminine else 'un'}"


def _day(day: int, before: str, month_follows: bool) -> str:
    return str(day)


def _american_day(day: int, before: str, month_follows: bool) -> str:
    return "primero" if day == 1 else str(day)


def _date(day: int, month: int, year: int | None, before: str) -> str:
    return f"{day} de {_MONTHS[month - 1]}" + (f" de {year}" if year else "")


def _american_date(day: int, month: int, year: int | None, before: str) -> str:
    return f"{_american_day(day, before, True)} de {_MONTHS[month - 1]}" + (f" de {year}" if year else "")


def _time(hour: int, minute: int, after: str) -> str:
    spoken = "una" if hour == 1 else _before_noun(str(hour), True)
    if minute == 0:
        return spoken if after in ("h", "horas", "en") else f"{spoken} en punto"
    return f"{spoken} y {minute}"


def _ordinal(ordinal: Ordinal) -> str | None:
    """The engine reads "3º"; "3.º" is the same with the point that the Academy asks for."""
    return f"{ordinal.number}{ordinal.mark.lstrip('.')}" if ordinal.mark.startswith(".") else None


def _amount(whole: str, cents: str, currency: Currency) -> str:
    assert currency.cents is not None
    return f"{whole} con {counted(SPANISH, cents, currency.cents)}"


def _unit(name: str, plural: str = "") -> Noun:
    return Noun(f"un {name}", plural or f"{name}s")


def _feminine(name: str) -> Noun:
    return Noun(f"una {name}", f"{name}s", feminine=True)


_CENTIMO, _CENTAVO = _unit("céntimo"), _unit("centavo")
_EURO, _DOLLAR = Currency(_unit("euro"), _CENTIMO), Currency(_unit("dólar", "dólares"), _CENTAVO)
_POUND = Currency(_feminine("libra"), _unit("penique"))
_YEN, _FRANC = Currency(_unit("yen", "yenes")), Currency(_unit("franco"), _CENTIMO)

SPANISH = Reading(
    decimal=",",
    decimal_word="coma",
    blanks_group=True,
    decimal_point=False,
    digits=tuple("cero uno dos tres cuatro cinco seis siete ocho nueve".split()),
    months=_MONTHS,
    date=_date,
    time=_time,
    seconds="y {} segundos",
    year=str,
    year_cues=frozenset(),
    units={
        **{word: _unit(word) for word in "minuto segundo día año grado kilómetro metro litro kilo euro punto".split()},
        **{f"{word}s": _unit(word) for word in "minuto segundo día año grado kilómetro metro litro kilo euro".split()},
        **{word: _feminine(word) for word in ("hora", "semana", "persona")},
        **{f"{word}s": _feminine(word) for word in ("hora", "semana", "persona")},
        "mes": _unit("mes", "meses"),
        "vez": Noun("una vez", "veces", feminine=True),
        "veces": Noun("una vez", "veces", feminine=True),
        "km": _unit("kilómetro"),
        "m": _unit("metro"),
        "cm": _unit("centímetro"),
        "mm": _unit("milímetro"),
        "km²": Noun("un kilómetro cuadrado", "kilómetros cuadrados"),
        "m²": Noun("un metro cuadrado", "metros cuadrados"),
        "m³": Noun("un metro cúbico", "metros cúbicos"),
        "kg": _unit("kilogramo"),
        "g": _unit("gramo"),
        "mg": _unit("miligramo"),
        "l": _unit("litro"),
        "L": _unit("litro"),
        "ml": _unit("mililitro"),
        "h": _feminine("hora"),
        "min": _unit("minuto"),
        "s": _unit("segundo"),
        "ms": _unit("milisegundo"),
        "km/h": Noun("un kilómetro por hora", "kilómetros por hora"),
        "mph": Noun("una milla por hora", "millas por hora", feminine=True),
        "m/s": Noun("un metro por segundo", "metros por segundo"),
        "°C": Noun("un grado Celsius", "grados Celsius"),
        "°F": Noun("un grado Fahrenheit", "grados Fahrenheit"),
        "°": _unit("grado"),
        "W": _unit("vatio"),
        "kW": _unit("kilovatio"),
        "kWh": Noun("un kilovatio hora", "kilovatios hora"),
        "Hz": _unit("hercio"),
        "kHz": _unit("kilohercio"),
        "MB": _unit("megabyte"),
        "GB": _unit("gigabyte"),
        "TB": _unit("terabyte"),
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
    minus="menos",
    fractions={
        "1/2": "un medio",
        "1/3": "un tercio",
        "2/3": "dos tercios",
        "1/4": "un cuarto",
        "3/4": "tres cuartos",
    },
    magnitudes={"mil": "mil ", "millón": "millón de ", "millones": "millones de "},
    day_of_month=_day,
    day_first=True,
    ordinal_marks=r"\.[ºª°]",
    ordinal=_ordinal,
    before_noun=_before_noun,
)

AMERICAN = Reading(**{**vars(SPANISH), "date": _american_date, "day_of_month": _american_day})
POINTED = Reading(
    **{**vars(AMERICAN), "decimal": ".", "decimal_word": "punto", "decimal_point": True, "blanks_group": False}
)
