"""Which readers of labels are asked, and what several of them say together."""

from __future__ import annotations

from dataclasses import replace

import pytest

from services.nlu.engines.label_readers import LabelReaders, is_broad
from services.nlu.text import tokenise
from services.nlu.understanding import Mode, Options
from tests.fakes.label_reader import ScriptedLabels

pytestmark = pytest.mark.unit

ENGLISH = ScriptedLabels({"hi": {"massive:greet": 0.9}}, locales=("en",))
MANY = ScriptedLabels({"hi": {"xsid:hello": 0.6, "massive:greet": 0.2}}, locales=("de", "en", "mul"))
MANY._info = replace(MANY.info, model="test/many@2")


@pytest.mark.parametrize(
    ("locale", "options", "asked"),
    [
        ("en", Options(), [ENGLISH]),
        ("de", Options(), [MANY]),
        ("el", Options(), [MANY]),
        ("el", Options(modes=frozenset({Mode.FINETUNED})), []),
        ("el", Options(modes=frozenset({Mode.ZERO_SHOT})), [MANY]),
        ("en", Options(model="test/many"), [MANY]),
        ("de", Options(model="test/labels@1"), []),
        ("en", Options(modes=frozenset({Mode.RULES})), []),
    ],
)
def test_who_is_asked(locale: str, options: Options, asked: list[ScriptedLabels]) -> None:
    assert list(LabelReaders([ENGLISH, MANY]).serving(locale, options)) == asked


def test_readers_may_come_later() -> None:
    come: list[ScriptedLabels] = []
    readers = LabelReaders([], lambda: come)
    assert not readers.serving("en")
    come.append(ENGLISH)
    assert list(readers.serving("en")) == [ENGLISH]


async def test_of_two_that_tell_one_label_the_likelier_counts() -> None:
    (reading,) = await LabelReaders.read([ENGLISH, MANY], [tokenise("hi")], None)
    assert reading.labels == {"massive:greet": 0.9, "xsid:hello": 0.6}
    assert reading.outside == {"massive": pytest.approx(0.1), "xsid": pytest.approx(0.4)}


def test_only_a_model_of_the_language_itself_speaks_for_all_that_is_asked() -> None:
    assert is_broad(ENGLISH.info)
    assert not is_broad(MANY.info)
    assert not is_broad(replace(ENGLISH.info, untrained=True))


def test_modes_are_told_by_locale() -> None:
    assert MANY.info.mode("de-AT") is Mode.FINETUNED
    assert MANY.info.mode("el") is Mode.ZERO_SHOT
    assert replace(MANY.info, untrained=True).mode("de") is Mode.ZERO_SHOT
