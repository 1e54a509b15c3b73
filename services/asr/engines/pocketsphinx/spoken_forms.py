"""How people say values ("ten minutes", "viertel nach drei"); language models of phrases fill typed slots from here.

One YAML file a language (`services/asr/spoken_forms/`) has named lists and, for each type of value, weighted templates:

    lists: {tens: "ten, twenty"}
    forms: {DURATION: [[3, "{number[2-60]} minutes"], [1, "(half|quarter of) an hour"]]}

`{list}` stands for each entry of a list (a list's entries, between them a comma and a space, may be templates of lists
above it), `{list[1-3,5]}` for some of them by position, `(a|{list}|)` for each alternative. A type gets at most
MAX_FORMS forms: templates with more combinations than their part of that are thinned, the same way every time.
"""

from __future__ import annotations

import math
import random
import re
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import yaml

MAX_FORMS = 2_000
"""Most forms of one type in one language."""

LANGUAGES = ("de", "en", "es", "fr", "it")

_FOLDER = Path(__file__).parents[2] / "spoken_forms"
_SLOT = re.compile(r"\{(\w+)(?:\[([\d,-]+)\])?\}|\(([^()]*)\)")

_Lists = Mapping[str, Sequence[str]]


def spoken_forms(language: str, value_type: str) -> Sequence[tuple[str, float]]:
    """Forms and how likely each is, summing up to 1; most likely first.

    Args:
        language: BCP-47 tag; its primary language counts.
        value_type: name as in `types.v1.ValueType`, without prefix ("DURATION").

    Returns:
        Lower-case words in NFC, one space between them, no punctuation but apostrophes and hyphens within words;
        nothing for a language or a type that has no forms (TEXT, ENTITY).
    """
    primary = language.partition("-")[0].lower()
    return _forms(primary, value_type) if primary in LANGUAGES else ()


@cache
def _forms(language: str, value_type: str) -> Sequence[tuple[str, float]]:
    lists, forms = _tables(language)
    templates = [(float(weight), _parsed(text, lists), text) for weight, text in forms.get(value_type, ())]
    weights: dict[str, float] = {}
    for (weight, parts, text), room in zip(templates, _rooms([parts.total for _, parts, _ in templates]), strict=True):
        spoken = [" ".join(form.split()) for form in parts.expanded(room, seed=zlib.crc32(text.encode()))]
        for form in spoken:
            weights[form] = weights.get(form, 0.0) + weight / len(spoken)
    total = sum(weights.values())
    ranked = sorted(weights.items(), key=lambda item: (-item[1], item[0]))
    return tuple((form, weight / total) for form, weight in ranked)


@cache
def _tables(language: str) -> tuple[_Lists, Mapping[str, Sequence[tuple[float, str]]]]:
    content = yaml.safe_load((_FOLDER / f"{language}.yaml").read_text(encoding="utf-8"))
    places = yaml.safe_load((_FOLDER / "places.yaml").read_text(encoding="utf-8"))[language]
    lists: dict[str, Sequence[str]] = {}
    for name, entries in (places | content["lists"]).items():
        lists[name] = _all_of(entries.split(", "), lists)
    return lists, content["forms"]


@dataclass(frozen=True)
class _Template:
    """Fixed and open parts in turn, as the choices of each."""

    parts: Sequence[Sequence[str]]

    @property
    def total(self) -> int:
        return math.prod(len(choices) for choices in self.parts)

    def expanded(self, most: int, seed: int) -> Iterable[str]:
        """All combinations when they are at most `most`, else that many of them, drawn evenly."""
        picked = range(self.total)
        if self.total > most:
            picked = sorted(random.Random(seed).sample(picked, most))  # type: ignore[assignment]
        for index in picked:
            words = []
            for choices in self.parts:
                index, at = divmod(index, len(choices))
                words.append(choices[at])
            yield "".join(words)


def _parsed(text: str, lists: _Lists) -> _Template:
    parts: list[Sequence[str]] = []
    end = 0
    for match in _SLOT.finditer(text):
        parts.append((text[end : match.start()],))
        name, positions, alternatives = match.groups()
        parts.append(_all_of(alternatives.split("|"), lists) if name is None else _chosen(lists[name], positions))
        end = match.end()
    return _Template((*parts, (text[end:],)))


def _all_of(templates: Iterable[str], lists: _Lists) -> Sequence[str]:
    parsed = (_parsed(text, lists) for text in templates)
    return tuple(form for parts in parsed for form in parts.expanded(parts.total, seed=0))


def _chosen(entries: Sequence[str], positions: str | None) -> Sequence[str]:
    if positions is None:
        return entries
    chosen: list[str] = []
    for part in positions.split(","):
        first, _, last = part.partition("-")
        chosen += entries[int(first) : int(last or first) + 1]
    return chosen


def _rooms(totals: Sequence[int]) -> list[int]:
    """How many forms each template may have: small ones all of theirs, large ones equal parts of what is left."""
    rooms = [0] * len(totals)
    left, waiting = MAX_FORMS, sorted(range(len(totals)), key=lambda at: totals[at])
    while waiting:
        at = waiting.pop(0)
        rooms[at] = min(totals[at], left // (len(waiting) + 1))
        left -= rooms[at]
    return rooms
