"""The phrase engine: reads a sentence by the phrases that skills bring, in any language, without training.

The interpreter calls `PhraseBook.read` for each alternative of an utterance. A book holds the phrases of all skills for
one locale, with an index from words to phrases. The phrases that share the most telling words with the sentence are
laid beside it (`phrase_alignment.py`); values of their slots come from the finder. What fits word by word gets
`EXACT_CONFIDENCE`, what is left over or missing takes from it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from math import log
from typing import Protocol

from services.nlu.engines.phrase_alignment import SLOT_WEIGHT, Alignment, Item, Material, OpenText, Span, align
from services.nlu.engines.phrase_index import (
    EXACT_CONFIDENCE as EXACT_CONFIDENCE,
)
from services.nlu.engines.phrase_index import (
    LEAST_CONFIDENCE,
    Candidate,
    Outline,
    PhraseIndex,
    cap,
    confidence,
)
from services.nlu.engines.phrase_words import (
    FILLER_WEIGHT,
    FUNCTION_WEIGHT,
    HALF_WEIGHT,
    Unit,
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
from services.nlu.values.finder import Found
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
_EXTRA_FUNCTION = 0.1
_EXTRA_HALF = 0.25
_EXTRA_CONTENT = 0.9
_TEXT_COVERS = 0.7  # share of the words left over that open text may take, before it is known where it stands
_NO_VALUE = 0.35  # what an optional slot costs that a phrase names and nobody said
_NO_VALUE_REQUIRED = 0.6
_MOVED = 0.25  # share of a word's cost that remains if it is said, but elsewhere
_OPEN_TEXT = (0.05, 0.04)  # what a slot of open text costs: to begin, per word
_UNKNOWN_NAME = (0.3, 0.08)  # the same for a name that an open catalogue does not hold
_TEXT_TELLING = 0.08  # what a word of phrases costs more there
_TEXT_FILLER = 0.09  # a filler is rather left over than taken into open text
_REMEMBERED_WORDS = 4096


class ValueFinder(Protocol):
    """What the engine needs of `values.finder.Finder`."""

    def find(self, value_type: str, tokens: Sequence[Token], catalogue: str = "") -> tuple[Found, ...]: ...


@dataclass(frozen=True, slots=True)
class Filled:
    """A slot with the tokens that fill it, half open. `found` is None where the words are the value."""

    spec: SlotSpec
    start: int
    end: int
    confidence: float
    found: Found | None = None


@dataclass(frozen=True, slots=True)
class PhraseReading:
    """One intent as read: how sure, which slots, and how much of the sentence was used, 0 to 1."""

    intent: Intent
    confidence: float
    slots: tuple[Filled, ...]

    @property
    def complete(self) -> bool:
        """Whether every slot that the intent needs is filled with a value of its type."""
        filled = {one.spec.name for one in self.slots if one.found is not None or one.spec.value_type == TEXT}
        return all(slot.name in filled for slot in self.intent.slots if slot.required)


@dataclass(frozen=True, slots=True)
class Pattern:
    """A phrase taken apart.

    Attributes:
        weight: what all of it counts.
        content: what its telling words count.
        value_evidence: what its other words and its typed slots can add to the evidence for it.
        slots: those that it names, what is found fastest first.
        open_slots: how many of them take any words.
        kind: number of the combination of intent and slots.
    """

    intent: Intent
    items: tuple[Item, ...]
    weight: float
    content: float
    value_evidence: float
    slots: tuple[SlotSpec, ...] = ()
    open_slots: int = 0
    kind: int = 0
    negative: bool = False


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
        sentence = _Sentence(self, tokens, units, finder)
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
            return _EXTRA_FUNCTION
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

    def _candidates(self, sentence: _Sentence, allowed: frozenset[str], most: int) -> list[Candidate]:
        """The phrases that most likely fit."""
        said = {word: (len(there), 1 - min(cost for _, cost in there)) for word, there in sentence.places.items()}
        found = self._index.candidates(said, sentence.telling, allowed, _MOST_COMPARED)
        likely = (one for one in found if self._speaks(one.number, sentence))
        return self._chosen(sentence, self._spread(likely, most, _MOST_LOOKED_UP_OF_INTENT))

    def _speaks(self, number: int, sentence: _Sentence) -> bool:
        """Whether anything but small words speaks for a phrase: a telling word, or a value for each slot."""
        pattern = self.patterns[number]
        return bool(pattern.content) or sentence.has_values(pattern)

    def _chosen(self, sentence: _Sentence, likely: Iterable[Candidate]) -> list[Candidate]:
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


class _Sentence:
    """One sentence while a book reads it: where its words are, and the values found in it, each type once."""

    def __init__(self, book: PhraseBook, tokens: Sequence[Token], units: Sequence[Unit], finder: ValueFinder) -> None:
        self._book = book
        self._tokens = tokens
        self._units = units
        self._finder = finder
        self.extras = [book.left_over(unit.word) for unit in units]
        self.telling = sum(extra for extra in self.extras if extra > _EXTRA_FUNCTION)
        self.places: dict[str, list[tuple[int, float]]] = defaultdict(list)
        for at, unit in enumerate(units):
            for word, cost in book.similar(unit.word):
                self.places[word].append((at, cost))
        first: dict[int, int] = {}
        for at, unit in enumerate(units):
            first.setdefault(unit.token, at)
        self._unit_at = [len(units)] * (len(tokens) + 1)
        for token in range(len(tokens) - 1, -1, -1):
            self._unit_at[token] = first.get(token, self._unit_at[token + 1])
        self._near = {rest for unit in units for rest in shortened(unit.word)}
        self._found: dict[tuple[str, str], tuple[Found, ...]] = {}
        self._filled_whole: dict[int, bool] = {}
        self._coverage: dict[int, tuple[int, float]] = {}
        self._open_text = OpenText(_OPEN_TEXT[0], [book.in_text(unit.word, _OPEN_TEXT[1]) for unit in units])
        self._open_name = OpenText(_UNKNOWN_NAME[0], [book.in_text(unit.word, _UNKNOWN_NAME[1]) for unit in units])

    def laid_beside(self, pattern: Pattern) -> PhraseReading:
        spans = {}
        open_slots = {}
        for slot in pattern.slots:
            if slot.value_type == TEXT:
                open_slots[slot.name] = self._open_text
                continue
            spans[slot.name] = self._spans(pattern.intent, slot)
            if self._book.is_open(pattern.intent, slot):
                open_slots[slot.name] = self._open_name
        laid = align(pattern.items, Material(self.extras, self.places, spans, open_slots))
        return self._reading(pattern, laid)

    def coverage(self, pattern: Pattern) -> tuple[int, float]:
        """How many of the typed slots of a phrase have a value, and what the words of the longest ones tell."""
        if pattern.kind not in self._coverage:
            covered = [self._covers(pattern.intent, slot) for slot in pattern.slots if slot.value_type != TEXT]
            self._coverage[pattern.kind] = sum(one > 0 for one in covered), sum(covered)
        return self._coverage[pattern.kind]

    def _covers(self, intent: Intent, slot: SlotSpec) -> float:
        spans = (span for starting in self._spans(intent, slot).values() for span in starting)
        return max((sum(self.extras[one.start : one.end]) for one in spans), default=0.0)

    def has_values(self, pattern: Pattern) -> bool:
        """Whether all typed slots of the phrase can be filled: without telling words nothing else speaks for it."""
        key = pattern.kind
        if key not in self._filled_whole:
            typed = [slot for slot in pattern.slots if slot.value_type != TEXT]
            whole = bool(typed) and all(self._values(pattern.intent, slot) for slot in typed)
            self._filled_whole[key] = whole or not pattern.slots
        return self._filled_whole[key]

    def _reading(self, pattern: Pattern, laid: Alignment) -> PhraseReading:
        extra = sum(self.extras[at] for at in laid.extra)
        cost = laid.cost
        moved = self._moved(pattern, laid)
        cost -= (1 - _MOVED) * sum(pattern.items[number].weight + self.extras[at] for number, at in moved)
        filled = [self._filled(pattern.intent, name, span) for name, span in laid.slots.items()]
        free = set(laid.extra) - {at for _, at in moved}
        for slot in pattern.intent.slots:
            if slot.value_type == TEXT or any(one.spec is slot for one in filled):
                continue
            span = self._left_over(pattern.intent, slot, free)
            if span is None:
                continue
            free -= set(range(span.start, span.end))
            cost -= sum(self.extras[at] for at in range(span.start, span.end)) - span.cost - 0.02
            missing = [item.weight for item in pattern.items if item.slot == slot.name]
            cost -= missing[0] if missing else 0.0
            filled.append(self._filled(pattern.intent, slot.name, span))
        whole = pattern.weight + extra
        similarity = max(0.0, 1 - max(0.0, cost) / whole) if whole else 0.0
        sure = confidence(similarity)
        if pattern.slots or cost > 0.1:
            sure = min(sure, _evidence_cap(pattern, laid, filled))
        return PhraseReading(pattern.intent, sure, _apart(filled))

    def _moved(self, pattern: Pattern, laid: Alignment) -> list[tuple[int, int]]:
        """Words that the phrase misses and the sentence has elsewhere ("turn the lights off")."""
        extra = set(laid.extra)
        moved = []
        for number in laid.missed:
            places = self.places.get(pattern.items[number].word, ())
            at = next((at for at, _ in places if at in extra), None)
            if at is not None:
                extra.discard(at)
                moved.append((number, at))
        return moved

    def _left_over(self, intent: Intent, slot: SlotSpec, free: set[int]) -> Span | None:
        """The best value for a slot among the words that fitted nowhere."""
        fitting = [
            span
            for spans in self._spans(intent, slot).values()
            for span in spans
            if free.issuperset(range(span.start, span.end))
        ]
        return max(fitting, key=lambda span: (span.end - span.start, -span.cost), default=None)

    def _spans(self, intent: Intent, slot: SlotSpec) -> Mapping[int, Sequence[Span]]:
        made: dict[int, list[Span]] = defaultdict(list)
        for number, found in enumerate(self._values(intent, slot)):
            start, end = self._unit_at[found.start], self._unit_at[found.end]
            if start < end:
                made[start].append(Span(start, end, (1 - found.confidence) * 0.5, number))
        return made

    def _values(self, intent: Intent, slot: SlotSpec) -> tuple[Found, ...]:
        catalogue = f"{intent.skill}.{slot.catalogue}" if slot.catalogue else ""
        key = (slot.value_type, catalogue)
        if key not in self._found:
            held = self._book.names.get((intent.skill, slot.catalogue))
            found = (
                self._finder.find(slot.value_type, self._tokens, catalogue)
                if held is None or not held.isdisjoint(self._near)
                else ()
            )
            if slot.catalogue:
                found = (*found, *self._finder.find(slot.value_type, self._tokens, slot.catalogue))
            self._found[key] = found
        return self._found[key]

    def _filled(self, intent: Intent, name: str, span: Span) -> Filled:
        slot = intent.slot(name)
        assert slot is not None
        if span.found >= 0:
            found = self._values(intent, slot)[span.found]
            return Filled(slot, found.start, found.end, found.confidence, found)
        sure = 0.9 if slot.value_type == TEXT else 0.5
        return Filled(slot, self._units[span.start].token, self._units[span.end - 1].token + 1, sure)


def _outline(pattern: Pattern) -> Outline:
    words = tuple(item.word for item in pattern.items if not item.slot)
    slots = len(pattern.slots)
    takes_values = bool(pattern.intent.slots)
    skill = pattern.intent.skill
    return Outline(skill, words, pattern.weight, pattern.content, pattern.value_evidence, slots, takes_values)


def _apart(filled: Iterable[Filled]) -> tuple[Filled, ...]:
    """In order of their words; of two that share a token ("l'heure" is one, and two units) the surer stays."""
    kept: list[Filled] = []
    for one in sorted(filled, key=lambda one: -one.confidence):
        if all(one.end <= other.start or other.end <= one.start for other in kept):
            kept.append(one)
    return tuple(sorted(kept, key=lambda one: one.start))


def _rank(reading: PhraseReading) -> tuple[float, int, float]:
    """Of two readings of one intent: the surer, then the one with more values."""
    return round(reading.confidence, 3), len(reading.slots), sum(one.confidence for one in reading.slots)


def _denied(reading: PhraseReading, by: float) -> PhraseReading:
    """A phrase that is close but not meant takes a reading's confidence if it fits no worse."""
    if not by or by < reading.confidence:
        return reading
    return replace(reading, confidence=reading.confidence * 0.1)


def _evidence_cap(pattern: Pattern, laid: Alignment, filled: Sequence[Filled]) -> float:
    """Function words and open text alone are little evidence, however well they fit ("what is {anything}")."""
    said = sum(item.weight for number, item in enumerate(pattern.items) if number not in laid.missed and not item.slot)
    values = sum(one.confidence for one in filled if one.found is not None)
    return cap(said + values)


def _said_in(catalogue: Catalogue, language: str) -> frozenset[str]:
    """The words of a catalogue's names, and what is left of them without a letter: without one of these in a sentence
    none of the names is there, and looking for them can be spared."""
    words = {
        word
        for entry in catalogue.entries
        for names in entry.names.values()
        for name in names
        for token in tokenise(name)
        for word in spread(token.norm, language)
    }
    return frozenset(rest for word in words - function_words(language) for rest in shortened(word))


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
