"""Numbers as people write them: "1,234.5", "1.234,5", "1 234,5", "3.5" where the language would have a comma.

Called by `normalizer.py`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

SPACES = "\u00a0\u202f"
"""Blanks that only group figures."""

_GROUPS = re.compile(rf"[0-9]{{1,3}}(?:(?P<by>[ {SPACES}'’])[0-9]{{3}})(?:(?P=by)[0-9]{{3}})*")
_POINTS = {".": re.compile(r"[0-9]{1,3}(?:\.[0-9]{3})+"), ",": re.compile(r"[0-9]{1,3}(?:,[0-9]{3})+")}


@dataclass(frozen=True, slots=True)
class Numeral:
    """Figures before and after the decimal sign, without grouping."""

    whole: str
    fraction: str = ""


def pattern(*, blanks: bool) -> str:
    """Regular expression of a numeral; `blanks` where ordinary blanks group figures, too."""
    group = f"[{SPACES}'’{' ' if blanks else ''}]"
    return rf"(?:[0-9]{{1,3}}(?:{group}[0-9]{{3}})+(?![0-9])(?:[.,][0-9]+)?|[0-9]+(?:[.,][0-9]+)*)"


def parse(literal: str, *, decimal_point: bool) -> Numeral | None:
    """Read a literal that `pattern` matched; None when it is no number ("1.2.3").

    A sign that can only be one thing is that, whatever the language: 3.5 is no thousands, 1.234,5 has its comma last.
    """
    if literal.isdigit():
        return Numeral(literal)
    head = _GROUPS.match(literal)
    if head:
        rest = literal[head.end() :]
        return (
            Numeral("".join(filter(str.isdigit, head.group())), rest[1:])
            if not rest[1:] or rest[1:].isdigit()
            else None
        )
    signs = [character for character in literal if character in ".,"]
    last = signs[-1]
    whole, _, fraction = literal.rpartition(last)
    if len(set(signs)) == 2:
        other = "." if last == "," else ","
        grouped = _POINTS[other].fullmatch(whole)
        return Numeral(whole.replace(other, ""), fraction) if grouped else None
    grouped = _POINTS[last].fullmatch(literal)
    if grouped and (len(signs) > 1 or (last != "." if decimal_point else last != ",")) and whole != "0":
        return Numeral(literal.replace(last, ""))
    return Numeral(whole, fraction) if len(signs) == 1 else None
