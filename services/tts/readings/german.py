"""German."""

from __future__ import annotations

from services.tts.readings import Currency, Noun, Ordinal, Reading

_MONTHS = tuple("Januar Februar März April Mai Juni Juli August September Oktober November Dezember".split())
_TO_TWELVE = tuple("null eins zwei drei vier fünf sechs sieben acht neun zehn elf zwölf".split())
_TENS = ("", "", "zwanzig", "dreißig", "vierzig", "fünfzig", "sechzig", "siebzig", "achtzig", "neunzig")
_STEMS = {3: "drei", 16: "sech", 17: "sieb"}
_IRREGULAR = {1: "erst", 3: "dritt", 7: "siebt", 8: "acht"}
# After these the weak ending is -n; after an article in the nominative -e; alone -r.
_OBLIQUE = frozenset(
    "am vom zum zur im beim dem den des ab bis seit nach vor von einem einer diesem jedem jeden ihren ihrem ihrer"
    " seinem seinen meinem meinen letzten nächsten".split()
)
_NOMINATIVE = frozenset("der die das diese dieser dieses jede jeder mein ihre seine".split())


def _cardinal(number: int) -> str:
    """0 to 999."""
    if number <= 12:
        return _TO_TWELVE[number]
    if number < 20:
        return _STEMS.get(number, _TO_TWELVE[number - 10]) + "zehn"
    if number < 100:
        tens, ones = divmod(number, 10)
        return {0: "", 1: "einund"}.get(ones, _TO_TWELVE[ones] + "und") + _TENS[tens]
    hundreds, rest = divmod(number, 100)
    return ("ein" if hundreds == 1 else _TO_TWELVE[hundreds]) + "hundert" + (_cardinal(rest) if rest else "")


def _ordinal(number: int, ending: str) -> str:
    rest = number % 100
    if rest in _IRREGULAR:
        stem = (_cardinal(number - rest) if number >= 100 else "") + _IRREGULAR[rest]
    else:
        stem = _cardinal(number) + ("t" if 0 < rest < 20 else "st")
    return stem + ending


def _ending(before: str) -> str:
    if before in _OBLIQUE:
        return "en"
    return "e" if before in _NOMINATIVE else "er"


def _read_ordinal(ordinal: Ordinal) -> str | None:
    """Only after an article or a preposition: elsewhere "3." ends a sentence."""
    known = ordinal.before in _OBLIQUE or ordinal.before in _NOMINATIVE
    if not known or not ordinal.after or not 0 < ordinal.number < 1000:
        return None
    return _ordinal(ordinal.number, _ending(ordinal.before))


def _year(year: int) -> str:
    if not 1100 <= year < 2000:
        return str(year)
    century, rest = divmod(year, 100)
    return f"{_cardinal(century)}hundert{_cardinal(rest) if rest else ''}"


def _day(day: int, before: str, month_follows: bool) -> str:
    return _ordinal(day, _ending(before))


def _date(day: int, month: int, year: int | None, before: str) -> str:
    return f"{_day(day, before, True)} {_MONTHS[month - 1]}" + (f" {_year(year)}" if year else "")


def _time(hour: int, minute: int, after: str) -> str:
    return f"{'ein' if hour == 1 else hour} Uhr" + (f" {minute}" if minute else "")


def _amount(whole: str, cents: str, currency: Currency) -> str:
    return f"{whole} {cents}"


def _unit(name: str, article: str = "ein", plural: str = "") -> Noun:
    return Noun(f"{article} {name}", plural or name)


def _hourly(name: str) -> Noun:
    return Noun(f"ein {name} pro Stunde", f"{name} pro Stunde")


_CENT = _unit("Cent")
_EURO, _DOLLAR = Currency(_unit("Euro"), _CENT), Currency(_unit("Dollar"), _CENT)
_POUND = Currency(_unit("Pfund"), Noun("ein Penny", "Pence"))
_YEN, _FRANC = Currency(_unit("Yen")), Currency(_unit("Franken"), _unit("Rappen"))

GERMAN = Reading(
    decimal=",",
    decimal_word="Komma",
    blanks_group=True,
    dotted=True,
    decimal_point=False,
    digits=_TO_TWELVE[:10],
    months=_MONTHS,
    date=_date,
    time=_time,
    seconds="und {} Sekunden",
    year=_year,
    year_cues=frozenset("jahr jahre jahres seit bis von ab um anno in sommer winter herbst frühjahr".split()),
    units={
        **{word: _unit(word, "eine") for word in ("Stunde", "Minute", "Sekunde", "Woche", "Meile", "Person")},
        **{word: _unit(word) for word in ("Uhr", "Tag", "Monat", "Jahr", "Grad", "Liter", "Meter", "Kilometer")},
        **{word: _unit(word) for word in ("Gramm", "Kilogramm", "Kilo", "Euro", "Cent", "Dollar", "Prozent", "Punkt")},
        "%": _unit("Prozent"),
        "km": _unit("Kilometer"),
        "m": _unit("Meter"),
        "cm": _unit("Zentimeter"),
        "mm": _unit("Millimeter"),
        "km²": _unit("Quadratkilometer"),
        "m²": _unit("Quadratmeter"),
        "m³": _unit("Kubikmeter"),
        "kg": _unit("Kilogramm"),
        "g": _unit("Gramm"),
        "mg": _unit("Milligramm"),
        "l": _unit("Liter"),
        "L": _unit("Liter"),
        "ml": _unit("Milliliter"),
        "h": _unit("Stunde", "eine", "Stunden"),
        "Std.": _unit("Stunde", "eine", "Stunden"),
        "min": _unit("Minute", "eine", "Minuten"),
        "Min.": _unit("Minute", "eine", "Minuten"),
        "s": _unit("Sekunde", "eine", "Sekunden"),
        "Sek.": _unit("Sekunde", "eine", "Sekunden"),
        "ms": _unit("Millisekunde", "eine", "Millisekunden"),
        "km/h": _hourly("Kilometer"),
        "mph": Noun("eine Meile pro Stunde", "Meilen pro Stunde"),
        "m/s": Noun("ein Meter pro Sekunde", "Meter pro Sekunde"),
        "°C": _unit("Grad Celsius"),
        "°F": _unit("Grad Fahrenheit"),
        "°": _unit("Grad"),
        "W": _unit("Watt"),
        "kW": _unit("Kilowatt"),
        "kWh": _unit("Kilowattstunde", "eine", "Kilowattstunden"),
        "Hz": _unit("Hertz"),
        "kHz": _unit("Kilohertz"),
        "MB": _unit("Megabyte"),
        "GB": _unit("Gigabyte"),
        "TB": _unit("Terabyte"),
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
    to="bis",
    minus="minus",
    fractions={
        "1/2": "ein halb",
        "1/3": "ein Drittel",
        "2/3": "zwei Drittel",
        "1/4": "ein Viertel",
        "3/4": "drei Viertel",
    },
    magnitudes={
        **{word: f"{word} " for word in ("Tausend", "Million", "Millionen", "Milliarde", "Milliarden")},
        "Mio.": "Millionen ",
        "Mrd.": "Milliarden ",
    },
    day_of_month=_day,
    day_first=True,
    ordinal_marks=r"\.(?=\s+[^\W\d_])",
    ordinal=_read_ordinal,
)

SWISS = Reading(**{**vars(GERMAN), "decimal_point": True})
