"""From phrases with slots to weighted sentences."""

from __future__ import annotations

from collections import Counter

import pytest

from services.asr.engines.pocketsphinx.ngrams import Vocabulary
from services.asr.engines.pocketsphinx.phrases import Expansion, Speller, expanded
from services.asr.grammar import GrammarClass, PhraseGrammar, Weighted

pytestmark = pytest.mark.unit

KNOWN = set("a an the turn on off lamp floor ceiling list add to my i'm what's twenty one two l'heure e mail".split())
KNOWN |= {"e-mail", "测试", "试", "这个"}
FORMS: dict[str, list[Weighted]] = {"INTEGER": [("one", 0.9), ("two", 0.1)], "DATE": []}


def expansion(
    *phrases: str | Weighted, classes: tuple[GrammarClass, ...] = (), general: tuple[str, ...] = ()
) -> tuple[Expansion, Counter[str]]:
    """What came of them, and the sentences' weights by text."""
    vocabulary = Vocabulary()
    speller = Speller(vocabulary, KNOWN.__contains__)
    weighted = tuple((phrase, 1.0) if isinstance(phrase, str) else phrase for phrase in phrases)
    found = expanded(
        PhraseGrammar(weighted, classes),
        speller,
        lambda kind: FORMS.get(kind, ()),
        lambda: [speller.words(text)[0] for text in general],
    )
    weights: Counter[str] = Counter()
    for sentence, weight in zip(found.sentences, found.weights, strict=True):
        weights[" ".join(vocabulary.words[word] for word in sentence)] += weight  # type: ignore[assignment]
    return found, weights


def a_class(name: str, *entries: str | Weighted, value_type: str = "") -> GrammarClass:
    weighted = tuple((entry, 1.0) if isinstance(entry, str) else entry for entry in entries)
    return GrammarClass(name, weighted, value_type)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Turn ON, the lamp!", "turn on the lamp"),
        ("what’s  on", "what's on"),
        ("twenty-one", "twenty one"),
        ("an e-mail", "an e-mail"),
        ("'turn' on'", "turn on"),
        ("turn\u0000on\tthe\nlamp", "turn on the lamp"),
        ("这个测试", "这个 测试"),
    ],
)
def test_text_as_words(text: str, words: str) -> None:
    found, weights = expansion(text)
    assert (found.unmatched, list(weights)) == ([], [words])


@pytest.mark.parametrize(
    ("phrase", "reason", "words"),
    [
        ("turn on xyzzy and plugh", "OUT_OF_VOCABULARY", ("xyzzy", "and", "plugh")),
        ("", "NO_WORDS", ()),
        ("?!", "NO_WORDS", ()),
        ("a " * 120, "TOO_LONG", ()),
        ("a {thing", "MALFORMED_SLOT", ()),
        ("a }", "MALFORMED_SLOT", ()),
        ("a {thing}", "UNKNOWN_CLASS", ("thing",)),
        ("a {nothing}", "EMPTY_CLASS", ("nothing",)),
        ("一二", "OUT_OF_VOCABULARY", ("一二",)),
    ],
)
def test_what_has_no_effect_is_told_and_the_rest_goes_on(phrase: str, reason: str, words: tuple[str, ...]) -> None:
    found, weights = expansion(phrase, "turn on", classes=(a_class("nothing"),))
    (unmatched,) = found.unmatched
    assert (unmatched.reason, unmatched.words) == (reason, words)
    assert len(unmatched.text) <= 200
    assert (found.accepted, list(weights)) == (1, ["turn on"])


def test_reports_are_bounded() -> None:
    found, _ = expansion(*[f"xyzzy{number}" for number in range(500)], "turn on")
    assert len(found.unmatched) == 100


def test_weights_are_those_of_the_phrases() -> None:
    _, weights = expansion(("turn on", 3.0), ("turn off", 0.0))
    assert weights["turn on"] == pytest.approx(3 * weights["turn off"])


def test_every_entry_of_a_slot_comes() -> None:
    names = [f"{first} {second}" for first in sorted(KNOWN) for second in sorted(KNOWN) if first.isascii()]
    entries = [name for name in names if name.isascii()]
    found, weights = expansion("turn on {name}", classes=(a_class("name", *entries),))
    assert found.unmatched == []
    assert set(weights) == {f"turn on {name}".replace("  ", " ") for name in entries}


def test_likely_entries_come_more_often() -> None:
    _, weights = expansion("turn on {name}", classes=(a_class("name", ("lamp", 9.0), ("list", 1.0)),))
    assert weights["turn on lamp"] > 3 * weights["turn on list"] > 0


def test_types_add_their_forms_and_free_text_general_words() -> None:
    _, weights = expansion(
        "add {count}",
        "add {item} to my list",
        classes=(a_class("count", value_type="INTEGER"), a_class("item", "lamp", value_type="TEXT")),
        general=("floor", "ceiling"),
    )
    assert weights["add one"] > weights["add two"] > 0
    assert {"add lamp to my list", "add floor to my list", "add ceiling to my list"} < set(weights)


def test_slots_can_be_all_there_is() -> None:
    _, weights = expansion("{count}", classes=(a_class("count", value_type="INTEGER"),))
    assert set(weights) == {"one", "two"}


def test_the_same_phrases_give_the_same_sentences() -> None:
    classes = (a_class("name", *"lamp floor ceiling list".split()),)
    assert expansion("turn on {name}", classes=classes)[0] == expansion("turn on {name}", classes=classes)[0]


def test_work_is_bounded() -> None:
    many = a_class("name", *["lamp floor", "ceiling", "list"] * 3_000)
    phrases = [f"{' '.join(['turn', 'on'] * (number % 3 + 1))} {{name}} {{name}}" for number in range(3_000)]
    found, _ = expansion(*phrases, classes=(many,))
    assert len(found.sentences) < 60_000
