"""Expands `templates.py` into labelled sentences; `data.py` calls it for training and for held-out patterns."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from services.nlu.values.days import DAY_WORDS, ordinals
from services.nlu.values.number_words import WORDS
from training.nlu_thin.templates import PARTS, TEMPLATES

HELD_OUT_EVERY = 5
"""Of each list of at least this many patterns every fifth is held out."""

_CHOICE = re.compile(r"\[([^\[\]]*)\]")
_FIELD = re.compile(r"\{(\w+)\}")
_SYLLABLES = "ba do ka li mo na pe ra so ti ver lan ton dorf ville burg ford stad mar el or".split()


@dataclass(frozen=True, slots=True)
class Example:
    """A sentence with its intent; `spans` are (slot, start, end) in code points, None where nobody marked slots."""

    text: str
    intent: str
    language: str
    spans: tuple[tuple[str, int, int], ...] | None


def patterns(language: str, intent: str, *, held_out: bool) -> Sequence[str]:
    every = TEMPLATES[language][intent]
    return [text for at, text in enumerate(every) if (at % HELD_OUT_EVERY == HELD_OUT_EVERY - 1) == held_out]


def generate(rng: random.Random, language: str, intent: str, count: int, *, held_out: bool) -> Iterator[Example]:
    """`count` different sentences, or as many as a thousand tries give; nothing where no pattern is held out."""
    chosen = patterns(language, intent, held_out=held_out)
    seen: set[str] = set()
    for _ in range(count * 3 if chosen else 0):
        example = _typed(rng, _fill(rng, language, intent, rng.choice(chosen)))
        if example.text not in seen and len(seen) < count:
            seen.add(example.text)
            yield example


def _fill(rng: random.Random, language: str, intent: str, pattern: str) -> Example:
    text, spans, last = "", [], 0
    pattern = _choose(rng, pattern)
    for field in _FIELD.finditer(pattern):
        text += pattern[last : field.start()]
        last = field.end()
        words = _slot(rng, language, field.group(1))
        spans.append((field.group(1).removesuffix("_s"), len(text), len(text) + len(words)))
        text += words
    text += pattern[last:]
    return Example(text, intent, language, tuple(spans))


def _choose(rng: random.Random, pattern: str) -> str:
    while match := _CHOICE.search(pattern):
        chosen = rng.choice(match.group(1).split("|"))
        pattern = pattern[: match.start()] + chosen + pattern[match.end() :]
    return " ".join(pattern.replace("s?", rng.choice(["", "s"])).split())


def _slot(rng: random.Random, language: str, name: str) -> str:
    if name == "place":
        return _place(rng)
    part = rng.choice(PARTS[language][name])
    return _FIELD.sub(lambda field: _word(rng, language, field.group(1)), part)


def _place(rng: random.Random) -> str:
    if rng.random() < 0.1:  # a place that no table holds is still one
        return "".join(rng.choices(_SYLLABLES, k=rng.randint(2, 3)))
    if rng.random() < 0.03:
        hours = next(WORDS["en"].spell(rng.randint(1, 12)))
        return f"{rng.choice(['gmt', 'utc', 'g. m. t.'])} {rng.choice(['plus', 'minus'])} {hours}"
    return rng.choice(_PLACES)


def _word(rng: random.Random, language: str, name: str) -> str:
    words = DAY_WORDS[language]
    if name == "weekday":
        return rng.choice(words.weekdays.split("|"))
    if name == "month":
        return rng.choice(words.months.split("|"))
    if name == "ordinal":
        return rng.choice([*ordinals(language), *(f"{n}th" if language == "en" else f"{n}." for n in (5, 12, 24))])
    if name == "d":
        return next(WORDS[language].spell(rng.randint(1, 9)))
    return _number(rng, language)


def _number(rng: random.Random, language: str) -> str:
    value = rng.choice([rng.randint(0, 20), rng.randint(0, 100), rng.randint(100, 999)])
    kind = rng.random()
    if kind < 0.35:
        return str(value)
    if kind < 0.4:
        return f"{value}{',' if WORDS[language].comma_is_decimal else '.'}{rng.randint(1, 99)}"
    spoken = rng.choice(list(WORDS[language].spell(value)))
    if kind < 0.5 and value > 1:
        return f"{spoken} {next(iter(WORDS[language].scales))}"
    return spoken


def _typed(rng: random.Random, example: Example) -> Example:
    """Speech comes without case and marks; a keyboard gives both. Neither moves a span, except the mark at the end."""
    text = example.text
    if rng.random() < 0.15:
        text = text[:1].upper() + text[1:]
    if rng.random() < 0.15:
        text += rng.choice("?.!")
    return Example(text, example.intent, example.language, example.spans)


def _known_places() -> list[str]:
    table = json.loads(Path("services/nlu/values/places.json").read_text(encoding="utf-8"))
    return [name for name in table if not name.startswith("us ") and len(name) > 2]


_PLACES = _known_places()
