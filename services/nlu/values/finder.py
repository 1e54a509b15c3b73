"""Finds and reads typed values in the tokens of one utterance: the one door to all readers of this folder.

The phrase engine asks `find` where values of a slot's type stand, and `read` whether certain tokens are one; both take
the name of the contract's ValueType without its prefix ("DURATION"). A finder belongs to one request: relative values
("tomorrow", "in ten minutes") are told from its situation. What people say is in `languages/*.grammar`; here is which
rules speak for which type and how far they are to be trusted.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, time
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from services.nlu.text import MAX_TOKENS, Token, tokenise
from services.nlu.understanding import Situation, Value
from services.nlu.values.amounts import Amounts, Durations, Monies, Quantities, Span, Truths
from services.nlu.values.arithmetic import read_expression
from services.nlu.values.calendar_days import Counts, Day, Days
from services.nlu.values.clocks import Clock, Clocks, Hours, Minutes
from services.nlu.values.entities import Catalogue, EntityIndex
from services.nlu.values.further.reading import Reader
from services.nlu.values.kinds import Entity
from services.nlu.values.moments import Moment, Moments, Ranges, Recurrences, Repeats, Weekdays
from services.nlu.values.patterns import Grammar, Parser
from services.nlu.values.places import Gazetteer
from services.nlu.values.spoken import Spoken, spoken
from services.nlu.values.terminals import exact, terminals

MAX_FOUND = 64
"""Readings of one type that are told per utterance."""

_FINDS: Mapping[str, tuple[tuple[str, float], ...]] = {
    "INTEGER": (("int", 0.8), ("ordinal", 0.5)),
    "DECIMAL": (("amount", 0.8),),
    "BOOLEAN": (("truth", 0.7),),
    "QUANTITY": (("quantity", 0.95),),
    "MONEY": (("money", 0.95),),
    "DATE": (("date", 0.95),),
    "TIME": (("time", 0.95), ("at_time", 0.85), ("said", 0.7)),
    "DATETIME": (("moment", 0.95), ("next_time", 0.85), ("next_said", 0.65), ("date", 0.6)),
    "DURATION": (("duration", 0.95), ("said_duration", 0.95)),
    "INTERVAL": (("range", 0.95), ("ranged_day", 0.7)),
    "RECURRENCE": (("recurrence", 0.95),),
}
"""Type -> the rules whose finds in a sentence are such values, and how sure they are.

