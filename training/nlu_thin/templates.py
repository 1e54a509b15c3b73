"""What people say for each intent, in our own words: `patterns/<language>.txt`, which `grammar.py` expands.

A file has a section per intent (`== clock.time`) and per part that fills slots (`== part day`), one pattern per line.
`[a|b|]` is a choice, `{place}`, `{day}` and `{expression}` are slots. In the parts, {weekday}, {month}, {ordinal},
numbers {a} {b} {c} {n} and one digit {d} are filled in turn. Every fifth pattern of an intent is never trained on: it
measures whether the model reads sentences of a form that it has not seen.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

OUT_OF_SCOPE = "out_of_scope"
LANGUAGES = ("en", "de", "fr", "es", "it")

_FOLDER = Path(__file__).with_name("patterns")
_PART = "part "


def _sections(language: str) -> dict[str, tuple[str, ...]]:
    sections: dict[str, tuple[str, ...]] = {}
    heading = ""
    for line in (_FOLDER / f"{language}.txt").read_text(encoding="utf-8").splitlines():
        if line.startswith("== "):
            heading = line.removeprefix("== ")
            sections[heading] = ()
        elif line:
            sections[heading] += (line,)
    return sections


_SECTIONS = {language: _sections(language) for language in LANGUAGES}

TEMPLATES: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    language: {name: lines for name, lines in sections.items() if not name.startswith(_PART)}
    for language, sections in _SECTIONS.items()
}
"""Language -> intent -> patterns."""

PARTS: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    language: {name.removeprefix(_PART): lines for name, lines in sections.items() if name.startswith(_PART)}
    for language, sections in _SECTIONS.items()
}
"""Language -> slot -> what fills it."""
