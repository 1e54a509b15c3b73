"""What becomes of a client's phrases and of a session's grammar."""

from __future__ import annotations

import time

import pytest

from services.asr.engines.neural.expected import of_grammar, of_phrases
from services.asr.engines.neural.hotwords import ROOT, Hotwords
from services.asr.engines.neural.pieces import Tokens
from services.asr.grammar import GrammarClass, PhraseGrammar
from services.asr.requests import Phrase

pytestmark = pytest.mark.unit

TOKENS = Tokens(["<blk>", "call", "now", "one", "two"])


def bonus(hotwords: Hotwords | None, *tokens: int) -> float:
    assert hotwords is not None
    state, total = ROOT, 0.0
    for token in tokens:
        state, step = hotwords.step(state, token)
        total += step
    return total + hotwords.end(state)


def test_phrases_with_their_boost_or_the_default() -> None:
    expected = of_phrases(TOKENS, [Phrase("call now", 3.0), Phrase("two")])
    assert (expected.accepted, expected.unmatched) == (2, ())
    assert bonus(expected.hotwords, 1, 2) == 6.0
    assert 0.0 < bonus(expected.hotwords, 4) < 3.0


def test_phrases_without_effect_say_why() -> None:
    expected = of_phrases(TOKENS, [Phrase("call bob", 3.0), Phrase(" "), Phrase("one " * 30)])
    assert expected.hotwords is None
    assert expected.accepted == 0
    assert [(each.reason, each.words) for each in expected.unmatched] == [
        ("OUT_OF_VOCABULARY", ("bob",)),
        ("NO_WORDS", ()),
        ("TOO_LONG", ()),
    ]


def test_a_grammar_gives_the_words_around_its_slots_and_its_entries() -> None:
    grammar = PhraseGrammar(
        (("call {who} now", 1.0), ("{who}", 1.0)), (GrammarClass("who", (("one two", 1.0), ("bob", 1.0))),)
    )
    expected = of_grammar(TOKENS, grammar)
    assert expected.accepted == 2
    assert [(each.text, each.reason) for each in expected.unmatched] == [("bob", "OUT_OF_VOCABULARY")]
    assert bonus(expected.hotwords, 1) > 0
    assert bonus(expected.hotwords, 3, 4) == 2 * bonus(expected.hotwords, 2)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("call {", "MALFORMED_SLOT"),
        ("call {when}", "UNKNOWN_CLASS"),
        ("phone", "OUT_OF_VOCABULARY"),
        ("…", "NO_WORDS"),
        ("one " * 80, "TOO_LONG"),
    ],
)
def test_phrases_of_a_grammar_without_effect(text: str, reason: str) -> None:
    expected = of_grammar(TOKENS, PhraseGrammar(((text, 1.0),)))
    assert (expected.accepted, expected.hotwords) == (0, None)
    assert [each.reason for each in expected.unmatched] == [reason]


def test_phrases_are_bounded_together() -> None:
    expected = of_phrases(TOKENS, [Phrase("one two " * 12)] * 1_000)
    assert expected.accepted == 10_000 // 24
    assert {each.reason for each in expected.unmatched} == {"TOO_MANY"}


def test_a_large_grammar_is_read_in_bounded_time() -> None:
    entries = tuple((f"one two {'call ' * (at % 7)}now", 1.0) for at in range(10_000))
    grammar = PhraseGrammar(tuple((f"call {{c{at % 5}}}", 1.0) for at in range(1_000)),
                            tuple(GrammarClass(f"c{at}", entries) for at in range(5)))  # fmt: skip
    began = time.process_time()
    assert of_grammar(TOKENS, grammar).accepted == 1_000
    assert time.process_time() - began < 10.0
