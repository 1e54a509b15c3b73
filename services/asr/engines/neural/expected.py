"""From what a client expects to be said to hotwords of a neural model, and what becomes of each phrase.

Used by `engine.py`. Slots of a grammar are not filled in: the words around them and the entries of their classes are
expected each by itself, which costs no more than they are many.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from itertools import islice

from services.asr.engines.neural.hotwords import Hotwords
from services.asr.engines.neural.pieces import Spelled, Tokens
from services.asr.events import BiasingReport, UnmatchedPhrase
from services.asr.grammar import MAX_PHRASE_LENGTH, MAX_REPORTED, PhraseGrammar
from services.asr.requests import MAX_PHRASE_LENGTH as MAX_BIASING_LENGTH
from services.asr.requests import Phrase

_SLOT = re.compile(r"\{([^{}]*)\}")
_DEFAULT_BOOST = 2.0
_GRAMMAR_BOOST = 1.0  # its phrases are many, and nobody named them for this moment
# A token of a phrase takes about 0.3 KB.
_MAX_TOKENS = 10_000  # of one session's phrases
_MAX_GRAMMAR_TOKENS = 200_000
_MAX_WORDS = 20  # told of a phrase

_Words = tuple[tuple[int, ...], ...]


@dataclass(frozen=True, slots=True)
class Expected:
    """Hotwords, None where no phrase is in effect, and what is not."""

    hotwords: Hotwords | None
    accepted: int
    unmatched: tuple[UnmatchedPhrase, ...]

    def report(self) -> BiasingReport:
        return BiasingReport(self.accepted, self.unmatched)


def of_phrases(tokens: Tokens, phrases: Iterable[Phrase]) -> Expected:
    """Of a request's biasing phrases."""
    speller = _Speller(tokens, MAX_BIASING_LENGTH, _MAX_TOKENS)
    found = [
        (words, phrase.boost or _DEFAULT_BOOST)
        for phrase in phrases
        if (words := speller.words(phrase.text, phrase.text)) is not None
    ]
    return Expected(Hotwords(found) if found else None, len(found), tuple(speller.unmatched))


def of_grammar(tokens: Tokens, grammar: PhraseGrammar) -> Expected:
    """Of a session's grammar. Types of values bring nothing: only entries that are there can be expected."""
    speller = _Speller(tokens, MAX_PHRASE_LENGTH, _MAX_GRAMMAR_TOKENS)
    names = {each.name for each in grammar.classes}
    found: dict[_Words, None] = {}
    accepted = 0
    for text, _ in grammar.phrases:
        parts = _parts(speller, text, names)
        if parts is not None:
            accepted += 1
            found.update(dict.fromkeys(parts))
    for text, _ in (entry for each in grammar.classes for entry in each.entries):
        words = speller.words(text, text)
        if words is not None:
            found[words] = None
    hotwords = Hotwords((words, _GRAMMAR_BOOST) for words in found) if found and accepted else None
    return Expected(hotwords, accepted, tuple(speller.unmatched[:MAX_REPORTED]))


def _parts(speller: _Speller, text: str, classes: Collection[str]) -> list[_Words] | None:
    """The words between the slots of a phrase, each run by itself; None if it is not in effect."""
    pieces = _SLOT.split(text)
    literal, slots = pieces[::2], pieces[1::2]
    runs = [piece for piece in literal if piece.strip()]
    unknown = [name for name in slots if name not in classes]
    if any("{" in piece or "}" in piece for piece in literal):
        speller.refuse(text, "MALFORMED_SLOT")
    elif unknown:
        speller.refuse(text, "UNKNOWN_CLASS", unknown)
    elif not slots and not runs:
        speller.refuse(text, "NO_WORDS")
    else:
        return _spelled(speller, runs, text)
    return None


def _spelled(speller: _Speller, runs: Iterable[str], text: str) -> list[_Words] | None:
    parts: list[_Words] = []
    for run in runs:
        words = speller.words(run, text)
        if words is None:
            return None
        parts.append(words)
    return parts


class _Speller:
    """Spells texts, notes which cannot be heard, and stops where their tokens become too many."""

    def __init__(self, tokens: Tokens, longest: int, most: int) -> None:
        self.unmatched: list[UnmatchedPhrase] = []
        self._tokens = tokens
        self._longest = longest
        self._left = most

    def words(self, text: str, shown: str) -> _Words | None:
        """The words of a text; None when it is not in effect, which is noted under what is `shown`."""
        spelled = self._tokens.spell(text) if len(text) <= self._longest else Spelled(())
        count = sum(map(len, spelled.words))
        if len(text) > self._longest:
            reason = "TOO_LONG"
        elif spelled.unknown:
            reason = "OUT_OF_VOCABULARY"
        elif not count:
            reason = "NO_WORDS"
        elif count > self._left:
            reason = "TOO_MANY"
        else:
            self._left -= count
            return spelled.words
        self.refuse(shown, reason, spelled.unknown)
        return None

    def refuse(self, text: str, reason: str, words: Iterable[str] = ()) -> None:
        told = tuple(word[: self._longest] for word in islice(words, _MAX_WORDS))
        self.unmatched.append(UnmatchedPhrase(text[: self._longest], reason, told))
