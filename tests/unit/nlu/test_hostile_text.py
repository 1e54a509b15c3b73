"""Texts that are made to deceive or to break: they are read for what they look like, in bounded time, spans right."""

from __future__ import annotations

import time
import unicodedata

import pytest

from services.nlu.homoglyphs import of_one_script
from services.nlu.text import MAX_TOKENS, normalise, tokenise
from services.nlu.understanding import Situation
from services.nlu.values.finder import Finder
from services.nlu.values.places import Gazetteer
from tests.fixtures.hostile_texts import FLOOD, HOSTILE

pytestmark = pytest.mark.unit

TYPES = ("DATE", "TIME", "DATETIME", "DURATION", "INTEGER", "DECIMAL", "MONEY", "QUANTITY", "PLACE", "EXPRESSION")


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE.keys())
def test_tokens_are_parts_of_the_text_in_order_and_soon_there(text: str) -> None:
    began = time.process_time()
    normal = normalise(text, field="text")
    tokens = tokenise(normal)
    assert time.process_time() - began < 0.1
    assert len(tokens) <= MAX_TOKENS + 1
    end = 0
    for token in tokens:
        assert end <= token.start < token.end <= len(normal)
        assert token.norm
        assert not any(sign.isspace() or unicodedata.category(sign) in {"Cc", "Cf"} for sign in token.norm)
        end = token.end


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (HOSTILE["homoglyphs"], "set an alarm for nine"),
        ("\u0405\u0415\u0422 \u0422IMER", "ѕет timer"),  # a word wholly in Cyrillic is Cyrillic
        (HOSTILE["full width"], "set an alarm for 9 : 30"),
        (HOSTILE["mathematical"], "what time is it"),
        (HOSTILE["joined"], "what time is it"),
        ("\u202ewhat\u202c \u2066time\u2069", "what time"),
        ("what\u200btime", "what time"),
        ("soft\u00adhyphen", "softhyphen"),
        ("s\u0336e\u0336t\u0336 a\u0332larm", "set a\u0332larm"),
        (f"set an al{FLOOD}arm", "set an alarm"),
        ("10\ufe0f\u20e3 minutes", "10 minutes"),
        ("٣:٤٥", "3 : 45"),
        ("３，５００．２５", "3,500.25"),
        ("don’t donʼt don＇t", "don't don't don't"),
        ("тайм 5 минут", "тайм 5 минут"),
        ("c\u0430\u0493ат", "сағат"),  # Kazakh with a Latin c
        ("ελλάδα", "ελλάδα"),
    ],
)
def test_what_looks_alike_is_read_alike(text: str, words: str) -> None:
    assert " ".join(token.norm for token in tokenise(normalise(text, field="text"))) == words


def test_folding_keeps_lengths_and_leaves_one_script_alone() -> None:
    for word in ("аlarm", "тайм", "αβγ", "alarm", "москвa", "straße"):
        assert len(of_one_script(word)) == len(word)
    assert of_one_script("жarm") == "жarm"  # neither script can spell it
    assert of_one_script("kΩ") == "kΩ"  # Greek does not become Cyrillic


def test_spans_are_those_of_the_text_that_is_returned() -> None:
    text = normalise("\u202ese\u0301t ｆｏｒ\u200d ten", field="text")
    assert [text[token.start : token.end] for token in tokenise(text)] == ["sét", "ｆｏｒ\u200d", "ten"]


@pytest.mark.parametrize("language", ["en", "de", "nl", "ar", "zh"])
def test_values_are_looked_for_in_bounded_time(language: str) -> None:
    slowest = ("", 0.0)
    for name, text in HOSTILE.items():
        tokens = tokenise(normalise(text, field="text"))
        finder = Finder(language, Situation(), Gazetteer.bundled(), {})
        began = time.process_time()
        for value_type in TYPES:
            for found in finder.find(value_type, tokens):
                assert 0 <= found.start < found.end <= len(tokens)
        slowest = max(slowest, (name, time.process_time() - began), key=lambda one: one[1])
    assert slowest[1] < 1.0, slowest
