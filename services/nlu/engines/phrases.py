"""The phrase engine: reads a sentence by the phrases that skills bring, in any language, without training.

The interpreter calls `PhraseBook.read` for each alternative of an utterance. A book holds the phrases of all skills for
one locale. Those that most likely fit by their words (`phrase_index.py`), and then by the values that there are for
their slots, are laid beside the sentence (`phrase_sentence.py`). What fits word by word gets `EXACT_CONFIDENCE`; what
is left over or missing takes from it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import lru_cache
from math import log

from services.nlu.engines.phrase_alignment import SLOT_WEIGHT, Item
from services.nlu.engines.phrase_index import LEAST_CONFIDENCE, Candidate, Outline, PhraseIndex
from services.nlu.engines.phrase_sentence import EXTRA_FUNCTION, Pattern, PhraseReading, Sentence, ValueFinder
from services.nlu.engines.phrase_words import (
    FILLER_WEIGHT,
    FUNCTION_WEIGHT,
    HALF_WEIGHT,
    function_words,
    half_words,
    is_filler,
    shortened,
    slip,
    spread,
    units_of,
)
from services.nlu.skills import ENTITY, TEXT, Intent, Skill, SlotSpec, parts_of
from services.nlu.text import Token, tokenise
from services.nlu.values.entities import Catalogue
from services.runtime.language import best_supported, fallbacks

MAX_UNITS = 120
"""Words of a sentence that are read; a longer one is no command."""

_MOST_COMPARED = 200  # phrases that share words, of which those are chosen
_MOST_ALIGNED = 16  # phrases laid beside one sentence
_MOST_OF_INTENT = 5
_MOST_LOOKED_UP = 40  # phrases for whose slots values are looked up, to choose those
_MORE_LOOKED_UP = 20  # the same where another text of the utterance fits a phrase word by word
_MOST_LOOKED_UP_OF_INTENT = 12
_MOST_BARE = 8
_FURTHEST = 0.35  # a phrase that can at best be so much less sure than the leader is not looked at
_FITS = 0.9  # a phrase that does so well shows how much those that seem to fit less can be worth
_EXTRA_HALF = 0.25
_EXTRA_CONTENT = 0.9
_TEXT_COVERS = 0.7  # share of the words left over that open text may take, before it is known where it stands
_NO_VALUE = 0.35  # what an optional slot costs that a phrase names and nobody said
_NO_VALUE_REQUIRED = 0.6
_TEXT_TELLING = 0.08  # what a word of phrases costs more in open text
_TEXT_FILLER = 0.09  # a filler is rather left over than taken into open text
_REMEMBERED_WORDS = 4096


class PhraseBook:
    """All phrases for one locale, indexed. Immutable: a changed skill makes a new book.

    Args:
        skills: whose phrases for the locale are read; a skill without any is passed over.
        locale: BCP-47 tag; phrases for `de` serve `de-AT`.
    """

    def __init__(self, skills: Iterable[Skill], locale: str) -> None:
        self.locale = locale
        self.language = locale.partition("-")[0]
        skills = tuple(skills)
        self.names = {
            (skill.skill_id, one.name): _said_in(one, self.language) for skill in skills for one in skill.catalogues
        }
        self._closed = {(skill.skill_id, one.name) for skill in skills for one in skill.catalogues if one.closed}
        said = [
            (intent, phrase, negative)
            for skill in skills
            for tags in [_tags(skill, locale)]
            for intent in skill.intents
            for table, negative in ((intent.phrases, False), (intent.negatives, True))
            for tag in tags
            for phrase in table.get(tag, ())
        ]
        pieces = [_pieces(phrase, self.language) for _, phrase, _ in said]
        self._kinds: dict[tuple[str, tuple[SlotSpec, ...]], int] = {}
        self._weights = _word_weights(self.language, [one[0].full_name for one in said], pieces)
        self.patterns = tuple(
            self._pattern(intent, items, negative)
            for (intent, _, negative), items in zip(said, pieces, strict=True)
            if items
        )
        self._index = PhraseIndex([_outline(one) for one in self.patterns], self._weights)
        self._near: dict[str, list[str]] = defaultdict(list)
        for word in self._index.words:
            for rest in shortened(word):
                self._near[rest].append(word)
        self.similar = lru_cache(_REMEMBERED_WORDS)(self._similar)

    def read(
        self,
        tokens: Sequence[Token],
        finder: ValueFinder,
        allowed: frozenset[str] = frozenset(),
        *,
        leader: float = 0.0,
    ) -> list[PhraseReading]:
        """The intents that the sentence may be, best first.

        Args:
            allowed: skills to read by; empty means all.
            leader: confidence that another text of the utterance reached; what cannot come near is passed over.
        """
        units = units_of(tokens, self.language)
        if not 0 < len(units) <= MAX_UNITS or len(units) > 4 * len(tokens):
            return []
        sentence = Sentence(self, tokens, units, finder)
        best: dict[str, PhraseReading] = {}
        denied: dict[str, float] = {}
        expected = leader if leader >= _FITS else 0.0
        for candidate in self._candidates(sentence, allowed, _MOST_LOOKED_UP if leader < _FITS else _MORE_LOOKED_UP):
            bound = candidate.bound
            if bound < leader - _FURTHEST or candidate.expected < expected - _FURTHEST:
                continue
            pattern = self.patterns[candidate.number]
            name = pattern.intent.full_name
            if not pattern.negative and name in best and best[name].confidence >= bound:
                continue
            reading = sentence.laid_beside(pattern)
            if pattern.negative:
                denied[name] = max(denied.get(name, 0.0), reading.confidence)
            elif name not in best or _rank(reading) > _rank(best[name]):
                best[name] = reading
                if reading.confidence > leader:
                    leader, expected = reading.confidence, candidate.expected * (reading.confidence >= _FITS)
        readings = [_denied(one, denied.get(name, 0.0)) for name, one in best.items()]
        return sorted((one for one in readings if one.confidence >= LEAST_CONFIDENCE), key=lambda one: -one.confidence)

    def weight_of(self, word: str) -> float:
        """What it tells that a word is there; a word of no phrase tells as much as the rarest."""
        return self._weights.get(word, 1.0)

    def left_over(self, word: str) -> float:
        """What it costs that a word fits nowhere."""
        if is_filler(word):
            return FILLER_WEIGHT
        if word in function_words(self.language) or self._weights.get(word, 1.0) <= FUNCTION_WEIGHT:
            return EXTRA_FUNCTION
        return _EXTRA_HALF if word in half_words(self.language) else _EXTRA_CONTENT

    def in_text(self, word: str, price: float) -> float:
        """What it costs that open text takes a word: more if phrases have it, since it most likely belongs there."""
        if is_filler(word):
            return _TEXT_FILLER
        return price + (_TEXT_TELLING if self._weights.get(word, 0.0) >= HALF_WEIGHT else 0.0)

    def is_open(self, intent: Intent, slot: SlotSpec) -> bool:
        """Whether a name that the catalogue does not hold may fill the slot."""
        return slot.value_type == ENTITY and (intent.skill, slot.catalogue) not in self._closed

    def _pattern(self, intent: Intent, pieces: Sequence[tuple[str, bool]], negative: bool) -> Pattern:
        items: list[Item] = []
        named: list[SlotSpec] = []
        for piece, is_slot in pieces:
            if not is_slot:
                items.append(Item(piece, self._weights[piece]))
            elif (slot := intent.slot(piece)) is not None:
                items.append(Item("", _NO_VALUE_REQUIRED if slot.required else _NO_VALUE, piece))
                named.append(slot)
        words = sum(item.weight for item in items if not item.slot)
        content = sum(item.weight for item in items if not item.slot and item.weight > FUNCTION_WEIGHT)
        evidence = words - content + sum(slot.value_type != TEXT for slot in named)
        named.sort(key=lambda slot: (slot.value_type == TEXT, slot.value_type == ENTITY))
        kind = self._kinds.setdefault((intent.full_name, tuple(named)), len(self._kinds))
        weight = words + SLOT_WEIGHT * len(named)
        texts = sum(slot.value_type == TEXT for slot in named)
        return Pattern(intent, tuple(items), weight, content, evidence, tuple(named), texts, kind, negative)

    def _candidates(self, sentence: Sentence, allowed: frozenset[str], most: int) -> list[Candidate]:
        """The phrases that most likely fit."""
        said = {word: (len(there), 1 - min(cost for _, cost in there)) for word, there in sentence.places.items()}
        found = self._index.candidates(said, sentence.telling, allowed, _MOST_COMPARED)
        likely = (one for one in found if self._speaks(one.number, sentence))
        return self._chosen(sentence, self._spread(likely, most, _MOST_LOOKED_UP_OF_INTENT))

    def _speaks(self, number: int, sentence: Sentence) -> bool:
        """Whether anything but small words speaks for a phrase: a telling word, or a value for each slot."""
        pattern = self.patterns[number]
        return bool(pattern.content) or sentence.has_values(pattern)

    def _chosen(self, sentence: Sentence, likely: Iterable[Candidate]) -> list[Candidate]:
        """Those that most likely fit once it is known for which of their slots there is a value."""
        weighed = []
        for one in likely:
            pattern = self.patterns[one.number]
            filled, covered = sentence.coverage(pattern)
            weight = one.telling + one.others + SLOT_WEIGHT * filled
            left = max(0.0, sentence.telling - one.telling) - covered
            for _ in range(pattern.open_slots):  # these come last: for what nothing else takes
                if left > _EXTRA_HALF:
                    weight += SLOT_WEIGHT
                    left *= 1 - _TEXT_COVERS
            fits = weight / (pattern.weight + max(0.0, left))
            weighed.append((-fits, -one.bound, one.number, Candidate(one.number, fits, *one[2:])))
        return self._spread((one[-1] for one in sorted(weighed)), _MOST_ALIGNED, _MOST_OF_INTENT)

    def _spread(self, likely: Iterable[Candidate], most: int, most_of_intent: int) -> list[Candidate]:
        """The first of them, so many of one intent and so many without a telling word at most."""
        of_intent: dict[str, int] = defaultdict(int)
        kept = []
        for one in likely:
            pattern = self.patterns[one.number]
            key = pattern.intent.full_name if pattern.content else ""
            of_intent[key] += 1
            if of_intent[key] <= (most_of_intent if key else _MOST_BARE):
                kept.append(one)
            if len(kept) == most:
                break
        return kept

    def _similar(self, word: str) -> tuple[tuple[str, float], ...]:
        """Words of the phrases that this one may be, with what the difference costs."""
        known = word in self._weights
        near = {word: 0.0} if known else {}
        for rest in shortened(word):
            for other in self._near.get(rest, ()):
                if other not in near and (cost := slip(word, other, known=known)) is not None:
                    near[other] = cost
        return tuple(near.items())


def _outline(pattern: Pattern) -> Outline:
    words = tuple(item.word for item in pattern.items if not item.slot)
    slots = len(pattern.slots)
    takes_values = bool(pattern.intent.slots)
    skill = pattern.intent.skill
    return Outline(skill, words, pattern.weight, pattern.content, pattern.value_evidence, slots, takes_values)


def _rank(reading: PhraseReading) -> tuple[float, int, float]:
    """Of two readings of one intent: the surer, then the one with more values."""
    return round(reading.confidence, 3), len(reading.slots), sum(one.confidence for one in reading.slots)


def _denied(reading: PhraseReading, by: float) -> PhraseReading:
    """A phrase that is close but not meant takes a reading's confidence if it fits no worse."""
    if not by or by < reading.confidence:
        return reading
    return replace(reading, confidence=reading.confidence * 0.1)


