"""A small grammar of what people say for values, read from one text file per language, and its parser.

`finder.py` asks a `Parser` what a rule reads at a word. The files in `languages/` hold all that is particular to a
language, so that who adds one writes no code:

    tunit=60: minute|minutes            "minute" means the constant 60
    duration.of: {amount} {tunit}       the method `of` of the actions for `duration` gets amount and tunit
    clock.to: [a] quarter to {hour}     [ ] may be missing, ( | ) is one of several
    span: from {a:clock} to {b:clock}   a rule named twice takes labels
    day.nth: the {ordinal} {!month}     unless a month follows

Every rule is read at every word at most once, and keeps at most `MAX_READINGS` of its readings: work grows with the
length of the text, whatever the text is.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from services.nlu.text import tokenise
from services.nlu.values.spoken import Spoken, spoken

FOLDER = Path(__file__).with_name("languages")
MAX_READINGS = 6
"""Readings (values with different ends) of one rule at one word."""

_LONGEST = 24
"""Words of one value; nobody says a longer one, and nested rules stop there."""

WORDS_ONLY = object()
"""What a rule of words alone reads ("at|around"): no action gets it."""

_PIECE = re.compile(r"\s*([\[\]()|]|\{[^}]*\}|[^\[\]()|{}]+)")


@dataclass(frozen=True)
class _Word:
    word: str


@dataclass(frozen=True)
class _Ref:
    label: str
    rule: str


@dataclass(frozen=True)
class _Without:
    rule: str


@dataclass(frozen=True)
class _Choice:
    options: tuple[_Sequence, ...]


_Part = _Word | _Ref | _Without | _Choice
_Sequence = tuple[_Part, ...]


@dataclass(frozen=True)
class _Variant:
    """One alternative of a rule: what it looks like and what becomes of it."""

    parts: _Sequence
    action: str
    constant: str | None


@dataclass(frozen=True)
class Grammar:
    """The rules of one language.

    Attributes:
        rules: name -> variants.
        firsts: name -> the variants that a word may begin; "" are those that begin with a terminal.
    """

    rules: Mapping[str, Sequence[_Variant]]
    firsts: Mapping[str, Mapping[str, tuple[_Variant, ...]]] = field(default_factory=dict)

    @classmethod
    @cache
    def of(cls, language: str) -> Grammar | None:
        """The grammar of a language by primary subtag; None if there is no file for it."""
        own = FOLDER / f"{language}.grammar"
        if not re.fullmatch(r"[a-z]{2,3}", language) or not own.exists():
            return None
        texts = [path.read_text(encoding="utf-8") for path in (FOLDER / "common.grammar", own)]
        return cls.parse(texts, language)

    @classmethod
    def parse(cls, texts: Sequence[str], language: str) -> Grammar:
        rules: dict[str, list[_Variant]] = {}
        for line in (line for text in texts for line in text.splitlines() if line and not line.startswith("#")):
            head, _, body = line.partition(": ")
            name, equals, constant = head.strip().partition("=")
            rule, _, action = name.partition(".")
            choice = _parsed(body, language)
            rules.setdefault(rule, []).extend(
                _Variant(option, action, constant if equals else None) for option in choice.options
            )
        return cls(rules, {rule: _by_first(rules, variants) for rule, variants in rules.items()})


def _by_first(
    rules: Mapping[str, Sequence[_Variant]], variants: Sequence[_Variant]
) -> Mapping[str, tuple[_Variant, ...]]:
    table: dict[str, list[_Variant]] = {}
    for variant in variants:
        for first in _firsts(rules, variant.parts, frozenset())[0]:
            table.setdefault(first, []).append(variant)
    return {first: tuple(some) for first, some in table.items()}


def _firsts(rules: Mapping[str, Sequence[_Variant]], parts: _Sequence, above: frozenset[str]) -> tuple[set[str], bool]:
    """Words that may come first, and whether the parts may be empty altogether."""
    found: set[str] = set()
    for part in parts:
        match part:
            case _Word(word):
                return found | {word}, False
            case _Without():
                continue
            case _Ref(_, rule) if rule not in rules:
                return found | {""}, False
            case _Ref(_, rule):
                if rule in above:
                    raise ValueError(f"The rule {rule} begins with itself.")
                for variant in rules[rule]:
                    found |= _firsts(rules, variant.parts, above | {rule})[0]
                return found, False
            case _Choice(options):
                every = [_firsts(rules, option, above) for option in options]
                found = found.union(*(one[0] for one in every))
                if not any(one[1] for one in every):
                    return found, False
    return found, True


def _parsed(body: str, language: str) -> _Choice:
    pieces = _PIECE.findall(body)
    choice, rest = _choice(pieces, 0, language)
    if rest != len(pieces):
        raise ValueError(f"Brackets do not match: {body}")
    return choice


def _choice(pieces: Sequence[str], at: int, language: str) -> tuple[_Choice, int]:
    options: list[list[_Part]] = [[]]
    while at < len(pieces) and pieces[at] not in {")", "]"}:
        piece = pieces[at]
        if piece == "|":
            options.append([])
        elif piece in {"(", "["}:
            inner, at = _choice(pieces, at + 1, language)
            options[-1].append(_Choice((*inner.options, ())) if piece == "[" else inner)
        elif piece.startswith("{!"):
            options[-1].append(_Without(piece[2:-1]))
        elif piece.startswith("{"):
            label, _, rule = piece[1:-1].rpartition(":")
            options[-1].append(_Ref(label or rule, rule))
        else:
            options[-1] += [_Word(word) for word in spoken(tokenise(piece.strip()), language).words]
        at += 1
    return _Choice(tuple(tuple(option) for option in options)), at


Terminal = Callable[[Spoken, int], Sequence[tuple[Any, int]]]
"""Reads something that is no rule (a number) at a word: values with the position after each."""


class Parser:
    """One utterance under one grammar.

    Args:
        terminals: by name, as rules refer to them.
        actions: by rule, the object whose methods make the values of `rule.method` from the parts by name; None is no
            value ("february thirtieth").
    """

    def __init__(
        self, grammar: Grammar, words: Spoken, terminals: Mapping[str, Terminal], actions: Mapping[str, object]
    ) -> None:
        self._grammar = grammar
        self._words = words
        self._terminals = terminals
        self._actions = actions
        self._known: dict[tuple[str, int], tuple[tuple[Any, int], ...]] = {}
        self._numbers: dict[int, bool] = {}

    def read(self, rule: str, at: int) -> tuple[tuple[Any, int], ...]:
        """What the rule reads at word `at`: (value, position after), longest first."""
        key = (rule, at)
        known = self._known.get(key)
        if known is None:
            self._known[key] = ()
            self._known[key] = known = self._read(rule, at)
        return known

    def _read(self, rule: str, at: int) -> tuple[tuple[Any, int], ...]:
        if at >= len(self._words.words):
            return ()
        if rule not in self._grammar.rules:
            return tuple(self._terminals[rule](self._words, at))
        table = self._grammar.firsts[rule]
        variants = table.get(self._words.words[at], ())
        if "" in table and self._numeric(at):
            variants = (*variants, *table[""])
        if not variants:
            return ()
        found: dict[int, Any] = {}
        for variant in variants:
            for parts, end in self._sequence(variant.parts, 0, at, at + _LONGEST):
                if end not in found and (value := self._value(rule, variant, parts)) is not None:
                    found[end] = value
        longest = sorted(found, reverse=True)[:MAX_READINGS]
        return tuple((found[end], end) for end in longest)

    def _numeric(self, at: int) -> bool:
        """Whether any terminal can read something here: they all begin with a number."""
        if at not in self._numbers:
            words = self._words.words
            self._numbers[at] = words[at][0].isdecimal() or any(
                self._terminals[name](self._words, at) for name in ("number", "ordinal")
            )
        return self._numbers[at]

    def _sequence(
        self, parts: _Sequence, index: int, at: int, limit: int
    ) -> list[tuple[tuple[tuple[str, Any], ...], int]]:
        """Every way to read the parts from `index` on: labelled values, and the position after."""
        if index == len(parts):
            return [((), at)]
        found = []
        for values, middle in self._part(parts[index], at, limit):
            found += [(values + more, end) for more, end in self._sequence(parts, index + 1, middle, limit)]
            if len(found) > MAX_READINGS * 2:
                break
        return found

    def _part(self, part: _Part, at: int, limit: int) -> list[tuple[tuple[tuple[str, Any], ...], int]]:
        match part:
            case _Word(word):
                here = at < len(self._words.words) and self._words.words[at] == word
                return [((), at + 1)] if here else []
            case _Ref(label, rule):
                return [
                    (() if value is WORDS_ONLY else ((label, value),), end)
                    for value, end in self.read(rule, at)
                    if end <= limit
                ]
            case _Without(rule):
                return [] if self.read(rule, at) else [((), at)]
            case _Choice(options):
                return [one for option in options for one in self._sequence(option, 0, at, limit)]

    def _value(self, rule: str, variant: _Variant, parts: tuple[tuple[str, Any], ...]) -> Any:
        if variant.action:
            given = dict(parts)
            if variant.constant is not None:
                given["constant"] = variant.constant
            return getattr(self._actions[rule], variant.action)(**given)
        if variant.constant is not None:
            return variant.constant
        return parts[0][1] if parts else WORDS_ONLY
