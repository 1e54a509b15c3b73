"""One sentence while a book of phrases reads it: where its words are, which values it holds, how a phrase fits it.

`phrases.py` makes a `Sentence` per text and lays beside it the phrases that it may be (`phrase_alignment.py`). What is
found in the sentence, each type of value and each word once, serves all of them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from services.nlu.engines.phrase_alignment import Alignment, Item, Material, OpenText, Span, align
from services.nlu.engines.phrase_index import cap, confidence
from services.nlu.engines.phrase_words import Unit, shortened
from services.nlu.skills import TEXT, Intent, SlotSpec
from services.nlu.text import Token
from services.nlu.values.finder import Found

EXTRA_FUNCTION = 0.1
"""What it costs that a small word fits nowhere; telling ones cost more."""

_MOVED = 0.25  # share of a word's cost that remains if it is said, but elsewhere
_OPEN_TEXT = (0.05, 0.04)  # what a slot of open text costs: to begin, per word
_UNKNOWN_NAME = (0.3, 0.08)  # the same for a name that an open catalogue does not hold


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


class Book(Protocol):
    """What a sentence needs of the phrases as a whole; `phrases.PhraseBook`."""

    @property
    def names(self) -> Mapping[tuple[str, str], frozenset[str]]: ...
    def similar(self, word: str) -> tuple[tuple[str, float], ...]: ...
    def left_over(self, word: str) -> float: ...
    def in_text(self, word: str, price: float) -> float: ...
    def is_open(self, intent: Intent, slot: SlotSpec) -> bool: ...


class Sentence:
    """One sentence while a book reads it: where its words are, and the values found in it, each type once."""

    def __init__(self, book: Book, tokens: Sequence[Token], units: Sequence[Unit], finder: ValueFinder) -> None:
        self._book = book
        self._tokens = tokens
        self._units = units
        self._finder = finder
        self.extras = [book.left_over(unit.word) for unit in units]
        self.telling = sum(extra for extra in self.extras if extra > EXTRA_FUNCTION)
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


def _apart(filled: Iterable[Filled]) -> tuple[Filled, ...]:
    """In order of their words; of two that share a token ("l'heure" is one, and two units) the surer stays."""
    kept: list[Filled] = []
    for one in sorted(filled, key=lambda one: -one.confidence):
        if all(one.end <= other.start or other.end <= one.start for other in kept):
            kept.append(one)
    return tuple(sorted(kept, key=lambda one: one.start))


def _evidence_cap(pattern: Pattern, laid: Alignment, filled: Sequence[Filled]) -> float:
    """Function words and open text alone are little evidence, however well they fit ("what is {anything}")."""
    said = sum(item.weight for number, item in enumerate(pattern.items) if number not in laid.missed and not item.slot)
    values = sum(one.confidence for one in filled if one.found is not None)
    return cap(said + values)
