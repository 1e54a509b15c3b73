"""From a grammar's phrases to weighted sentences of words that the decoder can hear.

Used by `language_model_worker.py`. Texts become words of the dictionary; slots are filled from decks in which every
entry of a class comes as often as its weight says, and at least once. The same grammar gives the same sentences.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache

import numpy as np

from services.asr.engines.pocketsphinx.ngrams import Floats, Vocabulary
from services.asr.events import UnmatchedPhrase
from services.asr.grammar import MAX_PHRASE_LENGTH, MAX_REPORTED, GrammarClass, PhraseGrammar, Weighted

_SLOT = re.compile(r"\{([^{}]*)\}")
_WORD = re.compile(r"[\w'’-]*\w'?", re.UNICODE)
_EDGES = "'’-_"
_IDEOGRAPHS = "\u3400"  # from here on scripts without spaces between words
_LONGEST_IDEOGRAPHIC = 8

_COUNT_PER_PHRASE = 40.0  # sentences that an average phrase counts as, against the discounts
_DRAWS_PER_PHRASE = 24  # of a phrase with slots
_DRAWS_PER_WAY = 8  # to fill its slots: enough for weights to show
_MAX_DRAWS = 40_000  # of all phrases
_TYPE_SHARE = 0.5  # of a type's spoken forms in a class that has entries too
_ENTRY_COVER = 1.2  # draws per entry, so that rounding leaves none out
_FORM_COVER = 0.3  # draws per spoken form of a type, or word of free text: their parts come in each other
_SEED = 5

Words = Sequence[int]
Forms = Callable[[str], Iterable[Weighted]]
_Forms = tuple[list[Words], list[float]]


class Speller:
    """Text -> numbers of words; asks `pronounceable` about each word once.

    Args:
        vocabulary: grows by the words met.
        pronounceable: whether the decoder can hear a word.
    """

    def __init__(self, vocabulary: Vocabulary, pronounceable: Callable[[str], bool]) -> None:
        self._vocabulary = vocabulary
        self._pronounceable = pronounceable
        self._known: dict[str, tuple[int, ...]] = {}

    def words(self, text: str) -> tuple[list[int], list[str]]:
        """The words' numbers, and those that cannot be heard; neither when the text has no words."""
        known: list[int] = []
        unknown: list[str] = []
        for token in _WORD.findall(unicodedata.normalize("NFC", text).lower().replace("’", "'")):
            parts = self._known[token] if token in self._known else self._learn(token)
            if parts:
                known += parts
            else:
                unknown.append(token)
        return known, unknown

    def _learn(self, token: str) -> tuple[int, ...]:
        parts = tuple(self._vocabulary.add(part) for part in self._parts(token) or ())
        self._known[token] = parts
        return parts

    def _parts(self, token: str) -> tuple[str, ...] | None:
        for candidate in (token, token.strip(_EDGES)):
            if candidate and self._pronounceable(candidate):
                return (candidate,)
        if "-" in token:
            parts = tuple(part for part in token.split("-") if part)
            if parts and all(map(self._pronounceable, parts)):
                return parts
        return self._segmented(token) if token[0] >= _IDEOGRAPHS else None

    def _segmented(self, token: str) -> tuple[str, ...] | None:
        """Words of a text that is written without spaces: each time the longest that is known."""
        parts: list[str] = []
        at = 0
        while at < len(token):
            ends = range(min(len(token), at + _LONGEST_IDEOGRAPHIC), at, -1)
            end = next((end for end in ends if self._pronounceable(token[at:end])), None)
            if end is None:
                return None
            parts.append(token[at:end])
            at = end
        return tuple(parts)


@dataclass
class Expansion:
    """Sentences and their weights; how many phrases are in effect, and what is not."""

    sentences: list[Words] = field(default_factory=list)
    weights: list[float] = field(default_factory=list)
    accepted: int = 0
    unmatched: list[UnmatchedPhrase] = field(default_factory=list)

    def refuse(self, text: str, reason: str, words: Sequence[str] = ()) -> None:
        if len(self.unmatched) < MAX_REPORTED:
            told = text[:MAX_PHRASE_LENGTH]
            self.unmatched.append(UnmatchedPhrase(told, reason, tuple(word[:MAX_PHRASE_LENGTH] for word in words[:20])))


@dataclass(frozen=True)
class _Class:
    """What can stand in a slot, how likely each is, and how many draws do it justice."""

    choices: list[Words]
    weights: Floats
    cover: float


@dataclass(frozen=True)
class _Phrase:
    weight: float
    parts: tuple[list[int] | str, ...]  # words, or the name of a class

    @property
    def slots(self) -> list[str]:
        return [part for part in self.parts if isinstance(part, str)]


def expanded(grammar: PhraseGrammar, speller: Speller, forms: Forms, general: Callable[[], list[Words]]) -> Expansion:
    """All phrases, their slots filled.

    Args:
        grammar: what the client sent.
        speller: of the language.
        forms: spoken forms of a type of value.
        general: what may stand in a slot of free text.
    """
    found = Expansion()
    rng = np.random.default_rng(_SEED)
    typed = _typed(speller, forms, general)
    classes = {each.name: _entries(each, speller, typed, found) for each in grammar.classes}
    phrases = [phrase for text, weight in grammar.phrases if (phrase := _phrase(text, weight, classes, speller, found))]
    found.accepted = len(phrases)
    if not phrases:
        return found
    draws = _draws(phrases, classes)
    decks = {name: _deck(classes[name], count, rng) for name, count in _needed(phrases, draws).items()}
    total = sum(phrase.weight for phrase in phrases)
    for phrase, count in zip(phrases, draws, strict=True):
        weight = _COUNT_PER_PHRASE * len(phrases) * phrase.weight / total / count
        for _ in range(count):
            sentence: list[int] = []
            for part in phrase.parts:
                sentence += part if isinstance(part, list) else next(decks[part])
            found.sentences.append(sentence)
            found.weights.append(weight)
    return found