A day alone fills a DATETIME as a date: who takes it may ask for the time, or mean all of the day."""

_READS: Mapping[str, tuple[str, ...]] = {
    "TIME": ("bare",),
    "DATETIME": ("next_bare", "loose_moment"),
    "DURATION": ("asked_duration",),
    "DATE": ("asked_day",),
    "INTERVAL": ("asked_range",),
    "QUANTITY": ("counted",),
}
"""Type -> the rules that read words as one only where such a value is asked for."""

_ARTICLE_CONFIDENCE = 0.3  # "a", "un", "eine": a number only by the way
_WEAK_DAY = 0.4


@dataclass(frozen=True, slots=True)
class Found:
    """Tokens `start` to `end` (half open) read as values, best first.

    Attributes:
        confidence: that these words mean such a value, 0 to 1.
        catalogue_hit: a catalogue or the gazetteer holds them.
    """

    start: int
    end: int
    values: tuple[Value, ...]
    confidence: float
    catalogue_hit: bool


class Finder:
    """Reads values in one language and situation.

    Args:
        language: of the words, as a BCP-47 tag or its primary subtag.
        catalogues: by the name that slots give.
        pointed: things that "it" may stand for, newest first.
    """

    def __init__(
        self,
        language: str,
        situation: Situation,
        gazetteer: Gazetteer,
        catalogues: Mapping[str, Catalogue],
        pointed: Sequence[Entity] = (),
    ) -> None:
        self._pointed = tuple(pointed)
        self._language = language.partition("-")[0]
        self._gazetteer = gazetteer
        self._catalogues = catalogues
        self._grammar = Grammar.of(self._language)
        self._terminals = terminals(self._language)
        self._reader = Reader.of(self._language, situation) if self._grammar is None else None
        self._moments, self._actions = _actions(situation, self._language)
        self._found: dict[tuple[str, tuple[Token, ...], str], tuple[Found, ...]] = {}
        self._parsed: dict[tuple[Token, ...], tuple[Spoken, Parser | None]] = {}

    def find(self, value_type: str, tokens: Sequence[Token], catalogue: str = "") -> tuple[Found, ...]:
        """Every place where such a value can be read, longest and surest first, overlapping ones allowed.

        Args:
            value_type: of the contract, without its prefix; a TEXT is found nowhere.
            tokens: of the utterance; only the first 200 are looked at.
            catalogue: that holds the values of an ENTITY.
        """
        key = (value_type, tuple(tokens[:MAX_TOKENS]), catalogue)
        if key not in self._found:
            if len(self._found) >= _MOST_KEPT:
                self._found.clear()
            self._found[key] = self._find(*key)
        return self._found[key]

    def _find(self, value_type: str, tokens: tuple[Token, ...], catalogue: str) -> tuple[Found, ...]:
        if value_type == "PLACE":
            found = self._places(tokens)
        elif value_type == "ENTITY":
            found = self._entities(tokens, catalogue)
        elif value_type == "EXPRESSION":
            found = self._expressions(tokens)
        else:
            found = self._ruled(value_type, tokens)
        found.sort(key=lambda one: (one.start - one.end, -one.confidence, one.start))
        return tuple(found[:MAX_FOUND])

    def read(self, value_type: str, tokens: Sequence[Token], catalogue: str = "") -> tuple[Value, ...]:
        """These tokens as a whole, best first; none if they are no such value.

        Where a type is asked for, less is enough: "ten" is a DURATION, "seven" a TIME.
        """
        tokens = tuple(
            token for token in tokens[:MAX_TOKENS] if token.norm not in {"?", "!", ".", ","} or len(tokens) < 2
        )
        if not tokens:
            return ()
        if value_type == "PLACE":
            return self._gazetteer.resolve(tokens)
        if value_type == "ENTITY":
            index = self._index(catalogue)
            return tuple(index.read(tokens)) if index else ()
        if value_type == "EXPRESSION":
            return tuple(one.values[0] for one in self._expressions(tokens) if one.end - one.start >= len(tokens) - 1)
        if value_type == "TEXT":
            return ()
        if self._reader is not None:
            return self._reader.whole(value_type, self._parser(tokens)[0])
        words, parser = self._parser(tokens)
        for rule in (*(rule for rule, _ in _FINDS.get(value_type, ())), *_READS.get(value_type, ())):
            for value, end in self._results(rule, words, parser, 0):
                if words.ends[end] == len(tokens) and (values := self._values(value_type, value)):
                    return values
        return ()

    def length_of(self, rule: str, tokens: Sequence[Token]) -> int:
        """How many tokens a rule of words ("opener", "filler") takes at the beginning; 0 if none."""
        words, parser = self._parser(tuple(tokens[:MAX_TOKENS]))
        ends = [words.ends[end] for _, end in parser.read(rule, 0)] if parser else []
        return max(ends, default=0)

    def all_of(self, rule: str, tokens: Sequence[Token]) -> bool:
        """Whether the tokens are nothing but such words."""
        return 0 < len(tokens) <= MAX_TOKENS and self.length_of(rule, tokens) == len(tokens)

    def tokens(self, text: str) -> tuple[Token, ...]:
        """Another text of the same request as tokens."""
        return tokenise(unicodedata.normalize("NFC", text))

    def _further(self, reader: Reader, value_type: str, tokens: tuple[Token, ...]) -> list[Found]:
        """In a language without a grammar."""
        words = self._parser(tokens)[0]
        spans = ((words.starts[one.start], words.ends[one.end], one) for one in reader.find(value_type, words))
        return [
            Found(start, end, one.values, one.confidence, catalogue_hit=False)
            for start, end, one in spans
            if start >= 0 and end >= 0
        ]

    def _ruled(self, value_type: str, tokens: tuple[Token, ...]) -> list[Found]:
        if self._reader is not None:
            return self._further(self._reader, value_type, tokens)
        words, parser = self._parser(tokens)
        found: dict[tuple[int, int], Found] = {}
        if parser is None and value_type not in {"INTEGER", "DECIMAL"}:
            return []
        for at in range(len(words.words)):
            for rule, confidence in _FINDS.get(value_type, ()):
                self._take(found, value_type, words, at, self._results(rule, words, parser, at), confidence)
            if value_type in {"TIME", "DATETIME"} and parser is not None:
                self._take_after_preposition(found, value_type, words, parser, at)
        kept = _sifted(found, words, parser)
        if parser is not None and value_type in {"TIME", "DATETIME"} and _repeats(words, parser):
            return [replace(one, values=_by_day(one.values)) for one in kept]
        return kept

    def _take_after_preposition(
        self, found: dict[tuple[int, int], Found], value_type: str, words: Spoken, parser: Parser, at: int
    ) -> None:
        """ "at seven": "seven" alone is a time as well, where a phrase says "at" itself."""
        rule = "face" if value_type == "TIME" else "next_bare"
        for _, middle in parser.read("at", at):
            self._take(found, value_type, words, middle, parser.read(rule, middle), 0.8)

    def _take(
        self,
        found: dict[tuple[int, int], Found],
        value_type: str,
        words: Spoken,
        at: int,
        results: Sequence[tuple[Any, int]],
        confidence: float,
    ) -> None:
        """Keeps the two longest readings that begin and end with a token; the shorter leaves words that fit, and counts
        less."""
        for shorter, (value, end) in enumerate(results[:2]):
            start, after = (words.starts[at], words.ends[end]) if at < len(words.starts) else (-1, -1)
            if start < 0 or after < 0 or (start, after) in found or not (values := self._values(value_type, value)):
                continue
            own = _ARTICLE_CONFIDENCE if _is_article(value_type, words, at, end) else confidence
            own = _WEAK_DAY if isinstance(value, Day) and value.weak else own
            own *= _SHORTER if shorter else 1.0
            found[start, after] = Found(start, after, values, own, catalogue_hit=False)

    def _results(self, rule: str, words: Spoken, parser: Parser | None, at: int) -> Sequence[tuple[Any, int]]:
        """What a rule reads at a word; a language without a grammar has numbers in digits."""
        if parser is not None:
            return parser.read(rule, at)
        terminal = {"int": "int", "amount": "number"}.get(rule)
        return self._terminals[terminal](words, at) if terminal and at < len(words.words) else ()

    def _values(self, value_type: str, value: Any) -> tuple[Value, ...]:
        """What a rule read, as values of the type, best first and each once."""
        match value:
            case Clock():
                made: Sequence[Value | None] = self._moments.coming(value)
            case Moment():
                made = value.readings
            case Day():
                made = (value.first, value.ahead)
            case Span():
                made = (value.length(),)
            case Decimal():
                made = (int(value),) if value_type == "INTEGER" else (exact(value),)
            case int() if value_type == "DECIMAL":
                made = (Decimal(value),)
            case tuple():
                made = [one.length() if isinstance(one, Span) else one for one in value]
            case _:
                made = (value,)
        return tuple(dict.fromkeys(one for one in made if one is not None))

    def _parser(self, tokens: tuple[Token, ...]) -> tuple[Spoken, Parser | None]:
        if tokens not in self._parsed:
            words = spoken(tokens, self._language)
            parser = Parser(self._grammar, words, self._terminals, self._actions) if self._grammar else None
            if len(self._parsed) >= _MOST_PARSED:
                self._parsed.clear()
            self._parsed[tokens] = (words, parser)
        return self._parsed[tokens]

    def _places(self, tokens: tuple[Token, ...]) -> list[Found]:
        found: list[Found] = []
        taken: set[int] = set()
        while len(found) < _MOST_PLACES and (known := self._gazetteer.find(tokens, taken)):
            # What follows a name may tell which one is meant: "orlando florida".
            longest = min(len(tokens), known[1] + 3)
            for end in range(longest, known[1] - 1, -1):
                if values := self._gazetteer.resolve(tokens[known[0] : end]):
                    found.append(Found(known[0], end, values, 0.9, catalogue_hit=True))
                    break
            taken |= set(range(*known))
        return found

    def _entities(self, tokens: tuple[Token, ...], catalogue: str) -> list[Found]:
        index = self._index(catalogue)
        if index is None:
            return []
        named = [
            Found(one.start, one.end, tuple(one.entities), one.entities[0].confidence, catalogue_hit=True)
            for one in index.find(tokens)
        ]
        return named + self._by_pronoun(tokens, catalogue.rpartition(".")[2])

    def _by_pronoun(self, tokens: tuple[Token, ...], catalogue: str) -> list[Found]:
        """ "it", as the thing of the catalogue that was talked about."""
        meant = next((one for one in self._pointed if one.catalogue == catalogue), None)
        if meant is None:
            return []
        lengths = ((at, self.length_of("pronoun", tokens[at:])) for at in range(min(len(tokens), _MOST_POINTING)))
        return [Found(at, at + 1, (meant,), _POINTED, catalogue_hit=True) for at, length in lengths if length]

    def _index(self, catalogue: str) -> EntityIndex | None:
        known = self._catalogues.get(catalogue)
        return EntityIndex.of(known, self._language) if known else None

    def _expressions(self, tokens: tuple[Token, ...]) -> list[Found]:
        read = read_expression(tokens, self._language)
        if read is None:
            return []
        inside = [at for at, token in enumerate(tokens) if token.start < read.end and read.start < token.end]
        return [Found(inside[0], inside[-1] + 1, (read,), 0.9, catalogue_hit=False)] if inside else []


_MOST_PARSED = 64
_MOST_KEPT = 512
_MOST_POINTING = 24  # tokens of a sentence in which a pronoun is looked for
_POINTED = 0.75
_MOST_PLACES = 4
_SHORTER = 0.8
_INNER = 0.6  # what is left of the trust in "half hours" inside "two and a half hours"


def _repeats(words: Spoken, parser: Parser) -> bool:
    """Whether the sentence says "every day" or the like."""
    return any(parser.read("repeat", at) for at in range(len(words.words)))


def _by_day(values: tuple[Value, ...]) -> tuple[Value, ...]:
    """ "Every weekday at half past six" is not told by what comes next, but by what people mean."""
    if not all(isinstance(one, time | datetime) for one in values):
        return values
    return tuple(sorted(values, key=lambda one: not (isinstance(one, time | datetime) and 6 <= one.hour < 18)))


def _sifted(found: Mapping[tuple[int, int], Found], words: Spoken, parser: Parser | None) -> list[Found]:
    """Without those that begin inside words that are no values ("guten [morgen]"); the end of a longer one counts
    less, unless only a preposition is before it."""
    if parser is None:
        return list(found.values())
    inside: set[int] = set()
    leads: set[int] = set()
    for at in range(len(words.words)):
        for _, end in parser.read("never", at)[:1]:
            inside |= {words.starts[inner] for inner in range(at + 1, end)}
        leads |= {words.starts[end] for _, end in parser.read("lead", at) if end < len(words.starts)}
    longest: dict[int, int] = {}
    for start, end in found:
        longest[end] = min(start, longest.get(end, start))
    kept = (one for one in found.values() if one.start not in inside)
    return [
        one if one.start == longest[one.end] or one.start in leads else replace(one, confidence=one.confidence * _INNER)
        for one in kept
    ]


def _actions(situation: Situation, language: str) -> tuple[Moments, Mapping[str, object]]:
    """The objects that make the values of the grammars' rules, by rule."""
    zone = ZoneInfo(situation.time_zone or "UTC")
    now: datetime = situation.now.astimezone(zone)
    moments = Moments(now, zone)
    amounts, durations, minutes, clocks = Amounts(), Durations(), Minutes(), Clocks(twelve=language == "en")
    days, weekdays, ranges = Days(now.date(), situation.region), Weekdays(), Ranges(moments, now)
    return moments, {
        **dict.fromkeys(("amount", "fraction"), amounts),
        **dict.fromkeys(("duration", "single", "said_duration", "asked_duration"), durations),
        "hour": Hours(),
        **dict.fromkeys(("minutes", "minute", "tominutes", "quarter"), minutes),
        "count": Counts(),
        **dict.fromkeys(("clock", "said", "bare", "face", "time", "at_time"), clocks),
        **dict.fromkeys(("day", "date", "asked_day"), days),
        **dict.fromkeys(("moment", "next_time", "next_said", "next_bare", "loose_moment"), moments),
        **dict.fromkeys(("range", "ranged_day", "asked_range"), ranges),
        **dict.fromkeys(("weekdays", "plural_days", "several_days", "article_days", "day_range"), weekdays),
        "repeat": Repeats(),
        "recurrence": Recurrences(moments, now),
        **dict.fromkeys(("quantity", "counted"), Quantities(situation.region)),
        "money": Monies(situation.region),
        "truth": Truths(),
    }


def _is_article(value_type: str, words: Spoken, at: int, end: int) -> bool:
    return value_type in {"INTEGER", "DECIMAL"} and end == at + 1 and words.words[at] in _ARTICLES


_ARTICLES = frozenset("a an un une una uno ein eine einen einer einem".split())
