"""What holds for every type and language: grammars that fit together, bounded work, clocks that are set."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from services.nlu.text import MAX_CODE_POINTS, tokenise
from services.nlu.understanding import Situation
from services.nlu.values import patterns
from services.nlu.values.finder import _FINDS, _READS, Finder, _actions
from services.nlu.values.patterns import FOLDER, Grammar, Parser
from services.nlu.values.spoken import spoken
from services.nlu.values.terminals import terminals
from tests.unit.nlu.value_tables import a_finder, found, read

pytestmark = pytest.mark.unit

LANGUAGES = sorted(path.stem for path in FOLDER.glob("*.grammar") if path.stem != "common")
TYPES = (*_FINDS, "PLACE", "EXPRESSION", "TEXT", "ENTITY", "NO_SUCH_TYPE")


def references(parts: tuple[patterns._Part, ...]) -> Iterator[str]:
    for part in parts:
        match part:
            case patterns._Ref(_, rule) | patterns._Without(rule):
                yield rule
            case patterns._Choice(options):
                for option in options:
                    yield from references(option)


def a_grammar(language: str) -> Grammar:
    grammar = Grammar.of(language)
    assert grammar is not None
    return grammar


def test_the_five_languages_have_grammars() -> None:
    assert LANGUAGES == ["de", "en", "es", "fr", "it"]


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_rule_that_a_grammar_names_exists(language: str) -> None:
    grammar = a_grammar(language)
    known = {*grammar.rules, *terminals(language)}
    for rule, variants in grammar.rules.items():
        for variant in variants:
            assert variant.parts, rule
            assert set(references(variant.parts)) <= known, rule
    spoken_for = {rule for rules in _FINDS.values() for rule, _ in rules} | {
        r for rules in _READS.values() for r in rules
    }
    assert spoken_for | {"never", "lead", "filler", "opener", "pronoun", "abandon"} <= known


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_action_that_a_grammar_names_exists(language: str) -> None:
    _, actions = _actions(Situation(), language)
    for rule, variants in a_grammar(language).rules.items():
        for variant in variants:
            assert not variant.action or callable(getattr(actions[rule], variant.action)), rule


def test_a_grammar_whose_rule_begins_with_itself_is_refused() -> None:
    with pytest.raises(ValueError, match="begins with itself"):
        Grammar.parse(["a: {b} x\nb: {a} y|z"], "en")


@pytest.mark.parametrize("line", ["a: (b|c", "a: b]", "a: [b"])
def test_a_grammar_with_an_open_bracket_is_refused(line: str) -> None:
    with pytest.raises(ValueError, match="Brackets"):
        Grammar.parse([line], "en")


def test_what_a_pattern_can_say() -> None:
    grammar = Grammar.parse(["a: [the] (red|big red) {noun} {!no}\nnoun=n: box|fox\nno: trot"], "en")

    def ends(text: str) -> list[int]:
        return [end for _, end in Parser(grammar, spoken(tokenise(text), "en"), terminals("en"), {}).read("a", 0)]

    assert ends("the big red box") == [4]
    assert ends("red fox") == [2]
    assert ends("red fox trot") == []
    assert ends("the box") == []


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize(
    "words",
    [
        "and ",
        "one ",
        "a quarter to ",
        "from one to ",
        "monday and ",
        "halb ",
        "las ",
        "deux heures et ",
        "un'ora e ",
        "7:",
        "1 ",
        "9",
        "in two hours and ",
        "every monday ",
        "for please ",
        "tomorrow from three to five ",
        "\x00\x07 ",
        "🙂",
        "½/",
        "'s ",
        "- ",
    ],
)
def test_hostile_words_cost_bounded_time(words: str, language: str) -> None:
    tokens = tokenise((words * MAX_CODE_POINTS)[:MAX_CODE_POINTS])
    finder = a_finder(language)
    a_finder(language).find("TIME", tokenise("noon"))
    started = time.process_time()
    for value_type in TYPES:
        assert len(finder.find(value_type, tokens)) <= 64
        finder.read(value_type, tokens)
    assert time.process_time() - started < 3.0


def test_empty_and_unknown() -> None:
    for value_type in TYPES:
        assert a_finder("en").find(value_type, ()) == ()
        assert a_finder("en").read(value_type, ()) == ()
        assert a_finder("xx").find(value_type, tokenise("tomorrow at seven")) == ()
        assert a_finder("../en").find(value_type, tokenise("tomorrow at seven")) == ()


def test_spans_are_those_of_the_tokens() -> None:
    text = "wake me at twenty-five past seven, un'ora"
    tokens = tokenise(text)
    (first, *_) = a_finder("en").find("TIME", tokens)
    assert text[tokens[first.start].start : tokens[first.end - 1].end] == "at twenty-five past seven"


def test_a_value_does_not_end_inside_a_token() -> None:
    tokens = tokenise("un'ora e mezza")
    (first, *_) = a_finder("it").find("DURATION", tokens)
    assert (first.start, first.end) == (0, len(tokens))


def test_longer_and_surer_readings_come_first() -> None:
    places = a_finder("en").find("DURATION", tokenise("for two and a half hours"))
    lengths = [one.end - one.start for one in places]
    assert lengths == sorted(lengths, reverse=True)
    inner = next(one for one in places if one.end - one.start == 3)
    assert inner.confidence < 0.6 < places[1].confidence


@pytest.mark.parametrize(("words", "least"), [("the second", 0.0), ("a dog", 0.0)])
def test_words_that_seldom_are_values_are_trusted_little(words: str, least: float) -> None:
    for value_type in ("DATE", "INTEGER"):
        for one in a_finder("en").find(value_type, tokenise(words)):
            assert least < one.confidence <= 0.5


BEFORE_SPRING = datetime(2026, 3, 28, 22, 0, tzinfo=UTC)  # 23:00 in Berlin, four hours before clocks go forward
BEFORE_AUTUMN = datetime(2026, 10, 24, 21, 0, tzinfo=UTC)  # 23:00 in Berlin, five hours before clocks go back


def moment(words: str, now: datetime, zone: str = "Europe/Berlin") -> str:
    finder = Finder("en", Situation(now, zone), a_finder("en")._gazetteer, {})
    values = finder.read("DATETIME", tokenise(words))
    assert values
    assert isinstance(values[0], datetime)
    return values[0].isoformat()


@pytest.mark.parametrize(
    ("words", "now", "expected"),
    [
        ("in six hours", BEFORE_SPRING, "2026-03-29T06:00:00+02:00"),
        ("tomorrow at 2:30 am", BEFORE_SPRING, "2026-03-29T03:30:00+02:00"),
        ("tomorrow at 7 am", BEFORE_SPRING, "2026-03-29T07:00:00+02:00"),
        ("in one day", BEFORE_SPRING, "2026-03-29T23:00:00+02:00"),
        ("in 24 hours", BEFORE_SPRING, "2026-03-30T00:00:00+02:00"),
        ("in six hours", BEFORE_AUTUMN, "2026-10-25T04:00:00+01:00"),
        ("in three hours and a half", BEFORE_AUTUMN, "2026-10-25T02:30:00+02:00"),
        ("in four hours and a half", BEFORE_AUTUMN, "2026-10-25T02:30:00+01:00"),
        ("tomorrow at 7 am", BEFORE_AUTUMN, "2026-10-25T07:00:00+01:00"),
        ("in one week", BEFORE_AUTUMN, "2026-10-31T23:00:00+01:00"),
    ],
)
def test_clocks_that_are_set_on_the_way(words: str, now: datetime, expected: str) -> None:
    assert moment(words, now) == expected


def test_the_days_are_those_of_the_user() -> None:
    now = datetime(2026, 11, 20, 14, 0, tzinfo=UTC)
    assert moment("tomorrow at 7 am", now, "Pacific/Auckland") == "2026-11-22T07:00:00+13:00"
    assert moment("tomorrow at 7 am", now, "America/Los_Angeles") == "2026-11-21T07:00:00-08:00"
    assert moment("tomorrow at 7 am", now, "") == "2026-11-21T07:00:00+00:00"


def test_places_of_a_sentence_with_what_tells_them_apart() -> None:
    finder = a_finder("en")
    text = "compare paris texas with tokyo please"
    tokens = tokenise(text)
    spans = {text[tokens[one.start].start : tokens[one.end - 1].end] for one in finder.find("PLACE", tokens)}
    assert spans == {"paris texas", "texas", "tokyo"}
    assert finder.find("PLACE", tokens)[0].end - finder.find("PLACE", tokens)[0].start == 2


def test_an_expression_is_read_where_it_stands() -> None:
    tokens = tokenise("what is two plus three times four please")
    (one,) = a_finder("en").find("EXPRESSION", tokens)
    assert (one.start, one.end) == (2, 7)
    assert read("EXPRESSION", "en", "two plus three") != "-"


def test_text_is_found_nowhere() -> None:
    assert found("TEXT", "en", "anything at all") == "-"