def _typed(speller: Speller, forms: Forms, general: Callable[[], list[Words]]) -> Callable[[str], _Forms]:
    """What a type of value may sound like, and how likely each is; spelled once, for many classes share a type."""

    @cache
    def of(value_type: str) -> _Forms:
        if value_type == "TEXT":
            texts = general()
            return texts, [1.0] * len(texts)
        found = [(words, weight) for text, weight in forms(value_type) if (words := speller.words(text)[0])]
        return [words for words, _ in found], [weight for _, weight in found]

    return of


def _entries(given: GrammarClass, speller: Speller, typed: Callable[[str], _Forms], found: Expansion) -> _Class:
    own: list[Words] = []
    weights: list[float] = []
    for text, weight in given.entries:
        if "{" in text or "}" in text:
            found.refuse(text, "SLOT_IN_ENTRY")
        elif words := _spelled(text, speller, found):
            own.append(words)
            weights.append(weight or 1.0)
    others, likely = typed(given.value_type)
    parts = [(own, weights, 1.0 - _TYPE_SHARE if others else 1.0), (others, likely, _TYPE_SHARE if own else 1.0)]
    shares = [share * np.array(each) / sum(each) for _, each, share in parts if each]
    weighted = np.concatenate(shares) if shares else np.zeros(0)
    return _Class(own + others, weighted, _ENTRY_COVER * len(own) + _FORM_COVER * len(others))


def _phrase(
    text: str, weight: float, classes: Mapping[str, _Class], speller: Speller, found: Expansion
) -> _Phrase | None:
    pieces = _SLOT.split(text)
    if any("{" in piece or "}" in piece for piece in pieces):
        found.refuse(text, "MALFORMED_SLOT")
        return None
    names = pieces[1::2]
    for reason, wrong in (
        ("UNKNOWN_CLASS", [name for name in names if name not in classes]),
        ("EMPTY_CLASS", [name for name in names if name in classes and not classes[name].choices]),
    ):
        if wrong:
            found.refuse(text, reason, wrong)
            return None
    literal = " ".join(pieces[::2])
    if _spelled(literal, speller, found, shown=text, may_be_empty=bool(names)) is None:
        return None
    parts: list[list[int] | str] = []
    for at, piece in enumerate(pieces):
        if at % 2:
            parts.append(piece)
        elif words := speller.words(piece)[0]:
            parts.append(words)
    return _Phrase(weight or 1.0, tuple(parts))


def _spelled(
    text: str, speller: Speller, found: Expansion, *, shown: str = "", may_be_empty: bool = False
) -> list[int] | None:
    """The words of a text; None when it cannot be heard, which is reported."""
    if len(_SLOT.sub("_", shown or text)) > MAX_PHRASE_LENGTH:  # names of classes are not said
        found.refuse(shown or text, "TOO_LONG")
        return None
    words, unknown = speller.words(text)
    if unknown:
        found.refuse(shown or text, "OUT_OF_VOCABULARY", unknown)
        return None
    if not words and not may_be_empty:
        found.refuse(shown or text, "NO_WORDS")
        return None
    return words


def _draws(phrases: Sequence[_Phrase], classes: Mapping[str, _Class]) -> list[int]:
    """How often each phrase is drawn: enough for every entry of its classes to come, bounded over all phrases."""
    uses: dict[str, int] = {}
    for phrase in phrases:
        for name in phrase.slots:
            uses[name] = uses.get(name, 0) + 1
    draws = []
    for phrase in phrases:
        cover = [classes[name].cover / uses[name] for name in phrase.slots]
        room = float(np.prod([float(len(classes[name].choices)) for name in phrase.slots])) if cover else 1.0
        draws.append(int(min(_DRAWS_PER_WAY * room, max(_DRAWS_PER_PHRASE, *cover))) + 1 if cover else 1)
    if (total := sum(draws)) > _MAX_DRAWS:
        draws = [max(1, int(count * _MAX_DRAWS / total)) for count in draws]
    return draws


def _needed(phrases: Sequence[_Phrase], draws: Sequence[int]) -> dict[str, int]:
    needed: dict[str, int] = {}
    for phrase, count in zip(phrases, draws, strict=True):
        for name in phrase.slots:
            needed[name] = needed.get(name, 0) + count
    return needed


def _deck(given: _Class, count: int, rng: np.random.Generator) -> Iterator[Words]:
    """`count` entries in random order, each as often as its weight says, each once first if there is room."""
    choices, weights = given.choices, given.weights
    once = np.arange(len(choices)) if count >= len(choices) else np.zeros(0, np.int64)
    steps = (np.arange(count - len(once)) + rng.random()) / max(1, count - len(once))
    drawn = np.minimum(np.searchsorted(np.cumsum(weights), steps * weights.sum()), len(choices) - 1)
    order = rng.permutation(np.concatenate((once, drawn)))
    return iter([choices[at] for at in order.tolist()])
