"""How many of the words that people marked as times are read as a value, on sentences nobody of us wrote.

xSID's test set was never looked at; its validation set was. Whether the value is right is told by no public data in
these languages: the tables of `tests/unit/nlu/test_values_*.py` are our own.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from services.nlu.text import tokenise
from services.nlu.understanding import Situation
from services.nlu.values.days import read_day
from services.nlu.values.finder import Finder
from services.nlu.values.places import Gazetteer

pytestmark = pytest.mark.data

TYPES = ("DATETIME", "DATE", "TIME", "DURATION", "INTERVAL", "RECURRENCE")
NOW = datetime(2026, 11, 20, 14, 0, tzinfo=UTC)
FURTHER = {"ar": 0.64, "da": 0.77, "id": 0.76, "kk": 0.44, "nl": 0.77, "no": 0.62, "zh": 0.75}
"""Languages without a grammar -> the share that was measured."""


def marked(path: Path) -> Iterator[str]:
    """The words of each span with the label `datetime`."""
    span: list[str] = []
    for line in path.read_text(encoding="utf-8").splitlines():
        columns = line.split("\t")
        label = columns[3] if len(columns) > 3 and not line.startswith("#") else "O"
        if span and label != "I-datetime":
            yield " ".join(span)
            span = []
        if label.endswith("-datetime"):
            span.append(columns[1])
    if span:
        yield " ".join(span)


def share(language: str) -> float:
    """Of the spans that are read as a whole."""
    spans = list(marked(Path(os.environ["ANTIPHON_DATA"]) / "text" / "xsid" / f"{language}.test.conll"))
    finder = Finder(language, Situation(NOW, "Europe/Berlin"), Gazetteer.bundled(), {})
    return sum(any(finder.read(kind, tokenise(words)) for kind in TYPES) for words in spans) / len(spans)


@pytest.mark.parametrize(("language", "measured"), FURTHER.items())
def test_times_are_read_without_a_grammar(language: str, measured: float) -> None:
    """By the names of days, months and units alone: less than with one, and most of what is said in most languages."""
    assert share(language) == pytest.approx(measured, abs=0.02)


@pytest.mark.parametrize("language", ["en", "de", "it"])
def test_times_that_people_marked_are_read(language: str) -> None:
    spans = list(marked(Path(os.environ["ANTIPHON_DATA"]) / "text" / "xsid" / f"{language}.test.conll"))
    finder = Finder(language, Situation(NOW, "Europe/Berlin"), Gazetteer.bundled(), {})
    read = sum(any(finder.read(kind, tokenise(words)) for kind in TYPES) for words in spans)
    before = sum(read_day(tokenise(words), language, date(2026, 11, 20)) is not None for words in spans)
    assert len(spans) > 150
    assert read / len(spans) > 0.87
    assert read > 1.3 * before
