"""From what a client expects to be said to hotwords of a neural model, and what becomes of each phrase.

Used by `neural.py`. Slots of a grammar are not filled in: the words around them and the entries of their classes are
expected each by itself, which costs no more than they are many.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from services.asr.engines.hotwords import Hotwords
from services.asr.engines.pieces import Tokens
from services.asr.events import BiasingReport, UnmatchedPhrase
from services.asr.grammar import MAX_PHRASE_LENGTH, MAX_REPORTED, PhraseGrammar
from services.asr.requests import MAX_PHRASE_LENGTH as MAX_BIASING_LENGTH
from services.asr.requests import Phrase

_SLOT = re.compile(r"\{([^{}]*)\}")
_DEFAULT_BOOST = 2.0
_GRAMMAR_BOOST = 1.0  # its phrases are many, and nobody named them for this moment

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
    found: list[tuple[_Words, float]] = []
    unmatched: list[UnmatchedPhrase] = []
    for phrase in phrases:
        words = _spelled(tokens, phrase.text, phrase.text, MAX_BIASING_LENGTH)
        if isinstance(words, UnmatchedPhrase):
            unmatched.append(words)
        else:
            found.append((words, phrase.boost or _DEFAULT_BOOST))
    return Expected(Hotwords(found) if found else None, len(found), tuple(unmatched))


def of_grammar(tokens: Tokens, grammar: PhraseGrammar) -> Expected:
    """Of a session's grammar. Types of values bring nothing: only entries that are there can be expected."""
    found: dict[_Words, None] = {}
    unmatched: list[UnmatchedPhrase] = []
    names = {each.name for each in grammar.classes}
    accepted = 0
    for text, _ in grammar.phrases:
        pieces = _SLOT.split(text)
        unknown = tuple(name for name in pieces[1::2] if name not in names)
        parts: list[_Words] | UnmatchedPhrase
        if any("{" in piece or "}" in piece for piece in pieces[::2]):
            parts = UnmatchedPhrase(text, "MALFORMED_SLOT")
        elif unknown:
            parts = UnmatchedPhrase(text, "UNKNOWN_CLASS", unknown)
        else:
            parts = _parts(tokens, pieces[::2], text)
        if isinstance(parts, UnmatchedPhrase):
            unmatched.append(_short(parts))
        else:
            accepted += 1
            found.update(dict.fromkeys(parts))
    for text, _ in (entry for each in grammar.classes for entry in each.entries):
        words = _spelled(tokens, text, text, MAX_PHRASE_LENGTH)
        if isinstance(words, UnmatchedPhrase):
            unmatched.append(_short(words))
        else:
            found[words] = None
    hotwords = Hotwords((words, _GRAMMAR_BOOST) for words in found) if found and accepted else None
    return Expected(hotwords, accepted, tuple(unmatched[:MAX_REPORTED]))


def _parts(tokens: Tokens, pieces: Iterable[str], text: str) -> list[_Words] | UnmatchedPhrase:
    """The words between the slots, each run by itself."""
    parts: list[_Words] = []
    for piece in filter(str.strip, pieces):
        words = _spelled(tokens, piece, text, MAX_PHRASE_LENGTH)
        if isinstance(words, UnmatchedPhrase):
            return words
        parts.append(words)
    return parts if parts or "{" in text else UnmatchedPhrase(text, "NO_WORDS")


def _spelled(tokens: Tokens, text: str, shown: str, longest: int) -> _Words | UnmatchedPhrase:
    if len(text) > longest:
        return UnmatchedPhrase(shown[:longest], "TOO_LONG")
    spelled = tokens.spell(text)
    if spelled.unknown:
        return UnmatchedPhrase(shown, "OUT_OF_VOCABULARY", spelled.unknown)
    return spelled.words or UnmatchedPhrase(shown, "NO_WORDS")


def _short(unmatched: UnmatchedPhrase) -> UnmatchedPhrase:
    words = tuple(word[:MAX_PHRASE_LENGTH] for word in unmatched.words[:20])
    return UnmatchedPhrase(unmatched.text[:MAX_PHRASE_LENGTH], unmatched.reason, words)