def _said_in(catalogue: Catalogue, language: str) -> frozenset[str]:
    """The words of a catalogue's names, and what is left of them without a letter: without one of these in a sentence
    none of the names is there, and looking for them can be spared."""
    held: set[str] = set()
    for name in (name for entry in catalogue.entries for names in entry.names.values() for name in names):
        words = {word for token in tokenise(name) for word in spread(token.norm, language)}
        held |= words - function_words(language) or words
    return frozenset(rest for word in held for rest in shortened(word))


def _tags(skill: Skill, locale: str) -> tuple[str, ...]:
    """The locales of a skill's phrases that serve this one: its own and broader ones, else the nearest relative."""
    there = {tag for intent in skill.intents for tag in (*intent.phrases, *intent.negatives)}
    serving = tuple(tag for tag in fallbacks(locale) if tag in there)
    if serving or not there:
        return serving
    nearest = best_supported((locale,), there)
    return (nearest,) if nearest else ()


@lru_cache(maxsize=100_000)
def _pieces(phrase: str, language: str) -> tuple[tuple[str, bool], ...]:
    """Folded words and names of slots, in order."""
    made: list[tuple[str, bool]] = []
    for piece, is_slot in parts_of(phrase):
        if is_slot:
            made.append((piece, True))
        else:
            made += [(word, False) for token in tokenise(piece) for word in spread(token.norm, language)]
    return tuple(made)


def _word_weights(
    language: str, intents: Sequence[str], pieces: Sequence[tuple[tuple[str, bool], ...]]
) -> dict[str, float]:
    """Word -> what it tells, 0 to 1: the fewer intents have it, the more; function words tell little anyway."""
    having: dict[str, set[str]] = defaultdict(set)
    for intent, items in zip(intents, pieces, strict=True):
        for word, is_slot in items:
            if not is_slot:
                having[word].add(intent)
    total = len(set(intents))
    known = function_words(language)
    weights = {}
    for word, of in having.items():
        if is_filler(word):
            weights[word] = FILLER_WEIGHT
        elif word in known:
            weights[word] = FUNCTION_WEIGHT
        elif word in half_words(language):
            weights[word] = HALF_WEIGHT
        else:
            weights[word] = 0.5 + 0.5 * (1 - log(len(of)) / log(total + 1))
    return weights
