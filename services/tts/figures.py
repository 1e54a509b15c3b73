"""Finds what stands in figures in a text, and asks a language's `Reading` for the words.

Called by `normalizer.py`. At each candidate the rules are tried in order, the more particular first; one may decline.
Work is linear in the text, and nothing here depends on what was read before but the words next to it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from services.tts.numerals import Numeral, parse, pattern
from services.tts.readings import Currency, Ordinal, Reading, counted

_MAX_SPELLED = 15  # a longer number is spelled out figure by figure
_MAX_FRACTION = 3  # beyond, some languages would read the fraction as one large number
_DAYS = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)

Parts = list[tuple[str, str]]
"""Stretches of the original in order, each with what is said for it."""

_NEVER = "(?!)"
_GROUPED = re.compile(r"[0-9] ")  # "1 000": the zeros are no number of their own
_ELISION = re.compile(r"(illions?|illiards?) de (?=e)")
_END = r"(?![\w])(?![.,:/-][0-9])"  # neither in a word nor in a longer number
_WORD = re.compile(r"[^\s,;:()\"]+")
_NEXT = re.compile(r"[ \u00a0\u202f]?([^\W\d_](?:[^\W\d_]|\.(?=[^\W\d_]))*\.?)")

# Each rule: a regular expression in lines, with <NAMES> of `Finder`, and the method that reads what it finds.
_RULES: tuple[tuple[tuple[str, ...], str], ...] = (
    (  # 2026-11-20, 2026-11-20T14:30:00Z
        (
            r"(?P<y>[0-9]{4})-(?P<m>[0-9]{2})-(?P<d>[0-9]{2})",
            r"(?:T(?P<h>[0-9]{2}):(?P<min>[0-9]{2})[0-9:.Z]*)?<END>",
        ),
        "_iso",
    ),
    (  # 20.11.2026, 11/20/26
        (r"(?P<a>[0-9]{1,2})(?P<by>[./-])(?P<b>[0-9]{1,2})(?P=by)(?P<y>[0-9]{4}|[0-9]{2})<END>",),
        "_date",
    ),
    ((r"<DOTTED>(?P<a>[0-9]{1,2})\.(?P<b>[0-9]{1,2})\.(?![\w.])",), "_short_date"),  # 20.11.
    (  # +49 170 1234567, (555) 123-4567, 555-1234, 0170 1234567, 06 12 34 56 78, 007
        (
            r"(?:\+[0-9][0-9 ()/-]{5,24}[0-9]",
            r"|(?:\([0-9]{3}\)[ ]?|[0-9]{3}[- .])?[0-9]{3}[-.][0-9]{4}",
            r"|0[0-9]{2,6}(?:[ /-][0-9]{2,8}){1,6}",
            r"|0[0-9](?:[ .][0-9]{2}){4}",
            r"|(?<![0-9][ ])0[0-9]{1,24})<END>",
        ),
        "_phone",
    ),
    (  # 14:30, 14:30:05, 7:30-8:30, 14:30 Uhr
        (
            r"(?P<h>[0-9]{1,2}):(?P<min>[0-9]{2})(?::(?P<s>[0-9]{2}))?",
            r"(?:(?P<to>\s?[-–—]\s?)(?=[0-9]{1,2}:[0-9]{2})|<UHR>?(?![\w:])|(?P<half>[ap]m)\b)",
        ),
        "_time",
    ),
    ((r"(?P<h>[0-9]{1,2})\.(?P<min>[0-9]{2})<UHR>\b",), "_time"),  # 14.30 Uhr
    ((r"(?P<h>[0-9]{1,2})[ ]?[hH][ ]?(?P<min>[0-9]{2})(?!\w)",), "_time"),  # 14h30
    ((r"(?P<month><MONTH>)[ ](?P<d>[0-9]{1,2})<END>",), "_month_day"),  # November 20
    ((r"(?P<d>[0-9]{1,2})[.°º]?(?=[ \u00a0](?:de[ ])?<MONTH>\b)",), "_day_month"),  # 20. November
    (  # $5.20, $5 million
        (
            r"(?P<minus>[-−])?<SYMBOL>[ \u00a0]?(?P<n><N>)",
            r"(?P<gap>[ \u00a0])?(?:(?<=[ \u00a0])<MAGNITUDE>\b)?(?!\w)(?![.,][0-9])",
        ),
        "_money",
    ),
    (  # 5,20 €, 2 millions €
        (r"<MINUS>(?P<n><N>)<GAP>(?:<MAGNITUDE>(?P<gap2>[ ]))?<SYMBOL>(?!\w)",),
        "_money_behind",
    ),
    ((r"(?P<n>[0-9]/[0-9])<END>",), "_fraction"),
    ((r"(?P<n><N>)(?P<to>\s?[–—]\s?|-)(?=<N><END>)",), "_range"),  # 10-20
    ((r"(?P<n>[0-9]{1,4})<MARK>",), "_ordinal"),  # 3., 3e, 3.º
    ((r"<MINUS>(?P<n><N>)<GAP><UNIT>(?!\w)",), "_unit"),  # 5 km
    ((r"(?P<n>[0-9]{4})<END>",), "_year"),
    ((r"<MINUS>(?P<n><N>)",), "_number"),
)


def _compiled(lines: Iterable[str], names: dict[str, str]) -> re.Pattern[str]:
    """The expression with the names put in."""
    return re.compile(re.sub(r"<([A-Z]+)>", lambda name: names[name[1]], "".join(lines)))


def _any(words: Iterable[str]) -> str:
    """Regular expression of any of the words, the longest first."""
    return "|".join(re.escape(word) for word in sorted(words, key=len, reverse=True))


@dataclass(frozen=True, slots=True)
class _Found:
    """A candidate: the match of its rule, and the words on both sides, lower case."""

    match: re.Match[str]
    text: str

    def __getitem__(self, name: str) -> str:
        return self.match[name] or ""

    @property
    def before(self) -> tuple[str, ...]:
        """Up to three words, the nearest last."""
        return tuple(_WORD.findall(self.text[max(0, self.match.start() - 40) : self.match.start()].lower())[-3:])

    @property
    def near(self) -> str:
        """The word just before, if nothing but a blank is between."""
        start = self.match.start()
        return self.before[-1] if start and self.text[start - 1].isspace() and self.before else ""

    @property
    def after(self) -> str:
        """The word just after, if nothing but a blank is between."""
        found = _NEXT.match(self.text, self.match.end())
        return found[1].lower() if found else ""


class Finder:
    """The rules of one reading."""

    def __init__(self, reading: Reading) -> None:
        self._reading = reading
        numeral = pattern(blanks=reading.blanks_group)
        names = {
            "N": numeral,
            "END": _END,
            "MINUS": r"(?P<minus>[-−](?=[0-9]))?",
            "GAP": r"(?P<gap>[ \u00a0\u202f]?)",
            "SYMBOL": f"(?P<symbol>{_any(reading.currencies)})",
            "MAGNITUDE": f"(?P<magnitude>{_any(reading.magnitudes)})",
            "MONTH": f"(?:{_any(reading.months)})",
            "UNIT": f"(?P<unit>{_any(reading.units)})",
            "MARK": f"(?P<mark>{reading.ordinal_marks or _NEVER})",
            "UHR": r"(?P<uhr>[ \u00a0]Uhr)" if reading.dotted else f"(?P<uhr>{_NEVER})",
            "DOTTED": "" if reading.dotted else _NEVER,
        }
        self._rules = [(_compiled(lines, names), getattr(self, reader)) for lines, reader in _RULES]
        self._candidate = _compiled(
            (r"(?<![\w.,$€£¥])(?<![0-9][:/])(?=[0-9+(−-]|<SYMBOL>[ \u00a0]?[0-9]|<MONTH>[ ][0-9])",), names
        )

    def pieces(self, text: str) -> Iterator[tuple[int, int, str]]:
        """The stretches of `text` that are said otherwise."""
        at = 0
        for candidate in self._candidate.finditer(text):
            if candidate.start() < at:
                continue
            for expression, read in self._rules:
                match = expression.match(text, candidate.start())
                parts = read(_Found(match, text)) if match else None
                if match and parts is not None:
                    start = match.start()
                    for original, said in parts:
                        if said != original:
                            yield start, start + len(original), said
                        start += len(original)
                    at = max(start, candidate.start() + 1)
                    break

    def _figures(self, literal: str, *, minus: str = "") -> str | None:
        """A literal as the engine reads it."""
        number = parse(literal, decimal_point=self._reading.decimal_point)
        if number is None:
            return None
        return f"{self._reading.minus} " * bool(minus) + self._spoken(number)

    def _spoken(self, number: Numeral) -> str:
        reading = self._reading
        if len(number.whole) > _MAX_SPELLED or (len(number.whole) > 1 and number.whole[0] == "0"):
            return reading.spelled(number.whole) + (f", {reading.spelled(number.fraction)}" if number.fraction else "")
        if len(number.fraction) > _MAX_FRACTION:
            return f"{number.whole} {reading.decimal_word} {reading.spelled(number.fraction)}"
        return number.whole + (f"{reading.decimal}{number.fraction}" if number.fraction else "")

    def _iso(self, found: _Found) -> Parts | None:
        said = self._said_date(int(found["d"]), int(found["m"]), found["y"], found.near)
        if said is None or not found["h"]:
            return None if said is None else [(found.match.group(), said)]
        clock = self._clock(found["h"], found["min"], "")
        return None if clock is None else [(found.match.group(), f"{said}, {clock}")]

    def _date(self, found: _Found) -> Parts | None:
        first, second = int(found["a"]), int(found["b"])
        month_first = self._reading.month_first and found["by"] != "."
        orders = [(second, first), (first, second)] if month_first else [(first, second), (second, first)]
        for day, month in orders:
            if said := self._said_date(day, month, found["y"], found.near):
                return [(found.match.group(), said)]
        return None

    def _short_date(self, found: _Found) -> Parts | None:
        said = self._said_date(int(found["a"]), int(found["b"]), "", found.near)
        if said is None:
            return None
        last = found.match.end() == len(found.text)
        return [(found.match.group(), said + "." * last)]

    def _said_date(self, day: int, month: int, year: str, before: str) -> str | None:
        if not (1 <= month <= 12 and 1 <= day <= _DAYS[month - 1]):
            return None
        number = int(year) + 2000 * (len(year) == 2) if year else None
        if number is not None and not 1000 <= number < 3000:
            return None
        return self._reading.date(day, month, number, before)

    def _phone(self, found: _Found) -> Parts | None:
        literal = found.match.group()
        if literal.isdigit() and len(literal) < 3:
            return None
        if len(literal) == 8 and literal[3] == "-" and literal.endswith("00"):
            return None  # rather a range: 100-1000
        groups = re.sub(r"[^0-9]+", " ", literal).strip()
        return [(literal, ("plus " if literal[0] == "+" else "") + self._reading.spelled(groups))]

    def _clock(self, hour: str, minute: str, after: str) -> str | None:
        if int(hour) > 24 or int(minute) > 59:
            return None
        return self._reading.time(int(hour), int(minute), after)

    def _time(self, found: _Found) -> Parts | None:
        groups = found.match.groupdict()
        said = self._clock(found["h"], found["min"], groups.get("half") or found.after)
        if said is None:
            return None
        clock = found.match.group()
        for tail in ("uhr", "to", "half"):
            clock = clock.removesuffix(groups.get(tail) or "")
        if seconds := groups.get("s"):
            said = f"{said} {self._reading.seconds.format(int(seconds))}"
        parts = [(clock, said)]
        if groups.get("half"):
            parts.append((found["half"], f" {found['half']}"))
        if groups.get("to"):
            parts.append((found["to"], f" {self._reading.to} "))
        if groups.get("uhr"):
            hours, _, minutes = said.partition(" Uhr")
            parts = [(clock, hours), (" ", " "), ("Uhr", f"Uhr{minutes}")]
        return parts

    def _month_day(self, found: _Found) -> Parts | None:
        if self._reading.day_first or not 1 <= int(found["d"]) <= 31:
            return None
        said = self._reading.day_of_month(int(found["d"]), found.near, False)
        return [(found["month"], found["month"]), (" ", " "), (found["d"], said)]

    def _day_month(self, found: _Found) -> Parts | None:
        if not 1 <= int(found["d"]) <= 31:
            return None
        return [(found.match.group(), self._reading.day_of_month(int(found["d"]), found.near, True))]

    def _money(self, found: _Found) -> Parts | None:
        sign, gap, magnitude = found["minus"], found["gap"], found["magnitude"]
        literal = found.match.group()
        if magnitude:
            figures = self._figures(found["n"], minus=sign)
            head = literal[: len(literal) - len(magnitude) - len(gap)]
            noun = self._reading.currencies[found["symbol"]].whole.many
            joined = self._reading.magnitudes[magnitude] + noun
            return None if figures is None else [(head, figures), (gap, " "), (magnitude, _elided(joined))]
        said = self._amount(found["n"], self._reading.currencies[found["symbol"]], sign)
        return None if said is None else [(literal, said + gap)]

    def _money_behind(self, found: _Found) -> Parts | None:
        sign, gap, symbol = found["minus"], found["gap"], found["symbol"]
        currency, head = self._reading.currencies[symbol], sign + found["n"]
        if magnitude := found["magnitude"]:
            figures = self._figures(found["n"], minus=sign)
            joined = _elided(self._reading.magnitudes[magnitude] + currency.whole.many)
            word, _, noun = joined.partition(" ")
            return (
                None
                if figures is None
                else [(head, figures), (gap, " "), (magnitude, word), (found["gap2"], " "), (symbol, noun)]
            )
        said = self._amount(found["n"], currency, sign)
        if said is None:
            return None
        if not gap or " " not in said:
            return [(head + gap + symbol, said)]
        number, _, noun = said.removeprefix(f"{self._reading.minus} ").partition(" ")
        return [(head, f"{self._reading.minus} " * bool(sign) + number), (gap, " "), (symbol, noun)]

    def _amount(self, literal: str, currency: Currency, minus: str) -> str | None:
        number = parse(literal, decimal_point=self._reading.decimal_point)
        if number is None:
            return None
        sign = f"{self._reading.minus} " * bool(minus)
        if currency.cents is None or len(number.fraction) != 2 or len(number.whole) > _MAX_SPELLED:
            return sign + counted(self._reading, self._spoken(number), currency.whole)
        cents = str(int(number.fraction))
        if cents == "0":
            return sign + counted(self._reading, self._spoken(Numeral(number.whole)), currency.whole)
        if int(number.whole) == 0:
            return sign + counted(self._reading, cents, currency.cents)
        whole = counted(self._reading, self._spoken(Numeral(number.whole)), currency.whole)
        return sign + self._reading.amount(whole, cents, currency)

    def _fraction(self, found: _Found) -> Parts | None:
        said = self._reading.fractions.get(found["n"])
        return None if said is None else [(found["n"], said)]

    def _range(self, found: _Found) -> Parts | None:
        figures = self._figures(found["n"])
        if figures is None:
            return None
        right = re.compile(r"[0-9]*").match(found.text, found.match.end())
        if len(figures) == 4 and right and len(right[0]) == 4 and _is_year(figures) and _is_year(right[0]):
            figures = self._reading.year(int(figures))
        return [(found["n"], figures), (found["to"], f" {self._reading.to} ")]

    def _unit(self, found: _Found) -> Parts | None:
        figures = self._figures(found["n"])
        if figures is None:
            return None
        gap, sign = found["gap"], found["minus"]
        if found["unit"] == "s" and not gap and len(figures) > 2:
            return None  # the 1990s
        said = counted(self._reading, figures, self._reading.units[found["unit"]])
        number, noun = figures, said.removeprefix(figures).lstrip()
        if not said.startswith(f"{figures} "):
            number, _, noun = said.partition(" ")
        number = f"{self._reading.minus} " * bool(sign) + number
        head = sign + found["n"]
        if not gap or not noun:
            return [(head + gap + found["unit"], f"{number} {noun}".rstrip())]
        return [(head, number), (gap, " "), (found["unit"], noun)]

    def _ordinal(self, found: _Found) -> Parts | None:
        said = self._reading.ordinal(Ordinal(int(found["n"]), found["mark"], found.near, found.after or "-"))
        return None if said is None else [(found.match.group(), said)]

    def _year(self, found: _Found) -> Parts | None:
        year, before = int(found["n"]), found.before
        if not 1100 <= year < 2100:
            return None
        names = {month.lower() for month in self._reading.months}
        dated = any(word.strip(".") in names for word in before)
        cued = bool(before) and before[-1] in self._reading.year_cues
        alone = year >= 1900 and not found.after
        if not (dated or alone or (cued and not found.after)):
            return None
        return [(found["n"], self._reading.year(year))]

    def _number(self, found: _Found) -> Parts | None:
        start = found.match.start()
        grouped = found["n"].startswith("0") and _GROUPED.fullmatch(found.text, max(0, start - 2), start)
        figures = None if grouped else self._figures(found["n"], minus=found["minus"])
        if figures is None:
            return [(found.match.group(), found.match.group())]  # "1.2.3": as it stands, and no part of it otherwise
        return [(found.match.group(), figures)]


def _is_year(figures: str) -> bool:
    return "1100" <= figures < "2100"


def _elided(words: str) -> str:
    """French: "millions de euros" is "millions d'euros"."""
    return _ELISION.sub(r"\1 d'", words)
