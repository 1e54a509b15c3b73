"""French."""

from __future__ import annotations

from services.tts.readings import Currency, Noun, Ordinal, Reading

_MONTHS = tuple("janvier février mars avril mai juin juillet août septembre octobre novembre décembre".split())
_TO_SIXTEEN = tuple(
    "zéro un deux trois quatre cinq six sept huit neuf dix onze douze treize quatorze quinze seize".split()
)
_TENS = ("", "", "vingt", "trente", "quarante", "cinquante", "soixante", "soixante", "quatre-vingt", "quatre-vingt")


def _cardinal(number: int) -> str:
    """0 to 99."""
    if number <= 16:
        return _TO_SIXTEEN[number]
    if number < 20:
        return f"dix-{_TO_SIXTEEN[number - 10]}"
    tens = number // 10
    rest = number - 10 * (tens - (tens in (7, 9)))
    if rest == 0:
        return _TENS[tens] + ("s" if number == 80 else "")
    joined = " et " if rest in (1, 11) and number < 80 else "-"
    return f"{_TENS[tens]}{joined}{_cardinal(rest)}"


def _ordinal_of(number: int) -> str:
    word = _cardinal(number)
    if word.endswith("cinq"):
        return f"{word}uième"
    if word.endswith("neuf"):
        return f"{word[:-1]}vième"
    return (word.removesuffix("e") if not word.endswith("vingts") else word[:-1]) + "ième"


def _ordinal(ordinal: Ordinal) -> str | None:
    mark = ordinal.mark
    if ordinal.number == 1 or mark in ("er", "re", "ère"):
        return {1: "première" if mark in ("re", "ère") else "premier"}.get(ordinal.number)
    if mark in ("nd", "nde"):
        return {2: "second" if mark == "nd" else "seconde"}.get(ordinal.number)
    return _ordinal_of(ordinal.number) if 1 < ordinal.number < 100 else None


def _day(day: int, before: str, month_follows: bool) -> str:
    return "premier" if day == 1 else str(day)


def _date(day: int, month: int, year: int | None, before: str) -> str:
    return f"{_day(day, before, True)} {_MONTHS[month - 1]}" + (f" {year}" if year else "")


def _before_noun(figures: str, feminine: bool) -> str:
    """ "un" agrees: vingt et une heures."""
    if feminine and len(figures) == 2 and figures[1] == "1" and figures[0] in "23456":
        return f"{_TENS[int(figures[0])]} et une"
    return figures


def _time(hour: int, minute: int, after: str) -> str:
    whole = {0: "zéro heure", 1: "une heure"}.get(hour, f"{_before_noun(str(hour), True)} heures")
    return whole + (f" {minute}" if minute else "")


def _amount(whole: str, cents: str, currency: Currency) -> str:
    return f"{whole} {cents}"


def _unit(name: str, plural: str = "") -> Noun:
    return Noun(f"un {name}", plural or f"{name}s")


def _feminine(name: str) -> Noun:
    return Noun(f"une {name}", f"{name}s", feminine=True)


_CENTIME = _unit("centime")
_EURO, _DOLLAR = Currency(_unit("euro"), _CENTIME), Currency(_unit("dollar"), _unit("cent"))
_POUND = Currency(_feminine("livre"), Noun("un penny", "pence"))
_YEN, _FRANC = Currency(_unit("yen")), Currency(_unit("franc"), _CENTIME)

FRENCH = Reading(
    decimal=",",
    decimal_word="virgule",
    blanks_group=True,
    decimal_point=False,
    digits=_TO_SIXTEEN[:10],
    months=_MONTHS,
    date=_date,
    time=_time,
    seconds="et {} secondes",
    year=str,
    year_cues=frozenset(),
    units={
        **{word: _feminine(word) for word in ("heure", "minute", "seconde", "semaine", "personne")},
        **{f"{word}s": _feminine(word) for word in ("heure", "minute", "seconde", "semaine", "personne")},
        "fois": Noun("une fois", "fois", feminine=True),
        "km": _unit("kilomètre"),
        "m": _unit("mètre"),
        "cm": _unit("centimètre"),
        "mm": _unit("millimètre"),
        "km²": Noun("un kilomètre carré", "kilomètres carrés"),
        "m²": Noun("un mètre carré", "mètres carrés"),
        "m³": Noun("un mètre cube", "mètres cubes"),
        "kg": _unit("kilogramme"),
        "g": _unit("gramme"),
        "mg": _unit("milligramme"),
        "l": _unit("litre"),
        "L": _unit("litre"),
        "ml": _unit("millilitre"),
        "h": _feminine("heure"),
        "min": _feminine("minute"),
        "s": _feminine("seconde"),
        "ms": _feminine("milliseconde"),
        "km/h": Noun("un kilomètre heure", "kilomètres heure"),
        "mph": Noun("un mile à l'heure", "miles à l'heure"),
        "m/s": Noun("un mètre par seconde", "mètres par seconde"),
        "°C": Noun("un degré Celsius", "degrés Celsius"),
        "°F": Noun("un degré Fahrenheit", "degrés Fahrenheit"),
        "°": _unit("degré"),
        "W": _unit("watt"),
        "kW": _unit("kilowatt"),
        "kWh": Noun("un kilowatt heure", "kilowatts heure"),
        "Hz": _unit("hertz", "hertz"),
        "kHz": _unit("kilohertz", "kilohertz"),
        "Mo": _unit("mégaoctet"),
        "Go": _unit("gigaoctet"),
        "To": _unit("téraoctet"),
        "MB": _unit("mégaoctet"),
        "GB": _unit("gigaoctet"),
        "TB": _unit("téraoctet"),
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
    to="à",
    minus="moins",
    fractions={
        "1/2": "un demi",
        "1/3": "un tiers",
        "2/3": "deux tiers",
        "1/4": "un quart",
        "3/4": "trois quarts",
    },
    magnitudes={
        "mille": "mille ",
        "million": "million de ",
        "millions": "millions de ",
        "milliard": "milliard de ",
        "milliards": "milliards de ",
    },
    day_of_month=_day,
    day_first=True,
    ordinal_marks=r"(?:ers?|ères?|res?|èmes?|ièmes?|es?|ndes?|nds?)(?![\w'’])",
    ordinal=_ordinal,
    before_noun=_before_noun,
)
